"""Perfect matchings of the cells of a grid."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance
from dfl_solvers.problems._sparse_matching import match
from dfl_solvers.program import Program


@final
class GridPerfectMatching(AbstractOracle):
    r"""Pair the cells of a grid with neighbors at least cost, so that no cell is left alone.

    A tiling by dominoes: every cell is in one pair with the cell right, left, above or below. The
    benchmark of differentiable optimizers in which the cells show digits and a pair costs the
    two-digit number that it shows. Costs may be negative; for values, use
    ``Maximize(GridPerfectMatching(rows, cols))``.

    Parameters
    ----------
    rows, cols : int
        Rows and columns of cells; one of them is even.

    Attributes
    ----------
    n_costs : int
        ``rows * (cols - 1) + cols * (rows - 1)`` pairs of neighbors, in the order of ``edges``.

    Raises
    ------
    InvalidInputError
        If a size is below one, or the number of cells is odd.
    InfeasibleError
        From ``solve``, if the instance data leave no perfect matching.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad w(\delta(v)) = 1 \;\; \forall v, \quad w \ge 0,

    whose vertices are the perfect matchings, since a grid is bipartite: colored like a chess board,
    each pair has one black and one white cell. Black cells are assigned to white ones by shortest
    augmenting paths over their four edges, compiled; exact but for the rounding of sums and
    differences. O(n^2) for n cells at worst, up to the search for the nearest cell; a few
    microseconds for 8 x 8. Takes float64 and float32, which it solves in double precision. Of
    several cheapest matchings always the same one is found.

    Instance data ``mask`` (n, d) closes pairs where it is False. In graphs that are not bipartite,
    a perfect matching is a ``MixedIntegerProgram``.

    References
    ----------
    M. Vlastelica, A. Paulus, V. Musil, G. Martius, M. Rolinek. Differentiation of blackbox
    combinatorial solvers. ICLR (2020). arXiv:1912.02175

    R. Jonker & A. Volgenant. A shortest augmenting path algorithm for dense and sparse linear
    assignment problems. Computing 38 (1987). doi:10.1007/BF02278710

    Examples
    --------
    Two cells above two others: the pairs are upper, left, right and lower.

    >>> import numpy as np
    >>> from dfl_solvers import GridPerfectMatching
    >>> oracle = GridPerfectMatching(2, 2)
    >>> oracle.solve(np.array([[1.0, 2.0, 2.0, 4.0], [1.0, 2.0, 2.0, 2.0]])).decisions
    array([[0., 1., 1., 0.],
           [1., 0., 0., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, rows: int, cols: int) -> None:
        rows = read_size("GridPerfectMatching", "rows", rows)
        cols = read_size("GridPerfectMatching", "cols", cols)
        if rows * cols % 2:
            raise InvalidInputError(
                f"GridPerfectMatching: got a grid of {rows} x {cols}, expected an even number of "
                "cells"
            )
        self.rows = rows
        self.cols = cols
        pairs = self.edges()
        self.n_costs: int = len(pairs)
        # black cells are the rows of an assignment, white ones its columns; of two cells 2 k and
        # 2 k + 1 one is black and one is white
        color = (pairs // cols + pairs % cols) % 2
        black, white = (pairs[color == side] // 2 for side in (0, 1))
        order = np.argsort(black, kind="stable")
        slot = np.arange(len(order)) - np.searchsorted(black[order], black[order])
        self._columns = np.full((rows * cols // 2, 4), -1)
        self._edges = np.full((rows * cols // 2, 4), -1)
        self._columns[black[order], slot] = white[order]
        self._edges[black[order], slot] = order

    def edges(self) -> Array:
        """Return the pairs of cells, numbered row by row; shape (d, 2).

        Row by row, first the pairs within the row, then those with the row below, as the edges of
        ``GridShortestPath``.
        """
        cells = np.arange(self.rows * self.cols).reshape(self.rows, self.cols)
        found = []
        for i in range(self.rows):
            found.append(np.column_stack([cells[i, :-1], cells[i, 1:]]))
            if i + 1 < self.rows:
                found.append(np.column_stack([cells[i], cells[i + 1]]))
        return np.concatenate(found)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        allowed = instance.get("mask", np.empty((0, self.n_costs), dtype=bool))
        decisions = np.empty(costs.shape, costs.dtype)
        status = np.empty(len(costs), dtype=np.int8)
        graph = self._columns, self._edges
        run(match, len(costs), *graph, costs, allowed, decisions, status, serial=SLOW)
        return decisions, status

    def program(self, instance: Instance | None = None) -> Program:
        """Return the linear program: every cell is in one pair."""
        upper = np.ones(self.n_costs)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        pairs = np.repeat(np.arange(self.n_costs), 2)
        n = self.rows * self.cols
        A = sp.csr_array((np.ones(len(pairs)), (self.edges().ravel(), pairs)), (n, self.n_costs))
        return Program(A, np.ones(n), np.ones(n), np.zeros(self.n_costs), upper)
