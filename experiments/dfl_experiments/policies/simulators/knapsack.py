"""Knapsacks that are filled item by item, judged by what the exact optimum leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.policies.simulators.base import AbstractSimulatorStudy
from dfl_experiments.policies.simulators.imitation import Imitation
from dfl_experiments.policies.simulators.search import SMC, Shooting, UniformSearch
from dfl_experiments.policies.simulators.unsearched import MPO, PPO, VMPO
from dfl_experiments.policies.study import Score

if TYPE_CHECKING:
    from dfl.rl.envs import SequentialKnapsack
    from dfl_experiments.policies.simulators.base import Acts


@final
class SequentialKnapsackStudy(AbstractSimulatorStudy):
    """Decide about one item after another; judged on rows of values that were held out.

    Rows are drawn with replacement, the same ones for all methods of a seed.

    The regret is normalized: what was left by all decisions, as a share of what the oracle's earn.
    """

    scores: ClassVar[Mapping[str, Score]] = {
        "acting": Score("regret", "lower"),
        "alone": Score("regret without search", "lower"),
        "trained": Score("regret on rows of training", "lower"),
        "learning": Score("return while learning"),
    }
    # rows of training are known by heart to those who learned from few; held out ones of a seed
    # that is for trials only are not
    chosen_by: ClassVar[str] = "acting"
    accepts = (SMC, PPO, MPO, VMPO, Shooting, UniformSearch, Imitation)

    kind: Literal["sequential-knapsack"]
    n_items: PositiveInt = 12
    capacity: float = Field(default=20.0, ge=8)
    """Weights are from 3 to 8, so that there is something to earn."""
    n_train: PositiveInt = 1000
    """Rows of values to learn from; as many as there are ``episodes`` are held out."""

    @property
    def most_steps(self) -> int:
        """Items."""
        return self.n_items

    def model(self, judged: bool, seed: int) -> SequentialKnapsack:
        """Draw the values of a seed, and make the simulator of those to learn from or held out."""
        from dfl.datasets import make_knapsack
        from dfl.rl.envs import SequentialKnapsack

        data = make_knapsack(
            self.n_train + self.episodes,
            n_items=self.n_items,
            capacity=self.capacity,
            noise=0.5,
            random_state=seed,
        )
        rows = slice(self.n_train, None) if judged else slice(self.n_train)
        return SequentialKnapsack(data.oracle, data.C[rows])

    def worth(self, acts: Acts, judged: bool, seed: int) -> float:
        """Return the normalized regret of episodes."""
        import torch

        from dfl.rl.envs import play

        model = self.model(judged, seed)
        first = []
        decide = acts(model)

        def watched(state: Mapping[str, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
            first.append(state)
            return decide(state, generator)

        generator = torch.Generator().manual_seed(seed)
        earned = play(model, watched, self.episodes, self.most_steps, generator=generator)
        optimal = model.optimal_returns(first[0])
        return float((optimal - earned).sum() / optimal.sum())
