"""Stepwise preferences on wrong input, with dropout, in other precisions, on an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError, TrainingError
from dfl.montecarlo import Budget
from dfl.rl.preference import (
    DDIMTransition,
    ImageReward,
    NoiseSchedule,
    Prompts,
    SampledPaths,
    SamplePairs,
    StepBatch,
    StepwisePreferenceTuner,
    best_of_n,
    make_direction,
    make_objective,
    sample,
    time_weights,
    tune_by_ddpo,
    tune_by_diffusion_dpo,
)
from dfl.rl.preference.rewards import counted_reward
from dfl.rl.preference.tasks import DigitUNet, DistanceReward, GaussianDenoiser, make_digit_task

SCHEDULE = NoiseSchedule.linear()
STEPS = DDIMTransition.of(SCHEDULE, 10)
SHAPE = (4,)
REWARD = DistanceReward(torch.tensor([2.0, 0.0, 0.0, 0.0]))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def denoiser() -> GaussianDenoiser:
    return GaussianDenoiser(SCHEDULE, STEPS.times, shape=SHAPE)


def tuner(**rules: Any) -> StepwisePreferenceTuner:
    given = {
        "denoiser": denoiser(),
        "scheduler": SCHEDULE,
        "reward": REWARD,
        "shape": SHAPE,
        "n_steps": 10,
        "max_iter": 1,
        "n_chains": 8,
        "random_state": 0,
    }
    return StepwisePreferenceTuner(**{**given, **rules})


class Told(nn.Module):
    """A denoiser of one linear layer that looks at its conditions, if they are a tensor."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        told = conditions if isinstance(conditions, Tensor) else 0.0
        return self.inner(x) + told


class Forgetful(Told):
    """One that drops half of what it is given."""

    def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        return self.inner(nn.functional.dropout(x, 0.5, self.training))


class Mixed(Told):
    """One whose frozen half has coarse weights."""

    def __init__(self, frozen: float) -> None:
        super().__init__()
        self.held = nn.Parameter(torch.full((4,), frozen, dtype=torch.bfloat16), False)

    def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        return self.inner(x) + self.held.float()


# ---- what an unusable schedule, number or condition is


@pytest.mark.parametrize(
    ("schedule", "n_steps", "words"),
    [
        (SCHEDULE, 1000, "times from 1 to 1000, expected 0 to 999"),
        (SCHEDULE, 10.5, r"n_steps=10\.5"),
        (NoiseSchedule(SCHEDULE.alphas_cumprod, offset=-5), 10, "times from -5"),
        (NoiseSchedule(SCHEDULE.alphas_cumprod.flip(0)), 10, "fall with time"),
        (NoiseSchedule(SCHEDULE.alphas_cumprod * torch.nan), 10, "fall with time"),
        (NoiseSchedule(SCHEDULE.alphas_cumprod * 2), 10, "fall with time"),
        (NoiseSchedule(SCHEDULE.alphas_cumprod, final_alpha_cumprod=2.0), 10, "fall with time"),
    ],
)
def test_schedules_without_a_law_are_refused(
    schedule: NoiseSchedule, n_steps: Any, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        DDIMTransition.of(schedule, n_steps)


def test_a_step_that_ends_where_it_began_is_allowed() -> None:
    """Of schedulers with steps_offset=0 and set_alpha_to_one=False: the last step is at time 0."""
    steps = DDIMTransition.of(NoiseSchedule(SCHEDULE.alphas_cumprod, offset=0), 10)
    assert steps.deviations[-1] == steps.slopes[-1] == 0
    assert (steps.deviations[:-1] > 0).all()


@pytest.mark.parametrize("n_steps", [0, 1001])
def test_times_of_sampling_are_as_many_as_there_can_be(n_steps: int) -> None:
    with pytest.raises(InvalidInputError, match=f"n_steps={n_steps}"):
        SCHEDULE.times(n_steps)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"threshold": 2.0}, r"threshold=2\.0"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": -0.1}, r"threshold=-0\.1"),
        ({"divergence_limit": float("nan")}, "divergence_limit=nan"),
        ({"divergence_limit": -1.0}, r"divergence_limit=-1\.0"),
        ({"shape": 4}, "shape=4"),
        ({"shape": ()}, r"shape=\(\)"),
        ({"n_chains": 2.5}, r"n_chains=2\.5"),
        ({"n_candidates": 4.0}, r"n_candidates=4\.0"),
        ({"n_steps": 10.5}, r"n_steps=10\.5"),
        ({"reward": DistanceReward(torch.zeros(1))}, r"center of shape \(1,\)"),
    ],
)
def test_parameters_that_would_teach_nothing_or_something_else_are_refused(
    rules: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        tuner(**rules).fit()


@pytest.mark.parametrize("wrong", [["a", "b"], "ab", 5, {"a": 1}, torch.tensor(1.0)])
def test_conditions_without_rows_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="got conditions of type"):
        tuner().fit(wrong)
    with pytest.raises(InvalidInputError, match="got conditions of type"):
        SampledPaths(REWARD, SHAPE, conditions=wrong)


@pytest.mark.parametrize(
    "call",
    [
        lambda told: sample(denoiser(), STEPS, SHAPE, 5, generator=seeded(), conditions=told),
        lambda told: best_of_n(denoiser(), STEPS, REWARD, SHAPE, 5, generator=seeded(),
                               conditions=told),
        lambda told: tune_by_diffusion_dpo(denoiser(), STEPS, REWARD, SHAPE, n_pairs=5,
                                           generator=seeded(), conditions=told),
        lambda told: SamplePairs(torch.zeros(5, 2, 4), told),
    ],
)  # fmt: skip
def test_conditions_are_as_many_as_samples(call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(InvalidInputError, match="got 9 conditions, expected 5"):
        call(torch.zeros(9, 2))


def by_paths(**rules: Any) -> nn.Module:
    given = {"denoiser": denoiser(), "n_chains": 8, "max_iter": 1, "generator": seeded(), **rules}
    return tune_by_ddpo(
        given.pop("denoiser"), STEPS, REWARD, SHAPE, learning_rate=given.pop("rate", 0.01), **given
    )


def by_pairs(**rules: Any) -> nn.Module:
    given = {"denoiser": denoiser(), "n_pairs": 8, "max_iter": 2, "generator": seeded(), **rules}
    return tune_by_diffusion_dpo(
        given.pop("denoiser"), STEPS, REWARD, SHAPE, learning_rate=given.pop("rate", 0.01), **given
    )


@pytest.mark.parametrize("tune", [by_paths, by_pairs])
@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"rate": -1.0}, r"learning_rate=-1\.0"),
        ({"rate": float("nan")}, "learning_rate=nan"),
        ({"denoiser": denoiser().requires_grad_(False)}, "without parameters that require"),
    ],
)
def test_baselines_name_what_is_wrong(
    tune: Callable[..., nn.Module], rules: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        tune(**rules)


# ---- whose fault a number is


def test_numbers_of_the_denoiser_are_not_blamed_on_the_reward() -> None:
    class Broken(Told):
        def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
            return self.inner(x) * torch.nan

    with pytest.raises(InvalidInputError, match="the denoiser predicts numbers that are not"):
        tuner(denoiser=Broken()).fit()


def test_rewards_come_in_the_precision_of_the_samples_or_are_refused() -> None:
    samples, times = torch.ones(2, 4), torch.ones(2, dtype=torch.int64)
    exact = counted_reward(lambda x, t, c: x[:, 0].double(), Budget())
    assert exact(samples, times, None).dtype == torch.float32
    whole = counted_reward(lambda x, t, c: x[:, 0] > 0, Budget())
    assert whole(samples, times, None).tolist() == [1.0, 1.0]
    large = counted_reward(lambda x, t, c: 1e300 * x[:, 0].double(), Budget())
    with pytest.raises(InvalidInputError, match=r"1e\+300 for sample 0 .* finite as torch.float32"):
        large(samples, times, None)


def test_gradients_that_are_missing_or_not_finite_are_named() -> None:
    def root(x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        return (0 * x).sum(1).sqrt()

    def apart(x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        return torch.zeros(len(x), requires_grad=True) + 0

    with pytest.raises(InvalidInputError, match=r"gradient of the reward of candidate 0 is not"):
        tuner(direction="gradient", reward=root).fit()
    with pytest.raises(InvalidInputError, match="differentiated"):
        tuner(direction="gradient", reward=apart).fit()


@pytest.mark.parametrize("answer", [1.0, torch.tensor(1.0), torch.ones(2, 1)])
def test_rewards_of_images_are_checked_piece_by_piece(answer: Any) -> None:
    judge = ImageReward(lambda images, times, texts: answer, lambda x: x, 2)
    with pytest.raises(InvalidInputError, match=r"the reward returned .* shape \(2,\)"):
        judge(torch.zeros(3, 1), torch.zeros(3), None)


@pytest.mark.parametrize("channels", [0, 4, 12])
def test_a_network_of_digits_has_whole_groups_of_channels(channels: int) -> None:
    with pytest.raises(InvalidInputError, match=f"channels={channels}"):
        DigitUNet(channels)


def test_wanted_digits_may_be_a_list() -> None:
    task = make_digit_task([0], max_iter=1, channels=8)
    assert task is make_digit_task((0,), max_iter=1, channels=8, random_state=0)


# ---- dropout


def test_sampling_drops_nothing_and_leaves_modes_as_they_were() -> None:
    module = Forgetful()
    module.inner.eval()
    first, again = (sample(module, STEPS, SHAPE, 6, generator=seeded()) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first, sample(module.eval(), STEPS, SHAPE, 6, generator=seeded()))
    module.train()
    module.inner.eval()
    sample(module, STEPS, SHAPE, 1, generator=seeded())
    assert module.training
    assert not module.inner.training


@pytest.mark.parametrize("tune", [by_paths, by_pairs])
def test_dropout_of_baselines_follows_from_their_generator(tune: Callable[..., nn.Module]) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append(tune(denoiser=Forgetful()).inner.weight)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*found)
    assert not torch.equal(found[0], tune(denoiser=Forgetful(), generator=seeded(9)).inner.weight)


# ---- the winner has no loser


def test_squares_cancel_in_pairs_and_stay_with_the_winner_alone() -> None:
    """Of likelihoods: for targets they always cancel."""
    noise, x, now, zero = (
        torch.randn(3, *shape, dtype=torch.float64, generator=seeded(i))
        for i, shape in enumerate([(4, 5), (5,), (5,), (5,)])
    )
    values = torch.randn(3, 4, generator=seeded(9))
    for name, direction, linear in (
        ("spo", "pair", True),
        ("spo", "winner", False),
        ("gradspo", "winner", True),
    ):
        objective = make_objective(name, STEPS, time_weights("spo", STEPS), ratio_clip=None)
        weights = make_direction(direction, 4).weigh(values).double()
        compared, used = objective.candidates(noise, weights)
        batch = StepBatch(x, torch.full((3,), 4), None, compared, zero, zero)
        old = objective.log_prob(zero, batch)
        logits = [
            (used * (objective.log_prob(zero + far * (now - zero), batch) - old)).sum(1)
            for far in (1.0, 2.0)
        ]
        assert torch.allclose(logits[1], 2 * logits[0]) is linear


# ---- files


def test_a_checkpoint_knows_its_conditions(tmp_path: Path) -> None:
    def prompts(value: float, text: str = "b") -> Prompts:
        return Prompts(["a", text], torch.full((2, 3, 4), value))

    tuner(denoiser=Told(), checkpoint=tmp_path / "told").fit(prompts(0.0))
    tuner(denoiser=Told(), checkpoint=tmp_path / "told").fit(prompts(0.0))
    for other in (prompts(1.0), prompts(0.0, "c")):
        with pytest.raises(TrainingError, match="another"):
            tuner(denoiser=Told(), checkpoint=tmp_path / "told").fit(other)
    tuner(denoiser=Told(), checkpoint=tmp_path / "rows").fit(np.zeros((3, 4)))
    with pytest.raises(TrainingError, match="another"):
        tuner(denoiser=Told(), checkpoint=tmp_path / "rows").fit(np.ones((3, 4)))


def test_a_checkpoint_takes_weights_of_any_precision(tmp_path: Path) -> None:
    first = tuner(denoiser=Mixed(0.0), checkpoint=tmp_path / "state").fit()
    again = tuner(denoiser=Mixed(0.0), checkpoint=tmp_path / "state").fit()
    assert torch.equal(again.denoiser_.inner.weight, first.denoiser_.inner.weight)
    with pytest.raises(TrainingError, match="another"):
        tuner(denoiser=Mixed(0.5), checkpoint=tmp_path / "state").fit()


def test_saved_weights_keep_their_precisions(tmp_path: Path) -> None:
    """Neither are coarse ones made fine, nor, where they come first, fine ones coarse."""

    class First(Told):
        def __init__(self, frozen: float) -> None:
            super().__init__()
            self.base = nn.Parameter(torch.full((4,), frozen, dtype=torch.bfloat16), False)

        def forward(self, x: Tensor, times: Tensor, conditions: Any) -> Tensor:
            return self.inner(x) + self.base.float()

    fitted = tuner(denoiser=First(0.5)).fit()
    fitted.save(tmp_path / "model")
    again = StepwisePreferenceTuner.load(tmp_path / "model", First(0.0))
    kinds = {name: p.dtype for name, p in again.denoiser_.named_parameters()}
    assert kinds == {name: p.dtype for name, p in fitted.denoiser_.named_parameters()}
    assert torch.equal(again.decide(5), fitted.decide(5))


# ---- another device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("direction", ["pair", "all", "gradient"])
@pytest.mark.parametrize("loss", ["gradspo", "spo", "regress"])
def test_models_are_tuned_where_they_are(loss: str, direction: str) -> None:
    """Conditions, rewards and generators may be on the CPU; numbers are those of the CPU."""
    told = torch.zeros(3, 4)

    def reward(x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        return REWARD(x).cpu()

    found = []
    for device in ("cpu", "cuda"):
        fitted = tuner(
            denoiser=Told().to(device), reward=reward, loss=loss, direction=direction
        ).fit(told)
        assert fitted.decide(told).device.type == device
        assert np.isfinite(fitted.score(told))
        found.append(fitted.denoiser_.inner.weight.detach().cpu())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
def test_baselines_are_tuned_where_they_are() -> None:
    there = Told().cuda()
    for tune in (by_paths, by_pairs):
        tuned = tune(denoiser=there, conditions=torch.zeros(8, 4))
        assert tuned.inner.weight.device.type == "cuda"
    told = torch.zeros(2, 4)
    best = best_of_n(there, STEPS, REWARD, SHAPE, 2, generator=seeded(), conditions=told)
    assert best.device.type == "cuda"
