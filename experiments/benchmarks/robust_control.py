"""What runs of ``robust-cartpole`` and ``robust-pendulum`` support, as tables in Markdown.

Run ``dfl run robust-cartpole --out CART`` and ``dfl run robust-pendulum --out PENDULUM``, then
``python experiments/benchmarks/robust_control.py CART PENDULUM [--write
docs/_generated/robust_control.md]`` with the extras ``rl`` and ``experiments``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfl.metrics import interquartile_mean, mean_interval
from dfl.rl.envs import CartPole, Pendulum, play, random_actions
from dfl_experiments.policies.robust_verdict import verdict

SHOWN = ("natural", "random", "critic", "action-difference", "value", "learned", "worst", "ratio")


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


def section(folder: Path) -> list[str]:
    """Return the tables of a run."""
    results = pd.read_parquet(folder / "results.parquet")
    task = str(results["problem.task"].iloc[0])
    scores: dict[str, dict[str, np.ndarray]] = {}
    seconds: dict[str, float] = {}
    for method, rows in results.groupby("method", sort=False):
        seconds[str(method)] = float(rows["seconds"].mean())
        scores[str(method)] = {
            str(name): each.sort_values("seed")["value"].to_numpy()
            for name, each in rows.groupby("score")
        }
    seeds = results["seed"].nunique()
    start = at_random(task)
    lines = [
        f"**{task}**, {seeds} seeds; mean return with its 95 % interval over seeds; acting at "
        f"random earns {start:.0f}.",
        "",
        "| method | " + " | ".join(SHOWN) + " | worst, interquartile mean | training, s |",
        "|---" * (len(SHOWN) + 3) + "|",
    ]
    for method, own in scores.items():
        cells = []
        for name in SHOWN:
            found = mean_interval(own[name]) if name in own else None
            form = ".2f" if name == "ratio" else ".0f"
            cells.append(
                f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]" if found else ""
            )
        middle = ""
        if "worst" in own:
            each = interquartile_mean(own["worst"][:, None], random_state=0)
            middle = f"{each.mean:.0f} [{each.low:.0f}, {each.high:.0f}]"
        lines.append(f"| {method} | {' | '.join(cells)} | {middle} | {seconds[method]:.0f} |")
    known = {k: v for k, v in scores.items() if k in ("ppo", "arpo")}
    if len(known) == 2:
        lines += ["", *(f"- {sentence}" for sentence in verdict(scores, start))]
    return lines


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
