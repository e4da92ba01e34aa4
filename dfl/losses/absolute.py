"""The absolute error: predict-then-optimize that outliers move less."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target


@final
class AbsoluteLoss(AbstractLoss):
    r"""Mean absolute error of the predicted costs; it never looks at decisions.

    A second baseline beside the squared error, for costs with heavy tails. It learns medians,
    while expected cost is a matter of means: with skewed costs it can decide worse.

    Parameters
    ----------
    oracle : Oracle
        Kept so that every loss has the same signature.

    Notes
    -----
    ``l(p, c) = (1/d) sum_j |p_j - c_j|``, over the real (unpadded) coordinates.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, where it is a
    baseline.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("absolute", Box())
    >>> loss(torch.tensor([[1.0, 2.0]]), Target(costs=torch.tensor([[1.0, 4.0]])))
    tensor(1.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean over the coordinates of the absolute error, shape (n,)."""
        return target.mean((output - target.costs).abs())
