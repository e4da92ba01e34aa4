"""Observations and rewards in units of their own spread, which stay as they are when judged."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

# observations further than this from the mean, in standard deviations, are cut off
_FARTHEST = 10.0


@final
class RunningScale(nn.Module):
    """Mean and variance of all that it was shown, coordinate by coordinate.

    It learns in ``update`` only: what is judged is judged with what training left.

    Parameters
    ----------
    shape : tuple of int
        Of one row.
    units : tuple of float, optional
        In place of deviations, about zero: fixed, whatever is shown.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import RunningScale
    >>> scale = RunningScale((1,))
    >>> scale.update(torch.tensor([[1.0], [3.0]]))
    >>> scale(torch.tensor([[2.0], [4.0]]))
    tensor([[0.],
            [2.]])
    """

    def __init__(self, shape: tuple[int, ...], units: tuple[float, ...] | None = None) -> None:
        super().__init__()
        self.fixed = units is not None
        self.mean: Tensor
        self.variance: Tensor
        self.count: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.tensor(units or 1.0).expand(shape) ** 2)
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in rows (n, ...), unless the units are fixed."""
        if self.fixed:
            return
        rows, n = rows.to(self.mean), len(rows)
        total = self.count + n
        gap = rows.mean(0) - self.mean
        squares = self.variance * self.count + rows.var(0, correction=0) * n
        self.variance.copy_((squares + gap**2 * self.count * n / total) / total)
        self.mean.add_(gap * n / total)
        self.count.copy_(total)

    @property
    def deviation(self) -> Tensor:
        """Standard deviations, a little above zero."""
        return (self.variance + 1e-8).sqrt()

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows less the mean, in standard deviations, of the type of the rows."""
        scaled = (rows - self.mean.to(rows)) / self.deviation.to(rows)
        return scaled.clamp(-_FARTHEST, _FARTHEST)
