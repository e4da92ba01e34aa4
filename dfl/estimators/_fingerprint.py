"""What identifies a fit, so that a checkpoint of another one is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

# the parameters of an estimator that tell how training goes on; data are told by their numbers
_TELLING = (
    "oracle",
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
    digest = hashlib.sha256(repr((seed, told, description)).encode())
    for values in arrays:
        if values is not None:
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
