"""Regret of the worst decision among those that a prediction cannot tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.metrics.regret import Definition, _costs, normalize, optimal_objectives, regret
from dfl_solvers.oracle import Array, Oracle, minimizing


def unambiguous_regret(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    instance: Mapping[str, Any] | None = None,
    tolerance: float = 1e-7,
) -> Array:
    """Return the regret at the worst tie: the worst of the decisions optimal for the prediction.

    Use it for constant or zero predictions, which otherwise get a lucky or unlucky score from the
    oracle's way of breaking ties. Each instance needs one solve of the problem with one more row.

    Parameters
    ----------
    oracle : Oracle
        With a matrix form: ``program(instance)``.
    predicted, costs : array-like of shape (n, d)
        Costs to decide by, and costs to pay.
    instance : mapping of str to ndarray, optional
        Per-instance data of the oracle, each array with leading n.
    tolerance : float, default=1e-7
        What counts as a tie, relative to the largest predicted cost.

    Returns
    -------
    ndarray of shape (n,)
        ``max {c.w : w in S, p.w <= z*(p) + tolerance} - z*(c)``.

    Raises
    ------
    UnsupportedError
        If the oracle has no matrix form.
    InvalidInputError
        If shapes differ or an entry is not finite.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, definition 2.

    Examples
    --------
    >>> from dfl.metrics import unambiguous_regret
    >>> from dfl_solvers import Simplex
    >>> unambiguous_regret(Simplex(3), [[0.0, 0.0, 0.0]], [[1.0, 2.0, 4.0]])
    array([3.])
    """
    from dfl_solvers import LinearProgram, MixedIntegerProgram

    minimized, sign = minimizing(oracle)
    if not hasattr(minimized, "program"):
        raise UnsupportedError(
            f"unambiguous regret needs the matrix form of {type(minimized).__name__} (a method "
            "program()), which this oracle does not have"
        )
    predicted, costs = sign * _costs(predicted, "predicted"), sign * _costs(costs, "costs")
    if predicted.shape != costs.shape:
        raise InvalidInputError(
            f"got predicted costs of shape {predicted.shape}, expected {costs.shape}, "
            "the shape of the true costs"
        )
    reached = optimal_objectives(minimized, predicted, instance=instance)
    optimal = optimal_objectives(minimized, costs, instance=instance)
    worst = np.empty(len(costs))
    for i in range(len(costs)):
        own = {name: value[i] for name, value in (instance or {}).items()}
        program = minimized.program(own)
        row = program.objective(predicted[i : i + 1])
        slack = tolerance * max(1.0, float(np.abs(predicted[i]).max(initial=0.0)))
        face = dataclasses.replace(
            program,
            A=sp.vstack([program.A, sp.csr_array(row)], format="csr"),
            row_lower=np.append(program.row_lower, -np.inf),
            row_upper=np.append(program.row_upper, reached[i] + slack),
            fixed_costs=-program.fixed_costs,
        )
        solver = MixedIntegerProgram(face) if face.integrality.any() else LinearProgram(face)
        worst[i] = -solver.solve(-costs[i : i + 1]).objectives[0]
    return worst - optimal


def normalized_regret(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    instance: Mapping[str, Any] | None = None,
    definition: Definition = "sum",
    tie: Literal["oracle", "unambiguous"] = "oracle",
) -> float:
    """Return the normalized regret of deciding by predicted costs.

    Parameters
    ----------
    oracle : Oracle
        The problem that the costs feed.
    predicted : array-like of shape (n, d)
        Predicted costs (values, for a maximizing oracle).
    costs : array-like of shape (n, d)
        True costs, in the same sense.
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.
    definition : {"sum", "mean"}, default="sum"
        ``sum(regret) / sum(|z*|)``, or the mean of the ratios; see ``normalize``.
    tie : {"oracle", "unambiguous"}, default="oracle"
        The decision judged where the prediction has several optimal ones: the oracle's own, or the
        worst; see ``unambiguous_regret``.

    Returns
    -------
    float
        0 is perfect.

    Raises
    ------
    InvalidInputError
        If shapes differ, an entry is not finite, or the ratio is not defined.

    Examples
    --------
    >>> from dfl.metrics import normalized_regret
    >>> from dfl_solvers import Simplex
    >>> normalized_regret(Simplex(), [[3.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [3.0, 5.0]])
    0.25
    """
    if tie == "oracle":
        found = regret(oracle, predicted, costs, instance=instance)
    elif tie == "unambiguous":
        found = unambiguous_regret(oracle, predicted, costs, instance=instance)
    else:
        raise InvalidInputError(f"got tie={tie!r}, expected 'oracle' or 'unambiguous'")
    return normalize(found, optimal_objectives(oracle, costs, instance=instance), definition)
