"""What every adversary keeps to, and what it may use of the model that it attacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget

Map = Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class Victim:
    """What an adversary may use of the model that it attacks: functions of a batch of inputs.

    Attributes
    ----------
    law : callable, optional
        From inputs (n, ...) to a ``torch.distributions.Distribution`` with n rows: how a policy
        acts there. What ``"kl"`` attacks.
    value : callable, optional
        From inputs to what the model expects to earn there, (n,). What ``"value"`` attacks.
    surrogate : callable, optional
        From inputs to the loss of each, (n,), with the truth of the n instances in it. What
        ``"surrogate"`` attacks.

    Examples
    --------
    >>> import torch
    >>> from dfl.adversary import GradientAdversary, Victim
    >>> victim = Victim(value=lambda x: -x.sum(1))
    >>> GradientAdversary(0.1, "value", method="signs").perturb(torch.zeros(1, 2), victim)
    tensor([[0.1000, 0.1000]])
    """

    law: Callable[[Tensor], Distribution] | None = None
    value: Map | None = None
    surrogate: Map | None = None


class AbstractAdversary(ABC):
    """Moves inputs within a ball, to where they hurt most.

    A leaf writes ``_perturb``. What every adversary keeps to is here, once: no coordinate moves by
    more than the radius, a radius of zero returns the inputs themselves, and no gradient flows
    back through what is found, nor is any left on a model's parameters.

    Attributes
    ----------
    epsilon : float
        Radius of the ball in the largest-coordinate norm, in the units of the inputs, which should
        be standardized.
    """

    epsilon: float

    def __post_init__(self) -> None:
        """Refuse a radius that is none."""
        if not 0 <= self.epsilon < float("inf"):
            raise InvalidInputError(
                f"{type(self).__name__}: got epsilon={self.epsilon}, expected a finite number of "
                "at least 0"
            )

    @final
    def perturb(
        self,
        inputs: Tensor,
        victim: Victim | None = None,
        generator: torch.Generator | None = None,
        *,
        strength: float = 1.0,
        budget: Budget | None = None,
    ) -> Tensor:
        """Return the inputs as the model is to see them.

        Parameters
        ----------
        inputs : Tensor of shape (n, ...)
            What the model would see without an adversary.
        victim : Victim, optional
            The attacked model; the adversaries that look at none do without.
        generator : torch.Generator, optional
            All randomness comes from it; adversaries that draw need it.
        strength : float, default=1.0
            From 0 to 1: what share of ``epsilon`` the radius is.
        budget : Budget, optional
            Is charged one of ``attack_gradients`` for each gradient in each input, and one of
            ``attack_evaluations`` for each evaluation without.

        Returns
        -------
        Tensor of the shape of ``inputs``
            Without gradient.

        Raises
        ------
        InvalidInputError
            If the strength is not between 0 and 1, or the adversary needs what it is not given.
        BudgetError
            If the budget has no room for the attack.
        """
        if not 0 <= strength <= 1:
            raise InvalidInputError(f"got strength={strength}, expected a number from 0 to 1")
        inputs = inputs.detach()
        radius = self.epsilon * strength
        if radius == 0 or len(inputs) == 0:
            return inputs
        found = self._perturb(inputs, victim or Victim(), generator, radius, budget or Budget())
        # an offset that is no number moves nothing
        offset = (found.detach() - inputs).nan_to_num(0.0, 0.0, 0.0)
        return inputs + offset.clamp(-radius, radius)

    @abstractmethod
    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        """Return inputs (n, ...) near those given; ``perturb`` cuts them to the ball."""


def drawing(adversary: AbstractAdversary, generator: torch.Generator | None) -> torch.Generator:
    """Return the generator; refuse to draw without one."""
    if generator is None:
        raise InvalidInputError(
            f"{type(adversary).__name__} draws: got generator=None, expected a torch.Generator"
        )
    return generator


def uniform(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Draw numbers from -1 to 1 of the shape of the inputs, where the generator is."""
    drawn = torch.rand(inputs.shape, generator=generator, device=generator.device)
    return (2 * drawn - 1).to(inputs)


def normal(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers of the shape of the inputs, where the generator is."""
    return torch.randn(inputs.shape, generator=generator, device=generator.device).to(inputs)
