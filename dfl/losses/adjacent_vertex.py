"""How much better than the good decision the adjacent vertices look."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

from torch import Tensor

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.losses._edges import AdjacentMoves, EdgeTable
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class AdjacentVertexLoss(AbstractLoss):
    r"""Want the good decision cheaper than each adjacent vertex of the feasible set (LAVA).

    A vertex is optimal if and only if no adjacent one is better. These are found once for each
    label, from the matrix form, and then no step solves anything. Use it where solves are dear, or
    where only good decisions were recorded: for linear programs, and integer programs with a tight
    relaxation.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form whose variables are the decision, and an objective of ``c.w`` alone.
    margin : float, default=1.0
        By how much a vertex must be dearer to count no further, in units of the costs. At zero,
        predictions of zero are best. The published experiments use 0.1; on paths with noisy costs,
        one or more does better.
    max_adjacent : int, default=1000
        The largest number of adjacent vertices of a decision. In networks, such as paths and
        assignments, the nearest ones are kept.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range; in use, if a decision is no vertex of the relaxation
        or not feasible.
    UnsupportedError
        If the oracle has no matrix form, or one whose variables are not the decision, or an
        objective with a part of its own.
    SolverError
        In use, if a decision has too many adjacent vertices and the program is no network.

    Notes
    -----
    With the vertices v adjacent to w* in the linear relaxation::

        l(p, w*) = sum over v of max(p.(w* - v), -margin)

    It is convex, and at margin zero it is zero where w* is optimal in the relaxation, and only
    there. An edge without an end counts with a step of length one. What is left out where a network
    has more vertices than are kept are far ones: then a loss of zero promises no optimum.

    In networks of zeros and ones, adjacent decisions differ by one simple cycle of the residual
    graph, and cycles are listed from the shortest on. Elsewhere edges are the extreme rays of the
    cone of tight constraints, found from a basis by double description, so that degenerate vertices
    lose no edge. Both are compiled. An integer optimum is compared with vertices of the relaxation,
    which need not be integer.

    References
    ----------
    Berden, Mahmutoğulları, Tsouros & Guns, "Solver-Free Decision-Focused Learning for Linear
    Optimization Problems", 2025, arXiv 2505.22224.

    Fukuda & Prodon, "Double description method revisited", 1996, doi 10.1007/3-540-61576-8_77.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("adjacent-vertex", Simplex(3))
    >>> good = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), good), loss(torch.tensor([[1.0, 2.0, 3.0]]), good)
    (tensor(3.), tensor(-2.))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions", "linear", "program", "variables"})

    def __init__(self, oracle: Oracle, margin: float = 1.0, max_adjacent: int = 1000) -> None:
        super().__init__(oracle)
        if not 0 <= margin < float("inf"):
            raise InvalidInputError(
                f"AdjacentVertexLoss: got margin={margin}, expected a number of at least 0"
            )
        check_at_least(1, self, max_adjacent=max_adjacent)
        self.margin = margin
        self.max_adjacent = max_adjacent
        self._edges = EdgeTable(partial(AdjacentMoves, limit=max_adjacent))

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Sum of what adjacent vertices save, shape (n,)."""
        return self._edges.hinges(self.oracle, output, target, self.margin)[0]
