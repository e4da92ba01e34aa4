"""Enumeration of the optimal decisions at a tie."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from functools import singledispatch

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from dfl_solvers._residual_cycles import network_arcs
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import Array, Instance, Oracle, Solution
from dfl_solvers.problems._grid_detours import tied_paths
from dfl_solvers.problems.box import Box
from dfl_solvers.problems.ranking import Ranking
from dfl_solvers.problems.shortest_path import GridShortestPath
from dfl_solvers.problems.simplex import Simplex
from dfl_solvers.problems.spanning_tree import MinimumSpanningTree
from dfl_solvers.problems.top_k import TopK
from dfl_solvers.program import Program


def programs(oracle: Oracle, instance: Instance) -> Iterator[tuple[slice, Program]]:
    """Yield the matrix form of each instance, or of all of them where they share it."""
    if not instance:
        yield slice(None), oracle.program()  # type: ignore[attr-defined]
        return
    for i in range(len(next(iter(instance.values())))):
        own = {name: value[i] for name, value in instance.items()}
        yield slice(i, i + 1), oracle.program(own)  # type: ignore[attr-defined]


@singledispatch
def tied_decisions(
    oracle: Oracle, costs: Array, instance: Instance, found: Solution, slack: Array, limit: int
) -> list[Array]:
    """Return the decisions of each instance whose objective is within its slack of the best."""
    name = type(oracle).__name__
    if not hasattr(oracle, "program"):
        raise UnsupportedError(
            f"all_optima: the decisions of {name} cannot be enumerated: it has no matrix form "
            "(a method program())"
        )
    tied: list[Array] = []
    for rows, program in programs(oracle, instance):
        own = Solution(found.decisions[rows], found.objectives[rows], found.status[rows])
        tied += _by_program(name, program, costs[rows], own, slack[rows], limit, rows.start or 0)
    return tied


def _by_program(
    name: str, program: Program, costs: Array, found: Solution, slack: Array, limit: int, first: int
) -> list[Array]:
    """Enumerate for instances, numbered from ``first``, that share a program."""
    # imported here since the others do without HiGHS
    from dfl_solvers import _degeneracy_programs as general

    if network_arcs(program) is not None:
        # all vertices are integral, so that nothing changes but the solver
        everything = np.ones(program.n_variables, dtype=bool)
        program = dataclasses.replace(program, integrality=everything)
    tied: list[Array] = []
    points = general.integer_points(program)
    if points is not None:
        decisions = np.asarray(points @ program.decision_map.T)
        fixed = points @ program.fixed_costs
        for i, row in enumerate(costs):
            best = decisions @ row + fixed <= found.objectives[i] + slack[i]
            tied.append(_at_most(limit, np.unique(decisions[best], axis=0), name, first + i))
        return tied
    if not general.has_binary_decisions(program):
        raise UnsupportedError(
            f"all_optima: the decisions of {name} cannot be enumerated: got more than "
            f"{general.ENUMERABLE} points and decisions that are not binary variables"
        )
    for i, row in enumerate(costs):
        others = general.OtherDecisions(program, row)
        best = [np.round(found.decisions[i])]
        while len(best) <= limit:
            others.keep_away(best[-1], 1)
            other = others.solve()
            if other is None or other[1] > found.objectives[i] + slack[i]:
                break
            best.append(other[0])
        tied.append(_at_most(limit, np.array(best), name, first + i))
    return tied


@tied_decisions.register
def _box(
    oracle: Box, costs: Array, instance: Instance, found: Solution, slack: Array, limit: int
) -> list[Array]:
    free = (np.abs(costs) <= slack[:, None]) & instance.get("mask", True)
    tied = []
    for i, w in enumerate(found.decisions):
        own = np.flatnonzero(free[i])
        if 2.0 ** len(own) > limit:
            _refuse(f"2**{len(own)}", limit, "Box", i)
        decisions = np.repeat(w[None], 2 ** len(own), axis=0)
        decisions[:, own] = list(itertools.product((0.0, 1.0), repeat=len(own)))
        tied.append(decisions)
    return tied


@tied_decisions.register(Simplex)
@tied_decisions.register(TopK)
def _top_k(
    oracle: Simplex | TopK,
    costs: Array,
    instance: Instance,
    found: Solution,
    slack: Array,
    limit: int,
) -> list[Array]:
    k = oracle.k if isinstance(oracle, TopK) else 1
    if "mask" in instance:
        costs = np.where(instance["mask"], costs, np.inf)
    tied = []
    for i, row in enumerate(costs):
        last = np.partition(row, k - 1)[k - 1]
        sure = row < last - slack[i]
        equal = np.flatnonzero(~sure & (row <= last + slack[i]))
        left = k - int(sure.sum())
        count = math.comb(len(equal), left)
        if count > limit:
            _refuse(str(count), limit, type(oracle).__name__, i)
        decisions = np.repeat(sure[None].astype(float), count, axis=0)
        chosen = np.array(list(itertools.combinations(equal, left)), dtype=np.int64)
        np.put_along_axis(decisions, chosen, 1.0, axis=1)
        tied.append(decisions)
    return tied


@tied_decisions.register
def _ranking(
    oracle: Ranking, costs: Array, instance: Instance, found: Solution, slack: Array, limit: int
) -> list[Array]:
    steps = list(itertools.pairwise(np.unique(oracle.ranks)))

    def exchanges(decision: Array, row: Array, most: float) -> Iterator[tuple[Array, float]]:
        """Exchange two items whose ranks are neighbors."""
        for low, high in steps:
            for j in np.flatnonzero(decision == low):
                more = (row[j] - row) * (high - low)
                for k in np.flatnonzero((decision == high) & (more <= most)):
                    other = decision.copy()
                    other[[j, k]] = high, low
                    yield other, float(more[k])

    return [
        _exchanged(found.decisions[i], row, float(slack[i]), exchanges, limit, "Ranking", i)
        for i, row in enumerate(costs)
    ]


@tied_decisions.register
def _spanning_tree(
    oracle: MinimumSpanningTree,
    costs: Array,
    instance: Instance,
    found: Solution,
    slack: Array,
    limit: int,
) -> list[Array]:
    tails, heads = oracle.edges.T
    mask = instance.get("mask", np.ones(costs.shape, dtype=bool))
    tied = []
    for i, row in enumerate(costs):

        def exchanges(
            decision: Array, row: Array, most: float, i: int = i
        ) -> Iterator[tuple[Array, float]]:
            """Exchange an edge of the tree for another one."""
            tree = np.flatnonzero(decision)
            for e in tree:
                kept = tree[tree != e]
                links = (np.ones(len(kept)), (tails[kept], heads[kept]))
                graph = sp.csr_array(links, (oracle.n_nodes, oracle.n_nodes))
                part = connected_components(graph, directed=False)[1]
                more = row - row[e]
                for f in np.flatnonzero((part[tails] != part[heads]) & mask[i] & (more <= most)):
                    other = decision.copy()
                    other[e], other[f] = 0.0, 1.0
                    yield other, float(more[f])

        own = found.decisions[i], row, float(slack[i])
        tied.append(_exchanged(*own, exchanges, limit, "MinimumSpanningTree", i))
    return tied


def _exchanged(
    decision: Array,
    row: Array,
    slack: float,
    exchanges: Callable[[Array, Array, float], Iterator[tuple[Array, float]]],
    limit: int,
    name: str,
    i: int,
) -> Array:
    """Return the decisions within the slack that exchanges reach.

    Those are all where any decision leads to the best one by exchanges that never cost more, as in
    matroids and permutations. What exchanges cost is added up: objectives are known to the rounding
    of their sum only, which may be more than the slack.
    """
    found = {tuple(decision)}
    ahead = [(decision, 0.0)]
    while ahead and len(found) <= limit:
        base, above = ahead.pop()
        for other, more in exchanges(base, row, slack - above):
            if tuple(other) not in found:
                found.add(tuple(other))
                ahead.append((other, above + more))
    return _at_most(limit, np.array(sorted(found, reverse=True)), name, i)


@tied_decisions.register
def _grid(
    oracle: GridShortestPath,
    costs: Array,
    instance: Instance,
    found: Solution,
    slack: Array,
    limit: int,
) -> list[Array]:
    n, d = costs.shape
    counts, starts = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    none = np.zeros((0, d))
    grid = (costs, oracle.rows, oracle.cols, slack, limit, starts, counts)
    run(tied_paths, n, *grid, none)
    for i in np.flatnonzero(counts > limit)[:1]:
        _refuse(f"more than {limit}", limit, "GridShortestPath", int(i))
    ends = counts.cumsum()
    starts[:] = ends - counts
    decisions = np.zeros((ends[-1], d))
    run(tied_paths, n, *grid, decisions)
    return np.split(decisions, ends[:-1])


def _at_most(limit: int, decisions: Array, name: str, i: int) -> Array:
    """Return the decisions of instance i unless they are too many."""
    if len(decisions) > limit:
        _refuse(f"more than {limit}", limit, name, i)
    return decisions


def _refuse(count: str, limit: int, name: str, i: int) -> None:
    raise InvalidInputError(
        f"all_optima: instance {i} of {name} has {count} optimal decisions, expected at most "
        f"{limit}; raise the limit"
    )
