"""The squared error of the direction of the costs, weighted by their length."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target


@final
class WeightedDirectionLoss(AbstractLoss):
    r"""Least squares on costs of length one, each row weighted by the length of its costs.

    Plain weighted regression that solves nothing, convex, and yet made for decisions: with enough
    data and a model that can express them, its predictions point where the mean costs do. Use it
    where solves are dear and the size of the costs varies much from row to row; where all cost
    vectors are equally long it is least squares. Predicted costs have no unit.

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
    ``l(p, c) = |c| |p - c / |c||^2``, over the real (unpadded) coordinates; zero for costs of zero.
    The least mean is at ``p = E[c] / E[|c|]``, parallel to the mean costs: regret is free of scale
    in p and proportional to the length of c, as is the weight. The formula is reconstructed from
    the description of the method, not taken from its code.

    References
    ----------
    WISE, a method of weighted regression without a solver, arXiv 2606.19587.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("weighted-direction", Box())
    >>> loss(torch.tensor([[1.0, 0.0]]), Target(costs=torch.tensor([[0.0, 3.0]])))
    tensor(6.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "linear"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Weighted squared error of the direction of each sample, shape (n,)."""
        length = target.sum(target.costs**2).sqrt()
        # costs of zero have no direction, and no weight
        direction = target.costs / length.clamp(min=torch.finfo(length.dtype).tiny)[:, None]
        return length * target.sum((output - direction) ** 2)
