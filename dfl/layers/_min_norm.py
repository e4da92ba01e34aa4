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


@kernel
def admit(  # type: ignore[no-untyped-def]
    lo, hi, rows, found, target, vertices, weights, gram, linear, factor, counts, points, moved
):
    """Let vertex ``found[t]`` into instance ``rows[t]``, for t from lo to hi - 1.

    ``target`` is ``c / rho``; ``moved[t]`` says whether the vertex was new.
    """
    width, d = vertices.shape[1], vertices.shape[2]
    wanted = np.empty(width)
    for t in range(lo, hi):
        i = rows[t]
        m = counts[i]
        own, load, inner, share = vertices[i], weights[i], gram[i], linear[i]
        own[m] = found[t]
        load[m] = 0.0
        share[m] = np.dot(own[m], target[i])
        for j in range(m + 1):
            inner[m, j] = inner[j, m] = np.dot(own[m], own[j])
        moved[t] = m == 0 or _extend(inner, factor[i], m)
        if not moved[t]:
            continue
        m += 1
        while True:
            for j in range(1, m):
                wanted[j - 1] = inner[0, 0] - inner[j, 0] + share[0] - share[j]
            _solve(factor[i], m - 1, wanted)
            first = 1.0
            for j in range(m - 1):
                first -= wanted[j]
            for j in range(m - 1, 0, -1):
                wanted[j] = wanted[j - 1]
            wanted[0] = first
            step, binding = 1.0, -1
            for j in range(m):
                if wanted[j] < 0 and load[j] < step * (load[j] - wanted[j]):
                    step, binding = load[j] / (load[j] - wanted[j]), j
            for j in range(m):
                load[j] += step * (wanted[j] - load[j])
            if binding < 0:
                break
            # one at a time: the new vertex has no weight either if the step is zero
            m = _drop(own, load, inner, share, factor[i], m, binding)
        for j in range(m - 1, -1, -1):
            if load[j] <= _NOTHING:
                m = _drop(own, load, inner, share, factor[i], m, j)
        counts[i] = m
        for j in range(d):
            points[i, j] = 0.0
        for k in range(m):
            for j in range(d):
                points[i, j] += load[k] * own[k, j]


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
