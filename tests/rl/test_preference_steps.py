"""The steps of samplers, and the directions and losses made of their candidates, exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.montecarlo import WeightedSamples, direction
from dfl.rl.preference import (
    DDIMTransition,
    NoiseSchedule,
    StepBatch,
    follow,
    make_direction,
    make_objective,
    pair_extremes,
    sample,
    time_weights,
)
from dfl.rl.preference.tasks import GaussianDenoiser, gaussian_noise, tilted_noise

SCHEDULE = NoiseSchedule.linear()
STEPS = DDIMTransition.of(SCHEDULE, 20)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_step(deviation: float) -> DDIMTransition:
    half = torch.tensor([0.5], dtype=torch.float64)
    return DDIMTransition(torch.tensor([1]), half, half, half * 2 * deviation)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("one_at_end", [False, True])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_a_step_is_that_of_diffusers(kind: str, one_at_end: bool, eta: float, spacing: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=one_at_end,
        steps_offset=1 - one_at_end,
        prediction_type=kind,
        timestep_spacing=spacing,
    )
    # in single precision theirs loses five digits of what is left at the last step
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    steps = DDIMTransition.of(scheduler, 20, eta)
    assert scheduler.num_inference_steps is None  # the user's own is left alone
    scheduler.set_timesteps(20)
    assert steps.times.tolist() == scheduler.timesteps.tolist()
    x, output, drawn = (draws(20, 3, 4, seed=seed) for seed in range(3))
    # every row of the batch is at another step
    rows = torch.arange(20)
    found = steps.step(x, steps.noise(output, x, rows), rows, drawn)
    clean = steps.clean(x, steps.noise(output, x, rows), rows)
    for i, t in enumerate(scheduler.timesteps):
        noise = drawn[i] if eta > 0 else None
        known = scheduler.step(output[i], t, x[i], eta=eta, variance_noise=noise)
        torch.testing.assert_close(found[i], known.prev_sample, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(clean[i], known.pred_original_sample, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(steps.output(steps.noise(output, x, rows), x, rows), output)


def test_schedules_of_diffusers_and_of_this_library_are_the_same() -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    read = DDIMTransition.of(theirs, 20)
    assert read.times.tolist() == STEPS.times.tolist() == list(range(951, 0, -50))
    torch.testing.assert_close(read.deviations, STEPS.deviations, rtol=1e-4, atol=1e-7)


def test_what_a_scheduler_must_not_do_is_named() -> None:
    diffusers = pytest.importorskip("diffusers")
    with pytest.raises(UnsupportedError, match=r"clips.*clip_sample=False"):
        DDIMTransition.of(diffusers.DDIMScheduler())
    zero = diffusers.DDIMScheduler(
        clip_sample=False, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    with pytest.raises(UnsupportedError, match="no signal at time 999"):
        DDIMTransition.of(zero)
    with pytest.raises(InvalidInputError, match=r"DDPMScheduler.*from_config"):
        DDIMTransition.of(diffusers.DDPMScheduler())
    for steps, eta, words in ((0, 1.0, "n_steps=0"), (1001, 1.0, "1 to 1000"), (20, 1.5, "eta")):
        with pytest.raises(InvalidInputError, match=words):
            DDIMTransition.of(SCHEDULE, steps, eta)
    with pytest.raises(UnsupportedError, match="prediction_type='score'"):
        DDIMTransition.of(NoiseSchedule(SCHEDULE.alphas_cumprod, prediction_type="score"))


def test_the_log_density_of_a_step() -> None:
    offset = torch.tensor([[[0.3]]], dtype=torch.float64)
    found = one_step(0.5).log_prob(offset, 0)
    assert found.item() == pytest.approx(-0.4057914, abs=1e-7)
    # a mean over the coordinates, not a sum
    torch.testing.assert_close(one_step(0.5).log_prob(offset.repeat(1, 1, 7), 0), found)
    law = torch.distributions.Normal(0.0, STEPS.deviations[5])
    offset = 0.1 * draws(2, 3, 4)
    torch.testing.assert_close(STEPS.log_prob(offset, 5), law.log_prob(offset).mean(2))


def test_a_step_without_noise_has_no_density() -> None:
    still = DDIMTransition.of(SCHEDULE, 20, eta=0.0)
    x = draws(2, 3)
    assert torch.equal(still.step(x, x, 3, draws(2, 3, seed=1)), still.mean(x, x, 3))
    with pytest.raises(UnsupportedError, match="no density"):
        still.log_prob(x[:, None], 3)


def test_the_divergence_of_a_step_is_that_of_the_normal_laws() -> None:
    x, ours, theirs = (draws(4, 5, seed=seed) for seed in range(3))
    for i in (0, 7, 19):
        spread = STEPS.deviations[i]
        laws = [torch.distributions.Normal(STEPS.mean(x, e, i), spread) for e in (ours, theirs)]
        known = torch.distributions.kl_divergence(*laws).sum(1)
        torch.testing.assert_close(STEPS.divergence(ours - theirs, i), known)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    step=st.integers(0, 19),
    k=st.integers(2, 6),
    rule=st.sampled_from(["pair", "all"]),
)
def test_logits_are_linear_in_the_noise_predicted(seed: int, step: int, k: int, rule: str) -> None:
    """Without clipping, both preference losses have one logit but for the weight of time."""
    n, d, beta = 3, 5, 10.0
    noise = draws(n, k, d, seed=seed)
    x, now, reference, origin, anchor = (0.3 * draws(n, d, seed=seed + i) for i in range(1, 6))
    weights = make_direction(rule, k).weigh(draws(n, k, seed=seed + 9))
    ahead = direction(noise, weights)
    rows = torch.full((n,), step)
    linear = ((now - reference) * ahead).mean(1)
    for name, weight in (("spo", "spo"), ("gradspo", "grad"), ("spo", "grad"), ("gradspo", "spo")):
        times = time_weights(weight, STEPS)
        objective = make_objective(name, STEPS, times, beta=beta, ratio_clip=None)
        compared, given_weights = objective.candidates(noise, weights)
        batch = StepBatch(x, rows, None, compared, origin, anchor)
        ratios = objective.log_prob(now, batch) - objective.log_prob(reference, batch)
        logit = 2 * beta * (given_weights * ratios).sum(1)
        torch.testing.assert_close(logit, -beta * times[step] * linear, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["spo", "gradspo"])
def test_at_the_reference_loss_and_gradient_are_known(name: str) -> None:
    noise, x, same = draws(6, 4, 3, 2), draws(6, 3, 2, seed=1), draws(6, 3, 2, seed=2)
    weights = pair_extremes(draws(6, 4, seed=3))
    rows = torch.arange(6) * 3
    times = time_weights("spo" if name == "spo" else "grad", STEPS)
    objective = make_objective(name, STEPS, times)
    compared, used = objective.candidates(noise, weights)
    batch = StepBatch(x, rows, None, compared, same, same)
    predicted = same.clone().requires_grad_()
    old = objective.log_prob(same, batch)
    target = WeightedSamples(compared, used, old)
    loss = objective.loss()(objective.log_prob(predicted, batch), target, "none")
    torch.testing.assert_close(loss, torch.full_like(loss, math.log(2)))
    loss.sum().backward()
    ahead = direction(noise, weights)
    known = 10.0 * times[rows].reshape(-1, 1, 1) * ahead / (2 * 6)
    torch.testing.assert_close(predicted.grad, known, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["spo", "gradspo"])
def test_outside_the_clip_there_is_no_gradient(name: str) -> None:
    noise, x, zero = draws(4, 4, 3), draws(4, 3), torch.zeros(4, 3, dtype=torch.float64)
    rows = torch.full((4,), 10)
    objective = make_objective(name, STEPS, time_weights("spo", STEPS))
    compared, used = objective.candidates(noise, pair_extremes(draws(4, 4, seed=3)))
    batch = StepBatch(x, rows, None, compared, zero, zero)
    far = (zero + 50).requires_grad_()
    loss = objective.loss()(
        objective.log_prob(far, batch),
        WeightedSamples(compared, used, objective.log_prob(zero, batch)),
    )
    loss.backward()
    assert not far.grad.any()


def test_far_from_the_reference_the_slow_copy_is_a_trust_region() -> None:
    """Where slow copy and reference are far apart both ratios are clipped, whatever the noise."""
    noise, x = draws(4, 4, 50), draws(4, 50)
    zero = torch.zeros(4, 50, dtype=torch.float64)
    objective = make_objective("gradspo", STEPS, time_weights("grad", STEPS, 0.01))
    compared, used = objective.candidates(noise, pair_extremes(draws(4, 4, seed=3)))
    for away, learns in ((0.1, True), (0.5, False)):
        anchor = zero + away  # its mean square: 0.01 and 0.25, the clip at 0.095
        batch = StepBatch(x, torch.full((4,), 3), None, compared, zero, anchor)
        now = anchor.clone().requires_grad_()
        old = objective.log_prob(zero, batch)
        objective.loss()(
            objective.log_prob(now, batch), WeightedSamples(compared, used, old)
        ).backward()
        assert bool(now.grad.any()) is learns


def test_regression_aims_at_the_slow_copy_moved_against_the_direction() -> None:
    noise, x, anchor = draws(2, 4, 3), draws(2, 3, seed=1), draws(2, 3, seed=2)
    weights = make_direction("all", 4).weigh(draws(2, 4, seed=3))
    objective = make_objective("regress", STEPS, time_weights("grad", STEPS, 0.5))
    compared, used = objective.candidates(noise, weights)
    rows = torch.tensor([3, 8])
    batch = StepBatch(x, rows, None, compared, anchor=anchor)
    spread = (1 - STEPS.signal[rows]).sqrt()[:, None]
    aim = anchor - 0.5 * spread * direction(noise, weights)
    loss = objective.loss()(objective.log_prob(aim, batch), WeightedSamples(compared, used))
    assert loss.item() == pytest.approx(0.0, abs=1e-15)
    away = objective.loss()(objective.log_prob(aim + 0.5, batch), WeightedSamples(compared, used))
    assert away.item() == pytest.approx(0.25)


# mean along the slope of a linear value, and variance of a coordinate across
KNOWN = {
    ("pair", 2): (0.5642, 0.5),
    ("pair", 4): (1.0294, 0.5),
    ("pair", 16): (1.7660, 0.5),
    ("winner", 4): (1.0294, 1.0),
    ("winner", 16): (1.7660, 1.0),
    ("all", 4): (None, 0.25),
    ("all", 16): (None, 1 / 16),
    ("antithetic", 16): (None, 2 / 16),
}


@pytest.mark.parametrize(("name", "k"), KNOWN)
def test_directions_have_the_mean_and_the_variance_that_are_known(name: str, k: int) -> None:
    mean, variance = KNOWN[name, k]
    n = 20_000
    estimator = make_direction(name, k)
    noise = estimator.draw(n, k, (2,), torch.Generator().manual_seed(k))
    found = direction(noise, estimator.weigh(3.0 * noise[:, :, 0] - 1.0))
    if mean is not None:
        error = found[:, 0].std() / math.sqrt(n)
        assert float((found[:, 0].mean() - mean).abs()) < 3 * error
    across = found[:, 1]
    assert float(across.mean().abs()) < 3 * across.std() / math.sqrt(n)
    # the variance of a variance, from the fourth moment
    error = float((across**2).std()) / math.sqrt(n)
    assert float((across**2).mean()) == pytest.approx(variance, abs=3 * error)


def test_all_candidates_tell_more_than_the_pair_and_the_pair_more_than_the_winner() -> None:
    known = {2: (0.32, 0.63, 0.63), 4: (1.05, 2.11, 2.53), 16: (3.14, 6.26, 14.6)}
    for k, ratios in known.items():
        noise = draws(20_000, k, 2, seed=k)
        found = []
        for name in ("winner", "pair", "all"):
            ahead = direction(noise, make_direction(name, k).weigh(noise[:, :, 0]))
            found.append(float(ahead[:, 0].mean() ** 2 / ahead[:, 1].var()))
        assert found == pytest.approx(ratios, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["pair", "winner", "all"]), k=st.integers(2, 7), seed=st.integers(0, 99)
)
def test_directions_know_no_order_of_candidates_and_turn_with_the_values(
    name: str, k: int, seed: int
) -> None:
    noise, values = draws(3, k, 4, seed=seed), draws(3, k, seed=seed + 100)
    estimator = make_direction(name, k)
    ahead = direction(noise, estimator.weigh(values))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(k))
    other = direction(noise[:, order], estimator.weigh(values[:, order]))
    torch.testing.assert_close(other, ahead)
    if name != "winner":  # the better and the worse swapped
        torch.testing.assert_close(direction(noise, estimator.weigh(-values)), -ahead)


@pytest.mark.parametrize("name", ["pair", "winner", "all"])
def test_equal_values_say_nothing(name: str) -> None:
    weights = make_direction(name, 4).weigh(torch.full((2, 4), 0.1))
    assert not weights.any()


def test_a_threshold_leaves_out_pairs_that_hardly_differ() -> None:
    values = torch.tensor([[0.0, 0.5], [0.0, 0.7]])  # tanh of a half: 0.245 and 0.336
    for name in ("pair", "winner"):
        assert make_direction(name, 2, 0.3).weigh(values).any(1).tolist() == [False, True]


def test_directions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'nothing'"):
        make_direction("nothing", 4)
    with pytest.raises(InvalidInputError, match="even number"):
        make_direction("antithetic", 3)
    with pytest.raises(InvalidInputError, match="at least 2"):
        make_direction("pair", 1)


def test_weights_of_time() -> None:
    slopes, spread = STEPS.slopes, STEPS.deviations
    torch.testing.assert_close(time_weights("spo", STEPS), 2 * slopes / spread)
    torch.testing.assert_close(time_weights("grad", STEPS, 0.25), (1 - STEPS.signal).sqrt())
    assert time_weights("uniform", STEPS).tolist() == [1.0] * 20
    own = time_weights(lambda steps: steps.times / 1000, STEPS)
    torch.testing.assert_close(own, STEPS.times.double() / 1000)
    for wrong in ("late", lambda steps: -steps.signal, lambda steps: [1.0]):
        with pytest.raises(InvalidInputError, match="got weight"):
            time_weights(wrong, STEPS)


def test_the_strength_of_guidance_at_the_optimum_of_likelihoods() -> None:
    """Ratios to exact guidance that are known for the schedule of Stable Diffusion."""
    added = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    steps = DDIMTransition.of(NoiseSchedule(torch.cumprod(1 - added, 0)), 20)
    found = {int(t): i for i, t in enumerate(steps.times)}
    logits = steps.slopes / steps.deviations
    relative = steps.deviations**2 / steps.slopes / (1 - steps.signal).sqrt()
    known = {
        951: (0.853, 0.759),
        701: (0.689, 0.808),
        451: (0.623, 0.797),
        51: (5.43, 0.034),
        1: (1.00, 0.499),
    }
    for time, (logit, ratio) in known.items():
        assert float(logits[found[time]]) == pytest.approx(logit, abs=0.006)
        assert float(relative[found[time]]) == pytest.approx(ratio, abs=0.0015)


def test_exact_guidance_of_a_normal_law() -> None:
    a, m, s, w, b = 0.3, 0.4, 1.5, 0.8, 2.0
    tilt = tilted_noise(a, torch.tensor([w], dtype=torch.float64), s, b)
    assert tilt.item() == pytest.approx(-0.2999504, abs=1e-7)
    # the other way: the tilted law has its mean moved by s^2 w / b
    x = draws(5)
    moved = gaussian_noise(x, a, m + s**2 * w / b, s) - gaussian_noise(x, a, m, s)
    torch.testing.assert_close(moved, tilt.expand(5))


def test_samples_of_an_exact_denoiser_are_those_of_the_law() -> None:
    denoiser = GaussianDenoiser(SCHEDULE, shape=(3,), mean=2.0, deviation=0.5)
    generator = torch.Generator().manual_seed(0)
    many = DDIMTransition.of(SCHEDULE, 500)
    drawn = sample(denoiser, many, (3,), 4000, generator=generator)
    assert drawn.shape == (4000, 3)
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.03)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.03)
    again = sample(denoiser, many, (3,), 4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_a_slow_copy_keeps_nine_tenths_of_itself() -> None:
    fast, slow = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = slow.weight.detach().clone()
    follow(slow, fast, 0.9)
    torch.testing.assert_close(slow.weight, 0.9 * before + 0.1 * fast.weight)
    with pytest.raises(InvalidInputError, match=r"decay of 1\.0"):
        follow(slow, fast, 1.0)
