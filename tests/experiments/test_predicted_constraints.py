"""Recipes whose methods predict constraints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from dfl_experiments.config_file import load

SMALL = {
    "knapsack-weights": ("problem.n_train=60", "problem.n_items=6"),
    "staffing": ("problem.n_train=40", "methods.post-hoc regret.n_samples=2"),
}


def settings(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_cut_down_run_has_all_that_the_recipe_has(
    name: str, dfl: Callable, tmp_path: Path
) -> None:
    code, out, err = dfl(
        "run", name, "--seeds", "0", "--n-jobs", "1", "--out", "r",
        *settings(*SMALL[name], "problem.n_test=40", "methods.post-hoc regret.max_iter=3",
                  "methods.random forest, margin.regressor=linear"),
    )  # fmt: skip
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    config = load(name)
    assert set(table.problem) == {f"{name}, {rule}" for rule in config.problem.recourses}
    assert set(table.method) == {method.name for method in config.methods}
    assert (table.value >= 0).all()
    values = table.pivot(index="problem", columns="method", values="value")
    assert values.nunique(axis=1).min() > 1
    assert "minus least squares, margin" in " ".join(out.split())
    assert "theoretical minimum" not in out


def test_a_margin_of_one_is_plain_least_squares(dfl: Callable, tmp_path: Path) -> None:
    code, _, err = dfl(
        "run", "knapsack-weights", "--seeds", "0", "--n-jobs", "1", "--out", "r",
        *settings(*SMALL["knapsack-weights"], "problem.n_test=40",
                  "methods.post-hoc regret.max_iter=1",
                  "methods.post-hoc regret.learning_rate=1e-12",
                  "methods.random forest, margin.regressor=linear",
                  "methods.least squares, margin.margins=[1.0]"),
    )  # fmt: skip
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    values = table.pivot(index="problem", columns="method", values="value")
    assert (values["least squares"] == values["least squares, margin"]).all()


def test_methods_and_problems_of_the_other_kind_are_refused(dfl: Callable) -> None:
    code, _, err = dfl(
        "run", "shortest-path", *settings("methods.least squares.estimator=two-stage-constraints")
    )
    assert code != 0
    assert "least squares: got a method that predicts constraints" in err
    code, _, err = dfl(
        "run", "knapsack-weights", *settings("methods.random forest, margin.estimator=two-stage")
    )
    assert code != 0
    assert "random forest, margin: got a method that predicts costs" in err
