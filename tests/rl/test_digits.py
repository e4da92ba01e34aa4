"""Digits: the network, its training, the reward, the judge, and what is measured."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.preference import DDIMTransition, StepwisePreferenceTuner, sample
from dfl.rl.preference.tasks import (
    DigitTask,
    DigitUNet,
    make_digit_task,
    precision,
    train_digit_denoiser,
)


@pytest.fixture(scope="module")
def task() -> DigitTask:
    """A model that has just begun to draw."""
    return make_digit_task(max_iter=4, channels=8)


def drawn(task: DigitTask, denoiser: torch.nn.Module, n: int = 128) -> Tensor:
    steps = DDIMTransition.of(task.scheduler, 20)
    return sample(denoiser, steps, task.shape, n, generator=torch.Generator().manual_seed(1))


def test_training_takes_noise_out_and_follows_from_its_seed(task: DigitTask) -> None:
    kept = task.scheduler.alphas_cumprod
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(task.images.shape, generator=generator)
    t = torch.randint(1000, (len(noise),), generator=generator)
    signal = kept[t].float()[:, None, None, None]
    x = signal.sqrt() * task.images + (1 - signal).sqrt() * noise
    with torch.no_grad():
        error = float(((task.denoiser(x, t) - noise) ** 2).mean())
    assert error < 0.35  # 1 without learning
    first, again, other = (
        train_digit_denoiser(task.images[:64], kept, channels=8, max_iter=1, seed=seed)
        for seed in (0, 0, 1)
    )
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not torch.equal(first.enter.weight, other.enter.weight)


def test_the_network_tells_times_apart() -> None:
    network = DigitUNet(8)
    x = torch.ones(1, 1, 8, 8)
    early, late = (network(x, torch.tensor([t])) for t in (1, 951))
    assert early.shape == x.shape
    assert not torch.allclose(early, late)


def test_large_batches_come_out_as_small_ones_do(task: DigitTask) -> None:
    x, t = task.images[:1100], torch.arange(1100) % 1000
    with torch.no_grad():
        found = task.denoiser(x, t)
    torch.testing.assert_close(found, task.denoiser(x, t))  # with gradients, at once


def test_reward_and_judge_know_digits_from_other_halves(task: DigitTask) -> None:
    reward, judge = task.reward(task.images), task.judge(task.images)
    assert (reward <= 0).all()
    from sklearn.datasets import load_digits

    loops = torch.from_numpy(load_digits().target)[:, None] == torch.tensor(task.wanted)
    loops = loops.any(1)
    for values in (reward.exp(), judge):
        assert ((values > 0.5) == loops).double().mean() > 0.95
    assert task.judge.probabilities(task.images[:5]).sum(1).tolist() == pytest.approx([1.0] * 5)
    image = task.images[:1].clone().requires_grad_()
    task.reward(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_measures_of_real_images_and_of_one_repeated(task: DigitTask) -> None:
    real = task.measures(task.images[:200])
    assert real["precision"] == 1.0
    assert real["entropy"] == pytest.approx(math.log(4), abs=0.05)
    zero = task.images[:1].repeat(5, 1, 1, 1)  # the first image is a zero
    repeated = task.measures(zero)
    assert repeated["distance"] == pytest.approx(0.0, abs=1e-6)
    assert repeated["entropy"] < 0.6 * real["entropy"]
    assert repeated["judge"] > 0.9


def test_precision_counts_what_is_within_reach() -> None:
    real = torch.arange(5.0)[:, None]  # reach 3, 2, 2, 2, 3: of the third neighbor
    found = precision(torch.tensor([[-3.0], [-3.1], [7.0], [7.1]]), real)
    assert found == 0.5
    with pytest.raises(InvalidInputError, match="got 3 real images"):
        precision(real, real[:3])


def test_a_round_of_tuning_raises_the_reward(task: DigitTask) -> None:
    tuner = StepwisePreferenceTuner(
        task.denoiser,
        task.scheduler,
        task.reward,
        task.shape,
        n_chains=32,
        max_iter=2,
        learning_rate=1e-4,
        random_state=0,
    ).fit()
    before, after = (task.measures(drawn(task, d)) for d in (task.denoiser, tuner.denoiser_))
    assert after["reward"] > before["reward"] + 0.2
    assert after["judge"] > before["judge"]


@pytest.mark.parametrize("wanted", [(), tuple(range(10)), (10,)])
def test_wanted_digits_are_checked(wanted: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="expected some of the digits 0 to 9, not all"):
        make_digit_task(wanted)
