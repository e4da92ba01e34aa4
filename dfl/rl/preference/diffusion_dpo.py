"""Preference tuning on finished samples, without steps: the usual yardstick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses import PreferenceLoss
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.fitting import trained_as
from dfl.rl.preference.adam import trained_part
from dfl.rl.preference.checks import check_conditions, check_counts
from dfl.rl.preference.learner import frozen_copy, predict, trained_copy
from dfl.rl.preference.pairs import pair_extremes
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.sampling import placed, rows_of, sample, shuffled
from dfl.rl.preference.transition import DDIMTransition


@final
@dataclass(frozen=True)
class NoisedPairs:
    """Input of a ``DenoisingLearner``: pairs of samples, noised alike.

    Attributes
    ----------
    x : Tensor of shape (n, 2, ...)
        The noised samples, the better first.
    noise : Tensor of shape (n, ...)
        The noise in both.
    steps : Tensor of int64 of shape (n,)
        Whose signal they have.
    conditions : object of length n or None
    """

    x: Tensor
    noise: Tensor
    steps: Tensor
    conditions: Any

    def __len__(self) -> int:
        return len(self.x)


@final
class DenoisingLearner(nn.Module):
    """A denoiser beside the one that it began as, judged by how well it sees noise.

    Parameters
    ----------
    denoiser : nn.Module
        What is trained, in place.
    transition : DDIMTransition
        Steps of the sampler, whose times are learned at.
    """

    def __init__(self, denoiser: nn.Module, transition: DDIMTransition) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.reference = frozen_copy(denoiser)
        self.transition = transition

    def forward(self, batch: NoisedPairs) -> Tensor:
        """Return log-probabilities (n, 2) up to a constant: minus half of mean squared errors."""
        return self.log_prob(self.denoiser, batch)

    def log_prob(self, denoiser: nn.Module, batch: NoisedPairs) -> Tensor:
        """Return those under another denoiser."""
        twice = torch.arange(len(batch), device=batch.x.device).repeat_interleave(2)
        conditions, steps = rows_of(batch.conditions, twice), batch.steps[twice]
        found = predict(denoiser, self.transition, batch.x.flatten(0, 1), steps, conditions)
        apart = found.reshape(batch.x.shape) - batch.noise[:, None]
        return -0.5 * (apart**2).flatten(2).mean(2)

    def train(self, mode: bool = True) -> DenoisingLearner:
        """Set the mode of the denoiser; the reference is always evaluated."""
        super().train(mode)
        self.reference.eval()
        return self


@final
class SamplePairs:
    """Pairs of finished samples, the better first, noised anew in each pass.

    Parameters
    ----------
    pairs : Tensor of shape (n, 2, ...)
        Samples, the better first.
    conditions : object of length n or None
        What each pair was sampled for.
    batch_size : int, default=64
        Pairs in a batch.
    budget : Budget, optional
        Is charged ``"optimizer_steps"``.

    Raises
    ------
    InvalidInputError
        If ``batch_size`` is below 1, or there are not n conditions.
    """

    def __init__(
        self,
        pairs: Tensor,
        conditions: Any = None,
        batch_size: int = 64,
        budget: Budget | None = None,
    ) -> None:
        check_counts((("batch_size", batch_size, 1),))
        check_conditions(conditions, len(pairs))
        self.pairs = pairs
        self.conditions = conditions
        self.batch_size = batch_size
        self.budget = Budget() if budget is None else budget

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[NoisedPairs, WeightedSamples]]:
        """Yield every pair once, with noise of a random step."""
        learner = trained_as(self, model, DenoisingLearner)
        transition = learner.transition
        for rows in shuffled(len(self.pairs), self.batch_size, generator):
            pairs = self.pairs[rows.to(self.pairs.device)]
            n = len(pairs)
            steps = torch.randint(len(transition), (n,), generator=generator).to(pairs.device)
            shape = pairs.shape[2:]
            noise = torch.randn(n, *shape, generator=generator, dtype=torch.float64).to(pairs)
            signal = transition.at(transition.signal, steps, pairs)
            x = signal.sqrt() * pairs + (1 - signal).sqrt() * noise[:, None]
            batch = NoisedPairs(x, noise, steps, rows_of(self.conditions, rows))
            with torch.no_grad():
                old = learner.log_prob(learner.reference, batch)
            weights = x.new_tensor([0.5, -0.5]).expand(n, 2)
            self.budget.charge("optimizer_steps", 1)
            yield batch, WeightedSamples(x, weights, old)


def tune_by_diffusion_dpo(
    denoiser: nn.Module,
    transition: DDIMTransition,
    reward: Reward,
    shape: tuple[int, ...],
    *,
    n_pairs: int,
    generator: torch.Generator,
    conditions: Any = None,
    beta: float = 100.0,
    max_iter: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    budget: Budget | None = None,
) -> nn.Module:
    r"""Tune a denoiser on pairs of its own finished samples.

    Parameters
    ----------
    denoiser : nn.Module
        It is copied; the copy is trained by Adam.
    transition : DDIMTransition
        How samples are drawn; its times are those that are trained.
    reward : callable
        See ``StepwisePreferenceTuner``. It costs two queries a pair.
    shape : tuple of int
        Of one sample.
    n_pairs : int
        Drawn once, from the denoiser as it is.
    generator : torch.Generator
        On the CPU; all randomness comes from it.
    conditions : object of length n_pairs, optional
        What the denoiser is told.
    beta : float, default=100.0
        What a difference of squared errors counts; results hang on it.
    max_iter, batch_size, learning_rate : default=10, 64 and 1e-4
        Epochs over the pairs, pairs in a batch, rate of Adam.
    budget : Budget, optional
        Is charged ``"reward_queries"`` and ``"optimizer_steps"``.

    Returns
    -------
    nn.Module
        The tuned copy.

    Raises
    ------
    InvalidInputError
        If no pair differs in reward, a number is out of range, there are not ``n_pairs``
        conditions, or nothing is to be trained.

    Notes
    -----
    ``log(1 + exp(beta / 2 ((m_w - m_l) - (m'_w - m'_l))))`` for mean squared errors m of the noise
    in the better and the worse sample, and m' those of the reference; time and noise are shared.

    References
    ----------
    Wallace et al., "Diffusion Model Alignment Using Direct Preference Optimization", CVPR 2024,
    arXiv 2311.12908.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule, sample, tune_by_diffusion_dpo
    >>> from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> steps = DDIMTransition.of(schedule, n_steps=10)
    >>> denoiser = GaussianDenoiser(schedule, steps.times, shape=(1,))
    >>> generator = torch.Generator().manual_seed(0)
    >>> tuned = tune_by_diffusion_dpo(
    ...     denoiser, steps, DistanceReward(torch.tensor([1.0])), (1,), n_pairs=512,
    ...     generator=generator, beta=1.0, max_iter=5, learning_rate=0.05,
    ... )
    >>> float(sample(tuned, steps, (1,), 500, generator=generator).mean()) > 0.3
    True
    """
    check_counts((("n_pairs", n_pairs, 1), ("batch_size", batch_size, 1)))
    check_conditions(conditions, n_pairs)
    conditions = placed(conditions, denoiser)
    budget = Budget() if budget is None else budget
    twice = torch.arange(n_pairs).repeat_interleave(2)
    told = rows_of(conditions, twice)
    drawn = sample(denoiser, transition, shape, len(twice), generator=generator, conditions=told)
    with torch.no_grad():
        zeros = torch.zeros(len(drawn), dtype=torch.int64, device=drawn.device)
        values = counted_reward(reward, budget)(drawn, zeros, told).reshape(n_pairs, 2)
    weights = pair_extremes(values, threshold=0.0)
    valid = (weights != 0).any(1)
    if not valid.any():
        raise InvalidInputError(
            f"got {n_pairs} pairs of samples whose rewards are all equal, expected some to differ"
        )
    order = weights.argsort(1, descending=True)
    rows = torch.arange(n_pairs, device=drawn.device)[:, None]
    pairs = drawn.reshape(n_pairs, 2, *shape)[rows, order][valid]
    kept = rows_of(conditions, torch.arange(n_pairs)[valid.cpu()])
    learner = DenoisingLearner(trained_copy(denoiser), transition)
    return trained_part(
        learner,
        learner.denoiser,
        PreferenceLoss(beta=beta),
        SamplePairs(pairs, kept, batch_size, budget),
        max_iter=max_iter,
        learning_rate=learning_rate,
        generator=generator,
    )
