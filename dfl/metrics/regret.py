"""Regret: what a decision made from predictions costs more than the best one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle, minimizing

Definition = Literal["sum", "mean"]


def optimal_objectives(
    oracle: Oracle, costs: npt.ArrayLike, *, instance: Mapping[str, Any] | None = None
) -> Array:
    """Return the objective of the best decision of each instance.

    Parameters
    ----------
    oracle : Oracle
        The problem to solve.
    costs : array-like of shape (n, d)
        True costs (values, for a maximizing oracle).
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.

    Returns
    -------
    ndarray of shape (n,)
        ``z*(c)``, in the oracle's own sense.

    Raises
    ------
    InvalidInputError
        If a cost is not finite or the width is wrong.

    Examples
    --------
    >>> from dfl.metrics import optimal_objectives
    >>> from dfl_solvers import Simplex
    >>> optimal_objectives(Simplex(), [[3.0, 1.0]])
    array([1.])
    """
    costs = _costs(costs, "costs")
    solution = oracle.solve(costs, instance)
    if getattr(minimizing(oracle)[0], "linear_objective", True):
        # summed as those of other decisions will be, so that regret at the truth is exactly zero
        return oracle.evaluate(costs, solution.decisions, instance)
    return solution.objectives


def regret(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    instance: Mapping[str, Any] | None = None,
    optimal: Array | None = None,
) -> Array:
    """Return the regret of deciding by predicted costs.

    Parameters
    ----------
    oracle : Oracle
    predicted : array-like of shape (n, d)
        Predicted costs (values, for a maximizing oracle).
    costs : array-like of shape (n, d)
        True costs, in the same sense.
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.
    optimal : ndarray of shape (n,), optional
        ``optimal_objectives(oracle, costs)``, where they are known already.

    Returns
    -------
    ndarray of shape (n,)
        ``c.w*(p) - z*(c)`` for costs, ``z*(v) - v.w*(p)`` for values. Negative only by rounding,
        or where a time-limited oracle missed the optimum.

    Raises
    ------
    InvalidInputError
        If shapes differ or an entry is not finite.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", Management Science 2022,
    doi 10.1287/mnsc.2020.3922 (there: the SPO loss).

    Examples
    --------
    >>> from dfl.metrics import regret
    >>> from dfl_solvers import Simplex
    >>> regret(Simplex(), [[3.0, 2.0, 1.0]], [[1.0, 2.0, 4.0]])
    array([3.])
    """
    predicted, costs = _costs(predicted, "predicted"), _costs(costs, "costs")
    if predicted.shape != costs.shape:
        raise InvalidInputError(
            f"got predicted costs of shape {predicted.shape}, expected {costs.shape}, "
            "the shape of the true costs"
        )
    decisions = oracle.solve(predicted, instance).decisions
    return decision_regret(oracle, decisions, costs, instance=instance, optimal=optimal)


def decision_regret(
    oracle: Oracle,
    decisions: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    instance: Mapping[str, Any] | None = None,
    optimal: Array | None = None,
) -> Array:
    """Return the regret of given decisions.

    Parameters
    ----------
    oracle : Oracle
        The problem that the decisions solve.
    decisions : array-like of shape (n, d)
        Feasible decisions, however they were made.
    costs, instance, optimal
        As in ``regret``.

    Returns
    -------
    ndarray of shape (n,)
        Regret of each decision, in the units of the costs.

    Raises
    ------
    InvalidInputError
        If shapes differ or a cost is not finite.
    """
    _, sign = minimizing(oracle)
    costs = _costs(costs, "costs")
    if optimal is None:
        optimal = optimal_objectives(oracle, costs, instance=instance)
    regret = sign * (oracle.evaluate(costs, np.asarray(decisions), instance) - optimal)
    return regret + 0.0  # which makes 0 of -0


def normalize(
    regret: npt.ArrayLike, optimal: npt.ArrayLike, definition: Definition = "sum"
) -> float:
    """Put regret in relation to the optimal objectives, in one of the two published ways.

    Parameters
    ----------
    regret : array-like of shape (n,)
        Regret of each instance.
    optimal : array-like of shape (n,)
        Optimal objectives.
    definition : {"sum", "mean"}, default="sum"
        ``"sum"`` is ``sum(regret) / sum(|z*|)``, of Elmachtoub & Grigas and of PyEPO. ``"mean"`` is
        the mean of ``regret_i / |z*_i|``, of the 2024 survey. They are different statistics.

    Returns
    -------
    float
        The normalized regret of all instances together.

    Raises
    ------
    InvalidInputError
        If what is divided by is zero, or the definition is unknown.

    References
    ----------
    Mandi et al., JAIR 80, 2024, doi 10.1613/jair.1.15320 (the survey).

    Examples
    --------
    >>> from dfl.metrics import normalize
    >>> normalize([1.0, 0.0], [1.0, 3.0]), normalize([1.0, 0.0], [1.0, 3.0], "mean")
    (0.25, 0.5)
    """
    numbers, norms = np.asarray(regret, dtype=float), np.abs(np.asarray(optimal, dtype=float))
    if definition == "sum":
        if not norms.sum() > 0:
            raise InvalidInputError(
                "normalized regret is not defined: the optimal objectives are all zero; "
                "look at the regret itself"
            )
        return float(numbers.sum() / norms.sum())
    if definition == "mean":
        zero = np.flatnonzero(norms == 0)
        if len(zero):
            raise InvalidInputError(
                f"the mean of ratios is not defined: the optimal objective of instance {zero[0]} "
                "is zero; use definition='sum'"
            )
        return float((numbers / norms).mean())
    raise InvalidInputError(f"got definition={definition!r}, expected 'sum' or 'mean'")


def _costs(values: npt.ArrayLike, name: str) -> Array:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} cannot be read as numbers: {error}") from error
    if array.ndim != 2:
        raise InvalidInputError(f"got {name} of shape {array.shape}, expected (n, d)")
    return array
