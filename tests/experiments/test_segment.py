"""The recipes of arithmetic with segments, cut down to seconds."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from dfl.exceptions import InvalidInputError
from dfl_experiments.config_file import load, recipes
from dfl_experiments.policies.segment.learned import curve
from dfl_experiments.policies.segment.warm import HELD, JUDGED, LEARNED, LESSONS, TRIED, Warm

# a single step of arithmetic, of which a still smaller model learns the form, and a part
WARM = ["lessons=512", "epochs=4", "steps=1", "hidden_size=16", "layers=1", "learning_rate=0.02"]
CUT = [f"problem.warm.{each}" for each in WARM]


def run(dfl: Callable, name: str, changed: list[str]) -> dict[str, dict[tuple[str, str], float]]:
    """Run a recipe with one seed; return its means by table, method and score."""
    arguments = [part for each in [*CUT, *changed] for part in ("--set", each)]
    code, _, err = dfl("run", name, *arguments, "--seeds", "0", "--n-jobs", "1", "--out", "out")
    assert code == 0, err
    found = {}
    for table, column in (("summary", "score"), ("spent", "kind")):
        with open(next(Path("out").rglob(f"{table}.csv"))) as file:
            found[table] = {
                (row["method"], row[column]): float(row["mean"]) for row in csv.DictReader(file)
            }
    return found


def test_methods_start_alike_and_are_charged(dfl: Callable) -> None:
    recipe = load("segment-arithmetic")
    changed = ["problem.optimizer_steps=5", "problem.judged=50", "problem.problems=64"]
    for method in recipe.methods:
        changed += [f"methods.{method.name}.settings=[]", f"methods.{method.name}.prompts=8"]
    found = run(dfl, "segment-arithmetic", changed)
    names = [method.name for method in recipe.methods]
    assert len({found["summary"][name, "start"] for name in names}) == 1
    assert len({found["summary"][name, "accuracy"] for name in names}) > 1
    spent = found["spent"]
    for name in names:
        # an iteration that teaches nothing takes no step
        assert 3 <= spent[name, "optimizer_steps"] <= 5, name
        assert 0 < found["summary"][name, "accuracy"] < 0.9
    assert spent["chain", "generated_tokens"] > 4 * spent["grpo", "generated_tokens"]
    assert next(Path("out").rglob("curves.png")).stat().st_size > 10_000


def test_tokens_are_the_limit_where_they_are_the_budget(dfl: Callable) -> None:
    changed = ["problem.generated_tokens=2000", "problem.judged=20", "problem.problems=64"]
    for method in load("segment-arithmetic-tokens").methods:
        changed += [f"methods.{method.name}.settings=[]", f"methods.{method.name}.prompts=4"]
    spent = run(dfl, "segment-arithmetic-tokens", changed)["spent"]
    for (name, kind), value in spent.items():
        if kind == "generated_tokens":
            assert 2000 <= value < 2000 + 2000, name
    assert spent["grpo", "optimizer_steps"] > 3 * spent["chain", "optimizer_steps"]


def test_credit_of_segments_agrees_with_that_of_many_rollouts(dfl: Callable) -> None:
    """Advantages of the finest segments come near the ceiling; those of completions do not."""
    changed = [
        "problem.repeats=2",
        "problem.completions=100",
        "problem.rollouts=100",
        "problem.prompts=8",
        'methods=[{"name": "fine", "algorithm": "credit"},'
        ' {"name": "whole", "algorithm": "credit", "estimator": "rloo", "mask": 1}]',
        "baselines=[whole]",
    ]
    found = run(dfl, "segment-credit", changed)["summary"]
    assert found["fine", "correlation"] > 0.5
    assert found["fine", "correlation"] == pytest.approx(found["fine", "ceiling"], abs=0.2)
    assert found["fine", "whole"] < found["fine", "correlation"]
    assert ("whole", "correlation") not in found
    for name in ("fine", "whole"):
        assert 0 < found[name, "cosine"] <= 1
        assert 0 <= found[name, "error"] < 1


def test_recipes_are_there_and_budgets_are_one(dfl: Callable) -> None:
    for name in ("arithmetic", "arithmetic-tokens", "granularity", "credit"):
        assert f"segment-{name}" in recipes()
    with pytest.raises(InvalidInputError, match="expected one of them"):
        load("segment-arithmetic", ["problem.generated_tokens=10"])


def test_kinds_of_problems_are_drawn_apart() -> None:
    """No kind is a copy of another, and a seed gives the same problems again."""
    warm = Warm(steps=8)
    drawn = [warm.problems(20, part, 0) for part in (LESSONS, LEARNED, JUDGED, TRIED, HELD)]
    prompts = [prompt for problems in drawn for prompt in problems.prompts]
    assert len(set(prompts)) == len(prompts)
    assert warm.problems(20, JUDGED, 0) == drawn[2]
    assert warm.problems(20, JUDGED, 1).prompts != drawn[2].prompts


def test_points_of_curves_are_means() -> None:
    entries = [
        {"reward": float(i), "optimizer_steps": i + 1.0, "generated_tokens": 10.0 * (i + 1)}
        for i in range(11)
    ]
    assert curve(entries) == [
        {"optimizer_steps": 5.0, "generated_tokens": 50.0, "reward": 2.0},
        {"optimizer_steps": 10.0, "generated_tokens": 100.0, "reward": 7.0},
    ]
