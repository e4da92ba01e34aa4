"""The part of costs that matters: their projection on the directions of the feasible set."""

from __future__ import annotations

import weakref

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle, solving

# directions shorter than this share of the costs are rounding: they say nothing
TINY = 1e-12
# by oracle: orthonormal rows that span the directions in which no decision differs
_KNOWN: weakref.WeakKeyDictionary[Oracle, Array] = weakref.WeakKeyDictionary()


def project_costs(oracle: Oracle, costs: npt.ArrayLike) -> Array:
    r"""Take off costs what cannot change a decision.

    With equality constraints all decisions may pay a common amount: what each row of an assignment
    costs on average is paid anyway. Directions of costs mean something only without it.

    Parameters
    ----------
    oracle : Oracle
        The problem that they feed.
    costs : array-like of shape (..., d)
        Costs, a vector in each last axis.

    Returns
    -------
    ndarray of shape (..., d)
        :math:`\Pi c`, with the orthogonal projection on the directions of the feasible set.

    Raises
    ------
    InvalidInputError
        If the last axis is not the number of costs of the oracle.

    Notes
    -----
    The directions are those in which the equality rows of ``oracle.program()`` and variables with
    equal bounds leave the decision free. Inequalities that happen to hold with equality everywhere
    are not looked for; the space is then larger than it could be, and decisions are still the same
    for c and :math:`\Pi c`. Oracles without a matrix form, and those of any length, are not
    projected, except for the simplex and the top k, whose costs lose their mean.

    Examples
    --------
    >>> from dfl.design import project_costs
    >>> from dfl_solvers import Simplex
    >>> project_costs(Simplex(3), [1.0, 2.0, 6.0])
    array([-2., -1.,  3.])
    """
    array = np.asarray(costs, dtype=float)
    if not array.ndim or (oracle.n_costs is not None and array.shape[-1] != oracle.n_costs):
        raise InvalidInputError(
            f"project_costs: got costs of shape {array.shape}, expected {oracle.n_costs} costs on "
            "the last axis"
        )
    return off(array, normals(oracle, array.shape[-1]))


def off(costs: Array, normal: Array) -> Array:
    """Take the span of orthonormal rows (r, d) off costs (..., d)."""
    if not len(normal):
        return costs
    d, r = costs.shape[-1], len(normal)
    if 2 * r > d:  # one product with the projection itself is cheaper
        return np.asarray(costs @ (np.eye(d) - normal.T @ normal))
    return np.asarray(costs - (costs @ normal.T) @ normal)


def normals(oracle: Oracle, d: int) -> Array:
    """Return orthonormal rows (r, d): the directions of d costs that no decision depends on."""
    held = solving(oracle)
    if held.n_costs is None:
        flat = type(held).__name__ in {"Simplex", "TopK"}
        return np.full((1, d), d**-0.5) if flat else np.zeros((0, d))
    if held not in _KNOWN:
        _KNOWN[held] = _normals(held, d)
    return _KNOWN[held]


def _normals(oracle: Oracle, d: int) -> Array:
    if type(oracle).__name__ in {"EntropyBall", "LogBarrierSimplex"}:
        return np.full((1, d), d**-0.5)
    if not hasattr(oracle, "program"):
        return np.zeros((0, d))
    program = oracle.program()
    free = program.lower < program.upper
    equal = program.row_lower == program.row_upper
    rows = program.A[equal][:, free].toarray()
    if program.identity:  # the span of the rows, and of the fixed variables
        normal = np.zeros((len(rows), d))
        normal[:, free] = rows
        fixed = np.eye(d)[~free]
        return np.vstack([_span(normal), fixed])
    moves = _span(rows)
    kernel = _complement(moves, int(free.sum()))
    directions = _span((program.decision_map[:, free] @ kernel.T).T)
    return _complement(directions, d)


def _span(rows: Array) -> Array:
    """Return orthonormal rows that span the same space."""
    if not rows.size:
        return np.zeros((0, rows.shape[1]))
    _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(basis[sizes > max(rows.shape) * np.finfo(float).eps * sizes[0]])


def _complement(rows: Array, d: int) -> Array:
    """Return orthonormal rows that span what is orthogonal to orthonormal rows."""
    if not len(rows):
        return np.eye(d)
    _, _, basis = np.linalg.svd(rows, full_matrices=True)
    return np.asarray(basis[len(rows) :])
