"""The Huber error: squared where it is small, absolute where it is large."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor
from torch.nn.functional import huber_loss

from dfl._validation import check_above_zero
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class HuberLoss(AbstractLoss):
    r"""Mean Huber error of the predicted costs; it never looks at decisions.

    The baseline between the squared and the absolute error, for costs with outliers.

    Parameters
    ----------
    oracle : Oracle
        Kept so that every loss has the same signature.
    delta : float, default=1.0
        Error, in units of the costs, above which it grows linearly. The median absolute error of
        least squares is a usual choice; estimators scale costs to a mean absolute value of one.

    Raises
    ------
    InvalidInputError
        If ``delta`` is not positive.

    Notes
    -----
    Mean over the real (unpadded) coordinates of ``r^2 / 2`` where ``r = |p_j - c_j|`` is at most
    delta, else ``delta (r - delta / 2)``.

    References
    ----------
    Huber, "Robust Estimation of a Location Parameter", 1964, doi 10.1214/aoms/1177703732. A
    baseline in Elmachtoub & Grigas, arXiv 1710.08005.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("huber", Box(), {"delta": 1.0})
    >>> loss(torch.tensor([[1.5, 1.0]]), Target(costs=torch.tensor([[1.0, 4.0]])))
    tensor(1.3125)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs"})

    def __init__(self, oracle: Oracle, delta: float = 1.0) -> None:
        super().__init__(oracle)
        check_above_zero(self, delta=delta)
        self.delta = delta

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean over the coordinates of the Huber error, shape (n,)."""
        return target.mean(huber_loss(output, target.costs, reduction="none", delta=self.delta))
