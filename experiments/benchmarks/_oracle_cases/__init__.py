"""The problems, a file a family."""

from __future__ import annotations

import numpy as np

from _oracle_cases.case import Case
from _oracle_cases.knapsacks import knapsacks
from _oracle_cases.networks import networks
from _oracle_cases.others import others
from _oracle_cases.paths import paths
from _oracle_cases.portfolios import portfolios
from _oracle_cases.salesmen import salesmen


def cases() -> list[Case]:
    """Return the problems."""
    rng = np.random.default_rng(0)
    return [
        *paths(rng),
        *knapsacks(rng),
        *portfolios(),
        *salesmen(),
        *others(rng),
        *networks(rng),
    ]
