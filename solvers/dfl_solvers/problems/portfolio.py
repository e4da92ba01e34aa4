"""Portfolios of least cost under a bound on their variance."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.problems._frontier import walk_frontier

# largest negative eigenvalue, relative to the largest variance, that passes for rounding
_ROUNDING = 1e-10


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
        if budget not in ("equal", "at_most"):
            raise InvalidInputError(
                f"Portfolio: got budget {budget!r}, expected 'equal' or 'at_most'"
            )
        try:
            covariance = np.asarray(covariance, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"Portfolio: covariance is no matrix: {error}") from error
        if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
            raise InvalidInputError(
                f"Portfolio: got a covariance of shape {covariance.shape}, expected (d, d)"
            )
        if not len(covariance) or not np.isfinite(covariance).all():
            raise InvalidInputError("Portfolio: expected a covariance of finite numbers")
        _check_covariance(covariance[None], "")
        if not 0 <= risk < np.inf:
            raise InvalidInputError(f"Portfolio: got risk {risk}, expected a variance >= 0")
        self.covariance = covariance
        self.risk = risk
        self.budget = budget
        self.n_costs = len(covariance)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        n, d = costs.shape
        covariance, risk = self._data(costs, instance)
        decisions = np.zeros_like(costs)
        status = np.empty(n, dtype=np.int8)
        if self.budget == "at_most":
            # cash is an asset without cost and risk
            costs = np.pad(costs, ((0, 0), (0, 1)))
            covariance = np.pad(covariance, ((0, 0), (0, 1), (0, 1)))
        run(
            walk_frontier,
            n,
            np.ascontiguousarray(costs),
            np.ascontiguousarray(covariance),
            risk,
            decisions,
            status,
        )
        for i in np.flatnonzero(status == Status.FAILED):
            own = covariance[i if len(covariance) > 1 else 0]
            w, status[i] = _solve_by_cones(costs[i], own, risk[i])
            decisions[i] = w[:d]
        return decisions, status

    def _data(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        """Return covariances (1 or n, d, d) and risks (n,)."""
        n, d = costs.shape
        covariance = self.covariance[None]
        if "covariance" in instance:
            covariance = np.asarray(instance["covariance"], dtype=float)
            if covariance.shape != (n, d, d):
                raise InvalidInputError(
                    f"Portfolio: got instance data 'covariance' of shape {covariance.shape}, "
                    f"expected {(n, d, d)}"
                )
            _check_covariance(covariance, "instance ")
        risk = np.full(n, float(self.risk))
        if "risk" in instance:
            risk = np.asarray(instance["risk"], dtype=float)
            if risk.shape != (n,):
                raise InvalidInputError(
                    f"Portfolio: got instance data 'risk' of shape {risk.shape}, expected {(n,)}"
                )
            if (risk < 0).any():
                row = np.flatnonzero(risk < 0)[0]
                raise InvalidInputError(
                    f"Portfolio: instance {row}: got risk {risk[row]}, expected a variance >= 0"
                )
        return (covariance + covariance.transpose(0, 2, 1)) / 2, np.ascontiguousarray(risk)


def _check_covariance(covariances: Array, prefix: str) -> None:
    """Refuse matrices (n, d, d) that are not symmetric positive semidefinite."""
    size = np.abs(covariances).max(axis=(1, 2))
    skew = np.abs(covariances - covariances.transpose(0, 2, 1)).max(axis=(1, 2))
    for i in np.flatnonzero(skew > 1e-8 * size)[:1]:
        where = f"{prefix}{i}: " if prefix else ""
        raise InvalidInputError(
            f"Portfolio: {where}the covariance is not symmetric: two mirrored entries differ by "
            f"{skew[i]:.3g}"
        )
    shift = _ROUNDING * size[:, None, None] * np.eye(covariances.shape[1])
    try:
        np.linalg.cholesky(covariances + shift)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(covariances)[:, 0]
        for i in np.flatnonzero(least < -_ROUNDING * size)[:1]:
            where = f"{prefix}{i}: " if prefix else ""
            raise InvalidInputError(
                f"Portfolio: {where}the covariance is not positive semidefinite: it has the "
                f"eigenvalue {least[i]:.3g}"
            ) from None


def _solve_by_cones(costs: Array, covariance: Array, risk: float) -> tuple[Array, Status]:
    """Solve one instance (all weights sum to 1) as a second-order cone program."""
    # imported here since it is seldom needed
    from dfl_solvers.backends.clarabel import solve_cone_program

    d = len(costs)
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > _ROUNDING * max(variances[-1], 0.0)
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
