"""Tours."""

from __future__ import annotations

from _oracle_cases.case import Case
from _oracle_cases.peers import gurobi_model
from dfl.datasets import make_traveling_salesman
from dfl_solvers import TravelingSalesman


def salesmen() -> list[Case]:
    """Return tours of 10, 20 and 30 cities."""
    found = []
    for cities, n, n_gurobi in ((10, 1024, 100), (20, 512, 30), (30, 256, 15)):
        data = make_traveling_salesman(n, n_cities=cities, degree=4, noise=0.5, random_state=0)
        found.append(
            Case(
                f"traveling salesman, {cities} cities",
                TravelingSalesman(cities),
                data.C,
                lambda cities=cities: gurobi_model("tspDFJModel", cities),
                n_gurobi,
            )
        )
    return found
