"""What a batch of steps makes likelier: on what an adversary shows, and on the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import WeightedSamples, softmax
from dfl.rl.robust.agent import RobustAgent, Seen
from dfl.rl.robust.gathering import Rollout
from dfl.rl.robust.present_adversary import PresentAdversary

OBJECTIVES = ("attacked", "regularized", "weighted")


@final
@dataclass(frozen=True)
class Weighing:
    """An objective, as weights of the actions of a batch; see ``RobustPolicyOptimizer``.

    Attributes
    ----------
    objective : {"attacked", "regularized", "weighted"}
    kappa : float
        Weight of what is seen without the adversary (``"attacked"``), or of the adversary's part
        (``"weighted"``).
    softness : float
        Scale of the soft maximum over a batch of ``"weighted"``.
    clip : float
        Of the loss that ``"surrogate"`` adversaries ascend.

    Raises
    ------
    InvalidInputError
        If there is no such objective, or a number is out of range.
    """

    objective: str
    kappa: float
    softness: float
    clip: float

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if self.objective not in OBJECTIVES:
            raise InvalidInputError(
                f"got objective={self.objective!r}, expected one of: {', '.join(OBJECTIVES)}"
            )
        if not self.kappa >= 0 or not self.softness > 0:
            raise InvalidInputError(
                f"got kappa={self.kappa} and softness={self.softness}, expected at least 0, and "
                "above 0"
            )

    def weigh(
        self,
        agent: RobustAgent,
        rows: Rollout,
        adversary: PresentAdversary,
        generator: torch.Generator,
    ) -> tuple[Seen, WeightedSamples]:
        """Attack the present policy, and weigh what was done under the adversary and without."""
        strength, gained, old = adversary.strength, rows.advantages[:, None], rows.old
        if strength == 0:
            seen = Seen(rows.observations, None, strength, rows.actions, rows.returns)
            return seen, WeightedSamples(rows.actions[:, None], gained, old[:, :1])
        harm = agent.surrogate(rows.actions, rows.advantages, old[:, 0], self.clip)
        # actions that were taken on what was shown are judged on it: on a new attack, which may
        # show the other side of the ball, their ratios would be those of two observations
        shown = rows.shown
        if shown is None:
            shown = adversary.moved(agent, rows.observations, generator, harm)
        weights = torch.cat([gained, self.kappa * gained], 1)
        if self.objective == "regularized":
            weights = torch.cat([0 * gained, gained], 1)
        elif self.objective == "weighted":
            with torch.no_grad():
                worst = softmax(harm(shown)[None], temperature=self.softness)[0]
            share = self.kappa * len(rows.returns) * worst[:, None]
            weights = torch.cat([share * gained, gained], 1)
        seen = Seen(rows.observations, shown, strength, rows.actions, rows.returns)
        actions = torch.stack([rows.actions, rows.actions], 1)
        return seen, WeightedSamples(actions, weights, old)
