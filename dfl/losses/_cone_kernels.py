"""Projection on cones that are spanned by some of given vectors: Lawson and Hanson's method."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part


@part
def _append(gram, used, count, lower):  # type: ignore[no-untyped-def]
    """Write row ``count`` of the Cholesky factor of the Gram matrix; False if it is singular."""
    for i in range(count + 1):
        value = gram[used[count], used[i]]
        for k in range(i):
            value -= lower[i, k] * lower[count, k]
        if i < count:
            lower[count, i] = value / lower[i, i]
    if value <= 1e-12:
        return False
    lower[count, count] = np.sqrt(value)
    return True


@part
def _remove(place, count, lower):  # type: ignore[no-untyped-def]
    """Take a row out of the factor; rotations of two columns each make it triangular again."""
    for i in range(place, count - 1):
        for k in range(i + 2):
            lower[i, k] = lower[i + 1, k]
    for j in range(place, count - 1):
        length = np.hypot(lower[j, j], lower[j, j + 1])
        cosine, sine = lower[j, j] / length, lower[j, j + 1] / length
        for i in range(j, count - 1):
            left, right = lower[i, j], lower[i, j + 1]
            lower[i, j] = cosine * left + sine * right
            lower[i, j + 1] = cosine * right - sine * left


@part
def _solve(along, used, count, lower, weights):  # type: ignore[no-untyped-def]
    """Least squares weights of the rays in use, by the Cholesky factor."""
    for i in range(count):
        value = along[used[i]]
        for k in range(i):
            value -= lower[i, k] * weights[k]
        weights[i] = value / lower[i, i]
    for i in range(count - 1, -1, -1):
        weights[i] /= lower[i, i]
        for k in range(i):
            weights[k] -= lower[i, k] * weights[i]


@kernel
def project(lo, hi, along, gram, spans, r, found, done):  # type: ignore[no-untyped-def]
    """Find the weights (n, m) of rays that give the projections of points on cones.

    Rays have length one and span r dimensions. ``along`` (n, m) is their products with the points,
    ``gram`` (m, m) those with each other, ``spans`` (n, m) tells which of them span the cone.
    The search starts at the weights that are there: of rays that are independent, or zero. ``done``
    is False where the iterations did not end.
    """
    m = len(gram)
    used = np.empty(r + 1, np.int64)
    lower = np.empty((r + 1, r + 1))
    weights, fitted = np.empty(r + 1), np.empty(r + 1)
    residual = np.empty(m)  # its products with the rays
    barred = np.empty(m, np.bool_)
    for b in range(lo, hi):
        tolerance = 0.0
        for j in range(m):
            barred[j] = not spans[b, j]
            tolerance = max(tolerance, 1e-10 * abs(along[b, j]))
        count = 0
        done[b] = False
        for j in range(m):
            if found[b, j] > 0 and not barred[j] and count < r:
                used[count] = j
                weights[count] = found[b, j]
                if _append(gram, used, count, lower):
                    barred[j] = True
                    count += 1
        begun = count > 0
        for _ in range(10 * m + 10):
            residual[:] = along[b]
            for i in range(count):
                products, weight = gram[used[i]], weights[i]
                for j in range(m):
                    residual[j] -= weight * products[j]
            best, entering = tolerance, -1
            if count < r and not begun:
                for j in range(m):
                    if not barred[j] and residual[j] > best:
                        best, entering = residual[j], j
            if begun:  # what was there is fitted before anything enters
                begun = False
                _solve(along[b], used, count, lower, fitted)
            elif entering < 0:
                done[b] = True
                break
            else:
                used[count] = entering
                weights[count] = 0.0
                barred[entering] = True
                usable = _append(gram, used, count, lower)
                if usable:
                    _solve(along[b], used, count + 1, lower, fitted)
                    usable = fitted[count] > 0
                if not usable:  # rounding alone let it enter: it stays barred
                    continue
                count += 1
            while True:
                share, leaving = 1.0, -1
                for i in range(count):
                    if fitted[i] <= 0:
                        step = weights[i] / (weights[i] - fitted[i])
                        if step < share:
                            share, leaving = step, i
                for i in range(count):
                    weights[i] += share * (fitted[i] - weights[i])
                if leaving < 0:
                    break
                weights[leaving] = 0.0
                for i in range(count - 1, -1, -1):
                    if weights[i] <= 0:
                        barred[used[i]] = False
                        _remove(i, count, lower)
                        count -= 1
                        for k in range(i, count):
                            used[k], weights[k] = used[k + 1], weights[k + 1]
                _solve(along[b], used, count, lower, fitted)
        for j in range(m):
            found[b, j] = 0.0
        for i in range(count):
            found[b, used[i]] = weights[i]
