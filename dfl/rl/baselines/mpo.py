"""MPO: what a learned critic values becomes likelier."""

from __future__ import annotations

import functools
import math
from typing import final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples, softmax
from dfl.rl.baselines.unsearched import NetworkPolicy, n_inputs, trained
from dfl.rl.envs.model import BatchedModel
from dfl.rl.smc.law import ActionLaw, law_of
from dfl.rl.smc.learner import Learner, Steps
from dfl.rl.smc.network import PolicyValueNetwork, drawn
from dfl.rl.smc.targets import Replayed, Weigh


def by_action_values(
    learner: Learner, replayed: Replayed, generator: torch.Generator, *, n_samples: int
) -> tuple[Steps, WeightedSamples]:
    """Draw actions of the slow copy, and weigh them by what its critic says that they are worth.

    The expectation step of MPO.
    """
    raw = drawn(learner.law, replayed.reference, n_samples, 1, generator)
    worth = learner.target.action_values(replayed.observations, raw)  # type: ignore[operator]
    advantages = worth - replayed.values[:, None]
    weights = softmax(advantages, temperature=learner.temperature)
    steps = Steps(
        replayed.observations,
        replayed.returns,
        advantages,
        replayed.reference,
        replayed.samples.actions,
    )
    return steps, WeightedSamples(raw, weights)


@final
class ActionValueNetwork(nn.Module):
    """A ``PolicyValueNetwork`` beside a perceptron that says what actions are worth.

    Parameters
    ----------
    n_inputs : int
        Numbers in an observation, which is flattened.
    law : ActionLaw
        How policies act.
    n_actions : int or None
        None for continuous actions.
    hidden : tuple of int
        Layers of either.
    generator : torch.Generator
        Draws the first weights.
    """

    def __init__(
        self,
        n_inputs: int,
        law: ActionLaw,
        n_actions: int | None,
        hidden: tuple[int, ...],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.law = law
        self.n_actions = n_actions
        shown = law.size // 2 if n_actions is None else n_actions
        self.policy = PolicyValueNetwork(n_inputs, law.size, hidden, generator)
        self.critic = PolicyValueNetwork(n_inputs + shown, 0, hidden, generator)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return parameters (n, p) and values (n,) of states."""
        found: tuple[Tensor, Tensor] = self.policy(observations)
        return found

    def action_values(self, observations: Tensor, raw: Tensor) -> Tensor:
        """Return what k raw actions (n, k, ...) are worth in each of n states, (n, k)."""
        actions = self.law.action(raw)
        flat = observations.flatten(1).to(self.policy.head.weight.dtype)
        if self.n_actions is not None:
            actions = nn.functional.one_hot(actions, self.n_actions)
        n, k = actions.shape[:2]
        states = flat[:, None].expand(n, k, flat.shape[1])
        both = torch.cat([states, actions.to(flat)], 2).flatten(0, 1)
        better: Tensor = self.critic(both)[1]
        return self.policy(observations)[1].detach()[:, None] + better.reshape(n, k)


def train_mpo(
    model: BatchedModel,
    n_env_steps: int,
    *,
    n_environments: int = 64,
    rollout_length: int = 16,
    n_rollouts: int = 8,
    n_updates: int = 16,
    batch_size: int = 32,
    n_samples: int = 16,
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
    r"""Train a policy on its own actions, weighed by a critic that learns what they are worth.

    It is MPO, by the loop, the loss and the trust region of ``SMCPolicyOptimizer``: one step of
    improvement, by a learned critic in place of a simulator.

    Parameters
    ----------
    model : BatchedModel
        Used as an environment only.
    n_env_steps : int
        As many whole rollouts are collected as fit in.
    n_environments, rollout_length, n_rollouts, n_updates, batch_size
        See ``SMCRollouts``.
    n_samples : int, default=16
        Actions that are weighed in each state.
    hidden : tuple of int, default=(256, 256)
        Layers of the policy, and of the critic of actions.
    discount, trace
        See ``SMCRollouts``.
    temperature : float, default=1.0
        The first one, in units of the rewards; it adapts.
    divergence : float, default=0.1
        What the weights are to differ from equal ones, in nats; below the logarithm of
        ``n_samples``.
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
    Actions :math:`a_k` of the slow copy weigh :math:`e^{Q(s, a_k)/\eta}`, normalized in each
    state; the temperature is that of ``SMCPolicyOptimizer``. Q is the slow copy of a network that
    learns the returns with generalized advantages that followed the action taken. Reconstructed
    from the papers, which take Retrace for these returns.

    References
    ----------
    Abdolmaleki et al., "Maximum a Posteriori Policy Optimisation", ICLR 2018, arXiv 1806.06920;
    "Relative Entropy Regularized Policy Iteration", 2018, arXiv 1812.02256.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.baselines import train_mpo
    >>> from dfl.rl.envs import play, two_step_model
    >>> generator = torch.Generator().manual_seed(0)
    >>> policy = train_mpo(
    ...     two_step_model(), 4096, rollout_length=4, hidden=(16,), learning_rate=1e-2,
    ...     generator=generator,
    ... )
    >>> play(two_step_model(), policy, 10, 2, generator=generator).mean().item()
    1.0
    """
    if not math.log(max(n_samples, 1)) > divergence:
        raise InvalidInputError(
            f"train_mpo: got n_samples={n_samples} and divergence={divergence}, expected a "
            "divergence below the logarithm of n_samples"
        )
    law = law_of(model)
    network = ActionValueNetwork(n_inputs(model), law, model.n_actions, hidden, generator)
    weigh: Weigh = functools.partial(by_action_values, n_samples=n_samples)
    return trained(
        model,
        network,
        weigh,
        n_env_steps=n_env_steps,
        n_environments=n_environments,
        rollout_length=rollout_length,
        n_rollouts=n_rollouts,
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
