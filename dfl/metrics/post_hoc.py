"""Post-hoc regret: what predicted constraints cost once the true ones are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.metrics.regret import optimal_objectives
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.recourse.base import AbstractRecourse, check_recourse
from dfl_solvers.recourse.field import PredictedField


def post_hoc_regret(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    predicts: str,
    recourse: AbstractRecourse,
    positions: Sequence[int] | None = None,
    instance: Mapping[str, Any] | None = None,
    optimal: Array | None = None,
) -> Array:
    """Return the regret of deciding by predicted constraints and correcting by the true ones.

    Parameters
    ----------
    oracle : Oracle
        A problem whose instances may have constraints of their own, such as ``Knapsack``.
    predicted, truth : array-like of shape (n, q)
        Predicted and true numbers of the constraint; a field of several axes row by row.
    costs : array-like of shape (n, d) or (d,)
        Known costs (values, for a maximizing oracle).
    predicts : str
        The field they belong to, one of the oracle's ``instance_fields``: ``"weights"`` or
        ``"capacities"`` of ``Knapsack``, bounds of rows or variables of ``LinearProgram`` and
        ``MixedIntegerProgram``.
    recourse : AbstractRecourse
        What is done once the truth is known, and its penalty: ``dfl_solvers.Reoptimize``,
        ``Rescale``, ``Discard`` or one of your own.
    positions : sequence of int, optional
        Which entries of the field are predicted; the others are known. Default: all.
    instance : mapping of str to ndarray, optional
        Known data of the instances, each array with leading n.
    optimal : ndarray of shape (n,), optional
        Objectives of the best decisions under the true constraints, where they are known already.

    Returns
    -------
    ndarray of shape (n,)
        Negative only by rounding.

    Raises
    ------
    InvalidInputError
        If shapes differ or the oracle has no such field.
    InfeasibleError
        If an instance has no decision under its predicted or its true constraints, or cannot be
        corrected; it is named.
    UnsupportedError
        If the recourse does not suit the oracle.

    Notes
    -----
    With predicted and true constraints p and t, the first decision ``w(p)`` and its correction
    ``w2`` by the recourse::

        regret = c.w2 + penalty(w(p), w2) - z*(t),   z*(t) = min_{w in S(t)} c.w

    It is not negative, since ``w2`` is feasible for t, and zero for p = t.

    References
    ----------
    Hu, Lee & Lee, arXiv 2209.03668 (a correction by a rule) and arXiv 2311.08022 (by a second
    optimization); both reconstructed from their abstracts and problem statements.

    Examples
    --------
    The second item is heavier than predicted, and is returned for half of its value:

    >>> from dfl.metrics import post_hoc_regret
    >>> from dfl_solvers import Knapsack, Maximize, Reoptimize
    >>> oracle = Maximize(Knapsack([[1.0, 1.0, 1.0]], [6.0]))
    >>> post_hoc_regret(
    ...     oracle, [[3.0, 3.0, 9.0]], [[3.0, 4.0, 3.0]], [5.0, 4.0, 3.0],
    ...     predicts="weights", recourse=Reoptimize(add=0.0, drop=0.5),
    ... )
    array([2.])
    """
    field = PredictedField(oracle, predicts, positions)
    predicted, truth = np.asarray(predicted, dtype=float), np.asarray(truth, dtype=float)
    if predicted.shape != truth.shape:
        raise InvalidInputError(
            f"got predicted {predicts} of shape {predicted.shape}, expected {truth.shape}, the "
            "shape of the truth"
        )
    check_recourse(recourse, "post_hoc_regret")
    true = field.given(truth, instance, predicted=False)
    costs = spread(costs, len(truth))
    decisions = oracle.solve(costs, field.given(predicted, instance)).decisions
    if optimal is None:
        optimal = optimal_objectives(oracle, costs, instance=true)
    optimal = np.asarray(optimal, dtype=float)
    if optimal.shape != (len(truth),):
        raise InvalidInputError(
            f"got optimal objectives of shape {optimal.shape}, expected ({len(truth)},)"
        )
    settled = recourse.settle(oracle, decisions, costs, true)
    return minimizing(oracle)[1] * (settled.objectives - optimal)


def spread(costs: npt.ArrayLike, n: int) -> Array:
    """Return known costs as (n, d), those of shape (d,) for every instance.

    Raises
    ------
    InvalidInputError
        If they have neither shape.
    """
    try:
        array = np.asarray(costs, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"got costs={costs!r}, expected numbers: {error}") from error
    if array.ndim == 1:
        return np.array(np.broadcast_to(array, (n, len(array))))
    if array.ndim != 2 or len(array) != n:
        raise InvalidInputError(f"got costs of shape {array.shape}, expected (d,) or ({n}, d)")
    return array
