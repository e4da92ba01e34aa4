"""One minus the cosine between predicted and true costs."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target


@final
class CosineLoss(AbstractLoss):
    r"""How far predicted costs point away from the true ones; their length does not matter.

    Decisions depend on the direction of the costs alone, so this is the baseline among the losses
    that solve nothing: better than the squared error where the size of the costs varies and says
    nothing about the decision. Predicted costs have no unit.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``; kept so that every loss has the same signature.

    Raises
    ------
    UnsupportedError
        If the objective has a part of its own: then the length of the costs matters.

    Notes
    -----
    ``l(p, c) = 1 - p.c / (|p| |c|)``, over the real (unpadded) coordinates; it lies from 0 to 2, is
    not convex, and is 1 where either vector is zero. On a ball of radius r the regret is
    ``r |c| l(p, c)``, exactly.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, for regret, which is
    free of scale in the predicted costs.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("cosine", Box())
    >>> loss(torch.tensor([[4.0, 3.0]]), Target(costs=torch.tensor([[0.0, 2.0]])))
    tensor(0.4000)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "linear"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """One minus the cosine of each sample, shape (n,)."""
        costs = target.costs
        # a vector of zeros has no direction: no value is lost, and no gradient is infinite
        least = torch.finfo(output.dtype).tiny
        sizes = [target.mean(v * v).clamp(min=least).sqrt() for v in (output, costs)]
        return 1 - target.mean(output * costs) / sizes[0] / sizes[1]
