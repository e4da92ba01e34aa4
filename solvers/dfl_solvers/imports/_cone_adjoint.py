"""The derivative of a cone program's optimum in its linear objective, at a known optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl_solvers.imports._cone_form import ConeData
from dfl_solvers.oracle import Array


def differentiable(dims: Any) -> bool:
    """Tell whether all cones are those that ``pull_back`` knows: linear and second-order ones."""
    return not (dims.exp or dims.psd or dims.p3d or dims.pnd)


def pull_back(
    data: ConeData, dims: Any, decision_map: Any, x: Array, multipliers: Array, vector: Array
) -> Array:
    """Return the gradient (d,) in the costs of ``vector . decision`` at an optimum x (k,).

    The constraints that are tight are held: rows of equations, inequalities whose multiplier
    exceeds their slack, and the surface of second-order cones, whose curvature adds to that of the
    objective. Then the optimum moves by the KKT equations::

        (H  N') (u)   (M'vector)
        (N  0 ) (v) = (0       ),   gradient = -M u

    Where they are singular, as at a kink, the smallest solution is taken.
    """
    P, A = data.P.toarray(), data.A.toarray()
    slacks = A @ x + data.b
    z, n = dims.zero, dims.nonneg
    tight = multipliers[z : z + n] > slacks[z : z + n]
    rows = [A[:z], A[z : z + n][tight]]
    start = z + n
    for size in dims.soc:
        part = slice(start, start + size)
        start += size
        normals, curvature = _surface(A[part], slacks[part], multipliers[part])
        rows.append(normals)
        P = P + curvature
    N = np.concatenate(rows)
    e = len(N)
    system = np.block([[P, N.T], [N, np.zeros((e, e))]])
    right = np.concatenate([decision_map.T @ vector, np.zeros(e)])
    moved = np.linalg.lstsq(system, right, rcond=1e-12)[0][: len(P)]
    return np.asarray(-(decision_map @ moved))


def _surface(A: Array, s: Array, multipliers: Array) -> tuple[Array, Array]:
    """Return the normals that hold a point of a second-order cone, and the curvature there."""
    flat = np.zeros((A.shape[1], A.shape[1]))
    length = float(np.linalg.norm(s[1:]))
    top = float(multipliers[0])
    if s[0] - length > top:  # inside
        return A[:0], flat
    if top - np.linalg.norm(multipliers[1:]) > s[0]:  # at the apex
        return A, flat
    unit = s[1:] / length
    along = unit @ A[1:]
    return (A[0] - along)[None], top / length * (A[1:].T @ A[1:] - np.outer(along, along))
