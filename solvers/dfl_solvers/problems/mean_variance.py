"""Portfolios that weigh cost against variance."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.problems._covariance import covariances, read_covariance
from dfl_solvers.problems._portfolios import check_budget, least_costs, numbers_of

# a smaller weight is none
_HELD = 1e-9


@final
class MeanVariancePortfolio(AbstractOracle):
    r"""Minimize costs plus a price on variance over long-only portfolios.

    Costs are negative expected returns. Unlike ``Portfolio``, whose variance must stay within a
    bound, this one pays for variance; the problem always has a solution, and weights vary
    continuously with the costs where the covariance is positive definite.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
        Covariance of the assets' returns; symmetric, positive semidefinite.
    risk_aversion : float
        Price of half the variance; positive.
    budget : {"equal", "at_most"}, default="equal"
        Weights sum to 1, or to at most 1: the rest is cash, which costs nothing and has no risk.

    Attributes
    ----------
    n_costs : int
        Number d of assets.

    Raises
    ------
    InvalidInputError
        If ``covariance`` is not a covariance matrix, ``risk_aversion`` is not positive and finite
        or ``budget`` unknown.

    Notes
    -----
    .. math::

        \min_w c^\top w + \frac \lambda 2 w^\top \Sigma w \quad \text{s.t.} \quad
        1^\top w = 1, \; w \ge 0,

    with :math:`\lambda` the risk aversion. The variance is part of the objective, so
    ``linear_objective`` is False and decisions depend on the scale of the costs; returns go in
    through ``Maximize(...)``, which then maximizes return minus the priced variance.

    A compiled parametric active-set method walks the efficient frontier from the cheapest asset to
    the point where it has this slope; a step takes :math:`O(d k)` operations with k assets held.
    The answer is certified by the duality gap; the rare instance that is not certified, as with
    singular covariances, is left to an interior-point method, which takes milliseconds. Further
    constraints on the weights are for a general convex solver.

    The instance data ``covariance`` (n, d, d) and ``risk_aversion`` (n,) replace the parameters,
    one instance a row.

    References
    ----------
    H. Markowitz. The optimization of a quadratic function subject to linear constraints. Naval
    Research Logistics Quarterly 3 (1956). doi:10.1002/nav.3800030110

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import MeanVariancePortfolio
    >>> oracle = MeanVariancePortfolio(np.diag([4.0, 1.0]), risk_aversion=1.0)
    >>> oracle.solve(np.array([[-2.0, 0.0], [-1.0, -2.0]])).decisions
    array([[0.6, 0.4],
           [0. , 1. ]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"covariance", "risk_aversion"})
    linear_objective = False
    n_costs: int

    def __init__(
        self,
        covariance: npt.ArrayLike,
        risk_aversion: float,
        budget: Literal["equal", "at_most"] = "equal",
    ) -> None:
        check_budget("MeanVariancePortfolio", budget)
        self.covariance = read_covariance("MeanVariancePortfolio", covariance)
        if not 0 < risk_aversion < np.inf:
            raise InvalidInputError(
                f"MeanVariancePortfolio: got risk_aversion {risk_aversion}, expected a positive "
                "number"
            )
        self.risk_aversion = risk_aversion
        self.budget = budget
        self.n_costs = len(self.covariance)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        covariance, aversion = self._data(costs.shape, instance)
        return least_costs(
            costs,
            covariance,
            1.0 / aversion,
            by_risk=False,
            budget=self.budget,
            by_cones=lambda costs, own, i: _solve_by_cones(costs, own, aversion[i]),
        )

    def vector_jacobian_product(
        self, costs: Array, vectors: Array, instance: Instance | None = None
    ) -> Array:
        """Gradient of ``vectors . w*(costs)`` with respect to the costs, the vectors held fixed.

        Parameters
        ----------
        costs, vectors : ndarray of shape (n, d)
            Costs, and derivatives by the decisions, one row an instance.
        instance : mapping of str to ndarray, optional
            As in ``solve``.

        Returns
        -------
        ndarray of shape (n, d)
            Zero for assets that are not held. Where an asset is just about to be held, there is a
            kink, and the gradient is that of the side where it is not.

        Raises
        ------
        InvalidInputError
            If the two shapes differ, or the costs are refused by ``solve``.
        """
        costs, vectors = np.asarray(costs, dtype=float), np.asarray(vectors, dtype=float)
        if vectors.shape != costs.shape:
            raise InvalidInputError(
                "MeanVariancePortfolio.vector_jacobian_product: got vectors of shape "
                f"{vectors.shape}, expected {costs.shape}, the shape of the costs"
            )
        decisions = self.solve(costs, instance).decisions
        covariance, aversion = self._data(costs.shape, instance or {})
        gradients = np.zeros(costs.shape)
        for i, weights in enumerate(decisions):
            held = np.flatnonzero(weights > _HELD)
            own = covariance[i if len(covariance) > 1 else 0][np.ix_(held, held)]
            right = np.stack([vectors[i, held], np.ones(len(held))], axis=1)
            toward, level = np.linalg.lstsq(aversion[i] * own, right)[0].T
            if self.budget == "equal" or weights.sum() > 1 - _HELD:  # what is held sums to 1
                toward -= level * (toward.sum() / (level.sum() or 1.0))
            gradients[i, held] = -toward
        return gradients

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        covariance, aversion = self._data(costs.shape, instance)
        if len(covariance) == 1:
            slopes = decisions @ covariance[0]
        else:
            slopes = np.matvec(covariance, decisions)
        variance = np.vecdot(slopes, decisions)
        return super()._objective(costs, decisions, instance) + aversion / 2 * variance

    def _data(self, shape: tuple[int, ...], instance: Instance) -> tuple[Array, Array]:
        """Return covariances (1 or n, d, d) and risk aversions (n,)."""
        n, d = shape
        covariance = covariances("MeanVariancePortfolio", self.covariance, instance, (n, d))
        aversion = numbers_of(
            "MeanVariancePortfolio", "risk_aversion", self.risk_aversion, instance, n
        )
        for i in np.flatnonzero(aversion <= 0)[:1]:
            raise InvalidInputError(
                f"MeanVariancePortfolio: instance {i}: got risk_aversion {aversion[i]}, "
                "expected a positive number"
            )
        return covariance, aversion


def _solve_by_cones(costs: Array, covariance: Array, aversion: float) -> tuple[Array, Status]:
    """Solve one instance (all weights sum to 1) as a quadratic program."""
    # imported here since it is seldom needed
    from dfl_solvers.backends.clarabel import solve_cone_program

    d = len(costs)
    costs = costs - costs.min()
    # to numbers near one, since tolerances are absolute as well
    size = max(costs.max(), aversion * np.abs(covariance).max()) or 1.0
    w, status = solve_cone_program(
        costs / size,
        np.vstack([np.ones((1, d)), -np.eye(d)]),
        np.concatenate([[1.0], np.zeros(d)]),
        quadratic=aversion / size * covariance,
        n_equal=1,
        n_at_most=d,
    )
    if status > Status.FEASIBLE:
        return np.zeros(d), status
    w = np.maximum(w, 0.0)
    return w / w.sum(), status
