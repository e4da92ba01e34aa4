"""Rows of values of an oracle's problem, whose best decisions the oracle gives."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dfl import _bridge
from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import State

OracleT = TypeVar("OracleT")


@final
class ValueTable(Generic[OracleT]):
    """What the problems that are decided step by step have in common: an oracle and its values.

    Parameters
    ----------
    oracle : Oracle or Maximize
    kind : type
        What the oracle must be, in ``Maximize`` or not.
    values : array-like of shape (n, d)
        Higher is better; each episode has one row.
    owner : str
        Is named in errors.
    """

    def __init__(self, oracle: Any, kind: type[OracleT], values: npt.ArrayLike, owner: str) -> None:
        inner = getattr(oracle, "minimizing", oracle)
        if not isinstance(inner, kind):
            raise InvalidInputError(
                f"{owner}: got {type(inner).__name__}, expected a {kind.__name__} oracle"
            )
        self.oracle: OracleT = inner
        table, d = np.asarray(values, dtype=float), self._inner.n_costs
        if table.ndim != 2 or table.shape[1] != d or len(table) == 0:
            raise InvalidInputError(
                f"{owner}: got values of shape {table.shape}, expected (n, {d})"
            )
        if not np.isfinite(table).all():
            row = int(np.flatnonzero(~np.isfinite(table).all(1))[0])
            raise InvalidInputError(
                f"{owner}: got a value in row {row} that is not finite, expected numbers"
            )
        self.values = torch.from_numpy(table)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n numbers of rows."""
        return torch.randint(len(self.values), (n,), generator=generator)

    def optimal_returns(self, state: State | None) -> Tensor:
        """Return what the best decisions earn in the rows of the states, or in every row."""
        values = self.values if state is None else self.values[state["row"]]
        return -_bridge.solve(self._inner, -values)[1]

    @property
    def _inner(self) -> Any:
        return self.oracle
