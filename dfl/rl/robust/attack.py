"""What every attack on a trained policy keeps to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from dfl.montecarlo import Budget
from dfl.rl.robust.agent import RobustAgent

if TYPE_CHECKING:
    from dfl.rl.robust.optimizer import RobustPolicyOptimizer

Showing = Callable[[Tensor, torch.Generator], Tensor]
"""From scaled true observations (n, d) and a generator to what is shown in their place."""


class AbstractAttack(ABC):
    """A way to attack a trained policy, whose scales and weights stay as they are.

    A leaf writes ``against`` and has a ``name`` for tables.
    """

    name: ClassVar[str]

    @abstractmethod
    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Return what is shown to a policy within a ball; an attack that learns does so here."""


def acting(agent: RobustAgent, show: Showing | None) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Return what acts on true observations while something else is shown to the policy."""

    @torch.no_grad()
    def decide(observations: Tensor, generator: torch.Generator) -> Tensor:
        true = agent.scaled(observations)
        return agent.best(true if show is None else show(true, generator))

    return decide
