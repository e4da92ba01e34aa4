"""Policies that are learned by search in a simulator."""

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
from dfl.rl.envs.model import BatchedModel, State
from dfl.rl.envs.play import Decide, play
from dfl.rl.fitting import checkpoint_at, spent
from dfl.rl.seeds import drawn_seed, later_seed, seeded
from dfl.rl.simulators import check_actions, check_observations
from dfl.rl.smc.acting import by_network, by_search, likeliest
from dfl.rl.smc.law import ActionLaw, law_of, make_law
from dfl.rl.smc.network import PolicyValueNetwork
from dfl.rl.smc.preparation import (
    check_numbers,
    fingerprint,
    learner_of,
    search_of,
    source_of,
)
from dfl.training import train
from dfl.training.train import Callback


@final
class SMCPolicyOptimizer(BaseDecisionEstimator):
    r"""Learn to act by imitating what a search in a simulator finds.

    Use it where decisions follow one another, what they are worth shows later, and there is a
    simulator that can be copied at any state. At each step ``smc_search`` looks ahead from the
    present policy; the policy learns the weighted actions, and a critic what states are worth, so
    that the next search starts from a better one. After training the network acts alone, or guides
    searches of any size.

    Parameters
    ----------
    network : "mlp" or nn.Module, default="mlp"
        From observations (n, ...) to how to act (n, p) and values (n,): ``n_actions`` logits, or
        ``2 action_dim`` numbers; see ``smc_search``. A module is copied, and trained on the device
        where it is, whatever that of the simulator; ``"mlp"`` is a ``PolicyValueNetwork`` with two
        layers of 256, where the simulator is.
    max_iter : int, default=100
        Number of epochs. In each, ``n_environments * rollout_length`` steps are taken, and
        ``n_updates`` batches are learned from.
    n_environments, rollout_length, n_rollouts, n_updates, batch_size, discount, trace
        See ``SMCRollouts``.
    n_particles, depth, period, least_effective
        See ``smc_search``.
    temperature : float, default=1.0
        The first one, in units of the rewards; it adapts.
    divergence : float, default=0.5
        What the weights of a search are to differ from equal ones, in nats; below the logarithm of
        ``n_particles``. The temperature follows from it.
    policy_divergence : float or (float, float), optional
        What the policy may differ from its slow copy after an update, in nats. For continuous
        actions, of the means and of the deviations, in each coordinate. Default: 0.01, or
        (0.05, 0.0005).
    target_rate : float, default=0.05
        Share of the way to the network that its copy goes at each update.
    learning_rate : float, default=1e-3
        Of the network, by Adam.
    dual_learning_rate : float, default=1e-2
        Of the temperature and of the price of leaving the copy: shares that a step changes them by.
    max_episode_steps : int, default=1000
        Episodes are truncated after so many steps, whatever the model does.
    checkpoint : path, optional
        File that keeps the state of ``fit``; a killed fit continues from it to the same weights.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the first weights, the environments, the searches and the batches.

    Attributes
    ----------
    network_ : nn.Module
        The trained module.
    temperature_ : float
        The temperature at the end.
    model_ : BatchedModel
        The simulator, for searches; a loaded estimator has the one that ``load`` was given.
    history_ : list of dict
        Per epoch: ``loss``, mean ``return`` of the ``episodes`` that ended, if any did,
        ``temperature``, ``divergence``, ``policy_divergence``, ``learning_rate``, ``seconds``, and
        what was spent so far: ``env_steps``, ``model_steps``, ``optimizer_steps``.
    budget_ : dict of str to float
        What ``fit`` spent: ``env_steps``, ``model_steps``, ``optimizer_steps`` and ``seconds``.
    n_actions_, action_dim_ : int or None
        Those of the model.

    Notes
    -----
    Each epoch is an expectation step, by search, and a part of a maximization step: see ``Learner``
    for the loss. Deterministic simulators are assumed; elsewhere the search takes luck for merit.

    References
    ----------
    Macfarlane, Toledo, Byrne, Duckworth & Laterre, "SPO: Sequential Monte Carlo Policy
    Optimisation", NeurIPS 2024, arXiv 2402.07963.

    Examples
    --------
    >>> from dfl.rl.envs import two_step_model
    >>> from dfl.rl.smc import SMCPolicyOptimizer
    >>> optimizer = SMCPolicyOptimizer(max_iter=5, rollout_length=4, depth=2, random_state=0)
    >>> optimizer.fit(two_step_model()).score(n_episodes=100) > 0.5  # at random: 0.25
    True
    """

    network_: nn.Module
    model_: BatchedModel
    history_: list[dict[str, float]]
    budget_: dict[str, float]

    def __init__(
        self,
        network: str | nn.Module = "mlp",
        *,
        max_iter: int = 100,
        n_environments: int = 64,
        rollout_length: int = 16,
        n_rollouts: int = 8,
        n_updates: int = 16,
        batch_size: int = 32,
        discount: float = 0.99,
        trace: float = 0.95,
        n_particles: int = 16,
        depth: int = 4,
        period: int | None = None,
        least_effective: float | None = None,
        temperature: float = 1.0,
        divergence: float = 0.5,
        policy_divergence: float | tuple[float, float] | None = None,
        target_rate: float = 0.05,
        learning_rate: float = 1e-3,
        dual_learning_rate: float = 1e-2,
        max_episode_steps: int = 1000,
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.network = network
        self.max_iter = max_iter
        self.n_environments = n_environments
        self.rollout_length = rollout_length
        self.n_rollouts = n_rollouts
        self.n_updates = n_updates
        self.batch_size = batch_size
        self.discount = discount
        self.trace = trace
        self.n_particles = n_particles
        self.depth = depth
        self.period = period
        self.least_effective = least_effective
        self.temperature = temperature
        self.divergence = divergence
        self.policy_divergence = policy_divergence
        self.target_rate = target_rate
        self.learning_rate = learning_rate
        self.dual_learning_rate = dual_learning_rate
        self.max_episode_steps = max_episode_steps
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, model: BatchedModel, *, callbacks: Sequence[Callback] = ()) -> Self:
        """Learn a policy for a simulator.

        Parameters
        ----------
        model : BatchedModel
            The simulator.
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
            If a parameter is out of its range, the network returns other shapes, or rewards or what
            it returns are not finite.
        TrainingError
            If training diverges, or ``checkpoint`` belongs to another fit.
        """
        law = law_of(model)
        check_numbers(self)
        seed = drawn_seed(self.random_state)
        first = model.observe(model.reset(2, seeded(seed)))
        learner = learner_of(self, first, law, seed)
        source = source_of(self, model)
        checkpoint = checkpoint_at(
            self.checkpoint, lambda: fingerprint(self, model, learner.network, seed)
        )
        with private_randomness(seed, learner.budgets.device):
            result = train(
                learner,
                learner.loss(),
                source,
                max_iter=self.max_iter,
                optimizer=learner.adam(self.learning_rate, self.dual_learning_rate),
                checkpoint=checkpoint,
                callbacks=(lambda entry: entry.update(source.summary), *callbacks),
                progress=self.verbose > 0,
                seed=seed,
            )
        self.network_ = learner.network
        self.temperature_ = learner.temperature
        self.model_ = model
        self.n_actions_, self.action_dim_ = model.n_actions, model.action_dim
        self.observation_shape_ = tuple(first.shape[1:])
        self.history_ = result.history
        self.budget_ = {**spent(source.budget, source.kinds), "seconds": result.seconds}
        self._seed = seed
        return self

    def decide(
        self,
        observation: State | Tensor | np.ndarray,
        search: bool = True,
        random_state: Any = None,
    ) -> Any:
        """Act in n states.

        Parameters
        ----------
        observation : State, Tensor or ndarray
            The n states of the simulator, or observations (n, ...), which suffice without search.
        search : bool, default=True
            Look ahead, and draw from what was found. Else take the likeliest action of the network.
        random_state : int, Generator, RandomState or None
            Seeds the search. Default: one that follows from that of ``fit``, so that the same
            states get the same actions.

        Returns
        -------
        Tensor, or ndarray for an ndarray
            Actions of int64 of shape (n,), or from -1 to 1 of shape (n, action_dim).

        Raises
        ------
        InvalidInputError
            If there is nothing to search in, or shapes are other ones.
        """
        check_is_fitted(self)
        if isinstance(observation, Mapping):
            act = self._act(self._known(None), search)
            return act(observation, self._generator(random_state))
        if search:
            raise InvalidInputError(
                f"decide: got observations of type {type(observation).__name__}, and a search "
                "starts from states of the simulator; pass these, or search=False"
            )
        given = check_observations(observation, self.observation_shape_)
        decided = likeliest(self.network_, self._law(), given)
        return decided if isinstance(observation, Tensor) else decided.cpu().numpy()

    def score(
        self,
        model: BatchedModel | None = None,
        n_episodes: int = 256,
        *,
        search: bool = True,
        random_state: Any = None,
    ) -> float:
        """Return the mean return of episodes, not discounted.

        Parameters
        ----------
        model : BatchedModel, optional
            Where to act. Default: the model of ``fit``.
        n_episodes : int, default=256
            Played side by side, up to ``max_episode_steps`` each.
        search : bool, default=True
            Judge the network with search, or alone.
        random_state : int, Generator, RandomState or None
            Seeds the first states and the searches. Default: one that follows from that of ``fit``,
            which began in other states.

        Returns
        -------
        float
            The mean return, the larger the better.

        Raises
        ------
        InvalidInputError
            If there is no model or no episode, or the model has other actions.
        """
        check_is_fitted(self)
        known = self._known(model)
        returns = play(
            known,
            self._act(known, search),
            n_episodes,
            self.max_episode_steps,
            generator=self._generator(random_state),
        )
        return float(returns.mean())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        predictor: nn.Module | None = None,
        *,
        model: BatchedModel | None = None,
    ) -> Self:
        """Load what ``save`` saved.

        Parameters
        ----------
        path : path
            The folder.
        predictor : nn.Module, optional
            Where ``network`` was a module of your own: one of the same architecture. It is copied,
            and the saved weights are put into the copy.
        model : BatchedModel, optional
            The simulator, whose code is not stored; without one the network acts alone.

        Returns
        -------
        SMCPolicyOptimizer

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        InvalidInputError
            If the folder is of another kind or was changed, or the network is missing or has
            another architecture.
        """
        estimator = load_of(cls, path, predictor, "model_")
        if model is not None:
            estimator.model_ = model
        return estimator

    def _module(self, weights: dict[str, Tensor]) -> nn.Module | None:
        if self.network != "mlp":
            return None
        return PolicyValueNetwork(math.prod(self.observation_shape_), self._law().size)

    def _law(self) -> ActionLaw:
        return make_law(self.n_actions_, self.action_dim_)

    def _known(self, model: BatchedModel | None) -> BatchedModel:
        found = getattr(self, "model_", None) if model is None else model
        if found is None:
            raise InvalidInputError(
                "SMCPolicyOptimizer: there is no simulator to search in; give one to load: "
                "load(path, model=...)"
            )
        actions = found.n_actions, found.action_dim
        check_actions(self, found, actions, (self.n_actions_, self.action_dim_))
        return found

    def _act(self, model: BatchedModel, search: bool) -> Decide:
        if not search:
            return by_network(self.network_, self._law(), model)
        return by_search(self.network_, search_of(self), model, self.temperature_)

    def _generator(self, random_state: Any) -> torch.Generator:
        return seeded(later_seed(self._seed, random_state))
