"""Decisions for the worst costs of a set: min over w in S of the largest c.w for c in the set.

The set is known by its support function in epigraph form. Where the oracle has a matrix form, that
goes into it: a linear, mixed-integer or second-order cone program. Where it has none but is known
to be convex, decisions that the oracle gives for some costs of the set are mixed until no other
costs of the set ask for a better one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends._sides import Sides
from dfl_solvers.backends.clarabel import solve_cone_pair
from dfl_solvers.exceptions import SolverError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Status, solving
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.program import Program

# problems without matrix form whose feasible sets are convex, so that decisions may be mixed
_CONVEX = {"Ball", "Ellipsoid", "EntropyBall", "LogBarrierSimplex", "Portfolio"}
_TOLERANCE = 1e-6
_MAX_ITER = 1000


class CostSet(NamedTuple):
    """The largest ``c.w`` over a set of costs, as the least value of a program.

    It is the least ``linear.w + own.y`` over y with ``left w + right y <= 0``, ``y >= lower`` and,
    with a ``cone``, ``norm(cone w) <= y[-1]``.
    """

    linear: Array
    own: Array
    lower: Array
    left: Array
    right: Any  # sparse
    cone: Array | None = None


def box(center: Array, radius: Array) -> CostSet:
    """Costs within ``center +- radius``, both of shape (d,)."""
    d = len(center)
    eye = sp.eye_array(d, format="csr")
    left = np.vstack([np.eye(d), -np.eye(d)])
    return CostSet(center, radius, np.zeros(d), left, sp.vstack([-eye, -eye]))


def ellipsoid(center: Array, factor: Array) -> CostSet:
    """Costs ``center + factor @ u`` with u in the unit ball; ``factor`` is (d, r)."""
    d = len(center)
    return CostSet(
        center, np.ones(1), np.zeros(1), np.zeros((0, d)), sp.csr_array((0, 1)), factor.T
    )


def tail(scenarios: Array, weights: Array, alpha: float) -> CostSet:
    """Means of scenarios (K, d) under weights changed by at most ``1 / (1 - alpha)``: CVaR."""
    K, d = scenarios.shape
    return CostSet(
        np.zeros(d),
        np.append(1.0, weights / (1 - alpha)),
        np.append(-np.inf, np.zeros(K)),
        scenarios,
        sp.hstack([sp.csr_array(-np.ones((K, 1))), -sp.eye_array(K)]),
    )


def minimize_worst(oracle: Oracle, sets: Sequence[CostSet], instance: Instance | None) -> Array:
    """Return decisions (n, d) whose largest objective over their set of costs is least.

    Raises
    ------
    UnsupportedError
        If integers meet an ellipsoid, or the feasible set is not known to be convex.
    SolverError
        If a solver stops without a decision.
    """
    rows = [{name: value[i] for name, value in (instance or {}).items()} for i in range(len(sets))]
    return np.array([_one(oracle, *pair) for pair in zip(sets, rows, strict=True)])


def _one(oracle: Oracle, costs: CostSet, instance: dict[str, Array]) -> Array:
    inner = solving(oracle)
    if not hasattr(inner, "program"):
        if type(inner).__name__ not in _CONVEX:
            raise UnsupportedError(
                f"{type(inner).__name__} has no matrix form (a method program()), and its feasible "
                "set is not known to be convex: decisions for uncertain costs of this kind need "
                f"one of the two; without program() only {', '.join(sorted(_CONVEX))} are"
            )
        return _mix(oracle, costs, {name: value[None] for name, value in instance.items()})
    program = oracle.program(instance) if instance else oracle.program()  # type: ignore[attr-defined]
    extended = _extend(program, costs)
    if costs.cone is not None:
        if program.integrality.any():
            raise UnsupportedError(
                f"{type(inner).__name__} has integer decisions, and for an ellipsoid of costs they "
                "would need a mixed-integer cone solver; use a box (ConformalBox) or scenarios "
                "(CVaR), which stay mixed-integer linear, or the oracle's relaxation"
            )
        return _by_cones(extended, program, costs.cone)
    solver = MixedIntegerProgram if program.integrality.any() else LinearProgram
    return solver(extended).solve(np.zeros((1, program.n_costs))).decisions[0]


def _extend(program: Program, costs: CostSet) -> Program:
    """Add the variables y and the rows of the set to a program."""
    M: Any = program.decision_map
    m, q = costs.left.shape[0], len(costs.own)
    return dataclasses.replace(
        program,
        A=sp.block_array([[program.A, None], [sp.csr_array(costs.left) @ M, costs.right]]),
        row_lower=np.append(program.row_lower, np.full(m, -np.inf)),
        row_upper=np.append(program.row_upper, np.zeros(m)),
        lower=np.append(program.lower, costs.lower),
        upper=np.append(program.upper, np.full(q, np.inf)),
        integrality=np.append(program.integrality, np.zeros(q, dtype=bool)),
        fixed_costs=np.append(M.T @ costs.linear + program.fixed_costs, costs.own),
        decision_map=sp.hstack([M, sp.csr_array((M.shape[0], q))]),
    )


def _by_cones(extended: Program, program: Program, cone: Array) -> Array:
    """Solve a program whose last variable is at least the norm of ``cone w``."""
    k = extended.n_variables
    matrix = sp.vstack([extended.A, sp.eye_array(k)], format="csr")
    lower = np.append(extended.row_lower, extended.lower)
    upper = np.append(extended.row_upper, extended.upper)
    sides = Sides.of(lower, upper)
    n_equal = len(sides.equal)
    signs = np.repeat([1.0, 1.0, -1.0], [n_equal, len(sides.at_most), len(sides.at_least)])
    last = sp.csr_array(([-1.0], ([0], [k - 1])), (1, k))
    inside = sp.hstack([-sp.csr_array(cone @ program.decision_map), sp.csr_array((len(cone), 1))])
    x, _, status = solve_cone_pair(
        extended.fixed_costs,
        sp.vstack([sp.diags_array(signs) @ matrix[sides.rows], last, inside]),
        np.append(signs * sides.right(lower, upper), np.zeros(1 + len(cone))),
        n_equal=n_equal,
        n_at_most=len(signs) - n_equal,
        second_order=(1 + len(cone),),
    )
    _check(status)
    k -= 1
    x = np.clip(x[:k], program.lower, program.upper)
    return np.asarray(program.decision_map @ x)


def _mix(oracle: Oracle, costs: CostSet, instance: Instance) -> Array:
    """Mix decisions of the oracle; a master problem finds weights and their worst costs."""
    # where the worst costs come close to zero, an absolute tolerance needs the size of costs
    size = np.abs(costs.linear)
    start = costs.linear
    if len(costs.left):
        size = size + np.abs(costs.left).mean(axis=0)
        start = start + costs.left.mean(axis=0)
    if costs.cone is not None:
        size = size + np.linalg.norm(costs.cone, axis=0)
    found = [oracle.solve(start[None], instance).decisions[0]]
    for _ in range(_MAX_ITER):
        mixed, worst, value = _master(np.array(found), costs)
        best = oracle.solve(worst[None], instance).decisions[0]
        if value - worst @ best <= _TOLERANCE * (size @ np.abs(best)):
            return mixed
        found.append(best)
    raise SolverError(
        f"{type(oracle).__name__}: no decision for the worst costs within {_MAX_ITER} steps"
    )


def _master(found: Array, costs: CostSet) -> tuple[Array, Array, float]:
    """Return the best mixture (d,) of decisions (v, d), its worst costs (d,) and their product."""
    v, q, m = len(found), len(costs.own), costs.left.shape[0]
    bounded = np.flatnonzero(np.isfinite(costs.lower))
    of_weights: list[Any] = [np.ones((1, v)), -np.eye(v), np.zeros((len(bounded), v))]
    of_y: list[Any] = [sp.csr_array((1 + v, q)), -sp.eye_array(q, format="csr")[bounded]]
    of_weights.append(costs.left @ found.T)
    of_y.append(costs.right)
    sizes: tuple[int, ...] = ()
    if costs.cone is not None:
        sizes = (1 + len(costs.cone),)
        of_weights += [np.zeros((1, v)), -costs.cone @ found.T]
        last = sp.csr_array(([-1.0], ([0], [q - 1])), (sizes[0], q))
        of_y.append(last)
    A = sp.hstack([sp.csr_array(np.vstack(of_weights)), sp.vstack(of_y)])
    n_at_most = v + len(bounded) + m
    b = np.zeros(A.shape[0])
    b[0] = 1.0
    b[1 + v : 1 + v + len(bounded)] = -costs.lower[bounded]
    objective = np.append(found @ costs.linear, costs.own)
    x, z, status = solve_cone_pair(
        objective, A, b, n_equal=1, n_at_most=n_at_most, second_order=sizes
    )
    _check(status)
    worst = costs.linear + costs.left.T @ z[1 + n_at_most - m : 1 + n_at_most]
    if costs.cone is not None:
        worst = worst - costs.cone.T @ z[2 + n_at_most :]
    weights = np.maximum(x[:v], 0.0)
    return found.T @ (weights / weights.sum()), np.asarray(worst), float(objective @ x)


def _check(status: Status) -> None:
    if status > Status.FEASIBLE:
        raise SolverError(f"decisions for the worst costs: {status.message}")
