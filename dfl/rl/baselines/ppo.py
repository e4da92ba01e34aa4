"""Proximal policy optimization of Stable-Baselines3, trained on a batched model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl._validation import check_at_least, check_positive, check_share
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.baselines.vec_env import vec_env
from dfl.rl.envs.model import BatchedModel, State
from dfl_solvers.exceptions import import_optional


@final
@dataclass(frozen=True)
class PPOPolicy:
    """What ``train_ppo`` returns: from n states and a generator to n actions, for ``play``.

    Attributes
    ----------
    model : BatchedModel
        Whose states are observed.
    agent : stable_baselines3.PPO
        The trained agent, with its networks in ``agent.policy``.
    deterministic : bool
        Take the likeliest action; else draw from the policy.
    history : tuple of dict
        Per rollout of training: ``env_steps`` so far, ``episodes`` that ended, and their mean
        ``return`` if any did.
    """

    model: BatchedModel
    agent: Any
    deterministic: bool = True
    history: tuple[dict[str, float], ...] = ()

    def on(self, model: BatchedModel) -> PPOPolicy:
        """Return the policy in another model, of like observations and actions."""
        return replace(self, model=model)

    @torch.no_grad()
    def __call__(self, state: State, generator: torch.Generator) -> Tensor:
        """Act in n states."""
        shown = self.model.observe(state).to(torch.float32)
        law: Any = self.agent.policy.get_distribution(shown).distribution
        if self.model.n_actions is None:
            action: Tensor = law.mean
            if not self.deterministic:
                noise = torch.randn(action.shape, generator=generator, dtype=action.dtype)
                action = action + law.stddev * noise
            return action.clamp(-1, 1)
        chances: Tensor = law.probs
        if self.deterministic:
            return chances.argmax(1)
        return torch.multinomial(chances, 1, generator=generator).squeeze(1)


def train_ppo(
    model: BatchedModel,
    n_env_steps: int,
    *,
    n_envs: int = 16,
    rollout: int = 64,
    batch_size: int = 128,
    epochs: int = 10,
    learning_rate: float = 3e-4,
    hidden: tuple[int, ...] = (64, 64),
    discount: float = 0.99,
    trace: float = 0.95,
    clip: float = 0.2,
    entropy: float = 0.0,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> PPOPolicy:
    """Train the agent that is the usual yardstick, by an implementation that is not ours.

    It takes discrete and continuous actions, and uses the model as an environment only: one step
    for each action, no search. Defaults are those of Stable-Baselines3 but for ``n_envs``,
    ``rollout`` and ``batch_size``; tune them with as many trials as its rivals have.

    Parameters
    ----------
    model : BatchedModel
        Used as an environment only.
    n_env_steps : int
        As many whole rollouts are collected as fit in.
    n_envs : int, default=16
        Episodes side by side.
    rollout : int, default=64
        Steps of each of them between two updates.
    batch_size, epochs : int, default=128 and 10
        Of an update, on ``n_envs * rollout`` steps; a batch has at least 2.
    learning_rate : float, default=3e-4
        Of Adam.
    hidden : tuple of int, default=(64, 64)
        Layers of policy and value, which share none.
    discount, trace : float, default=0.99 and 0.95
        Of generalized advantage estimation: gamma and lambda.
    clip : float, default=0.2
        Range of the ratio of likelihoods.
    entropy : float, default=0.0
        Weight of the entropy.
    generator : torch.Generator
        All randomness comes from it; Python's, NumPy's and torch's own, on the CPU, are
        left as they were.
    budget : Budget, optional
        Is charged ``"env_steps"``, and the time of training.

    Returns
    -------
    PPOPolicy
        The trained policy, which takes the likeliest action.

    Raises
    ------
    MissingDependencyError
        If Stable-Baselines3 is not installed.
    InvalidInputError
        If not one rollout fits in, or a number is out of range.
    BudgetError
        If the next step would exceed the limit of the budget.

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford & Klimov, "Proximal Policy Optimization Algorithms", 2017,
    arXiv 1707.06347. Raffin, Hill, Gleave, Kanervisto, Ernestus & Dormann, "Stable-Baselines3",
    Journal of Machine Learning Research 22 (2021).

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import Budget
    >>> from dfl.rl.baselines import train_ppo
    >>> from dfl.rl.envs import CartPole, play
    >>> generator, budget = torch.Generator().manual_seed(0), Budget()
    >>> policy = train_ppo(CartPole(), 2500, generator=generator, budget=budget)
    >>> budget.counts
    {'train': {'env_steps': 2048}}
    >>> play(CartPole(), policy, 3, 500, generator=generator).shape
    torch.Size([3])
    """
    size = n_envs * rollout
    check_at_least(1, "train_ppo", n_envs=n_envs, rollout=rollout, epochs=epochs)
    # advantages are standardized in each batch
    check_at_least(2, "train_ppo", **{"n_envs * rollout": size, "batch_size": batch_size})
    check_share("train_ppo", discount=discount, trace=trace)
    check_positive("train_ppo", learning_rate=learning_rate, clip=clip)
    if not 0 <= entropy < math.inf:
        raise InvalidInputError(f"train_ppo: got entropy={entropy}, expected at least 0")
    if n_env_steps < size:
        raise InvalidInputError(
            f"train_ppo: got n_env_steps={n_env_steps}, n_envs={n_envs} and rollout={rollout}, "
            f"expected at least one rollout of {size} steps"
        )
    algorithm = import_optional("stable_baselines3", "rl").PPO
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
    with own_randomness(), nullcontext() if budget is None else budget.timed():
        environments = vec_env(model, n_envs, generator, budget)
        agent = algorithm(
            "MlpPolicy",
            environments,
            learning_rate=learning_rate,
            n_steps=rollout,
            batch_size=min(batch_size, size),
            n_epochs=epochs,
            gamma=discount,
            gae_lambda=trace,
            clip_range=clip,
            ent_coef=entropy,
            policy_kwargs={"net_arch": list(hidden)},
            seed=seed,
            device="cpu",
        )
        agent.learn(n_env_steps // size * size)
    agent.policy.set_training_mode(False)
    history = _history(environments.finished, size, n_env_steps // size)
    return PPOPolicy(model, agent, history=history)


def _history(
    finished: list[tuple[int, float]], size: int, n_rollouts: int
) -> tuple[dict[str, float], ...]:
    """Sum up the episodes that ended in each rollout of so many steps."""
    earned: list[list[float]] = [[] for _ in range(n_rollouts)]
    for steps, value in finished:
        earned[(steps - 1) // size].append(value)
    return tuple(
        {"env_steps": float(size * (i + 1)), "episodes": float(len(values))}
        | ({"return": sum(values) / len(values)} if values else {})
        for i, values in enumerate(earned)
    )


@contextmanager
def own_randomness() -> Iterator[None]:
    """Put back the generators of Python, NumPy and torch that are seeded inside."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
