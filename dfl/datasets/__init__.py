"""Data sets: ``make_*`` generators, and ``load_*`` and ``fetch_*`` for real data."""

from dfl.datasets.cora_matching import fetch_cora_matching as fetch_cora_matching
from dfl.datasets.energy import fetch_energy_prices as fetch_energy_prices
from dfl.datasets.energy import fetch_scheduling_days as fetch_scheduling_days
from dfl.datasets.energy import fetch_scheduling_instance as fetch_scheduling_instance
from dfl.datasets.entropy_portfolio import make_entropy_portfolio as make_entropy_portfolio
from dfl.datasets.knapsack import make_knapsack as make_knapsack
from dfl.datasets.knapsack_weights import make_knapsack_weights as make_knapsack_weights
from dfl.datasets.llm import fetch_llm_preferences as fetch_llm_preferences
from dfl.datasets.llm import fetch_llm_routing as fetch_llm_routing
from dfl.datasets.ordinal_classes import load_ordinal_digits as load_ordinal_digits
from dfl.datasets.ordinal_classes import make_ordinal_classes as make_ordinal_classes
from dfl.datasets.perfect_matching import make_digit_matching as make_digit_matching
from dfl.datasets.perfect_matching import make_perfect_matching as make_perfect_matching
from dfl.datasets.portfolio import make_portfolio as make_portfolio
from dfl.datasets.price_knapsack import fetch_price_knapsack as fetch_price_knapsack
from dfl.datasets.shortest_path import make_shortest_path as make_shortest_path
from dfl.datasets.sp500 import load_sp500 as load_sp500
from dfl.datasets.sp500 import load_sp500_weekly as load_sp500_weekly
from dfl.datasets.spanning_tree import make_spanning_tree as make_spanning_tree
from dfl.datasets.staffing import make_staffing as make_staffing
from dfl.datasets.terrain import fetch_warcraft_maps as fetch_warcraft_maps
from dfl.datasets.terrain import make_terrain as make_terrain
from dfl.datasets.top_k import make_cubic_top_k as make_cubic_top_k
from dfl.datasets.traveling_salesman import make_traveling_salesman as make_traveling_salesman

__all__ = [
    "fetch_cora_matching",
    "fetch_energy_prices",
    "fetch_llm_preferences",
    "fetch_llm_routing",
    "fetch_price_knapsack",
    "fetch_scheduling_days",
    "fetch_scheduling_instance",
    "fetch_warcraft_maps",
    "load_ordinal_digits",
    "load_sp500",
    "load_sp500_weekly",
    "make_cubic_top_k",
    "make_digit_matching",
    "make_entropy_portfolio",
    "make_knapsack",
    "make_knapsack_weights",
    "make_ordinal_classes",
    "make_perfect_matching",
    "make_portfolio",
    "make_shortest_path",
    "make_spanning_tree",
    "make_staffing",
    "make_terrain",
    "make_traveling_salesman",
]
