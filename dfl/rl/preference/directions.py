"""In which direction a step should have gone: what is made of the values of candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import standardized
from dfl.rl.preference.pairs import pair_extremes


@final
@dataclass(frozen=True)
class Direction:
    """How candidates are drawn, and how their values weigh their noise.

    The direction itself is ``dfl.montecarlo.direction(noise, weights)``, the code of perturbed
    optimizers.

    Attributes
    ----------
    name : str
    weigh : callable
        From values (n, k) to weights (n, k); rows of zeros have nothing to say.
    antithetic : bool
        Draw candidates in pairs of opposite noise.
    exact : bool
        The gradient of the values replaces ``weigh``; they must be differentiable.
    """

    name: str
    weigh: Callable[[Tensor], Tensor]
    antithetic: bool = False
    exact: bool = False

    def draw(self, n: int, k: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw standard normal noise (n, k, ...) on the CPU, whatever the device of the model."""
        if not self.antithetic:
            return torch.randn(n, k, *shape, generator=generator, dtype=torch.float64)
        half = torch.randn(n, k // 2, *shape, generator=generator, dtype=torch.float64)
        return torch.cat([half, -half], 1)


def winner(values: Tensor, threshold: float = 0.0) -> Tensor:
    """Weight one at the best candidate, zero elsewhere: what the pair improves on.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth.
    threshold : float, default=0.0
        As that of ``dfl.rl.preference.pair_extremes``.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import winner
    >>> winner(torch.tensor([[0.0, 3.0, -1.0], [2.0, 2.0, 2.0]]))
    tensor([[0., 1., 0.],
            [0., 0., 0.]])
    """
    return 2 * pair_extremes(values, threshold=threshold).clamp(min=0)


def make_direction(name: str, k: int, threshold: float = 0.0) -> Direction:
    """Return the direction of a name.

    Parameters
    ----------
    name : {"pair", "winner", "all", "antithetic", "gradient"}
        Half the noise of the best candidate less that of the worst; the noise of the best; the mean
        of the noise of all, weighted by standardized values; the same from pairs of opposite noise;
        or the gradient of the value with length one, which is what the mean of all tends to.
    k : int
        Number of candidates.
    threshold : float, default=0.0
        From 0 up to 1. For the first two: a pair counts if ``tanh((best - worst) / 2)`` is above.

    Returns
    -------
    Direction
        How candidates of that name are drawn and weighed.

    Raises
    ------
    InvalidInputError
        If there is no such direction, k does not fit it, or ``threshold`` is out of its range.

    Notes
    -----
    For a linear value along the unit vector u the mean is a multiple of u: by the expected largest
    of k standard normals for the first two. Orthogonal to u, each coordinate has variance 1/2 for
    the pair, 1 for the winner and 1/k for all.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import make_direction
    >>> make_direction("all", k=2).weigh(torch.tensor([[1.0, 0.0]]))
    tensor([[ 0.5000, -0.5000]])
    """
    least = 1 if name == "gradient" else 2
    if k < least or (name == "antithetic" and k % 2):
        even = "an even number, " if name == "antithetic" else ""
        raise InvalidInputError(
            f"got n_candidates={k}, expected {even}at least {least} for the direction {name!r}"
        )

    if not 0 <= threshold < 1:
        raise InvalidInputError(
            f"got threshold={threshold}, expected a number from 0 up to 1: tanh is never above 1"
        )

    def everyone(values: Tensor) -> Tensor:
        return standardized(values) / k

    found = {
        "pair": Direction("pair", lambda values: pair_extremes(values, threshold=threshold)),
        "winner": Direction("winner", lambda values: winner(values, threshold)),
        "all": Direction("all", everyone),
        "antithetic": Direction("antithetic", everyone, antithetic=True),
        "gradient": Direction("gradient", everyone, exact=True),
    }
    if name not in found:
        raise InvalidInputError(f"got direction={name!r}, expected one of {', '.join(found)}")
    return found[name]


def steepest(values: Tensor, x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the gradient of values as the noise of a pair of opposite candidates, and weights.

    Parameters
    ----------
    values : Tensor of shape (n k,)
        With a gradient.
    x : Tensor of shape (n k, ...)
        What they come from: k candidates for each of n steps.
    shape : tuple of int
        ``(n, k, ...)``.

    Returns
    -------
    tuple of Tensor
        Of shape (n, 2, ...), the mean of k gradients with length one and its opposite; and of shape
        (n, 2), a half and minus a half, or zeros where the mean is zero.

    Raises
    ------
    InvalidInputError
        If there is no gradient, or it is not finite.
    """
    slopes = None
    if values.requires_grad:
        (slopes,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
    if slopes is None:
        raise InvalidInputError(
            "direction='gradient' needs a reward that can be differentiated: got values without a "
            "gradient; use another direction, such as 'all'"
        )
    wrong = (~slopes.isfinite()).nonzero()
    if len(wrong):
        raise InvalidInputError(
            f"direction='gradient': the gradient of the reward of candidate {int(wrong[0][0])} is "
            "not finite, expected finite numbers"
        )
    ahead = slopes.reshape(shape).mean(1)
    length = ahead.flatten(1).norm(dim=1).reshape(-1, *(1,) * (ahead.ndim - 1))
    ahead = torch.where(length > 0, ahead / length, torch.zeros_like(ahead))
    weights = (length > 0).reshape(-1, 1) * x.new_tensor([0.5, -0.5])
    return torch.stack([ahead, -ahead], 1), weights
