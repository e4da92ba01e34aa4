"""A small network that takes noise out of 8 x 8 images, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from dfl.estimators._randomness import private_randomness
from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.montecarlo import WeightedSamples
from dfl.training import train

# channels per group of a normalization
_GROUP = 8
# larger batches take twice as long, since they leave the cache
_AT_ONCE = 1024


@final
class DigitUNet(nn.Module):
    """Predict the noise in small gray images: one halving of the size, and skips over it.

    It needs no optional package, and a batch of 64 images takes a few milliseconds on one core.

    Parameters
    ----------
    channels : int, default=16
        At full size, a multiple of 8; twice as many at half the size.

    Raises
    ------
    InvalidInputError
        If ``channels`` is not.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import DigitUNet
    >>> DigitUNet(8)(torch.zeros(2, 1, 8, 8), torch.tensor([1, 951])).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        if channels < _GROUP or channels % _GROUP:
            raise InvalidInputError(f"got channels={channels}, expected a multiple of {_GROUP}")
        wide = 2 * channels
        self.channels = channels
        self.time = nn.Sequential(nn.Linear(channels, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.enter = nn.Conv2d(1, channels, 3, padding=1)
        self.before = _Residual(channels, channels, wide)
        self.down = nn.Conv2d(channels, wide, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([_Residual(wide, wide, wide), _Residual(wide, wide, wide)])
        self.up = nn.ConvTranspose2d(wide, channels, 2, stride=2)
        self.after = _Residual(wide, channels, wide)
        self.leave = nn.Sequential(
            nn.GroupNorm(channels // _GROUP, channels),
            nn.SiLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Predict the noise.

        Parameters
        ----------
        x : Tensor of shape (n, 1, h, w)
            Noisy images; h and w are even.
        t : Tensor of int of shape (n,)
            How noisy each is: a time step of the schedule it is trained with.
        condition : None
            It has none.

        Returns
        -------
        Tensor of shape (n, 1, h, w)
            The noise that is predicted.
        """
        del condition
        if len(x) > _AT_ONCE and not torch.is_grad_enabled():
            parts = zip(x.split(_AT_ONCE), t.split(_AT_ONCE), strict=True)  # type: ignore[no-untyped-call]
            return torch.cat([self(*part) for part in parts])
        time = self.time(_waves(t, self.channels).to(x.dtype))
        fine = self.before(self.enter(x), time)
        coarse = self.down(fine)
        for block in self.middle:
            coarse = block(coarse, time)
        left: Tensor = self.leave(self.after(torch.cat([self.up(coarse), fine], 1), time))
        return left


@final
class _Residual(nn.Module):
    """Two convolutions, told the time between them, beside a shortcut."""

    def __init__(self, channels: int, out: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(channels // _GROUP, channels),
            nn.SiLU(),
            nn.Conv2d(channels, out, 3, padding=1),
        )
        self.told = nn.Linear(time, out)
        self.second = nn.Sequential(
            nn.GroupNorm(out // _GROUP, out), nn.SiLU(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.first(x) + self.told(functional.silu(time))[:, :, None, None]
        found: Tensor = self.shortcut(x) + self.second(hidden)
        return found


def _waves(t: Tensor, size: int) -> Tensor:
    """Return sines and cosines of times, (n, size), at wavelengths from 2 pi to 20 000 pi."""
    half = size // 2
    rates = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000.0) / half))
    angles = t[:, None].to(rates.dtype) * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


@final
@dataclass(frozen=True)
class _Noisy:
    """What a denoiser is given."""

    x: Tensor
    t: Tensor

    def __len__(self) -> int:
        return len(self.t)


@final
class _NoisyImages:
    """A Source: every image once an epoch, each as noisy as a time step drawn for it says."""

    def __init__(self, images: Tensor, alphas_cumprod: Tensor, batch_size: int) -> None:
        self.images = images
        self.kept = alphas_cumprod.to(images)
        self.batch_size = batch_size

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[_Noisy, WeightedSamples]]:
        """Yield noisy images, and the noise that is to be found in them."""
        del model
        order = torch.randperm(len(self.images), generator=generator)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size].to(self.images.device)
            clean, n = self.images[rows], len(rows)
            noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype).to(clean)
            t = torch.randint(len(self.kept), (n,), generator=generator).to(clean.device)
            kept = self.kept[t][:, None, None, None]
            x = kept.sqrt() * clean + (1 - kept).sqrt() * noise
            yield _Noisy(x, t), WeightedSamples(noise[:, None], noise.new_ones(n, 1))


@final
class _Training(nn.Module):
    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, noisy: _Noisy) -> Tensor:
        found: Tensor = self.denoiser(noisy.x, noisy.t)
        return found


def _closeness(output: Tensor, noise: Tensor) -> Tensor:
    """Return the log-likelihood (n, 1) of the noise, up to constants, a mean over the pixels."""
    return -((output[:, None] - noise) ** 2).flatten(2).mean(2)


def train_digit_denoiser(
    images: Tensor,
    alphas_cumprod: Tensor,
    *,
    channels: int = 16,
    max_iter: int = 200,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> DigitUNet:
    """Train a ``DigitUNet`` to find the noise in images.

    Parameters
    ----------
    images : Tensor of shape (n, 1, h, w)
        Clean images, from -1 to 1.
    alphas_cumprod : Tensor of shape (n_times,)
        Share of the variance that is left of an image at each time step.
    channels : int, default=16
        See ``DigitUNet``.
    max_iter, batch_size, learning_rate : default=200, 64 and 3e-3
        Epochs, images a batch, and the first rate of Adam, which falls along a cosine.
    seed : int, default=0
        Seeds the weights and all noise.

    Returns
    -------
    DigitUNet
        In evaluation mode.

    Notes
    -----
    It minimizes the mean squared error of the noise at times drawn uniformly, the simplified
    variational bound.

    References
    ----------
    Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv 2006.11239.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import train_digit_denoiser
    >>> images, kept = torch.zeros(8, 1, 8, 8), torch.linspace(0.9, 0.1, 10)
    >>> denoiser = train_digit_denoiser(images, kept, channels=8, max_iter=1)
    >>> denoiser.training
    False
    """
    with private_randomness(seed, images.device):
        denoiser = DigitUNet(channels).to(images)
    train(
        _Training(denoiser),
        WeightedLikelihoodLoss(log_prob=_closeness),
        _NoisyImages(images, alphas_cumprod, batch_size),
        max_iter=max_iter,
        learning_rate=learning_rate,
        schedule="cosine",
        seed=seed,
    )
    return denoiser.eval()
