"""The automatic choice against single methods, over a grid of problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from dfl_experiments.config_file import load
from dfl_experiments.measures import Estimate
from dfl_experiments.standings import standings
from dfl_experiments.summary import Row

SMALL = [
    "problem.n_train=[40]", "problem.degree=[1, 6]", "problem.noise=[0]", "problem.n_test=50",
    "methods.auto.cv=2", "methods.auto.candidates=['linear, least squares', 'linear, spo+']",
]  # fmt: skip


def settings(*more: str) -> list[str]:
    return [word for setting in (*SMALL, *more) for word in ("--set", setting)]


def test_a_cut_down_run_has_all_that_the_recipe_has(dfl: Callable, tmp_path: Path) -> None:
    code, out, err = dfl("run", "auto-vs-all", "--seeds", "0", "--n-jobs", "1", "--out", "r",
                         *settings("methods.random forest.regressor=linear"))  # fmt: skip
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    assert set(table.problem) == {
        f"{kind}, n 40, degree {degree}, noise 0"
        for kind in ("shortest-path", "knapsack")
        for degree in (1, 6)
    }
    assert set(table.method) == {
        *(method.name for method in load("auto-vs-all").methods), "theoretical minimum"
    }  # fmt: skip
    assert (table.value >= 0).all()
    values = table.pivot(index="problem", columns="method", values="value")
    # of two candidates, the choice is one, or an average of both
    choice = values[["least squares", "linear, spo+", "auto"]]
    assert (choice.auto <= choice.max(axis=1) + 0.02).all()
    assert choice.auto["shortest-path, n 40, degree 1, noise 0"] == pytest.approx(0, abs=1e-9)
    assert "over 4 problems" in out
    assert "mean rank" in out


def test_the_recipe_is_the_published_grid() -> None:
    config = load("auto-vs-all")
    assert len(config.problem.parts()) == 32
    assert len(config.seeds) == 10
    part = config.problem.parts()["knapsack, n 1000, degree 6, noise 0.5"]
    assert (part.n_items, part.n_dimensions, part.capacity) == (32, 2, 20)
    assert (part.n_train, part.degree, part.noise, part.n_test) == (1000, 6, 0.5, 1000)


def test_an_unknown_candidate_is_refused_first(dfl: Callable) -> None:
    code, _, err = dfl("run", "auto-vs-all", "--set", "methods.forest.candidate=tree")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "methods.forest: got the candidate 'tree', expected one" in err


def test_standings_by_hand() -> None:
    values = {"a": (0.10, 0.08, 0.09, 0.05), "b": (0.20, 0.203, 0.10, 0.10), "c": (0.1, 0, 0.1, 0)}
    names = ("least squares", "spo+", "perturbed-fenchel-young", "theoretical minimum")
    empty = Row("", "", "normalized-regret", Estimate(0, 0, 0), None, "", 1, 1, 0.0, 0.0)
    rows = [
        dataclasses.replace(empty, problem=part, method=name, estimate=Estimate(value, 0, 0))
        for part, line in values.items()
        for name, value in zip(names, line, strict=True)
    ]
    found = standings(rows, "normalized-regret", names[:3], names[0])
    assert found.methods == list(names[:3])
    # ranks 3 1 2 | 2 3 1 | 2.5 1 2.5
    assert found.ranks.ranks == pytest.approx((2.5, 5 / 3, 5.5 / 3))
    assert found.n_close == [0, 2, 1]
    # of least squares' excess: a 1, .6, .8; b 1, 1.03, 0; c 1, 0, 1
    assert found.closable == pytest.approx([1, (0.6 + 1.03 + 0) / 3, (0.8 + 0 + 1) / 3])
    single = [row for row in rows if row.problem == "a"]
    assert standings(single, "normalized-regret", names[:3], names[0]) is None
