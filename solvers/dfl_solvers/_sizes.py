"""Sizes and other whole numbers among the parameters of oracles, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


def read_size(owner: str, name: str, value: Any, least: int = 1) -> int:
    """Return a size as a plain integer: those of NumPy may be too short for products of them.

    Parameters
    ----------
    owner, name : str
        The oracle and its parameter, for the message.
    value : int
    least : int, default=1

    Raises
    ------
    InvalidInputError
        If it is no integer or too small.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInputError(
            f"{owner}: got {name}={value!r}, expected an integer of at least {least}"
        )
    return int(value)


def check_integers(owner: str, name: str, values: Array) -> None:
    """Refuse an array that holds anything but whole numbers; they may be floats.

    Raises
    ------
    InvalidInputError
    """
    if values.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"{owner}: got {name} of type {values.dtype}, expected whole numbers"
        )
    wrong = np.argwhere(~np.isfinite(values) | (values != np.floor(values)))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise InvalidInputError(
            f"{owner}: {name} is {values[index]} at {index}, expected whole numbers"
        )


def read_edges(owner: str, edges: Any) -> Array:
    """Return the edges of a graph as pairs (d, 2) of node numbers, at least one.

    Raises
    ------
    InvalidInputError
        If they are no pairs of whole numbers.
    """
    try:
        edges = np.asarray(edges)
    except ValueError as error:
        raise InvalidInputError(f"{owner}: edges are no pairs: {error}") from error
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise InvalidInputError(
            f"{owner}: got edges of shape {edges.shape}, expected (d, 2), one pair of node "
            "numbers an edge"
        )
    check_integers(owner, "edges", edges)
    return np.asarray(edges.astype(np.int64))


def check_nodes(owner: str, edges: Array, n_nodes: int) -> None:
    """Refuse edges (d, 2) that name nodes there are not.

    Raises
    ------
    InvalidInputError
    """
    wrong = np.flatnonzero(((edges < 0) | (edges >= n_nodes)).any(1))
    if len(wrong):
        raise InvalidInputError(
            f"{owner}: edge {wrong[0]} is {tuple(edges[wrong[0]].tolist())}, expected node numbers "
            f"from 0 to {n_nodes - 1}"
        )
