"""One predictor for all items of an instance."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class SharedOverItems(nn.Module):
    """Apply one predictor to every item: features (n, d, p) give costs (n, d).

    Parameters
    ----------
    predictor : nn.Module
        From the features (m, p) of items to costs (m, 1).
    """

    predictor: nn.Module

    def __init__(self, predictor: nn.Module) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, inputs: Tensor) -> Tensor:
        """Predict costs (n, d) from item features (n, d, p)."""
        n, d, p = inputs.shape
        output: Tensor = self.predictor(inputs.reshape(n * d, p))
        return output.reshape(n, d)
