"""Portfolios of least cost under a bound on their variance."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE, _FAILED = int(Status.OPTIMAL), int(Status.INFEASIBLE), int(Status.FAILED)
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
            _walk_frontier,
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


@kernel
def _walk_frontier(
    lo: int,
    hi: int,
    costs: Array,
    covariances: Array,
    risks: Array,
    decisions: Array,
    status: Array,
) -> None:
    """Follow argmin tau c.w + w'Sw/2 down from tau = infinity until the variance is the bound.

    The support F has the bordered inverse ``inverse`` of [[0, 1'], [1, S_FF]], updated by one row
    a step; ``constant + tau * slope`` are the multiplier of the budget, then the weights. A row
    whose answer fails its certificate is left as FAILED.
    """
    d = costs.shape[1]
    support = np.empty(d, np.int64)
    inside = np.empty(d, np.bool_)
    inverse = np.empty((d + 1, d + 1))
    column = np.empty(d + 1)
    slope = np.empty(d + 1)
    cost = np.empty(d)
    gradient = np.empty(d)  # of half the variance at constant, then at the answer
    gradient_slope = np.empty(d)
    change = np.empty(d)
    w = np.empty(d)
    for row in range(lo, hi):
        sigma = covariances[min(row, len(covariances) - 1)]
        risk = risks[row]
        decisions[row] = 0.0
        status[row] = _FAILED

        # the cheapest asset is the end of the frontier; of equal ones, that of least variance
        least = costs[row].min()
        span = costs[row].max() - least
        if span == 0.0:
            span = 1.0
        start = -1
        n_least = 0
        largest = 0.0
        for j in range(d):
            cost[j] = (costs[row, j] - least) / span
            largest = max(largest, sigma[j, j])
            if cost[j] <= 1e-13:
                n_least += 1
                if start < 0 or sigma[j, j] < sigma[start, start]:
                    start = j
        if sigma[start, start] <= risk:
            if start < decisions.shape[1]:
                decisions[row, start] = 1.0
            status[row] = _OPTIMAL
            continue
        if n_least > 1:
            # break ties by less than anyone sees, so that the frontier starts at one asset
            for j in range(d):
                if cost[j] <= 1e-13 and j != start:
                    cost[j] = 1e-12 * (1.0 + j / d)

        inside[:] = False
        inside[start] = True
        support[0] = start
        m = 1
        inverse[0, 0] = -sigma[start, start]
        inverse[0, 1] = inverse[1, 0] = 1.0
        inverse[1, 1] = 0.0
        slope[0] = -cost[start]
        slope[1] = 0.0
        gradient[:] = sigma[start] - sigma[start, start]
        gradient_slope[:] = slope[0]
        tau = np.inf
        reached = False
        lost = False
        variance = 0.0
        for _ in range(20 * d + 50):
            variance = -inverse[0, 0]
            growth = 0.0
            for p in range(m):
                growth -= cost[support[p]] * slope[p + 1]
            next_tau = 0.0
            leaving = -1
            entering = -1
            for p in range(m):
                if slope[p + 1] > 0.0:
                    event = min(-inverse[p + 1, 0] / slope[p + 1], tau)
                    if event > next_tau:
                        next_tau = event
                        leaving = p
            for j in range(d):
                if not inside[j]:
                    rate = gradient_slope[j] + cost[j]
                    if rate > 0.0:
                        event = min(-gradient[j] / rate, tau)
                        if event > next_tau:
                            next_tau = event
                            leaving = -1
                            entering = j
            if growth > 0.0 and risk >= variance:
                meeting = np.sqrt((risk - variance) / growth)
                if meeting >= next_tau:
                    tau = min(meeting, tau)
                    reached = True
                    break
            if leaving < 0 and entering < 0:
                tau = 0.0
                break
            tau = next_tau
            if entering >= 0:
                for p in range(m + 1):
                    total = inverse[p, 0]
                    for q in range(m):
                        total += inverse[p, q + 1] * sigma[support[q], entering]
                    column[p] = total
                pivot = sigma[entering, entering] - column[0]
                for q in range(m):
                    pivot -= sigma[support[q], entering] * column[q + 1]
                if pivot <= 1e-13 * largest:
                    lost = True
                    break
                for p in range(m + 1):
                    part = column[p] / pivot
                    for q in range(m + 1):
                        inverse[p, q] += part * column[q]
                    inverse[p, m + 1] = inverse[m + 1, p] = -column[p] / pivot
                inverse[m + 1, m + 1] = 1.0 / pivot
                rate = -cost[entering]
                for q in range(m):
                    rate += column[q + 1] * cost[support[q]]
                weight = -column[0] / pivot
                rate /= pivot
                for p in range(m + 1):
                    column[p] = -column[p]
                column[m + 1] = 1.0
                slope[m + 1] = 0.0
                support[m] = entering
                inside[entering] = True
                m += 1
            else:
                pivot = inverse[leaving + 1, leaving + 1]
                if pivot <= 0.0:
                    lost = True
                    break
                column[: m + 1] = inverse[: m + 1, leaving + 1]
                weight = -inverse[leaving + 1, 0] / pivot
                rate = -slope[leaving + 1] / pivot
                for p in range(m + 1):
                    part = column[p] / pivot
                    for q in range(m + 1):
                        inverse[p, q] -= part * column[q]
            # both gradients move along one direction of the weights
            change[:] = column[0]
            for p in range(m):
                part = column[p + 1]
                line = sigma[support[p]]
                for j in range(d):
                    change[j] += part * line[j]
            for j in range(d):
                gradient[j] += weight * change[j]
                gradient_slope[j] += rate * change[j]
            for p in range(m + 1):
                slope[p] += rate * column[p]
            if entering < 0:
                # the last of the support takes the place of the one that leaves
                inside[support[leaving]] = False
                support[leaving] = support[m - 1]
                p = leaving + 1
                slope[p] = slope[m]
                inverse[p, : m + 1] = inverse[m, : m + 1]
                inverse[: m + 1, p] = inverse[: m + 1, m]
                m -= 1
        if lost or (tau > 0.0 and not reached):
            continue

        # clean the weights, then certify them by the bound of Lagrange duality
        total = 0.0
        for p in range(m):
            w[p] = inverse[p + 1, 0]
            if tau > 0.0:
                w[p] += tau * slope[p + 1]
            w[p] = max(w[p], 0.0)
            total += w[p]
        gradient[:] = 0.0
        for p in range(m):
            w[p] /= total
            line = sigma[support[p]]
            for j in range(d):
                gradient[j] += w[p] * line[j]
        variance = 0.0
        spent = 0.0
        for p in range(m):
            variance += w[p] * gradient[support[p]]
            spent += w[p] * cost[support[p]]
        bound = np.inf
        for j in range(d):
            bound = min(bound, tau * cost[j] + gradient[j])
        rounding = 1e-10 * risk + 1e-14 * largest
        if reached:
            gap = tau * spent - bound + (variance + risk) / 2.0
            if variance > risk + rounding or gap > max(1e-10 * tau, 1e-3 * rounding):
                continue
        else:
            if variance - bound > rounding:
                continue
            if variance > risk + rounding:
                status[row] = _INFEASIBLE
                continue
        for p in range(m):
            if support[p] < decisions.shape[1]:
                decisions[row, support[p]] = w[p]
        status[row] = _OPTIMAL
