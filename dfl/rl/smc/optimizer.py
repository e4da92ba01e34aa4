"""Policies that are learned by search in a simulator."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dfl.estimators._randomness import generator_of, private_randomness
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.files import load_of
from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel, State
from dfl.rl.envs.play import play
from dfl.rl.smc.law import law_of, make_law
from dfl.rl.smc.learner import Learner
from dfl.rl.smc.network import PolicyValueNetwork, seen_by
from dfl.rl.smc.preparation import (
    check_numbers,
    fingerprint,
    first_network,
    policy_budgets,
    seeded,
)
from dfl.rl.smc.rollouts import SMCRollouts
from dfl.rl.smc.search import SearchResult, smc_search
from dfl.training import Checkpoint, train
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
        seed = int(generator_of(self.random_state).integers(2**62))
        first = model.observe(model.reset(2, seeded(seed)))
        network = first_network(self.network, first, law, seed)
        learner = Learner(
            network,
            law,
            temperature=self.temperature,
            divergence=self.divergence,
            policy_divergence=policy_budgets(self.policy_divergence, law),
            target_rate=self.target_rate,
        )
        source = SMCRollouts(
            model,
            self._search(),
            n_environments=self.n_environments,
            rollout_length=self.rollout_length,
            n_rollouts=self.n_rollouts,
            n_updates=self.n_updates,
            batch_size=self.batch_size,
            discount=self.discount,
            trace=self.trace,
            max_episode_steps=self.max_episode_steps,
        )
        checkpoint = None
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, fingerprint(self, model, network, seed))
        prices = [learner.log_temperature, learner.log_multipliers]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in network.parameters() if p.requires_grad]},
            {"params": prices, "lr": self.dual_learning_rate},
        ]
        with private_randomness(seed, learner.budgets.device):
            result = train(
                learner,
                learner.loss(),
                source,
                max_iter=self.max_iter,
                optimizer=torch.optim.Adam(groups, lr=self.learning_rate, fused=True),
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
        self.budget_ = {kind: source.budget.spent(kind) for kind in source.kinds}
        self.budget_["seconds"] = result.seconds
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
            return self._act(search)(observation, self._generator(random_state))
        if search:
            raise InvalidInputError(
                f"decide: got observations of type {type(observation).__name__}, and a search "
                "starts from states of the simulator; pass these, or search=False"
            )
        given = torch.as_tensor(observation)
        if tuple(given.shape[1:]) != self.observation_shape_:
            raise InvalidInputError(
                f"decide: got observations of shape {tuple(given.shape)}, expected "
                f"(n, {', '.join(map(str, self.observation_shape_))})"
            )
        decided = self._likeliest(given)
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
        return float(
            play(
                self._known(model),
                self._act(search, model),
                n_episodes,
                self.max_episode_steps,
                generator=self._generator(random_state),
            ).mean()
        )

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
        size = make_law(self.n_actions_, self.action_dim_).size
        return PolicyValueNetwork(math.prod(self.observation_shape_), size)

    def _search(self) -> functools.partial[SearchResult]:
        return functools.partial(
            smc_search,
            n_particles=self.n_particles,
            depth=self.depth,
            period=self.period,
            least_effective=self.least_effective,
        )

    def _known(self, model: BatchedModel | None) -> BatchedModel:
        found = getattr(self, "model_", None) if model is None else model
        if found is None:
            raise InvalidInputError(
                "SMCPolicyOptimizer: there is no simulator to search in; give one to load: "
                "load(path, model=...)"
            )
        if (found.n_actions, found.action_dim) != (self.n_actions_, self.action_dim_):
            raise InvalidInputError(
                f"SMCPolicyOptimizer: got a {type(found).__name__} with n_actions="
                f"{found.n_actions} and action_dim={found.action_dim}, expected "
                f"{self.n_actions_} and {self.action_dim_}, as in fit"
            )
        return found

    def _act(self, search: bool, model: BatchedModel | None = None) -> Any:
        """Return what acts in states, for ``play``."""
        known = self._known(model)
        if not search:
            return lambda state, generator: self._likeliest(known.observe(state))
        find = self._search()

        def act(state: State, generator: torch.Generator) -> Tensor:
            found = find(
                known, self.network_, state, temperature=self.temperature_, generator=generator
            )
            return found.actions

        return act

    @torch.no_grad()
    def _likeliest(self, observations: Tensor) -> Tensor:
        if observations.is_floating_point():
            observations = observations.to(next(self.network_.parameters()).dtype)
        parameters, _ = self.network_(seen_by(self.network_, observations))
        law = make_law(self.n_actions_, self.action_dim_)
        return law.action(law.best(parameters)).to(observations.device)

    def _generator(self, random_state: Any) -> torch.Generator:
        if random_state is None:  # not what was drawn in fit: nobody is judged where he learned
            return seeded(self._seed + 1)
        return seeded(int(generator_of(random_state).integers(2**62)))
