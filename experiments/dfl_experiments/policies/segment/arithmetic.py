"""Accuracy in arithmetic, after equal numbers of steps or of generated tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, final

from pydantic import PositiveInt, model_validator

from dfl_experiments.config_errors import custom
from dfl_experiments.policies.segment.learned import Segment
from dfl_experiments.policies.segment.warm import Warm
from dfl_experiments.policies.study import AbstractPolicyStudy, Score


@final
class SegmentArithmeticStudy(AbstractPolicyStudy):
    """A small language model that has learned some arithmetic is to learn the rest from rewards."""

    scores: ClassVar[Mapping[str, Score]] = {
        "accuracy": Score("accuracy of sampled answers"),
        "greedy": Score("accuracy of likeliest answers"),
        "trial": Score("accuracy on problems of trials"),
        "start": Score("accuracy at the start", None),
        "reward": Score("reward in training"),
    }
    axes: ClassVar[Mapping[str, str]] = {
        "optimizer_steps": "optimizer steps",
        "generated_tokens": "generated tokens",
    }
    chosen_by: ClassVar[str] = "trial"
    accepts = (Segment,)

    kind: Literal["segment-arithmetic"]
    optimizer_steps: PositiveInt | None = None
    """After which learning ends."""
    generated_tokens: PositiveInt | None = None
    """After which it ends; the iteration that exceeds them is finished."""
    problems: PositiveInt = 4096
    """To learn from."""
    judged: PositiveInt = 1000
    """Problems, with 4 answers each, that the result is judged by."""
    warm: Warm = Warm()

    @model_validator(mode="after")
    def _one_budget(self) -> SegmentArithmeticStudy:
        if (self.optimizer_steps is None) == (self.generated_tokens is None):
            raise custom(
                f"problem: got optimizer_steps={self.optimizer_steps} and generated_tokens="
                f"{self.generated_tokens}, expected one of them"
            )
        return self
