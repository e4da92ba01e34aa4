"""What the importers share: from a matrix form to an oracle, and constants in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.program import Program
from dfl_solvers.wrappers import Maximize


def general_oracle(program: Program) -> LinearProgram | MixedIntegerProgram:
    """Return the general oracle of a program."""
    if np.any(program.integrality):
        return MixedIntegerProgram(program)
    return LinearProgram(program)


def in_sense(oracle: Oracle, maximize: bool) -> Oracle:
    """Return the oracle itself, or the one that maximizes."""
    return Maximize(oracle) if maximize else oracle


def affine_program(
    A: Any,
    row_lower: Array,
    row_upper: Array,
    lower: Array,
    upper: Array,
    integrality: Array,
    fixed_costs: Array,
    decision_map: Any,
    offsets: Array,
) -> Program:
    """Return a program whose decision is ``decision_map @ x + offsets``.

    A matrix form has no constants: where there are any, one more variable is fixed at one.
    """
    if np.any(offsets):
        m = A.shape[0]
        A = sp.hstack([sp.csr_array(A), sp.csr_array((m, 1))])
        decision_map = sp.hstack([sp.csr_array(decision_map), sp.csr_array(offsets[:, None])])
        lower, upper = np.append(lower, 1.0), np.append(upper, 1.0)
        integrality, fixed_costs = np.append(integrality, False), np.append(fixed_costs, 0.0)
    return Program(A, row_lower, row_upper, lower, upper, integrality, fixed_costs, decision_map)
