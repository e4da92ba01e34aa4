"""Rubik's cube: policies learned by search against PPO, at equal steps of the environment.

And at equal steps of the model, of which a search takes ``particles * depth`` for each step of the
environment. Both learn on 1 to 3 random moves and are judged on 3, by the share of 512 cubes that
they solve within 12 moves; a seed has the same cubes for all. Every method has three settings to
choose from, by the share solved on training cubes with a seed of its own; PPO at equal model steps
chooses at a quarter of its budget. Networks have two layers of 256.

Run ``python experiments/benchmarks/smc_cube.py [--write docs/_generated/smc_cube.md]`` with the
extra ``rl`` installed; it takes about half an hour on two cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import report
from joblib import Parallel, delayed

from dfl.metrics import mean_interval, probability_of_improvement
from dfl.rl.baselines import PPOPolicy, train_ppo
from dfl.rl.envs import RubiksCube, play
from dfl.rl.envs.model import State
from dfl.rl.smc import SMCPolicyOptimizer, smc_search, uniform_network

SEEDS, TRIAL_SEED = range(5), 1000
ENV_STEPS, PARTICLES, DEPTH = 20_480, 16, 4
MODEL_STEPS = ENV_STEPS * PARTICLES * DEPTH
TRAINED, JUDGED, MOVES, CUBES = RubiksCube(3, (1, 3), max_steps=12), RubiksCube(3, 3), 12, 512

Settings = dict[str, Any]
SMC: list[Settings] = [{"temperature": 0.2}, {"temperature": 0.5}, {"temperature": 1.0}]
PPO: list[Settings] = [
    {"learning_rate": 3e-4, "entropy": 0.0},
    {"learning_rate": 1e-3, "entropy": 0.0},
    {"learning_rate": 1e-3, "entropy": 0.01},
]

Decide = Callable[[State, torch.Generator], torch.Tensor]


def solved(cube: RubiksCube, decide: Decide, seed: int) -> float:
    """Return the share of the cubes of a seed that are solved."""
    generator = torch.Generator().manual_seed(10_000 + seed)
    return play(cube, decide, CUBES, MOVES, generator=generator).mean().item()


def learn_smc(settings: Settings, seed: int, steps: int) -> SMCPolicyOptimizer:
    """Learn by search; an epoch takes 1024 steps of the environment."""
    optimizer = SMCPolicyOptimizer(
        max_iter=steps // 1024, n_particles=PARTICLES, depth=DEPTH, random_state=seed, **settings
    )
    return optimizer.fit(TRAINED)


def learn_ppo(settings: Settings, seed: int, steps: int) -> PPOPolicy:
    """Learn without search."""
    generator = torch.Generator().manual_seed(seed)
    return train_ppo(
        TRAINED, steps, n_envs=64, rollout=16, batch_size=256, hidden=(256, 256),
        generator=generator, **settings,
    )  # fmt: skip


def by_search(optimizer: SMCPolicyOptimizer) -> Decide:
    """Act by search with the learned network."""
    return lambda state, generator: smc_search(
        TRAINED, optimizer.network_, state, temperature=optimizer.temperature_,
        n_particles=PARTICLES, depth=DEPTH, generator=generator,
    ).actions  # fmt: skip


def alone(optimizer: SMCPolicyOptimizer) -> Decide:
    """Act as the learned network says."""
    return lambda state, generator: optimizer.decide(TRAINED.observe(state), search=False)


def blind(state: State, generator: torch.Generator) -> torch.Tensor:
    """Act by search without a learned network, as far as it gets."""
    return smc_search(
        TRAINED, uniform_network(TRAINED), state, temperature=0.1, n_particles=PARTICLES,
        depth=DEPTH, generator=generator,
    ).actions  # fmt: skip


def trial(kind: str, place: int, seed: int, steps: int) -> dict[str, float]:
    """Learn once; return what is solved by each way to act, on training and on test cubes."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    ways: dict[str, Decide]
    if kind == "smc":
        optimizer = learn_smc(SMC[place], seed, steps)
        ways = {"network and search": by_search(optimizer), "network alone": alone(optimizer)}
    else:
        policy = learn_ppo(PPO[place], seed, steps)
        ways = {"likeliest": policy, "drawn": PPOPolicy(policy.model, policy.agent, False)}
    found = {"seconds": time.perf_counter() - start}
    for way, decide in ways.items():
        found[f"{way}, trained"] = solved(TRAINED, decide, seed)
        found[way] = solved(JUDGED, decide, seed)
    return found


def chosen(runs: list[dict[str, float]]) -> int:
    """Return the setting that solves most training cubes, by its better way to act."""
    return int(np.argmax([max(v for k, v in run.items() if "trained" in k) for run in runs]))


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    plans = [("smc", ENV_STEPS, 1), ("ppo", ENV_STEPS, 1), ("ppo", MODEL_STEPS, 4)]
    run = Parallel(n_jobs=-1, batch_size=1)
    picks = iter(
        run(
            delayed(trial)(kind, k, TRIAL_SEED, steps // part)
            for kind, steps, part in plans
            for k in range(3)
        )
    )
    places = [chosen([next(picks) for _ in range(3)]) for _ in plans]
    results = iter(
        run(
            delayed(trial)(kind, place, seed, steps)
            for (kind, steps, _), place in zip(plans, places, strict=True)
            for seed in SEEDS
        )
    )
    names = [
        "search, learned",
        f"PPO, {ENV_STEPS:,} environment steps",
        f"PPO, {MODEL_STEPS:,} environment steps",
    ]
    scores: dict[tuple[str, str], list[float]] = {}
    seconds: dict[str, float] = {}
    for name in names:
        runs = [next(results) for _ in SEEDS]
        seconds[name] = float(np.mean([each["seconds"] for each in runs]))
        for way in (k for k in runs[0] if "trained" not in k and k != "seconds"):
            scores[name, way] = [each[way] for each in runs]
    scores["uniform prior", "search"] = [solved(JUDGED, blind, seed) for seed in SEEDS]
    best = scores[names[0], "network and search"]
    lines = [
        f"3x3 cube, 3 random moves, {CUBES} cubes a seed, {len(SEEDS)} seeds; trained on 1 to 3 "
        f"moves with {ENV_STEPS:,} environment steps, {PARTICLES} particles and depth {DEPTH}, "
        f"which are {MODEL_STEPS:,} steps of the model; {os.cpu_count()} cores, a run on each. "
        f"Chosen: {SMC[places[0]]}, {PPO[places[1]]}, {PPO[places[2]]}.",
        "",
        "| learned by | acts by | solved [95 %] | learned search minus this [95 %] "
        "| learned search is better [95 %] | training, s |",
        "|---|---|---|---|---|---|",
    ]
    for (name, way), values in scores.items():
        mean = mean_interval(values)
        gap, better = "", ""
        if values is not best:
            paired = mean_interval(np.subtract(best, values))
            gap = f"{paired.mean:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]"
            chance = probability_of_improvement(
                np.array(best)[:, None], np.array(values)[:, None], random_state=0
            )
            better = f"{chance.mean:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
        took = f"{seconds[name]:.0f}" if name in seconds else ""
        lines.append(
            f"| {name} | {way} | {mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}] "
            f"| {gap} | {better} | {took} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    report(__doc__, table)
