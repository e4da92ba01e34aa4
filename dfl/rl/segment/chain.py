"""Advantages of the segments of completions, from values at the places between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.advantages import chain_advantages
from dfl.rl.segment.drawing import Collected, Drawing, drawn_groups
from dfl.rl.segment.examples import Example
from dfl.rl.segment.generation import pad_right
from dfl.rl.segment.partition import partition_cutpoints, partition_fixed
from dfl.rl.segment.values import mc_values


@final
@dataclass(frozen=True)
class ChainAdvantages:
    """Each segment's advantage is the change of the value over it.

    Parameters
    ----------
    num_generations : int, default=8
        Completions of each prompt that are learned from.
    partition : {"cutpoints", "fixed"}, default="cutpoints"
        Cut before every so manyth unlikely token, or after so many tokens.
    cutpoint_interval : int, default=5
        Cutpoints in a segment; ``math.inf`` for a single segment.
    cutpoint_threshold : float, default=0.9
        Tokens of a lower probability are cutpoints.
    segment_tokens : int, default=30
        Tokens in a segment, where it is fixed.
    num_mc_rollouts : int, default=9
        Completions that each value is the mean reward of.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    Values are estimated by completions of their own, never by the completion that is judged, whose
    own reward is the value of its end.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.
    """

    num_generations: int = 8
    partition: Literal["cutpoints", "fixed"] = "cutpoints"
    cutpoint_interval: float = 5
    cutpoint_threshold: float = 0.9
    segment_tokens: int = 30
    num_mc_rollouts: int = 9

    def __post_init__(self) -> None:
        if self.num_generations < 1 or self.partition not in ("cutpoints", "fixed"):
            raise InvalidInputError(
                f"ChainAdvantages: got num_generations={self.num_generations} and "
                f"partition={self.partition!r}, expected at least 1 and one of: cutpoints, fixed"
            )

    def cut(self, log_probs: Sequence[Tensor]) -> list[Tensor]:
        """Return the places between the segments of each completion."""
        table, mask = pad_right(log_probs)
        if self.partition == "fixed":
            return partition_fixed(mask, self.segment_tokens)
        return partition_cutpoints(table, mask, self.cutpoint_threshold, self.cutpoint_interval)

    def collect(self, drawing: Drawing, rows: Sequence[int]) -> Collected:
        """Draw completions of the prompts with these numbers, and values within them."""
        owners, completions, rewards, log_probs, finished = drawn_groups(
            drawing, rows, self.num_generations
        )
        places = self.cut(log_probs)
        begun = [
            (i, completions[i][: place + 1])
            for i, own in enumerate(places)
            for place in own.tolist()
        ]
        values = mc_values(
            drawing.policy,
            drawing.prompts,
            [owners[i] for i, _ in begun],
            [ids for _, ids in begun],
            self.num_mc_rollouts,
            drawing.judge,
            max_completion_length=drawing.max_completion_length,
            generator=drawing.generator,
            budget=drawing.budget,
        ).to(rewards)
        parts = torch.split(values, [len(own) for own in places])
        examples, records = [], []
        for i, (own, part) in enumerate(zip(places, parts, strict=True)):
            reward = rewards.flatten()[i].item()
            advantages = chain_advantages(own, part, reward, len(completions[i]))
            prompt = drawing.prompts[owners[i]]
            examples.append(Example(owners[i], prompt, completions[i], advantages, log_probs[i]))
            records.append({"reward": reward, "boundaries": own.tolist(), "values": part.tolist()})
        lengths = torch.tensor([len(each) for each in completions])
        segments = len(begun) / len(completions)
        return Collected(
            examples, len(examples), list(rewards), lengths, finished, records, segments
        )
