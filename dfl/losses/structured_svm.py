"""The loss of a structured support vector machine, with the Hamming distance as margin."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl._validation import check_positive
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class StructuredSVMLoss(AbstractLoss):
    r"""Make good decisions cheaper than all others, by a margin for every item that differs.

    Needs good decisions, not their costs, and solves once a sample and step. Unlike
    ``"contrastive-map"`` it is not zero at predictions of zero, since they leave no margin. For
    decisions of zeros and ones: paths, selections, assignments. If costs are known, SPO+ is the
    same idea with regret in place of the distance.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    margin : float, default=1.0
        The margin an item, in units of the costs. It only fixes the unit of the predictions of a
        linear model with nothing else in its loss.

    Raises
    ------
    InvalidInputError
        If the margin is not positive.

    Notes
    -----
    ``l(p, w*) = max over w of m D(w, w*) + p.w* - p.w`` with ``D(w, w*) = (1 - 2 w*).(w - w*)``,
    which for zeros and ones is the Hamming distance: the number of items that differ. It is
    linear in w, so the maximum is one call of the oracle at ``q = p - m (1 - 2 w*)``, the gradient
    is ``w* - w*(q)``, and the loss is convex and never negative. For decisions that are not zeros
    and ones D is no distance and may be negative, so the loss then is no margin. What the problem
    itself adds to the objective counts on both sides.

    References
    ----------
    Tsochantaridis et al., "Large Margin Methods for Structured and Interdependent Output
    Variables", JMLR 6, 2005; Taskar et al., "Learning Structured Prediction Models: A Large Margin
    Approach", ICML 2005, doi 10.1145/1102351.1102464.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("structured-svm", Simplex(3))
    >>> good = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), good), loss(torch.tensor([[0.0, 2.0, 3.0]]), good)
    (tensor(4.), tensor(0.))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions"})

    def __init__(self, oracle: Oracle, margin: float = 1.0) -> None:
        super().__init__(oracle)
        check_positive(self, margin=margin)
        self.margin = margin

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Violated margin of each sample, shape (n,)."""
        good = target.decisions
        shifted = output - self.margin * (1 - 2 * good)
        worst, objectives = self.solve(shifted.detach(), target.instance)
        values = (shifted * (good - worst)).sum(-1)
        if self.linear_objective:
            return values
        own = objectives - (shifted.detach() * worst).sum(-1)
        return values + self.own_part(target) - own
