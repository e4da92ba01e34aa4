"""Knapsacks with one or several capacities."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance
from dfl_solvers.problems._knapsack_search import search
from dfl_solvers.problems._knapsack_table import search_one
from dfl_solvers.program import Program

# nodes of the first search, which settles ordinary instances
_NODES = 300
# items that are left to a plain search below a node of the thorough one
_FEW = 20
# states that a list may hold: some 6 MiB
_STATES = 1 << 18


@final
class Knapsack(AbstractOracle):
    """Choose items of least cost whose weights fit within every capacity.

    Costs are negative values: items that cost nothing or more are never taken. For values, use
    ``Maximize(Knapsack(...))``.

    Parameters
    ----------
    weights : array-like of shape (m, n)
        Weight of each of n items in each of m dimensions; not negative.
    capacities : array-like of shape (m,)
        Capacity of each dimension; not negative.

    Attributes
    ----------
    n_costs : int
        Number n of items.

    Raises
    ------
    InvalidInputError
        If shapes disagree, or a weight or capacity is negative or not finite.

    Notes
    -----
    ``min c.w`` over ``w in {0, 1}^n, weights w <= capacities``: NP-hard, solved exactly. Sums of
    weights may exceed a capacity by 1e-9 of it, so that decimals add up. Instance data ``weights``
    (batch, m, n) and ``capacities`` (batch, m) replace the parameters; ``mask`` (batch, n) leaves
    items out.

    A short depth-first search, bounded by the linear relaxation of the one constraint that sums
    the rows divided by their capacities, settles ordinary instances in microseconds. For others:

    * **One capacity**: dynamic programming over lists of undominated states, from the decision
      that takes the best items by value for weight outward, pruned by bounds. The lists hold at
      most as many states as there are different sums of weights, so that time is bounded by n
      times the total weight where weights are whole numbers, or, as whole numbers, decimals of up
      to six places. Where weights are arbitrary or huge and values nearly follow them, a list may
      outgrow its limit of 262 144 states. It is then joined with the list of all other items,
      which settles some 36 items whatever the values. If that is too long as well, the least
      promising states go, and the status is ``FEASIBLE`` unless the decision is within 1e-9 of
      what they promised. Such a solve takes 0.05 to some seconds.
    * **Several capacities**: branch and bound on the linear relaxation, by a dual simplex method
      with long steps that starts from the previous basis; items are fixed by reduced costs, and
      small subtrees enumerated with the duals as weights of the rows. Time grows exponentially
      with the items left at the root, with m, and the closer values follow the weights. On one
      core, capacities at half of the total weight: 32 items in 3 rows take some 30 microseconds
      with values of their own, 0.3 to 10 milliseconds with values near the mean weight (70 at
      worst of 11 000); 80 items in 5 rows and 50 in 10, near the mean weight, up to some 0.1 and
      0.3 seconds. There is no limit on time: for larger ones of that kind,
      ``MixedIntegerProgram(knapsack.program(), time_limit=...)`` gives good decisions in time.

    References
    ----------
    Kellerer, Pferschy & Pisinger, "Knapsack Problems", Springer 2004,
    doi 10.1007/978-3-540-24777-7. Pisinger, "A minimal algorithm for the 0-1 knapsack problem",
    Operations Research 45 (1997), doi 10.1287/opre.45.5.758.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Knapsack
    >>> Knapsack([[3.0, 4.0, 2.0]], [6.0]).solve(np.array([[-5.0, -6.0, -3.0]])).decisions
    array([[0., 1., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask", "weights", "capacities"})

    def __init__(self, weights: npt.ArrayLike, capacities: npt.ArrayLike) -> None:
        self.weights = np.asarray(weights, dtype=float)
        self.capacities = np.asarray(capacities, dtype=float)
        if self.weights.ndim != 2 or self.capacities.shape != self.weights.shape[:1]:
            raise InvalidInputError(
                f"Knapsack: got weights of shape {self.weights.shape} and capacities of shape "
                f"{self.capacities.shape}, expected (m, n) and (m,), for m capacities and n items "
                "such as [[3, 4, 5]] and [9]"
            )
        _check("weights", self.weights)
        _check("capacities", self.capacities)
        self.n_costs: int = self.weights.shape[1]

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        n = len(costs)
        m, d = self.weights.shape
        weights = self._per_instance(instance, "weights", (n, m, d))
        capacities = self._per_instance(instance, "capacities", (n, m))
        if "mask" in instance:
            costs = np.where(instance["mask"], costs, 0.0)
        decisions = np.zeros(costs.shape)
        status = np.zeros(n, dtype=np.int8)
        data = np.ascontiguousarray(costs), weights, capacities
        if m == 1:
            run(search_one, n, *data, _NODES, _STATES, decisions, status, serial=SLOW)
        else:
            run(search, n, *data, _NODES, _FEW, decisions, serial=SLOW)
        return decisions, status

    def program(self, instance: Instance | None = None) -> Program:
        """Return the binary program of one instance."""
        instance = instance or {}
        weights = np.asarray(instance.get("weights", self.weights), dtype=float)
        capacities = np.asarray(instance.get("capacities", self.capacities), dtype=float)
        upper = np.asarray(instance.get("mask", np.ones(self.n_costs)), dtype=float)
        return Program(
            weights,
            np.full(len(capacities), -np.inf),
            capacities,
            np.zeros(self.n_costs),
            upper,
            np.ones(self.n_costs),
        )

    def _per_instance(self, instance: Instance, name: str, shape: tuple[int, ...]) -> Array:
        """Return data of every instance; where all share it, a leading dimension of one."""
        if name not in instance:
            return np.ascontiguousarray(getattr(self, name))[None]
        values = np.ascontiguousarray(instance[name], dtype=float)
        if values.shape != shape:
            raise InvalidInputError(
                f"Knapsack: got instance data {name!r} of shape {values.shape}, expected {shape}"
            )
        _check(f"instance data {name!r}", values)
        return values


def _check(name: str, values: Array) -> None:
    wrong = np.argwhere(~((values >= 0) & np.isfinite(values)))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise InvalidInputError(
            f"Knapsack: {name} is {values[index]} at {index}, expected finite numbers >= 0"
        )
