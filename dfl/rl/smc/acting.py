"""How a trained network acts: by itself, or by what a search finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfl.rl.envs.model import BatchedModel, State
from dfl.rl.envs.play import Decide
from dfl.rl.smc.law import ActionLaw
from dfl.rl.smc.network import seen_by
from dfl.rl.smc.search import SearchResult


@torch.no_grad()
def likeliest(network: nn.Module, law: ActionLaw, observations: Tensor) -> Tensor:
    """Return the likeliest action of a network for each of n observations."""
    if observations.is_floating_point():
        observations = observations.to(next(network.parameters()).dtype)
    parameters, _ = network(seen_by(network, observations))
    return law.action(law.best(parameters)).to(observations.device)


def by_network(network: nn.Module, law: ActionLaw, model: BatchedModel) -> Decide:
    """Return what acts in states of a simulator as a network would, without search."""
    return lambda state, generator: likeliest(network, law, model.observe(state))


def by_search(
    network: nn.Module,
    search: Callable[..., SearchResult],
    model: BatchedModel,
    temperature: float,
) -> Decide:
    """Return what looks ahead in states of a simulator, and draws from what is found."""

    def act(state: State, generator: torch.Generator) -> Tensor:
        found = search(model, network, state, temperature=temperature, generator=generator)
        return found.actions

    return act
