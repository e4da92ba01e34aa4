"""Studies of policies: tuning, statistics, files, and each recipe cut down to seconds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfl_experiments.config import PolicyConfig
from dfl_experiments.config_file import load
from dfl_experiments.policies.report import grids, shown
from dfl_experiments.policies.study import PolicyOutcome
from dfl_experiments.policies.summary import summarize
from dfl_experiments.policies.tuning import choose, trial_cells

CUT = {
    "smc-cube": ["problem.size=2", "problem.scrambles=1"],
    "smc-sokoban": ["problem.cells=5", "problem.steps=10"],
    "smc-pendulum": ["problem.steps=5"],
    "smc-knapsack": ["problem.n_items=4", "problem.capacity=10", "problem.n_train=20"],
}


def cut(name: str, tuned: str = "") -> list[str]:
    """Return settings that make a recipe small; only one method is left to be tuned."""
    changed = [*CUT[name], "problem.episodes=16"]
    for method in load(name).methods:
        if hasattr(method, "env_steps"):
            changed += [f"methods.{method.name}.env_steps=128"]
            changed += [f"methods.{method.name}.environments=16"]
            changed += [f"methods.{method.name}.rollout=4"]
        if method.name != tuned:
            changed += [f"methods.{method.name}.settings=[]"]
        elif method.trial:
            changed += [f"methods.{method.name}.trial={{env_steps: 64}}"]
    return [part for one in changed for part in ("--set", one)]


def lines(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", CUT)
def test_recipes_run(name: str, dfl: Callable, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    code, out, err = dfl("run", name, *cut(name), "--seeds", "0:2", "--out", "r", "--n-jobs", "1")
    assert (code, err) == (0, "")
    config, folder = load(name), tmp_path / "r"
    found = lines(folder / "summary.csv")
    learning = {m.name for m in config.methods if hasattr(m, "env_steps")}
    assert {row["method"] for row in found if row["score"] == "acting"} == {
        method.name for method in config.methods
    }
    assert {row["method"] for row in found if row["score"] == "alone"} >= learning
    compared = lines(folder / "comparisons.csv")
    assert {row["baseline"] for row in compared} == set(config.baselines)
    spent = {
        (row["method"], row["kind"]): float(row["mean"]) for row in lines(folder / "spent.csv")
    }
    assert all(spent[method, "env_steps"] == 128 for method in learning)
    particles = next(m for m in config.methods if m.name == "smc")
    assert spent["smc", "model_steps"] == 128 * particles.n_particles * particles.depth
    for picture in ("summary.png", "curves.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "random shooting" in out
    assert (folder / "summary.md").read_text().count("|---|") >= 3


def test_settings_are_tried_once_and_the_best_goes_on(dfl: Callable, tmp_path: Path) -> None:
    arguments = ["run", "smc-pendulum", *cut("smc-pendulum", tuned="random shooting")]
    arguments += ["--set", "methods=[{name: plans, algorithm: random-shooting, settings: "
                  "[{n_plans: 1, depth: 1}, {n_plans: 64, depth: 4}]}]"]  # fmt: skip
    arguments += ["--set", "baselines=[]", "--out", "r", "--n-jobs", "1", "--seeds", "0:2"]
    code, out, err = dfl(*arguments)
    assert (code, err) == (0, "")
    tried = lines(tmp_path / "r" / "trials.csv")
    assert [json.loads(row["setting"])["n_plans"] for row in tried] == [1, 64]
    assert [row["chosen"] for row in tried] == ["False", "True"]
    assert float(tried[1]["value"]) > float(tried[0]["value"])
    assert "n_plans 64, depth 4" in out
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["cells"] == {"total": 4, "reused": 0, "computed": 4, "failed": {}}
    # again: all cells are there, and the same is chosen
    dfl(*arguments, "--quiet")
    again = json.loads((tmp_path / "r" / "run.json").read_text())["cells"]
    assert again == {"total": 4, "reused": 4, "computed": 0, "failed": {}}
    # what was chosen is a cell like any other: the method with these settings is not run again
    plain = [*arguments[:-6], "--set", "methods.plans.settings=[]"]
    plain += ["--set", "methods.plans.n_plans=64", "--out", "r", "--n-jobs", "1"]
    dfl(*plain, "--seeds", "0:2", "--quiet")
    assert json.loads((tmp_path / "r" / "run.json").read_text())["cells"]["computed"] == 0


def tuned_knapsack() -> PolicyConfig:
    return load(
        "smc-knapsack",
        ["methods=[{name: a, algorithm: random-shooting, settings: [{depth: 1}, {depth: 2}, "
         "{depth: 3}]}, {name: b, algorithm: uniform-search}]", "baselines=[]"],
    )  # fmt: skip


def test_less_regret_is_better_and_a_failed_trial_is_passed_over() -> None:
    config = tuned_knapsack()
    cells = trial_cells(config)
    assert [(cell.seed, cell.method.depth) for cell in cells] == [(1000, 1), (1000, 2), (1000, 3)]
    assert all(cell.method.settings == () for cell in cells)
    results = [
        (cell, {"scores": {"acting": value}, "seconds": 2.0})
        for cell, value in zip(cells[1:], (0.3, 0.2), strict=True)
    ]
    chosen, trials = choose(config, results)
    assert [method.name for method in chosen.methods] == ["a", "b"]
    assert chosen.methods[0].depth == 3
    assert [trial.value for trial in trials] == [None, 0.3, 0.2]
    assert [trial.chosen for trial in trials] == [False, False, True]
    # a method without any trial that went well is left out
    assert [method.name for method in choose(config, [])[0].methods] == ["b"]


def test_numbers_of_the_summary_are_exact() -> None:
    config = load(
        "smc-knapsack",
        ["methods=[{name: a, algorithm: random-shooting}, {name: b, algorithm: uniform-search}]",
         "baselines=[b]"],
    )  # fmt: skip
    scores = {"a": [0.1, 0.2, 0.6], "b": [0.3, 0.3, 0.4]}
    results = [
        (
            SimpleNamespace(method=SimpleNamespace(name=name), seed=seed, part="p"),
            {"scores": {"acting": value}, "seconds": seed, "spent": {"steps": 10 * seed}},
        )
        for name, values in scores.items()
        for seed, value in enumerate(values)
    ]
    found = summarize(config, results, [])
    first, second = found.rows
    assert (first.method, first.n_seeds) == ("a", 3)
    assert first.mean.mean == pytest.approx(0.3)
    half = 4.302653 * 0.2645751 / 3**0.5
    assert first.mean.high - first.mean.mean == pytest.approx(half, rel=1e-5)
    assert second.middle.mean == pytest.approx(1 / 3)
    (compared,) = found.comparisons
    assert (compared.method, compared.baseline) == ("a", "b")
    assert compared.difference.mean == pytest.approx(-0.1 / 3)
    # less is better: a wins 6 of 9 pairs
    assert compared.improvement.mean == pytest.approx(6 / 9)
    assert found.seconds == {"a": 1.0, "b": 1.0}
    assert found.spent["a"] == {"steps": 10.0}
    assert [grid.title for grid in grids(found)][:2] == ["smc-knapsack: 3 seeds", "minus b"]
    assert [row[0] for row in grids(found)[0].rows] == ["regret ↓", "a", "b"]
    # where a run failed, the mean is over fewer seeds than the others', and says so
    fewer = grids(summarize(config, results[:-1], []))[0]
    assert [row[0] for row in fewer.rows] == ["regret ↓", "a", "b (seeds: 2)"]


def test_as_many_digits_are_shown_as_an_interval_tells() -> None:
    interval = summarize_interval([0.5, 0.5004, 0.4998])
    assert shown(interval) == "0.50007 [0.49931, 0.50083]"
    assert shown(summarize_interval([120.0, 80.0, 100.0])) == "100.0 [50.3, 149.7]"
    assert shown(summarize_interval([3.0])) == "3.00"


def summarize_interval(values: list[float]):
    from dfl.metrics import mean_interval

    return mean_interval(values)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["methods.smc.algorithm=smcc"], "methods.smc.algorithm: got 'smcc'.*'smc'"),
        (["methods.smc={name: smc, algorithm: imitation}"], "got 'imitation', which is not for"),
        (["methods.smc.settings=[{temperatur: 1}, {}, {}]"], "settings: temperatur: unknown key"),
        (["methods.smc.settings=[{temperature: -1}, {}, {}]"], "settings: temperature: got -1"),
        (["methods.smc.settings=[{}]"], "got numbers of settings.*expected as many for each"),
        (["seeds=1000"], "trial_seed: got 1000, expected none of the seeds"),
        (["baselines=[pppo]"], "baselines: got 'pppo'.*'ppo'"),
        (["methods.smc.env_steps=100", "methods.smc.settings=[]"], "expected at least one rollout"),
        (["problem.sides=3"], "problem.sides: unknown key"),
        (["methods.smc.settings=[{name: x}, {}, {}]"], "settings: got 'name', expected parameters"),
        (["methods.smc.trial={step: 3}", "methods.smc.settings=[]"], "trial: step: unknown key"),
        (["methods.smc.divergence=5"], "divergence: got 5.0, expected less than 2.773"),
        # a trial could be run, but not what is to follow it
        (
            ["methods.smc.env_steps=100", "methods.smc.trial={environments: 4}"],
            "got 100, expected at least one rollout of 1024",
        ),
        (
            ["problem={kind: sequential-knapsack, capacity: 1}"],
            "problem.capacity: got 1, expected a number greater than or equal to 8",
        ),
    ],
)
def test_mistakes_are_one_line(dfl: Callable, settings: list[str], words: str) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    code, out, err = dfl("run", "smc-cube", *options, "--n-jobs", "1")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)


def test_a_number_that_is_none_fails_its_cell_only(
    dfl: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfl_experiments.policies.simulators import UniformSearch

    def diverged(method, study, seed) -> PolicyOutcome:
        return PolicyOutcome({"acting": float("nan")}, {}, 0.0)

    monkeypatch.setattr(UniformSearch, "run", diverged)
    code, _, err = dfl(
        "run", "smc-pendulum", "--set", "methods=[{name: plans, algorithm: random-shooting}, "
        "{name: blind, algorithm: uniform-search}]", "--set", "baselines=[blind]",
        "--set", "problem={kind: pendulum, steps: 3, episodes: 4}", "--seeds", "0",
        "--out", "r", "--n-jobs", "1",
    )  # fmt: skip
    assert code == 2
    assert "blind, seed 0: got acting = nan" in err
    assert lines(tmp_path / "r" / "summary.csv")[0]["method"] == "plans"
