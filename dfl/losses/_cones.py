"""Normal cones of the linear relaxation of a program, at given decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from numpy import newaxis

from dfl.exceptions import SolverError
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program

# by how much a cut must be violated to be added, relative to the point, and how many at a time
_VIOLATED = 1e-8
_CUTS = 10
# how near a constraint is to be tight, relative to its bound
TIGHT = 1e-5


@final
class NormalCones:
    """The cones of tight constraints of a program whose variables are the decision.

    Equations are in every cone, with both signs: they span a subspace L. A projection is that on L
    plus one within its orthogonal complement, of few dimensions, on the inequalities that are
    tight. Variables with a single value, as padding has, are split off likewise: no cost of theirs
    changes a decision.

    Parameters
    ----------
    program : Program
    cuts : callable, optional
        Returns the normals (k, d) of more constraints that are tight at a decision (d,), of which
        there are too many to list.
    """

    def __init__(self, program: Program, cuts: Callable[[Array], Array] | None = None) -> None:
        self.cuts = cuts
        self._last: dict[bytes, Array] = {}
        self.free = program.lower < program.upper
        A = program.A.toarray()
        equation = program.row_lower == program.row_upper
        lengths = np.linalg.norm(A[:, self.free], axis=1)
        empty = lengths == 0
        equations = A[:, self.free][equation & ~empty] / lengths[equation & ~empty, newaxis]
        self.n_equations = len(equations)
        rows = ~equation & ~empty
        self.A = A[rows]
        self.row_bounds = program.row_lower[rows], program.row_upper[rows]
        self.bounds = program.lower[self.free], program.upper[self.free]
        unit = np.eye(int(self.free.sum()))
        inside = self.A[:, self.free] / lengths[rows, newaxis]
        self.normals = np.concatenate([-unit, unit, -inside, inside])
        _, sizes, directions = np.linalg.svd(equations)
        rank = int((sizes > 1e-9 * max(sizes, default=0.0)).sum())
        self.basis = directions[rank:].T  # of the complement of L
        rays = self.normals @ self.basis
        sizes = np.linalg.norm(rays, axis=1)
        self.proper = sizes > 1e-9  # the others lie in L
        self.rays = rays[self.proper] / sizes[self.proper, newaxis]
        self.gram = self.rays @ self.rays.T

    def tight(self, decisions: Array) -> Array:
        """Tell which inequalities are tight, (n, m) bool, in the order of ``normals``."""
        sides = []
        values = (decisions[:, self.free], self.bounds), (decisions @ self.A.T, self.row_bounds)
        for value, (low, high) in values:
            for bound, sign in ((low, 1), (high, -1)):
                near = TIGHT * (1 + np.where(np.isfinite(bound), np.abs(bound), 0.0))
                sides.append(sign * (value - bound) <= near)
        return np.concatenate(sides, axis=1)

    def project(self, points: Array, decisions: Array) -> Array:
        """Project points (n, d) on the cones at decisions (n, d)."""
        inner = points[:, self.free]
        coordinates = inner @ self.basis
        if self.cuts is None:
            nearest = self._weights(coordinates, decisions) @ self.rays
        else:
            rows = zip(coordinates, decisions, strict=True)
            nearest = np.array([self._project_with_cuts(*row) for row in rows])
        away = coordinates - nearest
        projected = points.copy()
        projected[:, self.free] = inner - away @ self.basis.T
        return projected

    def weights(self, points: Array, decisions: Array) -> Array:
        """Weights (n, m) of the rays in the projections; those above zero are independent."""
        return self._weights(points[:, self.free] @ self.basis, decisions)

    def _weights(self, coordinates: Array, decisions: Array) -> Array:
        spans = np.ascontiguousarray(self.tight(decisions)[:, self.proper])
        return _nonnegative(coordinates @ self.rays.T, self.gram, spans, self.basis.shape[1])

    def _project_with_cuts(self, coordinates: Array, decision: Array) -> Array:
        """Project one point (r,) on the cone at a decision (d,), adding cuts as they are needed.

        The projection that was last found at the same decision is where the search starts.
        """
        cuts = self.cuts(decision)[:, self.free]  # type: ignore[misc]
        cuts /= np.linalg.norm(cuts, axis=1, keepdims=True)
        tight = np.flatnonzero(self.tight(decision[newaxis])[0, self.proper])
        n_tight = len(tight)
        key = decision.tobytes()
        weights = self._last.get(key, np.zeros(n_tight + len(cuts)))
        wanted = weights[n_tight:] > 0
        while True:
            own = cuts[wanted] @ self.basis
            own /= np.linalg.norm(own, axis=1, keepdims=True)
            rays = np.concatenate([self.rays[tight], own])
            gram = np.empty((len(rays), len(rays)))
            gram[:n_tight, :n_tight] = self.gram[np.ix_(tight, tight)]
            gram[n_tight:] = own @ rays.T
            gram[:, n_tight:] = gram[n_tight:].T
            among = np.concatenate([np.ones(n_tight, dtype=bool), wanted])
            spans = np.ones((1, len(rays)), dtype=bool)
            along = (rays @ coordinates)[newaxis]
            found = _nonnegative(along, gram, spans, rays.shape[1], weights[newaxis, among])[0]
            weights = np.zeros(len(among))
            weights[among] = found
            nearest = found @ rays
            over = np.where(wanted, 0.0, cuts @ (self.basis @ (coordinates - nearest)))
            if not (over > _VIOLATED * np.abs(coordinates).max(initial=0.0)).any():
                self._last[key] = weights
                return np.asarray(nearest)
            wanted[np.argsort(-over)[:_CUTS]] = True

    def average(self, decisions: Array) -> Array:
        """Mean (n, d) of the tight normals of length one; an equation counts with both signs.

        Cuts do not count: they are many, overlap, and would outweigh all others.
        """
        tight = self.tight(decisions)
        count = tight.sum(1) + 2 * self.n_equations
        average = np.zeros(decisions.shape)
        average[:, self.free] = tight @ self.normals / np.maximum(count, 1)[:, newaxis]
        return average


def _nonnegative(
    along: Array, gram: Array, spans: Array, r: int, start: Array | None = None
) -> Array:
    """Return the weights (n, m) of rays that come nearest to points, from their products."""
    # imported here: compiled code is slow to load, and nobody trains while importing
    from dfl.losses._cone_kernels import project
    from dfl_solvers.kernels import SLOW, run

    weights = np.zeros(along.shape) if start is None else np.ascontiguousarray(start)
    done = np.empty(len(along), dtype=bool)
    run(project, len(along), along, gram, spans, r, weights, done, serial=SLOW)
    if not done.all():
        raise SolverError(
            f"the projection on the normal cone of row {np.argmin(done)} did not end; use the "
            "loss 'structured-svm', which needs none, or report the program"
        )
    return weights
