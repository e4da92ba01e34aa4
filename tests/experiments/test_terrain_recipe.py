"""Ways over terrain: the recipe, cut down, and what it refuses."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from dfl_experiments.config_file import load
from dfl_experiments.problems.base import Picture

METHODS = [method.name for method in load("terrain").methods]
SMALL = ["problem.size=4", "problem.n_train=60", "problem.n_test=40", "seeds=[0]"]


def test_the_recipe_cut_down(dfl: Callable, tmp_path: Path) -> None:
    few = [
        f"methods.{name}.{key}" for name in METHODS for key in ("max_iter=2", "learning_rate=0.01")
    ]
    settings = [part for change in (*SMALL, *few) for part in ("--set", change)]
    code, out, err = dfl("run", "terrain", *settings, "--out", "r", "--n-jobs", "1")
    assert (code, err) == (0, "")
    assert "decisions without" in out
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    assert set(table.method) == {*METHODS, "theoretical minimum"}
    mean = table.groupby(["metric", "method"]).value.mean()
    assert mean["normalized-regret", "theoretical minimum"] == 0
    assert mean["perfect-decisions", "theoretical minimum"] == 1
    assert (mean["normalized-regret"] >= 0).all()
    assert mean["perfect-decisions"].between(0, 1).all()
    # two epochs are enough to see water
    assert mean["normalized-regret", "least squares"] < 0.15
    with open(tmp_path / "r" / "summary.csv", newline="") as file:
        compared = {row["method"] for row in csv.DictReader(file) if row["difference"]}
    assert compared == {*METHODS, "theoretical minimum"} - {"least squares"}


def test_the_problem_says_how_to_read_it() -> None:
    config = load("terrain", ["problem.size=3", "problem.n_train=4", "problem.n_test=2"])
    fold = next(config.problem.folds(0))
    assert fold.picture == Picture((3, 3), (12, 12, 3))
    assert fold.train.X.shape == (4, 3 * 12**2)
    clipped = fold.stand_ins["clipped"]
    costs = fold.train.y.copy()
    costs[:, 1:-1] -= 3.0  # sand and grass: below zero now, where the oracle cannot decide
    assert (costs < 0).any()
    found = clipped.solve(costs).decisions
    expected = fold.oracle.solve(costs.clip(0)).decisions
    assert (found == expected).all()


@pytest.mark.parametrize(
    ("recipe", "change", "words"),
    [
        ("shortest-path", "methods.spo+.predictor=convolution", "methods.spo+: got predictor"),
        ("terrain", "methods.spo+.predictor=cnn", "got 'cnn', expected one of: linear, mlp"),
        ("terrain", "methods.spo+.stand_in=relaxed", "expected one that the problem has: clipped"),
        ("terrain", "problem.tile_size=1", "greater than or equal to 2"),
    ],
)
def test_what_cannot_be_is_refused(dfl: Callable, recipe: str, change: str, words: str) -> None:
    small = ["--set", "problem.n_train=20", "--set", "problem.n_test=10"]
    code, _, err = dfl("run", recipe, *small, "--set", change, "--seeds", "0", "--n-jobs", "1")
    assert code == 2
    assert words in err
