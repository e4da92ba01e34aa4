"""One large sparse program, linear by HiGHS or quadratic by Clarabel, with its multipliers."""

from __future__ import annotations

from typing import Any, NamedTuple

import clarabel
import highspy
import numpy as np
import scipy.sparse as sp

from dfl.exceptions import SolverError
from dfl_solvers.backends.bare_highs import bare_highs, linear_program, run_highs
from dfl_solvers.oracle import Array


class BigProgram(NamedTuple):
    """Minimize ``costs.z + z'Qz / 2`` where ``A z`` and z are within their bounds."""

    costs: Array
    quadratic: Any
    A: sp.csr_array
    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array


def by_highs(big: BigProgram) -> tuple[Array, Array, int]:
    """Solve by HiGHS' interior point method, without crossover unless it stops short."""
    lp = linear_program(big.costs, big.A, big.row_lower, big.row_upper, big.lower, big.upper)
    options = {
        "output_flag": False,
        "threads": 1,
        "solver": "ipm",
        "run_crossover": "choose",
        "ipm_optimality_tolerance": 1e-9,
    }
    highs = bare_highs(options)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the program of the SPO+ risk")
    outcome = run_highs(highs)
    solution, info = highs.getSolution(), highs.getInfo()
    if not (solution.value_valid and solution.dual_valid):
        raise SolverError(
            "HiGHS found no solution of the program of the SPO+ risk "
            f"({highs.modelStatusToString(outcome)}); "
            "solver='bundle' needs no such program"
        )
    n_iter = max(info.ipm_iteration_count, 1)
    return np.array(solution.col_value), -np.array(solution.row_dual), n_iter


def by_clarabel(big: BigProgram) -> tuple[Array, Array, int]:
    """Solve by Clarabel: a row for each side of a row or bound that is finite."""
    m, k = big.A.shape
    matrix = sp.vstack([big.A, sp.eye_array(k)], format="csr")
    lower = np.concatenate([big.row_lower, big.lower])
    upper = np.concatenate([big.row_upper, big.upper])
    same = np.flatnonzero(lower == upper)
    most = np.flatnonzero(np.isfinite(upper) & (lower != upper))
    least = np.flatnonzero(np.isfinite(lower) & (lower != upper))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    solution = clarabel.DefaultSolver(
        sp.csc_matrix(sp.triu(big.quadratic)) if big.quadratic.nnz else sp.csc_matrix((k, k)),
        big.costs,
        sp.csc_matrix(sp.vstack([matrix[same], matrix[most], -matrix[least]])),
        np.concatenate([upper[same], upper[most], -lower[least]]),
        [clarabel.ZeroConeT(len(same)), clarabel.NonnegativeConeT(len(most) + len(least))],
        settings,
    ).solve()
    z, duals = np.array(solution.x), np.array(solution.z)
    if not (np.isfinite(z).all() and np.isfinite(duals).all()):
        raise SolverError(
            f"Clarabel found no solution of the program of the SPO+ risk ({solution.status}); "
            "solver='bundle' needs no such program"
        )
    multipliers = np.zeros(m + k)
    multipliers[same] += duals[: len(same)]
    multipliers[most] += duals[len(same) : len(same) + len(most)]
    multipliers[least] -= duals[len(same) + len(most) :]
    return z, multipliers[:m], max(int(solution.iterations), 1)
