"""The SPO+ loss on the linear relaxation of an integer problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from torch import Tensor

from dfl.exceptions import UnsupportedError
from dfl.losses.base import AbstractLoss
from dfl.losses.spo_plus import SPOPlusLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Oracle, Solution
from dfl_solvers.wrappers import Counting

if TYPE_CHECKING:
    from dfl_solvers.problems.linear_program import LinearProgram


@final
class RelaxedSPOPlusLoss(AbstractLoss):
    r"""SPO+ with linear programs in place of an integer program, for a slow oracle.

    Train with it when the integer program takes milliseconds or more and its relaxation is tight;
    decide and judge by the exact oracle, as estimators do. Any other loss works on a relaxation
    too: give it the oracle ``relax()`` returns.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form. ``self.oracle`` is its relaxation, whichever oracle is set.

    Raises
    ------
    UnsupportedError
        If the oracle has no matrix form.

    Notes
    -----
    The formula of ``SPOPlusLoss`` with the relaxation in place of the feasible set S. Labels that
    the target lacks are solved on the relaxation too, as PyEPO's users do: then the loss is never
    negative, zero at p = c, and an upper bound of the regret *of the relaxation*. Labels that are
    given are used as they are; integer ones leave a positive loss at p = c: the gap between the two
    problems.

    References
    ----------
    Mandi, Demirovic, Stuckey & Guns, "Smart Predict-and-Optimize for Hard Combinatorial
    Optimization Problems", AAAI 2020, arXiv 1911.10092.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Knapsack
    >>> loss = make_loss("relaxed-spo+", Knapsack([[1.0, 1.0]], [1.5]))
    >>> target = Target(costs=torch.tensor([[-2.0, -1.0]]))
    >>> loss.complete(target).decisions
    tensor([[1.0000, 0.5000]])
    >>> loss(torch.tensor([[-1.0, -2.0]]), target)
    tensor(1.5000)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions", "program"})

    @property
    def oracle(self) -> Oracle:
        """The linear relaxation."""
        return self._surrogate.oracle

    @oracle.setter
    def oracle(self, oracle: Oracle) -> None:
        # an estimator sets its own, exact oracle
        self._surrogate = SPOPlusLoss(relaxation(oracle))

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """SPO+ loss of each sample on the relaxation, shape (n,)."""
        self._surrogate._solved = self._solved
        return self._surrogate.per_sample(output, target)


def relaxation(oracle: Oracle) -> Oracle:
    """Return the oracle of the linear relaxation of a minimizing oracle with a matrix form."""
    if isinstance(oracle, Counting):
        counting = Counting(relaxation(oracle.oracle))
        counting.counts = oracle.counts
        return counting
    if hasattr(oracle, "relax"):
        return oracle.relax()
    if not hasattr(oracle, "program"):
        raise UnsupportedError(
            f"{type(oracle).__name__} has no linear relaxation: it has no matrix form (a method "
            "program())"
        )
    return _Relaxation(oracle)


@final
class _Relaxation(AbstractOracle):
    """Linear relaxation of an oracle that may have another program for each instance."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.n_costs = oracle.n_costs
        self.instance_fields = getattr(oracle, "instance_fields", frozenset())  # type: ignore[misc]
        self.linear_objective = getattr(oracle, "linear_objective", True)
        self._shared = self._program(None)

    def _program(self, instance: Instance | None) -> LinearProgram:
        # imported here, since it loads a solver that other losses do without
        from dfl_solvers.problems.linear_program import LinearProgram

        return LinearProgram(self.oracle.program(instance).relax())  # type: ignore[attr-defined]

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        if not instance:
            return self._shared.solve(costs)
        parts = [own.solve(costs[rows]) for rows, own in self._programs(len(costs), instance)]
        return Solution(
            np.concatenate([part.decisions for part in parts]),
            np.concatenate([part.objectives for part in parts]),
            np.concatenate([part.status for part in parts]),
        )

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        if self.linear_objective:
            return super()._objective(costs, decisions, instance)
        if not instance:
            return self._shared.evaluate(costs, decisions)
        programs = self._programs(len(costs), instance)
        return np.concatenate([own.evaluate(costs[i], decisions[i]) for i, own in programs])

    def _programs(self, n: int, instance: Instance) -> Iterator[tuple[slice, LinearProgram]]:
        for i in range(n):
            yield slice(i, i + 1), self._program({k: v[i] for k, v in instance.items()})
