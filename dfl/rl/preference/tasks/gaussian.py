"""A diffusion of a normal law: everything about it is known exactly."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from dfl._validation import check_above_zero
from dfl.exceptions import InvalidInputError
from dfl.rl.preference.schedule import NoiseSchedule


@final
class GaussianDenoiser(nn.Module):
    """The exact denoiser of a normal law with equal variances, plus a bias per time to be learned.

    Parameters
    ----------
    schedule : NoiseSchedule
        How much noise there is at each time.
    times : Tensor of int64 of shape (n_steps,), optional
        Those that have a bias of their own. Default: none of them is trained.
    shape : tuple of int, default=(16,)
        Of a sample.
    mean, deviation : float, default=0.0 and 1.0
        Of each coordinate.

    Notes
    -----
    For signal a, mean m and deviation s the noise expected in x is
    ``sqrt(1 - a) (x - sqrt(a) m) / (a s^2 + 1 - a)``. A reward that is linear shifts m, which a
    bias per time expresses exactly; see ``tilted_noise``.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import NoiseSchedule
    >>> from dfl.rl.preference.tasks import GaussianDenoiser
    >>> denoiser = GaussianDenoiser(NoiseSchedule.linear(), shape=(2,))
    >>> denoiser(torch.ones(1, 2), torch.tensor([500]))
    tensor([[0.9603, 0.9603]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        times: Tensor | None = None,
        *,
        shape: tuple[int, ...] = (16,),
        mean: float = 0.0,
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        check_above_zero(self, deviation=deviation)
        self.rows: Tensor
        self.alphas: Tensor
        self.mean = mean
        self.deviation = deviation
        alphas = schedule.alphas_cumprod
        # times without a bias share a row that is added to none
        rows = torch.zeros(len(alphas), dtype=torch.int64)
        n_rows = 0 if times is None else len(times)
        if times is not None:
            rows[times] = torch.arange(1, n_rows + 1)
        self.bias = nn.Parameter(torch.zeros(n_rows + 1, *shape))
        self.register_buffer("rows", rows)
        self.register_buffer("alphas", alphas.to(self.bias.dtype))

    def forward(self, x: Tensor, times: Tensor, conditions: Any = None) -> Tensor:
        """Return the noise expected in x (n, ...)."""
        a = self.alphas[times].reshape(-1, *(1,) * (x.ndim - 1))
        noise = gaussian_noise(x, a, self.mean, self.deviation)
        rows = self.rows[times]
        known = (rows > 0).reshape(a.shape)
        return noise + torch.where(known, self.bias[rows], 0.0)


def gaussian_noise(x: Tensor, signal: Tensor | float, mean: float, deviation: float) -> Tensor:
    """Return the noise expected in x of a diffused normal law.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Diffused samples.
    signal : Tensor or float
        Share of the variance that is signal, of a shape to multiply x with.
    mean, deviation : float
        Of each coordinate of the law.

    Returns
    -------
    Tensor of shape (n, ...)
        Expected noise.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import gaussian_noise
    >>> gaussian_noise(torch.tensor([1.0]), 0.5, mean=0.0, deviation=1.0)
    tensor([0.7071])
    """
    a = torch.as_tensor(signal, dtype=x.dtype, device=x.device)
    return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * deviation**2 + 1 - a)


def tilted_noise(
    signal: Tensor | float, slope: Tensor, deviation: float = 1.0, temperature: float = 1.0
) -> Tensor:
    r"""Return how the noise changes where a linear reward tilts a normal law.

    Parameters
    ----------
    signal : Tensor or float
        Share of the variance that is signal.
    slope : Tensor
        Of the reward, ``r(x) = slope . x``.
    deviation : float, default=1.0
        Of the normal law.
    temperature : float, default=1.0
        The density is multiplied by ``exp(r / temperature)``.

    Returns
    -------
    Tensor
        The exact guidance, the same for every x: ``-sqrt(1 - a) (slope / temperature) sqrt(a) s^2 /
        (a s^2 + 1 - a)``.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import tilted_noise
    >>> tilted_noise(0.3, torch.tensor([0.8]), deviation=1.5, temperature=2.0)
    tensor([-0.3000])
    """
    a = torch.as_tensor(signal, dtype=slope.dtype, device=slope.device)
    shrink = a.sqrt() * deviation**2 / (a * deviation**2 + 1 - a)
    return -(1 - a).sqrt() * shrink * slope / temperature


@final
class DistanceReward:
    """Minus the mean squared distance to a center, with noise if wanted.

    Parameters
    ----------
    center : Tensor of the shape of a sample
        Where the reward is largest.
    noise : float, default=0.0
        Standard deviation of what is added to each answer.
    generator : torch.Generator, optional
        Of the noise.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import DistanceReward
    >>> DistanceReward(torch.tensor([2.0, 0.0]))(torch.zeros(1, 2))
    tensor([-2.])
    """

    def __init__(
        self, center: Tensor, noise: float = 0.0, generator: torch.Generator | None = None
    ) -> None:
        self.center = center
        self.noise = noise
        self.generator = generator

    def __call__(self, x: Tensor, times: Tensor | None = None, conditions: Any = None) -> Tensor:
        """Judge samples (n, ...)."""
        if x.shape[1:] != self.center.shape:
            raise InvalidInputError(
                f"DistanceReward: got samples of shape {tuple(x.shape[1:])} and a center of shape "
                f"{tuple(self.center.shape)}, expected the same"
            )
        values = -((x - self.center.to(x)) ** 2).flatten(1).mean(1)
        if self.noise:
            values = values + self.noise * torch.randn(
                values.shape, generator=self.generator, dtype=values.dtype
            ).to(values.device)
        return values
