"""Good tours fast, compiled: nearest neighbor, then 2-opt and Or-opt moves."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import part

# longest part of a tour that an Or-opt move carries elsewhere
_SEGMENT = 3


@part
def nearest_neighbor(costs, pi, tour):  # type: ignore[no-untyped-def]
    """Write a tour from node 0 that always goes on to the cheapest node left, with potentials."""
    n = len(tour)
    for p in range(n):
        tour[p] = p
    for p in range(n - 1):
        row = costs[tour[p]]
        least = np.inf
        at = p + 1
        for q in range(p + 1, n):
            j = tour[q]
            if row[j] + pi[j] < least:
                least = row[j] + pi[j]
                at = q
        j = tour[at]
        tour[at] = tour[p + 1]
        tour[p + 1] = j


@part
def improve(costs, tour, spare, tolerance):  # type: ignore[no-untyped-def]
    """Apply 2-opt and Or-opt moves while one gains more than ``tolerance``."""
    improved = True
    while improved:
        improved = _two_opt(costs, tour, tolerance)
        improved = _or_opt(costs, tour, spare, tolerance) or improved


@part
def tour_length(costs, tour):  # type: ignore[no-untyped-def]
    """Return the sum of the costs along a tour."""
    total = 0.0
    for p in range(len(tour)):
        total += costs[tour[p - 1], tour[p]]
    return total


@part
def _two_opt(costs, tour, tolerance):  # type: ignore[no-untyped-def]
    """Reverse parts of the tour as long as that pays; return whether one was."""
    n = len(tour)
    improved = False
    for p in range(n - 2):
        a = tour[p]
        b = tour[p + 1]
        near = costs[a]
        far = costs[b]
        held = costs[a, b] - tolerance
        c = tour[p + 2]
        for q in range(p + 2, n if p > 0 else n - 1):
            d = tour[q + 1 if q + 1 < n else 0]
            if near[c] + far[d] < held + costs[c, d]:
                low = p + 1
                high = q
                while low < high:
                    tour[low], tour[high] = tour[high], tour[low]
                    low += 1
                    high -= 1
                b = tour[p + 1]
                far = costs[b]
                held = costs[a, b] - tolerance
                improved = True
            c = d
    return improved


@part
def _or_opt(costs, tour, spare, tolerance):  # type: ignore[no-untyped-def]
    """Carry short parts of the tour to the best place elsewhere; return whether one was."""
    n = len(tour)
    improved = False
    for size in range(1, min(_SEGMENT, n - 3) + 1):
        for p in range(n):
            # the part runs from s to e, between a and z
            a = tour[p - 1 if p > 0 else n - 1]
            s = tour[p]
            e = tour[p + size - 1 - (n if p + size - 1 >= n else 0)]
            q = p + size - (n if p + size >= n else 0)
            z = tour[q]
            gain = costs[a, s] + costs[e, z] - costs[a, z] - tolerance
            from_s = costs[s]
            from_e = costs[e]
            at = -1
            flip = False
            u = z
            for k in range(n - size - 1):
                q += 1
                if q == n:
                    q = 0
                v = tour[q]
                held = costs[u, v]
                if from_s[u] + from_e[v] - held < gain:
                    gain = from_s[u] + from_e[v] - held
                    at = k
                    flip = False
                if from_e[u] + from_s[v] - held < gain:
                    gain = from_e[u] + from_s[v] - held
                    at = k
                    flip = True
                u = v
            if at < 0:
                continue
            improved = True
            # rewrite the tour: what follows the part up to its new place, the part, the rest
            place = 0
            for k in range(n - size):
                spare[place] = tour[(p + size + k) % n]
                place += 1
                if k == at:
                    for i in range(size):
                        spare[place] = tour[(p + (size - 1 - i if flip else i)) % n]
                        place += 1
            for k in range(n):
                tour[(p + k) % n] = spare[k]
    return improved
