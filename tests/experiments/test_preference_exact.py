"""The recipes of diffusions that are known exactly, cut down to seconds, and what they may say."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfl_experiments.config_file import load
from dfl_experiments.policies.preference.exact_verdict import verdict

CUT = ["problem.queries=256", "problem.samples=128", "problem.n_steps=4"]


@pytest.mark.parametrize(
    ("name", "seeds"), [("preference-gaussian-noisy", "0:2"), ("preference-ring", "0")]
)
def test_every_method_is_judged_and_charged(
    dfl: Callable, tmp_path: Path, name: str, seeds: str
) -> None:
    recipe = load(name)
    changed = [*CUT]
    for method in recipe.methods:
        changed.append(f"methods.{method.name}.settings=[]")
        if method.algorithm == "stepwise":
            changed.append(f"methods.{method.name}.chains=8")
        if method.algorithm == "ddpo":
            changed.append(f"methods.{method.name}.chains=128")
    arguments = [part for each in changed for part in ("--set", each)]
    code, _, err = dfl("run", name, *arguments, "--seeds", seeds, "--n-jobs", "1", "--out", "out")
    assert code == 0, err
    folder = next((tmp_path / "out").rglob("summary.csv")).parent
    with open(folder / "summary.csv") as file:
        rows = {(row["method"], row["score"]): float(row["mean"]) for row in csv.DictReader(file)}
    with open(folder / "spent.csv") as file:
        spent = {
            row["method"]: float(row["mean"])
            for row in csv.DictReader(file)
            if row["kind"] == "reward_queries"
        }
    for method in recipe.methods:
        if method.algorithm not in ("untuned", "guidance"):
            assert spent[method.name] == 256, method.name
        if method.algorithm != "untuned" and "constant" not in method.name:
            assert rows[method.name, "divergence"] > 0, method.name
    # the same noise for all: what learns nothing draws the same
    assert rows["constant reward", "reward"] == rows["untuned", "reward"]
    assert rows["untuned", "divergence"] == rows["constant reward", "divergence"] == 0
    assert rows["best of n", "reward"] > rows["untuned", "reward"]
    assert (folder / "samples.png").stat().st_size > 10_000
    assert (folder / "verdict.md").exists() is (name != "preference-ring")


def test_the_recipe_with_noise_differs_by_the_noise_alone() -> None:
    plain, noisy = load("preference-gaussian"), load("preference-gaussian-noisy")
    assert plain.methods == noisy.methods
    assert plain.seeds == noisy.seeds
    assert (plain.problem.noise, noisy.problem.noise) == (0.0, 0.3)
    assert plain.problem.model_copy(update={"noise": 0.3}) == noisy.problem


def cells(changes: dict[str, dict[str, float]]) -> list[tuple[str, int, dict[str, Any]]]:
    """Make ten seeds of methods that differ as told, and a little by seed."""
    found = []
    for name, own in changes.items():
        base = {"reward": -1.0, "divergence": 5.0, "distance": 0.9, **own}
        for seed in range(10):
            scores = {k: v + 0.001 * (seed % 3) for k, v in base.items()}
            found.append((name, seed, {"scores": {"told": scores["reward"], **scores}}))
    return found


GOOD = {
    "untuned": {"divergence": 0.0},
    "spo": {"reward": -0.75},
    "gradspo": {"reward": -0.76},
    "gradspo, all candidates": {"reward": -0.74},
    "diffusion-dpo": {"reward": -0.7},
    "constant reward": {"divergence": 0.0},
    "flipped reward": {"reward": -3.0},
}


@pytest.mark.parametrize(
    ("noisy", "changes", "broken"),
    [
        (False, {}, []),
        (True, {"gradspo": {"reward": -0.755}}, []),
        (True, {"gradspo": {"reward": -0.77}}, ["A2"]),
        (False, {"gradspo": {"reward": -0.78}}, ["A2"]),
        (False, {"gradspo": {"reward": -1.1}}, ["A1", "A2"]),
        (True, {"gradspo, all candidates": {"reward": -0.751}}, ["A2", "A2"]),
        (False, {"gradspo": {"reward": -0.74, "divergence": 21.0}}, ["A4"]),
        (False, {"spo": {"reward": -0.75, "distance": 0.6}}, ["A4"]),
        (False, {"gradspo": {"reward": -0.76, "told": -0.1},
                 "diffusion-dpo": {"reward": -0.7, "told": -2.0}}, ["A5"]),
        (False, {"constant reward": {"divergence": 0.1}}, ["A6"]),
        (False, {"constant reward": {"divergence": 0.0, "reward": -0.9}}, ["A6"]),
        (False, {"flipped reward": {"reward": -0.9}}, ["A6"]),
    ],
)  # fmt: skip
def test_verdicts_follow_their_rules(
    noisy: bool, changes: dict[str, dict[str, float]], broken: list[str]
) -> None:
    found = verdict(cells({**GOOD, **changes}), 20.0, noisy)
    assert [line[:2] for line in found if "does not hold" in line] == broken
    rules = ["A1", "A2", *["A2"] * noisy, "A3", *["A4"] * 4, "A5", "A6", "A6"]
    assert [line[:2] for line in found] == rules
