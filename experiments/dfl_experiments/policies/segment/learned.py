"""What is compared: credit for segments, in chains or trees, and for whole completions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.segment.warm import JUDGED, LEARNED, TRIED
from dfl_experiments.policies.study import PolicyOutcome

# iterations of which a point of a curve is the mean
_POINT = 5
# more examples than an iteration has
_BATCH = 4096
# no limit on the steps where tokens are the limit
_MANY = 100_000


@final
class Segment(AbstractPolicyMethod):
    """Learn from rewards; see ``dfl.rl.segment.SegmentPolicyOptimizer``."""

    algorithm: Literal["segment"]
    estimator: Literal["chain", "tree", "grpo", "rloo"] = "chain"
    learning_rate: PositiveFloat = 3e-4
    mask: float = Field(default=0.9, gt=0, le=1)
    """Learn from tokens of lower probability only; 1 for all."""
    interval: NonNegativeInt = 1
    """Cutpoints in a segment of a chain; 0 for one segment."""
    prompts: PositiveInt = 4
    """In an iteration, which is one step."""
    generations: PositiveInt = 4
    rollouts: PositiveInt = 9
    structure: tuple[PositiveInt, ...] = (2, 2)
    segment_tokens: PositiveInt = 4
    """Of a tree."""

    def check(self, study: Any) -> None:
        """Refuse to begin without transformers."""
        from dfl_solvers.exceptions import import_optional

        del study
        import_optional("transformers", "llm")

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn from the warm start of the seed, and judge answers."""
        from dfl.rl.segment import SegmentPolicyOptimizer

        warm = study.warm
        model, tokenizer = warm.model(seed)
        judged = warm.problems(study.judged, JUDGED, seed)
        before = warm.accuracy(model, tokenizer, judged, seed)
        entries: list[dict[str, float]] = []

        def stop(entry: dict[str, float]) -> bool:
            entries.append(dict(entry))
            limit = study.generated_tokens
            return limit is not None and entry["generated_tokens"] >= limit

        problems = warm.problems(study.problems, LEARNED, seed)
        optimizer = SegmentPolicyOptimizer(
            model,
            tokenizer,
            warm.task.reward,
            estimator=self.estimator,
            max_iter=study.optimizer_steps or _MANY,
            prompts_per_iteration=self.prompts,
            num_generations=self.generations,
            max_completion_length=warm.longest,
            max_rows=4096,
            cutpoint_interval=self.interval or math.inf,
            segment_tokens=self.segment_tokens,
            num_mc_rollouts=self.rollouts,
            tree_structure=self.structure,
            prob_mask_threshold=self.mask if self.mask < 1 else None,
            learning_rate=self.learning_rate,
            # one step an iteration, whatever was drawn
            per_device_train_batch_size=_BATCH,
            gradient_accumulation_steps=1,
            random_state=seed,
        ).fit(problems.prompts, problems.columns, callbacks=[stop])
        learned = optimizer.model_
        spent = dict(optimizer.budget_)
        seconds = spent.pop("seconds")
        accuracy = warm.accuracy(learned, tokenizer, judged, seed)
        tried = warm.problems(study.judged, TRIED, seed)
        scores = {
            "accuracy": accuracy,
            "start": before,
            "greedy": warm.accuracy(learned, tokenizer, judged, seed, 0.0),
            "trial": warm.accuracy(learned, tokenizer, tried, seed),
        }
        return PolicyOutcome(scores, spent, seconds, curve(entries))


def curve(entries: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the rewards of what was drawn in training, means over a few iterations each."""
    points = []
    for start in range(0, len(entries) - _POINT + 1, _POINT):
        few = entries[start : start + _POINT]
        point = {axis: few[-1][axis] for axis in ("optimizer_steps", "generated_tokens")}
        points.append({**point, "reward": sum(entry["reward"] for entry in few) / _POINT})
    return points
