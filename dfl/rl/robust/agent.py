"""What training trains: a policy, what states and actions are worth, and scales of what is seen."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor, distributions, nn
from torch.distributions import Distribution

from dfl.adversary import Victim
from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.rl.robust.normal import DiagonalNormal
from dfl.rl.robust.scaling import RunningScale
from dfl.rl.smc.categorical import Categorical

RobustLaw: TypeAlias = Categorical | DiagonalNormal
Harm = Callable[[Tensor], Tensor]
"""From what is shown, (n, d), to a number for each row, (n,)."""


@final
@dataclass(frozen=True)
class Seen:
    """Input of a ``RobustAgent``: n steps of episodes, and what the policy is shown of them.

    Attributes
    ----------
    observations : Tensor of shape (n, d)
        The true ones, scaled.
    shown : Tensor of shape (n, d), optional
        What an adversary shows in their place. None: the true ones.
    strength : float
        Chance that the adversary's is shown, above 0 if there is one.
    actions : Tensor of shape (n,) or (n, action_dim)
        Raw ones, as they were drawn.
    returns : Tensor of shape (n,)
        What values are to be.
    """

    observations: Tensor
    shown: Tensor | None
    strength: float
    actions: Tensor
    returns: Tensor

    def __len__(self) -> int:
        return len(self.returns)


@final
class RobustAgent(nn.Module):
    r"""Three perceptrons: how to act on what is shown, and what states and actions are worth.

    Its output goes to the loss that ``loss`` makes, a ``WeightedLikelihoodLoss`` with a clipped
    ratio, so that the loop that trains predictors trains policies.

    Parameters
    ----------
    n_inputs : int
        Numbers in an observation, which is flattened.
    law : Categorical or DiagonalNormal
        How policies act.
    hidden : tuple of int, default=(64, 64)
        Sizes of the layers of each perceptron, with tanh between them.
    deviation : float, default=1.0
        First standard deviation of continuous actions.
    entropy : float, default=0.0
        Weight of the entropy of what is done on true observations.
    penalty : float, default=0.0
        Weight of the divergence of the policy on what is shown from that on the truth.
    units : tuple of float, optional
        What observations are divided by, coordinate by coordinate. Default: standard deviations.
    generator : torch.Generator, optional
        Draws the first weights.

    Notes
    -----
    With s the truth, x what is shown instead with chance t, and R the returns, the output of a step
    with action a is the logarithm of the policy that acts,

    .. math:: \log\bigl((1 - t)\, \pi(a | s) + t\, \pi(a | x)\bigr),

    that of the policy on the truth, :math:`\log \pi(a | s)`, and all other terms,

    .. math::

        \tfrac12 (V(s) - R)^2 + \tfrac12 (Q(s, a) - R)^2
        + c\, D(\pi(s) \| \pi(x)) - e\, H(\pi(s)).

    The values learn of true states only. Q is there to be descended by adversaries: the policy does
    not learn from it.
    """

    def __init__(
        self,
        n_inputs: int,
        law: RobustLaw,
        *,
        hidden: tuple[int, ...] = (64, 64),
        deviation: float = 1.0,
        entropy: float = 0.0,
        penalty: float = 0.0,
        units: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.law = law
        self.entropy = entropy
        self.penalty = penalty
        categorical = isinstance(law, Categorical)
        n_outputs = law.size if isinstance(law, Categorical) else law.dim
        n_judged = n_inputs if isinstance(law, Categorical) else n_inputs + law.dim
        self.policy = _perceptron((n_inputs, *hidden, n_outputs), 0.01, generator)
        self.value = _perceptron((n_inputs, *hidden, 1), 1.0, generator)
        self.worth = _perceptron(
            (n_judged, *hidden, n_outputs if categorical else 1), 1.0, generator
        )
        if not categorical:
            self.log_deviation = nn.Parameter(torch.full((n_outputs,), math.log(deviation)))
        self.scale = RunningScale((n_inputs,), units)
        self.reward_scale = RunningScale(())

    def scaled(self, observations: Tensor) -> Tensor:
        """Return observations (n, ...) as the perceptrons see them, (n, d)."""
        return self.scale(observations.flatten(1).to(self.scale.mean.dtype))

    def rescaled(self, units: RunningScale) -> RobustAgent:
        """Return an agent that acts and values alike, but for cut-off, on another scale's units.

        A ball around its scaled observations is then as large as for any other agent on the scale.
        """
        if units.mean.shape != self.scale.mean.shape:
            raise InvalidInputError(
                f"RobustAgent: got units of shape {tuple(units.mean.shape)}, expected "
                f"{tuple(self.scale.mean.shape)}, a number for each coordinate"
            )
        found = copy.deepcopy(self)
        mean, deviation = units.mean.to(self.scale.mean), units.deviation.to(self.scale.mean)
        n = len(mean)
        with torch.no_grad():
            shift = (mean - self.scale.mean) / self.scale.deviation
            for net in (found.policy, found.value, found.worth):
                first = next(layer for layer in net if isinstance(layer, nn.Linear))
                first.bias.add_(first.weight[:, :n] @ shift)
                first.weight[:, :n].mul_(deviation / self.scale.deviation)
            found.scale.load_state_dict(units.state_dict())
        return found

    def parameters_of(self, shown: Tensor) -> Tensor:
        """Return how to act on what is shown (n, d): parameters (n, p) of the law."""
        found: Tensor = self.policy(shown)
        if isinstance(self.law, Categorical):
            return found
        return torch.cat([found, self.log_deviation.expand_as(found)], 1)

    def values(self, observations: Tensor) -> Tensor:
        """Return what states are worth, (n,)."""
        return self.value(observations)[:, 0]

    def best(self, shown: Tensor) -> Tensor:
        """Return the likeliest action on what is shown, as environments take it."""
        return self.law.action(self.law.best(self.parameters_of(shown)))

    def action_values(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return what raw actions are worth in states, (n,)."""
        if isinstance(self.law, Categorical):
            found: Tensor = self.worth(observations)
            return found.gather(1, actions[:, None])[:, 0]
        acting = self.law.action(actions)
        return self.worth(torch.cat([observations, acting], 1))[:, 0]

    def log_probs(self, seen: Seen) -> Tensor:
        """Return log-probabilities of the actions as they are chosen, and on the truth, (n, 2)."""
        return self._judged(seen)[0]

    def forward(self, seen: Seen) -> Tensor:
        """Return the two log-probabilities, and all other terms, (n, 3)."""
        log_probs, clean, shown = self._judged(seen)
        terms = 0.5 * (self.values(seen.observations) - seen.returns) ** 2
        worth = self.action_values(seen.observations, seen.actions)
        terms = terms + 0.5 * (worth - seen.returns) ** 2
        if self.penalty > 0 and seen.shown is not None:
            terms = terms + self.penalty * self.law.divergences(clean, shown).sum(1)
        if self.entropy > 0:
            terms = terms - self.entropy * _entropy(self.law, clean)
        return torch.cat([log_probs, terms[:, None]], 1)

    def loss(self, clip: float) -> WeightedLikelihoodLoss:
        """Return the loss that is made for the output."""
        return WeightedLikelihoodLoss(
            log_prob=lambda output, actions: output[:, : actions.shape[1]],
            clip=clip,
            kl=lambda output, samples: output[:, 2],
        )

    def victim(self, observations: Tensor, surrogate: Harm | None = None) -> Victim:
        """Return what adversaries may use where these are the true observations (n, d).

        ``"kl"`` moves the policy away from what it does on the truth; ``"value"`` makes it act as
        is worth least in the true state, as far as Q knows.
        """
        return Victim(self._distribution, self._worth_of_showing(observations), surrogate)

    def surrogate(self, actions: Tensor, weights: Tensor, old: Tensor, clip: float) -> Harm:
        """Return the clipped loss of actions that were taken, by what would be shown: (n,)."""
        raw = actions[:, None]

        def harm(shown: Tensor) -> Tensor:
            parameters = self.parameters_of(shown)
            log_prob = self.law.log_prob(parameters, parameters, raw)[:, 0]
            ratio = (log_prob - old).clamp(-10.0, 10.0).exp()
            clipped = ratio.clamp(1 - clip, 1 + clip)
            return torch.maximum(-weights * ratio, -weights * clipped)

        return harm

    def _distribution(self, shown: Tensor) -> Distribution:
        parameters = self.parameters_of(shown)
        if isinstance(self.law, Categorical):
            return distributions.Categorical(logits=parameters, validate_args=False)
        mean, log_deviation = parameters.chunk(2, 1)
        return distributions.Normal(mean, log_deviation.exp(), validate_args=False)

    def _worth_of_showing(self, observations: Tensor) -> Harm:
        """Return what it is worth in the true state to act on what is shown, as a function."""
        if isinstance(self.law, Categorical):
            with torch.no_grad():
                worth: Tensor = self.worth(observations)
            return lambda shown: (self.parameters_of(shown).softmax(1) * worth).sum(1)
        return lambda shown: self.action_values(
            observations, self.law.best(self.parameters_of(shown))
        )

    def _judged(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-probabilities, and how to act on the truth and on what is shown."""
        raw, t = seen.actions[:, None], seen.strength
        clean = self.parameters_of(seen.observations)
        on_truth = self.law.log_prob(clean, clean, raw)
        if seen.shown is None:
            return on_truth.expand(-1, 2), clean, clean
        shown = self.parameters_of(seen.shown)
        chosen = self.law.log_prob(shown, shown, raw)
        if t < 1:
            chosen = torch.logaddexp(chosen + math.log(t), on_truth + math.log(1 - t))
        return torch.cat([chosen, on_truth], 1), clean, shown


def _perceptron(
    sizes: tuple[int, ...], gain: float, generator: torch.Generator | None
) -> nn.Sequential:
    layers: list[nn.Module] = []
    pairs = list(itertools.pairwise(sizes))
    for i, (n_in, n_out) in enumerate(pairs):
        last = i == len(pairs) - 1
        # torch's own generator, which would draw weights, is left alone
        with torch.random.fork_rng(devices=[]):
            layer = nn.Linear(n_in, n_out)
        nn.init.orthogonal_(layer.weight, gain if last else math.sqrt(2), generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


def _entropy(law: RobustLaw, parameters: Tensor) -> Tensor:
    """Return the entropy of each row of parameters, (n,)."""
    if isinstance(law, Categorical):
        log_chances = parameters.log_softmax(1)
        return -(log_chances.exp() * log_chances).sum(1)
    return (parameters[:, law.dim :] + 0.5 * math.log(2 * math.pi * math.e)).sum(1)


def robust_law(n_actions: int | None, action_dim: int | None) -> RobustLaw:
    """Return how policies act over so many actions, or in so many coordinates."""
    return Categorical(n_actions) if n_actions is not None else DiagonalNormal(action_dim or 0)
