"""Portfolios of least cost under a bound on their variance."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.problems._covariance import ROUNDING, covariances, read_covariance
from dfl_solvers.problems._portfolios import check_budget, least_costs, numbers_of


@final
class Portfolio(AbstractOracle):
    r"""Minimize costs over long-only portfolios whose variance stays within a bound.

    Costs are negative expected returns (or wrap it: ``Maximize(Portfolio(...))`` takes returns).
    Exact to rounding: a compiled parametric active-set method walks the efficient frontier from the
    cheapest asset to the bound, certifies its answer by duality, and leaves the rare instance that
    it cannot certify to a cone solver.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
        Covariance of the assets' returns; symmetric, positive semidefinite.
    risk : float
        Largest variance of the portfolio.
    budget : {"equal", "at_most"}, default="equal"
        Weights sum to 1, or to at most 1: the rest is cash, which costs nothing and has no risk.

    Attributes
    ----------
    n_costs : int
        Number d of assets.

    Raises
    ------
    InvalidInputError
        If ``covariance`` is not a covariance matrix, ``risk`` is negative or ``budget`` unknown.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad w^\top \Sigma w \le \text{risk}, \;
        1^\top w = 1, \; w \ge 0.

    The minimizers of :math:`\tau c^\top w + w^\top \Sigma w / 2` are piecewise linear in
    :math:`\tau`; between two changes of the support, :math:`w = a + \tau b` and the variance is
    :math:`a^\top \Sigma a + \tau^2 b^\top \Sigma b`, so the bound is met in closed form.

    The instance data ``covariance`` (n, d, d) and ``risk`` (n,) replace the parameters, one
    instance a row.

    References
    ----------
    H. Markowitz. The optimization of a quadratic function subject to linear constraints. Naval
    Research Logistics Quarterly 3 (1956). doi:10.1002/nav.3800030110

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Portfolio
    >>> oracle = Portfolio(np.diag([4.0, 1.0]), risk=1.0)
    >>> oracle.solve(np.array([[-2.0, -1.0], [-1.0, -2.0]])).decisions
    array([[0.4, 0.6],
           [0. , 1. ]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"covariance", "risk"})

    def __init__(
        self,
        covariance: npt.ArrayLike,
        risk: float,
        budget: Literal["equal", "at_most"] = "equal",
    ) -> None:
        check_budget("Portfolio", budget)
        self.covariance = read_covariance("Portfolio", covariance)
        if not 0 <= risk < np.inf:
            raise InvalidInputError(f"Portfolio: got risk {risk}, expected a variance >= 0")
        self.risk = risk
        self.budget = budget
        self.n_costs = len(self.covariance)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        risk = numbers_of("Portfolio", "risk", self.risk, instance, len(costs))
        for i in np.flatnonzero(risk < 0)[:1]:
            raise InvalidInputError(
                f"Portfolio: instance {i}: got risk {risk[i]}, expected a variance >= 0"
            )
        return least_costs(
            costs,
            covariances("Portfolio", self.covariance, instance, costs.shape),
            risk,
            by_risk=True,
            budget=self.budget,
            by_cones=lambda costs, own, i: _solve_by_cones(costs, own, risk[i]),
        )


def _solve_by_cones(costs: Array, covariance: Array, risk: float) -> tuple[Array, Status]:
    """Solve one instance (all weights sum to 1) as a second-order cone program."""
    # imported here since it is seldom needed
    from dfl_solvers.backends.clarabel import solve_cone_program

    d = len(costs)
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > ROUNDING * max(variances[-1], 0.0)
    factor = directions[:, kept] * np.sqrt(variances[kept])
    size = np.sqrt(variances[-1]) if kept.any() else 1.0
    w, status = solve_cone_program(
        costs - costs.min(),
        np.vstack([np.ones((1, d)), -np.eye(d), np.zeros((1, d)), -factor.T / size]),
        np.concatenate([[1.0], np.zeros(d), [np.sqrt(risk) / size], np.zeros(kept.sum())]),
        n_equal=1,
        n_at_most=d,
        second_order=(1 + int(kept.sum()),),
    )
    if status > Status.FEASIBLE:
        return np.zeros(d), status
    w = np.maximum(w, 0.0)
    return w / w.sum(), status
