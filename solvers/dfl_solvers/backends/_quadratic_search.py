"""The dual active-set method for strictly convex quadratic programs, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.backends._quadratic_factors import (
    DEPENDENT,
    Factors,
    back_substitute,
    combine,
    enter,
    factor,
    leave,
    rotate,
    solve_kkt,
)
from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE, _FAILED = int(Status.OPTIMAL), int(Status.INFEASIBLE), int(Status.FAILED)
# a status of this file alone
NOT_CONVEX = 9
# what a row may be violated by, relative to its terms, and what proves that no point satisfies it
_FEASIBLE = 1e-13
_VIOLATED = 1e-9
# how much of the optimum without constraints counts as a term
_CANCELED = 1e-2
# of multipliers: what may be rounding
_ROUNDING = 1e-12


class Scratch(NamedTuple):
    """Memory for one instance with k variables and m constraints, equalities first."""

    factors: Factors
    S: Array  # (k, k) the symmetric part of Q
    C: Array  # (m, k) normals
    d: Array  # (m,) right-hand sides
    ends: Array  # (m, 2) where the nonzeros of a normal start and end
    sizes: Array  # (m,) norms of the normals in the metric of the inverse of Q
    rates: Array  # (m,) the same, outside the span of the equalities
    inside: Array  # (m,) which constraints are held
    slack: Array  # (m,) C x - d, negative where satisfied
    tolerance: Array  # (m,)
    multipliers: Array  # (k,) of the held constraints
    n: Array  # (k,) T times the normal that enters
    z: Array  # (k,) direction of x
    r: Array  # (k,) direction of the multipliers
    u: Array  # (k,)
    v: Array  # (k,)


@kernel
def allocate(k: int, m: int) -> Scratch:
    """Return memory for one instance."""
    return Scratch(
        Factors(np.empty((k, k)), np.empty((k, k)), np.empty(k, np.int64)),
        np.empty((k, k)),
        np.empty((m, k)),
        np.empty(m),
        np.empty((m, 2), np.int64),
        np.empty(m),
        np.empty(m),
        np.empty(m, np.bool_),
        np.empty(m),
        np.empty(m),
        np.empty(k),
        np.empty(k),
        np.empty(k),
        np.empty(k),
        np.empty(k),
        np.empty(k),
    )


@kernel
def load_rows(A: Array, G: Array, scratch: Scratch) -> None:
    """Copy the normals, and find where their nonzeros start and end."""
    C, ends = scratch.C, scratch.ends
    m, k = C.shape
    for i in range(m):
        row, source = C[i], A[i] if i < len(A) else G[i - len(A)]
        first, last = k, 0
        for j in range(k):
            row[j] = source[j]
            if row[j] != 0.0:
                last = j + 1
                first = min(first, j)
        ends[i, 0], ends[i, 1] = min(first, last), last


@kernel
def dot(C: Array, ends: Array, i: int, x: Array) -> float:
    """Return ``C[i].x``."""
    row, total = C[i], 0.0
    for j in range(ends[i, 0], ends[i, 1]):
        total += row[j] * x[j]
    return total


@kernel
def hold_equalities(me: int, scratch: Scratch) -> int:
    """Hold the first me constraints, but for those that depend on others; return how many."""
    factors, n, z = scratch.factors, scratch.n, scratch.z
    k = len(n)
    q = int(np.int64(0))  # for a plain 0, all that it is passed to is compiled once more
    for i in range(len(scratch.d)):
        rotate(factors.T, scratch.C[i], scratch.ends[i, 0], scratch.ends[i, 1], n)
        whole, outside = 0.0, 0.0
        for j in range(k):
            square = n[j] * n[j]
            whole += square
            if j >= q:
                outside += square
        scratch.sizes[i], scratch.rates[i] = np.sqrt(whole), np.sqrt(outside)
        scratch.inside[i] = False
        if i < me and outside > DEPENDENT * DEPENDENT * whole:
            combine(factors.T, n, q, z)
            enter(factors, q, i, n, z)
            scratch.inside[i] = True
            q += 1
    return q


@kernel
def refine(scratch: Scratch, q: int, p: Array, x: Array) -> None:
    """Solve the KKT equations of the held constraints, starting from x and the multipliers."""
    C, ends, S, u, v = scratch.C, scratch.ends, scratch.S, scratch.u, scratch.v
    multipliers, held = scratch.multipliers, scratch.factors.held
    k = len(x)
    for c in range(k):
        u[c] = -p[c]
    for j in range(k):
        a, row = x[j], S[j]
        for c in range(k):
            u[c] -= a * row[c]
    for j in range(q):
        i = held[j]
        a, row = multipliers[j], C[i]
        v[j] = scratch.d[i] - dot(C, ends, i, x)
        for c in range(ends[i, 0], ends[i, 1]):
            u[c] -= a * row[c]
    solve_kkt(scratch.factors, q, u, v, x, multipliers, scratch.z)
    for j in range(q):
        i = held[j]
        if ends[i, 1] - ends[i, 0] == 1:
            # a variable at a bound is there exactly, and no zero has a sign
            x[ends[i, 0]] = scratch.d[i] / C[i, ends[i, 0]] + 0.0


@kernel
def measure(scratch: Scratch, x: Array, size: float, accuracy: float) -> None:
    """Write by how much each constraint is violated, and how much of that may be rounding.

    ``size`` is the norm of the optimum without constraints, in the metric of Q.
    """
    k, square = len(x), 0.0
    for i in range(k):
        a, row = x[i], scratch.S[i]
        for j in range(k):
            square += a * row[j] * x[j]
    norm = np.sqrt(max(square, 0.0)) + _CANCELED * size
    for i in range(len(scratch.d)):
        row, total = scratch.C[i], -scratch.d[i]
        terms = abs(scratch.d[i]) + scratch.sizes[i] * norm
        for j in range(scratch.ends[i, 0], scratch.ends[i, 1]):
            term = row[j] * x[j]
            total += term
            terms += abs(term)
        scratch.slack[i], scratch.tolerance[i] = total, accuracy * terms


@kernel
def most_violated(scratch: Scratch, me: int) -> int:
    """Return the inequality whose boundary is farthest in the metric of Q; -1 if none is."""
    best, found = 0.0, -1
    for i in range(me, len(scratch.d)):
        if scratch.slack[i] > scratch.tolerance[i] and not scratch.inside[i]:
            size = max(scratch.rates[i], DEPENDENT * scratch.sizes[i], 1e-300)
            distance = scratch.slack[i] / size
            if distance > best:
                best, found = distance, i
    return found


@kernel
def wrong_sign(scratch: Scratch, q: int, first: int, size: float) -> int:
    """Return the place of the most negative multiplier of an inequality; -1 if none is."""
    largest, least, found = size, 0.0, -1
    for j in range(q):
        a = scratch.multipliers[j] * scratch.sizes[scratch.factors.held[j]]
        largest = max(largest, abs(a))
        if j >= first and a < least:
            least, found = a, j
    return found if least < -_ROUNDING * largest else -1


@kernel
def release(scratch: Scratch, q: int, place: int) -> None:
    """Let go the held constraint at a place."""
    scratch.inside[scratch.factors.held[place]] = False
    leave(scratch.factors, q, place, scratch.n)
    for j in range(place, q - 1):
        scratch.multipliers[j] = scratch.multipliers[j + 1]


@kernel
def admit(scratch: Scratch, q: int, me: int, first: int, i: int, x: Array) -> int:
    """Step until the violated inequality i is met; return how many are held, -1 if none meets it.

    Inequalities whose multipliers would turn negative on the way are let go.
    """
    factors, n, z, r = scratch.factors, scratch.n, scratch.z, scratch.r
    C, ends, sizes, multipliers = scratch.C, scratch.ends, scratch.sizes, scratch.multipliers
    k, m = len(x), len(scratch.d)
    own = 0.0
    rotate(factors.T, C[i], ends[i, 0], ends[i, 1], n)
    while True:
        rate = 0.0
        for j in range(q, k):
            rate += n[j] * n[j]
        for j in range(q):
            r[j] = n[j]
        back_substitute(factors.R, q, r)
        longest, place = np.inf, first - 1
        for j in range(first, q):
            if r[j] * sizes[factors.held[j]] > _ROUNDING * sizes[i]:
                step = max(multipliers[j], 0.0) / r[j]
                if step < longest:
                    longest, place = step, j
        dependent = rate <= (DEPENDENT * sizes[i]) ** 2
        if dependent and place < first:
            return -1
        full = np.inf if dependent else scratch.slack[i] / rate
        step = min(full, longest)
        own += step
        for j in range(q):
            multipliers[j] -= step * r[j]
        if not dependent:
            combine(factors.T, n, q, z)
            for c in range(k):
                x[c] -= step * z[c]
            for other in range(me, m):
                if not scratch.inside[other]:
                    scratch.slack[other] -= step * dot(C, ends, other, z)
        if full <= longest:
            enter(factors, q, i, n, z)
            multipliers[q] = own
            scratch.inside[i] = True
            return q + 1
        release(scratch, q, place)
        q -= 1


@kernel
def search(
    scratch: Scratch, me: int, first: int, p: Array, x: Array, limit: int
) -> tuple[int, int]:
    """Find the optimum from the one without inequalities; return the status and how many are held.

    The first constraints held are the equalities.
    """
    q = first
    for c in range(len(x)):
        x[c] = scratch.multipliers[c] = 0.0
    rotate(scratch.factors.T, p, 0, len(p), scratch.n)
    size = 0.0
    for c in range(len(x)):
        size += scratch.n[c] ** 2
    size = np.sqrt(size)
    refine(scratch, q, p, x)
    accuracy = _FEASIBLE
    measure(scratch, x, size, accuracy)
    for i in range(me):
        if not abs(scratch.slack[i]) <= _VIOLATED / _FEASIBLE * scratch.tolerance[i]:
            return _INFEASIBLE, q
    exact = True
    for _ in range(limit):
        i = most_violated(scratch, me)
        if i >= 0:
            exact = False
            found = admit(scratch, q, me, first, i, x)
            if found >= 0:
                q = found
                continue
            if scratch.slack[i] > _VIOLATED / _FEASIBLE * scratch.tolerance[i]:
                return _INFEASIBLE, q
            scratch.tolerance[i] = 2.0 * scratch.slack[i]
            continue
        if exact:
            return _OPTIMAL, q
        refine(scratch, q, p, x)
        place = wrong_sign(scratch, q, first, size)
        if place >= 0:
            release(scratch, q, place)
            q -= 1
            continue
        accuracy *= 2.0
        measure(scratch, x, size, accuracy)
        exact = True
    return _FAILED, q


@kernel
def solve_all(
    lo: int,
    hi: int,
    Q: Array,
    p: Array,
    A: Array,
    b: Array,
    G: Array,
    h: Array,
    limit: int,
    x: Array,
    multipliers: Array,
    T: Array,
    R: Array,
    held: Array,
    n_held: Array,
    status: Array,
) -> None:
    """Solve instances; each array has one row for all, or one an instance.

    The factors are written if T has a row for each instance.
    """
    k, me = p.shape[1], b.shape[1]
    m = me + h.shape[1]
    scratch, U = allocate(k, m), np.empty((k, k))
    factors = scratch.factors
    start = Factors(np.empty((k, k)), np.empty((k, k)), np.empty(k, np.int64))
    alike = len(Q) == 1 and len(A) == 1 and len(G) == 1
    first, convex = 0, False
    for row in range(lo, hi):
        if not alike or row == lo:
            load_rows(A[min(row, len(A) - 1)], G[min(row, len(G) - 1)], scratch)
            convex = factor(Q[min(row, len(Q) - 1)], scratch.S, U, factors.T)
            if convex:
                first = hold_equalities(me, scratch)
                if alike:
                    copy(factors, first, start)
        else:
            copy(start, first, factors)
            for i in range(me, m):
                scratch.inside[i] = False
        if not convex:
            status[row] = NOT_CONVEX
            continue
        right, upper = b[min(row, len(b) - 1)], h[min(row, len(h) - 1)]
        for i in range(m):
            scratch.d[i] = right[i] if i < me else upper[i - me]
        status[row], q = search(scratch, me, first, p[min(row, len(p) - 1)], x[row], limit)
        n_held[row] = q
        if status[row] != _OPTIMAL:
            continue
        for j in range(q):
            i = factors.held[j]
            held[row, j] = i
            found = scratch.multipliers[j]
            multipliers[row, i] = found if i < me else max(found, 0.0)
        if len(T) > row:
            for i in range(k):
                for j in range(k):
                    T[row, i, j] = factors.T[i, j]
            for i in range(q):
                for j in range(i + 1):
                    R[row, i, j] = factors.R[i, j]


@kernel
def copy(source: Factors, q: int, target: Factors) -> None:
    """Copy factors with q constraints held; by loops, since slices take long to compile."""
    k = len(source.T)
    for i in range(k):
        for j in range(k):
            target.T[i, j] = source.T[i, j]
    for i in range(q):
        target.held[i] = source.held[i]
        for j in range(i + 1):
            target.R[i, j] = source.R[i, j]
