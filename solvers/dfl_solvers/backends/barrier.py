"""Linear programs with a logarithmic barrier: smooth optima and their derivatives, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program

# steps before the search counts as failed; a dozen or two is usual
_STEPS = 100
# the barrier's weight falls to this share of the mean complementarity in a step
_CENTERING = 0.1
# share of the way to the boundary that a step may go
_TO_BOUNDARY = 0.99
# relative change of the slacks by a Newton step below which it is the last one
_ACCURACY = 1e-9


@dataclass(frozen=True, eq=False)
class BarrierSolution:
    """Optima x (n, k) of n instances, and the Hessians (n, q, q) that their derivative needs."""

    x: Array
    hessians: Array


@final
class BarrierProgram:
    r"""Minimize ``p.x - mu (sum of the logarithms of all slacks)`` over a polyhedron.

    Parameters
    ----------
    program : Program
        The polyhedron; integrality, fixed costs and the decision map are left out.
    weight : float
        The factor mu, in units of the costs; positive.

    Raises
    ------
    InvalidInputError
        If ``weight`` is not positive, or the polyhedron contains a line, along which a barrier is
        flat.
    InfeasibleError
        If it is empty.

    Notes
    -----
    A first linear program finds a point inside, and which inequalities hold with equality
    everywhere: they count as equations. Equations are eliminated, ``x = x0 + N t``, so that ``t``
    is free and the slacks are ``s = r + R t > 0``. A primal-dual method then follows the central
    path down to the weight and stays there: ``N'p = mu R'(1 / s)`` to rounding. The derivative is
    that of this equation, with the Hessian ``H = mu R' diag(1 / s^2) R``::

        dx = -N H^-1 N' dp

    Unlike a vertex, the optimum is strictly inside and moves with every cost.

    References
    ----------
    J. Mandi, T. Guns. Interior point solving for LP-based prediction+optimisation (2020).
    arXiv:2010.13943

    Examples
    --------
    One variable between 0 and 1, where ``p = mu (1 / x - 1 / (1 - x))``:

    >>> import numpy as np
    >>> interval = Program(np.zeros((0, 1)), [], [], [0.0], [1.0])
    >>> solution = BarrierProgram(interval, weight=1.0).solve(np.array([[0.0], [1.5]]))
    >>> solution.x.round(6)
    array([[0.5     ],
           [0.333333]])
    """

    def __init__(self, program: Program, weight: float) -> None:
        if not 0 < weight < np.inf:
            raise InvalidInputError(f"got a barrier of weight {weight}, expected a positive number")
        self.weight = weight
        equations, sides = _split(program)
        inside, always = _inside(equations, sides)
        G, h = sides
        A = np.concatenate([equations[0], G[always]])
        _, sizes, directions = np.linalg.svd(A, full_matrices=True)
        rank = int((sizes > 1e-9 * max(sizes, default=0.0)).sum())
        self.basis = directions[rank:].T
        G, h = G[~always], h[~always]
        self.origin, self.slacks = inside, h - G @ inside
        self.rays = -G @ self.basis
        if np.linalg.matrix_rank(self.rays) < self.basis.shape[1]:
            raise InvalidInputError(
                "the feasible set contains a line, along which a barrier is flat: give its "
                "variables bounds"
            )

    def solve(self, costs: Array) -> BarrierSolution:
        """Solve for costs (n, k) of the variables.

        Raises
        ------
        SolverError
            If an instance is not solved, as where its costs fall forever along a ray.
        """
        R, mu = self.rays, self.weight
        n, q = len(costs), R.shape[1]
        slopes = costs @ self.basis
        t, s = np.zeros((n, q)), np.tile(self.slacks, (n, 1))
        # near the path for a weight of the size of the costs
        start = np.maximum(mu, np.abs(slopes).max(axis=1, keepdims=True, initial=0.0))
        z = start / s
        left = np.arange(n)
        if not q:  # a single point
            left = left[:0]
        for _ in range(_STEPS):
            if not len(left):
                break
            slack, dual = s[left], z[left]
            goal = np.maximum(mu, _CENTERING * (slack * dual).mean(1, keepdims=True))
            try:
                steps = _solve(R, dual / slack, (goal / slack) @ R - slopes[left])
            except np.linalg.LinAlgError:
                break
            moved = steps @ R.T
            dual_step = goal / slack - dual - dual / slack * moved
            share = _share(slack, moved)
            dual_share = _share(dual, dual_step)
            t[left] += share * steps
            z[left] = dual + dual_share * dual_step
            s[left] = slack + share * moved  # in this way small ones keep their digits
            change = np.abs(moved / slack).max(1)
            settled = (share[:, 0] == 1) & (goal[:, 0] == mu) & (change <= _ACCURACY)
            left = left[~settled]
        if len(left):
            raise SolverError(
                f"linear program with a barrier, instance {left[0]}: no optimum found; its costs "
                "may fall forever, or its numbers be too far apart for double precision"
            )
        hessians = _hessians(R, mu / s**2)
        return BarrierSolution(self.origin + t @ self.basis.T, hessians)

    def pull_back(self, solution: BarrierSolution, x_grad: Array) -> Array:
        """Return the gradients (n, k) in the costs of ``x_grad . x``."""
        inner = (x_grad @ self.basis)[:, :, None]
        moved = np.linalg.solve(solution.hessians, inner)[:, :, 0]
        return np.asarray(-moved @ self.basis.T)


def _split(program: Program) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return rows and bounds as equations ``A x = b`` and inequalities ``G x <= h``."""
    matrix = np.vstack([program.A.toarray(), np.eye(program.n_variables)])
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    equal = lower == upper
    below, above = ~equal & np.isfinite(lower), ~equal & np.isfinite(upper)
    return (matrix[equal], lower[equal]), (
        np.vstack([-matrix[below], matrix[above]]),
        np.concatenate([-lower[below], upper[above]]),
    )


def _inside(equations: tuple[Array, Array], sides: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return a point with positive slacks, and which inequalities have none anywhere.

    With a point x = y / u, u >= 1, every slack that can be positive is at least v / u with v = 1:
    ``max sum v`` over ``h u - G y >= v``, ``A y = b u``, ``0 <= v <= 1`` tells them all apart.
    """
    # imported here, since it loads a solver
    from dfl_solvers.problems.linear_program import LinearProgram

    (A, b), (G, h) = equations, sides
    e, k, m = len(A), A.shape[1], len(G)
    matrix = np.block([[A, -b[:, None], np.zeros((e, m))], [-G, h[:, None], -np.eye(m)]])
    free = np.full(k, np.inf)
    model = Program(
        matrix,
        np.zeros(e + m),
        np.concatenate([np.zeros(e), np.full(m, np.inf)]),
        np.concatenate([-free, [1.0], np.zeros(m)]),
        np.concatenate([free, [np.inf], np.ones(m)]),
    )
    gains = np.concatenate([np.zeros(k + 1), -np.ones(m)])
    found = LinearProgram(model, backend="highs").solve(gains[None]).decisions[0]
    return found[:k] / found[k], found[k + 1 :] < 0.5


def _hessians(R: Array, weights: Array) -> Array:
    """Return ``R' diag(weights) R`` for weights (n, m)."""
    return np.asarray(np.swapaxes(weights[:, :, None] * R, 1, 2) @ R)


def _solve(R: Array, weights: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(_hessians(R, weights), right[:, :, None])[:, :, 0])


def _share(values: Array, steps: Array) -> Array:
    """Return the shares (n, 1) of steps that keep values (n, m) positive, at most 1."""
    fall = (-steps / values).max(1, keepdims=True)
    return np.minimum(1.0, _TO_BOUNDARY / np.maximum(fall, 1e-300))
