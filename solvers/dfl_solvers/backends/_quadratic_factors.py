"""Factors of the KKT matrix of a quadratic program, as constraints enter and leave; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array

# smallest pivot of a positive definite matrix, relative to its diagonal entry
_PIVOT = 1e-13
# largest part of a normal outside the span of others that passes for rounding
DEPENDENT = 1e-10


class Factors(NamedTuple):
    """For Q and the normals N of q held constraints: ``T Q T' = I`` and ``T N = [R; 0]``.

    T has the inverse of the Cholesky factor of Q, times a rotation; R is upper triangular. Both
    give solutions of the KKT matrix [[Q, N], [N', 0]] in O(k^2), and are updated in O(k^2).
    """

    T: Array  # (k, k)
    R: Array  # (k, k), transposed: row j belongs to the held constraint j
    held: Array  # (k,) which constraints


@kernel
def factor(Q: Array, S: Array, U: Array, T: Array) -> bool:
    """Write the symmetric part S of Q and the inverse T of its Cholesky factor.

    U is scratch. False where Q is not positive definite.
    """
    k = len(Q)
    for i in range(k):
        for j in range(k):
            S[i, j] = 0.5 * (Q[i, j] + Q[j, i])
            U[i, j] = S[i, j]
            T[i, j] = 0.0
        T[i, i] = 1.0
    for j in range(k):
        pivot = U[j, j]
        # also where it is NaN
        if not _PIVOT * S[j, j] < pivot < np.inf:
            return False
        # the same steps turn Q into U and the identity into T
        root = 1.0 / np.sqrt(pivot)
        upper, lower = U[j], T[j]
        for c in range(j, k):
            upper[c] *= root
        for c in range(j + 1):
            lower[c] *= root
        for i in range(j + 1, k):
            part = upper[i]
            if part != 0.0:
                below, left = U[i], T[i]
                for c in range(i, k):
                    below[c] -= part * upper[c]
                for c in range(j + 1):
                    left[c] -= part * lower[c]
    return True


@kernel
def rotate(T: Array, x: Array, first: int, last: int, y: Array) -> None:
    """Write ``y = T x`` where only x[first:last] is not zero."""
    k = len(T)
    full = k - k % 4
    for i in range(0, full, 4):
        # four sums at a time: one alone waits for its last addition
        t0, t1, t2, t3 = T[i], T[i + 1], T[i + 2], T[i + 3]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(first, last):
            a = x[j]
            s0 += t0[j] * a
            s1 += t1[j] * a
            s2 += t2[j] * a
            s3 += t3[j] * a
        y[i], y[i + 1], y[i + 2], y[i + 3] = s0, s1, s2, s3
    for i in range(full, k):
        t0 = T[i]
        s0 = 0.0
        for j in range(first, last):
            s0 += t0[j] * x[j]
        y[i] = s0


@kernel
def combine(T: Array, weights: Array, first: int, z: Array) -> None:
    """Write ``z``, the sum of the rows of T from ``first`` on, each by its weight."""
    k = len(T)
    for c in range(k):
        z[c] = 0.0
    for j in range(first, k):
        a, row = weights[j], T[j]
        for c in range(k):
            z[c] += a * row[c]


@kernel
def back_substitute(R: Array, q: int, y: Array) -> None:
    """Overwrite y[:q] by the solution of ``R v = y``."""
    for j in range(q - 1, -1, -1):
        row = R[j]
        y[j] /= row[j]
        a = y[j]
        for i in range(j):
            y[i] -= a * row[i]


@kernel
def enter(factors: Factors, q: int, constraint: int, d: Array, z: Array) -> None:
    """Hold one more constraint, with d = T n and z the combination of T by d[q:]."""
    T, R = factors.T, factors.R
    k = len(T)
    square = 0.0
    for j in range(q, k):
        square += d[j] * d[j]
    size = np.sqrt(square)
    corner = -size if d[q] > 0.0 else size
    for j in range(q):
        R[q, j] = d[j]
    R[q, q] = corner
    factors.held[q] = constraint
    # a reflection takes d[q:] to its first axis
    inverse = 1.0 / (size * (size + abs(d[q])))
    first = T[q]
    for c in range(k):
        z[c] -= corner * first[c]
    a = (d[q] - corner) * inverse
    for c in range(k):
        first[c] -= a * z[c]
    for j in range(q + 1, k):
        a, row = d[j] * inverse, T[j]
        for c in range(k):
            row[c] -= a * z[c]


@kernel
def leave(factors: Factors, q: int, place: int, d: Array) -> None:
    """Let go the held constraint at a place; d = T n of another constraint moves along."""
    T, R, held = factors.T, factors.R, factors.held
    k = len(T)
    for j in range(place, q - 1):
        for i in range(j + 2):
            R[j, i] = R[j + 1, i]
        held[j] = held[j + 1]
    for j in range(place, q - 1):
        a, b = R[j, j], R[j, j + 1]
        size = np.hypot(a, b)
        cosine, sine = a / size, b / size
        R[j, j] = size
        for i in range(j + 1, q - 1):
            a, b = R[i, j], R[i, j + 1]
            R[i, j] = cosine * a + sine * b
            R[i, j + 1] = cosine * b - sine * a
        a, b = d[j], d[j + 1]
        d[j] = cosine * a + sine * b
        d[j + 1] = cosine * b - sine * a
        upper, lower = T[j], T[j + 1]
        for c in range(k):
            a, b = upper[c], lower[c]
            upper[c] = cosine * a + sine * b
            lower[c] = cosine * b - sine * a


@kernel
def solve_kkt(factors: Factors, q: int, g: Array, h: Array, u: Array, v: Array, y: Array) -> None:
    """Add the solution of ``Q u + N v = g, N' u = h`` to u and v.

    h has q entries and is overwritten; y (k,) is scratch.
    """
    T, R = factors.T, factors.R
    k = len(T)
    rotate(T, g, 0, k, y)
    for i in range(q):
        row = R[i]
        total = h[i]
        for j in range(i):
            total -= row[j] * h[j]
        h[i] = total / row[i]
    for i in range(q):
        # along the held normals u is given by h alone
        a, h[i] = h[i], y[i] - h[i]
        y[i] = a
    back_substitute(R, q, h)
    for i in range(q):
        v[i] += h[i]
    for j in range(k):
        a, row = y[j], T[j]
        for c in range(k):
            u[c] += a * row[c]
