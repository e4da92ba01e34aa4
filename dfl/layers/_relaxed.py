"""Smoothed relaxations of an oracle's programs, from costs of decisions to decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor

from dfl.exceptions import UnsupportedError
from dfl_solvers.oracle import Oracle
from dfl_solvers.program import Program

# from costs (n, k) of a program's variables, in double precision, to their values (n, k)
Optimum = Callable[[Tensor], Tensor]


@final
class Relaxed:
    """A way to smooth programs, over the program of an oracle, or of each instance.

    Parameters
    ----------
    smooth : callable
        From a program to what gives its smoothed optimum.
    """

    def __init__(self, smooth: Callable[[Program], Optimum]) -> None:
        self.smooth = smooth
        self._shared: tuple[Oracle, _FromDecisions] | None = None

    def __call__(self, oracle: Oracle, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Smoothed decisions (n, d) for costs (n, d)."""
        program = oracle.program  # type: ignore[attr-defined]
        if not instance:
            if self._shared is None or self._shared[0] is not oracle:  # an estimator sets its own
                self._shared = oracle, _FromDecisions(program(), self.smooth)
            return self._shared[1](costs)
        rows = []
        for i in range(len(costs)):
            own = program({name: value[i] for name, value in instance.items()})
            rows.append(_FromDecisions(own, self.smooth)(costs[i : i + 1]))
        return torch.cat(rows) if rows else costs * 0


def check_program(owner: object, oracle: Oracle) -> None:
    """Refuse an oracle without a matrix form."""
    if not hasattr(oracle, "program"):
        raise UnsupportedError(
            f"{type(owner).__name__} does not go with {type(oracle).__name__}: it needs the "
            "oracle's matrix form (a method program()), which this oracle does not have; "
            "FrankWolfeLayer needs none"
        )


@final
class _FromDecisions:
    """One program, smoothed."""

    def __init__(self, program: Program, smooth: Callable[[Program], Optimum]) -> None:
        self.optimum = smooth(program)
        decision_map: Any = program.decision_map
        self.map = None if program.identity else torch.from_numpy(decision_map.toarray())
        fixed: Any = program.fixed_costs
        self.fixed = torch.from_numpy(fixed)

    def __call__(self, costs: Tensor) -> Tensor:
        """Decisions (n, d) for costs (n, d)."""
        if not len(costs):
            return costs * 0
        exact = costs.double()
        if self.map is None:
            x = self.optimum(exact + self.fixed.to(costs.device))
        else:
            decision_map = self.map.to(costs.device)
            x = self.optimum(exact @ decision_map + self.fixed.to(costs.device)) @ decision_map.T
        return x.to(costs.dtype)
