"""Diffusion models tuned by stepwise preferences: what is learned, spent, kept and refused."""

from __future__ import annotations

import copy
import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from dfl.exceptions import BudgetError, InvalidInputError, TrainingError
from dfl.losses import PreferenceLoss
from dfl.montecarlo import Budget
from dfl.rl.preference import (
    DDIMTransition,
    GuidedDenoiser,
    NoiseSchedule,
    SamplePairs,
    StepwiseCandidates,
    StepwiseLearner,
    StepwisePreferenceTuner,
    best_of_n,
    make_direction,
    make_objective,
    sample,
    time_weights,
    tune_by_ddpo,
    tune_by_diffusion_dpo,
)
from dfl.rl.preference.diffusion_dpo import DenoisingLearner
from dfl.rl.preference.tasks import (
    DistanceReward,
    GaussianDenoiser,
    Ring,
    RingDenoiser,
    RingReward,
)
from dfl.training import train

SCHEDULE = NoiseSchedule.linear()
STEPS = DDIMTransition.of(SCHEDULE, 10)
SHAPE = (4,)
CENTER = torch.tensor([2.0, 0.0, 0.0, 0.0])
REWARD = DistanceReward(CENTER)


def denoiser(steps: DDIMTransition = STEPS) -> GaussianDenoiser:
    return GaussianDenoiser(SCHEDULE, steps.times, shape=SHAPE)


def tuner(**rules: Any) -> StepwisePreferenceTuner:
    given = {
        "denoiser": denoiser(),
        "scheduler": SCHEDULE,
        "reward": REWARD,
        "shape": SHAPE,
        "n_steps": 10,
        "max_iter": 3,
        "n_chains": 32,
        "learning_rate": 0.03,
        "random_state": 0,
    }
    return StepwisePreferenceTuner(**{**given, **rules})


def learner(name: str = "gradspo", steps: DDIMTransition = STEPS) -> StepwiseLearner:
    weights = time_weights("spo" if name == "spo" else "grad", steps)
    return StepwiseLearner(denoiser(steps), steps, make_objective(name, steps, weights), 0.9)


def judged(x: Tensor) -> float:
    return float(REWARD(x).mean())


class Seen:
    """A reward that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, Tensor, Any]] = []

    def __call__(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        self.asked.append((x, times, conditions))
        return x.flatten(1).sum(1)


@pytest.mark.parametrize("loss", ["gradspo", "spo", "regress"])
@pytest.mark.parametrize("direction", ["pair", "winner", "all", "antithetic", "gradient"])
def test_every_loss_learns_from_every_direction(loss: str, direction: str) -> None:
    before = judged(sample(denoiser(), STEPS, SHAPE, 2000, generator=torch.Generator()))
    fitted = tuner(loss=loss, direction=direction, max_iter=6, n_chains=64).fit()
    assert judged(fitted.decide(2000)) > before + 0.1
    assert fitted.history_[-1]["path_divergence"] > 0


def test_the_opposite_reward_teaches_the_opposite() -> None:
    fitted = tuner(reward=lambda x, times, conditions: -REWARD(x), max_iter=6).fit()
    before = judged(sample(denoiser(), STEPS, SHAPE, 2000, generator=torch.Generator()))
    assert judged(fitted.decide(2000)) < before - 0.1


def test_a_constant_reward_teaches_nothing() -> None:
    fitted = tuner(reward=lambda x, times, conditions: torch.ones(len(x))).fit()
    assert [entry["valid"] for entry in fitted.history_] == [0.0] * 3
    assert [entry["optimizer_steps"] for entry in fitted.history_] == [0.0] * 3
    assert all(math.isfinite(entry["loss"]) for entry in fitted.history_)
    assert not fitted.denoiser_.bias.any()


def test_queries_are_counted_as_foretold() -> None:
    fitted = tuner(n_candidates=3, start_step=4).fit()
    assert fitted.budget_["reward_queries"] == 3 * 32 * 3 * (10 - 4)
    # a call a chain and step, or a candidate; none after the last step
    assert fitted.budget_["denoiser_calls"] == 3 * (32 * 5 + 32 * 3 * 5)
    spent = dict(fitted.budget_)
    fitted.score(100)
    assert fitted.budget_ == spent


def test_rewards_are_asked_of_what_candidates_are_expected_to_become() -> None:
    seen, model = Seen(), learner()
    source = StepwiseCandidates(
        seen, SHAPE, make_direction("pair", 4), n_chains=3, start_step=2, budget=Budget()
    )
    list(source.batches(model, torch.Generator().manual_seed(0)))
    assert [int(times[0]) for _, times, _ in seen.asked] == [*STEPS.times[3:].tolist(), 0]
    assert all(len(times.unique()) == 1 and len(x) == 12 for x, times, _ in seen.asked)
    # for this denoiser, what is expected of x at a time is sqrt(signal) x
    spreads = [float(x.std()) for x, _, _ in seen.asked]
    assert spreads[0] < spreads[-1]


def test_samplers_go_on_from_a_random_candidate_whatever_it_is_worth() -> None:
    source = StepwiseCandidates(
        lambda x, times, conditions: x[:, 0], SHAPE, make_direction("all", 4), n_chains=2000,
        batch_size=10**6, start_step=8, slow_sampler=False,
    )  # fmt: skip
    ((batch, _),) = list(source.batches(learner("spo"), torch.Generator().manual_seed(3)))
    first, last = batch.steps == 8, batch.steps == 9
    mean = STEPS.mean(batch.x[first], batch.origin[first], 8)
    candidates = mean[:, None] + float(STEPS.deviations[8]) * batch.candidates[first]
    # which candidate of step 8 is the x of step 9: rows are shuffled, so the nearest of all
    apart = torch.cdist(batch.x[last].double(), candidates.flatten(0, 1).double())
    assert float(apart.min(1).values.max()) < 1e-5
    picked = apart.argmin(1)
    assert len(picked.unique()) == 2000
    assert stats.chisquare(torch.bincount(picked % 4, minlength=4).numpy()).pvalue > 1e-3
    # nor has the rank of its value a part in it
    ranks = candidates[..., 0].argsort(1).argsort(1).flatten()[picked]
    assert stats.chisquare(torch.bincount(ranks, minlength=4).numpy()).pvalue > 1e-3


def test_the_same_seed_gives_the_same_batches() -> None:
    found = []
    for _ in range(2):
        source = StepwiseCandidates(REWARD, SHAPE, make_direction("all", 4), n_chains=8)
        found.append(list(source.batches(learner(), torch.Generator().manual_seed(5))))
    for (one, first), (two, second) in zip(*found, strict=True):
        assert torch.equal(one.x, two.x)
        assert torch.equal(first.actions, second.actions)
        assert torch.equal(first.weights, second.weights)
        assert torch.equal(first.log_prob_old, second.log_prob_old)


def test_the_direction_of_the_gradient_is_what_all_candidates_tend_to() -> None:
    slope = torch.tensor([3.0, 4.0, 0.0, 0.0])
    source = StepwiseCandidates(
        lambda x, times, conditions: x @ slope, SHAPE, make_direction("gradient", 1),
        n_candidates=1, n_chains=4, start_step=9,
    )  # fmt: skip
    ((batch, _),) = list(source.batches(learner(), torch.Generator().manual_seed(0)))
    torch.testing.assert_close(batch.candidates[:, 0], (slope / 5).expand(4, 4))
    noise = torch.randn(1, 20_000, 4, generator=torch.Generator().manual_seed(1))
    many = make_direction("all", 20_000)
    ahead = (many.weigh(noise @ slope)[..., None] * noise).sum(1)
    torch.testing.assert_close(ahead[0], slope / 5, atol=0.03, rtol=0)


def test_reference_and_slow_copy_get_no_gradient_and_only_the_latter_moves() -> None:
    model = learner()
    source = StepwiseCandidates(REWARD, SHAPE, make_direction("pair", 4), n_chains=64)
    train(model, model.objective.loss(), source, max_iter=2, learning_rate=0.05)
    assert not model.reference.bias.any()
    assert model.reference.bias.grad is None
    assert model.slow.bias.grad is None
    moved = model.denoiser.bias.detach()
    assert 0 < float((model.slow.bias - moved).norm()) < float(moved.norm())


def test_copies_share_what_is_not_trained() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[0].requires_grad_(False)
    model = StepwiseLearner(module, STEPS, learner().objective, 0.9)
    for other in (model.reference, model.slow):
        assert other[0].weight is module[0].weight
        assert other[1].weight is not module[1].weight


def test_conditions_reach_denoiser_and_reward() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exact = denoiser()
            self.shift = nn.Linear(2, 4, bias=False)
            nn.init.zeros_(self.shift.weight)

        def forward(self, x: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
            return self.exact(x, times) + self.shift(conditions)

    wanted = torch.eye(2)

    def reward(x: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
        return (x[:, :2] * (2 * conditions - 1)).sum(1)

    fitted = tuner(denoiser=Told(), reward=reward, direction="all", max_iter=8)
    fitted.fit(wanted)
    for i in range(2):
        drawn = fitted.decide(wanted[i].expand(500, 2)).mean(0)
        assert drawn[i] > 0.2 > -0.2 > drawn[1 - i]
    assert fitted.score(wanted.repeat(50, 1)) > 0.4
    with pytest.raises(InvalidInputError, match="one condition a sample"):
        fitted.decide(3)
    with pytest.raises(InvalidInputError, match="a number of samples"):
        tuner().fit().decide(wanted)


def test_the_path_divergence_is_exact() -> None:
    """For a bias alone it is a sum that is known, the same on every path."""
    model = learner()
    with torch.no_grad():
        model.slow.bias[1:] = 0.1
    source = StepwiseCandidates(REWARD, SHAPE, make_direction("pair", 4), n_chains=4)
    list(source.batches(model, torch.Generator().manual_seed(0)))
    known = float((4 * 0.01 * (STEPS.slopes / STEPS.deviations) ** 2 / 2).sum())
    assert source.summary["path_divergence"] == pytest.approx(known, rel=1e-4)


def test_tuning_stops_where_the_path_is_too_far() -> None:
    free = tuner(loss="regress", max_iter=30).fit()
    held = tuner(loss="regress", max_iter=30, divergence_limit=1.0).fit()
    paths = [entry["path_divergence"] for entry in held.history_]
    assert len(held.history_) < len(free.history_)
    assert all(path <= 1.0 for path in paths[:-1])
    assert paths[-1] > 1.0


def test_a_killed_fit_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = tuner(max_iter=5).fit()
    file = tmp_path / "state"

    def kill(entry: dict[str, float]) -> None:
        if entry["epoch"] == 3:
            raise KeyboardInterrupt

    loop = importlib.import_module("dfl.training.train")  # the name is that of a function too
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            tuner(max_iter=5, checkpoint=file).fit(callbacks=[kill])
    again = tuner(max_iter=5, checkpoint=file).fit()
    assert torch.equal(again.denoiser_.bias, whole.denoiser_.bias)
    assert again.budget_["reward_queries"] == whole.budget_["reward_queries"]
    assert [e["loss"] for e in again.history_] == [e["loss"] for e in whole.history_]
    with pytest.raises(TrainingError, match="another"):
        tuner(max_iter=5, checkpoint=file, beta=5.0).fit()


def test_saved_and_loaded_samples_and_scores_are_the_same(tmp_path: Path) -> None:
    fitted = tuner().fit()
    fitted.save(tmp_path / "model")
    again = StepwisePreferenceTuner.load(
        tmp_path / "model", denoiser(), reward=REWARD, scheduler=SCHEDULE
    )
    assert torch.equal(again.decide(5), fitted.decide(5))
    assert torch.equal(again.decide(5, eta=0.0), fitted.decide(5, eta=0.0))
    assert again.score(50) == fitted.score(50)
    bare = StepwisePreferenceTuner.load(tmp_path / "model", denoiser())
    with pytest.raises(InvalidInputError, match="reward=None"):
        bare.score(5)


def test_samples_follow_from_the_seed() -> None:
    fitted = tuner().fit()
    assert torch.equal(fitted.decide(3), fitted.decide(3))
    assert not torch.equal(fitted.decide(3), fitted.decide(3, random_state=1))
    assert torch.equal(tuner().fit().decide(3), fitted.decide(3))
    assert not torch.equal(tuner(random_state=1).fit().decide(3), fitted.decide(3))
    state = torch.get_rng_state()
    tuner().fit()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: torch.full((len(x),), float("nan")), "returned nan for sample 0 at time"),
        (lambda x: x, r"returned \(128, 4\), expected a tensor of shape \(128,\)"),
        (lambda x: 3.0, "returned float"),
        (lambda x: torch.where(torch.arange(len(x)) == 5, torch.inf, 0.0), "inf for sample 5"),
    ],
)
def test_a_reward_that_answers_wrongly_is_named(answer: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        tuner(reward=lambda x, times, conditions: answer(x)).fit()


def test_a_last_step_without_noise_is_not_compared() -> None:
    ends = NoiseSchedule(SCHEDULE.alphas_cumprod, final_alpha_cumprod=1.0)
    fitted = tuner(scheduler=ends).fit()
    # one step fewer than with noise in the last
    assert fitted.budget_["reward_queries"] == 3 * 32 * 4 * (10 - 2 - 1)
    assert all(math.isfinite(entry["path_divergence"]) for entry in fitted.history_)
    assert fitted.decide(100).isfinite().all()
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        tuner(scheduler=ends, start_step=9).fit()
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        tuner(eta=0.0).fit()


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_other_predictions_are_tuned_as_noise_is(kind: str) -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = denoiser(STEPS)

        def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
            steps = (times[:, None] == STEPS.times).int().argmax(1)
            known = DDIMTransition.of(scheduler, 10)
            return known.output(self.inner(x, times), x, steps)

    scheduler = NoiseSchedule(SCHEDULE.alphas_cumprod, prediction_type=kind)
    plain, other = tuner().fit(), tuner(denoiser=Other(), scheduler=scheduler).fit()
    torch.testing.assert_close(
        other.denoiser_.inner.bias, plain.denoiser_.bias, rtol=1e-3, atol=1e-4
    )


def test_parameters_that_do_not_fit_are_refused() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"denoiser": None}, "denoiser=None"),
        ({"denoiser": copy.deepcopy(denoiser()).requires_grad_(False)}, "without parameters"),
        ({"denoiser": nn.Linear(4, 4)}, "takes|positional"),
        ({"reward": None}, "reward=None"),
        ({"shape": None}, "shape=None"),
        ({"scheduler": "ddim"}, "type str"),
        ({"loss": "best"}, "loss='best'"),
        ({"direction": "best"}, "direction='best'"),
        ({"weight": "best"}, "weight='best'"),
        ({"n_candidates": 1}, "at least 2"),
        ({"n_chains": 0}, "n_chains=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"start_step": -1}, "start_step=-1"),
        ({"decay": 1.0}, r"decay=1\.0"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0"),
        ({"beta": 0.0}, "beta=0"),
        ({"ratio_clip": 1.0}, "ratio_clip=1"),
        ({"direction": "gradient", "reward": lambda x, t, c: x.detach().sum(1)}, "differentiated"),
    ]
    for rules, words in wrong:
        expected = TypeError if "positional" in words else InvalidInputError
        with pytest.raises(expected, match=words):
            tuner(**rules).fit()
    odd = denoiser()
    odd.forward = lambda x, times, conditions: x[:3, :1]
    with pytest.raises(InvalidInputError, match=r"got \(3, 1\) for x of shape"):
        tuner(denoiser=odd, n_chains=8).fit()
    with pytest.raises(InvalidInputError, match="no conditions"):
        tuner().fit(torch.zeros(0, 2))
    source = StepwiseCandidates(REWARD, SHAPE, make_direction("pair", 4))
    with pytest.raises(InvalidInputError, match="StepwiseLearner"):
        next(source.batches(denoiser(), torch.Generator()))


# ---- baselines


def test_diffusion_dpo_starts_at_log_two_with_the_gradient_that_is_known() -> None:
    model = DenoisingLearner(denoiser(), STEPS)
    pairs = torch.randn(8, 2, 4, generator=torch.Generator().manual_seed(0))
    source = SamplePairs(pairs, batch_size=8)
    ((batch, target),) = list(source.batches(model, torch.Generator().manual_seed(1)))
    loss = PreferenceLoss(beta=30.0)(model(batch), target)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    loss.backward()
    # d/d bias of beta / 4 (m_w - m_l), m a mean square: beta (e_w - e_l) / (2 d n), row by row
    errors = [
        denoiser()(batch.x[:, i], STEPS.times[batch.steps]).detach() - batch.noise for i in range(2)
    ]
    known = torch.zeros_like(model.denoiser.bias)
    rows = model.denoiser.rows[STEPS.times[batch.steps]]
    known.index_add_(0, rows, 30.0 * (errors[0] - errors[1]) / (2 * 4 * 8))
    torch.testing.assert_close(model.denoiser.bias.grad, known)


def test_baselines_learn_and_pay_for_it() -> None:
    before = judged(sample(denoiser(), STEPS, SHAPE, 2000, generator=torch.Generator()))
    spent = Budget()
    generator = torch.Generator().manual_seed(0)
    by_pairs = tune_by_diffusion_dpo(
        denoiser(), STEPS, REWARD, SHAPE, n_pairs=1024, generator=generator, beta=10.0,
        max_iter=3, learning_rate=0.01, budget=spent,
    )  # fmt: skip
    assert spent.counts == {"train": {"reward_queries": 2048, "optimizer_steps": 48}}
    assert judged(sample(by_pairs, STEPS, SHAPE, 2000, generator=generator)) > before + 0.1
    spent = Budget()
    by_paths = tune_by_ddpo(
        denoiser(), STEPS, REWARD, SHAPE, generator=generator, n_chains=256, clip=0.1, max_iter=6,
        batch_size=512, learning_rate=0.03, budget=spent,
    )  # fmt: skip
    assert spent.counts == {"train": {"reward_queries": 1536, "optimizer_steps": 30}}
    assert judged(sample(by_paths, STEPS, SHAPE, 2000, generator=generator)) > before + 0.1
    spent = Budget(limits={"reward_queries": 800})
    best = best_of_n(
        denoiser(), STEPS, REWARD, SHAPE, 200, n_candidates=4, generator=generator, budget=spent
    )
    assert judged(best) > before + 0.1
    with pytest.raises(BudgetError):
        best_of_n(denoiser(), STEPS, REWARD, SHAPE, 1, generator=generator, budget=spent)


def test_guidance_by_a_linear_reward_samples_the_tilted_law() -> None:
    many = DDIMTransition.of(SCHEDULE, 200)
    exact = GaussianDenoiser(SCHEDULE, shape=(2,), deviation=0.8)
    slope = torch.tensor([1.5, 0.0])
    guided = GuidedDenoiser(exact, many, lambda x, times, conditions: x @ slope, scale=2.0)
    drawn = sample(guided, many, (2,), 3000, generator=torch.Generator().manual_seed(0))
    known = 0.8**2 * 2.0 * slope
    torch.testing.assert_close(drawn.mean(0), known, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((2,), 0.8), atol=0.03, rtol=0)
    with pytest.raises(InvalidInputError, match="got time 2"):
        guided(torch.zeros(1, 2), torch.tensor([2]))


# ---- the ring


def test_the_noise_in_a_ring_is_minus_the_scaled_slope_of_its_log_density() -> None:
    ring = Ring(torch.tensor([1.0, 2.0, 3.0]), radius=1.5, deviation=0.3)
    x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for signal in (0.05, 0.5, 0.99):
        held = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(ring.log_density(held, signal).sum(), held)
        torch.testing.assert_close(ring.noise(x, signal), -((1 - signal) ** 0.5) * slope)


def test_densities_of_a_ring_integrate_to_one_and_tilt_as_said() -> None:
    ring = Ring()
    reward = RingReward(ring, modes=(0, 3))
    line = torch.linspace(-2, 2, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    cell = float(line[1] - line[0]) ** 2
    density = ring.log_density(grid).exp()
    assert float(density.sum()) * cell == pytest.approx(1.0, abs=1e-6)
    tilted = density * reward(grid).exp()
    tilted = tilted / tilted.sum() / cell
    torch.testing.assert_close(tilted, reward.target().log_density(grid).exp(), atol=1e-6, rtol=0)


def test_a_ring_is_sampled_and_tuned_to_the_modes_that_are_wanted() -> None:
    ring = Ring()
    reward = RingReward(ring, modes=(0, 1))
    base = RingDenoiser(SCHEDULE, ring)
    steps = DDIMTransition.of(SCHEDULE, 20)
    drawn = sample(base, steps, (2,), 2000, generator=torch.Generator().manual_seed(0))
    shares = ring.shares(drawn)
    assert float((shares - 1 / 8).abs().max()) < 0.03
    fitted = StepwisePreferenceTuner(
        base, SCHEDULE, reward, (2,), direction="all", max_iter=12, learning_rate=0.003,
        random_state=0,
    ).fit()  # fmt: skip
    tuned = ring.shares(fitted.decide(2000))
    assert float(tuned[:2].sum()) > 0.5  # untuned: a quarter
    assert float(tuned[:2].min()) > 0.1
