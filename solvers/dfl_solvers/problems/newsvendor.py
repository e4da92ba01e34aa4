"""Order quantities of several items under uncertain demand."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.problems._critical_quantiles import expected_costs, order
from dfl_solvers.program import Program


@final
class Newsvendor(AbstractOracle):
    r"""Order items at predicted prices to meet demand that is known by scenarios only.

    Costs are unit purchase prices. What is short of demand and what is left over costs as well, on
    average over the scenarios; the orders may have to fit a common capacity.

    Parameters
    ----------
    demand : array-like of shape (K, n)
        Demand for each of n items in each of K equally likely scenarios; not negative.
    shortage : float or array-like of shape (n,)
        Cost of a unit short of demand, such as the price lost; not negative.
    holding : float or array-like of shape (n,)
        Cost of a unit left over; negative for a salvage value, but ``shortage + holding >= 0``.
    capacity : float, optional
        Largest sum of the orders. Default: none.

    Attributes
    ----------
    n_costs : int
        Number n of items.

    Raises
    ------
    InvalidInputError
        If shapes disagree or a number is out of range.

    Notes
    -----
    .. math::

        \min_w c^\top w + \frac 1 K \sum_{k,j} \left[ s_j (D_{kj} - w_j)_+ +
        h_j (w_j - D_{kj})_+ \right] \quad \text{s.t.} \quad 0 \le w_j \le \max_k D_{kj}, \;
        \sum_j w_j \le \text{capacity}.

    An item is never ordered beyond its largest demand, even at a price that would pay for it. The
    objective has a part of its own, so ``linear_objective`` is False and decisions depend on the
    scale of the costs.

    The next unit of item j gains :math:`s_j - c_j - (s_j + h_j) m / K` where m demands are met
    already. Without a capacity, or with enough of it, the order is the critical quantile: the
    smallest demand, or zero, from where no gain is left. A scarce capacity goes to the largest
    gains: a price on it, found by bisection, is added to all costs, and the few steps in question
    at that price are taken in the order of their gains, first items first. A solve takes time
    :math:`O(n \log (K n))` beside the sorting of demands, which is done once; the tie-break makes
    decisions unique. Further constraints are for ``LinearProgram``.

    Instance data ``demand`` (batch, K, n), with any number K of scenarios, and ``capacity``
    (batch,) replace the parameters; ``likelihood`` (batch, K) says how likely the scenarios are,
    in any unit, where they are not equally so. The order is then the critical quantile of the
    weighted demands.

    References
    ----------
    K. Arrow, T. Harris, J. Marschak. Optimal inventory policy. Econometrica 19 (1951).
    doi:10.2307/1906813

    Examples
    --------
    A unit short costs 4, one left over 1. At a price of 1 the order is the 60 % quantile.

    >>> import numpy as np
    >>> from dfl_solvers import Newsvendor
    >>> demand = np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0], [40.0, 4.0], [50.0, 5.0]])
    >>> Newsvendor(demand, 4.0, 1.0).solve(np.array([[1.0, 3.5]])).decisions
    array([[30.,  1.]])
    >>> Newsvendor(demand, 4.0, 1.0, capacity=25).solve(np.array([[1.0, 1.0]])).decisions
    array([[23.,  2.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"demand", "capacity", "likelihood"})
    linear_objective = False
    n_costs: int

    def __init__(
        self,
        demand: npt.ArrayLike,
        shortage: npt.ArrayLike,
        holding: npt.ArrayLike,
        capacity: float | None = None,
    ) -> None:
        self.demand = _numbers("demand", demand)
        if self.demand.ndim != 2 or not self.demand.size:
            raise InvalidInputError(
                f"Newsvendor: got a demand of shape {self.demand.shape}, expected (K, n)"
            )
        _check_demand(self.demand, "demand")
        self.n_costs = self.demand.shape[1]
        self.shortage = self._of_items("shortage", shortage)
        self.holding = self._of_items("holding", holding)
        for j in np.flatnonzero(self.shortage < 0)[:1]:
            raise InvalidInputError(
                f"Newsvendor: got shortage {self.shortage[j]} of item {j}, expected >= 0"
            )
        for j in np.flatnonzero(self.shortage + self.holding < 0)[:1]:
            raise InvalidInputError(
                f"Newsvendor: got holding {self.holding[j]} of item {j}, expected at least "
                f"{-self.shortage[j]}, minus its shortage"
            )
        if capacity is not None and not 0 <= capacity < np.inf:
            raise InvalidInputError(f"Newsvendor: got capacity={capacity}, expected >= 0 or None")
        self.capacity = capacity
        self._sorted = _sort(self.demand[None], None)

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        n = len(costs)
        capacity = np.full(n, np.inf if self.capacity is None else float(self.capacity))
        if "capacity" in instance:
            capacity = np.ascontiguousarray(instance["capacity"], dtype=float)
            if capacity.shape != (n,):
                raise InvalidInputError(
                    f"Newsvendor: got instance data 'capacity' of shape {capacity.shape}, "
                    f"expected {(n,)}"
                )
            for i in np.flatnonzero(capacity < 0)[:1]:
                raise InvalidInputError(
                    f"Newsvendor: instance {i}: got capacity {capacity[i]}, expected >= 0"
                )
        decisions = np.empty(costs.shape)
        known = np.empty(n)
        data = *self._demands(instance, n), self.shortage, self.holding
        run(order, n, np.ascontiguousarray(costs), *data, capacity, decisions, known)
        status = np.full(n, int(Status.OPTIMAL), dtype=np.int8)
        return Solution(decisions, np.vecdot(costs, decisions) + known, status)

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        n = len(costs)
        known = np.empty(n)
        data = *self._demands(instance, n), self.shortage, self.holding
        run(expected_costs, n, np.ascontiguousarray(decisions, dtype=float), *data, known)
        return super()._objective(costs, decisions, instance) + known

    def program(self, instance: Instance | None = None) -> Program:
        """Return the linear program of one instance.

        Its variables are the n orders, then what is short and what is left over in each scenario,
        item by item; the decision is the orders.
        """
        instance = instance or {}
        demand = np.asarray(instance.get("demand", self.demand), dtype=float)
        K, n = demand.shape
        largest = demand.max(axis=0)
        likely = np.asarray(instance.get("likelihood", np.ones(K)), dtype=float)
        likely = likely / likely.sum()
        # order + short - left = demand
        unit = sp.eye_array(K * n)
        blocks: list[list[Any]] = [[sp.vstack([sp.eye_array(n)] * K), unit, -unit]]
        low = high = demand.ravel()
        capacity = instance.get("capacity", self.capacity)
        if capacity is not None:
            blocks.append([sp.csr_array(np.ones((1, n))), None, None])
            low, high = np.append(low, -np.inf), np.append(high, float(capacity))
        return Program(
            sp.block_array(blocks, format="csr"),
            low,
            high,
            np.zeros(n + 2 * K * n),
            np.concatenate([largest, demand.ravel(), (largest - demand).ravel()]),
            fixed_costs=np.concatenate(
                [
                    np.zeros(n),
                    np.outer(likely, self.shortage).ravel(),
                    np.outer(likely, self.holding).ravel(),
                ]
            ),
            decision_map=sp.eye_array(n, n + 2 * K * n, format="csr"),
        )

    def _of_items(self, name: str, value: npt.ArrayLike) -> Array:
        """Return one number an item."""
        values = _numbers(name, value)
        if values.shape not in ((), (self.n_costs,)):
            raise InvalidInputError(
                f"Newsvendor: got {name} of shape {values.shape}, expected a number or one for "
                f"each of {self.n_costs} items"
            )
        return np.full(self.n_costs, values)

    def _demands(self, instance: Instance, n: int) -> tuple[Array, Array, Array]:
        """Return sorted demands (1 or n, items, K), their sums and how many they are of K."""
        if "demand" not in instance and "likelihood" not in instance:
            return self._sorted
        demand = np.asarray(instance.get("demand", self.demand[None]), dtype=float)
        if demand.ndim != 3 or not demand.shape[1] or demand.shape[2] != self.n_costs:
            raise InvalidInputError(
                f"Newsvendor: got instance data 'demand' of shape {demand.shape}, expected "
                f"({n}, K, {self.n_costs})"
            )
        _check_demand(demand, "instance data 'demand'")
        if "likelihood" not in instance:
            return _sort(demand, None)
        likelihood = np.asarray(instance["likelihood"], dtype=float)
        if likelihood.shape != (n, demand.shape[1]):
            raise InvalidInputError(
                f"Newsvendor: got instance data 'likelihood' of shape {likelihood.shape}, expected "
                f"{(n, demand.shape[1])}"
            )
        for i in np.flatnonzero((likelihood < 0).any(axis=1) | ~likelihood.any(axis=1))[:1]:
            raise InvalidInputError(
                f"Newsvendor: instance {i}: expected likelihoods >= 0, some of them positive"
            )
        return _sort(np.broadcast_to(demand, (n, *demand.shape[1:])), likelihood)


def _sort(demand: Array, likelihood: Array | None) -> tuple[Array, Array, Array]:
    """Sort demands (m, K, n) to (m, n, K), sum them up to (m, n, K + 1), and count them likewise.

    A demand counts K times its likelihood (m, K), hence once if all are equally likely.
    """
    demand = np.ascontiguousarray(demand.transpose(0, 2, 1))
    K = demand.shape[2]
    if likelihood is None:
        demand = np.sort(demand, axis=2)
        return demand, _running(demand), np.arange(K + 1.0)[None, None]
    order = np.argsort(demand, axis=2, kind="stable")
    demand = np.take_along_axis(demand, order, axis=2)
    counts = np.take_along_axis(np.broadcast_to(likelihood[:, None], demand.shape), order, axis=2)
    shares = _running(counts)
    total = shares[..., -1:]
    # divided last, so that demands behind the last likely one find nothing left
    return demand, _running(counts * (demand / total)) * K, shares / total * K


def _running(values: Array) -> Array:
    """Sum up along the last axis, from zero."""
    return np.pad(np.cumsum(values, axis=2), ((0, 0), (0, 0), (1, 0)))


def _numbers(name: str, value: npt.ArrayLike) -> Array:
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"Newsvendor: {name} holds no numbers: {error}") from error
    if not np.isfinite(numbers).all():
        raise InvalidInputError(f"Newsvendor: expected finite numbers as {name}")
    return numbers


def _check_demand(demand: Array, name: str) -> None:
    wrong = np.argwhere(demand < 0)
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise InvalidInputError(
            f"Newsvendor: {name} is {demand[index]} at {index}, expected numbers >= 0"
        )
