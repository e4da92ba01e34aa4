"""The walk down the efficient frontier, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE, _FAILED = int(Status.OPTIMAL), int(Status.INFEASIBLE), int(Status.FAILED)


@kernel
def walk_frontier(
    lo: int,
    hi: int,
    costs: Array,
    covariances: Array,
    bounds: Array,
    by_risk: bool,
    decisions: Array,
    status: Array,
) -> None:
    """Follow argmin tau c.w + w'Sw/2 down from tau = infinity to a bound.

    With ``by_risk``, until the variance is the bound; otherwise, until tau is.
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
        risk = bounds[row]
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
        last = 0.0  # where tau stops, in units of the scaled costs
        if not by_risk and n_least < d:
            last = bounds[row] * span
        if by_risk and sigma[start, start] <= risk:
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
            if not by_risk:
                if last >= next_tau:
                    tau = last
                    reached = True
                    break
            elif growth > 0.0 and risk >= variance:
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
                column[: m + 1] = inverse[0, : m + 1]
                for q in range(m):
                    # row by row of the symmetric inverse, so that the lanes of vectors fill
                    part = sigma[support[q], entering]
                    line = inverse[q + 1]
                    for p in range(m + 1):
                        column[p] += part * line[p]
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

        for p in range(m):
            w[p] = inverse[p + 1, 0]
            if tau > 0.0:
                w[p] += tau * slope[p + 1]
        held = support[:m]
        status[row] = _certify(
            sigma, cost, held, inverse, slope, tau, reached, by_risk, risk, largest, w, gradient
        )
        if status[row] == _OPTIMAL:
            for p in range(m):
                if support[p] < decisions.shape[1]:
                    decisions[row, support[p]] = w[p]


@kernel
def _certify(
    sigma: Array,
    cost: Array,
    support: Array,
    inverse: Array,
    slope: Array,
    tau: float,
    reached: bool,
    by_risk: bool,
    risk: float,
    largest: float,
    w: Array,
    gradient: Array,
) -> int:
    """Clean the weights w of the support and judge them by the bound of Lagrange duality.

    Where the covariance is close to singular, the inverse has lost digits on the walk, which steps
    of iterative refinement bring back.
    """
    m = len(support)
    for _ in range(5):
        total = 0.0
        for p in range(m):
            w[p] = max(w[p], 0.0)
            total += w[p]
        gradient[:] = 0.0
        for p in range(m):
            w[p] /= total
            line = sigma[support[p]]
            for j in range(len(cost)):
                gradient[j] += w[p] * line[j]
        variance = 0.0
        spent = 0.0
        for p in range(m):
            variance += w[p] * gradient[support[p]]
            spent += w[p] * cost[support[p]]
        bound = np.inf
        for j in range(len(cost)):
            bound = min(bound, tau * cost[j] + gradient[j])
        if not by_risk:
            risk = variance
        rounding = 1e-10 * risk + 1e-14 * largest
        if reached:
            gap = tau * spent - bound + (variance + risk) / 2.0
            share = 1e-3 if by_risk else 1.0
            if variance <= risk + rounding and gap <= max(1e-10 * tau, share * rounding):
                return _OPTIMAL
        elif variance - bound <= rounding:
            return _OPTIMAL if variance <= risk + rounding else _INFEASIBLE
        moved = 0.0
        for p in range(m):
            change = 0.0
            for q in range(m):
                j = support[q]
                change -= inverse[p + 1, q + 1] * (tau * cost[j] + gradient[j])
            w[p] += change
            moved += change * gradient[support[p]]
        if reached and by_risk:
            rate = 0.0
            for p in range(m):
                rate += slope[p + 1] * gradient[support[p]]
            if rate > 0.0:
                change = (risk - variance - 2.0 * moved) / (2.0 * rate)
                tau = max(tau + change, 0.0)
                for p in range(m):
                    w[p] += change * slope[p + 1]
    return _FAILED
