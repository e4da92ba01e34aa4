"""Hinges on the reduced costs of a basis of the good decision."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl._validation import check_positive
from dfl.losses._edges import BasisMoves, EdgeTable
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class OptimalityMarginLoss(AbstractLoss):
    r"""Want the reduced costs at the good decision to be positive, by a margin.

    A basis is optimal if no reduced cost is negative. This asks for it with hinges, as a support
    vector machine would; it finds the basis once for each label and then solves nothing. Use it as
    ``"adjacent-vertex"``, of which it is the cheap form: it looks at as many directions as the set
    has dimensions, however many adjacent vertices there are.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form whose variables are the decision, and an objective of ``c.w`` alone.
    margin : float, default=1.0
        The margin, in units of the costs. It only fixes the unit of the predictions of a linear
        model with nothing else in its loss.

    Raises
    ------
    InvalidInputError
        If the margin is not positive; in use, if a decision is no vertex of the relaxation
        or not feasible.
    UnsupportedError
        If the oracle has no matrix form, or one whose variables are not the decision, or an
        objective with a part of its own.

    Notes
    -----
    With the moves v_j that leave the j-th tight constraint of a basis at unit rate (of a variable,
    or of a row of length one) and keep the others tight::

        l(p, w*) = sum over j of max(0, margin - p.v_j)

    ``p.v_j`` is the reduced cost. The loss is convex, and where it is at most the margin, w* is
    optimal in the linear relaxation. At a degenerate vertex there are several bases, and w* may be
    optimal for predictions at which this one is not: then the loss asks for too much. If costs are
    known, a basis that is optimal for them is taken, otherwise any. The formula is reconstructed
    from the description of the method, not taken from its code.

    References
    ----------
    Sun, Liu & Li, "Maximum Optimality Margin: A Unified Approach for Contextual Linear Programming
    and Inverse Linear Programming", ICML 2023, arXiv 2301.11260.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("optimality-margin", Simplex(3))
    >>> good = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), good), loss(torch.tensor([[1.0, 2.0, 3.0]]), good)
    (tensor(5.), tensor(0.))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions", "linear", "program", "variables"})

    def __init__(self, oracle: Oracle, margin: float = 1.0) -> None:
        super().__init__(oracle)
        check_positive(self, margin=margin)
        self.margin = margin
        self._edges = EdgeTable(BasisMoves, by_costs=True)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Violated margin of each sample, shape (n,)."""
        values, counts = self._edges.hinges(self.oracle, output, target, self.margin)
        return values + self.margin * torch.from_numpy(counts).to(output)
