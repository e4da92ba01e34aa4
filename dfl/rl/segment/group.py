"""Advantages of whole completions, over others of the same prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import centered, leave_one_out, standardized
from dfl.rl.segment.drawing import Collected, Drawing, drawn_groups
from dfl.rl.segment.examples import Example


@final
@dataclass(frozen=True)
class GroupAdvantages:
    """All tokens of a completion have its reward less that of its group: GRPO and RLOO.

    Parameters
    ----------
    num_generations : int, default=8
        Completions of each prompt.
    baseline : {"group", "none", "loo"}, default="group"
        Rewards less their mean and divided by their sample standard deviation, as GRPO does; less
        their mean only; or less the mean of the others, as RLOO does, which is unbiased.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.

    References
    ----------
    Shao et al., "DeepSeekMath", 2024, arXiv 2402.03300. Ahmadian et al., "Back to Basics:
    Revisiting REINFORCE Style Optimization for Learning from Human Feedback in LLMs", ACL 2024,
    arXiv 2402.14740.
    """

    num_generations: int = 8
    baseline: Literal["group", "none", "loo"] = "group"

    def __post_init__(self) -> None:
        if self.num_generations < 2 or self.baseline not in ("group", "none", "loo"):
            raise InvalidInputError(
                f"GroupAdvantages: got num_generations={self.num_generations} and "
                f"baseline={self.baseline!r}, expected at least 2, to compare, and one of: "
                "group, none, loo"
            )

    def collect(self, drawing: Drawing, rows: Sequence[int]) -> Collected:
        """Draw completions of the prompts with these numbers."""
        owners, completions, rewards, log_probs, finished = drawn_groups(
            drawing, rows, self.num_generations
        )
        if self.baseline == "group":
            found = standardized(rewards, ddof=1, eps=1e-4)
        else:
            found = leave_one_out(rewards) if self.baseline == "loo" else centered(rewards)
        examples, records = [], []
        for i, advantage in enumerate(found.flatten().tolist()):
            own = torch.full_like(log_probs[i], advantage)
            prompt = drawing.prompts[owners[i]]
            examples.append(Example(owners[i], prompt, completions[i], own, log_probs[i]))
            reward = rewards.flatten()[i].item()
            records.append({"reward": reward, "advantage": advantage})
        lengths = torch.tensor([len(each) for each in completions])
        return Collected(examples, len(examples), list(rewards), lengths, finished, records)
