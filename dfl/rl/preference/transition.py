"""The steps of a sampler of diffusion models, batched, with their likelihoods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor

from dfl._validation import check_share
from dfl.exceptions import UnsupportedError
from dfl.rl.preference.schedule import read_schedule


@final
@dataclass(frozen=True)
class DDIMTransition:
    r"""The steps from noise to a sample: normal laws whose means the denoiser says.

    Batched over steps as well: row i of a batch may be at another step than row j, which
    schedulers of diffusers do not do; the result of a step is the same as theirs.

    Attributes
    ----------
    times : Tensor of int64 of shape (n_steps,)
        What the denoiser is told, falling.
    signal, next_signal : Tensor of float64 of shape (n_steps,)
        Share of the variance that is signal before and after each step.
    deviations : Tensor of float64 of shape (n_steps,)
        Standard deviation s of each step.
    prediction_type : str
        What the denoiser predicts; ``noise`` turns it into noise.

    Notes
    -----
    With a and p the signal before and after a step, and e the noise predicted,

    .. math::

        s^2 = \eta^2 \frac{1 - p}{1 - a} \Bigl(1 - \frac{a}{p}\Bigr), \qquad
        \mu = \sqrt{p / a}\, x - C e, \qquad
        C = \sqrt{p (1 - a) / a} - \sqrt{1 - p - s^2} .

    References
    ----------
    Song, Meng & Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, arXiv 2010.02502.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule
    >>> steps = DDIMTransition.of(NoiseSchedule.linear(), n_steps=4)
    >>> x, predicted = torch.ones(2, 3), torch.zeros(2, 3)
    >>> steps.mean(x, predicted, torch.tensor([0, 3]))[:, 0]
    tensor([4.8675, 1.0001])
    """

    times: Tensor
    signal: Tensor
    next_signal: Tensor
    deviations: Tensor
    prediction_type: str = "epsilon"

    @classmethod
    def of(cls, scheduler: Any, n_steps: int = 20, eta: float = 1.0) -> Self:
        """Return the steps of a scheduler.

        Parameters
        ----------
        scheduler : NoiseSchedule or diffusers.DDIMScheduler
            What says how much noise there is at each time.
        n_steps : int, default=20
            Number of steps.
        eta : float, default=1.0
            Share of the noise of the full diffusion that each step adds, from 0 to 1.

        Raises
        ------
        InvalidInputError, UnsupportedError
            If a number is out of range, or the scheduler clips, has no signal at some time, or is
            of another kind.
        """
        times, signal, after, kind = read_schedule(scheduler, n_steps)
        return cls._made(times, signal, after, kind, eta)

    def with_eta(self, eta: float) -> DDIMTransition:
        """Return the same steps with another share of noise."""
        return self._made(self.times, self.signal, self.next_signal, self.prediction_type, eta)

    @classmethod
    def _made(cls, times: Tensor, signal: Tensor, after: Tensor, kind: str, eta: float) -> Self:
        check_share("DDIMTransition", eta=eta)
        variance = (1 - after) / (1 - signal) * (1 - signal / after)
        return cls(times, signal, after, eta * variance.clamp(min=0).sqrt(), kind)

    def to_dict(self) -> dict[str, Any]:
        """Return lists and a name, of which ``from_dict`` makes the same."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: v.tolist() if isinstance(v, Tensor) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DDIMTransition:
        """Make the steps that ``to_dict`` described."""
        made: dict[str, Any] = {}
        for name, value in values.items():
            dtype = torch.int64 if name == "times" else torch.float64
            made[name] = value if isinstance(value, str) else torch.tensor(value, dtype=dtype)
        return cls(**made)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def slopes(self) -> Tensor:
        """How much the mean of each step falls with the noise predicted: C, shape (n_steps,)."""
        p, a = self.next_signal, self.signal
        return (p * (1 - a) / a).sqrt() - (1 - p - self.deviations**2).clamp(min=0).sqrt()

    def noise(self, output: Tensor, x: Tensor, steps: Tensor | int) -> Tensor:
        """Return the noise that a denoiser's output says is in x, whatever it predicts."""
        if self.prediction_type == "epsilon":
            return output
        a = self.at(self.signal, steps, x)
        if self.prediction_type == "v_prediction":
            return a.sqrt() * output + (1 - a).sqrt() * x
        return (x - a.sqrt() * output) / (1 - a).sqrt()

    def output(self, noise: Tensor, x: Tensor, steps: Tensor | int) -> Tensor:
        """Return what a denoiser has to predict to say this: the way back from ``noise``."""
        if self.prediction_type == "epsilon":
            return noise
        a = self.at(self.signal, steps, x)
        if self.prediction_type == "v_prediction":
            return (noise - (1 - a).sqrt() * x) / a.sqrt()
        return self.clean(x, noise, steps)

    def clean(self, x: Tensor, noise: Tensor, steps: Tensor | int) -> Tensor:
        """Return what is left of x (n, ...) without the noise in it."""
        a = self.at(self.signal, steps, x)
        return (x - (1 - a).sqrt() * noise) / a.sqrt()

    def mean(self, x: Tensor, noise: Tensor, steps: Tensor | int) -> Tensor:
        """Return the mean of the next x, for noise (n, ...) predicted in x at given steps.

        Parameters
        ----------
        x, noise : Tensor of shape (n, ...)
            The samples, and the noise predicted in them.
        steps : int or Tensor of int64 of shape (n,)
            Numbers of steps, from 0.

        Returns
        -------
        Tensor of shape (n, ...)
            Means of the next samples.
        """
        p, a = self.next_signal, self.signal
        return self.at((p / a).sqrt(), steps, x) * x - self.at(self.slopes, steps, x) * noise

    def step(self, x: Tensor, noise: Tensor, steps: Tensor | int, drawn: Tensor) -> Tensor:
        """Return the next x for the drawn standard normal noise."""
        return self.mean(x, noise, steps) + self.at(self.deviations, steps, x) * drawn

    def log_prob(self, offset: Tensor, steps: Tensor | int) -> Tensor:
        """Return mean log-densities of steps, over the coordinates of an event.

        The mean rather than the sum is what published code clips and scales.

        Parameters
        ----------
        offset : Tensor of shape (n, k, ...)
            The k candidates of the next x, less the mean of the step.
        steps : int or Tensor of int64 of shape (n,)
            Numbers of the steps.

        Returns
        -------
        Tensor of shape (n, k)
            Mean log-density of each candidate.

        Raises
        ------
        UnsupportedError
            If a step has no noise: its law has no density.

        Examples
        --------
        >>> import torch
        >>> from dfl.rl.preference import DDIMTransition
        >>> half = torch.tensor([0.5], dtype=torch.float64)
        >>> steps = DDIMTransition(torch.tensor([1]), half, half, deviations=half)
        >>> steps.log_prob(torch.tensor([[[0.3]]]), 0)
        tensor([[-0.4058]])
        """
        deviation = self.at(self.deviations, steps, offset)
        if not (deviation > 0).all():
            raise UnsupportedError(
                "a step without noise has no density: got a standard deviation of 0 (eta=0, or the "
                "last step of a scheduler with set_alpha_to_one=True)"
            )
        density = -(offset**2) / (2 * deviation**2) - deviation.log() - 0.5 * math.log(2 * math.pi)
        return density.flatten(2).mean(2)

    def divergence(self, apart: Tensor, steps: Tensor | int) -> Tensor:
        """Return the divergence of a step from another, (n,), for their difference of noise.

        Kullback-Leibler divergence ``C^2 |e - e'|^2 / (2 s^2)`` in nats; 0 for steps without noise,
        where it is not defined.
        """
        rate = torch.where(self.deviations > 0, self.slopes / self.deviations, 0.0)
        return 0.5 * ((self.at(rate, steps, apart) * apart) ** 2).flatten(1).sum(1)

    def at(self, values: Tensor, steps: Tensor | int, like: Tensor) -> Tensor:
        """Return values (n_steps,) at some steps, in a shape to multiply rows of a batch with."""
        if isinstance(steps, int):
            return torch.as_tensor(float(values[steps]), dtype=like.dtype, device=like.device)
        picked = values.to(device=like.device, dtype=like.dtype)[steps]
        return picked.reshape(-1, *(1,) * (like.ndim - 1))
