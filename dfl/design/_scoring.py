"""What the criteria share: the pool in blocks, directions, and errors about the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dfl.design._kernels import directions as unit_vectors
from dfl.design.projection import TINY, normals, off
from dfl.design.protocols import Committee, LinearPosterior, Posterior
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import Array, Oracle, solving

# numbers of a block of predictions: 32 MB, whatever the size of the pool
_BLOCK = 4_000_000
# decisions that differ by no more than this in any coordinate are the same
ALIKE = 1e-9


def check_pool(pool: Any) -> Array:
    """Return a pool as (n, p) numbers; a vector is one column."""
    try:
        array = np.asarray(pool, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the pool cannot be read as numbers: {error}") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InvalidInputError(f"got a pool of shape {array.shape}, expected (n, p)")
    if not len(array):
        raise InvalidInputError("got an empty pool, expected at least one row to choose from")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise InvalidInputError(
            f"got {array[row, column]} in row {row}, column {column} of the pool; "
            "expected finite numbers"
        )
    return array


def blocks(
    criterion: Any, model: Any, pool: Array, oracle: Oracle | None, project: bool
) -> Iterator[tuple[slice, Array, Array]]:
    """Walk over a pool: rows, costs (b, M, d) of the members, and what to take off them (r, d)."""
    if not isinstance(model, Committee):
        raise UnsupportedError(
            f"{name_of(criterion)} compares the members of a committee, and "
            f"{type(model).__name__} has none (a method members(X))"
        )
    lo, size = 0, 1
    while lo < len(pool):
        rows = slice(lo, min(lo + size, len(pool)))
        costs = np.ascontiguousarray(model.members(pool[rows]), dtype=float)
        yield rows, costs, normals_of(criterion, oracle, costs.shape[-1], project)
        lo = rows.stop
        # the first row says how large the others are
        size = max(1, _BLOCK // max(1, costs[0].size))


def unit_blocks(
    criterion: Any, model: Any, pool: Array, oracle: Oracle | None, project: bool
) -> Iterator[tuple[slice, Array, Array, Array]]:
    """Walk over a pool: rows, costs and directions (b, M, d), and who has none of these (b, M)."""
    need_direction(criterion, oracle)
    for rows, costs, normal in blocks(criterion, model, pool, oracle, project):
        unit, lost = costs.copy(), np.empty(costs.shape[:2], dtype=bool)
        run(unit_vectors, len(unit), unit, normal, TINY, lost)
        yield rows, costs, unit, lost


def need_direction(criterion: Any, oracle: Oracle | None) -> None:
    """Refuse an oracle whose decisions do not depend on the direction of the costs alone."""
    if oracle is None:
        return
    held = solving(oracle)
    if not getattr(held, "linear_objective", True):
        raise UnsupportedError(
            f"{name_of(criterion)}: {type(held).__name__} has an objective that is not c.w alone, "
            "so that decisions depend on the scale of the costs as well as on their "
            "direction; use L2Uncertainty to choose rows and DecisionConsensus to stop"
        )


def name_of(criterion: Any) -> str:
    """Return the name of a function, or of the class of an object."""
    return str(getattr(criterion, "__name__", type(criterion).__name__))


def normals_of(criterion: Any, oracle: Oracle | None, d: int, project: bool) -> Array:
    """Return what to take off the costs, (r, d)."""
    if not project:
        return np.zeros((0, d))
    if oracle is None:
        raise InvalidInputError(
            f"{name_of(criterion)}: project=True needs the oracle; pass oracle=, or choose "
            "project=False"
        )
    if oracle.n_costs is not None and oracle.n_costs != d:
        raise InvalidInputError(
            f"{name_of(criterion)}: the model predicts {d} costs, the oracle takes {oracle.n_costs}"
        )
    return normals(oracle, d)


def directions(costs: Array, normal: Array) -> tuple[Array, Array]:
    """Return directions (n, d) of costs (n, d), and the lengths of what counts of them (n,)."""
    unit, lost = np.array(costs[:, None], order="C"), np.empty((len(costs), 1), dtype=bool)
    run(unit_vectors, len(costs), unit, normal, TINY, lost)
    return unit[:, 0], np.where(lost[:, 0], 0.0, np.linalg.norm(off(costs, normal), axis=1))


def lateral(
    criterion: Any, model: Any, pool: Array, oracle: Oracle | None, project: bool
) -> tuple[Array, Array]:
    """Return the lengths (n,) of mean costs, and their variance (n,) across their own direction.

    The variance is ``tr(P_u Sigma)`` with ``P_u = Pi - uu'``; of a posterior by its covariance, of
    a committee by the spread of its members. Lengths are zero where there is no direction.
    """
    need_direction(criterion, oracle)
    if isinstance(model, LinearPosterior):
        posterior = model.posterior(pool)
        lengths, across = lateral_noise(criterion, posterior, oracle, project)
        return lengths, across * posterior.leverage
    lengths, variances = np.empty(len(pool)), np.empty(len(pool))
    for rows, costs, normal in blocks(criterion, model, pool, oracle, project):
        mean = costs.mean(axis=1)
        unit, lengths[rows] = directions(mean, normal)
        spread = off(costs - mean[:, None], normal)
        along = (spread @ unit[:, :, None])[..., 0]
        total = np.vecdot(spread, spread).sum(axis=1)
        across = _left(total, np.vecdot(along, along))
        variances[rows] = across / max(1, costs.shape[1] - 1)
    return lengths, variances


def lateral_noise(
    criterion: Any, posterior: Posterior, oracle: Oracle | None, project: bool
) -> tuple[Array, Array]:
    """Return the lengths (n,) of mean costs, and the noise (n,) across their own direction."""
    need_direction(criterion, oracle)
    normal = normals_of(criterion, oracle, posterior.mean.shape[1], project)
    noise = off(off(posterior.noise, normal).T, normal)
    unit, lengths = directions(posterior.mean, normal)
    return lengths, _left(np.trace(noise), np.vecdot(unit @ noise, unit))


def _left(total: Array, along: Array) -> Array:
    """Return the variance that is not along the own direction; zero if it is rounding alone."""
    across = total - along
    return np.where(across > TINY * total, across, 0.0)
