"""Shortest paths on a grid."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import SERIAL, SLOW, kernel, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.program import Program

# compiled code takes plain numbers
_OPTIMAL, _FAILED = int(Status.OPTIMAL), int(Status.FAILED)
# instances that the kernel handles side by side, one in each lane of the vector registers
_LANES = 8


@final
class GridShortestPath(AbstractOracle):
    """Find cheapest paths through a grid from its first to its last corner, right or down.

    The standard test problem of the field. Paths cannot cycle, so negative costs are harmless.

    Parameters
    ----------
    rows, cols : int
        Number of nodes down and across; at least one of them above one.

    Attributes
    ----------
    n_costs : int
        ``rows (cols - 1) + cols (rows - 1)``, one cost an edge: row by row, first the edges to the
        right within the row, then the edges down from it (PyEPO's order).

    Raises
    ------
    InvalidInputError
        If the grid has no edge.

    Notes
    -----
    Dynamic programming from the last corner, ``v(i) = min over edges (i, j) of c_ij + v(j)``, in
    O(d) per instance and compiled, 8 instances at a time. Of two equally cheap ways the one to
    the right is taken. Takes float64 and float32.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, section 6.1.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import GridShortestPath
    >>> GridShortestPath(2, 2).solve(np.array([[1.0, 5.0, 1.0, 1.0]])).decisions
    array([[1., 0., 1., 0.]])
    """

    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)
    marks_nonfinite: ClassVar[bool] = True

    def __init__(self, rows: int, cols: int) -> None:
        rows = read_size("GridShortestPath", "rows", rows)
        cols = read_size("GridShortestPath", "cols", cols)
        if rows * cols < 2:
            raise InvalidInputError(
                f"GridShortestPath: got a grid of {rows} x {cols}, expected at least two nodes"
            )
        self.rows = rows
        self.cols = cols
        self.n_costs: int = rows * (cols - 1) + cols * (rows - 1)
        # a microsecond pays for some 500 edges
        self._serial = min(SERIAL, max(SLOW, SERIAL * 500 // self.n_costs))

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        n = len(costs)
        decisions = np.empty(costs.shape, costs.dtype)
        objectives = np.empty(n)
        status = np.empty(n, np.int8)
        data = costs, decisions, objectives, status, self.rows, self.cols
        run(_walk, n, *data, serial=self._serial)
        return Solution(decisions, objectives, status)

    def edges(self) -> Array:
        """Return the edges as pairs (from, to) of node numbers, row by row; shape (d, 2)."""
        pairs = []
        for i in range(self.rows):
            first = i * self.cols
            pairs += [(first + j, first + j + 1) for j in range(self.cols - 1)]
            if i < self.rows - 1:
                pairs += [(first + j, first + j + self.cols) for j in range(self.cols)]
        return np.array(pairs)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the unit flow from the first to the last node as a linear program."""
        del instance
        edges = self.edges()
        d = len(edges)
        columns = np.arange(d)
        A = sp.csr_array(
            (
                np.repeat([1.0, -1.0], d),
                (np.concatenate([edges[:, 0], edges[:, 1]]), np.tile(columns, 2)),
            ),
            shape=(self.rows * self.cols, d),
        )
        supply = np.zeros(self.rows * self.cols)
        supply[0], supply[-1] = 1.0, -1.0
        return Program(A, supply, supply, np.zeros(d), np.ones(d))


@kernel
def _walk(lo, hi, costs, decisions, objectives, status, rows, cols):  # type: ignore[no-untyped-def]
    d = costs.shape[1]
    width = 2 * cols - 1  # edges that leave a row of nodes
    below = np.zeros((cols, _LANES), costs.dtype)  # value of the nodes of the next row
    right = np.zeros((rows * cols, _LANES), np.bool_)
    spoiled = np.empty(_LANES, costs.dtype)  # NaN where a cost is not finite
    zero = below[0, 0]
    for start in range(lo, hi, _LANES):
        lanes = min(_LANES, hi - start)
        if lanes == _LANES:
            lane_costs = costs[start : start + _LANES]
        else:  # idle lanes see zeros
            lane_costs = np.zeros((_LANES, d), costs.dtype)
            lane_costs[:lanes] = costs[start:hi]
        spoiled[:] = zero
        below[cols - 1] = zero
        for j in range(cols - 2, -1, -1):
            for lane in range(_LANES):
                across = lane_costs[lane, (rows - 1) * width + j]
                spoiled[lane] += across - across
                right[(rows - 1) * cols + j, lane] = True
                below[j, lane] = across + below[j + 1, lane]
        for i in range(rows - 2, -1, -1):
            first = i * width
            for lane in range(_LANES):
                down = lane_costs[lane, first + width - 1]
                spoiled[lane] += down - down
                right[i * cols + cols - 1, lane] = False
                below[cols - 1, lane] += down
            for j in range(cols - 2, -1, -1):
                for lane in range(_LANES):
                    across = lane_costs[lane, first + j]
                    down = lane_costs[lane, first + cols - 1 + j]
                    spoiled[lane] += (across - across) + (down - down)
                    across += below[j + 1, lane]
                    down += below[j, lane]
                    right[i * cols + j, lane] = across <= down
                    below[j, lane] = min(across, down)
        for lane in range(lanes):
            decision = decisions[start + lane]
            decision[:] = 0
            i, j = 0, 0
            while i < rows - 1 or j < cols - 1:
                if right[i * cols + j, lane]:
                    decision[i * width + j] = 1
                    j += 1
                else:
                    decision[i * width + cols - 1 + j] = 1
                    i += 1
            objectives[start + lane] = below[0, lane]
            status[start + lane] = _OPTIMAL if spoiled[lane] == zero else _FAILED
