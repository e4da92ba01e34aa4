"""A diffusion of a ring of modes in the plane, with exact densities before and after tuning."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.estimators._randomness import private_randomness
from dfl.exceptions import InvalidInputError
from dfl.rl.preference.schedule import NoiseSchedule


@final
class Ring:
    """Normal modes at equal distances on a circle, each with a weight.

    Parameters
    ----------
    weights : Tensor of shape (n_modes,), optional
        Of the modes. Default: eight equal ones.
    radius : float, default=1.0
        Of the circle.
    deviation : float, default=0.1
        Of each mode, in both coordinates.

    Raises
    ------
    InvalidInputError
        If a number is not positive, or weights are negative or all zero.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import Ring
    >>> ring = Ring()
    >>> ring.mode_of(torch.tensor([[0.9, 0.1], [0.0, -1.0]]))
    tensor([0, 6])
    >>> ring.log_density(torch.tensor([[1.0, 0.0]]))
    tensor([0.6879])
    """

    def __init__(
        self, weights: Tensor | None = None, radius: float = 1.0, deviation: float = 0.1
    ) -> None:
        weights = torch.ones(8) if weights is None else weights
        if not (radius > 0 and deviation > 0 and (weights >= 0).all() and weights.sum() > 0):
            raise InvalidInputError(
                f"got weights={weights.tolist()}, radius={radius} and deviation={deviation}, "
                "expected numbers that are not negative, and positive ones"
            )
        self.weights = weights / weights.sum()
        self.radius = radius
        self.deviation = deviation
        angles = torch.arange(len(weights)) * (2 * math.pi / len(weights))
        self.centers = radius * torch.stack([angles.cos(), angles.sin()], 1)

    def log_modes(self, x: Tensor, signal: Tensor | float = 1.0) -> Tensor:
        """Return logarithms of weight times density of each mode at x (n, 2), diffused; (n, m)."""
        a = torch.as_tensor(signal, dtype=x.dtype, device=x.device).reshape(-1, 1)
        variance = a * self.deviation**2 + 1 - a
        apart = x[:, None] - a.sqrt()[..., None] * self.centers.to(x)
        density = -(apart**2).sum(2) / (2 * variance) - torch.log(2 * math.pi * variance)
        return density + self.weights.to(x).log()

    def log_density(self, x: Tensor, signal: Tensor | float = 1.0) -> Tensor:
        """Return log-densities (n,) at x (n, 2), after diffusion to a share of signal."""
        return torch.logsumexp(self.log_modes(x, signal), 1)

    def noise(self, x: Tensor, signal: Tensor | float) -> Tensor:
        """Return the noise expected in x (n, 2), which is exact."""
        a = torch.as_tensor(signal, dtype=x.dtype, device=x.device).reshape(-1, 1)
        shares = torch.softmax(self.log_modes(x, a), 1)
        apart = x - a.sqrt() * (shares @ self.centers.to(x))
        return (1 - a).sqrt() * apart / (a * self.deviation**2 + 1 - a)

    def mode_of(self, x: Tensor) -> Tensor:
        """Return the nearest mode of each x (n, 2)."""
        return torch.cdist(x, self.centers.to(x)).argmin(1)

    def shares(self, x: Tensor) -> Tensor:
        """Return the share of samples x (n, 2) in each mode, (m,)."""
        return torch.bincount(self.mode_of(x), minlength=len(self.centers)) / len(x)


@final
class RingReward:
    """Logarithm of the chance that a sample is of some modes, with noise if wanted.

    Parameters
    ----------
    ring : Ring
        The modes.
    modes : tuple of int
        Those that are wanted.
    floor : float, default=0.01
        Chance that counts for the others.
    noise : float, default=0.0
        Standard deviation of what is added to each answer.
    generator : torch.Generator, optional
        Of the noise.

    Notes
    -----
    Tilted by its exponential, the law is a ring again: weights of modes that are not wanted are
    multiplied by ``floor``. See ``target``.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import Ring, RingReward
    >>> reward = RingReward(Ring(), modes=(0, 1))
    >>> reward(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    tensor([ 0.0000, -4.6052])
    >>> reward.target().weights[:3]
    tensor([0.4854, 0.4854, 0.0049])
    """

    def __init__(
        self,
        ring: Ring,
        modes: tuple[int, ...],
        floor: float = 0.01,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        self.ring = ring
        self.modes = modes
        self.floor = floor
        self.noise = noise
        self.generator = generator
        self._worth = torch.full_like(ring.weights, floor)
        self._worth[list(modes)] = 1.0

    def __call__(self, x: Tensor, times: Tensor | None = None, conditions: Any = None) -> Tensor:
        """Judge samples (n, 2)."""
        logs = self.ring.log_modes(x)
        worth = torch.logsumexp(logs + self._worth.to(x).log(), 1)
        values = worth - torch.logsumexp(logs, 1)
        if self.noise:
            drawn = torch.randn(values.shape, generator=self.generator, dtype=values.dtype)
            values = values + self.noise * drawn.to(values.device)
        return values

    def target(self) -> Ring:
        """Return the ring tilted by the exponential of this reward."""
        weights = self.ring.weights * self._worth
        return Ring(weights, self.ring.radius, self.ring.deviation)


@final
class RingDenoiser(nn.Module):
    """The exact denoiser of a ring, plus a small network to be learned that begins at zero.

    Parameters
    ----------
    schedule : NoiseSchedule
        How much noise there is at each time.
    ring : Ring
        Where samples come from before tuning.
    hidden : int, default=64
        Size of the two hidden layers.
    random_state : int, default=0
        Seeds the first weights.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import NoiseSchedule
    >>> from dfl.rl.preference.tasks import Ring, RingDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> denoiser, x = RingDenoiser(schedule, Ring()), torch.ones(1, 2)
    >>> exact = Ring().noise(x, schedule.alphas_cumprod[500].float())
    >>> bool(torch.equal(denoiser(x, torch.tensor([500])), exact))
    True
    """

    def __init__(
        self, schedule: NoiseSchedule, ring: Ring, hidden: int = 64, random_state: int = 0
    ) -> None:
        super().__init__()
        self.alphas: Tensor
        self.ring = ring
        self.register_buffer("alphas", schedule.alphas_cumprod.float())
        with private_randomness(random_state, torch.device("cpu")):
            self.network = nn.Sequential(
                nn.Linear(2 + 6, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, 2),
            )
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, times: Tensor, conditions: Any = None) -> Tensor:
        """Return the noise expected in x (n, 2)."""
        phase = (times / len(self.alphas))[:, None] * x.new_tensor([1.0, 2.0, 4.0]) * math.pi
        told = torch.cat([x, phase.sin(), phase.cos()], 1)
        exact: Tensor = self.ring.noise(x, self.alphas[times])
        return exact + self.network(told)
