"""What studies in simulators share: how policies are judged there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from dfl_experiments.policies.study import AbstractPolicyStudy, Score

if TYPE_CHECKING:
    from dfl.rl.envs import BatchedModel
    from dfl.rl.envs.play import Decide

    Acts = Callable[[BatchedModel], Decide]
    """A way to act: from the simulator to what decides there."""

# first states that policies are judged in come from seeds beyond those of training
_JUDGED, _TRAINED = 10_000, 20_000
# a curve has about so many points, each the mean of all episodes since the one before
_POINTS = 40


def labeled(acting: str, alone: str, trained: str, earned: str = "return") -> dict[str, Score]:
    """Name the scores of a study in a simulator."""
    better: dict[str, Score] = {
        "acting": Score(acting),
        "alone": Score(alone),
        "trained": Score(trained),
        "learning": Score(f"{earned} while learning"),
    }
    return better


class AbstractSimulatorStudy(AbstractPolicyStudy):
    """A simulator to learn in, and one to be judged in.

    Leaves label four scores: ``acting`` (as the method acts, with search if it has one), ``alone``
    (the network without search), ``trained`` (as it acts, on problems as in training, by which
    settings are chosen), and ``learning`` (mean return while it learns, of curves only).
    """

    axes: ClassVar[Mapping[str, str]] = {
        "env_steps": "environment steps",
        "model_steps": "steps of the simulator",
    }
    chosen_by: ClassVar[str] = "trained"

    episodes: PositiveInt = 512
    """That each policy is judged by; a seed has the same ones for all methods."""

    @property
    @abstractmethod
    def most_steps(self) -> int:
        """Steps of the longest episode."""

    @abstractmethod
    def model(self, judged: bool, seed: int) -> BatchedModel:
        """Make the simulator, to be judged or to learn in."""

    def worth(self, acts: Acts, judged: bool, seed: int) -> float:
        """Return how good it is to act in a way: the mean return."""
        import torch

        from dfl.rl.envs import play

        model = self.model(judged, seed)
        generator = torch.Generator().manual_seed(seed + (_JUDGED if judged else _TRAINED))
        returns = play(model, acts(model), self.episodes, self.most_steps, generator=generator)
        return float(returns.mean())

    def scored(self, acting: Acts, alone: Acts | None, seed: int) -> dict[str, float]:
        """Return the scores; ``alone`` is None where there is no network."""
        found = {"acting": self.worth(acting, True, seed)}
        if alone is not None:
            found["alone"] = found["acting"] if alone is acting else self.worth(alone, True, seed)
        return {**found, "trained": self.worth(acting, False, seed)}

    def followed(self, history: Iterable[Mapping[str, float]]) -> list[dict[str, float]]:
        """Make a curve of the epochs of a history: the return of the episodes that ended.

        Steps of the simulator are those of searches and those of the environment.
        """
        epochs = list(history)
        size = max(len(epochs) // _POINTS, 1)
        points = []
        for start in range(0, len(epochs), size):
            some = epochs[start : start + size]
            count = sum(epoch["episodes"] for epoch in some)
            if not count:
                continue
            total = sum(epoch["episodes"] * epoch.get("return", 0.0) for epoch in some)
            steps = some[-1]["env_steps"]
            points.append(
                {
                    "env_steps": steps,
                    "model_steps": steps + some[-1].get("model_steps", 0.0),
                    "learning": total / count,
                }
            )
        return points
