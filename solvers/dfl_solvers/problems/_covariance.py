"""Covariances of the portfolio problems, checked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Instance

# largest negative eigenvalue, relative to the largest variance, that passes for rounding
ROUNDING = 1e-10


def read_covariance(owner: str, value: npt.ArrayLike) -> Array:
    """Return one covariance (d, d) as float64; ``owner`` is whom the errors name."""
    try:
        covariance = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{owner}: covariance is no matrix: {error}") from error
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise InvalidInputError(
            f"{owner}: got a covariance of shape {covariance.shape}, expected (d, d)"
        )
    if not len(covariance) or not np.isfinite(covariance).all():
        raise InvalidInputError(f"{owner}: expected a covariance of finite numbers")
    _check(owner, covariance[None], "")
    return covariance


def covariances(owner: str, own: Array, instance: Instance, shape: tuple[int, int]) -> Array:
    """Return symmetric covariances of a batch of shape (n, d): one (1, d, d), or each its own."""
    n, d = shape
    found = own[None]
    if "covariance" in instance:
        found = np.asarray(instance["covariance"], dtype=float)
        if found.shape != (n, d, d):
            raise InvalidInputError(
                f"{owner}: got instance data 'covariance' of shape {found.shape}, "
                f"expected {(n, d, d)}"
            )
        _check(owner, found, "instance ")
    return (found + found.transpose(0, 2, 1)) / 2


def _check(owner: str, matrices: Array, prefix: str) -> None:
    """Refuse matrices (n, d, d) that are not symmetric positive semidefinite."""
    size = np.abs(matrices).max(axis=(1, 2))
    skew = np.abs(matrices - matrices.transpose(0, 2, 1)).max(axis=(1, 2))
    for i in np.flatnonzero(skew > 1e-8 * size)[:1]:
        where = f"{prefix}{i}: " if prefix else ""
        raise InvalidInputError(
            f"{owner}: {where}the covariance is not symmetric: two mirrored entries differ by "
            f"{skew[i]:.3g}"
        )
    shift = ROUNDING * size[:, None, None] * np.eye(matrices.shape[1])
    try:
        np.linalg.cholesky(matrices + shift)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(matrices)[:, 0]
        for i in np.flatnonzero(least < -ROUNDING * size)[:1]:
            where = f"{prefix}{i}: " if prefix else ""
            raise InvalidInputError(
                f"{owner}: {where}the covariance is not positive semidefinite: it has the "
                f"eigenvalue {least[i]:.3g}"
            ) from None
