"""What training trains: a network, what it follows, and the prices of its two divergences."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.losses import WeightedLikelihoodLoss
from dfl.rl.smc.law import ActionLaw

# logarithms of prices stay above this
_LEAST = -18.0
# the share of the size of returns that still counts as a difference where they hardly differ
_FLAT = 1e-2
# and the share of the first temperature
_STILL = 0.1


@final
@dataclass(frozen=True)
class Steps:
    """Input of a ``Learner``: n steps of episodes.

    Attributes
    ----------
    observations : Tensor of shape (n, ...)
    returns : Tensor of shape (n,)
        What the values are to be.
    advantages : Tensor of shape (n, k)
        Of the particles of the search at each step.
        Or of shape (1, m), of m actions that are weighed against each other over all steps.
    reference : Tensor of shape (n, p)
        How the policy acts that the new one is to stay near.
    taken : Tensor of shape (n, 1, ...), optional
        Raw actions that were taken, for a network with ``action_values``, which learns from
        ``returns`` what they are worth.
    """

    observations: Tensor
    returns: Tensor
    advantages: Tensor
    reference: Tensor
    taken: Tensor | None = None

    def __len__(self) -> int:
        return len(self.returns)


@final
class Learner(nn.Module):
    r"""A network beside a slow copy of it, a temperature, and what leaving the copy costs.

    Its output goes to the loss that ``loss`` makes, a ``WeightedLikelihoodLoss``, so that the loop
    that trains predictors trains policies.

    Parameters
    ----------
    network : nn.Module
        From observations (n, ...) to parameters (n, p) of the law and values (n,). It is copied for
        the ``target``, which follows it.
    law : ActionLaw
        How policies act.
    temperature : float
        The first one, in units of the rewards.
    divergence : float
        What the weights of a search are to differ from equal ones, in nats.
    policy_divergence : tuple of float
        What the network may differ from its copy, for each part of the divergence of the law.
    target_rate : float
        Share of the way to the network that the copy goes at each update.

    Notes
    -----
    For weights w of k actions a, copy p' and target returns R the loss of a state is

    .. math::

        -\sum_k w_k \log p(a_k) + \sum_j \bar\alpha_j D_j(p' \| p)
        + \sum_j \alpha_j (\epsilon_j - \bar D_j)
        + \eta \Bigl(\epsilon + \log \frac1k \sum_k e^{A_k / \eta}\Bigr)
        + \frac{(V - R)^2}{2 \sigma^2},

    where bars stop gradients and :math:`\sigma` is the standard deviation of R in the batch, but
    never below a tenth of the first temperature, so that nothing depends on the units of rewards
    but that temperature. The prices :math:`\eta` and :math:`\alpha_j` are exponentials of
    parameters: a step changes them by a share of their size. The scale of the critic and these
    exponentials are choices of this library; the rest is reconstructed from the paper and from what
    is known of published code.

    References
    ----------
    Macfarlane, Toledo, Byrne, Duckworth & Laterre, "SPO: Sequential Monte Carlo Policy
    Optimisation", NeurIPS 2024, arXiv 2402.07963.
    """

    def __init__(
        self,
        network: nn.Module,
        law: ActionLaw,
        *,
        temperature: float,
        divergence: float,
        policy_divergence: tuple[float, ...],
        target_rate: float,
    ) -> None:
        super().__init__()
        self.budgets: Tensor
        self.network = network
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.law = law
        self.divergence = divergence
        self.target_rate = target_rate
        # where nothing is earned yet, returns are all the same; without a floor, slopes would be so
        # large that the optimizer, which remembers them, takes no steps for long after
        self._least_variance = (_STILL * temperature) ** 2
        budgets = next(network.parameters()).new_tensor(policy_divergence)
        self.log_temperature = nn.Parameter(budgets.new_tensor(math.log(temperature)))
        self.log_multipliers = nn.Parameter(torch.zeros_like(budgets))
        self.register_buffer("budgets", budgets)

    @property
    def temperature(self) -> float:
        """The present temperature."""
        return math.exp(self.log_temperature.item())

    def forward(self, steps: Steps) -> Tensor:
        """Return parameters, those of the copy, and all terms but the likelihood, (n, 2 p + 1)."""
        parameters, values = self.network(steps.observations)
        apart = self.law.divergences(steps.reference, parameters)
        multipliers = self.log_multipliers.exp()
        held = (multipliers.detach() * apart + multipliers * (self.budgets - apart.detach())).sum(1)
        terms = held + self._temperature_dual(steps.advantages)
        terms = terms + self._squared_error(values, steps.returns)
        if steps.taken is not None:
            # what the values lag behind by while they grow is due to no action; left in, it would
            # be learned first for the action that is taken most, and make that likelier still
            behind = (steps.returns - values).mean().detach()
            worth = self.network.action_values(  # type: ignore[operator]
                steps.observations, steps.taken
            )
            terms = terms + self._squared_error(worth.squeeze(1), steps.returns - behind)
        return torch.cat([parameters, steps.reference, terms[:, None]], 1)

    def loss(self) -> WeightedLikelihoodLoss:
        """Return the loss that is made for the output."""
        p = self.law.size

        def log_prob(output: Tensor, raw: Tensor) -> Tensor:
            return self.law.log_prob(output[:, :p], output[:, p : 2 * p], raw)

        return WeightedLikelihoodLoss(log_prob=log_prob, kl=lambda output, samples: output[:, -1])

    def adam(self, learning_rate: float, dual_learning_rate: float) -> torch.optim.Adam:
        """Return what takes the steps of the network, and those of prices at a rate of their own.

        Prices are exponentials of parameters: their rate is the share that a step changes them by.
        """
        trained = [p for p in self.network.parameters() if p.requires_grad]
        prices = [self.log_temperature, self.log_multipliers]
        groups: list[dict[str, Any]] = [
            {"params": trained},
            {"params": prices, "lr": dual_learning_rate},
        ]
        return torch.optim.Adam(groups, lr=learning_rate, fused=True)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the copy towards the network, after an update, and keep prices in range."""
        for slow, fast in zip(self.target.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, self.target_rate)
        for kept, new in zip(self.target.buffers(), self.network.buffers(), strict=True):
            kept.copy_(new)
        self.log_temperature.clamp_(min=_LEAST)
        self.log_multipliers.clamp_(min=_LEAST)

    def train(self, mode: bool = True) -> Learner:
        """Set the mode of the network; its copy is always evaluated."""
        super().train(mode)
        self.target.eval()
        return self

    def _temperature_dual(self, advantages: Tensor) -> Tensor:
        """Return what the temperature minimizes, (n,): its slope is the divergence left over."""
        temperature = self.log_temperature.exp()
        mean = torch.logsumexp(advantages / temperature, 1) - math.log(advantages.shape[1])
        return temperature * (self.divergence + mean)

    def _squared_error(self, values: Tensor, returns: Tensor) -> Tensor:
        spread = returns.var(correction=0) + (_FLAT**2) * (returns**2).mean()
        return 0.5 * (values - returns) ** 2 / spread.clamp(min=self._least_variance)
