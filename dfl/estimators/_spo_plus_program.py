"""The SPO+ risk of a polyhedral problem as one linear or quadratic program.

What is solved is the dual: which decisions x_i of the samples, between the vertices of their
feasible sets, cost the most while they have the same moments with the features as the optimal ones,

    max  sum_i weight_i (c_i.(M x_i - w*(c_i)) + own_i - f.x_i)
    s.t. sum_i 2 weight_i (w*(c_i) - M x_i) x~_i' + penalty's slope = 0,   x_i in P_i.

It takes the matrix form as it is, bounds and all, and its multipliers are the parameters B.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from dfl.estimators._big_program import BigProgram, by_clarabel, by_highs
from dfl.estimators._spo_plus_risk import Found, Risk
from dfl.exceptions import SolverError, UnboundedError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.program import Program

Method = Literal["lp", "qp"]
# variables of a program up to which dense linear algebra on it costs nothing
_SMALL = 2000


def programs_of(oracle: Oracle, instance: Instance | None, n: int, solver: str) -> list[Program]:
    """Return the matrix form of each instance, or one where all are the same."""
    problem = type(oracle).__name__
    advice = f"solver={solver!r} does not go with {problem}: use solver='bundle'"
    if not hasattr(oracle, "program"):
        raise UnsupportedError(
            f"{advice}, since this oracle has no matrix form (a method program())"
        )
    try:
        if not instance:
            return [oracle.program()]
        rows = ({name: value[i] for name, value in instance.items()} for i in range(n))
        return [oracle.program(row) for row in rows]
    except UnsupportedError as error:
        raise UnsupportedError(f"{advice}; {error}") from error


@final
class Relaxed:
    """The linear relaxation of the programs of n instances, as an oracle."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.oracles = [LinearProgram(program.relax()) for program in programs]
        self.n_costs = programs[0].n_costs
        self.linear_objective = all(oracle.linear_objective for oracle in self.oracles)

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch; the instances are those of the programs."""
        del instance
        if len(self.oracles) == 1:
            return self.oracles[0].solve(costs)
        found = [o.solve(c[None]) for o, c in zip(self.oracles, costs, strict=True)]
        parts = zip(*((s.decisions, s.objectives, s.status) for s in found), strict=True)
        return Solution(*(np.concatenate(part) for part in parts))

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions."""
        del instance
        if len(self.oracles) == 1:
            return self.oracles[0].evaluate(costs, decisions)
        rows = zip(self.oracles, costs, decisions, strict=True)
        return np.concatenate([o.evaluate(c[None], w[None]) for o, c, w in rows])


def solve_program(risk: Risk, programs: list[Program], method: Method) -> Found:
    """Minimize the penalized risk by HiGHS' interior point method, or by Clarabel.

    Parameters
    ----------
    risk : Risk
    programs : list of Program
        One, or one a sample; integrality is dropped.
    method : {"lp", "qp"}
        With the penalty l2 only ``"qp"``.
    """
    n, (d, q) = len(risk.costs), (risk.decisions.shape[1], risk.inputs.shape[1])
    weights = n * risk.weights
    if method == "qp" and len(programs) == 1:
        programs = [without_implied_bounds(programs[0])]
    each = programs * n if len(programs) == 1 else programs
    basis, chosen = _directions(programs, d)
    l1 = risk.penalty == "l1" and risk.alpha > 0
    l2 = risk.penalty == "l2" and risk.alpha > 0
    # what costs along other directions are does not matter: least squares, or their mean
    reference = np.zeros((d, q))
    if l1 or l2:
        reference[:, 0] = risk.weights @ risk.costs
    else:
        reference = risk.least_squares()
    # columns of B are either held to the chosen coordinates or, where their size counts, whole
    coordinates = [np.arange(d) if l1 and k > 0 else chosen for k in range(q)]
    map_ = sp.block_diag([program.decision_map for program in each], format="csr")
    moments = sp.vstack(
        [
            sp.kron(sp.csr_array((2 * weights * risk.inputs[:, k])[None]), _pick(which, d))
            for k, which in enumerate(coordinates)
        ],
        format="csr",
    )
    right = moments @ risk.decisions.ravel()
    moments = sp.csr_array(moments @ map_)
    fixed = np.concatenate([program.fixed_costs for program in each])
    shifted = 2 * risk.inputs @ reference.T - risk.costs
    sizes = [program.n_variables for program in each]
    costs = np.repeat(weights, sizes) * (map_.T @ shifted.ravel() + fixed)
    slack = np.repeat([n * risk.alpha if l1 and k > 0 else 0.0 for k in range(q)],
                      [len(which) for which in coordinates])  # fmt: skip
    n_penalty = (q - 1) * len(chosen) if l2 else 0
    blocks = sp.block_diag([program.A for program in each], format="csr")
    quadratic: Any = sp.csr_array((len(costs), len(costs)))
    A: Any = sp.vstack([blocks, moments])
    if l2:
        # the norm of the smallest B among those that are the same on all decisions
        metric = n * risk.alpha * (basis @ basis.T)[np.ix_(chosen, chosen)]
        metrics = sp.kron(sp.eye_array(q - 1), metric)
        quadratic = sp.block_diag([quadratic, metrics])
        above = sp.csr_array((A.shape[0] - n_penalty, n_penalty))
        A = sp.hstack([A, sp.vstack([above, -metrics])])
    bounds = [
        np.concatenate([getattr(program, name) for program in each])
        for name in ("row_lower", "row_upper", "lower", "upper")
    ]
    big = BigProgram(
        np.append(costs, np.zeros(n_penalty)),
        quadratic,
        sp.csr_array(A),
        np.concatenate([bounds[0], right - slack]),
        np.concatenate([bounds[1], right + slack]),
        np.append(bounds[2], np.full(n_penalty, -np.inf)),
        np.append(bounds[3], np.full(n_penalty, np.inf)),
    )
    z, multipliers, n_iter = (by_highs if method == "lp" else by_clarabel)(big)
    x = np.clip(z[: len(costs)], bounds[2], bounds[3])
    rows = multipliers[: blocks.shape[0]]
    step, at = np.zeros((d, q)), blocks.shape[0]
    for k, which in enumerate(coordinates):
        step[which, k] = multipliers[at : at + len(which)]
        at += len(which)
        if not (l1 and k > 0):
            step[:, k] = basis @ (basis.T @ step[:, k])
    parameters = reference + step
    # weak duality, with what rounding has left of the rows of the program paid for
    used = blocks @ x
    outside = np.maximum(bounds[0] - used, 0) + np.maximum(used - bounds[1], 0)
    decisions = (map_ @ x).reshape(n, d)
    value = np.vecdot(risk.costs, decisions - risk.decisions) + risk.own
    own = np.add.reduceat(fixed * x, np.concatenate([[0], np.cumsum(sizes)[:-1]]))
    constant = float(risk.weights @ (value - own))
    constant -= 10 * float(np.abs(rows).max(initial=0.0)) * float(outside.sum()) / n
    slope = 2 * (risk.weights[:, None] * (risk.decisions - decisions)).T @ risk.inputs
    bound = risk.least(constant, slope, float(np.abs(parameters).max()))
    return Found(parameters, max(bound, 0.0), n_iter)


def without_implied_bounds(program: Program) -> Program:
    """Return the program without upper bounds, if the rows imply them all, as for paths in a DAG.

    A cone solver has a row for each bound.
    """
    k = program.n_variables
    none = dataclasses.replace(
        program.relax(), upper=np.full(k, np.inf), fixed_costs=None, decision_map=None
    )
    if k > _SMALL or not np.isfinite(program.upper).any():
        return program
    try:
        largest = np.diagonal(LinearProgram(none).solve(-np.eye(k)).decisions)
    except (UnboundedError, SolverError):
        return program
    if (largest > program.upper + 1e-9).any():
        return program
    return dataclasses.replace(program, upper=none.upper)


def _directions(programs: list[Program], d: int) -> tuple[Array, Array]:
    """Return an orthonormal basis (d, r) of the directions between decisions, and r coordinates.

    The losses depend on costs only along these directions, and r coordinates are enough to say how
    costs differ along them. In the others a solver would drift.
    """
    spread = np.zeros((d, d))
    for program in programs:
        k = program.n_variables
        if k > _SMALL:
            return np.eye(d), np.arange(d)
        same = program.row_lower == program.row_upper
        still = np.flatnonzero(program.lower == program.upper)
        equal = sp.vstack([program.A[same], sp.eye_array(k, format="csr")[still]]).toarray()
        free = scipy.linalg.null_space(equal) if len(equal) else np.eye(k)
        moves = program.decision_map @ free
        spread += moves @ moves.T
    sizes, vectors = np.linalg.eigh(spread)
    basis = vectors[:, sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)]
    order = scipy.linalg.qr(basis.T, mode="r", pivoting=True)[1]
    return basis, np.sort(order[: basis.shape[1]])


def _pick(which: Array, d: int) -> sp.csr_array:
    return sp.csr_array((np.ones(len(which)), (np.arange(len(which)), which)), (len(which), d))
