"""Assignment of n to n at least cost."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.kernels import run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution
from dfl_solvers.problems._hungarian import assign
from dfl_solvers.program import Program


@final
class Assignment(AbstractOracle):
    r"""Match n rows with n columns, one to one, at least cost.

    Workers and jobs, riders and drivers, positions of a ranking: each row gets exactly one column.
    Costs may be negative; for values, use ``Maximize(Assignment(n))``.

    Parameters
    ----------
    n : int
        Number of rows, and of columns.

    Attributes
    ----------
    n_costs : int
        ``n * n``: the matrix of costs, row by row. Decisions are permutation matrices of zeros and
        ones, row by row too.

    Raises
    ------
    InvalidInputError
        If n is no integer of at least 1.

    Notes
    -----
    .. math::

        \min_W \sum_{ij} c_{ij} W_{ij} \quad \text{s.t.} \quad
        \sum_j W_{ij} = 1, \; \sum_i W_{ij} = 1, \; W \ge 0,

    whose vertices are the permutations. Solved by the algorithm of Jonker and Volgenant, compiled:
    columns and rows are reduced until most are matched, shortest augmenting paths match the rest.
    O(n^3) at worst and near n^2 on most instances, a few microseconds at n = 20; exact but for the
    rounding of sums and differences. Takes float64 and float32, which it solves in double
    precision. Of several cheapest matchings always the same one is found.

    Instance data ``mask`` (batch, n * n) is true for the pairs that may be used. For sides of
    different size add rows or columns that cost nothing. Matchings with further constraints are a
    ``LinearProgram`` or ``MixedIntegerProgram``, many times slower.

    References
    ----------
    R. Jonker & A. Volgenant. A shortest augmenting path algorithm for dense and sparse linear
    assignment problems. Computing 38 (1987). doi:10.1007/BF02278710

    D. F. Crouse. On implementing 2D rectangular assignment algorithms. IEEE Transactions on
    Aerospace and Electronic Systems 52 (2016). doi:10.1109/TAES.2016.140952

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Assignment
    >>> costs = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
    >>> Assignment(3).solve(costs.reshape(1, -1)).decisions.reshape(3, 3)
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int) -> None:
        n = read_size("Assignment", "n", n)
        self.n = n
        self.n_costs: int = n * n

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        allowed = instance.get("mask", np.empty((0, self.n_costs), dtype=bool))
        decisions = np.zeros(costs.shape, costs.dtype)
        objectives = np.empty(len(costs), costs.dtype)
        status = np.empty(len(costs), dtype=np.int8)
        run(
            assign,
            len(costs),
            self.n,
            np.ascontiguousarray(costs),
            np.ascontiguousarray(allowed),
            decisions,
            objectives,
            status,
        )
        return Solution(decisions, objectives, status)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the linear program of one instance: rows, then columns, sum to one."""
        each, ones = sp.eye_array(self.n), np.ones((1, self.n))
        upper = np.ones(self.n_costs)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        one = np.ones(2 * self.n)
        sums = sp.vstack([sp.kron(each, ones), sp.kron(ones, each)])
        return Program(sums, one, one, np.zeros(self.n_costs), upper)
