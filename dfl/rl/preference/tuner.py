"""Diffusion models tuned by stepwise preferences."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dfl.estimators._randomness import private_randomness
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.files import load_of
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.fitting import checkpoint_at, spent
from dfl.rl.preference.checks import check_conditions
from dfl.rl.preference.preparation import checked_denoiser, fingerprint, learner_of, source_of
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.sampling import placed, precision_of, sample
from dfl.rl.preference.time_weight import TimeWeight
from dfl.rl.preference.transition import DDIMTransition
from dfl.rl.seeds import drawn_seed, later_seed, seeded
from dfl.training import train
from dfl.training.train import Callback


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
            The fitted estimator.

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
        denoiser = checked_denoiser(self)
        check_conditions(conditions)
        conditions = placed(conditions, denoiser)
        transition = DDIMTransition.of(self.scheduler, self.n_steps, self.eta)
        seed = drawn_seed(self.random_state)
        learner = learner_of(self, denoiser, transition)
        source = source_of(self, conditions)
        checkpoint = checkpoint_at(
            self.checkpoint, lambda: fingerprint(self, learner, seed, conditions)
        )
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
        self.budget_ = {**spent(source.budget, source.kinds), "seconds": result.seconds}
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
            Finished samples.

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
            generator=seeded(later_seed(self._seed, random_state)),
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
            The mean reward, the larger the better.

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
        estimator = load_of(cls, path, predictor)
        estimator.reward, estimator.scheduler = reward, scheduler
        return estimator
