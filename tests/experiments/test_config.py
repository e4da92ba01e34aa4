"""Configurations: every mistake is one line that names the key and what was perhaps meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from dfl.exceptions import InvalidInputError
from dfl_experiments.catalog import TAGGED
from dfl_experiments.config import DesignConfig, PolicyConfig, RunConfig, SuiteConfig, parse_seeds
from dfl_experiments.config_file import load, recipes
from dfl_experiments.sweep.config import load_sweep


def test_all_shipped_recipes_are_valid() -> None:
    policies = ("preference-", "robust-", "segment-", "smc-")
    tables = ("pyepo-", "replicate-", "survey-")
    assert [name for name in recipes() if not name.startswith((*policies, *tables))] == [
        "auto-vs-all",
        "demo", "design-linear", "design-misspecified", "design-scale-decoys", "design-stopping",
        "design-tabular", "energy", "entropy-portfolio", "knapsack-weights", "llm-allocation",
        "llm-routing", "ordinal-classes", "ordinal-digits", "portfolio-sp500", "rerun",
        "shortest-path",
        "staffing", "subset-selection", "surrogates", "terrain",
    ]  # fmt: skip
    for prefix in policies:
        assert any(isinstance(load(name), PolicyConfig) for name in recipes() if prefix in name)
    for name, description in recipes().items():
        if name == "rerun":
            assert load_sweep(name).n_trials
        else:
            assert isinstance(load(name), RunConfig | DesignConfig | PolicyConfig | SuiteConfig)
        assert description.endswith(".")


def test_models_are_known_by_their_tags() -> None:
    kinds = {"llm-routing", "tabular-ball", "energy", "equal-weight", "elimination", "reference"}
    assert kinds < set(TAGGED)
    assert TAGGED["shortest-path"] is type(load("shortest-path").problem)
    for tag, leaf in TAGGED.items():
        annotations = [field.annotation for field in leaf.model_fields.values()]
        assert Literal[tag] in annotations


def test_settings_change_what_they_name() -> None:
    config = load("shortest-path", ["problem.degree=6", "methods.spo+.learning_rate=1e-3"], "3:5")
    assert (config.problem.degree, config.seeds) == (6, (3, 4))
    assert config.methods[1].learning_rate == 0.001
    suite = load("demo", ["shortest-path.problem.noise=0"], "0:2")
    assert suite.recipes[0].problem.noise == 0
    assert [run.seeds for run in suite.recipes] == [(0, 1), (0,)]


@pytest.mark.parametrize("text", ["", "a", "3:2", "1,,2", "-1", "1.5"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="seeds: got"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shortest-pth"], "unknown recipe 'shortest-pth'.*did you mean 'shortest-path'"),
        (["nowhere/file.yaml"], "cannot read nowhere/file.yaml: No such file"),
        (["shortest-path", "--set", "problem.degre=3"], "problem.degre: unknown key.*'degree'"),
        (["shortest-path", "--set", "problem.degree=x"], "problem.degree: got 'x', expected a"),
        (["shortest-path", "--set", "problem.noise=-1"], "problem.noise: got -1"),
        (["shortest-path", "--set", "problem.kind=shortestpath"], "problem.kind: got.*did you"),
        (["shortest-path", "--set", "problem.kind=[1]"], "kind: got '\\[1\\]', expected"),
        (["shortest-path", "--set", "methods.spo.loss=x"], "methods.spo: unknown.*'spo\\+'"),
        (["shortest-path", "--set", "methods.spo+.loss=spo"], "methods.spo\\+.*got loss 'spo'"),
        (["shortest-path", "--set", "methods.spo+.optimizer=adan"], "optimizer.*'adam'"),
        (["shortest-path", "--set", "metrics=[regret]"], "metrics: got 'regret'.*did you mean"),
        (["shortest-path", "--set", "metrics=[annual-return]"], "'annual-return' is for problems"),
        (["shortest-path", "--set", "seeds"], "expected key=value"),
        (["shortest-path", "--set", "problem.grid=[1, 5]"], "problem.grid.0: got 1"),
        (["shortest-path", "--seeds", "9:1"], "--seeds: got '9:1'"),
        (["shortest-path", "--n-jobs", "0"], "got 0, expected a positive number or -1"),
        (["demo", "--set", "problem.degree=3"], "must begin with the name of a recipe"),
        (["portfolio-sp500", "--set", "problem.last_test_year=2000"], "last_test_year: got 2000"),
        (["energy", "--set", "problem.instances=[4]"], "problem.instances.0: got 4"),
        (["run-what", "extra"], "(?i)unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_one_line_and_code_2(
    dfl: Callable, tmp_path: Path, arguments: list[str], words: str
) -> None:
    code, out, err = dfl("run", *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.json.tmp"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("problem: [", r"line 1, column \d+: not valid YAML"),
        ("- a", "got list, expected keys"),
        ("name: x\nmethods: []\n", "problem: missing"),
        ("name: x\nproblem: {kind: energy}\nmethods: []\n", "methods: got"),
        ("name: x\nrecipes: [nothing]\n", "unknown recipe 'nothing'"),
        ("name: x\nrecipes: [demo]\n0: 0\n", "0: unknown key, expected one of"),
        (
            "name: ../x\nproblem: {kind: energy}\nmethods: [{name: a, estimator: two-stage}]\n",
            "name",
        ),
    ],
)
def test_files_with_mistakes(dfl: Callable, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    code, _, err = dfl("run", "mine.yaml")
    assert (code, len(err.splitlines())) == (2, 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)


def test_the_printed_configuration_runs_as_a_file(dfl: Callable, tmp_path: Path) -> None:
    code, out, _ = dfl("run", "shortest-path", "--print-config", "--set", "problem.degree=2")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(out)
    assert load(str(tmp_path / "mine.yaml")) == load("shortest-path", ["problem.degree=2"])


def test_numbers_to_choose_from_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"problem\.size: got 4, expected one of: 2, 3$"):
        load("smc-cube", ["problem.size=4"])
