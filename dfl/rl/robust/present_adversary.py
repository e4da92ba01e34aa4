"""The adversary of a policy in one pass of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.adversary import AbstractAdversary
from dfl.montecarlo import Budget
from dfl.rl.robust.agent import Harm, RobustAgent


@final
@dataclass(frozen=True)
class PresentAdversary:
    """An adversary as it is in one pass of training.

    Attributes
    ----------
    adversary : AbstractAdversary
    strength : float
        Chance that what it shows is seen.
    radius : float
        Share of its own.
    budget : Budget
        Is charged its gradients.
    """

    adversary: AbstractAdversary
    strength: float
    radius: float
    budget: Budget

    def moved(
        self,
        agent: RobustAgent,
        observations: Tensor,
        generator: torch.Generator,
        harm: Harm | None = None,
    ) -> Tensor:
        """Return what is shown to an agent in place of true observations (n, d)."""
        return self.adversary.perturb(
            observations,
            agent.victim(observations, harm),
            generator,
            strength=self.radius,
            budget=self.budget,
        )
