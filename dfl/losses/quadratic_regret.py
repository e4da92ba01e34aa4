"""Regret of the linear relaxation with a quadratic term, through its KKT equations."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.layers import QuadraticLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class QuadraticRegretLoss(AbstractLoss):
    r"""Regret of a smoothed linear relaxation, with its exact gradient (QPTL).

    A quadratic term makes the optimum of the linear relaxation vary smoothly with the predicted
    costs, and regret of that optimum is differentiated through it. Training solves no integer
    program at all. The relaxation must be small and tight; tune ``smoothing`` together with the
    learning rate.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form and an objective of ``c.w`` alone.
    smoothing : float, default=1.0
        The factor mu of the quadratic term, in units of the costs (estimators scale costs to a mean
        absolute value of one first). Little of it leaves no gradient, much of it a decision far
        from the linear program's.

    Raises
    ------
    InvalidInputError
        If ``smoothing`` is not positive.
    UnsupportedError
        If the oracle has no matrix form, or an objective with a part of its own.

    See Also
    --------
    dfl.layers.QuadraticLayer : The decision alone.

    Notes
    -----
    With the program's variables x, decision map M and the relaxed feasible set S::

        w(p) = M x(p),   x(p) = argmin_{x in S} p.(M x) + mu |x|^2 / 2
        l(p, c) = c.w(p) - z*(c)

    where z*(c) is the objective of the exact problem. It is not convex, and positive at p = c as
    far as the quadratic term moves the decision. Where the relaxation is not tight it may be
    negative, since w(p) need not be feasible.

    References
    ----------
    Wilder, Dilkina & Tambe, "Melding the Data-Decisions Pipeline", AAAI 2019, arXiv 1809.05504.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("qptl", Simplex(2))
    >>> output = torch.tensor([[0.5, 0.0]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[1.0, 3.0]])))  # w(p) = (1/4, 3/4)
    >>> value.backward()
    >>> value.item(), output.grad
    (1.5, tensor([[ 1., -1.]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "program", "linear"})

    def __init__(self, oracle: Oracle, smoothing: float = 1.0) -> None:
        super().__init__(oracle)
        self.smoothing = smoothing
        self.layer = QuadraticLayer(self.oracle, smoothing)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of the smoothed decision of each sample, shape (n,)."""
        return regret_through(self, self.layer, output, target)
