"""Edges of trees, kept to be learned from in later iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from dfl._validation import check_at_least
from dfl.rl.segment.examples import Example

_PARTS = ("context", "response", "advantages", "log_prob", "log_prob_ref")


@final
class EdgeReplay:
    """Keep examples for some iterations, and give back a few of each prompt, each once.

    A tree has far more edges than a batch has room for; those of one prompt are spread over
    several iterations, in which other prompts join. Ratios to the policy that drew them, which is
    kept with them, account for their age.

    Parameters
    ----------
    max_age : int, default=8
        Iterations after which an example is dropped.
    per_prompt : int, default=32
        Most examples of a prompt that are given back in an iteration.

    Raises
    ------
    InvalidInputError
        If a number is below one.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import EdgeReplay, Example
    >>> one = torch.ones(1)
    >>> replay = EdgeReplay(max_age=2, per_prompt=2)
    >>> replay.add([Example(0, one.long(), one.long(), one, one) for _ in range(3)])
    >>> generator = torch.Generator().manual_seed(0)
    >>> len(replay.take(generator)), len(replay.take(generator)), len(replay)
    (2, 1, 0)
    """

    def __init__(self, max_age: int = 8, per_prompt: int = 32) -> None:
        check_at_least(1, self, max_age=max_age, per_prompt=per_prompt)
        self.max_age = max_age
        self.per_prompt = per_prompt
        self._held: list[tuple[int, Example]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, examples: Sequence[Example]) -> None:
        """Keep examples of this iteration."""
        self._held += [(0, example) for example in examples]

    def take(self, generator: torch.Generator) -> list[Example]:
        """Give back up to ``per_prompt`` examples of each prompt, which are not kept any longer.

        It ends the iteration: what is left is an iteration older, and dropped at ``max_age``.
        """
        shuffled = torch.randperm(len(self._held), generator=generator, device=generator.device)
        taken: dict[int, list[int]] = {}
        for i in shuffled.tolist():
            own = taken.setdefault(self._held[i][1].row, [])
            if len(own) < self.per_prompt:
                own.append(i)
        chosen = {i for own in taken.values() for i in own}
        found = [self._held[i][1] for i in sorted(chosen)]
        left = [(age + 1, e) for i, (age, e) in enumerate(self._held) if i not in chosen]
        self._held = [(age, example) for age, example in left if age < self.max_age]
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that is kept, as tensors."""
        if not self._held:
            return {}
        examples = [example for _, example in self._held]
        found = {
            "ages": torch.tensor([age for age, _ in self._held]),
            "rows": torch.tensor([e.row for e in examples]),
            "weights": torch.tensor([e.weight for e in examples], dtype=torch.float64),
        }
        for name in _PARTS:
            parts = [getattr(e, name) for e in examples]
            if parts[0] is not None:
                found[name] = torch.cat(parts)
                found[f"{name}.sizes"] = torch.tensor([len(part) for part in parts])
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        self._held = []
        if not state:
            return
        parts = {
            name: torch.split(state[name], state[f"{name}.sizes"].tolist())
            for name in _PARTS
            if name in state
        }
        rows, weights = state["rows"].tolist(), state["weights"].tolist()
        for i, age in enumerate(state["ages"].tolist()):
            own = {name: part[i] for name, part in parts.items()}
            self._held.append((age, Example(rows[i], weight=weights[i], **own)))
