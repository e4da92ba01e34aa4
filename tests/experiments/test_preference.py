"""The recipe of digits, cut down to seconds."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfl.exceptions import InvalidInputError
from dfl_experiments.config_file import load
from dfl_experiments.policies.preference.verdict import verdict

CUT = [
    "problem.epochs=1",
    "problem.channels=8",
    "problem.queries=64",
    "problem.samples=16",
    "problem.n_steps=4",
]
SMALL = ["chains=8", "candidates=2", "learning_rate=1e-4"]


def test_every_method_is_judged_and_charged(dfl: Callable, tmp_path: Path) -> None:
    recipe = load("preference-digits")
    changed = [*CUT]
    for method in recipe.methods:
        changed.append(f"methods.{method.name}.settings=[]")
        if method.algorithm == "stepwise":
            changed += [f"methods.{method.name}.{each}" for each in SMALL]
        if method.algorithm == "ddpo":
            changed += [f"methods.{method.name}.chains=16"]
    arguments = [part for each in changed for part in ("--set", each)]
    code, _, err = dfl(
        "run", "preference-digits", *arguments, "--seeds", "0", "--n-jobs", "1", "--out", "out"
    )
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
    assert {method for method, _ in rows} == {method.name for method in recipe.methods}
    for method in ("spo", "gradspo", "regress", "diffusion-dpo", "ddpo", "best of n", "guidance"):
        assert spent[method] == 64, method
        assert rows[method, "divergence"] > 0
    # the same noise for all: what learns nothing draws the same
    for score in ("judge", "reward", "precision"):
        assert rows["constant reward", score] == rows["untuned", score]
    assert rows["untuned", "divergence"] == rows["constant reward", "divergence"] == 0
    assert rows["untuned", "gain"] == 0
    assert rows["untuned", "distance"] == rows["untuned", "entropy"] == 1
    assert rows["best of n", "reward"] > rows["untuned", "reward"]
    assert (folder / "verdict.md").read_text().startswith("- A1, ")
    assert (folder / "samples.png").stat().st_size > 10_000


@pytest.mark.parametrize("method", ["gradspo", "ddpo", "best of n"])
def test_a_budget_below_one_round_is_refused(method: str) -> None:
    recipe = load("preference-digits", ["problem.queries=100"])
    found = next(each for each in recipe.methods if each.name == method)
    with pytest.raises(InvalidInputError, match="queries=100, expected at least"):
        recipe.problem.check([found], 0)


@pytest.mark.parametrize("start", [4, 9])
def test_samplers_that_compare_nothing_are_refused(start: int) -> None:
    recipe = load("preference-digits", ["problem.n_steps=4", f"methods.gradspo.start_step={start}"])
    found = next(each for each in recipe.methods if each.name == "gradspo")
    with pytest.raises(InvalidInputError, match=f"start_step={start} of 4 steps"):
        recipe.problem.check([found], 0)


def cells(changes: dict[str, dict[str, float]]) -> list[tuple[str, int, dict[str, Any]]]:
    """Make ten seeds of methods that differ as told, and a little by seed."""
    base = {"judge": 0.5, "gain": 0.0, "reward": -1.0, "divergence": 5.0, "distance": 0.9,
            "entropy": 1.0}  # fmt: skip
    return [
        (name, seed, {"scores": {**base, **{k: v + 0.01 * (seed % 3) for k, v in own.items()}}})
        for name, own in changes.items()
        for seed in range(10)
    ]


GOOD = {
    "untuned": {"divergence": 0.0},
    "spo": {"gain": 0.6, "judge": 0.6, "reward": -0.6},
    "gradspo": {"gain": 0.7, "judge": 0.7, "reward": -0.5},
    "diffusion-dpo": {"gain": 0.8, "judge": 0.8, "reward": -0.4},
    "constant reward": {"divergence": 0.0},
    "flipped reward": {"gain": -0.5, "judge": 0.2, "reward": -3.0},
}


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"gradspo": {"gain": 0.4, "judge": 0.7, "reward": -0.5}}, ["A1", "A2"]),
        ({"gradspo": {"gain": 0.57, "judge": 0.7, "reward": -0.5}}, []),
        ({"gradspo": {"gain": 0.7, "judge": 0.7, "divergence": 21.0, "reward": -0.5}}, ["A4"]),
        ({"spo": {"gain": 0.6, "distance": 0.6, "judge": 0.6, "reward": -0.6}}, ["A4"]),
        ({"spo": {"gain": 0.6, "entropy": 0.6, "judge": 0.6, "reward": -0.6}}, ["A4"]),
        ({"spo": {"gain": 0.6, "judge": 0.6, "reward": -0.1}}, ["A5"]),
        ({"constant reward": {"divergence": 0.1}}, ["A6"]),
        ({"constant reward": {"reward": -0.5, "divergence": 0.0}}, ["A6"]),
        ({"flipped reward": {"gain": 0.0}}, ["A6"]),
    ],
)
def test_verdicts_follow_their_rules(
    changes: dict[str, dict[str, float]], broken: list[str]
) -> None:
    found = verdict(cells({**GOOD, **changes}), 20.0)
    assert [line[:2] for line in found if "does not hold" in line] == broken
    assert [line[:2] for line in found] == ["A1", "A2", "A3", *["A4"] * 3, "A5", "A6", "A6"]
    assert "[" in found[2]


def test_verdicts_need_only_the_methods_there_are() -> None:
    assert verdict(cells({"untuned": {}}), 20.0) == []
    assert [line[:2] for line in verdict(cells({"regress": {}}), 20.0)] == ["A4"]
