"""A denoiser guided by the gradient of a reward at each step of sampling."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.preference.learner import predict
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.transition import DDIMTransition


@final
class GuidedDenoiser(nn.Module):
    r"""Follow the gradient of a reward while sampling: classifier guidance, without training.

    It needs a reward that can be differentiated, and asks it at every step of every sample: a bound
    on what learned guidance can do rather than a rival.

    Parameters
    ----------
    denoiser : nn.Module
        What is guided; it is not changed.
    transition : DDIMTransition
        Its times are the only ones known.
    reward : callable
        See ``StepwisePreferenceTuner``; it is asked for what is expected to become of x.
    scale : float, default=1.0
        Inverse of the temperature of the law that is aimed at.
    budget : Budget, optional
        Is charged ``"reward_queries"``.

    Notes
    -----
    The noise is ``e - scale sqrt(1 - a) grad_x r(E[x_0 | x])`` for signal a. The exact term has the
    logarithm of ``E[exp(scale r(x_0)) | x]`` in place of ``scale r``, which is the same only for a
    linear reward of a normal law.

    References
    ----------
    Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021, arXiv
    2105.05233.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, GuidedDenoiser, NoiseSchedule, sample
    >>> from dfl.rl.preference.tasks import GaussianDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> steps, denoiser = DDIMTransition.of(schedule), GaussianDenoiser(schedule, shape=(1,))
    >>> guided = GuidedDenoiser(denoiser, steps, lambda x, times, conditions: x[:, 0], scale=2.0)
    >>> drawn = sample(guided, steps, (1,), 500, generator=torch.Generator().manual_seed(0))
    >>> 1.5 < float(drawn.mean()) < 2.5
    True
    """

    def __init__(
        self,
        denoiser: nn.Module,
        transition: DDIMTransition,
        reward: Reward,
        *,
        scale: float = 1.0,
        budget: Budget | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.transition = transition
        self.reward = counted_reward(reward, Budget() if budget is None else budget)
        self.scale = scale

    def forward(self, x: Tensor, times: Tensor, conditions: Any = None) -> Tensor:
        """Return what the denoiser predicts, guided, of the shape of x."""
        known = times[:, None] == self.transition.times.to(times.device)
        if not known.any(1).all():
            raise InvalidInputError(
                f"GuidedDenoiser: got time {int(times[~known.any(1)][0])}, expected those of its "
                "transition"
            )
        steps = known.int().argmax(1)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            noise = predict(self.denoiser, self.transition, x, steps, conditions)
            value = self.reward(self.transition.clean(x, noise, steps), times, conditions).sum()
            (slope,) = torch.autograd.grad(value, x)
        spread = (1 - self.transition.at(self.transition.signal, steps, x)).sqrt()
        guided = noise.detach() - self.scale * spread * slope
        return self.transition.output(guided, x.detach(), steps)
