"""A predictor that reads the cost of each cell of a grid off an image."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.estimators._randomness import generator_of
from dfl.exceptions import InvalidInputError


@final
class GridConvolution(nn.Module):
    """Read the costs of the cells of a grid off an image, by a small convolutional network.

    Give it to ``DecisionFocusedRegressor`` as ``predictor`` where a row of features is an image and
    costs belong to places on it. Costs come out positive, as shortest paths need them.

    Parameters
    ----------
    grid : (int, int)
        Cells down and across.
    image_shape : (int, int, int)
        Height, width and colors of the image, in pixels; at least twice as high and wide as the
        grid has cells.
    n_channels : int, default=16
        Width of the network.
    random_state : int, Generator, RandomState or None
        Of the first weights.

    Raises
    ------
    InvalidInputError
        If a size is below one or the image too small.

    Notes
    -----
    The first layers of a residual network, as in the published experiments, made small: a
    convolution of stride two, a residual block of two more, the maximum over the pixels of each
    cell, a linear layer shared over the cells, and ``log(1 + exp(.))``, which starts at costs of
    one.

    Rows are read pixel by pixel, row by row, the colors of a pixel together, as ``make_terrain``
    and ``fetch_warcraft_maps`` of ``dfl.datasets`` give them.

    References
    ----------
    Vlastelica et al., "Differentiation of Blackbox Combinatorial Solvers", ICLR 2020,
    arXiv 1912.02175; He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv 1512.03385.

    Examples
    --------
    >>> from dfl import DecisionFocusedRegressor
    >>> from dfl.datasets import make_terrain
    >>> from dfl.estimators import GridConvolution
    >>> data = make_terrain(40, size=4, tile_size=4, random_state=0)
    >>> network = GridConvolution(data.grid, data.image_shape, random_state=0)
    >>> model = DecisionFocusedRegressor(data.oracle, "squared", network, max_iter=2)
    >>> model.fit(data.X[:30], data.C[:30]).decide(data.X[30:]).shape
    (10, 16)
    """

    def __init__(
        self,
        grid: tuple[int, int],
        image_shape: tuple[int, int, int],
        n_channels: int = 16,
        random_state: Any = None,
    ) -> None:
        super().__init__()
        rows, cols = grid
        height, width, colors = image_shape
        if min(rows, cols, colors, n_channels) < 1 or height < 2 * rows or width < 2 * cols:
            raise InvalidInputError(
                f"GridConvolution: got grid={grid}, image_shape={image_shape} and "
                f"n_channels={n_channels}, expected numbers of at least 1 and an image of at least "
                "two pixels a cell"
            )
        self.image_shape = image_shape
        self.first = nn.Conv2d(colors, n_channels, 5, stride=2, padding=2)
        self.second = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.third = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.pool = nn.AdaptiveMaxPool2d(grid)
        self.last = nn.Conv2d(n_channels, 1, 1)
        draws = torch.Generator().manual_seed(int(generator_of(random_state).integers(2**62)))
        with torch.no_grad():
            for layer in (self.first, self.second, self.third, self.last):
                weight, bias = layer.parameters()
                bound = 1 / math.sqrt(weight[0].numel())
                weight.uniform_(-bound, bound, generator=draws)
                bias.fill_(math.log(math.e - 1) if layer is self.last else 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Predict costs (n, rows * cols) of images (n, height * width * colors)."""
        images = inputs.reshape(len(inputs), *self.image_shape).permute(0, 3, 1, 2)
        seen = torch.relu(self.first(images))
        seen = torch.relu(seen + self.third(torch.relu(self.second(seen))))
        costs: Tensor = nn.functional.softplus(self.last(self.pool(seen)))
        return costs.flatten(1)
