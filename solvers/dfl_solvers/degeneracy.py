"""How far costs are from a tie between decisions, and the decisions of a tie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from dfl_solvers._optima import programs, tied_decisions
from dfl_solvers._residual_cycles import least_cycle_ratios, network_arcs
from dfl_solvers.exceptions import InvalidInputError, SolverError, UnsupportedError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, Status, minimizing, solving
from dfl_solvers.problems._grid_detours import nearest_detours
from dfl_solvers.problems._spanning_tree import least_exchanges
from dfl_solvers.problems.ball import Ball
from dfl_solvers.problems.box import Box
from dfl_solvers.problems.ellipsoid import Ellipsoid
from dfl_solvers.problems.entropy_ball import EntropyBall
from dfl_solvers.problems.log_barrier_simplex import LogBarrierSimplex
from dfl_solvers.problems.ranking import Ranking
from dfl_solvers.problems.shortest_path import GridShortestPath
from dfl_solvers.problems.simplex import Simplex
from dfl_solvers.problems.spanning_tree import MinimumSpanningTree
from dfl_solvers.problems.top_k import TopK
from dfl_solvers.program import Program


@dataclass(frozen=True, eq=False)
class Degeneracy:
    """Distances of a batch of n cost vectors to the nearest tie.

    Attributes
    ----------
    distance : ndarray of shape (n,)
        Euclidean distance to the nearest costs with more than one optimal decision: 0 at a tie,
        infinite where only one decision is feasible.
    exact : ndarray of bool of shape (n,)
        Where ``distance`` is the distance; elsewhere it is a lower bound.
    """

    distance: Array
    exact: Array


def degeneracy_distance(
    oracle: Oracle, costs: npt.ArrayLike, instance: Instance | None = None
) -> Degeneracy:
    r"""Return how far costs are from the nearest ones with more than one optimal decision.

    The margin of a prediction: costs that are off by less lead to the same decision. Use it to see
    which instances an error of prediction can hurt, and which ones are worth a label.

    Parameters
    ----------
    oracle : Oracle
        A maximizing one takes values.
    costs : array-like of shape (n, d)
        One cost vector a row.
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.

    Returns
    -------
    Degeneracy
        Distances, and whether they are exact.

    Raises
    ------
    UnsupportedError
        If nothing is known of the set: no closed form and no matrix form, or a matrix form with
        integer variables that is neither small nor one of binary decisions.
    InvalidInputError
        If a shape is wrong or an entry is not finite.
    InfeasibleError
        If an instance has no decision.
    SolverError
        If a limit on time or gap kept the oracle from an optimal decision.

    See Also
    --------
    all_optima : The decisions of a tie.

    Notes
    -----
    With vertices V of the convex hull of the set, and the optimal decision w,

    .. math::

        \nu_S(c) = \min_{v \in V, \, v \ne w} \frac{c^\top (v - w)}{\lVert v - w \rVert_2}.

    It is homogeneous and changes by no more than the costs do. Costs closer to c than
    :math:`\nu_S(c)` have the same decision.

    - Box: :math:`\min_j |c_j|`. Simplex and top k: the gap between the last one chosen and the
      first one not chosen, over :math:`\sqrt 2`. Ball and ellipsoid: :math:`\lVert c \rVert`;
      within the simplex: the distance to costs of which so many tie for the least that a face is
      flat, with a logarithmic barrier all of them.
    - Rankings and spanning trees: the least cost of one exchange, of neighbors in rank per unit of
      difference or of an edge for another one, over :math:`\sqrt 2`.
    - Grids: the least ratio over single detours, compiled; some path length times area.
    - Other network programs of zeros and ones, such as paths and assignments: the least ratio over
      residual cycles by a dynamic program over their length; at worst nodes squared times arcs.
      In a graph with cycles, the matrix form also allows flows along a cycle beside the path.
    - Linear programs: reduced costs over the lengths of the edges of the best basis, which is exact
      if the nearest edge leads anywhere. At a degenerate vertex the cone is refined by double
      description; what is left after some hundred edges is a lower bound.
    - Up to 65536 integer points: all of them. Binary decisions: mixed-integer programs for the best
      decision at a growing number of changed coordinates, exact, a few solves per instance.

    With fixed costs, their difference joins the numerator, and homogeneity is lost.

    References
    ----------
    O. El Balghiti, A. N. Elmachtoub, P. Grigas, A. Tewari. Generalization bounds in the
    predict-then-optimize framework. NeurIPS (2019). arXiv:1905.11488

    M. Liu, P. Grigas, H. Liu, Z.-J. M. Shen. Active learning in the predict-then-optimize
    framework: a margin-based approach (2023). arXiv:2305.06584

    Examples
    --------
    >>> from dfl_solvers import Box
    >>> degeneracy_distance(Box(), [[3.0, -0.5], [0.0, 1.0]]).distance
    array([0.5, 0. ])
    """
    held, costs, instance, found = _solve(oracle, costs, instance)
    if not len(costs):
        return Degeneracy(np.zeros(0), np.ones(0, dtype=bool))
    return _distance(held, costs, instance, found)


def all_optima(
    oracle: Oracle,
    costs: npt.ArrayLike,
    instance: Instance | None = None,
    *,
    limit: int = 1000,
    tolerance: float = 1e-9,
) -> list[Array]:
    """Return all optimal vertices of each instance.

    Use it to look into ties: what else a prediction would allow, and the best or worst of it under
    other costs.

    Parameters
    ----------
    oracle : Oracle
        A maximizing one takes values.
    costs : array-like of shape (n, d)
        One cost vector a row.
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.
    limit : int, default=1000
        Most decisions an instance may have.
    tolerance : float, default=1e-9
        What counts as a tie, relative to the largest cost of the instance.

    Returns
    -------
    list of n ndarrays of shape (m, d)
        The m optimal decisions of each instance, in an order that depends on the problem.

    Raises
    ------
    UnsupportedError
        If the decisions of this oracle cannot be enumerated.
    InvalidInputError
        If an instance has more than ``limit`` optimal decisions, an argument is out of range, a
        shape is wrong or an entry is not finite.
    InfeasibleError
        If an instance has no decision.
    SolverError
        If a limit on time or gap kept the oracle from an optimal decision.

    See Also
    --------
    degeneracy_distance : How far costs are from a tie.

    Notes
    -----
    Box, simplex, top k, rankings, spanning trees and grids enumerate directly. Balls and other
    smooth sets have one optimal decision, unless costs are at distance zero from a tie. Up to 65536
    integer points are looked at one by one; networks of zeros and ones and programs of binary
    decisions are solved again and again without the decisions found so far, one mixed-integer
    program each.

    Examples
    --------
    >>> from dfl_solvers import Simplex
    >>> all_optima(Simplex(), [[2.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    [array([[0., 1., 0.],
           [0., 0., 1.]]), array([[1., 0., 0.]])]
    """
    if limit < 1:
        raise InvalidInputError(f"all_optima: got limit={limit}, expected at least 1")
    if not 0 <= tolerance < np.inf:
        raise InvalidInputError(f"all_optima: got tolerance={tolerance}, expected at least 0")
    held, costs, instance, found = _solve(oracle, costs, instance)
    if not len(costs):
        return []
    slack = tolerance * np.abs(costs).max(axis=1, initial=0.0)
    if isinstance(held, (Ball, Ellipsoid, EntropyBall, LogBarrierSimplex)):
        tied = np.flatnonzero(_distance(held, costs, instance, found).distance <= slack)
        if len(tied):
            raise InvalidInputError(
                f"all_optima: instance {tied[0]} of {type(held).__name__} is at a tie of "
                "infinitely many decisions"
            )
        return [row[None] for row in found.decisions]
    return tied_decisions(held, costs, instance, found, slack, limit)


def _solve(
    oracle: Oracle, costs: npt.ArrayLike, instance: Instance | None
) -> tuple[Oracle, Array, Instance, Solution]:
    """Return the oracle without wrappers, checked costs and data, and the solution."""
    try:
        costs = np.asarray(costs, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"costs cannot be read as an array of numbers: {error}") from error
    held, sign = minimizing(oracle)
    costs = sign * costs
    found = held.solve(costs, instance)
    stopped = np.flatnonzero(found.status == Status.FEASIBLE)
    if len(stopped):
        raise SolverError(
            f"{held!r}: instance {stopped[0]}: {Status.FEASIBLE.message}; ties need an optimal one"
        )
    given = {name: np.asarray(value) for name, value in (instance or {}).items()}
    if "mask" in given:
        given["mask"] = given["mask"].astype(bool)
    return solving(held), np.ascontiguousarray(costs), given, found


def _exactly(distance: Array) -> Degeneracy:
    return Degeneracy(distance, np.ones(len(distance), dtype=bool))


@singledispatch
def _distance(oracle: Oracle, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    """Return the distances for checked costs; here for an oracle known by its matrix form only."""
    name = type(oracle).__name__
    if not hasattr(oracle, "program"):
        raise UnsupportedError(
            f"degeneracy_distance: {name} has neither a closed form nor a matrix form (a method "
            "program())"
        )
    distance, exact = np.empty(len(costs)), np.ones(len(costs), dtype=bool)
    for rows, program in programs(oracle, instance):
        own = Solution(found.decisions[rows], found.objectives[rows], found.status[rows])
        distance[rows], exact[rows] = _distance_by_program(name, program, costs[rows], own)
    return Degeneracy(distance, exact)


def _distance_by_program(
    name: str, program: Program, costs: Array, found: Solution
) -> tuple[Array, Array]:
    """Return the distances of instances that share a program, and where they are exact."""
    # imported here since closed forms do without HiGHS
    from dfl_solvers import _degeneracy_programs as general

    distance, exact = np.empty(len(costs)), np.ones(len(costs), dtype=bool)
    arcs = network_arcs(program)
    integral = np.abs(found.decisions - np.round(found.decisions)).max(initial=0.0) < 1e-6
    if arcs is not None and integral:
        weights = np.ascontiguousarray(program.objective(costs))
        decisions = np.ascontiguousarray(found.decisions)
        n_nodes = program.A.shape[0] + 1
        run(least_cycle_ratios, len(costs), weights, decisions, *arcs, n_nodes, distance)
        return distance, exact
    if not program.integrality.any():
        return general.distance_to_edges(program, costs)
    points = general.integer_points(program)
    if points is not None:
        return general.distance_to_points(program, points, costs, found), exact
    if not general.has_binary_decisions(program):
        raise UnsupportedError(
            f"degeneracy_distance: {name} has integer variables, more than {general.ENUMERABLE} "
            "points, and decisions that are not binary variables themselves; its distances are not "
            "known"
        )
    for i, row in enumerate(costs):
        decision, objective = np.round(found.decisions[i]), float(found.objectives[i])
        distance[i] = general.distance_to_strata(program, row, decision, objective)
    return distance, exact


@_distance.register
def _box(oracle: Box, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    sizes = np.where(instance.get("mask", True), np.abs(costs), np.inf)
    return _exactly(sizes.min(axis=1, initial=np.inf))


@_distance.register
def _simplex(oracle: Simplex, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    return _exactly(_gap(costs, instance, 1))


@_distance.register
def _top_k(oracle: TopK, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    return _exactly(_gap(costs, instance, oracle.k))


def _gap(costs: Array, instance: Instance, k: int) -> Array:
    """Return the distance to costs whose k-th and next smallest are equal."""
    if "mask" in instance:
        costs = np.where(instance["mask"], costs, np.inf)
    if costs.shape[1] == k:
        return np.full(len(costs), np.inf)
    lowest = np.partition(costs, (k - 1, k), axis=1)
    return np.asarray((lowest[:, k] - lowest[:, k - 1]) / np.sqrt(2))


@_distance.register
def _ranking(oracle: Ranking, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    gaps = np.diff(np.sort(-costs, axis=1), axis=1)[:, np.diff(oracle.ranks) > 0]
    return _exactly(gaps.min(axis=1, initial=np.inf) / np.sqrt(2))


@_distance.register
def _spanning_tree(
    oracle: MinimumSpanningTree, costs: Array, instance: Instance, found: Solution
) -> Degeneracy:
    # trees that differ by k edges are k exchanges apart, which cost no less each, and sqrt(2 k)
    gaps = np.empty(len(costs))
    tails, heads = np.ascontiguousarray(oracle.edges.T)
    allowed = instance.get("mask", np.empty((0, oracle.n_costs), dtype=bool))
    graph = int(oracle.n_nodes), tails, heads, costs, np.ascontiguousarray(allowed)
    run(least_exchanges, len(costs), *graph, found.decisions, gaps)
    return _exactly(gaps / np.sqrt(2))


@_distance.register
def _grid(
    oracle: GridShortestPath, costs: Array, instance: Instance, found: Solution
) -> Degeneracy:
    distance = np.empty(len(costs))
    run(nearest_detours, len(costs), costs, oracle.rows, oracle.cols, distance)
    return _exactly(distance)


@_distance.register(Ball)
@_distance.register(Ellipsoid)
def _round(
    oracle: Ball | Ellipsoid, costs: Array, instance: Instance, found: Solution
) -> Degeneracy:
    return _exactly(_length(costs))


@_distance.register
def _log_barrier(
    oracle: LogBarrierSimplex, costs: Array, instance: Instance, found: Solution
) -> Degeneracy:
    return _exactly(_length(costs - costs.mean(axis=1, keepdims=True)))


@_distance.register
def _entropy(oracle: EntropyBall, costs: Array, instance: Instance, found: Solution) -> Degeneracy:
    # of k least costs that tie, the face is flat if equal weights on them are inside the set
    d = costs.shape[1]
    inside = np.log(d) - np.log(np.arange(2, d + 1)) < oracle.level
    k = 2 + int(inside.argmax())
    lowest = np.sort(costs, axis=1)[:, :k]
    return _exactly(_length(lowest - lowest.mean(axis=1, keepdims=True)))


def _length(rows: Array) -> Array:
    """Return the length of each row; no square overflows or vanishes."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    safe = np.where(largest > 0, largest, 1.0)
    return np.asarray(largest * np.linalg.norm(rows / safe[:, None], axis=1))
