"""Distances to degeneracy from the matrix form of a problem."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from dfl_solvers.backends.bare_highs import run_highs
from dfl_solvers.backends.highs import _SOLVED, _model, _set_costs
from dfl_solvers.exceptions import SolverError
from dfl_solvers.oracle import Array, Solution
from dfl_solvers.program import Program

# sets of so few integer points are enumerated
ENUMERABLE = 1 << 16
# edges of a degenerate vertex that are kept before its bound is taken as it is, and pairs of them
_MOST_RAYS = 300
_MOST_PAIRS = 5_000
_ROUNDING = 1e-9


def integer_points(program: Program) -> Array | None:
    """Return the feasible points (p, k) of a program of few integer points, else None."""
    lower, upper = np.asarray(program.lower), np.asarray(program.upper)
    if not np.asarray(program.integrality).all() or not np.isfinite(upper - lower).all():
        return None
    low, high = np.ceil(lower - _ROUNDING), np.floor(upper + _ROUNDING)
    sizes = np.maximum(high - low + 1, 0)
    if np.log2(sizes.clip(min=1)).sum() > np.log2(ENUMERABLE):
        return None
    points = np.zeros((1, 0))
    for first, size in zip(low, sizes.astype(int), strict=True):
        values = np.tile(first + np.arange(size), len(points))[:, None]
        points = np.hstack([np.repeat(points, size, axis=0), values])
    rows = points @ program.A.T
    slack = _ROUNDING * (1.0 + np.abs(points) @ abs(program.A).T)
    fits = (rows >= program.row_lower - slack) & (rows <= program.row_upper + slack)
    return np.asarray(points[fits.all(axis=1)])


def distance_to_points(program: Program, points: Array, costs: Array, found: Solution) -> Array:
    """Return the least ratio (n,) of extra cost and distance over the points (p, k)."""
    decisions = np.asarray(points @ program.decision_map.T)
    fixed = points @ program.fixed_costs
    squares = np.vecdot(decisions, decisions)
    ratios = np.empty(len(costs))
    step = max(1, (1 << 20) // max(len(points), 1))
    for lo in range(0, len(costs), step):
        part = slice(lo, lo + step)
        own = found.decisions[part]
        gaps = costs[part] @ decisions.T + fixed - found.objectives[part, None]
        apart = squares + np.vecdot(own, own)[:, None] - 2 * own @ decisions.T
        other = apart > _ROUNDING * (1.0 + squares)
        ratio = np.maximum(gaps, 0.0) / np.sqrt(np.where(other, apart, 1.0))
        ratios[part] = np.where(other, ratio, np.inf).min(axis=1, initial=np.inf)
    return ratios


def distance_to_edges(program: Program, costs: Array) -> tuple[Array, Array]:
    """Return the least ratio (n,) over the edges of a polyhedron's best vertex, and where exact."""
    highs = _model(program.relax(), 0.0, primal=True)
    full = sp.csc_array(sp.hstack([program.A, -sp.eye_array(program.A.shape[0])]))
    low = np.concatenate([program.lower, program.row_lower])
    high = np.concatenate([program.upper, program.row_upper])
    objective = program.objective(costs)
    ratios, exact = np.empty(len(costs)), np.empty(len(costs), dtype=bool)
    for i, row in enumerate(objective):
        _set_costs(highs, row)
        if run_highs(highs) not in _SOLVED:
            highs.clearSolver()  # the basis of the instance before may lead nowhere
            if run_highs(highs) not in _SOLVED:
                raise SolverError(f"degeneracy_distance: instance {i}: HiGHS found no best vertex")
        ratios[i], exact[i] = _at_vertex(program, highs, full, low, high, row)
    return ratios, exact


def _at_vertex(
    program: Program, highs: Any, full: Any, low: Array, high: Array, costs: Array
) -> tuple[float, bool]:
    """Return the least ratio over the edges of the vertex that HiGHS holds, and if it is exact."""
    m, k = program.A.shape
    basic = np.array(highs.getBasicVariables()[1], dtype=np.int64)
    basic = np.where(basic >= 0, basic, k - 1 - basic)
    resting = np.ones(k + m, dtype=bool)
    resting[basic] = False
    resting &= low < high
    nonbasic = np.flatnonzero(resting)
    x = np.array(highs.allVariableValues())
    x = np.concatenate([x, program.A @ x])
    with np.errstate(invalid="ignore"):
        up = np.abs(x[nonbasic] - low[nonbasic]) <= np.abs(high[nonbasic] - x[nonbasic])
    signs = np.where(up, 1.0, -1.0)
    free = nonbasic[np.isinf(low[nonbasic]) & np.isinf(high[nonbasic])]
    nonbasic, signs = np.append(nonbasic, free), np.append(signs, -np.ones(len(free)))
    # moving a nonbasic variable off its bound moves the basic ones along
    moves = np.zeros((k + m, len(nonbasic)))
    moves[nonbasic, np.arange(len(nonbasic))] = signs
    if m and len(nonbasic):
        entering = full[:, nonbasic].toarray() * signs
        moves[basic] = -splu(full[:, basic]).solve(entering)
    moves[np.abs(moves) < 1e-11] = 0.0
    rates = np.maximum(costs @ moves[:k], 0.0)
    room = _ROUNDING * (1.0 + np.abs(x[basic]))
    at_low = basic[x[basic] - low[basic] <= room]
    at_high = basic[high[basic] - x[basic] <= room]
    walls = np.vstack([moves[at_low], -moves[at_high]])
    walls /= np.abs(walls).max(axis=1, keepdims=True, initial=1e-300)
    # what a move of exactly no decision may look like
    rounding = _ROUNDING * (abs(program.decision_map) @ np.abs(moves[:k])).max(axis=0, initial=0.0)
    return _sharpest(rates, np.asarray(program.decision_map @ moves[:k]), rounding, walls)


def _sharpest(rates: Array, moves: Array, rounding: Array, walls: Array) -> tuple[float, bool]:
    """Return the least ``rates.t / |moves t|`` over ``t >= 0, walls t >= 0``, and if it is exact.

    The least ratio over a cone is that of one of its extreme rays. Those of ``t >= 0`` alone give a
    lower bound. While the best of them runs into a wall, that wall is added to the cone (double
    description), until the best ray is free or there are too many.
    """
    rays = np.eye(len(rates))
    added: list[int] = []
    while True:
        gaps, shifts = rates @ rays, moves @ rays
        lengths = np.linalg.norm(shifts, axis=0)
        moving = lengths > rounding @ rays
        ratios = np.where(moving, gaps / np.where(moving, lengths, 1.0), np.inf)
        if not np.isfinite(ratios).any():
            return np.inf, True
        least = float(ratios.min())
        candidates = np.flatnonzero(ratios <= least * (1 + 1e-12))
        heights = walls @ rays[:, candidates]
        heights[added] = 0.0
        if (heights >= -_ROUNDING).all(axis=0).any():
            return least, True
        wall = int(heights[:, 0].argmin())
        split = _cut(rays, walls, added, wall)
        if split is None:
            return least, False
        rays = split
        added.append(wall)


def _cut(rays: Array, walls: Array, added: list[int], wall: int) -> Array | None:
    """Return the extreme rays of a cone beyond one more wall; None where there are too many."""
    height = walls[wall] @ rays
    height[np.abs(height) <= _ROUNDING] = 0.0
    above, below = np.flatnonzero(height > 0), np.flatnonzero(height < 0)
    if len(above) * len(below) > _MOST_PAIRS:
        return None
    # two rays span a face if no third one lies on all the walls that both lie on
    off = np.vstack([rays, walls[added] @ rays]) > _ROUNDING
    joined = [rays[:, height >= 0]]
    for p in above:
        touching = ~(off[:, [p]] | off[:, below])
        others = touching.T.astype(np.float32) @ off.astype(np.float32)
        adjacent = below[(others == 0).sum(axis=1) == 2]
        new = rays[:, adjacent] * height[p] - rays[:, [p]] * height[adjacent]
        joined.append(new / new.max(axis=0, initial=1e-300))
    found = np.hstack(joined)
    return found if found.shape[1] <= _MOST_RAYS else None


def has_binary_decisions(program: Program) -> bool:
    """Tell whether each decision coordinate is a binary variable."""
    decision_map = sp.csr_array(program.decision_map)
    decision_map.eliminate_zeros()
    if (np.diff(decision_map.indptr) != 1).any() or (decision_map.data != 1).any():
        return False
    chosen = decision_map.indices
    return bool(
        np.asarray(program.integrality)[chosen].all()
        and (np.asarray(program.lower)[chosen] >= 0).all()
        and (np.asarray(program.upper)[chosen] <= 1).all()
    )


class OtherDecisions:
    """Best binary decisions of one instance among those away from given ones."""

    def __init__(self, program: Program, costs: Array) -> None:
        self._program = program
        self._highs = _model(program, 0.0, primal=False)
        self._objective = program.objective(costs[None])[0]
        _set_costs(self._highs, self._objective)

    def keep_away(self, decision: Array, distance: int) -> None:
        """Demand that so many coordinates differ from a decision (d,)."""
        row = (1.0 - 2.0 * decision) @ self._program.decision_map
        columns = np.flatnonzero(row).astype(np.int32)
        self._highs.addRow(
            distance - decision.sum(), highspy.kHighsInf, len(columns), columns, row[columns]
        )

    def solve(self) -> tuple[Array, float] | None:
        """Return the best decision (d,) left and its objective; None where there is none."""
        outcome = run_highs(self._highs)
        if outcome == highspy.HighsModelStatus.kInfeasible:
            return None
        if outcome not in _SOLVED:
            raise SolverError(f"HiGHS stopped without a decision: {outcome.name}")
        x = np.array(self._highs.allVariableValues())
        integers = np.asarray(self._program.integrality)
        x[integers] = np.round(x[integers])
        return self._program.decision_map @ x, float(self._objective @ x)


def distance_to_strata(program: Program, costs: Array, decision: Array, objective: float) -> float:
    """Return the least ratio of extra cost and distance over all other binary decisions.

    The best decision at h coordinates' difference or more, with extra cost g, settles all distances
    up to its own; those beyond cannot beat ``g / sqrt(farthest)``.
    """
    others = OtherDecisions(program, costs)
    farthest = _farthest(program, decision)
    best, apart = np.inf, 0.0
    while apart < farthest:
        others.keep_away(decision, int(apart) + 1)
        found = others.solve()
        if found is None:
            break
        gap = max(found[1] - objective, 0.0)
        apart = float(np.abs(found[0] - decision).sum())
        best = min(best, gap / np.sqrt(apart))
        if gap >= best * np.sqrt(farthest):
            break
    return best


def _farthest(program: Program, decision: Array) -> float:
    """Return an upper bound of the number of coordinates in which any decision differs."""
    highs = _model(program.relax(), 0.0, primal=True)
    row = (1.0 - 2.0 * decision) @ program.decision_map
    _set_costs(highs, -row)
    if run_highs(highs) not in _SOLVED:
        return float(len(decision))
    x = np.array(highs.allVariableValues())
    return float(np.floor(row @ x + decision.sum() + 1e-6))
