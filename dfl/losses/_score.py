"""The mean of numbers that depend on noisy outputs, with its likelihood-ratio gradient."""

from __future__ import annotations

from typing import Literal, final

from torch import Generator, Tensor

from dfl._validation import check_positive
from dfl.exceptions import InvalidInputError
from dfl.layers.noise import Normal
from dfl.losses.weighted_likelihood import WeightedLikelihoodLoss
from dfl.montecarlo.samples import WeightedSamples
from dfl.montecarlo.weights import centered, leave_one_out, standardized

Baseline = Literal["leave-one-out", "mean", "standardized"]
_BASELINES = {"leave-one-out": leave_one_out, "mean": centered, "standardized": standardized}


@final
class NormalScore:
    """Draws around outputs, and the mean of what they cause.

    Parameters
    ----------
    name : str
        Of the loss, for errors.
    sigma : float
    n_samples : int
    baseline : {"leave-one-out", "mean", "standardized"}

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.
    """

    def __init__(self, name: str, sigma: float, n_samples: int, baseline: Baseline) -> None:
        check_positive(name, sigma=sigma)
        if n_samples < 2:
            raise InvalidInputError(
                f"{name}: got n_samples={n_samples}, expected at least 2: the regret of "
                "one draw is compared with that of others"
            )
        if baseline not in _BASELINES:
            raise InvalidInputError(
                f"{name}: got baseline={baseline!r}, expected one of: {', '.join(_BASELINES)}"
            )
        self.sigma = sigma
        self.n_samples = n_samples
        self.baseline = baseline
        self.likelihood = WeightedLikelihoodLoss(log_prob=self.log_density)

    def log_density(self, output: Tensor, drawn: Tensor) -> Tensor:
        """Log-density (n, k), but for a constant, of draws (n, k, d) around outputs (n, d)."""
        return -((drawn - output[:, None]) ** 2).sum(-1) / (2 * self.sigma**2)

    def draw(self, output: Tensor, generator: Generator, mask: Tensor | None = None) -> Tensor:
        """Draw (n, k, d) around outputs (n, d), without gradient."""
        n, d = output.shape
        law = Normal()
        noise = law.draw((n, self.n_samples, d), output, generator)
        if mask is not None:  # padding has no noise, hence no gradient
            noise = noise * mask.to(noise.device)[:, None]
        return law.perturb(output.detach(), noise, self.sigma)

    def mean(self, output: Tensor, drawn: Tensor, values: Tensor) -> Tensor:
        """Mean (n,) of values (n, k) of draws; its gradient is that of the expectation."""
        advantages = _BASELINES[self.baseline](-values)
        samples = WeightedSamples(drawn, advantages / self.n_samples)
        score = self.likelihood.per_sample(output, samples)
        return values.mean(1) + score - score.detach()
