"""Newsvendor orders with and without a capacity, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array


@kernel
def _steps(reach: float, step: float, inverse: float, shares: Array) -> int:
    """Count the m from 0 to n - 1 with ``step * shares[m] < reach``.

    Equally likely demands have ``shares[m] = m``. The product with ``inverse = 1 / step`` then only
    guesses: that ties count as ties is no matter of its rounding. For other shares it is zero.
    """
    if not reach > 0.0:
        return 0
    n = len(shares) - 1
    if inverse == 0.0:
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if step * shares[middle] < reach:
                low = middle + 1
            else:
                high = middle
        return low
    m = int(min(np.ceil(reach * inverse), float(n)))
    while m > 1 and not step * (m - 1) < reach:
        m -= 1
    while m < n and step * m < reach:
        m += 1
    return m


@kernel
def _known(w: float, m: int, sums: Array, shares: Array, shortage: float, holding: float) -> float:
    """Cost of one item over all scenarios; w meets m of the demands, whose sums are given."""
    n = len(sums) - 1
    left = holding * (shares[m] * w - sums[m])
    return left + shortage * (sums[n] - sums[m] - (shares[n] - shares[m]) * w)


@kernel
def order(
    lo: int,
    hi: int,
    costs: Array,
    demands: Array,
    sums: Array,
    shares: Array,
    shortage: Array,
    holding: Array,
    capacities: Array,
    decisions: Array,
    known: Array,
) -> None:
    """Order quantities, and find what shortage and holding cost on average.

    Demands (1 or n, items, K) are sorted, sums (.., K + 1) those of their first ones, each as often
    as it is likely, and shares (.., 1 or items, K + 1) how many these are of K. With m demands of
    item j met, the next unit gains ``shortage - costs - step * shares[m] / K``.
    """
    d = costs.shape[1]
    K = demands.shape[2]
    step = np.empty(d)
    inverse = np.empty(d)
    margin = np.empty(d)
    sure = np.empty(d, np.int64)  # steps that gain more than the upper end of the price
    possible = np.empty(d, np.int64)  # and than the lower end
    trial = np.empty(d, np.int64)
    gain = np.empty(d)
    for j in range(d):
        step[j] = shortage[j] + holding[j]
        inverse[j] = 1.0 / step[j] if step[j] > 0.0 else np.inf
    equal = len(shares) == 1 and shares.shape[1] == 1
    if equal:  # or the weights of the only item of the only instance
        for m in range(K + 1):
            equal = equal and shares[0, 0, m] == m
    if not equal:
        inverse[:] = 0.0
    for row in range(lo, hi):
        shared = min(row, len(demands) - 1)
        demand = demands[shared]
        share = shares[min(row, len(shares) - 1)]
        w = decisions[row]
        total = 0.0
        for j in range(d):
            margin[j] = shortage[j] - costs[row, j]
            m = _steps(margin[j] * K, step[j], inverse[j], share[min(j, len(share) - 1)])
            w[j] = demand[j, m - 1] if m > 0 else 0.0
            total += w[j]
            possible[j] = m
        if total > capacities[row]:
            _bracket(margin, step, inverse, demand, share, capacities[row], sure, possible, trial)
            # each item has one step left, or steps that gain the same: the best ones first
            room = capacities[row]
            for j in range(d):
                w[j] = demand[j, sure[j] - 1] if sure[j] > 0 else 0.0
                room -= w[j]
                gain[j] = np.inf  # sorted by minus the gain
                if possible[j] > sure[j]:
                    met = share[min(j, len(share) - 1), sure[j]]
                    gain[j] = step[j] * met / K - margin[j]
            for j in np.argsort(gain, kind="mergesort"):
                if gain[j] == np.inf or room <= 0.0:
                    break
                most = demand[j, possible[j] - 1]
                if most - w[j] <= room:
                    room -= most - w[j]
                    w[j] = most
                    sure[j] = possible[j]
                else:
                    w[j] += room
                    room = 0.0
                    while demand[j, sure[j]] < w[j]:
                        sure[j] += 1
            possible[:] = sure
        total = 0.0
        for j in range(d):
            own = share[min(j, len(share) - 1)]
            total += _known(w[j], possible[j], sums[shared, j], own, shortage[j], holding[j])
        known[row] = total / K


@kernel
def _bracket(
    margin: Array,
    step: Array,
    inverse: Array,
    demand: Array,
    share: Array,
    capacity: float,
    sure: Array,
    possible: Array,
    trial: Array,
) -> None:
    """Bisect the price of capacity until no item has two steps of different gain left."""
    d, K = demand.shape
    low = 0.0
    high = 0.0
    for j in range(d):
        high = max(high, margin[j])
        sure[j] = 0
    while True:
        price = low + (high - low) / 2.0
        if not low < price < high:
            return
        total = 0.0
        for j in range(d):
            m = sure[j]
            if possible[j] > m:
                own = share[min(j, len(share) - 1)]
                m = _steps((margin[j] - price) * K, step[j], inverse[j], own)
            if m > 0:
                total += demand[j, m - 1]
            trial[j] = m
        if total <= capacity:
            high = price
            sure[:] = trial
        else:
            low = price
            possible[:] = trial
        open_steps = 0
        for j in range(d):
            open_steps = max(open_steps, possible[j] - sure[j])
        if open_steps <= 1:
            return


@kernel
def expected_costs(
    lo: int,
    hi: int,
    decisions: Array,
    demands: Array,
    sums: Array,
    shares: Array,
    shortage: Array,
    holding: Array,
    known: Array,
) -> None:
    """Find what shortage and holding cost on average for any decisions."""
    d = decisions.shape[1]
    K = demands.shape[2]
    for row in range(lo, hi):
        shared = min(row, len(demands) - 1)
        total = 0.0
        for j in range(d):
            w = decisions[row, j]
            low, high = 0, K
            while low < high:
                middle = (low + high) // 2
                if demands[shared, j, middle] <= w:
                    low = middle + 1
                else:
                    high = middle
            own = shares[min(row, len(shares) - 1), min(j, shares.shape[1] - 1)]
            total += _known(w, low, sums[shared, j], own, shortage[j], holding[j])
        known[row] = total / K
