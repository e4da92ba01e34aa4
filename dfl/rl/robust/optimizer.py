"""Policies that are learned while an adversary moves what they see."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dfl.estimators._randomness import private_randomness
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.files import load_of
from dfl.exceptions import InvalidInputError
from dfl.rl.fitting import checkpoint_at, spent
from dfl.rl.robust.agent import RobustAgent
from dfl.rl.robust.collect import collector_of, shape_of
from dfl.rl.robust.preparation import agent_of, check_settings, fingerprint, source_of
from dfl.rl.seeds import drawn_seed, later_seed, seeded
from dfl.rl.simulators import check_actions, check_observations
from dfl.training import train
from dfl.training.train import Callback


@final
class RobustPolicyOptimizer(BaseDecisionEstimator):
    r"""Learn to act well though an adversary moves what is observed within a ball.

    Use it where sensors are noisy or may be tampered with. It is proximal policy optimization
    (PPO) with an inner adversary, in each batch or while steps are taken: with ``"identity"`` the
    standard objective, with ``"surrogate"`` the worst case (ARPO), with ``"kl"`` the bilevel
    objective of BARPO, and the losses of its ancestors SA-PPO and CAR-PPO. Their parameters are in
    ``configuration_by_name``. The code of BARPO is not public: it is reconstructed here.

    Parameters
    ----------
    adversary : {"identity", "random", "kl", "value", "surrogate"}, default="kl"
        What the inner adversary makes large: the divergence of the policy, the loss of what actions
        are worth, or the loss of PPO; see ``dfl.adversary``.
    epsilon : float, default=0.1
        Radius of the ball in the largest-coordinate norm, in ``units``.
    units : tuple of float, optional
        What an ``epsilon`` of 1 moves each coordinate by, and what observations are divided by.
        Give the same to policies that are compared: balls are then equal. Default: standard
        deviations of what is observed in training, by which observations are then centered, too.
    kappa : float, default=0.0
        Weight of the second term of the objective.
    strength : float or (float, float), default=1.0
        Chance that the adversary's observation is the one that is seen: policies are mixed. A pair
        is a window of training, in shares of it, over which it grows from 0 to 1.
    radius : float or (float, float), default=1.0
        Share of ``epsilon`` in training, or a window over which it grows from 0 to 1.
    objective : {"attacked", "regularized", "weighted"}, default="attacked"
        The policy under attack, and with weight ``kappa`` that on the truth, called guidance; the
        policy on the truth with the divergence as a penalty (SA-PPO); or with the worst steps of a
        batch under attack (CAR-PPO).
    softness : float, default=10.0
        Scale of the soft maximum over the steps of a batch, for ``"weighted"``.
    attacked_rollouts : bool, default=False
        Attack while steps are taken, and learn from them as they were seen, for the objective
        ``"attacked"``: states, advantages and ratios are then those of the attacked policy. Else
        steps are taken without the adversary, and each batch is attacked anew. What is published
        leaves open which is meant. The policy may come to rely on such an attack.
    attack_steps : int, default=5
        Gradients for each attack.
    hidden : tuple of int, default=(64, 64)
        Layers of each of three perceptrons; see ``RobustAgent``.
    max_iter : int, default=50
        Number of epochs. In each, ``n_environments * rollout_length`` steps are taken, and learned
        from ``n_epochs`` times over in batches of ``batch_size``.
    n_environments, rollout_length, n_epochs, batch_size, discount, trace, clip
        See ``AttackedRollouts``.
    entropy : float, default=0.0
        Weight of the entropy of the policy.
    deviation : float, default=1.0
        First standard deviation of continuous actions, which are from -1 to 1.
    learning_rate : float, default=1e-3
        Of Adam; it falls to zero along half a cosine.
    max_episode_steps : int, default=1000
        Episodes are truncated after so many steps, whatever the environment does.
    checkpoint : path, optional
        File that keeps the state of ``fit``; a killed fit continues from it, on simulators to the
        same weights.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the first weights, the environments, the adversary and the batches.

    Attributes
    ----------
    agent_ : RobustAgent
        The trained policy, with values and scales.
    env_ : BatchedModel or VectorEnv
        Where it learned; a loaded estimator has the one that ``load`` was given.
    history_ : list of dict
        Per epoch: ``loss``, mean ``return`` of the ``episodes`` that ended, if any did, under the
        adversary if it attacks them, ``strength``, ``radius``, ``clipped``, ``learning_rate``,
        ``seconds``, and what was spent so far.
    budget_ : dict of str to float
        What ``fit`` spent: ``env_steps``, ``attack_gradients``, ``optimizer_steps``, ``seconds``.
    n_actions_, action_dim_ : int or None
        Those of the environment.

    Notes
    -----
    For a step with truth s, attacked observation x, action a and advantage A, and
    :math:`L(r) = \max(-r A, -\mathrm{clip}(r) A)` with the ratio r to the old policy,

    .. math::

        \text{attacked} &: L(\pi(a | x) / \pi_{old}(a | x_{old})) + \kappa L(\pi(a|s) /
        \pi_{old}(a|s)), \\
        \text{regularized} &: L(\pi(a|s) / \pi_{old}(a|s)) + \kappa D(\pi(s) \| \pi(x)), \\
        \text{weighted} &: L(\pi(a|s) / \pi_{old}(a|s)) + \kappa \sum_i p_i L_i(x_i),
        \quad p = \mathrm{softmax}(L / \text{softness}).

    With a strength t between 0 and 1 the attacked policy is
    :math:`(1 - t) \pi(a | s) + t \pi(a | x)`. Gradients take x as given, which is exact for the
    worst case, and else drops a term. With strength 0 it is PPO, bit for bit.

    References
    ----------
    Li et al., "On the Tension Between Optimality and Adversarial Robustness in Policy
    Optimization", 2025, arXiv 2512.01228. Zhang et al., "Robust Deep Reinforcement Learning against
    Adversarial Perturbations on State Observations", NeurIPS 2020, arXiv 2003.08938. Schulman et
    al., "Proximal Policy Optimization Algorithms", 2017, arXiv 1707.06347.

    Examples
    --------
    >>> from dfl.rl.envs import CartPole
    >>> from dfl.rl.robust import RobustPolicyOptimizer, configuration_by_name
    >>> policy = RobustPolicyOptimizer(
    ...     **configuration_by_name("barpo"), epsilon=0.1, max_iter=8, random_state=0
    ... ).fit(CartPole())
    >>> policy.score() > 50  # at random: some 20
    True
    """

    agent_: RobustAgent
    env_: Any
    history_: list[dict[str, float]]
    budget_: dict[str, float]

    def __init__(
        self,
        adversary: str = "kl",
        *,
        epsilon: float = 0.1,
        units: tuple[float, ...] | None = None,
        kappa: float = 0.0,
        strength: float | tuple[float, float] = 1.0,
        radius: float | tuple[float, float] = 1.0,
        objective: str = "attacked",
        softness: float = 10.0,
        attacked_rollouts: bool = False,
        attack_steps: int = 5,
        hidden: tuple[int, ...] = (64, 64),
        max_iter: int = 50,
        n_environments: int = 16,
        rollout_length: int = 128,
        n_epochs: int = 10,
        batch_size: int = 256,
        discount: float = 0.99,
        trace: float = 0.95,
        clip: float = 0.2,
        entropy: float = 0.0,
        deviation: float = 1.0,
        learning_rate: float = 1e-3,
        max_episode_steps: int = 1000,
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.adversary = adversary
        self.epsilon = epsilon
        self.units = units
        self.kappa = kappa
        self.strength = strength
        self.radius = radius
        self.objective = objective
        self.softness = softness
        self.attacked_rollouts = attacked_rollouts
        self.attack_steps = attack_steps
        self.hidden = hidden
        self.max_iter = max_iter
        self.n_environments = n_environments
        self.rollout_length = rollout_length
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.discount = discount
        self.trace = trace
        self.clip = clip
        self.entropy = entropy
        self.deviation = deviation
        self.learning_rate = learning_rate
        self.max_episode_steps = max_episode_steps
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, env: Any, *, callbacks: Sequence[Callback] = ()) -> Self:
        """Learn a policy for an environment.

        Parameters
        ----------
        env : BatchedModel or gymnasium.vector.VectorEnv
            A batched simulator, which is by far the faster, or Gymnasium's environments.
        callbacks : sequence of callables, default=()
            Each is called after each epoch with its entry of ``history_``; training stops if one
            returns True.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        InvalidInputError
            If a parameter is out of its range, or the environment is of another kind.
        TrainingError
            If training diverges, or ``checkpoint`` belongs to another fit.
        """
        seed = drawn_seed(self.random_state)
        check_settings(self)
        source = source_of(self, env)
        shape = shape_of(source.collector)
        n_actions, action_dim = source.collector.n_actions, source.collector.action_dim
        agent = agent_of(self, math.prod(shape), n_actions, action_dim, seeded(seed))
        checkpoint = checkpoint_at(self.checkpoint, lambda: fingerprint(self, env, agent, seed))
        device = next(agent.parameters()).device
        with private_randomness(seed, device):
            result = train(
                agent,
                agent.loss(self.clip),
                source,
                max_iter=self.max_iter,
                learning_rate=self.learning_rate,
                schedule="cosine",
                max_grad_norm=0.5,
                checkpoint=checkpoint,
                callbacks=(lambda entry: entry.update(source.summary), *callbacks),
                progress=self.verbose > 0,
                seed=seed,
            )
        agent.zero_grad(set_to_none=True)
        self.agent_ = agent
        self.env_ = env
        self.n_actions_, self.action_dim_ = n_actions, action_dim
        self.observation_shape_ = shape
        self.history_ = result.history
        self.budget_ = {**spent(source.budget, source.kinds), "seconds": result.seconds}
        self._seed = seed
        return self

    def decide(self, observation: Any) -> Any:
        """Take the likeliest action in n states, as they are observed.

        Parameters
        ----------
        observation : State, Tensor or ndarray
            The n states of a simulator, or observations (n, ...).

        Returns
        -------
        Tensor, or ndarray for an ndarray
            Actions of int64 of shape (n,), or from -1 to 1 of shape (n, action_dim).

        Raises
        ------
        InvalidInputError
            If shapes are other ones, an observation is not finite, or states are given and there is
            no simulator.
        """
        check_is_fitted(self)
        given = observation
        if isinstance(observation, Mapping):
            given = self.env_of(None).observe(observation)
        given = check_observations(given, self.observation_shape_)
        broken = ~torch.isfinite(given.flatten(1)).all(1)
        if broken.any():
            raise InvalidInputError(
                f"decide: got an observation that is not finite in row {int(broken.nonzero()[0])}, "
                "expected finite numbers"
            )
        with torch.no_grad():
            decided = self.agent_.best(self.agent_.scaled(given))
        return decided.cpu().numpy() if isinstance(observation, np.ndarray) else decided

    def score(
        self,
        env: Any = None,
        n_episodes: int = 256,
        *,
        attack: Any = None,
        random_state: Any = None,
    ) -> float:
        """Return the mean return of episodes, not discounted, of the likeliest actions.

        Parameters
        ----------
        env : BatchedModel or VectorEnv, optional
            Where to act. Default: that of ``fit``.
        n_episodes : int, default=256
            Played side by side.
        attack : AbstractAttack, name of one, or "worst", optional
            Who moves what is seen, by up to ``epsilon``: see ``make_attack``. ``"worst"`` is the
            least mean over all of them, of which ``"learned"`` takes a training of its own.
            Default: nobody.
        random_state : int, Generator, RandomState or None
            Seeds the first states and the attack. Default: one that follows from that of ``fit``,
            which began in other states.

        Returns
        -------
        float
            The mean return, the larger the better.

        Raises
        ------
        InvalidInputError
            If there is no environment or no episode, or the environment has other actions, or there
            is no such attack.
        """
        check_is_fitted(self)
        from dfl.rl.robust.evaluation import ATTACKS, evaluate  # attacks learn by this class

        asked = () if attack is None else ATTACKS if attack == "worst" else (attack,)
        report = evaluate(
            self, env, attacks=asked, n_episodes=n_episodes, random_state=random_state
        )
        if attack is None:
            return float(report.natural.mean())
        if attack == "worst":
            return report.worst
        return float(next(iter(report.attacked.values())).mean())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        predictor: nn.Module | None = None,
        *,
        model: Any = None,
    ) -> Self:
        """Load what ``save`` saved.

        Parameters
        ----------
        path : path
            The folder.
        predictor : None
            Not needed: agents are made from the parameters.
        model : BatchedModel or VectorEnv, optional
            The environment, whose code is not stored; without one the policy decides on
            observations.

        Returns
        -------
        RobustPolicyOptimizer

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        InvalidInputError
            If the folder is of another kind or was changed.
        """
        estimator = load_of(cls, path, predictor, "env_")
        if model is not None:
            estimator.env_ = model
        return estimator

    def env_of(self, env: Any) -> Any:
        """Return an environment, or that of ``fit`` for None; refuse one with other actions."""
        found = getattr(self, "env_", None) if env is None else env
        if found is None:
            raise InvalidInputError(
                "RobustPolicyOptimizer: there is no environment to act in; give one to load: "
                "load(path, model=...)"
            )
        collector = collector_of(found, 1, None)
        actions = collector.n_actions, collector.action_dim
        check_actions(self, found, actions, (self.n_actions_, self.action_dim_))
        return found

    def seed_of(self, random_state: Any) -> int:
        """Return the seed of first states; for None one that ``fit`` did not draw from."""
        return later_seed(self._seed, random_state)

    def _module(self, weights: dict[str, Tensor]) -> nn.Module | None:
        n_inputs = math.prod(self.observation_shape_)
        return agent_of(self, n_inputs, self.n_actions_, self.action_dim_, None)
