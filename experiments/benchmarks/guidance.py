"""What stepwise preferences teach a diffusion model at each step, beside exact guidance.

Two claims about comparing candidates by their likelihoods are put to the test where everything is
known, a diffusion of a normal law with a linear reward: that late steps are guided too little, and
that the pair of the best and the worst candidate is less noisy than the best alone. A third table
shows what a reward that is noise alone does.

Run ``python experiments/benchmarks/guidance.py [--write docs/_generated/guidance.md]``; it takes a
few minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from _common import report
from joblib import Parallel, delayed
from torch import Tensor, nn

from dfl.metrics import mean_interval
from dfl.montecarlo import direction
from dfl.rl.preference import (
    DDIMTransition,
    NoiseSchedule,
    StepwiseCandidates,
    StepwiseLearner,
    StepwisePreferenceTuner,
    make_direction,
    make_objective,
    sample,
    time_weights,
)
from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser

SCHEDULE = NoiseSchedule.linear()
STEPS = DDIMTransition.of(SCHEDULE, 20)
WEIGHTS = ("spo", "grad", "uniform")
SHOWN = (951, 701, 451, 201, 101, 51, 1)
SEEDS, TRIAL_SEED = range(10), 1000
RATES = (0.01, 0.02, 0.04, 0.08)


def table() -> str:
    """Make all tables."""
    parts = [_late_steps, _noise, _training, _noise_alone]
    return "\n\n".join(Parallel(n_jobs=2)(delayed(_alone)(part) for part in parts))


def _alone(part: Callable[[], str]) -> str:
    torch.set_num_threads(1)
    return part()


def relative(learned: Tensor) -> list[float]:
    """Return the ratio of learned to exact guidance at each step, over its mean over steps."""
    exact = (STEPS.signal * (1 - STEPS.signal)).sqrt()
    ratio = learned.double() / exact
    return (ratio / ratio.mean()).tolist()


def _late_steps() -> str:
    lines = [
        "Guidance that is learned, as a ratio to exact guidance, over the mean ratio of all steps: "
        "1 everywhere is right up to its strength. One coordinate, linear reward, two candidates "
        "whose comparison is Bradley and Terry's; no clip.",
        "",
        "| weight of time | " + " | ".join(f"t = {t}" for t in SHOWN) + " |",
        "|---|" + "---:|" * len(SHOWN),
    ]
    for name in WEIGHTS:
        first, optimum = _first_and_optimum(name)
        for what, found in (("first gradient", first), ("optimum", optimum)):
            lines.append(f"| {name}, {what} | " + _numbers(found, 2) + " |")
    for name in WEIGHTS:
        lines.append(f"| {name}, after training | " + _numbers(_after_training(name), 2) + " |")
    lines += [
        "",
        "After training: 16 coordinates, 10 passes of `StepwisePreferenceTuner` with its clip and "
        "Adam at 0.003, which gives each step a rate of its own; mean of 5 seeds.",
    ]
    return "\n".join(lines)


def _first_and_optimum(name: str) -> tuple[list[float], list[float]]:
    """Return the guidance of the first gradient, and of the least loss, at each step."""
    slope, noise = 4.0, torch.Generator().manual_seed(0)

    def reward(x: Tensor, times: Tensor, conditions: Any) -> Tensor:
        # the difference of two of these noises is logistic
        uniform = torch.rand(len(x), generator=noise).clamp(min=1e-30)
        return slope * x[:, 0] - (-uniform.log()).log()

    denoiser = GaussianDenoiser(SCHEDULE, STEPS.times, shape=(1,))
    weights = time_weights(name, STEPS)
    objective = make_objective("gradspo", STEPS, weights, beta=1.0, ratio_clip=None)
    learner = StepwiseLearner(denoiser, STEPS, objective, 0.9)
    source = StepwiseCandidates(
        reward, (1,), make_direction("pair", 2), n_candidates=2, n_chains=20_000,
        batch_size=2**31, start_step=0,
    )  # fmt: skip
    batch, target = next(source.batches(learner, torch.Generator().manual_seed(1)))
    loss = objective.loss()

    def value() -> Tensor:
        optimizer.zero_grad()
        found: Tensor = loss(learner(batch), target)
        found.backward()
        return found

    optimizer = torch.optim.LBFGS(
        [denoiser.bias], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )
    value()
    first = -denoiser.bias.grad[1:, 0].clone()
    optimizer.step(value)
    return relative(-first), relative(-denoiser.bias.detach()[1:, 0])


def _after_training(name: str) -> list[float]:
    found = []
    for seed in range(5):
        tuner = StepwisePreferenceTuner(
            GaussianDenoiser(SCHEDULE, STEPS.times),
            SCHEDULE,
            lambda x, times, conditions: x[:, 0],
            (16,),
            weight=name,
            start_step=0,
            learning_rate=0.003,
            random_state=seed,
        ).fit()
        found.append(-tuner.denoiser_.bias.detach()[1:, 0])
    return relative(torch.stack(found).mean(0))


def _noise() -> str:
    lines = [
        "Directions of 200,000 groups of candidates for a linear reward: mean along its gradient, "
        "variance of a coordinate across, and the square of the former over the latter.",
        "",
        "| candidates | direction | mean | variance | ratio |",
        "|---:|---|---:|---:|---:|",
    ]
    for k in (2, 4, 16):
        for name in ("winner", "pair", "all", "antithetic"):
            estimator = make_direction(name, k)
            noise = estimator.draw(200_000, k, (2,), torch.Generator().manual_seed(k))
            ahead = direction(noise, estimator.weigh(noise[:, :, 0]))
            mean, variance = float(ahead[:, 0].mean()), float(ahead[:, 1].var())
            row = f"{k} | {name} | {mean:.3f} | {variance:.3f} | {mean**2 / variance:.2f}"
            lines.append(f"| {row} |")
    return "\n".join(lines)


def _tuned(direction_name: str, noise: float, rate: float, seed: int) -> float:
    told = DistanceReward(_center(), noise, torch.Generator().manual_seed(seed))
    tuner = StepwisePreferenceTuner(
        GaussianDenoiser(SCHEDULE, STEPS.times),
        SCHEDULE,
        told,
        (16,),
        direction=direction_name,
        max_iter=5,
        learning_rate=rate,
        random_state=seed,
    ).fit()
    return _judged(tuner.denoiser_, seed)


def _judged(denoiser: nn.Module, seed: int) -> float:
    """Return the reward without noise; a seed has the same samples for all."""
    generator = torch.Generator().manual_seed(10_000 + seed)
    samples = sample(denoiser, STEPS, (16,), 4096, generator=generator)
    return float(DistanceReward(_center())(samples).mean())


def _center() -> Tensor:
    center = torch.zeros(16)
    center[0] = 2.0
    return center


def _training() -> str:
    lines = [
        "Reward after 23,040 queries of the same task with a quadratic reward, without and with "
        "noise (deviation 0.3) in what is told; the loss is `gradspo`. Learning rates are the best "
        f"of {', '.join(map(str, RATES))} on a seed apart; {len(SEEDS)} seeds, means with 95 % "
        "intervals, differences paired.",
        "",
        "| noise | direction | learning rate | reward | less that of the winner |",
        "|---:|---|---:|---:|---:|",
    ]
    for noise in (0.0, 0.3):
        alone: list[float] = []
        for name in ("winner", "pair", "all"):
            tried = {rate: _tuned(name, noise, rate, TRIAL_SEED) for rate in RATES}
            rate = max(tried, key=lambda each: tried[each])
            found = [_tuned(name, noise, rate, seed) for seed in SEEDS]
            alone = alone or found
            apart = [a - b for a, b in zip(found, alone, strict=True)]
            gain = "" if found is alone else _interval(apart, "+")
            lines.append(f"| {noise} | {name} | {rate} | {_interval(found)} | {gain} |")
    return "\n".join(lines)


def _noise_alone() -> str:
    """Show what a reward that tells nothing does."""
    lines = [
        "A reward that is noise alone, 46,080 queries at a learning rate of 0.01: where nothing is "
        "told, nothing is to be learned. 5 seeds; the reward that is judged is that above.",
        "",
        "| loss | direction | change of reward | divergence of the path, nats |",
        "|---|---|---:|---:|",
    ]
    untuned = GaussianDenoiser(SCHEDULE, STEPS.times)
    for loss, name in (
        ("spo", "pair"),
        ("gradspo", "pair"),
        ("gradspo", "all"),
        ("regress", "all"),
    ):
        changes, paths = [], []
        for seed in SEEDS[:5]:
            generator = torch.Generator().manual_seed(seed)
            tuner = StepwisePreferenceTuner(
                GaussianDenoiser(SCHEDULE, STEPS.times),
                SCHEDULE,
                lambda x, times, conditions, g=generator: torch.randn(len(x), generator=g),
                (16,),
                loss=loss,
                direction=name,
                learning_rate=0.01,
                random_state=seed,
            ).fit()
            changes.append(_judged(tuner.denoiser_, seed) - _judged(untuned, seed))
            paths.append(tuner.history_[-1]["path_divergence"])
        lines.append(f"| {loss} | {name} | {_interval(changes, '+')} | {_interval(paths)} |")
    return "\n".join(lines)


def _numbers(values: Sequence[float], digits: int) -> str:
    places = [int((STEPS.times == t).nonzero()[0]) for t in SHOWN]
    return " | ".join(f"{values[place]:.{digits}f}" for place in places)


def _interval(values: Sequence[float], sign: str = "") -> str:
    found = mean_interval(values)
    width = found.high - found.low
    digits = (
        3 if not math.isfinite(width) or width <= 0 else max(2 - math.floor(math.log10(width)), 0)
    )
    mean, low, high = (f"{x:{sign}.{digits}f}" for x in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    report(__doc__, table)
