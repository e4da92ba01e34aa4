"""Adversaries that climb along signs of gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.adversary.base import AbstractAdversary, Map, Victim, drawing, normal, uniform
from dfl.adversary.harm import checked_harm, harm_to
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget

_METHODS = ("sgld", "pgd", "signs")
# a divergence has no slope at the input itself, a value has one, and a loss is the roughest
_USUAL = {"kl": "sgld", "value": "signs", "surrogate": "pgd"}


@final
@dataclass(frozen=True)
class GradientAdversary(AbstractAdversary):
    r"""Climbs the harm by steps along the signs of its gradient.

    Parameters
    ----------
    epsilon : float
        Radius of the ball in the largest-coordinate norm.
    harm : {"kl", "value", "surrogate"}, default="surrogate"
        What grows: the divergence of the policy from that at the true input, minus the value, or
        the loss.
    steps : int, default=10
        Gradients for each input.
    method : {"sgld", "pgd", "signs"}, optional
        Langevin dynamics from a corner that is drawn, projected ascent from a point that is drawn,
        or ascent from the input itself, without randomness. Default: the first for ``"kl"``, the
        second for ``"surrogate"`` and the third for ``"value"``, as the literature does.
    temperature : float, default=1e-5
        Of the noise of ``"sgld"``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    With K steps and radius r::

        x <- clamp(x + (r / K) sign(g + z sqrt(2 t r / K) / (i + 2)))     sgld, z normal
        x <- clamp(x + (2 r / K) sign(g))                                 pgd: crosses the ball
        x <- clamp(x + (r / K) sign(g))                                   signs

    The divergence is smallest at the input itself and has gradient zero there: ``"signs"`` does
    not move it, and a start that is drawn is required. ``"sgld"`` starts r / K away from the input
    and so stops short of the radius by as much where it started on the wrong side.

    References
    ----------
    Madry, Makelov, Schmidt, Tsipras & Vladu, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", ICLR 2018, arXiv 1706.06083.
    Zhang et al., "Robust Deep Reinforcement Learning against Adversarial Perturbations on State
    Observations", NeurIPS 2020, arXiv 2003.08938.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Normal
    >>> from dfl.adversary import GradientAdversary, Victim
    >>> victim = Victim(law=lambda x: Normal(2 * x, 0.5))
    >>> moved = GradientAdversary(0.1, "kl").perturb(
    ...     torch.zeros(1, 1), victim, torch.Generator().manual_seed(0)
    ... )
    >>> moved.abs()
    tensor([[0.1000]])
    """

    epsilon: float
    harm: str = "surrogate"
    steps: int = 10
    method: str | None = None
    temperature: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse parameters out of their ranges."""
        super().__post_init__()
        checked_harm(self.harm, "GradientAdversary")
        if self.method not in (None, *_METHODS):
            raise InvalidInputError(
                f"GradientAdversary: got method={self.method!r}, expected one of: "
                + ", ".join(_METHODS)
            )
        if self.steps < 1 or not self.temperature >= 0:
            raise InvalidInputError(
                f"GradientAdversary: got steps={self.steps} and temperature={self.temperature}, "
                "expected at least 1 and at least 0"
            )

    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        harm = harm_to(victim, self.harm, inputs)
        step = radius / self.steps
        offset = torch.zeros_like(inputs)
        noise = 0.0
        method = self.method or _USUAL[self.harm]
        if method == "sgld":
            offset = step * normal(inputs, drawing(self, generator)).sign()
            noise = math.sqrt(2 * step * self.temperature)
        elif method == "pgd":
            offset, step = radius * uniform(inputs, drawing(self, generator)), 2 * step
        budget.charge("attack_gradients", self.steps * len(inputs))
        for i in range(self.steps):
            slope = _slope(harm, inputs + offset)
            if noise:
                slope = slope + normal(inputs, drawing(self, generator)) * noise / (i + 2)
            offset = (offset + step * slope.sign()).clamp(-radius, radius)
        return inputs + offset


def _slope(harm: Map, inputs: Tensor) -> Tensor:
    """Gradient of the sum of the harm in the inputs, and in nothing else."""
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        total = harm(leaf).sum()
        # a harm that does not depend on the inputs has no slope
        slope = (
            torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
        )
    return torch.zeros_like(inputs) if slope is None else slope.nan_to_num(0.0)
