"""What all estimators of advantages share: drawing completions of prompts, and judging them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor

from dfl.montecarlo import Budget
from dfl.rl.segment.examples import Example
from dfl.rl.segment.generation import Completions
from dfl.rl.segment.policy import TokenPolicy
from dfl.rl.segment.values import Judge


@final
@dataclass(frozen=True)
class Drawing:
    """A policy, prompts, and a judge of their completions.

    Attributes
    ----------
    policy : TokenPolicy
        In evaluation mode.
    prompts : sequence of Tensors of int64
    judge : callable
        From prompts' numbers and completions to rewards, a Tensor (k,).
    max_completion_length : int
    generator : torch.Generator
    budget : Budget
        Is charged ``"generated_tokens"``.
    """

    policy: TokenPolicy
    prompts: Sequence[Tensor]
    judge: Judge
    max_completion_length: int
    generator: torch.Generator
    budget: Budget

    def go_on(
        self,
        rows: Sequence[int],
        n: int,
        beginnings: Sequence[Tensor] | None = None,
        most: int | None = None,
    ) -> Completions:
        """Draw n continuations of each of some completions, of at most so many tokens."""
        if beginnings is None:
            beginnings = [torch.zeros(0, dtype=torch.int64)] * len(rows)
        room = [self.max_completion_length - len(begun) for begun in beginnings]
        drawn = self.policy.generate(
            [torch.cat([self.prompts[row], b]) for row, b in zip(rows, beginnings, strict=True)],
            room if most is None else [min(most, left) for left in room],
            n,
            generator=self.generator,
        )
        self.budget.charge("generated_tokens", int(drawn.lengths.sum()))
        return drawn


@final
@dataclass
class Collected:
    """What an estimator found in an iteration.

    Attributes
    ----------
    examples : list of Example
        One for each completion, or edge of a tree; those without any advantage may be left out.
    total : int
        How many there are with these.
    rewards : list of Tensors
        Of the completions of each prompt.
    lengths : Tensor of shape (m,)
        Tokens in each completion.
    finished : Tensor of bool of shape (m,)
        Whether it ended by itself.
    records : list of dict
        What to log, an entry an example.
    segments : float
        Mean number of segments in a completion.
    """

    examples: list[Example]
    total: int
    rewards: list[Tensor]
    lengths: Tensor
    finished: Tensor
    records: list[dict[str, Any]] = field(default_factory=list)
    segments: float = 1.0

    @classmethod
    def joined(cls, parts: Sequence[Collected]) -> Collected:
        """Return what several processes found."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [example for part in parts for example in part.examples],
            sum(part.total for part in parts),
            [each for part in parts for each in part.rewards],
            torch.cat([part.lengths for part in parts]),
            torch.cat([part.finished for part in parts]),
            [record for part in parts for record in part.records],
            sum(part.segments for part in parts) / len(parts),
        )


class AdvantageEstimator(Protocol):
    """How completions of some prompts are drawn, and what each of their tokens is worth."""

    def collect(self, drawing: Drawing, rows: Sequence[int]) -> Collected:
        """Draw completions of the prompts with these numbers."""
        ...


def drawn_groups(
    drawing: Drawing, rows: Sequence[int], n: int
) -> tuple[list[int], list[Tensor], Tensor, list[Tensor], Tensor]:
    """Draw n completions of each prompt; return owners, tokens, rewards, scores, and which ended.

    Rewards are (rows, n).
    """
    drawn = drawing.go_on(rows, n)
    owners = [row for row in rows for _ in range(n)]
    completions = drawn.rows()
    rewards = drawing.judge(owners, completions).reshape(len(rows), n)
    log_probs = drawing.policy.score([drawing.prompts[row] for row in owners], completions)
    return owners, completions, rewards, log_probs, drawn.finished
