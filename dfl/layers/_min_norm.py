"""Minimize ``c.w + rho |w|^2 / 2`` over the hull of vertices that come one by one, compiled.

The minimizer is the point of the hull nearest to ``-c / rho``. Wolfe's method holds affinely
independent vertices of which it is a combination with positive weights. A new vertex enters; the
nearest point of the affine hull of all is found; where its weights are not positive, the vertices
that bind leave, and so on. Only inner products enter: ``gram`` of the vertices, ``linear`` of a
vertex with ``c / rho``, and a Cholesky factor of the Gram matrix of the differences from the first.
"""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part

# relative to its own length, how far a new vertex must be from the affine hull of the others
_INDEPENDENT = 1e-12
# weights below this are zero
_NOTHING = 1e-13
# relative progress at which a step is nothing but rounding
_PROGRESS = 1e-15


@part
def _difference(gram, j, k):  # type: ignore[no-untyped-def]
    """Inner product of the differences of vertices j and k from vertex 0."""
    return gram[j, k] - gram[j, 0] - gram[0, k] + gram[0, 0]


@part
def _extend(gram, factor, j):  # type: ignore[no-untyped-def]
    """Factor row j - 1, that of vertex j; return False if it depends on those before."""
    length = _difference(gram, j, j)
    rest = length
    for k in range(1, j):
        value = _difference(gram, j, k)
        for i in range(k - 1):
            value -= factor[j - 1, i] * factor[k - 1, i]
        value /= factor[k - 1, k - 1]
        factor[j - 1, k - 1] = value
        rest -= value * value
    if rest <= _INDEPENDENT * length:
        return False
    factor[j - 1, j - 1] = np.sqrt(rest)
    return True


@part
def _solve(factor, size, values):  # type: ignore[no-untyped-def]
    """Solve the factored system of a size, in place."""
    for k in range(size):
        for i in range(k):
            values[k] -= factor[k, i] * values[i]
        values[k] /= factor[k, k]
    for k in range(size - 1, -1, -1):
        for i in range(k + 1, size):
            values[k] -= factor[i, k] * values[i]
        values[k] /= factor[k, k]


@part
def _drop(vertices, weights, gram, linear, factor, count, out):  # type: ignore[no-untyped-def]
    """Take out a vertex; return how many stay."""
    for j in range(out, count - 1):
        vertices[j] = vertices[j + 1]
        weights[j] = weights[j + 1]
        linear[j] = linear[j + 1]
        for k in range(count):
            gram[j, k] = gram[j + 1, k]
    for j in range(out, count - 1):
        for k in range(count):
            gram[k, j] = gram[k, j + 1]
    # rows of the factor before that of the vertex stay as they are
    for j in range(max(out, 1), count - 1):
        _extend(gram, factor, j)
    return count - 1


@part
def _admit(found, target, vertices, weights, gram, linear, factor, count, wanted):  # type: ignore[no-untyped-def]
    """Let a vertex into a hull of ``count``; return how many are left, or -1 if it is not new."""
    m = count
    vertices[m] = found
    weights[m] = 0.0
    linear[m] = np.dot(vertices[m], target)
    for j in range(m + 1):
        gram[m, j] = gram[j, m] = np.dot(vertices[m], vertices[j])
    if m and not _extend(gram, factor, m):
        return -1
    m += 1
    while True:
        for j in range(1, m):
            wanted[j - 1] = gram[0, 0] - gram[j, 0] + linear[0] - linear[j]
        _solve(factor, m - 1, wanted)
        first = 1.0
        for j in range(m - 1):
            first -= wanted[j]
        for j in range(m - 1, 0, -1):
            wanted[j] = wanted[j - 1]
        wanted[0] = first
        step, binding = 1.0, -1
        for j in range(m):
            if wanted[j] < 0 and weights[j] < step * (weights[j] - wanted[j]):
                step, binding = weights[j] / (weights[j] - wanted[j]), j
        for j in range(m):
            weights[j] += step * (wanted[j] - weights[j])
        if binding < 0:
            break
        # one at a time: the new vertex has no weight either if the step is zero
        m = _drop(vertices, weights, gram, linear, factor, m, binding)
    for j in range(m - 1, -1, -1):
        if weights[j] <= _NOTHING:
            m = _drop(vertices, weights, gram, linear, factor, m, j)
    return m


@kernel
def advance(  # type: ignore[no-untyped-def]
    lo,
    hi,
    rows,
    found,
    costs,
    strength,
    tolerance,
    target,
    vertices,
    weights,
    gram,
    linear,
    factor,
    counts,
    points,
    gradients,
    worth,
    moved,
):
    """Take a step of instance ``rows[t]`` with the vertex ``found[t]``, for t from lo to hi - 1.

    ``target`` is ``costs / strength``. ``moved[t]`` says whether there was any to take: the vertex
    was better than the point by more than the tolerance, new, and made the objective less.
    """
    d = points.shape[1]
    wanted = np.empty(vertices.shape[1])
    for t in range(lo, hi):
        i = rows[t]
        gap, size = 0.0, 0.0
        for j in range(d):
            away = points[i, j] - found[t, j]
            gap += gradients[i, j] * away
            size += (abs(costs[i, j]) + strength * abs(points[i, j])) * abs(away)
        moved[t] = False
        if counts[i] and not gap > tolerance * size:
            continue
        m = _admit(
            found[t],
            target[i],
            vertices[i],
            weights[i],
            gram[i],
            linear[i],
            factor[i],
            counts[i],
            wanted,
        )
        if m < 0:
            continue
        counts[i] = m
        share, square = 0.0, 0.0
        for j in range(d):
            value = 0.0
            for k in range(m):
                value += weights[i, k] * vertices[i, k, j]
            points[i, j] = value
            gradients[i, j] = costs[i, j] + strength * value
            share += costs[i, j] * value
            square += value * value
        objective = share + strength / 2 * square
        # where boundaries are curved, vertices come near each other without end
        moved[t] = worth[i] - objective > _PROGRESS * (abs(share) + strength * square)
        worth[i] = objective


@kernel
def project(lo, hi, vertices, factor, counts, incoming, projected):  # type: ignore[no-untyped-def]
    """Project vectors (n, d) on the span of the differences of the vertices of each instance."""
    width, d = vertices.shape[1], vertices.shape[2]
    loads = np.empty(width)
    for i in range(lo, hi):
        m = counts[i]
        for k in range(1, m):
            loads[k - 1] = 0.0
            for j in range(d):
                loads[k - 1] += (vertices[i, k, j] - vertices[i, 0, j]) * incoming[i, j]
        _solve(factor[i], m - 1, loads)
        for j in range(d):
            projected[i, j] = 0.0
        for k in range(1, m):
            for j in range(d):
                projected[i, j] += loads[k - 1] * (vertices[i, k, j] - vertices[i, 0, j])
