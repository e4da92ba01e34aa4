"""What runs of ``robust-cartpole`` and ``robust-pendulum`` support, as tables in Markdown.

Run ``dfl run robust-cartpole --out CART`` and ``dfl run robust-pendulum --out PENDULUM``, then
``python experiments/benchmarks/robust_control.py CART PENDULUM [--write
docs/_generated/robust_control.md]`` with the extras ``rl`` and ``experiments``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfl.metrics import Interval, interquartile_mean, mean_interval
from dfl.rl.envs import CartPole, Pendulum, play, random_actions
from dfl.rl.envs.model import State
from dfl_experiments.policies.robust_verdict import verdict

ATTACKS = ("random", "critic", "action-difference", "value", "learned")
# of place, speed, angle and its speed in their units: found by search, to be robust on the cart
WEIGHTS = (0.286, 0.183, 0.212, 0.318)


def at_random(task: str) -> float:
    """Return what acting at random earns in a task."""
    model = CartPole() if task == "cart-pole" else Pendulum()
    return play(
        model,
        lambda state, generator: random_actions(model, len(state["steps"]), generator),
        1000,
        1000,
        generator=torch.Generator().manual_seed(0),
    ).mean().item()  # fmt: skip


def by_weights(radius: float, units: list[float]) -> float:
    """Return what pushes by the sign of a weighted sum earn on the cart, under the worst attack.

    An adversary may turn a push round where the sum is within the radius of zero. It tries to do
    so always, to push to either side, and to push the pole on as it falls.
    """
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    scales = torch.tensor(units, dtype=torch.float64)

    def earned(attack: int) -> float:
        def push(state: State, generator: torch.Generator) -> torch.Tensor:
            del generator
            motion = state["motion"]
            total = (motion / scales) @ weights
            falls = motion[:, 2] + 0.5 * motion[:, 3]
            wanted = (-total, torch.ones_like(total), -torch.ones_like(total), -falls)[attack]
            return (wanted.where(total.abs() < radius * weights.abs().sum(), total) > 0).long()

        return (
            play(CartPole(), push, 100, 1000, generator=torch.Generator().manual_seed(0))
            .mean()
            .item()
        )

    return min(earned(attack) for attack in range(4))


def section(folder: Path) -> list[str]:
    """Return the tables of a run, and what its intervals support."""
    results = pd.read_parquet(folder / "results.parquet")
    problem = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]["problem"]
    # a seed counts if every method came to its end with it, so that all are compared on the same
    seeds = set.intersection(*(set(rows["seed"]) for _, rows in results.groupby("method")))
    results = results[results["seed"].isin(seeds)]
    scores: dict[str, dict[str, np.ndarray]] = {}
    gradients: dict[str, float] = {}
    for method, rows in results.groupby("method", sort=False):
        gradients[str(method)] = float(rows["spent.attack_gradients"].fillna(0).mean())
        scores[str(method)] = {
            str(name): each.sort_values("seed")["value"].to_numpy()
            for name, each in rows.groupby("score")
        }
    chosen = settings(folder)
    start = at_random(problem["task"])
    moves = ", ".join(f"{problem['epsilon'] * unit:g}" for unit in problem["units"])
    lines = [
        f"**{problem['task']}**: {len(seeds)} seeds, {problem['env_steps']:,} steps of learning; "
        f"each coordinate of an observation is moved by up to {moves}. Acting at random earns "
        f"{start:.0f}. Means over seeds with 95 % intervals; gradients are those that learning "
        "took for attacks.",
        "",
        "| method | setting | natural | worst | worst, interquartile mean | ratio | gradients |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, own in scores.items():
        middle = ""
        if "worst" in own:
            middle = text(interquartile_mean(own["worst"][:, None], random_state=0))
        lines.append(
            f"| {method} | {chosen.get(method, '')} | {mean(own, 'natural')} | "
            f"{mean(own, 'worst')} | {middle} | {mean(own, 'ratio', '.2f')} | "
            f"{gradients[method]:,.0f} |"
        )
    lines += ["", "| method | " + " | ".join(ATTACKS) + " |", "|---" * (len(ATTACKS) + 1) + "|"]
    for method, own in scores.items():
        if "worst" in own:
            lines.append(f"| {method} | " + " | ".join(mean(own, a) for a in ATTACKS) + " |")
    if problem["task"] == "cart-pole":
        known = by_weights(problem["epsilon"], problem["units"])
        lines += [
            "",
            "For comparison: pushes by the sign of a weighted sum, with weights that were found by "
            f"search, earn {known:.0f} under the worst of four attacks in this ball.",
        ]
    if {"ppo", "arpo"} <= set(scores):
        lines += ["", *(f"- {sentence}" for sentence in verdict(scores, start))]
    return lines


def settings(folder: Path) -> dict[str, str]:
    """Return the settings that were chosen, by method."""
    trials = pd.read_csv(folder / "trials.csv")
    return {
        str(method): ", ".join(f"`{k}={v}`" for k, v in json.loads(setting).items())
        for method, setting in trials.loc[trials["chosen"], ["method", "setting"]].to_numpy()
    }


def mean(own: dict[str, np.ndarray], score: str, form: str = ".0f") -> str:
    """Return a mean over seeds with its interval; nothing if there is no such score."""
    return text(mean_interval(own[score]), form) if score in own else ""


def text(interval: Interval, form: str = ".0f") -> str:
    """Return an interval as it is shown."""
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def main() -> None:
    """Print the tables, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--write", type=Path, help="a Markdown file to write the tables to")
    arguments = parser.parse_args()
    text = "\n\n".join("\n".join(section(folder)) for folder in arguments.folders)
    print(text)
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
