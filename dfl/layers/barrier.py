"""The linear relaxation with a logarithmic barrier, which makes its optimum smooth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl._validation import check_positive
from dfl.layers._relaxed import Optimum, Relaxed, check_program
from dfl.layers.base import AbstractLayer
from dfl_solvers.oracle import Oracle
from dfl_solvers.program import Program

if TYPE_CHECKING:
    from dfl_solvers.backends.barrier import BarrierProgram


@final
class BarrierLayer(AbstractLayer):
    r"""Decision of the linear relaxation with a logarithmic barrier, with its exact gradient.

    The decision is on the central path of an interior-point method, strictly inside the relaxation,
    so that it moves with every cost. Use it where the oracle has a small matrix form: it needs no
    solve of the oracle at all. ``QuadraticLayer`` reaches the boundary, and has no gradient in the
    costs of what it leaves out.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form: a method ``program()``. Integrality is left out; known costs count.
    weight : float, default=0.1
        The factor mu of the barrier, in units of the costs. The larger, the smoother, and the
        farther from the linear program: by at most mu times the number of inequalities.

    Raises
    ------
    InvalidInputError
        If ``weight`` is not positive; in the first call, if the relaxation contains a line.
    UnsupportedError
        If the oracle has no matrix form.

    Notes
    -----
    With the program's variables x, decision map M, known costs f and the slacks s(x) of all
    inequalities, bounds included::

        x(c) = argmin_x c.(M x) + f.x - mu sum_i log s_i(x)   over the equations,   output M x(c)

    and the gradient is that of this optimum's equations. Inequalities that hold with equality
    everywhere count as equations. All is solved in double precision on the CPU; if per-instance
    data are given, each instance has its own program and is solved on its own. Published versions
    stop a solver at some point of the path instead; here the weight alone says where.

    References
    ----------
    Mandi & Guns, "Interior Point Solving for LP-based prediction+optimisation", NeurIPS 2020,
    arXiv 2010.13943.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import BarrierLayer
    >>> from dfl_solvers import Box
    >>> costs = torch.tensor([[0.0, 1.5]], requires_grad=True)
    >>> decisions = BarrierLayer(Box(2), weight=1.0)(costs)
    >>> decisions.sum().backward()
    >>> decisions.detach(), costs.grad
    (tensor([[0.5000, 0.3333]]), tensor([[-0.1250, -0.0889]]))
    """

    def __init__(self, oracle: Oracle, weight: float = 0.1) -> None:
        super().__init__(oracle)
        check_positive(self, weight=weight)
        check_program(self, self.oracle)
        self.weight = weight
        self._relaxed = Relaxed(partial(_optimum, weight))

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Return decisions (n, d) inside the relaxation; see ``AbstractLayer``."""
        return self._relaxed(self.oracle, costs, instance)


def _optimum(weight: float, program: Program) -> Optimum:
    # imported here, since it loads a solver that other layers do without
    from dfl_solvers.backends.barrier import BarrierProgram

    return partial(_solve, BarrierProgram(program, weight))


def _solve(program: BarrierProgram, costs: Tensor) -> Tensor:
    return _Solve.apply(costs, program)  # type: ignore[no-untyped-call]


class _Solve(torch.autograd.Function):
    """Optimum of a barrier program, and its derivative."""

    @staticmethod
    def forward(ctx: Any, costs: Tensor, program: BarrierProgram) -> Tensor:
        solution = program.solve(costs.detach().cpu().numpy())
        ctx.program, ctx.solution = program, solution
        return torch.from_numpy(solution.x).to(costs.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None]:
        gradient = ctx.program.pull_back(ctx.solution, incoming.cpu().numpy())
        return torch.from_numpy(gradient).to(incoming.device), None
