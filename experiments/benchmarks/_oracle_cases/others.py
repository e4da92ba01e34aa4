"""Assignment, linear programs, selection and orders."""

from __future__ import annotations

import numpy as np

from _oracle_cases.case import Case
from _oracle_cases.peers import LAPX, hot_highs, lapx_batch, scipy_assignment, top_5
from dfl_solvers import Assignment, LinearProgram, Newsvendor, Program, TopK


def others(rng: np.random.Generator) -> list[Case]:
    """Return assignment, linear programs, selection and orders."""
    A = rng.uniform(0, 1, (30, 50))
    program = Program(A, np.full(30, -np.inf), A.sum(1) / 2, np.zeros(50), np.ones(50))
    demand = rng.gamma(4.0, 5.0, (50, 20))
    orders = Newsvendor(demand, np.full(20, 4.0), np.full(20, 0.5), capacity=300.0)
    return [
        Case(
            "assignment 20 x 20",
            Assignment(20),
            rng.uniform(0, 1, (2048, 400)),
            peers={
                **{f"lapx {name}": (lapx_batch(name), 2048) for name in LAPX},
                "scipy": (scipy_assignment, 500),
            },
        ),
        Case(
            "linear program, 50 variables, 30 rows",
            LinearProgram(program),
            rng.normal(size=(2048, 50)),
            peers={"HiGHS, hot": (hot_highs(program), 100)},
        ),
        Case("top 5 of 100", TopK(100, 5), rng.normal(size=(2048, 100)),
             peers={"NumPy argpartition": (top_5, 2048)}),
        Case(
            "newsvendor, 20 items, 50 scenarios, one capacity",
            orders,
            rng.uniform(0.5, 3, (2048, 20)),
            peers={"HiGHS, hot": (hot_highs(orders.program()), 20)},
        ),
    ]  # fmt: skip
