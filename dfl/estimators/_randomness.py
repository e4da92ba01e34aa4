"""Where the randomness of a fit comes from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from dfl.exceptions import InvalidInputError


def generator_of(random_state: Any) -> np.random.Generator:
    """Return a generator for what scikit-learn calls a random state, or a Generator itself."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"got random_state={random_state!r}: {error}") from error


@contextlib.contextmanager
def private_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what a module draws by itself (dropout, say) without touching the caller's generators.

    Parameters
    ----------
    seed : int
    device : torch.device
        Where the module is.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
