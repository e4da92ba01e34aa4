"""Episodes whose observations an adversary moves, as a source of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from dfl._validation import check_at_least, check_share
from dfl.adversary import AbstractAdversary, AbstractStrength, ConstantStrength
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.fitting import part, spent, trained_as
from dfl.rl.robust.agent import RobustAgent, Seen
from dfl.rl.robust.collect import collector_of
from dfl.rl.robust.gathering import Gathering
from dfl.rl.robust.present_adversary import PresentAdversary
from dfl.rl.robust.weighing import Weighing


@final
class AttackedRollouts:
    """Act in environments while an adversary moves what is seen, and yield batches of the steps.

    A pass collects a rollout of a number of steps in each environment, then yields all of them in
    batches, ``n_epochs`` times over. The adversary attacks while steps are taken, and these are
    learned from as they were seen; or else it attacks the present policy anew for each batch.

    Parameters
    ----------
    env : BatchedModel or gymnasium.vector.VectorEnv
        Where to act.
    adversary : AbstractAdversary
        Its radius is in units of scaled observations: standard deviations.
    objective : {"attacked", "regularized", "weighted"}, default="attacked"
        What batches make likelier; see ``RobustPolicyOptimizer``.
    kappa : float, default=0.0
        Weight of what is seen without the adversary (``"attacked"``), or of the adversary's part
        (``"weighted"``).
    softness : float, default=10.0
        Scale of the soft maximum over a batch of ``"weighted"``.
    strength : AbstractStrength, optional
        Chance that the adversary's observation is shown. Default: 1 throughout.
    radius : AbstractStrength, optional
        Share of the adversary's radius. Default: 1 throughout.
    attacked : bool, default=True
        Attack while steps are taken; else they are taken without an adversary.
    n_passes : int, default=100
        Passes in all: what progress is measured by.
    n_environments, rollout_length : int, default=16 and 128
        Of a simulator; a vector environment has its own number.
    n_epochs, batch_size : int, default=10 and 256
        Times that the steps of a pass are learned from, and steps in a batch.
    discount, trace : float, default=0.99 and 0.95
        See ``generalized_advantages``.
    clip : float, default=0.2
        Of the loss that ``"surrogate"`` adversaries ascend.
    max_episode_steps : int, optional
        Truncate episodes of a simulator after so many steps. Default: never.
    budget : Budget, optional
        Is charged ``"env_steps"``, ``"attack_gradients"`` and ``"optimizer_steps"``.

    Attributes
    ----------
    budget : Budget
    summary : dict of str to float
        Of the last pass: ``episodes`` that ended and, if any did, their mean ``return``,
        ``strength``, ``radius`` as a share, the share of ratios that were clipped in the last
        batch, ``clipped``, and what was spent so far.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """

    kinds: ClassVar[tuple[str, ...]] = ("env_steps", "attack_gradients", "optimizer_steps")

    def __init__(
        self,
        env: Any,
        adversary: AbstractAdversary,
        *,
        objective: str = "attacked",
        kappa: float = 0.0,
        softness: float = 10.0,
        strength: AbstractStrength | None = None,
        radius: AbstractStrength | None = None,
        attacked: bool = True,
        n_passes: int = 100,
        n_environments: int = 16,
        rollout_length: int = 128,
        n_epochs: int = 10,
        batch_size: int = 256,
        discount: float = 0.99,
        trace: float = 0.95,
        clip: float = 0.2,
        max_episode_steps: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        check_at_least(
            1,
            "",
            n_passes=n_passes,
            n_environments=n_environments,
            rollout_length=rollout_length,
            n_epochs=n_epochs,
            batch_size=batch_size,
            max_episode_steps=1 if max_episode_steps is None else max_episode_steps,
        )
        check_share("", discount=discount, trace=trace)
        self.weighing = Weighing(objective, kappa, softness, clip)
        asks = [
            name
            for name, found in (("strength", strength), ("radius", radius))
            if found is not None and found.observes
        ]
        if "radius" in asks or (asks and attacked and objective == "attacked"):
            raise InvalidInputError(
                f"AttackedRollouts: got a {asks[-1]} that asks for scores, which are to be without "
                "an adversary: only strength may, with attacked=False"
            )
        self.collector = collector_of(env, n_environments, max_episode_steps)
        self.adversary = adversary
        self.strength = ConstantStrength() if strength is None else strength
        self.radius = ConstantStrength() if radius is None else radius
        # only what is learned from as it was seen is attacked while steps are taken
        self.attacked = attacked and objective == "attacked"
        self.n_passes = n_passes
        self.rollout_length = rollout_length
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.budget = Budget() if budget is None else budget
        self.summary: dict[str, float] = {}
        self._gathering = Gathering(self.collector, discount, trace)
        self._passes = 0

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Seen, WeightedSamples]]:
        """Take steps, and yield batches of them for the ``RobustAgent`` that is trained."""
        agent = trained_as(self, model, RobustAgent)
        adversary = self._present_adversary()
        rollout, finished = self._gathering.gather(
            agent,
            self.rollout_length,
            adversary if self.attacked else None,
            generator,
            self.budget,
        )
        self.summary = {"episodes": float(len(finished))}
        if len(finished):
            self.summary["return"] = float(finished.mean())
            self.strength.observe(self.summary["return"])
        for _ in range(self.n_epochs):
            order = torch.randperm(len(rollout.returns), generator=generator)
            for index in torch.split(order, self.batch_size):
                rows = rollout.rows(index.to(rollout.returns.device))
                seen, samples = self.weighing.weigh(agent, rows, adversary, generator)
                self.budget.charge("optimizer_steps", 1)
                yield seen, samples
        self._summarize(agent, seen, samples, adversary)
        self._passes += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next pass depends on; Gymnasium's environments begin anew."""
        return {
            **{f"strength.{k}": v for k, v in self.strength.state_dict().items()},
            **self._gathering.state_dict(),
            "passes": torch.tensor(self._passes),
            "spent": self.budget.spent_on(self.kinds),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned; what was spent is charged."""
        self.strength.load_state_dict(part(state, "strength."))
        self._gathering.load_state_dict(state)
        self._passes = int(state["passes"])
        self.budget.charge_all(self.kinds, state["spent"])

    def _present_adversary(self) -> PresentAdversary:
        """Return the adversary as it is in this pass."""
        progress = self._passes / self.n_passes
        strength, radius = self.strength.at(progress), self.radius.at(progress)
        if self.adversary.epsilon * radius == 0:
            strength = 0.0  # nothing moves
        return PresentAdversary(self.adversary, strength, radius, self.budget)

    @torch.no_grad()
    def _summarize(
        self, agent: RobustAgent, seen: Seen, samples: WeightedSamples, adversary: PresentAdversary
    ) -> None:
        old = samples.log_prob_old
        moved = torch.zeros(1)
        if old is not None:
            moved = (agent.log_probs(seen)[:, : old.shape[1]] - old).exp() - 1
        self.summary |= {
            "strength": adversary.strength,
            "radius": adversary.radius,
            "clipped": float((moved.abs() > self.weighing.clip).float().mean()),
            **spent(self.budget, self.kinds),
        }
