"""Compiled loops of trees: walking down, and the mean costs of both sides of every candidate."""

from __future__ import annotations

from dfl_solvers.kernels import kernel, part


@part
def _leaf(x, node, feature, threshold, left, right):  # type: ignore[no-untyped-def]
    while feature[node] >= 0:
        node = left[node] if x[feature[node]] <= threshold[node] else right[node]
    return node


@kernel
def apply(  # type: ignore[no-untyped-def]
    lo, hi, X, roots, feature, threshold, left, right, leaves
):
    """Leaves (n, k) of rows (n, p) in k trees."""
    for i in range(lo, hi):
        for t in range(len(roots)):
            leaves[i, t] = _leaf(X[i], roots[t], feature, threshold, left, right)


@kernel
def add(  # type: ignore[no-untyped-def]
    lo, hi, X, roots, feature, threshold, left, right, values, predicted
):
    """Add to predictions (n, d) the values of all trees."""
    for i in range(lo, hi):
        out = predicted[i]
        for t in range(len(roots)):
            value = values[_leaf(X[i], roots[t], feature, threshold, left, right)]
            for j in range(len(out)):
                out[j] += value[j]


@kernel
def partition(lo, hi, rows, place, ahead, found):  # type: ignore[no-untyped-def]
    """Sort rows (p, n) by their place, from where ``ahead`` (p, n_places + 1) says."""
    for f in range(lo, hi):
        for i in range(rows.shape[1]):
            at = place[rows[f, i]]
            if at >= 0:
                found[f, ahead[f, at]] = rows[f, i]
                ahead[f, at] += 1


@kernel
def children(  # type: ignore[no-untyped-def]
    lo, hi, costs, weights, rows, begin, end, first, cuts, means, total
):
    """Mean costs and weights of both sides of every candidate, one pass a side.

    Job k is a node and a feature: ``rows[begin[k]:end[k]]`` are its rows, sorted by the feature,
    and ``cuts[first[k]:first[k + 1]]`` the places in ``rows`` after which it may be cut. Left sides
    go to the first half of ``means`` and ``total``, right sides to the second. Sums run from both
    ends, since what is left of a total after subtraction is not exact.
    """
    n_cuts, d = len(cuts), costs.shape[1]
    for k in range(lo, hi):
        if first[k] == first[k + 1]:
            continue
        for side in range(2):
            at, stop, step = begin[k], end[k], 1
            place, last = first[k], first[k + 1]
            if side == 1:
                at, stop, step = end[k] - 1, begin[k] - 1, -1
                place, last = first[k + 1] - 1, first[k] - 1
            # the sum is kept where its next mean will be
            out = side * n_cuts + place
            for j in range(d):
                means[out, j] = 0.0
            weight = 0.0
            while at != stop and place != last:
                row = rows[at]
                w = weights[row]
                weight += w
                for j in range(d):
                    means[out, j] += w * costs[row, j]
                cut = at == cuts[place]
                if side == 1:
                    cut = at == cuts[place] + 1
                if cut:
                    following = place + step
                    if following != last:
                        for j in range(d):
                            means[out + step, j] = means[out, j]
                    for j in range(d):
                        means[out, j] /= weight
                    total[out] = weight
                    place = following
                    out += step
                at += step
