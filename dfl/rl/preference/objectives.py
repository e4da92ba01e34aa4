"""What is learned from a direction: three losses, each a use of one that all policies share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, PreferenceLoss, WeightedLikelihoodLoss
from dfl.montecarlo import direction
from dfl.rl.preference.transition import DDIMTransition


@final
@dataclass(frozen=True)
class StepBatch:
    """Input of a ``StepwiseLearner``: n steps of samplers.

    Attributes
    ----------
    x : Tensor of shape (n, ...)
        Before the step.
    steps : Tensor of int64 of shape (n,)
        Which step it is, from 0.
    conditions : object of length n or None
        What the denoiser is told besides.
    candidates : Tensor of shape (n, k, ...)
        What log-probabilities are asked for: noise of candidates, standard normal, or x itself.
    origin : Tensor of shape (n, ...), optional
        Noise that the sampler predicted when it drew the candidates.
    anchor : Tensor of shape (n, ...), optional
        Noise that the slow copy of the denoiser predicts now.
    """

    x: Tensor
    steps: Tensor
    conditions: Any
    candidates: Tensor
    origin: Tensor | None = None
    anchor: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


class Objective(Protocol):
    """One of the losses of stepwise preference tuning.

    Attributes
    ----------
    anchored : bool
        It needs the noise that the slow copy predicts.
    """

    @property
    def anchored(self) -> bool: ...  # noqa: D102

    def candidates(self, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is compared, (n, k, ...), and its weights (n, k)."""
        ...

    def log_prob(self, noise: Tensor, batch: StepBatch) -> Tensor:
        """Return log-probabilities (n, k) of the candidates, for the noise predicted."""
        ...

    def loss(self) -> AbstractLoss:
        """Return the loss of these."""
        ...


@final
@dataclass(frozen=True)
class LikelihoodPreference:
    r"""Candidates themselves are compared, by the density of the step that makes them.

    Attributes
    ----------
    transition : DDIMTransition
    weights : Tensor of shape (n_steps,)
        Weights of time; the densities' own are ``2 C / s``.
    beta, ratio_clip
        See ``PreferenceLoss``.

    Notes
    -----
    Not clipped, and with weights of candidates that sum to zero, the logit is ``-beta W(t) mean((e
    - e_reference) g)`` for the direction g and noise e predicted: linear in e. The direction
    ``"winner"`` has no loser, so that the square of e stays: it holds e near what the sampler
    predicted, the more the larger C / s.
    """

    transition: DDIMTransition
    weights: Tensor
    beta: float
    ratio_clip: float | None
    anchored: ClassVar[bool] = False

    def candidates(self, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the candidates as they are."""
        return noise, weights

    def log_prob(self, noise: Tensor, batch: StepBatch) -> Tensor:
        """Return mean log-densities of the candidates, times their weight of time."""
        steps, transition = batch.steps, self.transition
        if batch.origin is None:
            raise InvalidInputError("got steps without the noise that their sampler predicted")
        # candidates less the mean; either is far larger than their difference
        moved = transition.at(transition.slopes, steps, noise) * (noise - batch.origin)
        deviations = transition.at(transition.deviations, steps, batch.candidates)
        offset = deviations * batch.candidates + moved[:, None]
        log_prob = transition.log_prob(offset, steps)
        own = 2 * transition.slopes / transition.deviations
        return transition.at(self.weights / own, steps, log_prob) * log_prob

    def loss(self) -> AbstractLoss:
        """Return the preference loss."""
        return PreferenceLoss(beta=self.beta, ratio_clip=self.ratio_clip)


@final
@dataclass(frozen=True)
class GuidancePreference:
    r"""Two targets are compared, the noise of the slow copy moved against and along the direction.

    Attributes
    ----------
    transition : DDIMTransition
    weights : Tensor of shape (n_steps,)
        Weights of time W: targets are moved by ``W / 4`` times the direction.
    beta, ratio_clip
        See ``PreferenceLoss``.

    Notes
    -----
    Log-probabilities are ``-mean((e - target)^2)``. Not clipped, the logit is the linear one of
    ``LikelihoodPreference``, for every direction, and the slow copy has no part in it; clipped,
    there is no gradient where slow copy and reference are far apart.
    """

    transition: DDIMTransition
    weights: Tensor
    beta: float
    ratio_clip: float | None
    anchored: ClassVar[bool] = True

    def candidates(self, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the direction and its opposite, the better first."""
        ahead = direction(noise, weights)
        halves = weights.new_tensor([0.5, -0.5]).expand(len(weights), 2)
        return torch.stack([ahead, -ahead], 1), halves

    def log_prob(self, noise: Tensor, batch: StepBatch) -> Tensor:
        """Return minus mean squared distances to the targets."""
        return _closeness(self.transition, self.weights, noise, batch)

    def loss(self) -> AbstractLoss:
        """Return the preference loss."""
        return PreferenceLoss(beta=self.beta, ratio_clip=self.ratio_clip)


@final
@dataclass(frozen=True)
class GuidanceRegression:
    """The better of the two targets of ``GuidancePreference`` is regressed on.

    Each update is bounded by the slow copy; how far many of them lead is not, so that it is to be
    stopped in time.

    Attributes
    ----------
    transition : DDIMTransition
    weights : Tensor of shape (n_steps,)
        Weights of time W: targets are moved by ``W / 4`` times the direction.
    """

    transition: DDIMTransition
    weights: Tensor
    anchored: ClassVar[bool] = True

    def candidates(self, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the direction alone."""
        ahead = direction(noise, weights)[:, None]
        return ahead, torch.ones_like(weights[:, :1])

    def log_prob(self, noise: Tensor, batch: StepBatch) -> Tensor:
        """Return minus mean squared distances to the target."""
        return _closeness(self.transition, self.weights, noise, batch)

    def loss(self) -> AbstractLoss:
        """Return the weighted likelihood, which is the mean squared error here."""
        return WeightedLikelihoodLoss()


def make_objective(
    name: str,
    transition: DDIMTransition,
    weights: Tensor,
    *,
    beta: float = 10.0,
    ratio_clip: float | None = 0.1,
) -> Objective:
    """Return the objective of a name.

    Parameters
    ----------
    name : {"spo", "gradspo", "regress"}
        ``LikelihoodPreference``, ``GuidancePreference`` or ``GuidanceRegression``.
    transition : DDIMTransition
        Steps of the sampler.
    weights : Tensor of shape (n_steps,)
        See ``time_weights``.
    beta, ratio_clip
        See ``PreferenceLoss``; regression has neither.

    Returns
    -------
    Objective
        What ``StepwiseLearner`` learns by.

    Raises
    ------
    InvalidInputError
        If there is no such objective.
    """
    if name == "spo":
        return LikelihoodPreference(transition, weights, beta, ratio_clip)
    if name == "gradspo":
        return GuidancePreference(transition, weights, beta, ratio_clip)
    if name == "regress":
        return GuidanceRegression(transition, weights)
    raise InvalidInputError(f"got loss={name!r}, expected 'spo', 'gradspo' or 'regress'")


def _closeness(
    transition: DDIMTransition, weights: Tensor, noise: Tensor, batch: StepBatch
) -> Tensor:
    if batch.anchor is None:
        raise InvalidInputError("got steps without the noise that the slow copy predicts")
    moved = transition.at(weights / 4, batch.steps, batch.candidates) * batch.candidates
    apart = (noise - batch.anchor)[:, None] + moved
    return -(apart**2).flatten(2).mean(2)
