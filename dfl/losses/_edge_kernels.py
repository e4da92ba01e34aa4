"""Edges of a polyhedron at a vertex, and hinges on what they cost, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part

# of vectors of length one: what counts as zero, and as independent of others
_ROUNDING = 1e-9
_INDEPENDENT = 1e-6


@kernel
def hinges(lo, hi, prices, at, starts, columns, entries, margin, values, slopes):  # type: ignore[no-untyped-def]
    """Write ``sum over moves of max(-p.move, -margin)`` of rows, and its derivatives.

    Row b has the moves at[b, 0] to at[b, 1]; move e has entries[starts[e] : starts[e + 1]].
    """
    for b in range(lo, hi):
        total = 0.0
        for e in range(at[b, 0], at[b, 1]):
            cost = 0.0
            for k in range(starts[e], starts[e + 1]):
                cost += prices[b, columns[k]] * entries[k]
            if cost >= margin:
                total -= margin
                continue
            total -= cost
            for k in range(starts[e], starts[e + 1]):
                slopes[b, columns[k]] -= entries[k]
        values[b] = total


@kernel
def residual_cycles(decision, tails, heads, n_nodes, limit, starts, columns, signs):  # type: ignore[no-untyped-def]
    """Write the simple cycles of the residual graph of a 0/1 flow, shortest first; return how many.

    Each is what an adjacent vertex differs by. Arcs in use can be left, and count backward. Every
    cycle is found from its lowest node, by a search in depth that looks for one length at a time.
    """
    d = len(decision)
    begin = np.zeros(n_nodes + 2, np.int64)
    for e in range(d):
        if tails[e] >= 0:
            begin[(heads[e] if decision[e] > 0.5 else tails[e]) + 2] += 1
    for v in range(n_nodes):
        begin[v + 2] += begin[v + 1]
    goal = np.empty(d, np.int64)
    label = np.empty(d, np.int64)
    for e in range(d):
        if tails[e] >= 0:
            taken = decision[e] > 0.5
            v = heads[e] if taken else tails[e]
            goal[begin[v + 1]] = tails[e] if taken else heads[e]
            label[begin[v + 1]] = e
            begin[v + 1] += 1
    ahead = _steps_home(begin, goal, n_nodes)
    count = 0
    trail = np.empty(n_nodes + 1, np.int64)
    node = np.empty(n_nodes + 1, np.int64)
    visited = np.zeros(n_nodes, np.bool_)
    starts[0] = 0
    for length in range(1, n_nodes + 1):
        for start in range(n_nodes):
            depth = 0
            node[0] = start
            trail[0] = begin[start]
            while depth >= 0:
                arc = trail[depth]
                if arc == begin[node[depth] + 1]:
                    visited[node[depth]] = False
                    depth -= 1
                    continue
                trail[depth] += 1
                v = goal[arc]
                if v == start and depth + 1 == length:
                    if count == limit:
                        return count
                    place = starts[count]
                    for k in range(length):
                        e = label[trail[k] - 1]
                        columns[place + k] = e
                        signs[place + k] = -1.0 if decision[e] > 0.5 else 1.0
                    count += 1
                    starts[count] = place + length
                elif v > start and not visited[v] and depth + 1 + ahead[start, v] <= length:
                    depth += 1
                    node[depth] = v
                    trail[depth] = begin[v]
                    visited[v] = True
    return count


@part
def _steps_home(begin, goal, n_nodes):  # type: ignore[no-untyped-def]
    """Count the arcs from each node v to each lower one over nodes above that, (start, v)."""
    far = n_nodes + 1
    ahead = np.full((n_nodes, n_nodes), far, np.int32)
    for start in range(n_nodes):
        own = ahead[start]
        own[start] = 0
        changed = True
        while changed:
            changed = False
            for v in range(n_nodes - 1, start, -1):
                for k in range(begin[v], begin[v + 1]):
                    u = goal[k]
                    if u >= start and own[u] + 1 < own[v]:
                        own[v] = own[u] + 1
                        changed = True
    return ahead


@kernel
def independent(normals, order, chosen):  # type: ignore[no-untyped-def]
    """Choose rows of length one, the first in order that are independent; tell how many."""
    r = normals.shape[1]
    span = np.empty((r, r))
    count = 0
    for i in order:
        if count == r:
            break
        rest = normals[i].copy()
        for _ in range(2):  # again, since rounding leaves a little of what is taken off
            rest -= span[:count].T @ (span[:count] @ rest)
        size = np.sqrt(np.sum(rest**2))
        if size > _INDEPENDENT:
            span[count] = rest / size
            chosen[count] = i
            count += 1
    return count


@kernel
def extreme_rays(normals, chosen, most):  # type: ignore[no-untyped-def]
    """Return the extreme rays (k, r) of ``normals @ v <= 0``; k = ``most`` if there are too many.

    Double description: the cone of r independent walls has r rays; every other wall cuts those
    beyond it off, and puts one in between any two that share a face of two dimensions.
    """
    t, r = normals.shape
    words = (t + 63) // 64
    rays = -np.linalg.inv(normals[chosen]).T.copy()
    on = np.zeros((r, words), np.uint64)  # the walls that each ray lies on
    added = np.zeros(t, np.bool_)
    for j in range(r):
        rays[j] /= np.sqrt(np.sum(rays[j] ** 2))
        added[chosen[j]] = True
        for i in range(r):
            if i != j:
                on[i, chosen[j] >> 6] |= np.uint64(1) << np.uint64(chosen[j] & 63)
    for wall in range(t):
        if added[wall]:
            continue
        bit = np.uint64(1) << np.uint64(wall & 63)
        height = rays @ normals[wall]
        n = len(rays)
        kept = 0
        for i in range(n):
            if height[i] <= _ROUNDING:
                kept += 1
                if height[i] >= -_ROUNDING:
                    on[i, wall >> 6] |= bit
        if kept == n:
            continue
        found = np.empty((most, r))
        found_on = np.empty((most, words), np.uint64)
        count = 0
        for i in range(n):
            if height[i] <= _ROUNDING:
                if count == most:
                    return found
                found[count] = rays[i]
                found_on[count] = on[i]
                count += 1
        for i in range(n):
            if height[i] <= _ROUNDING:
                continue
            for j in range(n):
                if height[j] >= -_ROUNDING or not _joined(on, i, j, r):
                    continue
                if count == most:
                    return found
                between = rays[j] * height[i] - rays[i] * height[j]
                found[count] = between / np.sqrt(np.sum(between**2))
                found_on[count] = on[i] & on[j]
                found_on[count, wall >> 6] |= bit
                count += 1
        rays = found[:count].copy()
        on = found_on[:count].copy()
    return rays


@part
def _joined(on, i, j, r):  # type: ignore[no-untyped-def]
    """Tell whether two rays span a face: no third one lies on all the walls that both lie on."""
    words = on.shape[1]
    shared = 0
    for w in range(words):
        both = on[i, w] & on[j, w]
        while both:
            both &= both - np.uint64(1)
            shared += 1
    if shared < r - 2:
        return False
    for k in range(len(on)):
        if k in (i, j):
            continue
        inside = True
        for w in range(words):
            both = on[i, w] & on[j, w]
            if both & on[k, w] != both:
                inside = False
                break
        if inside:
            return False
    return True
