"""Edges of the linear relaxation of a program at its vertices, found once for each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, SolverError
from dfl.losses._cones import TIGHT, NormalCones
from dfl.losses._through_layer import with_gradient
from dfl.losses.target import Target
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.program import Program

# smallest weight of a constraint in costs that is no rounding, relative to the largest
_WEIGHT = 1e-6
# finds moves (m, d) of a decision (d,) whose costs (d,) may be known
Finder = Callable[[Array, Array | None], Array]


@final
class EdgeTable:
    """Moves away from the decisions of labels, in sparse form, and hinges on what they cost.

    Parameters
    ----------
    prepare : callable
        Makes a finder of the moves from a program.
    by_costs : bool
        Whether the moves of a decision depend on its costs too.
    """

    def __init__(self, prepare: Callable[[Program], Finder], by_costs: bool = False) -> None:
        self.prepare = prepare
        self.by_costs = by_costs
        self._oracle: Oracle | None = None
        self._finder: Finder | None = None

    def hinges(
        self, oracle: Oracle, output: Tensor, target: Target, margin: float
    ) -> tuple[Tensor, Array]:
        """Return ``sum over moves of max(-p.move, -margin)`` (n,) and the number of moves (n,)."""
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl.losses._edge_kernels import hinges
        from dfl_solvers.kernels import run

        prices = np.ascontiguousarray(output.detach().cpu().numpy(), dtype=float)
        decisions = np.ascontiguousarray(target.decisions.detach().cpu().numpy(), dtype=float)
        costs = None
        if self.by_costs and target.costs is not None:
            costs = np.ascontiguousarray(target.costs.detach().cpu().numpy(), dtype=float)
        at = self._rows(oracle, decisions, costs, target.instance)
        values, slopes = np.empty(len(prices)), np.zeros(prices.shape)
        data = prices, at, *self._moves, float(margin), values, slopes
        run(hinges, len(prices), *data)
        known = (torch.from_numpy(part).to(output) for part in (values, slopes))
        return with_gradient(output, *known), at[:, 1] - at[:, 0]

    def _rows(
        self,
        oracle: Oracle,
        decisions: Array,
        costs: Array | None,
        instance: Mapping[str, Any] | None,
    ) -> Array:
        """Return the first move of each row and the one after its last, finding what is new."""
        if self._oracle is not oracle:  # an estimator sets its own
            self._oracle, self._finder = oracle, None
            self._known: dict[bytes, tuple[int, int]] = {}
            nothing = np.empty(0, dtype=np.int64)
            self._moves = np.zeros(1, dtype=np.int64), nothing, np.empty(0)
        at = np.empty((len(decisions), 2), dtype=np.int64)
        new: list[tuple[Array, Array, Array]] = []
        count = len(self._moves[0]) - 1
        for i, decision in enumerate(decisions):
            own = {k: np.asarray(v[i]) for k, v in (instance or {}).items()}
            key = decision.tobytes() + b"".join(value.tobytes() for value in own.values())
            row = None if costs is None else costs[i]
            if row is not None:
                key += row.tobytes()
            if key not in self._known:
                moves = self._find(oracle, own)(decision, row)
                self._known[key] = count, count + len(moves)
                count += len(moves)
                new.append(_sparse(moves))  # at once, since all together may not fit in memory
            at[i] = self._known[key]
        if new:
            self._append(new)
        return at

    def _find(self, oracle: Any, own: Mapping[str, Array]) -> Finder:
        if own:
            return self.prepare(oracle.program(own))
        if self._finder is None:
            self._finder = self.prepare(oracle.program())
        return self._finder

    def _append(self, new: list[tuple[Array, Array, Array]]) -> None:
        starts, columns, entries = self._moves
        sizes, new_columns, new_entries = (np.concatenate(part) for part in zip(*new, strict=True))
        self._moves = (
            np.concatenate([starts, starts[-1] + np.cumsum(sizes)]),
            np.concatenate([columns, new_columns]),
            np.concatenate([entries, new_entries]),
        )


def _sparse(moves: Array) -> tuple[Array, Array, Array]:
    """Return the number of entries of each move (m, d), and columns and values of all entries."""
    rows, columns = np.nonzero(moves)
    return np.bincount(rows, minlength=len(moves)), columns, moves[rows, columns]


@final
class AdjacentMoves:
    """The ways from a vertex to the adjacent ones; of length one along an edge without an end.

    In a program that is a network of zeros and ones these are cycles, of which the shortest are
    kept, as many as ``limit``. Elsewhere they are the extreme rays of the cone of tight
    constraints, each up to where the next constraint stops it.
    """

    def __init__(self, program: Program, limit: int) -> None:
        self.program = program.relax()
        self.limit = limit
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl_solvers._residual_cycles import network_arcs

        self.arcs = network_arcs(self.program)
        self.cones: NormalCones | None = None

    def __call__(self, decision: Array, costs: Array | None) -> Array:
        """Return moves (m, d) from a decision (d,)."""
        del costs
        _check_feasible(decision, self.program)
        whole = np.abs(decision - np.round(decision)).max(initial=0.0) < 1e-6
        if self.arcs is not None and whole:
            return _cycles(decision, self.arcs, self.program.A.shape[0] + 1, self.limit)
        if self.cones is None:
            self.cones = NormalCones(self.program)
        return _edges(decision, self.program, self.cones, self.limit)


@final
class BasisMoves:
    """The moves off each wall of one basis of a vertex, at unit rate.

    Of the bases of a degenerate vertex, it takes one that is optimal for the costs, where these are
    known and any is.
    """

    def __init__(self, program: Program) -> None:
        self.program = program.relax()
        self.cones = NormalCones(self.program)
        # redundant constraints make ties, which rounding would decide were the rays equally long
        lengths = np.random.default_rng(0).uniform(1.0, 1.1, len(self.cones.rays))
        self.cones.rays *= lengths[:, None]
        self.cones.gram *= lengths * lengths[:, None]

    def __call__(self, decision: Array, costs: Array | None) -> Array:
        """Return moves (r, d) from a decision (d,) in r dimensions."""
        _check_feasible(decision, self.program)
        cones = self.cones
        tight = _walls(decision, cones)
        preferred = np.zeros(len(tight), dtype=bool)
        if costs is not None:
            weights = cones.weights(-costs[None], decision[None])[0, tight]
            preferred = weights > _WEIGHT * weights.max(initial=0.0)
        chosen = _basis(cones.rays[tight], preferred, decision)
        rows = cones.normals[cones.proper][tight[chosen]] @ cones.basis
        moves = np.zeros((len(rows), len(decision)))
        moves[:, cones.free] = -np.linalg.inv(rows).T @ cones.basis.T
        moves[np.abs(moves) < 1e-11] = 0.0
        return moves


def _cycles(decision: Array, arcs: tuple[Array, Array], n_nodes: int, limit: int) -> Array:
    from dfl.losses._edge_kernels import residual_cycles

    starts = np.empty(limit + 1, dtype=np.int64)
    longest = min(n_nodes, len(decision))
    columns, signs = np.empty(limit * longest, dtype=np.int64), np.empty(limit * longest)
    count = residual_cycles(decision, *arcs, n_nodes, limit, starts, columns, signs)
    moves = np.zeros((count, len(decision)))
    total = starts[count] if count else 0
    moves[np.repeat(np.arange(count), np.diff(starts[: count + 1])), columns[:total]] = signs[
        :total
    ]
    return moves


def _edges(decision: Array, program: Program, cones: NormalCones, limit: int) -> Array:
    from dfl.losses._edge_kernels import extreme_rays

    normals = cones.rays[_walls(decision, cones)]
    chosen = _basis(normals, np.zeros(len(normals), dtype=bool), decision)
    if not len(chosen):
        return np.zeros((0, len(decision)))
    rays = extreme_rays(normals, chosen, limit + len(chosen) + 1)
    if len(rays) > limit:
        raise SolverError(
            f"a decision lies on {len(normals)} constraints in {len(chosen)} dimensions, and has "
            f"more than {limit} adjacent vertices; raise max_adjacent, or use the loss "
            "'optimality-margin', which looks at one basis"
        )
    moves = np.zeros((len(rays), len(decision)))
    moves[:, cones.free] = rays @ cones.basis.T
    value = np.concatenate([decision, program.A @ decision])
    rates = np.hstack([moves, moves @ program.A.T])
    low = np.concatenate([program.lower, program.row_lower])
    high = np.concatenate([program.upper, program.row_upper])
    room = np.where(rates > 0, high - value, value - low)
    # walls at the vertex itself stop no edge, and what is no rate is rounding
    stops = (np.abs(rates) > 1e-9) & (room > TIGHT * (1 + np.abs(value)))
    step = np.where(stops, room / np.where(stops, np.abs(rates), 1.0), np.inf).min(axis=1)
    moves *= np.where(np.isfinite(step), step, 1.0)[:, None]
    moves[np.abs(moves) < 1e-9] = 0.0
    return moves


def _check_feasible(decision: Array, program: Program) -> None:
    """Refuse a recorded decision that no cost makes optimal, of which nothing can be learned."""
    beyond = program.violation(decision)
    size = np.abs(decision).max(initial=0.0) + (abs(program.A) @ np.abs(decision)).max(initial=0.0)
    if beyond > TIGHT * (1 + size):
        raise InvalidInputError(
            f"got a decision that breaks a constraint of the linear relaxation by {beyond:.3g}, "
            f"{decision}: expected a feasible one, as the oracle gives"
        )


def _walls(decision: Array, cones: NormalCones) -> Array:
    """Return the inequalities that are tight at a decision, of those not implied by equations."""
    return np.flatnonzero(cones.tight(decision[None])[0, cones.proper])


def _basis(normals: Array, preferred: Array, decision: Array) -> Array:
    """Return which normals (r,) make a basis at a decision, preferred ones first."""
    from dfl.losses._edge_kernels import independent

    r = normals.shape[1]
    order = np.argsort(~preferred, kind="stable")
    chosen = np.empty(r, dtype=np.int64)
    rank = independent(normals, order, chosen)
    if rank < r:
        raise InvalidInputError(
            f"got a decision that is no vertex of the linear relaxation, {decision}: it lies on "
            f"{rank} independent inequalities, expected {r}"
        )
    return chosen
