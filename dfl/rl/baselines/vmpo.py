"""V-MPO: what was done and turned out well becomes likelier."""

from __future__ import annotations

import math

import torch

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples, softmax
from dfl.rl.baselines.unsearched import NetworkPolicy, n_inputs, trained
from dfl.rl.envs.model import BatchedModel
from dfl.rl.smc.law import law_of
from dfl.rl.smc.learner import Learner, Steps
from dfl.rl.smc.network import PolicyValueNetwork
from dfl.rl.smc.targets import Replayed


def best_half(
    learner: Learner, replayed: Replayed, generator: torch.Generator
) -> tuple[Steps, WeightedSamples]:
    """Weigh the actions that were taken by their advantages, against each other, the better half.

    The expectation step of V-MPO.
    """
    del generator
    advantages = replayed.returns - replayed.values
    n = len(advantages)
    best = advantages.topk(max(n // 2, 1)).indices
    top = advantages[best][None]
    # the loss is a mean over steps, and the weights of all steps are to sum to one
    weights = torch.zeros_like(advantages)
    weights[best] = n * softmax(top, temperature=learner.temperature)[0]
    steps = Steps(replayed.observations, replayed.returns, top, replayed.reference)
    return steps, WeightedSamples(replayed.samples.actions, weights[:, None])


def train_vmpo(
    model: BatchedModel,
    n_env_steps: int,
    *,
    n_environments: int = 64,
    rollout_length: int = 16,
    n_updates: int = 16,
    batch_size: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    discount: float = 0.99,
    trace: float = 0.95,
    temperature: float = 1.0,
    divergence: float = 0.1,
    target_rate: float = 0.05,
    learning_rate: float = 1e-3,
    max_episode_steps: int = 1000,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> NetworkPolicy:
    r"""Train a policy on the better half of what it did, without any search.

    It is V-MPO, by the loop, the loss and the trust region of ``SMCPolicyOptimizer``: what that
    gains by its search shows beside it.

    Parameters
    ----------
    model : BatchedModel
        Used as an environment only.
    n_env_steps : int
        As many whole rollouts are collected as fit in.
    n_environments, rollout_length, n_updates, batch_size
        See ``SMCRollouts``; only the latest rollout is learned from.
    hidden : tuple of int, default=(256, 256)
        Layers of the network.
    discount, trace
        See ``SMCRollouts``.
    temperature : float, default=1.0
        The first one, in units of the rewards; it adapts.
    divergence : float, default=0.1
        What the weights of the better half are to differ from equal ones, in nats; below the
        logarithm of half the steps in a batch.
    target_rate, learning_rate : float, default=0.05 and 1e-3
        See ``SMCPolicyOptimizer``.
    max_episode_steps : int, default=1000
        See ``SMCPolicyOptimizer``.
    generator : torch.Generator
        All randomness comes from it.
    budget : Budget, optional
        Is charged ``"env_steps"`` and ``"optimizer_steps"``, and the time of training.

    Returns
    -------
    NetworkPolicy
        The trained policy, which takes the likeliest action.

    Raises
    ------
    InvalidInputError
        If not one rollout fits in, or a number is out of range.
    BudgetError
        If the next step would exceed the limit of the budget.

    Notes
    -----
    Of a batch of steps with generalized advantages :math:`A_i`, those of the upper half T weigh
    :math:`e^{A_i/\eta} / \sum_{j \in T} e^{A_j/\eta}`, the others nothing, and the temperature
    minimizes :math:`\eta(\epsilon + \log \frac{1}{|T|} \sum_{j \in T} e^{A_j/\eta})`.
    Reconstructed from the paper; the slow copy in place of a policy that is renewed now and then is
    a choice of this library.

    References
    ----------
    Song et al., "V-MPO: On-Policy Maximum a Posteriori Policy Optimization for Discrete and
    Continuous Control", ICLR 2020, arXiv 1909.12238.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.baselines import train_vmpo
    >>> from dfl.rl.envs import play, two_step_model
    >>> generator = torch.Generator().manual_seed(0)
    >>> policy = train_vmpo(
    ...     two_step_model(), 4096, rollout_length=4, hidden=(16,), learning_rate=1e-2,
    ...     generator=generator,
    ... )
    >>> play(two_step_model(), policy, 10, 2, generator=generator).mean().item()
    1.0
    """
    half = batch_size * rollout_length // 2
    if not math.log(max(half, 1)) > divergence:
        raise InvalidInputError(
            f"train_vmpo: got divergence={divergence} and batches of {batch_size} sequences of "
            f"{rollout_length} steps, expected a divergence below the logarithm of {half}, the "
            "better half"
        )
    size = law_of(model).size
    network = PolicyValueNetwork(n_inputs(model), size, hidden, generator)
    return trained(
        model,
        network,
        best_half,
        n_env_steps=n_env_steps,
        n_environments=n_environments,
        rollout_length=rollout_length,
        n_rollouts=1,
        n_updates=n_updates,
        batch_size=batch_size,
        discount=discount,
        trace=trace,
        temperature=temperature,
        divergence=divergence,
        target_rate=target_rate,
        learning_rate=learning_rate,
        max_episode_steps=max_episode_steps,
        generator=generator,
        budget=budget,
    )
