"""What the two portfolio problems share: the budget, data of the instances, and the solver."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import Array, Instance, Status
from dfl_solvers.problems._frontier import walk_frontier

# costs (d,), a covariance (d, d) and which instance it is, to weights that sum to 1
ByCones = Callable[[Array, Array, int], tuple[Array, Status]]


def check_budget(owner: str, budget: str) -> None:
    """Refuse a budget of another name; ``owner`` is whom the error names."""
    if budget not in ("equal", "at_most"):
        raise InvalidInputError(f"{owner}: got budget {budget!r}, expected 'equal' or 'at_most'")


def numbers_of(owner: str, name: str, own: float, instance: Instance, n: int) -> Array:
    """Return a number for each of n instances, (n,), of their data or else of the parameter."""
    if name not in instance:
        return np.full(n, float(own))
    found = np.asarray(instance[name], dtype=float)
    if found.shape != (n,):
        raise InvalidInputError(
            f"{owner}: got instance data {name!r} of shape {found.shape}, expected {(n,)}"
        )
    return np.ascontiguousarray(found)


def least_costs(
    costs: Array,
    covariance: Array,
    bounds: Array,
    *,
    by_risk: bool,
    budget: str,
    by_cones: ByCones,
) -> tuple[Array, Array]:
    """Walk down the frontier to a bound, as ``walk_frontier``; return decisions and status.

    The rare instance that is not certified is left to ``by_cones``.
    """
    n, d = costs.shape
    decisions = np.zeros_like(costs)
    status = np.empty(n, dtype=np.int8)
    if budget == "at_most":
        # cash is an asset without cost and risk
        costs = np.pad(costs, ((0, 0), (0, 1)))
        covariance = np.pad(covariance, ((0, 0), (0, 1), (0, 1)))
    run(
        walk_frontier,
        n,
        np.ascontiguousarray(costs),
        np.ascontiguousarray(covariance),
        bounds,
        by_risk,
        decisions,
        status,
        serial=SLOW,
    )
    for i in np.flatnonzero(status == Status.FAILED):
        own = covariance[i if len(covariance) > 1 else 0]
        w, status[i] = by_cones(costs[i], own, int(i))
        decisions[i] = w[:d]
    return decisions, status
