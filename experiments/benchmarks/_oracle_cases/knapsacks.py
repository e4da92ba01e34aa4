"""Knapsacks."""

from __future__ import annotations

import numpy as np

from _oracle_cases.case import Case
from _oracle_cases.peers import gurobi_model
from dfl.datasets import make_knapsack
from dfl_solvers import Knapsack, Maximize
from dfl_solvers.oracle import minimizing


def knapsacks(rng: np.random.Generator) -> list[Case]:
    """Return easy and hard knapsacks."""
    found = []
    for name, m, share in (
        ("3 capacities of 20", 3, None),
        ("3 capacities of half their weight", 3, 0.5),
        ("1 capacity of half their weight", 1, 0.5),
    ):
        data = make_knapsack(2048, n_dimensions=m, degree=4, noise=0.5, random_state=0)
        weights = minimizing(data.oracle)[0].weights
        capacities = np.full(m, 20.0) if share is None else share * weights.sum(1)
        found.append(
            Case(
                f"knapsack, 32 items, {name}",
                Maximize(Knapsack(weights, capacities)),
                data.C,
                lambda w=weights, c=capacities: gurobi_model("knapsackModel", w, list(c)),
            )
        )
    return found
