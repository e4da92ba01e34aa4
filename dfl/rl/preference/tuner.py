"""Diffusion models tuned by stepwise preferences."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dfl.estimators._fingerprint import digest
from dfl.estimators._randomness import generator_of, private_randomness
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.files import load_as
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.preference.candidates import StepwiseCandidates
from dfl.rl.preference.checks import check_conditions
from dfl.rl.preference.directions import make_direction
from dfl.rl.preference.learner import StepwiseLearner, trained_copy
from dfl.rl.preference.objectives import make_objective
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.sampling import placed, precision_of, sample
from dfl.rl.preference.time_weight import TimeWeight, time_weights
from dfl.rl.preference.transition import DDIMTransition
from dfl.rl.preference.unets import Prompts
from dfl.training import Checkpoint, train
from dfl.training.train import Callback

# what does not change what is learned
_UNTOLD = ("denoiser", "scheduler", "reward", "checkpoint", "verbose", "random_state")


@final
class StepwisePreferenceTuner(BaseDecisionEstimator):
    r"""Tune a diffusion model to what is wanted of its samples, step by step.

    Use it where a model samples well but not what you want, and a function judges samples: a
    preference model, a classifier, a simulator. It need not have a gradient. At each step of the
    sampler, candidates are drawn from one x and judged by what they are expected to become; the
    denoiser is moved where the better ones are, and held near the one that it began as.

    Parameters
    ----------
    denoiser : nn.Module
        From x (n, ...), times (n,) and conditions, or None, to what is predicted, of the shape of
        x. It is copied; parameters that require no gradient are shared and stay as they are.
    scheduler : NoiseSchedule or diffusers.DDIMScheduler
        One that does not clip.
    reward : callable
        From samples (n, ...), times (n,) and conditions, or None, to what each is worth, (n,), the
        larger the better. Samples are expected ones, predicted at these times; 0 is for finished
        ones.
    shape : tuple of int
        Of one sample.
    loss : {"gradspo", "spo", "regress"}, default="gradspo"
        See ``GuidancePreference``, ``LikelihoodPreference`` and ``GuidanceRegression``. The second
        samples from the denoiser itself, the others from its slow copy.
    direction : {"pair", "winner", "all", "antithetic", "gradient"}, default="pair"
        See ``make_direction``. With noise in the reward ``"all"`` learns from more.
    weight : {"grad", "spo", "uniform"} or callable, optional
        What each step counts; see ``time_weights``. Default: ``"spo"`` for the loss of that name,
        else ``"grad"``.
    guidance : float, default=0.5
        Strength of the weight ``"grad"``.
    n_candidates, n_chains, batch_size, start_step
        See ``StepwiseCandidates``.
    threshold : float, default=0.0
        A pair counts only if ``tanh`` of half its difference of rewards is above.
    beta : float, default=10.0
        What a difference of log-ratios counts; see ``PreferenceLoss``.
    ratio_clip : float or None, default=0.1
        Log-ratios outside ``log(1 - ratio_clip)`` to ``log(1 + ratio_clip)`` teach no more.
    decay : float, default=0.9
        Share of itself that the slow copy keeps at each update.
    divergence_limit : float, optional
        Stop after the epoch in which the path of the sampler is farther than this from that of the
        reference, in nats. It is measured while sampling, before the updates of that epoch, so that
        what is returned is farther, the more so the larger the learning rate. Default: never.
    n_steps : int, default=20
        Of the sampler.
    eta : float, default=1.0
        Share of noise in each step, above 0.
    max_iter : int, default=10
        Number of epochs: passes of ``n_chains`` samplers.
    learning_rate : float, default=1e-4
        Of Adam; it is the parameter to be tuned.
    max_grad_norm : float or None, default=1.0
        Longer gradients are cut to this length.
    checkpoint : path, optional
        File that keeps the state of ``fit``; a killed fit continues from it to the same weights.
        What a reward remembers, such as a generator of its own, is not in it.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the samplers, the candidates and the batches.

    Attributes
    ----------
    denoiser_ : nn.Module
        The tuned one.
    history_ : list of dict
        Per epoch: ``loss``, mean ``reward`` of the candidates of the last step, the share of steps
        that were ``valid``, ``path_divergence`` of the sampler from the reference in nats,
        ``learning_rate``, ``seconds``, and what was spent so far: ``reward_queries``,
        ``denoiser_calls``, ``optimizer_steps``.
    budget_ : dict of str to float
        What ``fit`` spent: ``reward_queries``, ``denoiser_calls`` of the sampler,
        ``optimizer_steps`` and ``seconds``.
    steps_ : dict
        The steps of the sampler, which a loaded estimator samples by.

    Notes
    -----
    An epoch costs ``n_chains n_candidates (n_steps - start_step)`` reward queries, less those of
    steps without noise. Losses are those of published code, in which the slow copy, the direction
    and the weight of time go together; here they are choices apart.

    References
    ----------
    Liang et al., "Aesthetic Post-Training Diffusion Models from Generic Preferences with Step-by-
    step Preference Optimization", CVPR 2025, arXiv 2406.04314.
    Tee, Yoon, Syarubany, Yoon & Yoo, "A Gradient Guidance Perspective on Stepwise Preference
    Optimization for Diffusion Models", NeurIPS 2025.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import NoiseSchedule, StepwisePreferenceTuner
    >>> from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> denoiser = GaussianDenoiser(schedule, schedule.times(10), shape=(2,))
    >>> reward = DistanceReward(torch.tensor([2.0, 0.0]))
    >>> tuner = StepwisePreferenceTuner(
    ...     denoiser, schedule, reward, shape=(2,), n_steps=10, learning_rate=0.03, random_state=0
    ... )
    >>> tuner.fit().decide(4).shape
    torch.Size([4, 2])
    >>> tuner.score(500) > -2.5  # untuned: -2.9
    True
    """

    denoiser_: nn.Module
    history_: list[dict[str, float]]
    budget_: dict[str, float]
    steps_: dict[str, Any]

    def __init__(
        self,
        denoiser: nn.Module | None = None,
        scheduler: Any = None,
        reward: Reward | None = None,
        shape: tuple[int, ...] | None = None,
        *,
        loss: str = "gradspo",
        direction: str = "pair",
        weight: TimeWeight | None = None,
        guidance: float = 0.5,
        n_candidates: int = 4,
        n_chains: int = 64,
        batch_size: int = 64,
        start_step: int = 2,
        threshold: float = 0.0,
        beta: float = 10.0,
        ratio_clip: float | None = 0.1,
        decay: float = 0.9,
        divergence_limit: float | None = None,
        n_steps: int = 20,
        eta: float = 1.0,
        max_iter: int = 10,
        learning_rate: float = 1e-4,
        max_grad_norm: float | None = 1.0,
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.denoiser = denoiser
        self.scheduler = scheduler
        self.reward = reward
        self.shape = shape
        self.loss = loss
        self.direction = direction
        self.weight = weight
        self.guidance = guidance
        self.n_candidates = n_candidates
        self.n_chains = n_chains
        self.batch_size = batch_size
        self.start_step = start_step
        self.threshold = threshold
        self.beta = beta
        self.ratio_clip = ratio_clip
        self.decay = decay
        self.divergence_limit = divergence_limit
        self.n_steps = n_steps
        self.eta = eta
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_grad_norm = max_grad_norm
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, conditions: Any = None, *, callbacks: Sequence[Callback] = ()) -> Self:
        """Tune the denoiser.

        Parameters
        ----------
        conditions : Tensor of shape (m, ...) or other object of a length, optional
            What the denoiser and the reward are told, a row each; anything does that a tensor of
            row numbers indexes. A tensor is moved to where the denoiser is. Default: they are told
            None.
        callbacks : sequence of callables, default=()
            Each is called after each epoch with its entry of ``history_``; training stops if one
            returns True.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            If a parameter is out of its range, or the denoiser or the reward return other shapes
            or numbers that are not finite.
        UnsupportedError
            If the scheduler clips, or has no signal at some time.
        TrainingError
            If training diverges, or ``checkpoint`` belongs to another fit.
        """
        denoiser = self._checked()
        check_conditions(conditions)
        conditions = placed(conditions, denoiser)
        transition = DDIMTransition.of(self.scheduler, self.n_steps, self.eta)
        seed = int(generator_of(self.random_state).integers(2**62))
        budget = Budget()
        learner = self._learner(denoiser, transition)
        source = StepwiseCandidates(
            self.reward,  # type: ignore[arg-type]  # it is checked there
            tuple(self.shape or ()),
            make_direction(self.direction, self.n_candidates, self.threshold),
            n_candidates=self.n_candidates,
            n_chains=self.n_chains,
            batch_size=self.batch_size,
            start_step=self.start_step,
            conditions=conditions,
            slow_sampler=self.loss != "spo",
            budget=budget,
        )
        checkpoint = None
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, self._fingerprint(learner, seed, conditions))
        trained = [p for p in learner.denoiser.parameters() if p.requires_grad]
        device, _ = precision_of(denoiser)

        def note(entry: dict[str, float]) -> bool:
            entry.update(source.summary)
            limit = math.inf if self.divergence_limit is None else self.divergence_limit
            return entry["path_divergence"] > limit

        with private_randomness(seed, device):
            result = train(
                learner,
                learner.objective.loss(),
                source,
                max_iter=self.max_iter,
                optimizer=torch.optim.Adam(trained, lr=self.learning_rate),
                max_grad_norm=self.max_grad_norm,
                checkpoint=checkpoint,
                callbacks=(note, *callbacks),
                progress=self.verbose > 0,
                seed=seed,
            )
        self.denoiser_ = learner.denoiser
        self.steps_ = transition.to_dict()
        self.history_ = result.history
        self.budget_ = {kind: budget.spent(kind) for kind in source.kinds}
        self.budget_["seconds"] = result.history[-1]["seconds"] if result.history else 0.0
        self._conditioned = conditions is not None
        self._seed = seed
        return self

    def decide(self, n: Any = 1, *, eta: float | None = None, random_state: Any = None) -> Tensor:
        """Sample.

        Parameters
        ----------
        n : int, or conditions of length n
            How many samples; or what the denoiser is told, a row a sample.
        eta : float, optional
            Share of noise in each step, 0 for none. Default: that of ``fit``.
        random_state : int, Generator, RandomState or None
            Seeds the samples. Default: a seed that follows from that of ``fit``, so that the same
            call gives the same samples.

        Returns
        -------
        Tensor of shape (n, ...)

        Raises
        ------
        InvalidInputError
            If a number is given to a model that was tuned with conditions, or the other way round.
        """
        check_is_fitted(self)
        given = not isinstance(n, (int, np.integer))
        if given != self._conditioned:
            expected = "one condition a sample" if self._conditioned else "a number of samples"
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got {type(n).__name__}, expected {expected}, as fit "
                f"{'had' if self._conditioned else 'had no'} conditions"
            )
        if given:
            check_conditions(n)
        count = len(n) if given else int(n)
        if count < 1:
            raise InvalidInputError(f"got {count} samples to draw, expected at least 1")
        transition = DDIMTransition.from_dict(self.steps_)
        return sample(
            self.denoiser_,
            transition if eta is None else transition.with_eta(eta),
            tuple(self.shape or ()),
            count,
            generator=self._generator(random_state),
            conditions=n if given else None,
        )

    def score(self, n: Any = 256, *, random_state: Any = None) -> float:
        """Return the mean reward of new samples.

        Parameters
        ----------
        n, random_state
            As in ``decide``. The n queries are not in ``budget_``.

        Returns
        -------
        float

        Raises
        ------
        InvalidInputError
            As ``decide`` does, or if there is no reward, as after ``load`` without one.
        """
        samples = self.decide(n, random_state=random_state)
        reward = counted_reward(self.reward, Budget())  # type: ignore[arg-type]
        times = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
        with torch.no_grad():
            told = placed(n, self.denoiser_) if self._conditioned else None
            return float(reward(samples, times, told).mean())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        predictor: nn.Module | None = None,
        *,
        reward: Reward | None = None,
        scheduler: Any = None,
    ) -> Self:
        """Load what ``save`` saved.

        Parameters
        ----------
        path : path
            The folder.
        predictor : nn.Module
            A denoiser of the same architecture. It is copied, and the saved weights are put into
            the copy.
        reward : callable, optional
            Its code is not stored; ``score`` and ``fit`` need it.
        scheduler : NoiseSchedule or diffusers.DDIMScheduler, optional
            ``fit`` needs it; samples are drawn by the steps that were saved. A ``weight`` that is a
            function is not stored either: set it before ``fit``.

        Returns
        -------
        StepwisePreferenceTuner

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        InvalidInputError
            If the folder is of another kind or was changed, or the denoiser is missing or has
            another architecture.
        """

        def leaf_of(name: str) -> Any:
            if name != cls.__name__:
                raise InvalidInputError(
                    f"got an estimator of class {name!r}, expected {cls.__name__!r}"
                )
            return cls

        estimator: Self = load_as(path, leaf_of, predictor)
        estimator.reward, estimator.scheduler = reward, scheduler
        return estimator

    def _checked(self) -> nn.Module:
        if not isinstance(self.denoiser, nn.Module):
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got denoiser={self.denoiser!r}, expected an nn.Module "
                "that takes x, times and conditions"
            )
        if not any(p.requires_grad for p in self.denoiser.parameters()):
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got a denoiser of type {type(self.denoiser).__name__} "
                "without parameters that require a gradient, expected some to be trained"
            )
        shape = self.shape if isinstance(self.shape, Sequence) else ()
        if not shape or not all(isinstance(size, Integral) and int(size) >= 1 for size in shape):
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got shape={self.shape}, expected that of one sample, "
                "such as (3, 32, 32)"
            )
        for name in ("learning_rate", "guidance"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidInputError(
                    f"StepwisePreferenceTuner: got {name}={getattr(self, name)}, expected a "
                    "positive number"
                )
        if self.divergence_limit is not None and not self.divergence_limit > 0:
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got divergence_limit={self.divergence_limit}, expected "
                "a positive number of nats, or None"
            )
        if not 0 <= self.decay < 1:
            raise InvalidInputError(
                f"StepwisePreferenceTuner: got decay={self.decay}, expected 0 up to 1"
            )
        return self.denoiser

    def _learner(self, denoiser: nn.Module, transition: DDIMTransition) -> StepwiseLearner:
        weight = self.weight or ("spo" if self.loss == "spo" else "grad")
        objective = make_objective(
            self.loss,
            transition,
            time_weights(weight, transition, self.guidance),
            beta=self.beta,
            ratio_clip=self.ratio_clip,
        )
        return StepwiseLearner(trained_copy(denoiser), transition, objective, self.decay)

    def _generator(self, random_state: Any) -> torch.Generator:
        if random_state is None:  # not what was drawn in fit
            return torch.Generator().manual_seed(self._seed + 1)
        return torch.Generator().manual_seed(int(generator_of(random_state).integers(2**62)))

    def _fingerprint(self, learner: StepwiseLearner, seed: int, conditions: Any) -> str:
        told = {k: v for k, v in self.get_params(deep=False).items() if k not in _UNTOLD}
        steps = learner.transition
        arrays = [steps.times, steps.signal, steps.next_signal, *learner.state_dict().values()]
        texts: Any = conditions.texts if isinstance(conditions, Prompts) else None
        if isinstance(conditions, np.ndarray):
            texts = conditions.tolist()
        rows = conditions.embeddings if isinstance(conditions, Prompts) else conditions
        if isinstance(rows, Tensor):
            arrays.append(rows)
        count = None if conditions is None else len(conditions)
        text = repr((seed, told, count, texts, steps.prediction_type, str(learner.denoiser)))
        # NumPy does not know every type of number: their bytes are as telling
        return digest(text, (a.detach().reshape(-1).contiguous().view(torch.uint8) for a in arrays))
