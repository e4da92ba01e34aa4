"""Regret of soft top-k decisions and soft rankings."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.layers import PermutahedronLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PermutahedronRegretLoss(AbstractLoss):
    r"""Regret of a soft top-k decision, or of soft ranks, with its exact gradient.

    Use it where decisions are permutations of given numbers: ``TopK``, ``Simplex`` and ``Ranking``.
    It costs a sort and no solve.

    Parameters
    ----------
    oracle : Oracle
        One whose decisions are all permutations of the same numbers: a method ``permuted(d)``.
    strength : float, default=1.0
        The factor rho of the quadratic term, in units of the costs (estimators scale costs to a
        mean absolute value of one first). Little of it leaves no gradient, much of it decisions
        that are nearly all alike.

    Raises
    ------
    InvalidInputError
        If ``strength`` is not positive.
    UnsupportedError
        If the decisions are no permutations.

    See Also
    --------
    dfl.layers.PermutahedronLayer : The decision alone.

    Notes
    -----
    With the hull S of the permutations, a permutahedron::

        w(p) = argmin_{w in S} p.w + rho |w|^2 / 2
        l(p, c) = c.w(p) - z*(c)

    It is never negative, and not convex. On ``TopK`` and ``Simplex`` it is ``"qptl"``, without a
    quadratic program.

    References
    ----------
    Blondel, Teboul, Berthet & Djolonga, "Fast Differentiable Sorting and Ranking", ICML 2020,
    arXiv 2002.08871.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import TopK
    >>> loss = make_loss("permutahedron", TopK(2, 1))
    >>> output = torch.tensor([[0.5, 0.0]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[1.0, 3.0]])))  # w = (1/4, 3/4)
    >>> value.backward()
    >>> value.item(), output.grad
    (1.5, tensor([[ 1., -1.]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset(
        {"costs", "objectives", "linear", "permutations"}
    )

    def __init__(self, oracle: Oracle, strength: float = 1.0) -> None:
        super().__init__(oracle)
        self.strength = strength
        self.layer = PermutahedronLayer(self.oracle, strength)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of the soft decision of each sample, shape (n,)."""
        return regret_through(self, self.layer, output, target)
