"""Robust policies by exact gradients, and predictors under noise in features: recipes, cut down."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dfl.exceptions import InvalidInputError
from dfl_experiments.config_file import load
from dfl_experiments.policies.robust_exact import ExactRobust
from dfl_experiments.policies.robust_features import FeatureNoiseStudy, FeatureNoiseTraining


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def means(folder: Path) -> dict[tuple[str, str], float]:
    found = rows(folder / "summary.csv")
    return {(row["method"], row["score"]): float(row["mean"]) for row in found}


def kept(recipe: str, *names: str) -> str:
    """Keep some methods of a recipe, as they are."""
    methods = [one.model_dump(mode="json") for one in load(recipe).methods if one.name in names]
    return f"methods={json.dumps(methods)}"


def run(dfl: Callable, name: str, *changes: str) -> None:
    sets = [f"--set={change}" for change in changes]
    code, _, err = dfl("run", name, "--out", "run", "--n-jobs", "1", "--quiet", *sets)
    assert (code, err) == (0, "")


def test_worst_case_ascent_sticks_and_the_ramp_does_not(dfl: Callable, tmp_path: Path) -> None:
    methods = kept("robust-toys", "arpo", "barpo-ramp")
    run(dfl, "robust-toys", "problem.starts=300", "seeds=0:3", methods, "baselines=[arpo]")
    found = means(tmp_path / "run")
    assert found["arpo", "stuck"] > 0.15
    assert found["barpo-ramp", "stuck"] < 0.01
    for score in ("natural", "robust"):
        assert found["barpo-ramp", score] - found["arpo", score] > 0.08
    compared = {
        (row["method"], row["baseline"], row["score"]): row
        for row in rows(tmp_path / "run" / "comparisons.csv")
    }
    assert float(compared["barpo-ramp", "arpo", "robust"]["low"]) > 0
    names = {row["name"] for row in rows(tmp_path / "run" / "curves.csv")}
    assert names == {"step", "natural", "robust", "stuck"}


def test_random_processes_need_the_worst_view(dfl: Callable, tmp_path: Path) -> None:
    sizes = ("problem.models=6", "problem.starts=2", "problem.steps=400", "seeds=0:2")
    run(dfl, "robust-isa-mdp", *sizes, kept("robust-isa-mdp", "standard", "arpo"))
    found = means(tmp_path / "run")
    assert found["standard", "natural"] > 0.95
    assert found["standard", "robust"] < 0.9
    assert found["arpo", "robust"] > 0.94
    for (method, score), value in found.items():
        assert 0 <= value <= 1 + 1e-9
        if score == "robust":
            assert value <= found[method, "natural"] + 1e-9


def test_predictors_are_judged_under_noise(dfl: Callable, tmp_path: Path) -> None:
    sizes = ("problem.n_train=40", "problem.n_test=60", "problem.draws=3", "seeds=0:2")
    methods = (
        "methods=[{name: spo+, algorithm: feature-noise, max_iter: 3},"
        "{name: attacked, algorithm: feature-noise, adversary: surrogate, max_iter: 3,"
        " window: [0.1, 0.5], settings: [{radius: 0.1}, {radius: 0.5}]},"
        "{name: deep, algorithm: feature-noise, adversary: random, predictor: mlp, max_iter: 3}]"
    )
    run(dfl, "robust-shortest-path", *sizes, methods, "baselines=[spo+]")
    found = means(tmp_path / "run")
    for method in ("spo+", "attacked", "deep"):
        assert 0 <= found[method, "clean"] < found[method, "worst"]
        assert found[method, "random"] < found[method, "worst"]
    spent = {(r["method"], r["kind"]): float(r["mean"]) for r in rows(tmp_path / "run/spent.csv")}
    assert spent["attacked", "solves"] > 2 * spent["spo+", "solves"]


def test_what_is_judged_is_the_estimator_itself() -> None:
    study = FeatureNoiseStudy(kind="noisy-shortest-path", n_train=50, n_test=30, radius=1e-9)
    method = FeatureNoiseTraining(name="spo+", algorithm="feature-noise", max_iter=2)
    found = method.run(study, 3).scores
    data = study.data(3)
    from dfl import DecisionFocusedRegressor

    model = DecisionFocusedRegressor(
        data.oracle, max_iter=2, early_stopping=False, random_state=3
    ).fit(data.X[:50], data.C[:50])
    expected = 1 - model.score(data.X[50:], data.C[50:])
    for score in ("clean", "random", "worst"):  # the radius is nothing
        assert found[score] == pytest.approx(expected, abs=1e-9)


def test_a_window_that_is_none_is_refused() -> None:
    method = ExactRobust(
        name="ramp", algorithm="exact-robust", adversary="value", window=(0.8, 0.3)
    )
    with pytest.raises(InvalidInputError, match="start below the stop"):
        method.check(None)
