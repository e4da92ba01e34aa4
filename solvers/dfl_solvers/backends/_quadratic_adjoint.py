"""The derivative of the optimum of a quadratic program, pulled back to its numbers; compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.backends._quadratic_factors import Factors, solve_kkt
from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array


@kernel
def pull_back_all(
    lo: int,
    hi: int,
    Q: Array,
    A: Array,
    G: Array,
    T: Array,
    R: Array,
    held: Array,
    n_held: Array,
    x: Array,
    multipliers: Array,
    x_grad: Array,
    multipliers_grad: Array,
    u: Array,
    v: Array,
    Q_grad: Array,
    A_grad: Array,
    G_grad: Array,
) -> None:
    """Solve the KKT matrix for u (n, k) and v (n, m), and write the gradients of matrices.

    The gradients of p and of the right-hand sides are -u and v. Those of matrices are written if
    the arrays have a row for each instance.
    """
    k, me = x.shape[1], A.shape[1]
    rest, h, short, y = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    for row in range(lo, hi):
        q, own, g = n_held[row], u[row], x_grad[row]
        quadratic, equal = Q[min(row, len(Q) - 1)], A[min(row, len(A) - 1)]
        at_most = G[min(row, len(G) - 1)]
        factors = Factors(T[row], R[row], held[row])
        for c in range(k):
            own[c] = short[c] = 0.0
        for refined in range(2):
            for c in range(k):
                rest[c] = g[c]
            for j in range(q):
                i = held[row, j]
                h[j] = multipliers_grad[row, i] if len(multipliers_grad) else 0.0
            if refined:
                for i in range(k):
                    a, line, total = 0.5 * own[i], quadratic[i], 0.0
                    for c in range(k):
                        rest[c] -= a * line[c]
                        total += line[c] * own[c]
                    rest[i] -= 0.5 * total
                for j in range(q):
                    i = held[row, j]
                    line = equal[i] if i < me else at_most[i - me]
                    a = short[j]
                    for c in range(k):
                        rest[c] -= a * line[c]
                        h[j] -= line[c] * own[c]
            solve_kkt(factors, q, rest, h, own, short, y)
        for j in range(q):
            v[row, held[row, j]] = short[j]
        if len(Q_grad) > row:
            for i in range(k):
                a, b, line = -0.5 * own[i], -0.5 * x[row, i], Q_grad[row, i]
                for c in range(k):
                    line[c] = a * x[row, c] + b * own[c]
        if len(A_grad) > row:
            for i in range(me):
                outer(multipliers[row, i], own, v[row, i], x[row], A_grad[row, i])
        if len(G_grad) > row:
            for i in range(G.shape[1]):
                place = me + i
                outer(multipliers[row, place], own, v[row, place], x[row], G_grad[row, i])


@kernel
def outer(a: float, u: Array, b: float, x: Array, line: Array) -> None:
    """Write the gradient of the normal of a constraint."""
    for c in range(len(x)):
        line[c] = -a * u[c] - b * x[c]
