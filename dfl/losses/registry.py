"""Losses by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.perturbed_fenchel_young import PerturbedFenchelYoungLoss
from dfl.losses.spo_plus import SPOPlusLoss
from dfl.losses.squared import SquaredLoss
from dfl_solvers.oracle import Oracle

LOSSES: dict[str, type[AbstractLoss]] = {
    "perturbed-fenchel-young": PerturbedFenchelYoungLoss,
    "spo+": SPOPlusLoss,
    "squared": SquaredLoss,
}


def available() -> tuple[str, ...]:
    """Return the names that ``make_loss`` knows.

    Examples
    --------
    >>> from dfl.losses import available
    >>> available()
    ('perturbed-fenchel-young', 'spo+', 'squared')
    """
    return tuple(LOSSES)


def make_loss(
    name: str, oracle: Oracle, parameters: Mapping[str, Any] | None = None
) -> AbstractLoss:
    """Make a loss by its name, so that a string selects the method.

    Parameters
    ----------
    name : str
        One of ``available()``.
    oracle : Oracle
        The oracle the loss holds.
    parameters : mapping, optional
        The loss's own parameters, such as ``{"sigma": 0.5}``.

    Returns
    -------
    AbstractLoss
        A module to call as ``loss(output, target)``.

    Raises
    ------
    InvalidInputError
        If the name or a parameter is unknown; near matches are named.
    UnsupportedError
        If loss and oracle do not go together.

    Examples
    --------
    >>> from dfl import make_loss
    >>> from dfl_solvers import Box
    >>> make_loss("spo", Box())
    Traceback (most recent call last):
        ...
    dfl_solvers.exceptions.InvalidInputError: got loss 'spo', expected one of: \
perturbed-fenchel-young, spo+, squared; did you mean 'spo+'?
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(str(name), LOSSES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(
            f"got loss {name!r}, expected one of: {', '.join(available())}{hint}"
        )
    leaf = LOSSES[name]
    known = [key for key in inspect.signature(leaf).parameters if key != "oracle"]
    for key in parameters or {}:
        if key not in known:
            raise InvalidInputError(
                f"loss {name!r}: got parameter {key!r}, "
                f"expected one of: {', '.join(known) or 'none, it has no parameters'}"
            )
    return leaf(oracle, **dict(parameters or {}))
