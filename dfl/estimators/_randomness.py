"""Where the randomness of a fit comes from."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch import nn

from dfl.exceptions import InvalidInputError


def generator_of(random_state: Any) -> np.random.Generator:
    """Return a generator for what scikit-learn calls a random state, or a Generator itself."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"got random_state={random_state!r}: {error}") from error


def private_randomness(
    seed: int, predictor: str | nn.Module
) -> contextlib.AbstractContextManager[Any]:
    """Seed what a user's module draws (dropout, say) without touching the caller's generator."""
    if isinstance(predictor, str):
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    stack.enter_context(torch.random.fork_rng(devices=[]))
    torch.manual_seed(seed)
    return stack
