"""The decision under a quadratic regularizer, from an oracle alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl._validation import check_at_least, check_positive
from dfl.exceptions import SolverError, UnsupportedError
from dfl.layers.base import AbstractLayer
from dfl_solvers.oracle import Array, Instance, Oracle

# vertices an instance for which room is made at first; it doubles when one needs more
_ROOM = 8


@final
class FrankWolfeLayer(AbstractLayer):
    r"""Decision under a quadratic regularizer, over the convex hull of the feasible decisions.

    Use it where a deterministic, smooth and sparse average of few decisions is wanted. It needs
    nothing of the problem but the oracle: one solve for each vertex that enters, forward only.

    Parameters
    ----------
    oracle : Oracle
        An oracle whose objective is exactly ``c.w``. Its set may be discrete or a polyhedron; on a
        curved boundary (``Ball``) the decision is right, but its derivative there is taken as zero.
    strength : float, default=1.0
        Factor rho of the regularizer, in units of the costs. At zero the layer would be the oracle;
        the larger, the more vertices share the decision.
    max_iter : int, default=1000
        Vertices that may enter an instance before the search counts as failed.
    tolerance : float, default=1e-9
        Gap at which the search ends, relative to the sizes of what is summed up in it.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        If the objective is not ``c.w`` alone.
    SolverError
        If an instance has not converged after ``max_iter`` vertices.

    Notes
    -----
    It finds ``w(c) = argmin_{w in conv S} c.w + rho |w|^2 / 2``, the projection of ``-c / rho``.
    Frank-Wolfe steps ask the oracle for the vertex best for the gradient ``c + rho w``; after each,
    weights are corrected exactly (Wolfe's method: steps away from vertices until none is left with
    a weight that is not positive). On polytopes this ends after finitely many steps.

    The gradient for an incoming gradient u is ``-P u / rho``, where P projects on the directions of
    the affine hull of the vertices that hold w. That hull is the face w lies on for almost all
    costs, and then the gradient is exact. Gradients jump where the face changes.

    References
    ----------
    Dalle et al., "Learning with Combinatorial Optimization Layers: a Probabilistic Approach", 2022,
    arXiv 2207.13513. Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 11
    (1976), doi 10.1007/BF01580381. Lacoste-Julien & Jaggi, "On the Global Linear Convergence of
    Frank-Wolfe Optimization Variants", NeurIPS 2015, arXiv 1511.05932. Niculae et al.,
    "SparseMAP", ICML 2018, arXiv 1802.04223.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import FrankWolfeLayer
    >>> from dfl_solvers import Simplex
    >>> costs = torch.tensor([[0.0, 0.5, 2.0]], requires_grad=True)
    >>> decisions = FrankWolfeLayer(Simplex(3))(costs)
    >>> decisions[0, 0].backward()
    >>> decisions.detach(), costs.grad
    (tensor([[0.7500, 0.2500, 0.0000]]), tensor([[-0.5000,  0.5000, -0.0000]]))
    """

    def __init__(
        self,
        oracle: Oracle,
        strength: float = 1.0,
        max_iter: int = 1000,
        tolerance: float = 1e-9,
    ) -> None:
        super().__init__(oracle)
        check_positive(self, strength=strength, tolerance=tolerance)
        check_at_least(1, self, max_iter=max_iter)
        if not getattr(self.oracle, "linear_objective", True):
            raise UnsupportedError(
                f"FrankWolfeLayer does not go with {type(self.oracle).__name__}: it needs an "
                "objective that is c.w alone, and this one has a part of its own"
            )
        self.strength = strength
        self.max_iter = max_iter
        self.tolerance = tolerance

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Regularized decisions (n, d); see ``AbstractLayer``."""
        result: Tensor = _Regularized.apply(costs, self, instance)  # type: ignore[no-untyped-call]
        return result

    def search(self, costs: Array, instance: Instance | None) -> _Hulls:
        """Find the vertices and the decisions they hold, for costs (n, d)."""
        from dfl.layers._min_norm import advance  # compiled, so loaded when first needed
        from dfl_solvers.kernels import SLOW, run

        costs = np.ascontiguousarray(costs)
        hulls = _Hulls.empty(costs)
        target, gradients = costs / self.strength, costs.copy()
        rows, worth = np.arange(len(costs)), np.full(len(costs), np.inf)
        for _ in range(self.max_iter):
            if not len(rows):
                return hulls
            own = instance and {name: value[rows] for name, value in instance.items()}
            decisions = self.oracle.solve(gradients[rows], own).decisions
            found = np.ascontiguousarray(decisions, dtype=np.float64)
            hulls.make_room()
            moved = np.empty(len(rows), dtype=np.bool_)
            run(
                advance,
                len(rows),
                rows,
                found,
                costs,
                self.strength,
                self.tolerance,
                target,
                *hulls.arrays(),
                gradients,
                worth,
                moved,
                serial=SLOW,
            )
            rows = rows[moved]
        if len(rows):
            raise SolverError(
                f"FrankWolfeLayer: instance {rows[0]} (and {len(rows) - 1} more) has not converged "
                f"after {self.max_iter} vertices; raise max_iter or tolerance"
            )
        return hulls


@dataclass
class _Hulls:
    """For each instance the vertices that hold its decision; see ``_min_norm``."""

    vertices: Array  # (n, width, d)
    weights: Array  # (n, width)
    gram: Array  # (n, width, width)
    linear: Array  # (n, width)
    factor: Array  # (n, width, width)
    counts: Array  # (n,)
    points: Array  # (n, d): the decisions

    @classmethod
    def empty(cls, costs: Array) -> _Hulls:
        n, d = costs.shape
        return cls(
            np.zeros((n, _ROOM, d)),
            np.zeros((n, _ROOM)),
            np.zeros((n, _ROOM, _ROOM)),
            np.zeros((n, _ROOM)),
            np.zeros((n, _ROOM, _ROOM)),
            np.zeros(n, dtype=np.int64),
            np.zeros((n, d)),
        )

    def arrays(self) -> tuple[Array, ...]:
        return (
            self.vertices,
            self.weights,
            self.gram,
            self.linear,
            self.factor,
            self.counts,
            self.points,
        )

    def make_room(self) -> None:
        """Double the room if a vertex more might not find any."""
        room = self.weights.shape[1]
        if self.counts.max(initial=0) < room:
            return
        self.vertices = np.pad(self.vertices, ((0, 0), (0, room), (0, 0)))
        self.weights = np.pad(self.weights, ((0, 0), (0, room)))
        self.gram = np.pad(self.gram, ((0, 0), (0, room), (0, room)))
        self.linear = np.pad(self.linear, ((0, 0), (0, room)))
        self.factor = np.pad(self.factor, ((0, 0), (0, room), (0, room)))


class _Regularized(torch.autograd.Function):
    """The search, and the derivative on the face that was found."""

    @staticmethod
    def forward(
        ctx: Any, costs: Tensor, layer: FrankWolfeLayer, instance: Mapping[str, Any] | None
    ) -> Tensor:
        array = costs.detach().to(device="cpu", dtype=torch.float64).numpy()
        ctx.hulls, ctx.strength = layer.search(array, instance), layer.strength
        return torch.from_numpy(ctx.hulls.points).to(device=costs.device, dtype=costs.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        from dfl.layers._min_norm import project
        from dfl_solvers.kernels import SLOW, run

        hulls = ctx.hulls
        array = incoming.to(device="cpu", dtype=torch.float64).contiguous().numpy()
        projected = np.empty_like(array)
        run(
            project,
            len(array),
            hulls.vertices,
            hulls.factor,
            hulls.counts,
            array,
            projected,
            serial=SLOW,
        )
        gradient = torch.from_numpy(projected).to(device=incoming.device, dtype=incoming.dtype)
        return gradient / -ctx.strength, None, None
