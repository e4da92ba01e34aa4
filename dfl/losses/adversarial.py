"""A loss of features that were moved to where it is largest."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from dfl.adversary import AbstractAdversary, AbstractStrength, ConstantStrength, Victim
from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl.montecarlo import Budget
from dfl_solvers.oracle import Oracle


@final
class AdversarialLoss(AbstractLoss):
    """Train on features as an adversary moves them, so that decisions survive noise in features.

    Use it where features are measured with an error of known size, or drift. Compare it with the
    loss without an adversary on features with noise before trusting it: worst cases seldom occur,
    and guarding against them costs something where they do not.

    Parameters
    ----------
    loss : AbstractLoss
        What the adversary makes large and training small, such as ``make_loss("spo+", oracle)``.
        It is taken over.
    adversary : AbstractAdversary
        ``GradientAdversary`` where the loss tells by its gradient where it is large; a
        ``RandomAdversary`` adds noise to the features. Its radius is in the units of the model's
        inputs: in an estimator, standard deviations of the features.
    strength : AbstractStrength, optional
        Share of the radius in the course of training. Default: the whole radius throughout.
    budget : Budget, optional
        Counts what attacks cost. In an estimator, whose loss is a copy, the instances they solve
        are in ``budget_``.

    Raises
    ------
    InvalidInputError
        If the loss is that of a policy, the adversary attacks something else than a loss, or the
        strength asks for scores.

    Notes
    -----
    With model m, loss l and radius r, each step of training takes the gradient of::

        l(m(x + d), target)    with d in argmax { l(m(x + e), target): |e_i| <= r for all i }

    as far as the adversary finds the argmax, and with d held fixed. The model is in evaluation
    mode while it is attacked. Called by itself, on outputs, it is ``loss``: what moves inputs is
    ``move_inputs``, which training calls.

    References
    ----------
    Madry, Makelov, Schmidt, Tsipras & Vladu, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", ICLR 2018, arXiv 1706.06083. That the loss is one of decisions is a proposal of this
    library.

    Examples
    --------
    >>> from dfl import DecisionFocusedRegressor, make_loss
    >>> from dfl.adversary import GradientAdversary
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.losses import AdversarialLoss
    >>> data = make_shortest_path(60, random_state=0)
    >>> loss = AdversarialLoss(make_loss("spo+", data.oracle), GradientAdversary(0.2, steps=3))
    >>> model = DecisionFocusedRegressor(data.oracle, loss, max_iter=2, random_state=0)
    >>> model.fit(data.X, data.C).decide(data.X).shape
    (60, 40)
    """

    def __init__(
        self,
        loss: AbstractLoss,
        adversary: AbstractAdversary,
        strength: AbstractStrength | None = None,
        budget: Budget | None = None,
    ) -> None:
        if "samples" in loss.requires:
            raise InvalidInputError(
                f"AdversarialLoss: got {type(loss).__name__}, the loss of a policy, expected one "
                "of an oracle; observations of policies are attacked by dfl.rl.robust"
            )
        harm = getattr(adversary, "harm", "surrogate")
        if harm != "surrogate":
            raise InvalidInputError(
                f"AdversarialLoss: got an adversary of {harm!r}, expected one of 'surrogate'"
            )
        if strength is not None and strength.observes:
            raise InvalidInputError(
                f"AdversarialLoss: got strength={strength!r}, which asks for scores, expected one "
                "that depends on progress only"
            )
        nn.Module.__init__(self)
        self.requires = loss.requires  # type: ignore[misc]
        self.sign, self.predicts = loss.sign, loss.predicts
        self.loss = loss
        self.adversary = adversary
        self.strength = strength or ConstantStrength()
        self.budget = budget
        self.generator = loss.generator

    @property
    def oracle(self) -> Oracle:
        """The oracle of the loss; setting it sets the loss's."""
        return self.loss.oracle

    @oracle.setter
    def oracle(self, oracle: Oracle) -> None:
        self.loss.oracle = oracle

    def complete(self, target: Target) -> Target:
        """Fill in what the loss needs and the target lacks."""
        return self.loss.complete(target)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss (n,) of outputs (n, d), whatever they are the outputs of."""
        return self.loss.per_sample(output, target)

    def move_inputs(
        self, model: nn.Module, inputs: Tensor, target: Target, generator: torch.Generator
    ) -> Tensor:
        """Return inputs (n, ...) within the ball, where the loss is as large as could be found."""
        training = model.training

        def surrogate(moved: Tensor) -> Tensor:
            values: Tensor = self(model(moved), target, reduction="none")
            return values

        model.eval()
        try:
            return self.adversary.perturb(
                inputs,
                Victim(surrogate=surrogate),
                generator,
                strength=self.strength.at(self.progress),
                budget=self.budget,
            )
        finally:
            model.train(training)

    def extra_repr(self) -> str:
        """Return the adversary and its strength."""
        return f"adversary={self.adversary!r}, strength={self.strength!r}"
