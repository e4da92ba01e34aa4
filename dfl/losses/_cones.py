"""Normal cones of the linear relaxation of a program, at given decisions."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy import newaxis

from dfl.exceptions import SolverError
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program

# how near a constraint is to be tight, relative to its bound
_TIGHT = 1e-5


@final
class NormalCones:
    """The cones of tight constraints of a program whose variables are the decision.

    Equations are in every cone, with both signs: they span a subspace L. A projection is that on L
    plus one within its orthogonal complement, of few dimensions, on the inequalities that are
    tight. Variables with a single value, as padding has, are split off likewise: no cost of theirs
    changes a decision.
    """

    def __init__(self, program: Program) -> None:
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
                near = _TIGHT * (1 + np.where(np.isfinite(bound), np.abs(bound), 0.0))
                sides.append(sign * (value - bound) <= near)
        return np.concatenate(sides, axis=1)

    def project(self, points: Array, decisions: Array) -> Array:
        """Project points (n, d) on the cones at decisions (n, d)."""
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl.losses._cone_kernels import project
        from dfl_solvers.kernels import SLOW, run

        inner = points[:, self.free]
        coordinates = inner @ self.basis
        along = coordinates @ self.rays.T
        spans = np.ascontiguousarray(self.tight(decisions)[:, self.proper])
        weights = np.empty_like(along)
        done = np.empty(len(points), dtype=bool)
        data = along, self.gram, spans, self.basis.shape[1], weights, done
        run(project, len(points), *data, serial=SLOW)
        if not done.all():
            raise SolverError(
                f"the projection on the normal cone of row {np.argmin(done)} did not end; use the "
                "loss 'structured-svm', which needs none, or report the program"
            )
        projected = points.copy()
        projected[:, self.free] = inner - (coordinates - weights @ self.rays) @ self.basis.T
        return projected

    def average(self, decisions: Array) -> Array:
        """Mean (n, d) of the tight normals of length one; an equation counts with both signs."""
        tight = self.tight(decisions)
        count = tight.sum(1) + 2 * self.n_equations
        average = np.zeros(decisions.shape)
        average[:, self.free] = tight @ self.normals / np.maximum(count, 1)[:, newaxis]
        return average
