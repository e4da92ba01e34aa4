"""The perturbation gradient loss."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PerturbationGradientLoss(AbstractLoss):
    r"""Finite difference of the optimal value along the true costs: decision cost, smoothed.

    Use it when the predictor cannot express the costs: it comes near the best decisions within its
    class, where SPO+ need not. It is not convex, so start from SPO+ or least squares. Two solves a
    sample and step, in one call.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    side : {"backward", "central"}, default="backward"
        Which difference. The backward one is an upper bound of the decision's cost.
    step : float, default=0.1
        Width h of the difference, without unit; theory lets it fall as the fourth root of the
        number of rows. Below 1 if the objective has a part of its own.

    Raises
    ------
    InvalidInputError
        If ``side`` is unknown or ``step`` is out of range.

    Notes
    -----
    With V(p) = min_w p.w, an optimal value, and true costs c::

        backward:  l(p, c) = (V(p) - V(p - h c)) / h
        central:   l(p, c) = (V(p + h c) - V(p - h c)) / (2 h)

    with the gradients ``(w*(p) - w*(p - h c)) / h`` and ``(w*(p + h c) - w*(p - h c)) / (2 h)``. As
    h falls both tend to c.w*(p), the cost of the decision, so that the loss less the optimal
    objective tends to regret; its least value is not zero. What the problem itself adds to the
    objective counts as a cost that is predicted without error. PyEPO adds 1e-7 to h in the
    denominator; else values and gradients are the same.

    References
    ----------
    Gupta & Huang, "Decision-Focused Learning with Directional Gradients", NeurIPS 2024,
    arXiv 2402.03256.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("perturbation-gradient", Simplex(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(4.0000)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs"})

    def __init__(
        self,
        oracle: Oracle,
        side: Literal["backward", "central"] = "backward",
        step: float = 0.1,
    ) -> None:
        super().__init__(oracle)
        if side not in ("backward", "central"):
            raise InvalidInputError(
                f"PerturbationGradientLoss: got side={side!r}, expected 'backward' or 'central'"
            )
        if not step > 0 or (step >= 1 and not self.linear_objective):
            high = "" if self.linear_objective else " below 1, as the objective is not c.w alone"
            raise InvalidInputError(
                f"PerturbationGradientLoss: got step={step}, expected a positive number{high}"
            )
        self.side = side
        self.step = step

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Difference quotient of each sample, shape (n,)."""
        upper = self.step if self.side == "central" else 0.0
        steps = output.new_tensor([upper, -self.step])[:, None]
        shifted = output[:, None] + steps * target.costs[:, None]  # (n, 2, d)
        if self.linear_objective:
            decisions, _ = self.solve(shifted, target.instance)
            values = torch.linalg.vecdot(shifted, decisions)
        else:
            # the problem's own part f has predicted and true factor one, hence 1 + t after a step t
            # along the truth: min (p + t c).w + (1 + t) f(w), which the oracle solves per 1 + t
            scaled = shifted / (1 + steps)
            decisions, objectives = self.solve(scaled, target.instance)
            own = objectives - torch.linalg.vecdot(scaled.detach(), decisions)
            values = torch.linalg.vecdot(shifted, decisions) + (1 + steps[:, 0]) * own
        return (values[:, 0] - values[:, 1]) / (upper + self.step)
