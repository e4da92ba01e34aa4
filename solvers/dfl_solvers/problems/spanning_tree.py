"""Minimum spanning trees."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from dfl_solvers._sizes import check_nodes, read_edges, read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import AbstractOracle, Array, Instance
from dfl_solvers.problems._spanning_tree import span
from dfl_solvers.program import Program


@final
class MinimumSpanningTree(AbstractOracle):
    r"""Connect all nodes of a graph by edges of least cost.

    Networks of cables, pipes or roads, and clusters by single linkage. A spanning tree has one edge
    less than there are nodes, whatever they cost: costs may be negative. For values, use
    ``Maximize(MinimumSpanningTree(...))``.

    Parameters
    ----------
    n_nodes : int
        Number of nodes; at least 2.
    edges : array-like of int, shape (d, 2)
        The two nodes of each edge, as numbers from 0, in any order. Edges may be parallel; one from
        a node to itself is never used.

    Attributes
    ----------
    n_costs : int
        Number d of edges, one cost each. Decisions are 1 for the edges of the tree.

    Raises
    ------
    InvalidInputError
        If a node number is out of range, or the edges do not connect all nodes.
    InfeasibleError
        From ``solve``, if the instance data leave no spanning tree.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad w(E) = |V| - 1, \quad
        w(E(S)) \le |S| - 1 \;\; \forall\, \emptyset \ne S \subset V, \quad w \ge 0,

    whose vertices are the spanning trees. Boruvka's algorithm, compiled: every part of the forest
    takes the cheapest edge that leaves it, until one part is left, O(d log n_nodes). Costs are only
    compared, never added, so the tree is exact; of equally cheap edges the first are taken. Takes
    float64 and float32.

    Instance data ``mask`` (n, d) closes edges where it is False.

    ``program`` is Martin's description of the convex hull, with two variables for each edge and
    node, so of moderate graphs only: a tree has, for every node k, one edge on the way to k at
    every other node. Without integrality its value is the same.

    References
    ----------
    J. Nesetril, E. Milkova, H. Nesetrilova. Otakar Boruvka on minimum spanning tree problem.
    Discrete Mathematics 233 (2001). doi:10.1016/S0012-365X(00)00224-7

    R. K. Martin. Using separation algorithms to generate mixed integer model reformulations.
    Operations Research Letters 10 (1991). doi:10.1016/0167-6377(91)90028-N

    Examples
    --------
    A square with one diagonal, whose edges 0-1 and 2-3 are dear.

    >>> import numpy as np
    >>> from dfl_solvers import MinimumSpanningTree
    >>> oracle = MinimumSpanningTree(4, [(0, 1), (1, 2), (2, 3), (0, 3), (0, 2)])
    >>> oracle.solve(np.array([[5.0, 1.0, 4.0, 1.0, 2.0]])).decisions
    array([[0., 1., 0., 1., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n_nodes: int, edges: npt.ArrayLike) -> None:
        n_nodes = read_size("MinimumSpanningTree", "n_nodes", n_nodes, 2)
        self.n_nodes = n_nodes
        self.edges = read_edges("MinimumSpanningTree", edges)
        check_nodes("MinimumSpanningTree", self.edges, n_nodes)
        self.n_costs: int = len(self.edges)
        links = sp.csr_array((np.ones(self.n_costs), tuple(self.edges.T)), (n_nodes, n_nodes))
        part = connected_components(links, directed=False)[1]
        apart = np.flatnonzero(part != part[0])
        if len(apart):
            raise InvalidInputError(
                f"MinimumSpanningTree: no edges lead from node 0 to node {apart[0]}, expected a "
                "connected graph"
            )
        self._tails, self._heads = self.edges.T.copy()

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        allowed = instance.get("mask", np.empty((0, self.n_costs), dtype=bool))
        decisions = np.empty(costs.shape, costs.dtype)
        status = np.empty(len(costs), dtype=np.int8)
        graph = self.n_nodes, self._tails, self._heads
        run(span, len(costs), *graph, costs, allowed, decisions, status)
        return decisions, status

    def program(self, instance: Instance | None = None) -> Program:
        """Return Martin's program: the edges, then for each node k all edges both ways."""
        n, d = self.n_nodes, self.n_costs
        upper = (self._tails != self._heads).astype(float)
        if instance and "mask" in instance:
            upper *= np.asarray(instance["mask"], dtype=float)
        # an edge of the tree leads to k one way or the other
        ways = sp.kron(sp.eye_array(n), sp.hstack([sp.eye_array(d), sp.eye_array(d)]))
        chosen = sp.vstack([sp.eye_array(d)] * n)
        # from every node but k itself one edge leads to k
        ends = np.concatenate([self._tails, self._heads])
        leaving = sp.csr_array((np.ones(2 * d), (ends, np.arange(2 * d))), (n, 2 * d))
        each = sp.kron(sp.eye_array(n), leaving)
        A = sp.vstack(
            [sp.hstack([chosen, -ways]), sp.hstack([sp.csr_array((n * n, d)), each])],
        )
        sides = np.concatenate([np.zeros(n * d), 1.0 - np.eye(n).ravel()])
        return Program(
            A,
            sides,
            sides,
            np.zeros(d + 2 * n * d),
            np.concatenate([upper, np.ones(2 * n * d)]),
            np.concatenate([np.ones(d), np.zeros(2 * n * d)]),
            decision_map=sp.eye_array(d, d + 2 * n * d),
        )
