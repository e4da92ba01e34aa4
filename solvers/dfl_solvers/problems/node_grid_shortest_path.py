"""Shortest paths over the cells of a grid, in eight directions."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import AbstractOracle, Array, Instance
from dfl_solvers.problems._path_graph import PathSearch, raise_for_cycles, unit_flow
from dfl_solvers.program import Program


@final
class NodeGridShortestPath(AbstractOracle):
    r"""Find cheapest ways over a terrain, from its upper left to its lower right cell.

    The Warcraft problem: each cell has a cost, and a step leads to any of up to eight neighbors.

    Parameters
    ----------
    rows, cols : int
        Number of cells down and across; at least one of them above one.

    Attributes
    ----------
    n_costs : int
        Number ``rows * cols`` of cells, row by row.

    Raises
    ------
    InvalidInputError
        If the grid has less than two cells.
    UnboundedError
        From ``solve``, if costs make a negative cycle; see the notes.
    InfeasibleError
        From ``solve``, if a mask leaves no way.

    Notes
    -----
    .. math::

        \min_w \sum_v c_v w_v \quad \text{over the indicators } w \in \{0, 1\}^d
        \text{ of the cells of simple paths,}

    both end cells included. Solved as ``ShortestPath`` is: compiled sweeps of label correction,
    several instances at a time, and Dijkstra's algorithm where these take long.

    Costs should not be negative. Where some are, the algorithm of Bellman and Ford decides: as soon
    as two neighbors, neither of them an end cell, cost less than nothing together, walking to and
    fro gets ever cheaper, and to find the cheapest simple path is NP-hard: ``UnboundedError`` names
    the instance. The end cells are visited once and may cost anything. Make predictions positive,
    by the model's last layer or by clipping, and mind that SPO+ asks for the costs
    ``2 * prediction - cost``, which may be negative even so, as may costs perturbed by noise that
    has no bounds; losses that ask only for the decisions of predictions are safe.

    Of equally cheap ways on from a cell, the one to the first neighbor is taken, row by row.

    Instance data ``mask`` (n, d) closes cells where it is False.

    ``program`` is a flow along the steps whose map to cells says which of them it leaves, and the
    last one. It agrees where no cost is negative.

    References
    ----------
    M. Vlastelica, A. Paulus, V. Musil, G. Martius, M. Rolínek. Differentiation of blackbox
    combinatorial solvers. ICLR 2020. arXiv:1912.02175

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import NodeGridShortestPath
    >>> costs = np.array([[1.0, 9.0, 9.0], [1.0, 9.0, 1.0], [9.0, 1.0, 1.0]])
    >>> NodeGridShortestPath(3, 3).solve(costs.reshape(1, 9)).decisions.reshape(3, 3)
    array([[1., 0., 0.],
           [1., 0., 0.],
           [0., 1., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})

    def __init__(self, rows: int, cols: int) -> None:
        rows = read_size("NodeGridShortestPath", "rows", rows)
        cols = read_size("NodeGridShortestPath", "cols", cols)
        if rows * cols < 2:
            raise InvalidInputError(
                f"NodeGridShortestPath: got a grid of {rows} x {cols}, expected at least two cells"
            )
        self.rows = rows
        self.cols = cols
        self.n_costs: int = rows * cols
        steps = self._steps()
        every = np.ones(len(steps), dtype=bool)
        order = np.arange(self.n_costs)[::-1]
        # a step pays for the cell that it leaves; the last cell is in every path
        self._search = PathSearch(steps, steps[:, 0], every, order, self.n_costs, acyclic=False)

    def _steps(self) -> Array:
        """Return pairs (from, to) of cells, but no step into the first or out of the last."""
        cells = np.arange(self.n_costs)
        row, col = cells // self.cols, cells % self.cols
        near = (abs(row[:, None] - row) <= 1) & (abs(col[:, None] - col) <= 1)
        near &= cells[:, None] != cells
        near[:, 0] = near[-1] = False
        return np.argwhere(near)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        mask = instance.get("mask")
        if mask is not None:
            # no step pays for the last cell: where that is closed, close the first
            mask = np.column_stack([mask[:, :1] & mask[:, -1:], mask[:, 1:]])
        first, last = np.array([0]), np.array([self.n_costs - 1])
        decisions, status = self._search.solve(costs, mask, first, last)
        decisions[:, -1] = 1.0
        return decisions, status

    def _raise_for(self, status: Array) -> None:
        raise_for_cycles(type(self).__name__, status)
        super()._raise_for(status)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the unit flow over the steps, with the map to cells, as a linear program."""
        instance = instance or {}
        d = self.n_costs
        usable = np.asarray(instance.get("mask", np.ones(d)), dtype=float)
        steps = self._steps()
        m = len(steps)
        last = np.flatnonzero(steps[:, 1] == d - 1)
        cells = np.concatenate([steps[:, 0], np.full(len(last), d - 1)])
        columns = np.concatenate([np.arange(m), last])
        decision_map = sp.csr_array((np.ones(len(cells)), (cells, columns)), shape=(d, m))
        upper = usable[steps].min(1)
        return unit_flow(steps, upper, 0, d - 1, d, decision_map)
