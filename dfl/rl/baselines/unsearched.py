"""Policies that learn without looking ahead, by the loop and the loss of those that search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from dfl._validation import check_positive
from dfl.estimators._randomness import private_randomness
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.envs.model import BatchedModel, State
from dfl.rl.smc.law import law_of
from dfl.rl.smc.learner import Learner
from dfl.rl.smc.network import Network, drawn, evaluate
from dfl.rl.smc.rollouts import SMCRollouts
from dfl.rl.smc.search import SearchResult
from dfl.rl.smc.targets import Weigh
from dfl.training import train

# the share of its size that a step changes a price by, as in SMCPolicyOptimizer
_DUAL_RATE = 1e-2


@final
@dataclass(frozen=True)
class NetworkPolicy:
    """What ``train_mpo`` and ``train_vmpo`` return: from n states to n actions, for ``play``.

    Attributes
    ----------
    model : BatchedModel
        Whose states are observed.
    network : nn.Module
        From observations to how to act and values.
    deterministic : bool
        Take the likeliest action; else draw from the policy.
    history : tuple of dict
        Of training, as ``SMCPolicyOptimizer.history_``.
    """

    model: BatchedModel
    network: nn.Module
    deterministic: bool = True
    history: tuple[dict[str, float], ...] = ()

    def on(self, model: BatchedModel) -> NetworkPolicy:
        """Return the policy in another model, of like observations and actions."""
        return replace(self, model=model)

    @torch.no_grad()
    def __call__(self, state: State, generator: torch.Generator) -> Tensor:
        """Act in n states."""
        law = law_of(self.model)
        parameters, _ = evaluate(self.network, law, self.model, state)
        if self.deterministic:
            return law.action(law.best(parameters))
        return law.action(drawn(law, parameters, 1, 1, generator).squeeze(1))


@torch.no_grad()
def act_as_policy(
    model: BatchedModel,
    network: Network,
    state: State,
    *,
    temperature: float,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> SearchResult:
    """Draw actions from the policy; a search that looks nowhere and takes no step of the model."""
    del temperature, budget
    law = law_of(model)
    parameters, values = evaluate(network, law, model, state)
    raw = drawn(law, parameters, 1, 1, generator)
    weights, none = torch.ones_like(values)[:, None], values.new_zeros(len(values), 0)
    return SearchResult(
        law.action(raw.squeeze(1)),
        WeightedSamples(raw, weights),
        torch.zeros_like(weights),
        none,
        none,
        none > 0,
    )


def trained(
    model: BatchedModel,
    network: nn.Module,
    weigh: Weigh,
    *,
    n_env_steps: int,
    n_environments: int,
    rollout_length: int,
    n_rollouts: int,
    n_updates: int,
    batch_size: int,
    discount: float,
    trace: float,
    temperature: float,
    divergence: float,
    target_rate: float,
    learning_rate: float,
    max_episode_steps: int,
    generator: torch.Generator,
    budget: Budget | None,
) -> NetworkPolicy:
    """Train a network to act, by an expectation step that takes no search."""
    size = n_environments * rollout_length
    if n_env_steps < size:
        raise InvalidInputError(
            f"got n_env_steps={n_env_steps}, n_environments={n_environments} and "
            f"rollout_length={rollout_length}, expected at least one rollout of {size} steps"
        )
    check_positive("", temperature=temperature, divergence=divergence, learning_rate=learning_rate)
    if not 0 < target_rate <= 1:
        raise InvalidInputError(f"got target_rate={target_rate}, expected a share above 0")
    law = law_of(model)
    first = model.observe(model.reset(1, generator))
    network = network.to(first.device)
    learner = Learner(
        network,
        law,
        temperature=temperature,
        divergence=divergence,
        policy_divergence=law.budgets,
        target_rate=target_rate,
    )
    budget = Budget() if budget is None else budget
    source = SMCRollouts(
        model,
        act_as_policy,
        weigh,
        n_environments=n_environments,
        rollout_length=rollout_length,
        n_rollouts=n_rollouts,
        n_updates=n_updates,
        batch_size=batch_size,
        discount=discount,
        trace=trace,
        max_episode_steps=max_episode_steps,
        budget=budget,
    )
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
    with private_randomness(seed, first.device), budget.timed():
        result = train(
            learner,
            learner.loss(),
            source,
            max_iter=n_env_steps // size,
            optimizer=learner.adam(learning_rate, _DUAL_RATE),
            callbacks=(lambda entry: entry.update(source.summary),),
            seed=seed,
        )
    network.eval()
    return NetworkPolicy(model, network, history=tuple(result.history))


def n_inputs(model: BatchedModel) -> int:
    """Return the numbers in an observation."""
    return model.observe(model.reset(1, torch.Generator()))[0].numel()
