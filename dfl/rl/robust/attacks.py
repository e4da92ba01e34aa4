"""Who moves what a trained policy sees, to judge it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor

from dfl.adversary import AbstractAdversary, GradientAdversary, RandomAdversary, Victim
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.robust.attack import AbstractAttack, Showing
from dfl.rl.robust.learned_attack import LearnedAttack

if TYPE_CHECKING:
    from dfl.rl.robust.optimizer import RobustPolicyOptimizer


@final
@dataclass(frozen=True)
class RandomAttack(AbstractAttack):
    """Uniform noise in the ball."""

    name: ClassVar[str] = "random"

    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Return noise."""
        return _showing(RandomAdversary(epsilon), lambda true: Victim(), budget)


@final
@dataclass(frozen=True)
class CriticAttack(AbstractAttack):
    """Shows what would be worth least, by the policy's own values; usually a weak attack.

    Parameters
    ----------
    steps : int, default=10
        Gradients for each observation.
    """

    name: ClassVar[str] = "critic"
    steps: int = 10

    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Return descent on V by signs of gradients."""
        adversary = GradientAdversary(epsilon, "value", self.steps, "signs")
        return _showing(adversary, lambda true: Victim(value=policy.agent_.values), budget)


@final
@dataclass(frozen=True)
class ActionDifferenceAttack(AbstractAttack):
    """Maximal action difference: moves the policy away from what it does on the truth.

    Parameters
    ----------
    steps : int, default=10
        Gradients for each observation.
    """

    name: ClassVar[str] = "action-difference"
    steps: int = 10

    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Return ascent on the divergence of the policy."""
        return _showing(GradientAdversary(epsilon, "kl", self.steps), policy.agent_.victim, budget)


@final
@dataclass(frozen=True)
class ValueAttack(AbstractAttack):
    """Makes the policy act as is worth least in the true state, by what training made of Q.

    Parameters
    ----------
    steps : int, default=10
        Gradients for each observation.
    """

    name: ClassVar[str] = "value"
    steps: int = 10

    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Return descent on Q from a point that is drawn."""
        adversary = GradientAdversary(epsilon, "value", self.steps, "pgd")
        return _showing(adversary, policy.agent_.victim, budget)


_LEAVES: tuple[type[AbstractAttack], ...] = (
    RandomAttack,
    CriticAttack,
    ActionDifferenceAttack,
    ValueAttack,
    LearnedAttack,
)
ATTACKS: tuple[str, ...] = tuple(leaf.name for leaf in _LEAVES)


def make_attack(name: str) -> AbstractAttack:
    """Make an attack by its name.

    Parameters
    ----------
    name : {"random", "critic", "action-difference", "value", "learned"}

    Returns
    -------
    AbstractAttack
        The attack, ready for episodes.

    Raises
    ------
    InvalidInputError
        If there is none of this name.

    Examples
    --------
    >>> from dfl.rl.robust import make_attack
    >>> make_attack("critic")
    CriticAttack(steps=10)
    """
    for leaf in _LEAVES:
        if leaf.name == name:
            return leaf()
    raise InvalidInputError(f"got attack={name!r}, expected one of: {', '.join(ATTACKS)}")


def _showing(
    adversary: AbstractAdversary, victim: Callable[[Tensor], Victim], budget: Budget
) -> Showing:
    return lambda true, generator: adversary.perturb(true, victim(true), generator, budget=budget)
