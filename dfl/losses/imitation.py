"""The family of imitation losses: a base loss, predicted costs and a regularizer."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from dfl._validation import check_positive
from dfl.exceptions import InvalidInputError
from dfl.layers import FrankWolfeLayer
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle

Base = Literal["none", "hamming", "regret"]


@final
class ImitationLoss(AbstractLoss):
    r"""Imitate decisions under a base loss and a quadratic regularizer, either of which may be off.

    The common form of several losses that have names of their own, and of what lies between them:
    with both a margin and a regularizer it is smooth, and still pushes good decisions away from
    others. Solves once a sample and step, with a regularizer once for each vertex of the
    regularized decision.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    base : {"hamming", "none", "regret"}, default="hamming"
        How bad another decision is: the number of items that differ, for decisions of zeros and
        ones; nothing; its regret, for which costs must be known.
    strength : float, default=0.1
        Factor rho of the regularizer, in units of the costs; zero for none.
    scale : float, default=1.0
        Factor a of the predicted costs.

    Raises
    ------
    InvalidInputError
        If the base is unknown, the strength negative or the scale not positive.
    UnsupportedError
        If the objective has a part of its own.
    SolverError
        If the regularized decision is not found within a thousand vertices.

    Notes
    -----
    With the base loss D and ``Omega(w) = rho |w|^2 / 2``, over the convex hull of the decisions::

        l(p, w*) = max over w of D(w, w*) + a p.(w* - w) - Omega(w) + Omega(w*)

    D is linear in w, ``(1 - 2 w*).(w - w*)`` or ``c.(w - w*)``. The loss is convex and never
    negative, with gradient ``a (w* - w)`` at the best w. Named members:

    - no base: the perceptron without a regularizer, else ``"regularized-fenchel-young"``;
    - Hamming without a regularizer: ``"structured-svm"``; on the simplex, where two items differ or
      none, twice the hinge of the zero-one loss at ``scale=2``;
    - regret and ``scale=2``: ``"spo+"``, and with a regularizer ``"smoothed-spo+"`` plus
      ``Omega(w*)``.

    References
    ----------
    Dalle, Baty, Bouvier & Parmentier, "Learning with Combinatorial Optimization Layers: a
    Probabilistic Approach", 2022, arXiv 2207.13513.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("imitation", Simplex(3), {"strength": 0.5})
    >>> good = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), good), loss(torch.tensor([[0.0, 3.0, 3.0]]), good)
    (tensor(4.), tensor(0.))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions", "linear"})

    def __init__(
        self, oracle: Oracle, base: Base = "hamming", strength: float = 0.1, scale: float = 1.0
    ) -> None:
        super().__init__(oracle)
        if base not in ("none", "hamming", "regret"):
            raise InvalidInputError(
                f"ImitationLoss: got base={base!r}, expected 'hamming', 'none' or 'regret'"
            )
        if not 0 <= strength < float("inf"):
            raise InvalidInputError(
                f"ImitationLoss: got strength={strength}, expected a number of at least 0"
            )
        check_positive(self, scale=scale)
        self.base = base
        self.strength = strength
        self.scale = scale
        if base == "regret":
            self.requires = self.requires | {"costs"}  # type: ignore[misc]
        self.layer = FrankWolfeLayer(self.oracle, strength, tolerance=1e-6) if strength else None

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss of each sample, shape (n,)."""
        good = target.decisions
        prices = self.scale * output
        if self.base == "hamming":
            prices = prices - (1 - 2 * good)
        elif self.base == "regret":
            prices = prices - target.costs
        if self.layer is None:
            found, _ = self.solve(prices.detach(), target.instance)
        else:
            self.layer.oracle = self.oracle  # an estimator sets its own
            with torch.no_grad():
                found = self.layer(prices, target.instance)
            if self._solved is not None:
                self._solved.append(found)
        half = 0.5 * self.strength * (good + found)
        return torch.linalg.vecdot(prices + half, good - found)
