"""Moments and scores of the laws of noise, and the direction of weighted noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from dfl.exceptions import InvalidInputError
from dfl.layers import Gumbel, LogNormal, Normal, SumOfGamma, noise_by_name
from dfl.montecarlo import direction

LIKE = torch.zeros(1, dtype=torch.float64)
LAWS = {"normal": Normal(), "gumbel": Gumbel(), "multiplicative": LogNormal()}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", LAWS)
def test_same_seed_same_noise_in_the_type_of_the_costs(name: str) -> None:
    law = noise_by_name(name)
    assert law == LAWS[name]
    for dtype in (torch.float32, torch.float64):
        like = torch.zeros(1, dtype=dtype)
        draws = [law.draw((4, 3, 2), like, seeded(seed)) for seed in (1, 1, 2)]
        assert draws[0].dtype == dtype
        assert draws[0].shape == (4, 3, 2)
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def test_distributions() -> None:
    n = 20_000
    cases = [
        (Normal().draw((n,), LIKE, seeded()), stats.norm().cdf),
        (Gumbel().draw((n,), LIKE, seeded()), stats.gumbel_r(loc=-np.euler_gamma).cdf),
    ]
    for draws, cdf in cases:
        assert stats.kstest(draws.numpy(), cdf).pvalue > 1e-3


def test_sum_of_gamma_has_its_moments_and_sums_to_gumbel() -> None:
    kappa, s, n = 4, 200, 20_000
    draws = SumOfGamma(float(kappa), s).draw((n, kappa), LIKE, seeded())
    i = np.arange(1, s + 1)
    mean = ((1 / i).sum() - math.log(s)) / kappa
    variance = (1 / i**2).sum() / kappa
    standard_error = math.sqrt(variance / draws.numel())
    assert draws.mean().item() == pytest.approx(mean, abs=4 * standard_error)
    assert draws.var().item() == pytest.approx(variance, rel=0.05)
    # the limit is Gumbel; the missing terms shift it by less than 1 / s
    assert stats.kstest(draws.sum(1).numpy(), stats.gumbel_r().cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_scores_are_gradients_of_the_log_density(name: str, sigma: float) -> None:
    law, costs = LAWS[name], torch.tensor([[0.7, -1.3]], dtype=torch.float64)
    noise = law.draw((1, 5, 2), LIKE, seeded())
    perturbed = law.perturb(costs, noise, sigma).numpy()[0]

    def log_density(c: np.ndarray) -> np.ndarray:
        if name == "normal":
            return stats.norm.logpdf(perturbed, c, sigma)
        if name == "gumbel":
            return stats.gumbel_r.logpdf((c - perturbed) / sigma, -np.euler_gamma) - np.log(sigma)
        log_mean = np.log(np.abs(c)) - sigma**2 / 2
        return stats.norm.logpdf(np.log(np.abs(perturbed)), log_mean, sigma)

    c, step = costs.numpy(), 1e-6
    numeric = (log_density(c + step) - log_density(c - step)) / (2 * step)
    found = law.score(costs, noise, sigma)[0]
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-7)


def test_multiplicative_noise_keeps_signs_zeros_and_the_mean() -> None:
    costs = torch.tensor([[2.0, -1.0, 0.0]], dtype=torch.float64)
    law = LogNormal()
    noise = law.draw((1, 50_000, 3), LIKE, seeded())
    perturbed = law.perturb(costs, noise, 0.5)
    assert torch.equal(perturbed.sign(), costs.sign()[:, None].expand_as(perturbed))
    spread = math.sqrt(math.expm1(0.25) / 50_000)
    np.testing.assert_allclose(perturbed.mean(1), costs, atol=4 * 2 * spread)
    assert (law.score(costs, noise, 0.5)[..., 2] == 0).all()


def test_direction_is_the_weighted_sum_and_the_gradient_of_an_expectation() -> None:
    rng = np.random.default_rng(0)
    noise, weights = (
        torch.tensor(rng.normal(size=(2, 5, 3, 2))),
        torch.tensor(rng.normal(size=(2, 5))),
    )
    expected = (noise * weights[:, :, None, None]).sum(1)
    np.testing.assert_allclose(direction(noise, weights), expected, atol=1e-12)
    # E[g(c + sigma Z) Z] / sigma is the gradient u of the linear g(c) = c.u
    k, u, sigma = 100_000, torch.tensor([1.0, -2.0], dtype=torch.float64), 0.7
    z = Normal().draw((1, k, 2), LIKE, seeded())
    values = (sigma * z) @ u
    found = direction(z, values / (k * sigma))[0]
    np.testing.assert_allclose(found, u, atol=4 * math.sqrt(9 / k))


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match="got noise 'uniform', expected one of: normal"):
        noise_by_name("uniform")
    with pytest.raises(InvalidInputError, match="kappa=0"):
        SumOfGamma(0.0)
    with pytest.raises(InvalidInputError, match="n_iterations=0"):
        SumOfGamma(n_iterations=0)
