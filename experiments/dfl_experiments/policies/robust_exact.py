"""Robust policy optimization by exact gradients, where worst cases are exact as well."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.study import AbstractPolicyStudy, PolicyOutcome, Score

if TYPE_CHECKING:
    from torch import Tensor

    from dfl.rl.robust import ExactProblem, RobustObjective

_POINTS = 30


@final
class ExactRobust(AbstractPolicyMethod):
    """Ascent of one objective, with gradients and views that are exact."""

    algorithm: Literal["exact-robust"]
    adversary: Literal["identity", "kl", "value"]
    strength: float = 1.0
    """Share of the adversary in the policy."""
    window: tuple[float, float] | None = None
    """Shares of the steps at which the strength begins to rise from 0, and is 1; instead of it."""
    adaptive: bool = False
    """Instead of both: a strength that rises when learning stalls, for all starts together."""
    kappa: NonNegativeFloat = 0.0

    def objective(self) -> RobustObjective:
        """Make what is climbed."""
        from dfl.adversary import AdaptiveStrength, ConstantStrength, WindowStrength
        from dfl.rl.robust import RobustObjective

        if self.window is not None:
            return RobustObjective(self.adversary, WindowStrength(*self.window), self.kappa)
        if self.adaptive:
            return RobustObjective(self.adversary, AdaptiveStrength(), self.kappa)
        return RobustObjective(self.adversary, ConstantStrength(self.strength), self.kappa)

    def check(self, study: Any) -> None:
        """Refuse what is no strength and no window."""
        del study
        self.objective()

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Climb from all starts of a seed."""
        from dfl.rl.robust import ascend

        problem, start, judge = study.world(seed)
        every = max(study.steps // _POINTS, 1)
        curve: list[dict[str, float]] = []

        def look(step: int, strength: float, parameters: Tensor) -> None:
            del strength
            if step % every == 0:
                curve.append({"step": step, **judge(parameters)})

        started = time.perf_counter()
        found = ascend(
            problem,
            start,
            self.objective(),
            steps=study.steps,
            rate=study.rate,
            callback=look,
        )
        seconds = time.perf_counter() - started
        curve.append({"step": study.steps, **judge(found)})
        return PolicyOutcome(judge(found), {"steps": study.steps * len(start)}, seconds, curve)


class AbstractExactStudy(AbstractPolicyStudy):
    """Many starts, each of which goes its own way."""

    axes: ClassVar[Mapping[str, str]] = {"step": "steps of ascent"}
    chosen_by: ClassVar[str] = "robust"
    accepts = (ExactRobust,)

    steps: PositiveInt
    rate: PositiveFloat

    @abstractmethod
    def world(self, seed: int) -> tuple[ExactProblem, Tensor, Any]:
        """Return the problem, the starts, and a function from parameters to scores."""


@final
class StickyStudy(AbstractExactStudy):
    """The smallest process in which worst-case ascent sticks."""

    scores: ClassVar[Mapping[str, Score]] = {
        "natural": Score("value without an adversary"),
        "robust": Score("value under the worst view"),
        "stuck": Score("share of starts that stick", "lower"),
    }
    kind: Literal["sticky-toy"]
    starts: PositiveInt = 2000
    steps: PositiveInt = 1500
    rate: PositiveFloat = 0.02
    floor: float = 0.02

    def world(self, seed: int) -> tuple[ExactProblem, Tensor, Any]:
        """Draw starts; those that end below 0.6 without an adversary stick."""
        import torch

        from dfl.rl.robust import StickyProblem

        problem = StickyProblem(self.floor)
        generator = torch.Generator().manual_seed(seed)
        start = torch.rand((self.starts, 2), generator=generator, dtype=torch.float64)

        def judge(parameters: Tensor) -> dict[str, float]:
            natural = problem.value(parameters)
            worst = problem.value(parameters, problem.worst_view(parameters))
            return {
                "natural": float(natural.mean()),
                "robust": float(worst.mean()),
                "stuck": float((natural < 0.6).double().mean()),
            }

        return problem, start, judge


@final
class IntrinsicStudy(AbstractExactStudy):
    """Random processes in which what an adversary shows never hides which action is best."""

    scores: ClassVar[Mapping[str, Score]] = {
        "natural": Score("value without an adversary, from 0 (least) to 1 (best)"),
        "robust": Score("value under the worst view, likewise"),
        "lost": Score("share of starts whose value under the worst view is below 0.9", "lower"),
    }
    kind: Literal["random-isa-mdp"]
    transitions: Literal["deterministic", "dirichlet"] = "deterministic"
    models: PositiveInt = 12
    """Processes of a seed."""
    starts: PositiveInt = 8
    """Of each process."""
    states: int = Field(default=4, ge=2)
    actions: int = Field(default=2, ge=2)
    steps: PositiveInt = 1200
    rate: PositiveFloat = 0.3

    def world(self, seed: int) -> tuple[ExactProblem, Tensor, Any]:
        """Draw processes, and starts with standard normal logits."""
        from dataclasses import replace

        import torch

        from dfl.rl.robust import SoftmaxProblem, random_intrinsic_models

        generator = torch.Generator().manual_seed(seed)
        drawn = random_intrinsic_models(
            self.models,
            n_states=self.states,
            n_actions=self.actions,
            transitions=self.transitions,
            generator=generator,
        )
        model = drawn.rows(torch.arange(self.models).repeat_interleave(self.starts))
        best = model.optimal_action_values().amax(-1)[:, 0]
        least = -replace(model, rewards=-model.rewards).optimal_action_values().amax(-1)[:, 0]
        problem = SoftmaxProblem(model)
        shape = (self.models * self.starts, self.states, self.actions)
        start = torch.randn(shape, generator=generator, dtype=torch.float64)

        def judge(parameters: Tensor) -> dict[str, float]:
            policy = problem.policy(parameters)
            natural = (model.value(policy) - least) / (best - least)
            worst = (model.worst_value(policy) - least) / (best - least)
            return {
                "natural": float(natural.mean()),
                "robust": float(worst.mean()),
                "lost": float((worst < 0.9).double().mean()),
            }

        return problem, start, judge
