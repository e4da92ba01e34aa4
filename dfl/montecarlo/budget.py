"""What a method may spend: calls counted by kind and phase, with limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from dfl.exceptions import BudgetError, InvalidInputError

T = TypeVar("T")


@final
class Budget:
    """Count what batched calls cost, by kind and phase, and stop before a limit is exceeded.

    Oracles are counted by ``Counting``; this is for every other source of values, such as a
    simulator or a reward model, so that methods are compared at equal cost.

    Parameters
    ----------
    limits : mapping of str to int, optional
        Most rows of each kind, over all phases. Default: none.

    Attributes
    ----------
    counts : dict of str to dict of str to int
        Rows by phase, then by kind.
    seconds : dict of str to float
        Time spent in counted calls and ``timed`` blocks, by phase.

    Examples
    --------
    >>> from dfl.montecarlo import Budget
    >>> budget = Budget(limits={"reward_queries": 5})
    >>> reward = budget.counted(lambda rows: [row**2 for row in rows], kind="reward_queries")
    >>> with budget.phase("evaluate"):
    ...     reward([1, 2])
    [1, 4]
    >>> reward([3])
    [9]
    >>> budget.counts
    {'evaluate': {'reward_queries': 2}, 'train': {'reward_queries': 1}}
    """

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        self.limits = dict(limits or {})
        for kind, limit in self.limits.items():
            if limit < 0:
                raise InvalidInputError(f"got a limit of {limit} {kind}, expected at least 0")
        self.counts: dict[str, dict[str, int]] = {}
        self.seconds: dict[str, float] = {}
        self._phase = "train"

    def spent(self, kind: str) -> int:
        """Return how many rows of a kind were spent, over all phases."""
        return sum(counts.get(kind, 0) for counts in self.counts.values())

    def spent_on(self, kinds: Sequence[str]) -> Tensor:
        """Return what was spent of k kinds, (k,) of int64, for a checkpoint."""
        return torch.tensor([self.spent(kind) for kind in kinds], dtype=torch.int64)

    def charge_all(self, kinds: Sequence[str], spent: Tensor) -> None:
        """Charge what ``spent_on`` returned, once a run goes on."""
        for kind, amount in zip(kinds, spent.tolist(), strict=True):
            self.charge(kind, amount)

    def charge(self, kind: str, amount: int) -> None:
        """Spend an amount in the present phase.

        Raises
        ------
        BudgetError
            If it would exceed the limit; nothing is spent then.
        """
        spent, limit = self.spent(kind), self.limits.get(kind)
        if limit is not None and spent + amount > limit:
            raise BudgetError(
                f"{amount} more {kind} would exceed the limit of {limit}: {spent} are spent"
            )
        counts = self.counts.setdefault(self._phase, {})
        counts[kind] = counts.get(kind, 0) + amount

    def counted(self, function: Callable[..., T], kind: str) -> Callable[..., T]:
        """Wrap a function whose first argument is a batch; each of its rows counts as one.

        Parameters
        ----------
        function : callable
            Takes a batch, and whatever else.
        kind : str
            What a row costs, such as ``"env_steps"``.

        Returns
        -------
        callable
            The same function; it raises ``BudgetError`` in place of a call that is not paid for.
        """

        def paid(batch: Any, *others: Any, **named: Any) -> T:
            self.charge(kind, len(batch))
            with self.timed():
                return function(batch, *others, **named)

        return paid

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time that is spent inside to the ``seconds`` of the present phase.

        What is timed inside of what is timed counts twice.
        """
        phase, start = self._phase, time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what is spent inside to another phase than ``"train"``."""
        before, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = before
