"""Knapsacks with one capacity: branch and bound, then lists of undominated states; compiled."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from dfl_solvers.kernels import kernel, part
from dfl_solvers.oracle import Array, Status
from dfl_solvers.problems._knapsack_items import (
    ROUNDING,
    cut_of,
    select,
    step_of,
    surrogate_search,
)

# loads, values, and the last change that led to each state
States: TypeAlias = tuple[Array, Array, Array]
# items changed, and for each change the one before it, -1 at the first
Chain: TypeAlias = tuple[Array, Array]

# compiled code takes plain numbers
_OPTIMAL, _FEASIBLE = int(Status.OPTIMAL), int(Status.FEASIBLE)
# how far below its bound a decision may lie once states had to be dropped
_GAP = 1e-9
# sums of the same items in another order differ by less, relatively
_NOISE = 1e-15


@part
def _whole(load: Array, k: int, unit: float) -> tuple[float, float]:
    """Return the factor that makes all loads integers, and the capacity then; 0 if there is none.

    ``unit`` is the capacity, of which the loads are fractions.
    """
    scale = 1.0
    for _ in range(7):
        whole = True
        for p in range(k):
            scaled = load[p] * unit * scale
            if abs(scaled - np.rint(scaled)) > 1e-12 * scaled or scaled > 1e12:
                whole = False
                break
        if whole:
            return unit * scale, np.floor(unit * scale * (1.0 + ROUNDING))
        scale *= 10.0
    return 0.0, 0.0


@part
def _bound(value: float, left: float, gain: float, loss: float) -> float:
    """Bound a state: what is left is filled at rate ``gain``, what exceeds costs ``loss``."""
    if left >= 0.0:
        return value + (left * gain if gain > 0.0 else 0.0)
    # with loss infinite nothing is left to be taken out
    return value + left * loss


@part
def _grown(array: Array, size: int) -> Array:
    """Return the array, copied into one twice as long if it is shorter than ``size``."""
    if len(array) >= size:
        return array
    longer = np.empty(2 * size, array.dtype)
    longer[: len(array)] = array
    return longer


@part
def _thin(
    loads: Array, values: Array, last: Array, size: int, most: int, capacity: float, gain: float,
    loss: float,
) -> tuple[int, float]:  # fmt: skip
    """Keep the ``most`` states of largest bound; return how many, and the best bound lost."""
    bounds = np.empty(size)
    for a in range(size):
        bounds[a] = _bound(values[a], capacity - loads[a], gain, loss)
    threshold, high = -np.inf, -np.inf
    for a in range(size):
        high = max(high, bounds[a])
        threshold = bounds[a] if a == 0 else min(threshold, bounds[a])
    for _ in range(50):
        middle = 0.5 * (threshold + high)
        count = 0
        for a in range(size):
            if bounds[a] >= middle:
                count += 1
        if count >= most:
            threshold = middle
        else:
            high = middle
    count = 0
    lost = 0.0
    for a in range(size):
        if bounds[a] >= threshold and count < most:
            loads[count], values[count], last[count] = loads[a], values[a], last[a]
            count += 1
        else:
            lost = max(lost, bounds[a])
    return count, lost


@part
def _merge(
    states: States, size: int, spare: States, chain: Chain, n_changes: int, item: int, move: float,
    worth: float, capacity: float, gain: float, loss: float, cut: float,
) -> tuple[States, Chain, int, int, int]:  # fmt: skip
    """Merge states as they are with states changed by an item; drop the beaten and the bounded.

    Return the new list, the chain of changes, their lengths, and the best state that fits, -1 if
    none. Loads and values both rise along a list.
    """
    loads, values, last = states
    to_loads, to_values, to_last = spare
    to_loads = _grown(to_loads, 2 * size)
    to_values = _grown(to_values, 2 * size)
    to_last = _grown(to_last, 2 * size)
    changed, before = chain
    changed = _grown(changed, n_changes + size)
    before = _grown(before, n_changes + size)
    count = 0
    fits = -1
    a = b = 0
    top = -np.inf
    while b < size or a < size:
        plain = a < size and (
            b >= size
            or loads[a] < loads[b] + move
            or (loads[a] == loads[b] + move and values[a] >= values[b] + worth)
        )
        if plain:
            load, value, source = loads[a], values[a], last[a]
            a += 1
        else:
            load, value, source = loads[b] + move, values[b] + worth, last[b]
            b += 1
        if value <= top + abs(top) * _NOISE or _bound(value, capacity - load, gain, loss) <= cut:
            continue
        top = value
        if not plain:
            changed[n_changes], before[n_changes] = item, source
            source = n_changes
            n_changes += 1
        to_loads[count], to_values[count], to_last[count] = load, value, source
        if load <= capacity:
            fits = count
        count += 1
    return (to_loads, to_values, to_last), (changed, before), count, n_changes, fits


@part
def _empty() -> States:
    """Return a short list to be grown."""
    return np.empty(64), np.empty(64), np.empty(64, np.int64)


@part
def _meet(
    states: States, size: int, chain: Chain, n_changes: int, value: Array, load: Array, low: int,
    high: int, k: int, capacity: float, found: float, most: int,
) -> tuple[bool, float, int, int, Chain]:  # fmt: skip
    """Join each state with the best of all changes of the items outside low and high.

    Return whether all of them were in the list, the best value, and the two ends of its chains
    (-2: none is better than ``found``).
    """
    others, spare = _empty(), _empty()
    others[0][0], others[1][0], others[2][0] = 0.0, 0.0, -1
    count = 1
    while (low >= 0 or high < k) and count <= most:
        item = high if high < k else low
        sign = 1.0 if high < k else -1.0
        high, low = (high + 1, low) if high < k else (high, low - 1)
        result, chain, grown, n_changes, _ = _merge(
            others, count, spare, chain, n_changes, item, sign * load[item], sign * value[item],
            np.inf, 0.0, 0.0, -np.inf,
        )  # fmt: skip
        others, spare, count = result, others, grown
    loads, values, last = states
    q = count - 1
    one = two = -2
    for a in range(size):
        while q >= 0 and loads[a] + others[0][q] > capacity:
            q -= 1
        if q < 0:
            break
        if values[a] + others[1][q] > found:
            found = values[a] + others[1][q]
            one, two = last[a], others[2][q]
    return low < 0 and high >= k, found, one, two, chain


@part
def state_lists(
    value: Array, load: Array, k: int, capacity: float, step: float, found: float, best: Array,
    most: int,
) -> bool:  # fmt: skip
    """Improve on ``best`` by dynamic programming; return whether it is then optimal.

    Items come by falling value for the load. From the decision that takes all before the first
    that no longer fits, items are added and taken out in turn, from there outward; kept are the
    states that no other beats in both load and value and whose bound is above the best found.
    Where more than ``most`` are left, they are joined with those of all other items; where these
    are too many as well, the least promising go, and their bound is remembered.
    """
    states, spare = _empty(), _empty()
    split = 0
    weight = 0.0
    total = 0.0
    while split < k and weight + load[split] <= capacity:
        weight += load[split]
        total += value[split]
        split += 1
    states[0][0], states[1][0], states[2][0] = weight, total, -1
    size = 1
    # a state's last change, each change with the one before it
    chain = np.empty(256, np.int64), np.empty(256, np.int64)
    n_changes = 0
    one = two = -2
    if total > found:
        found, one, two = total, -1, -1
    cut = cut_of(found, step)
    dropped = 0.0
    low, high = split - 1, split
    adding = True
    while size > 0 and (low >= 0 or high < k):
        adding = high < k and (adding or low < 0)
        item = high if adding else low
        sign = 1.0 if adding else -1.0
        high, low = (high + 1, low) if adding else (high, low - 1)
        gain = value[high] / load[high] if high < k else 0.0
        loss = value[low] / load[low] if low >= 0 and load[low] > 0.0 else np.inf
        result, chain, count, n_changes, fits = _merge(
            states, size, spare, chain, n_changes, item, sign * load[item], sign * value[item],
            capacity, gain, loss, cut,
        )  # fmt: skip
        states, spare, size = result, states, count
        adding = not adding
        if fits >= 0 and states[1][fits] > found:
            found, one, two = states[1][fits], states[2][fits], -1
        if size > most and dropped == 0.0:
            done, got, first, second, chain = _meet(
                states, size, chain, n_changes, value, load, low, high, k, capacity, found, most
            )
            if got > found:
                found, one, two = got, first, second
            if done:
                break
            # what the joint lists hold stays in the chain
            n_changes = len(chain[0])
        if size > most:
            size, lost = _thin(*states, size, most // 2, capacity, gain, loss)
            dropped = max(dropped, lost)
        cut = found * (1.0 + _GAP) if dropped > 0.0 else cut_of(found, step)
    if one > -2:
        for p in range(k):
            best[p] = p < split
        for end in (one, two):
            while end >= 0:
                best[chain[0][end]] = not best[chain[0][end]]
                end = chain[1][end]
    return found >= dropped * (1.0 - _GAP)


@kernel
def search_one(
    lo: int, hi: int, costs: Array, weights: Array, capacities: Array, limit: int, most: int,
    decisions: Array, status: Array,
) -> None:  # fmt: skip
    """Solve instances lo to hi - 1: a search of ``limit`` nodes, then lists of ``most`` states."""
    n = costs.shape[1]
    items = np.empty(n, np.int64)
    value = np.empty(n)
    ratio = np.empty(n)
    load = np.empty((n, 1))
    total = np.empty(n)
    free = np.empty(1)
    taken = np.empty(n, np.bool_)
    best = np.empty(n, np.bool_)
    for b in range(lo, hi):
        w = weights[b if weights.shape[0] > 1 else 0]
        cap = capacities[b if capacities.shape[0] > 1 else 0]
        k = select(costs[b], w, cap, items, value, load, total, ratio)
        step = step_of(value, k)
        free[0] = 1.0 + ROUNDING
        best[:k] = False
        done, found = surrogate_search(
            value, load, total, k, free[0], free, 0.0, 0.0, step, limit, taken, best
        )
        if not done:
            capacity = 1.0 + ROUNDING
            scale, whole = _whole(total, k, cap[0])
            if scale > 0.0:
                # integers add up without rounding: far fewer different sums
                capacity = whole
                for p in range(k):
                    total[p] = np.rint(total[p] * scale)
            done = state_lists(value, total, k, capacity, step, found, best, most)
        status[b] = _OPTIMAL if done else _FEASIBLE
        for p in range(k):
            if best[p]:
                decisions[b, items[p]] = 1.0
