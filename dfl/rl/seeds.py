"""Seeds of fits, and of what is drawn after them."""

from __future__ import annotations

from typing import Any

import torch

from dfl.estimators._randomness import generator_of


def drawn_seed(random_state: Any) -> int:
    """Return a seed for what scikit-learn calls a random state, or a Generator, which moves on."""
    return int(generator_of(random_state).integers(2**62))


def later_seed(fit_seed: int, random_state: Any) -> int:
    """Return the seed of decisions; for None one that follows from that of ``fit``."""
    if random_state is None:  # not what was drawn in fit: nobody is judged where he learned
        return fit_seed + 1
    return drawn_seed(random_state)


def seeded(seed: int) -> torch.Generator:
    """Return a generator of torch, on the CPU, with a seed."""
    return torch.Generator().manual_seed(seed)
