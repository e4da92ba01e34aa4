"""The squared error: predict-then-optimize, the baseline every surrogate has to beat."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from torch import Tensor

from dfl.losses.base import AbstractLoss
from dfl.losses.closed_form import Truth
from dfl.losses.target import Target
from dfl_solvers.oracle import Array


@final
class SquaredLoss(AbstractLoss):
    r"""Mean squared error of the predicted costs; it never looks at decisions.

    Use it as the two-stage baseline. It is the better choice when the model is well specified,
    when noise is high and data are few, or when costs are wanted for their own sake.

    Parameters
    ----------
    oracle : Oracle
        Kept so that every loss has the same signature.

    Notes
    -----
    ``l(p, c) = (1/d) sum_j (p_j - c_j)^2``, over the real (unpadded) coordinates.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, calls it the
    predict-then-optimize approach.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("squared", Box())
    >>> loss(torch.tensor([[1.0, 2.0]]), Target(costs=torch.tensor([[1.0, 4.0]])))
    tensor(2.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean over the coordinates of the squared error, shape (n,)."""
        return target.mean((output - target.costs) ** 2)

    def value_and_gradient(self, output: Array, truth: Truth) -> tuple[Array, Array]:
        """Mean squared error (n,) and its gradient (n, d), in place of the output."""
        output -= truth.costs
        mask = truth.mask()
        if mask is None:
            share = output.dtype.type(1 / output.shape[1])
        else:
            output *= mask
            share = 1 / mask.sum(-1, dtype=output.dtype)[:, None]
        with np.errstate(over="ignore"):  # of a model that diverges
            values = np.vecdot(output, output) * np.ravel(share)
            output *= 2 * share
        return values, output
