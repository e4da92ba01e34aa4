"""Rewards of completions, by functions of the signature of TRL."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError

Reward = Callable[..., Sequence[float | None]]
# what functions are told besides the columns
OWN = ("prompts", "completions", "completion_ids")
# they are kept in single precision
_MOST = torch.finfo(torch.float32).max


@final
class RewardJudge:
    """Judge completions of numbered prompts by reward functions.

    Parameters
    ----------
    rewards : sequence of callables
        Called with ``prompts``, ``completions``, ``completion_ids`` and the columns by name, each a
        list with an entry a completion, as far as they take them, and return a list of numbers.
        None is for what does not concern a function, if there are others.
    weights : sequence of float
        Of the functions in the sum.
    prompts : sequence
        As the user gave them.
    columns : mapping of str to sequence
        What the functions know of each prompt.
    decode : callable
        From token ids, a list, to what the functions are given as a completion.

    Raises
    ------
    InvalidInputError
        If a weight is not finite, or a function needs what is no column; when judging, if what it
        returns is no number for each completion.

    Notes
    -----
    Texts are made for the functions only; what is trained on are the token ids.
    """

    def __init__(
        self,
        rewards: Sequence[Reward],
        weights: Sequence[float],
        prompts: Sequence[Any],
        columns: Mapping[str, Sequence[Any]],
        decode: Callable[[list[int]], Any],
    ) -> None:
        self.rewards = list(rewards)
        self.weights = list(weights)
        self.prompts = prompts
        self.columns = columns
        self.decode = decode
        self._names = [_named(reward, (*OWN, *columns)) for reward in self.rewards]
        if not all(isinstance(w, Real) and math.isfinite(w) for w in self.weights):
            raise InvalidInputError(f"got reward weights {self.weights}, expected finite numbers")

    def __call__(self, rows: Sequence[int], completions: Sequence[Tensor]) -> Tensor:
        """Return the reward of each completion, (k,)."""
        ids = [completion.tolist() for completion in completions]
        told = {
            "prompts": [self.prompts[row] for row in rows],
            "completions": [self.decode(each) for each in ids],
            "completion_ids": ids,
            **{name: [values[row] for row in rows] for name, values in self.columns.items()},
        }
        total, judged = torch.zeros(len(ids)), torch.zeros(len(ids), dtype=torch.bool)
        for reward, weight, names in zip(self.rewards, self.weights, self._names, strict=True):
            given = told if names is None else {k: v for k, v in told.items() if k in names}
            values = self._checked(reward, reward(**given), rows)
            known = ~values.isnan()
            total = total + weight * values.nan_to_num(0.0)
            judged |= known
        if not judged.all():
            i = int((~judged).nonzero()[0])
            raise InvalidInputError(
                f"got None as the reward of completion {i}, of prompt {rows[i]}, from "
                f"{', '.join(_name(r) for r in self.rewards)}; expected a number from at least one"
            )
        return total

    def _checked(self, reward: Reward, values: Any, rows: Sequence[int]) -> Tensor:
        """Return what a function returned as a tensor, with NaN for None."""
        name = _name(reward)
        if isinstance(values, Tensor):
            values = values.tolist()
        if isinstance(values, (str, Mapping)) or not hasattr(values, "__len__"):
            raise InvalidInputError(
                f"{name} returned {type(values).__name__}, expected a list with a number for each "
                f"of {len(rows)} completions"
            )
        if len(values) != len(rows):
            raise InvalidInputError(
                f"{name} returned {len(values)} rewards, expected {len(rows)}, one for each "
                "completion"
            )
        found = []
        for i, value in enumerate(values):
            if value is None:
                found.append(math.nan)
                continue
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if not abs(number) <= _MOST:
                raise InvalidInputError(
                    f"{name} returned {value!r} for completion {i}, of prompt {rows[i]}; expected "
                    "a finite number"
                )
            found.append(number)
        return torch.tensor(found)


def _named(reward: Reward, told: Sequence[str]) -> frozenset[str] | None:
    """Return the names of what a function takes; None if it takes whatever it is given."""
    parameters = inspect.signature(reward).parameters.values()
    missing = [
        p.name
        for p in parameters
        if p.name not in told
        and p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if missing:
        raise InvalidInputError(
            f"{_name(reward)} needs {', '.join(missing)}, expected names among: {', '.join(told)}; "
            "pass what it needs to know of the prompts as columns"
        )
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return frozenset(p.name for p in parameters)


def _name(reward: Reward) -> str:
    return getattr(reward, "__qualname__", type(reward).__name__)
