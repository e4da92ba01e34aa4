"""Shortest paths on any directed graph."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from dfl_solvers._sizes import check_integers, check_nodes, read_edges, read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import AbstractOracle, Array, Instance
from dfl_solvers.problems._path_graph import (
    PathSearch,
    heads_first,
    on_the_way,
    raise_for_cycles,
    reachable,
    unit_flow,
)
from dfl_solvers.program import Program


@final
class ShortestPath(AbstractOracle):
    r"""Find cheapest paths from one node of a directed graph to another.

    Use it for road networks, project plans, state-time graphs. ``GridShortestPath`` is faster on
    grids whose edges lead right and down; where cells cost, not edges, see
    ``NodeGridShortestPath``. Where the path must meet further constraints, such as a budget of
    time, add rows to ``program`` and solve it by ``MixedIntegerProgram``.

    Parameters
    ----------
    edges : array-like of int, shape (d, 2)
        From and to of each edge, as node numbers from 0. Edges may be parallel. An edge both ways
        is two edges.
    source, target : int
        First and last node of every path. If they are the same, the path is empty.
    n_nodes : int, optional
        Number of nodes. Default: one more than the largest node number.

    Attributes
    ----------
    n_costs : int
        Number d of edges, one cost each.

    Raises
    ------
    InvalidInputError
        If a node number is out of range, or no edges lead from ``source`` to ``target``.
    UnboundedError
        From ``solve``, if costs make a negative cycle; see the notes.
    InfeasibleError
        From ``solve``, if the instance data leave no path.

    Notes
    -----
    .. math::

        \min_w \sum_e c_e w_e \quad \text{over the indicators } w \in \{0, 1\}^d
        \text{ of simple paths from source to target.}

    Edges that no such path can have are never used, whatever they cost: self loops, edges into the
    source or out of the target, dead ends.

    *Without cycles* between source and target, costs may have any sign: dynamic programming in
    topological order, O(d) an instance.

    *With cycles*, costs that are not negative are solved by compiled sweeps of label correction,
    and, where these take long, by Dijkstra's algorithm, O(d log d). Other costs take the algorithm
    of Bellman and Ford, O(d n_nodes) at worst. If a cycle between source and target has negative
    cost (by more than rounding, 1e-12 of the largest cost), walks get ever cheaper, and to find the
    cheapest simple path is NP-hard: ``UnboundedError`` names the instance. Make predictions
    positive on such graphs, by the model's last layer or by clipping. SPO+ asks for the costs
    ``2 * prediction - cost``, which may be negative even so, as may costs perturbed by noise that
    has no bounds; losses that ask only for the decisions of predictions are safe.

    Of equally cheap ways on from a node, the first edge is taken.

    Instance data: ``mask`` (n, d) closes edges where it is False; ``source`` (n,) and ``target``
    (n,) are node numbers that replace the parameters.

    ``program`` is the flow of one unit. Where costs are not negative, or there is no cycle, its
    vertices are the paths; with negative costs and cycles its optimum may contain cycles.

    References
    ----------
    E. W. Dijkstra. A note on two problems in connexion with graphs. Numerische Mathematik 1 (1959).
    doi:10.1007/BF01386390

    R. Bellman. On a routing problem. Quarterly of Applied Mathematics 16 (1958).
    doi:10.1090/qam/102435

    B. V. Cherkassky, A. V. Goldberg. Negative-cycle detection algorithms. Mathematical Programming
    85 (1999). doi:10.1007/s101070050058

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import ShortestPath
    >>> oracle = ShortestPath([(0, 1), (1, 2), (0, 2), (2, 1)], source=0, target=2)
    >>> oracle.solve(np.array([[1.0, 1.0, 3.0, 1.0], [1.0, 1.0, 1.5, 1.0]])).decisions
    array([[1., 1., 0., 0.],
           [0., 0., 1., 0.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask", "source", "target"})

    def __init__(
        self, edges: npt.ArrayLike, source: int, target: int, n_nodes: int | None = None
    ) -> None:
        self.edges = read_edges("ShortestPath", edges)
        self.source = read_size("ShortestPath", "source", source, 0)
        self.target = read_size("ShortestPath", "target", target, 0)
        if n_nodes is not None:
            n_nodes = read_size("ShortestPath", "n_nodes", n_nodes)
        largest = int(max(self.edges.max(), self.source, self.target))
        self.n_nodes = largest + 1 if n_nodes is None else n_nodes
        check_nodes("ShortestPath", self.edges, self.n_nodes)
        for name, node in (("source", self.source), ("target", self.target)):
            if node >= self.n_nodes:
                raise InvalidInputError(
                    f"ShortestPath: got {name}={node}, expected a node number from 0 to "
                    f"{self.n_nodes - 1}"
                )
        self.n_costs: int = len(self.edges)
        keep = on_the_way(self.edges, self.source, self.target, self.n_nodes)
        if source != target and not keep.any():
            raise InvalidInputError(
                f"ShortestPath: no edges lead from source={source} to target={target}, expected a "
                "path between them"
            )
        self._search = self._compile(keep, np.append(self.edges[keep], self.target))
        self._any_ends: PathSearch | None = None

    def _compile(self, keep: Array, nodes: Array) -> PathSearch:
        """Compile the graph of some edges and nodes."""
        inside = np.zeros(self.n_nodes, dtype=bool)
        inside[nodes] = True
        edges = self.edges[keep]
        order = heads_first(edges, self.n_nodes)
        acyclic = order is not None
        if order is None:
            # the nearer to the target, the sooner labels are final
            near = reachable(edges[:, ::-1], self.target, self.n_nodes)
            order = np.concatenate([near, np.setdiff1d(np.arange(self.n_nodes), near)])
        prices = np.arange(self.n_costs)
        return PathSearch(self.edges, prices, keep, order[inside[order]], self.n_nodes, acyclic)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        mask = instance.get("mask")
        sources = self._ends("source", instance, len(costs))
        targets = self._ends("target", instance, len(costs))
        if "source" not in instance and "target" not in instance:
            return self._search.solve(costs, mask, sources, targets)
        if self._any_ends is None:
            keep = self.edges[:, 0] != self.edges[:, 1]
            self._any_ends = self._compile(keep, np.arange(self.n_nodes))
        return self._any_ends.solve(costs, mask, sources, targets)

    def _ends(self, name: str, instance: Instance, n: int) -> Array:
        """Return the first or last nodes: one for all, or (n,)."""
        if name not in instance:
            return np.array([getattr(self, name)])
        nodes = np.asarray(instance[name])
        if nodes.shape != (n,):
            raise InvalidInputError(
                f"ShortestPath: got instance data {name!r} of shape {nodes.shape}, expected {(n,)}"
            )
        check_integers("ShortestPath", f"instance data {name!r}", nodes)
        wrong = np.flatnonzero((nodes < 0) | (nodes >= self.n_nodes))
        if len(wrong):
            raise InvalidInputError(
                f"ShortestPath: instance {wrong[0]}: got {name} {nodes[wrong[0]]}, expected a node "
                f"number from 0 to {self.n_nodes - 1}"
            )
        return nodes.astype(np.int64)

    def _raise_for(self, status: Array) -> None:
        raise_for_cycles(type(self).__name__, status)
        super()._raise_for(status)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the unit flow from source to target of one instance as a linear program."""
        instance = instance or {}
        source = int(instance.get("source", self.source))
        target = int(instance.get("target", self.target))
        usable = np.asarray(instance.get("mask", np.ones(self.n_costs)), dtype=bool)
        upper = np.zeros(self.n_costs)
        upper[usable] = on_the_way(self.edges[usable], source, target, self.n_nodes)
        return unit_flow(self.edges, upper, source, target, self.n_nodes)
