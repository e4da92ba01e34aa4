"""Data sets: ``make_*`` generators, and ``load_*`` and ``fetch_*`` for real data."""

from dfl.datasets.knapsack import make_knapsack as make_knapsack
from dfl.datasets.portfolio import make_portfolio as make_portfolio
from dfl.datasets.shortest_path import make_shortest_path as make_shortest_path

__all__ = ["make_knapsack", "make_portfolio", "make_shortest_path"]
