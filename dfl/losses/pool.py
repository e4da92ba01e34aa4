"""The base of the losses that compare decisions of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from dfl import _bridge
from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


class Candidates(NamedTuple):
    """Feasible decisions of a batch of n instances.

    Attributes
    ----------
    decisions : Tensor of shape (m, d)
        Each of them once.
    own : Tensor of shape (m,), or None
        What their objectives hold beside ``c.w``; None if nothing.
    allowed : Tensor of bool of shape (n, m), or None
        Which are feasible for which instance; None if all are for all.
    """

    decisions: Tensor
    own: Tensor | None
    allowed: Tensor | None

    def objectives(self, costs: Tensor) -> Tensor:
        """Objectives (n, m) of every candidate under costs (n, d)."""
        values = costs @ self.decisions.T
        return values if self.own is None else values + self.own

    def mean(self, values: Tensor) -> Tensor:
        """Mean (n,) of values (n, m) over the candidates of each instance."""
        if self.allowed is None:
            return values.mean(1)
        kept = torch.where(self.allowed, values, torch.zeros_like(values))
        return kept.sum(1) / self.allowed.sum(1)


class AbstractPoolLoss(AbstractLoss):
    r"""A loss that compares good decisions with others that are known to be feasible.

    The pool is derived from the target and never kept by the loss: a resumed run is the unbroken
    one, and memory is bounded. It holds

    - the optimal decisions of all rows that ``complete`` was given, at most ``pool_size`` of them:
      the most frequent, those seen first where there is a tie. Estimators complete the whole
      training table once, so that every batch shares its pool; a batch that nobody has completed
      brings the decisions of its own rows. ``Target(pool=...)`` gives another one;
    - in the batch in which it was found, the optimal decision for the *predicted* costs of each row
      that is drawn to be solved, with probability ``solve_ratio``. All rows share them.

    With per-instance data, a decision may be infeasible for another instance. Rows then share
    decisions only within a batch and only where their data are equal, and every row is solved,
    whatever ``solve_ratio``, so that each has something to be compared with.

    A leaf writes ``per_sample`` and asks ``candidates``.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    solve_ratio : float, default=1.0
        Probability, for each row on its own, that a step solves for its predicted costs.
    pool_size : int, default=1000
        Most decisions kept of those that ``complete`` sees.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.
    """

    def __init__(self, oracle: Oracle, solve_ratio: float = 1.0, pool_size: int = 1000) -> None:
        super().__init__(oracle)
        name = type(self).__name__
        if not 0 <= solve_ratio <= 1:
            raise InvalidInputError(
                f"{name}: got solve_ratio={solve_ratio}, expected a probability from 0 to 1"
            )
        check_at_least(1, name, pool_size=pool_size)
        self.solve_ratio = solve_ratio
        self.pool_size = pool_size
        self.generator = torch.Generator().manual_seed(0)

    @final
    def complete(self, target: Target) -> Target:
        """Fill in optimal decisions and the pool; see ``AbstractLoss.complete``."""
        target = super().complete(target)
        if target.pool is not None or target.instance or target.decisions is None:
            return target
        return replace(target, pool=most_frequent(target.decisions, self.pool_size))

    @final
    def candidates(self, output: Tensor, target: Target) -> Candidates:
        """Return the candidates of a batch of outputs (n, d)."""
        if target.instance:
            return self._own_candidates(output, target, target.instance)
        pool: Tensor = target.pool  # type: ignore[assignment]
        drawn = self._drawn(len(output))
        if drawn.any():
            costs = output.detach()
            # only decisions of the whole batch are those that a caller may ask for
            if drawn.all():
                found, _ = self.solve(costs)
            else:
                found = _bridge.decisions(self.oracle, costs[drawn])
            found = most_frequent(found, len(found))
            pool = torch.cat([pool, found[~contained(found, pool)]])
        own = None
        if not self.linear_objective:
            own = _bridge.evaluate(self.oracle, torch.zeros_like(pool), pool)
        return Candidates(pool, own, None)

    def _own_candidates(
        self, output: Tensor, target: Target, instance: Mapping[str, Any]
    ) -> Candidates:
        found, _ = self.solve(output.detach(), instance)
        decisions = torch.cat([target.decisions, found])
        same = alike(instance, decisions)
        own = None
        if not self.linear_objective:
            both = {name: np.concatenate([v, v]) for name, v in instance.items()}
            own = _bridge.evaluate(self.oracle, torch.zeros_like(decisions), decisions, both)
        return Candidates(decisions, own, same)

    def _drawn(self, n: int) -> Tensor:
        if self.solve_ratio == 1:
            return torch.ones(n, dtype=torch.bool)
        return torch.rand(n, generator=self.generator) < self.solve_ratio


def most_frequent(decisions: Tensor, size: int) -> Tensor:
    """Return distinct decisions (m, d), at most ``size``: the most frequent, then the earliest."""
    rows = decisions.detach().cpu().numpy() + 0.0  # one kind of zero
    counts: dict[bytes, list[int]] = {}
    for i, row in enumerate(rows):
        counts.setdefault(row.tobytes(), [0, i])[0] += 1
    ranked = sorted(counts.values(), key=lambda found: -found[0])[:size]  # stable
    return decisions[torch.tensor([i for _, i in ranked], device=decisions.device)]


def contained(decisions: Tensor, pool: Tensor) -> Tensor:
    """Return which decisions (k, d) are in the pool (m, d), but for rounding."""
    tolerance = 1e-6 * (1 + float(pool.abs().max()))
    return (torch.cdist(decisions.double(), pool.double()) <= tolerance).any(1)


def alike(instance: Mapping[str, Any], decisions: Tensor) -> Tensor:
    """Return where decisions (2 n, d) of n instances are to be compared, (n, 2 n) bool.

    Candidate j belongs to instance j modulo n. It is allowed where the data of the two are equal,
    and only once where the same decision occurs twice.
    """
    n = len(decisions) // 2
    labels: dict[bytes, int] = {}
    rows = decisions.detach().cpu().numpy() + 0.0
    seen: set[tuple[int, bytes]] = set()
    group, first = np.empty(2 * n, dtype=np.intp), np.empty(2 * n, dtype=bool)
    for j in range(2 * n):
        key = b"".join(np.asarray(value[j % n]).tobytes() for value in instance.values())
        group[j] = labels.setdefault(key, len(labels))
        candidate = (int(group[j]), rows[j].tobytes())
        first[j] = candidate not in seen
        seen.add(candidate)
    return torch.from_numpy((group[:n, None] == group[None]) & first).to(decisions.device)
