"""What ``SMCPolicyOptimizer`` does before it learns: checks, its parts, a fingerprint."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from dfl._validation import check_positive
from dfl.estimators._fingerprint import digest
from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel
from dfl.rl.fitting import check_trainable, told_parameters
from dfl.rl.seeds import seeded
from dfl.rl.simulators import shown_by
from dfl.rl.smc.law import ActionLaw
from dfl.rl.smc.learner import Learner
from dfl.rl.smc.network import PolicyValueNetwork
from dfl.rl.smc.rollouts import SMCRollouts
from dfl.rl.smc.search import SearchResult, smc_search

if TYPE_CHECKING:
    from dfl.rl.smc.optimizer import SMCPolicyOptimizer

# what does not change what is learned
_UNTOLD = ("network", "checkpoint", "verbose", "random_state")
# what tells a model from another of its class
_NUMBERS = (bool, int, float, str, tuple, type(None))


def check_numbers(optimizer: SMCPolicyOptimizer) -> None:
    """Refuse parameters out of their range before anything is learned."""
    most = math.log(optimizer.n_particles) if optimizer.n_particles >= 1 else 0.0
    if not 0 < optimizer.divergence < most:
        raise InvalidInputError(
            f"SMCPolicyOptimizer: got divergence={optimizer.divergence}, expected a positive "
            f"number below {most:.4g}, the logarithm of n_particles={optimizer.n_particles}: "
            "weights of so many particles cannot differ more from equal ones"
        )
    check_positive(
        optimizer,
        temperature=optimizer.temperature,
        learning_rate=optimizer.learning_rate,
        dual_learning_rate=optimizer.dual_learning_rate,
    )
    if not 0 < optimizer.target_rate <= 1:
        raise InvalidInputError(
            f"SMCPolicyOptimizer: got target_rate={optimizer.target_rate}, expected a share above 0"
        )


def first_network(network: str | nn.Module, first: Tensor, law: ActionLaw, seed: int) -> nn.Module:
    """Return the network before training."""
    if isinstance(network, nn.Module):
        check_trainable("SMCPolicyOptimizer", "network", network)
        return copy.deepcopy(network)
    if network != "mlp":
        raise InvalidInputError(
            f"SMCPolicyOptimizer: got network={network!r}, expected 'mlp' or an nn.Module"
        )
    n_inputs = first[0].numel()
    made = PolicyValueNetwork(n_inputs, law.size, generator=seeded(seed))
    return made.to(first.device, first.dtype if first.is_floating_point() else None)


def policy_budgets(asked: float | tuple[float, float] | None, law: ActionLaw) -> tuple[float, ...]:
    """Return what each part of the divergence of policies may be."""
    parts = law.budgets
    if asked is None:
        return parts
    kinds = min(len(parts), 2)
    each = tuple(asked) if isinstance(asked, (tuple, list)) else (asked,) * kinds
    if len(each) != kinds or not all(0 < budget < math.inf for budget in each):
        raise InvalidInputError(
            f"SMCPolicyOptimizer: got policy_divergence={asked}, expected a positive number, or, "
            "for continuous actions only, one for the means and one for the deviations"
        )
    return tuple(budget for budget in each for _ in range(len(parts) // kinds))


def learner_of(optimizer: SMCPolicyOptimizer, first: Tensor, law: ActionLaw, seed: int) -> Learner:
    """Return what is trained, for observations like the first ones."""
    return Learner(
        first_network(optimizer.network, first, law, seed),
        law,
        temperature=optimizer.temperature,
        divergence=optimizer.divergence,
        policy_divergence=policy_budgets(optimizer.policy_divergence, law),
        target_rate=optimizer.target_rate,
    )


def search_of(optimizer: SMCPolicyOptimizer) -> Callable[..., SearchResult]:
    """Return how to look ahead."""
    return functools.partial(
        smc_search,
        n_particles=optimizer.n_particles,
        depth=optimizer.depth,
        period=optimizer.period,
        least_effective=optimizer.least_effective,
    )


def source_of(optimizer: SMCPolicyOptimizer, model: BatchedModel) -> SMCRollouts:
    """Return where the steps to learn from come from."""
    return SMCRollouts(
        model,
        search_of(optimizer),
        n_environments=optimizer.n_environments,
        rollout_length=optimizer.rollout_length,
        n_rollouts=optimizer.n_rollouts,
        n_updates=optimizer.n_updates,
        batch_size=optimizer.batch_size,
        discount=optimizer.discount,
        trace=optimizer.trace,
        max_episode_steps=optimizer.max_episode_steps,
    )


def fingerprint(
    optimizer: SMCPolicyOptimizer, model: BatchedModel, network: nn.Module, seed: int
) -> str:
    """Return what tells a fit from another, for checkpoints."""
    told = told_parameters(optimizer, _UNTOLD)
    text = repr((seed, type(model).__name__, told, str(network)))
    # a model is told by its public numbers, and by what it draws and does
    named = {k: v for k, v in getattr(model, "__dict__", {}).items() if not k.startswith("_")}
    numbers = {k: v for k, v in named.items() if isinstance(v, _NUMBERS)}
    tables = [v for v in named.values() if isinstance(v, (Tensor, np.ndarray))]
    state, shown = shown_by(model, seed)
    drawn = [v for v in state.values() if isinstance(v, Tensor)]
    arrays = [*drawn, *shown, *tables, *network.state_dict().values()]
    return digest(text + repr(numbers), arrays)
