"""The linear model of least SPO+ risk, with a proof."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl.estimators._bundle import minimize
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._reading import read
from dfl.estimators._scaling import InUnits, Scaling
from dfl.estimators._spo_plus_program import Relaxed, programs_of, solve_program
from dfl.estimators._spo_plus_risk import Found, Penalty, Risk
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.program import Program
from dfl_solvers.wrappers import Counting


@final
class SPOPlusLinearRegressor(BaseDecisionRegressor):
    """Linear costs of least SPO+ risk: trained exactly, with a certificate.

    Use it where a linear model is wanted and there are up to some ten thousand rows: there is no
    learning rate, no epoch and no seed, and ``duality_gap_`` says how far from the optimum the
    result can be at most. As SPO+ sees decisions only, it is no protection against overfitting:
    compare with ``PredictThenOptimizeRegressor`` on held-out rows, and choose ``alpha`` by
    ``SPOPlusLinearRegressorCV`` where rows are few.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    solver : {"bundle", "lp", "qp"}, default="bundle"
        ``"bundle"`` asks the oracle only, for any oracle. ``"lp"`` and ``"qp"`` write one program
        from the oracle's ``program()`` and solve it by an interior point method, of HiGHS or of
        Clarabel; the penalty ``"l2"`` needs ``"qp"``. Where variables are integers, they train
        for the linear relaxation, while ``"bundle"`` is exact for the oracle itself.
    penalty : {"l1", "l2"}, optional
        Of the coefficients, not of the intercept. Default: none.
    alpha : float, default=0.0
        Weight of the penalty, if there is one. It has no unit: features are standardized and costs
        are divided by their mean absolute value first, see Notes.
    tol : float, default=1e-6
        Relative gap at which ``"bundle"`` stops; a warning follows where a solver leaves more.
    max_iter : int, default=100
        Most batches that ``"bundle"`` asks the oracle for.

    Attributes
    ----------
    coef_ : ndarray of shape (d, p), or (p,) for 1-d costs
        In the units of the data.
    intercept_ : ndarray of shape (d,), or float
        Likewise.
    objective_ : float
        The penalized risk of these coefficients in the units of the costs, as the oracle says.
    duality_gap_ : float
        ``objective_`` minus a lower bound of what any coefficients can reach, in relation to
        ``objective_`` (to a thousandth of the risk of predicting zero, where the fit is all but
        perfect).
    n_iter_ : int
        Batches of the oracle for ``"bundle"``, else iterations of the interior point method.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    Raises
    ------
    UnsupportedError
        In ``fit``, if ``"lp"`` or ``"qp"`` is to train for an oracle without matrix form.

    See Also
    --------
    DecisionFocusedRegressor : Other losses and predictors, long data, more rows.
    SPOPlusLinearRegressorCV : Chooses alpha by regret.

    Notes
    -----
    Minimizes over B and b::

        sum_i v_i l(B x_i + b, c_i) / sum_i v_i  +  alpha * penalty
        l(p, c)  =  (2p - c).(w*(c) - w*(2p - c))
        penalty  =  sum_jk s_k |B_jk|  (l1),  or  sum_jk (s_k B_jk)^2 / (2u)  (l2)

    with the sample weights v_i, s_k the standard deviation of feature k, and u the mean absolute
    cost. So other units of features or costs give the same predictions, as everywhere in this
    library; scikit-learn's own linear models penalize coefficients in the units of the data.

    Where many coefficients are optimal, those near least squares are preferred, without promise.
    The bound is proved within a box ten times as large as the largest coefficient found, so that
    rounding in the solver's proof does no harm.

    The bundle method (proximal, one model a sample) is a reconstruction from standard parts and
    takes about ten steps; its cost grows with the cube of ``d (p + 1)``: beyond some thousand
    coefficients use ``DecisionFocusedRegressor``.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", Management Science 2022,
    arXiv 1710.08005 (the linear program); Lemarechal, Nemirovskii & Nesterov, "New variants of
    bundle methods", Mathematical Programming 69, 1995, doi 10.1007/BF01585555.

    Examples
    --------
    >>> from dfl import SPOPlusLinearRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(200, degree=6, random_state=0)
    >>> model = SPOPlusLinearRegressor(data.oracle).fit(data.X, data.C)
    >>> bool(model.duality_gap_ < 1e-6), bool(model.score(data.X, data.C) > 0.95)
    (True, True)
    """

    def __init__(
        self,
        oracle: Oracle | None = None,
        solver: Literal["bundle", "lp", "qp"] = "bundle",
        *,
        penalty: Penalty = None,
        alpha: float = 0.0,
        tol: float = 1e-6,
        max_iter: int = 100,
    ) -> None:
        self.oracle = oracle
        self.solver = solver
        self.penalty = penalty
        self.alpha = alpha
        self.tol = tol
        self.max_iter = max_iter

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        instance: InstanceData | None = None,
    ) -> Self:
        """Find the coefficients of least risk.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, d), or (n,) for one cost
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the risk; not negative.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, or a parameter is out of its range.
        InfeasibleError, UnboundedError
            If an instance has no optimal decision; it is named.
        SolverError
            If HiGHS or Clarabel finds no solution.
        """
        self._check_parameters((self.alpha,))
        task = self._read(X, y, sample_weight, instance)
        risk = task.risk
        if self.solver == "bundle":
            found, _ = minimize(risk, risk.least_squares(), self.tol, self.max_iter)
        else:
            found = solve_program(risk, task.programs, self.solver)
        self.coef_, self.intercept_ = task.fold(found.parameters)
        self.objective_, self.duality_gap_ = self._judge(task, risk, found)
        self.n_iter_ = found.n_iter
        self.budget_ = task.counting.counts
        return self

    def path(
        self,
        X: Any,
        y: Any,
        alphas: Sequence[float] | Array,
        sample_weight: Any = None,
        *,
        instance: InstanceData | None = None,
    ) -> Bunch:
        """Find the coefficients for several weights of the penalty; each starts from the last.

        By the bundle method, which keeps what it knows of the risk; fits of their own take several
        times as long. ``alpha`` and the state of the estimator play no part.

        Parameters
        ----------
        X, y
            As in ``fit``.
        alphas : sequence of float
            Weights of the penalty, in any order; solved from the largest.
        sample_weight, instance
            As in ``fit``.

        Returns
        -------
        Bunch
            In the order of ``alphas`` (k of them): ``alphas`` (k,), ``coefs`` (k, d, p),
            ``intercepts`` (k, d), ``risks`` (k,) without penalty, ``objectives`` (k,) with it,
            ``duality_gaps`` (k,) and ``n_iters`` (k,).

        Raises
        ------
        InvalidInputError
            If there is no penalty, or a weight is negative; and as in ``fit``.
        """
        values = np.asarray(alphas, dtype=float)
        if self.penalty is None or self.solver == "lp":
            raise InvalidInputError(
                f"{type(self).__name__}.path: got penalty={self.penalty!r} and "
                f"solver={self.solver!r}, expected a penalty 'l1' or 'l2' and solver='bundle'"
            )
        if values.ndim != 1 or not len(values):
            raise InvalidInputError(f"got alphas={alphas!r}, expected a sequence of numbers")
        self._check_parameters(values)
        task = self._read(X, y, sample_weight, instance)
        at, bundle = task.risk.least_squares(), None
        columns: dict[int, tuple[Any, ...]] = {}
        for k in np.argsort(-values):
            risk = replace(task.risk, alpha=float(values[k]))
            found, bundle = minimize(risk, at, self.tol, self.max_iter, bundle)
            at = found.parameters
            objective, gap = self._judge(task, risk, found)
            plain = objective - task.unit * risk.penalty_of(at)
            columns[k] = (values[k], *task.fold(at), plain, objective, gap, found.n_iter)
        names = ("alphas", "coefs", "intercepts", "risks", "objectives", "duality_gaps", "n_iters")
        ordered = zip(*(columns[k] for k in range(len(values))), strict=True)
        return Bunch(**{name: np.array(part) for name, part in zip(names, ordered, strict=True)})

    def predict(self, X: Any) -> Array:
        """Predict costs.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            Costs in the units of those given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ self.coef_.T + self.intercept_

    def _check_parameters(self, alphas: Sequence[float] | Array) -> None:
        name = type(self).__name__
        for parameter, known in (
            ("solver", ("bundle", "lp", "qp")),
            ("penalty", (None, "l1", "l2")),
        ):
            value = getattr(self, parameter)
            if value not in known:
                raise InvalidInputError(
                    f"{name}: got {parameter}={value!r}, expected one of {known}"
                )
        for alpha in alphas:
            if not 0 <= alpha < np.inf:
                raise InvalidInputError(f"{name}: got alpha={alpha!r}, expected a number from 0")
        if self.solver == "lp" and self.penalty == "l2":
            raise InvalidInputError(
                f"{name}: got solver='lp' with penalty='l2', which is no linear program; "
                "use solver='qp' or solver='bundle'"
            )
        if not self.tol > 0 or not self.max_iter >= 1:
            raise InvalidInputError(
                f"{name}: got tol={self.tol!r} and max_iter={self.max_iter!r}, expected a positive "
                "gap and a number from 1"
            )

    def _read(self, X: Any, y: Any, sample_weight: Any, instance: InstanceData | None) -> _Task:
        """Check what ``fit`` was given and put the risk together, in scaled units."""
        oracle, sign = minimizing(self._checked_oracle())
        instance = as_instance(instance)
        table = read(self, X, y, sample_weight=sample_weight, instance=instance)
        rows = np.arange(len(table.inputs))
        weights = np.ones(len(rows)) if table.weights is None else table.weights
        if not weights.all():  # rows that do not count must not leave a trace
            rows = np.flatnonzero(weights)
            if not len(rows):
                raise InvalidInputError("got sample_weight all zero, expected a positive weight")
            if instance:
                instance = {name: np.asarray(value)[rows] for name, value in instance.items()}
        X, costs, weights = table.inputs[rows], table.truth[rows], weights[rows]
        scaling = Scaling.of(X, costs, sign, weights)
        unit = abs(scaling.cost)
        programs: list[Program] = []
        if self.solver != "bundle":
            programs = programs_of(oracle, instance, len(X), self.solver)
            if any(np.any(program.integrality) for program in programs):
                oracle = Relaxed(programs)
        counting = Counting(oracle)
        held: Oracle = counting
        if not getattr(oracle, "linear_objective", True):
            held = InUnits(counting, unit)
            programs = [replace(p, fixed_costs=p.fixed_costs / unit) for p in programs]
        risk = Risk.of(
            scaling.features(X),
            costs / scaling.cost,
            weights,
            held,
            instance or None,
            self.penalty,
            float(self.alpha),
        )
        return _Task(risk, programs, scaling, counting, table.one_output)

    def _judge(self, task: _Task, risk: Risk, found: Found) -> tuple[float, float]:
        """Return the objective in the user's units, and the relative gap; warn if it is large."""
        value = risk.value(found.parameters)
        nothing = np.zeros_like(found.parameters)
        scale = float(risk.weights @ risk.cuts(nothing).constants)
        gap = risk.relative(value, found.bound, scale)
        if gap > self.tol:
            warnings.warn(
                f"{type(self).__name__}: the relative gap is {gap:.1e} after {found.n_iter} "
                f"iterations of solver={self.solver!r}, expected at most tol={self.tol:.1e}; "
                "raise max_iter or tol, or use solver='bundle'",
                ConvergenceWarning,
                stacklevel=3,
            )
        return task.unit * value, gap


class _Task(NamedTuple):
    """A risk in scaled units, and the way back."""

    risk: Risk
    programs: list[Program]
    scaling: Scaling
    counting: Counting
    one_output: bool

    @property
    def unit(self) -> float:
        """Mean absolute cost."""
        return abs(self.scaling.cost)

    def fold(self, parameters: Array) -> tuple[Any, Any]:
        """Return coefficients and intercept in the user's units and sense."""
        coef = self.scaling.cost * parameters[:, 1:] / self.scaling.scale
        intercept = self.scaling.cost * parameters[:, 0] - coef @ self.scaling.mean
        return (coef[0], float(intercept[0])) if self.one_output else (coef, intercept)
