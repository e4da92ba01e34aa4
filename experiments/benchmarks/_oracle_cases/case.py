"""What is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dfl_solvers import Oracle
from dfl_solvers.oracle import Array

Peer = Callable[[Array], Array]  # costs (n, d) -> objectives (n,), in the oracle's own sense


@dataclass
class Case:
    """An oracle, its costs, and whom it is compared with: name -> (function, its instances)."""

    name: str
    oracle: Oracle
    costs: Array
    gurobi: Callable[[], Any] | None = None
    n_gurobi: int = 100
    peers: dict[str, tuple[Peer, int]] = field(default_factory=dict)
