"""What identifies a fit, so that a checkpoint of another one is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from dfl.exceptions import UnsupportedError
from dfl_solvers import serialization

# the parameters of an estimator that tell how training goes on; data are told by their numbers
_TELLING = (
    "loss",
    "loss_parameters",
    "max_iter",
    "batch_size",
    "optimizer",
    "learning_rate",
    "schedule",
    "early_stopping",
    "n_iter_no_change",
)


def fingerprint(estimator: Any, seed: int, description: str, arrays: Iterable[Any]) -> str:
    """Return a digest of an estimator's parameters, a seed, its module and all numbers.

    Parameters
    ----------
    estimator : DecisionFocusedRegressor
    seed : int
    description : str
        Of the module.
    arrays : iterable of array-like, or None
        Data, labels and first weights.
    """
    told = [getattr(estimator, name) for name in _TELLING]
    return digest(repr((seed, _oracle(estimator.oracle), told, description)), arrays)


def digest(text: str, arrays: Iterable[Any]) -> str:
    """Return a digest of a text and of all numbers of some arrays, or Nones."""
    # where an object lies in memory is another place in every process
    found = hashlib.sha256(re.sub(r" at 0x[0-9a-fA-F]+", "", text).encode())
    for values in arrays:
        if values is not None:
            values = values.cpu().numpy() if isinstance(values, Tensor) else values
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def _oracle(oracle: Any) -> str:
    """Return what an oracle is: all its numbers, if it is one of ours, else its name for itself."""
    try:
        return serialization.fingerprint(oracle)
    except UnsupportedError:
        return repr(oracle)
