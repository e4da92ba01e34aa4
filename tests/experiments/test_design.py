"""Studies of sequential design, and a design whose labels come by CSV file."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

from dfl.design import SequentialDesign
from dfl.exceptions import InvalidInputError, MissingDependencyError
from dfl_experiments import config as configuration
from dfl_experiments import config_file
from dfl_experiments.design import desk_folder
from dfl_experiments.design.allocation import allocation
from dfl_experiments.design.methods import Elimination, Linear, Reference
from dfl_experiments.design.worlds import (
    LinearCosts,
    LLMAllocation,
    LLMRouting,
    Misspecified,
    ScaleDecoys,
    TabularBall,
)
from dfl_experiments.design.worlds.text import text_features

DESIGNS = [
    "design-linear",
    "design-misspecified",
    "design-scale-decoys",
    "design-stopping",
    "design-tabular",
    "llm-allocation",
    "llm-routing",
]
SMALL = ["--set", "problem.labels=[5, 10]", "--seeds", "0:3", "--n-jobs", "1"]


def eliminate(criterion: str, **more: object) -> Elimination:
    settings = {"name": criterion, "learner": "elimination", "criterion": criterion, **more}
    return Elimination.model_validate(settings)


def linear(criterion: str, **more: object) -> Linear:
    settings = {"name": criterion, "learner": "linear", "criterion": criterion, **more}
    return Linear.model_validate(settings)


def means(study, method, seeds: range) -> dict[str, float]:
    found = [study.compute(method, seed)["values"] for seed in seeds]
    return {name: float(np.mean([values[name] for values in found])) for name in found[0]}


def constant(costs: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: np.tile(costs, (len(X), 1))


def test_allocation_keeps_to_capacities_and_is_optimal(rng: np.random.Generator) -> None:
    oracle = allocation(3, [1, 2])
    costs = rng.normal(size=(40, 6))
    found = oracle.solve(costs)
    shares = found.decisions.reshape(-1, 3, 2)
    assert set(np.unique(found.decisions)) == {0.0, 1.0}
    assert (shares.sum(2) == 1).all()
    assert (shares.sum(1) <= [1, 2]).all()
    choices = [c for c in np.ndindex(2, 2, 2) if c.count(0) <= 1 and c.count(1) <= 2]
    every = np.array([np.eye(2)[list(choice)].ravel() for choice in choices])
    np.testing.assert_allclose(found.objectives, (costs @ every.T).min(1))


def test_a_design_study_runs_resumes_and_reports(dfl: Callable, tmp_path: Path) -> None:
    command = ["run", "design-scale-decoys", *SMALL, "--set", "problem.n_hypotheses=20"]
    code, out, err = dfl(*command, "--out", "r")
    assert (code, err) == (0, "")
    assert "regret after 10 labels" in out
    assert "minus random" in out
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    assert {"problem", "method", "seed", "metric", "labels", "value", "seconds"} <= set(table)
    assert len(table) == 3 * 7 * 2  # seeds x methods x numbers of labels
    assert set(table.labels) == {5, 10}
    with open(tmp_path / "r" / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    (row,) = [r for r in rows if r["method"] == "l2" and r["labels"] == "10"]
    wide = table[table.labels == 10].pivot_table(index="seed", columns="method", values="value")
    assert float(row["mean"]) == pytest.approx(wide["l2"].mean())
    assert float(row["difference"]) == pytest.approx((wide["l2"] - wide["random"]).mean())
    assert float(row["difference_low"]) <= float(row["difference"])
    assert (tmp_path / "r" / "summary.png").read_bytes().startswith(b"\x89PNG")
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "cells").glob("*.json")}
    assert len(cells) == 21
    code, _, err = dfl("design", *command, "--out", "r", "--quiet")  # the same by `dfl design run`
    assert (code, err) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in cells} == cells
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["cells"]["reused"] == 21


def test_results_do_not_depend_on_the_number_of_processes(dfl: Callable, tmp_path: Path) -> None:
    small = ["--set", "problem.n_directed=5", "--set", "problem.n_level=5", "--seeds", "0:2"]
    command = ["run", "design-misspecified", *SMALL[:2], *small, "--quiet"]
    for jobs in ("1", "2"):
        assert dfl(*command, "--out", jobs, "--n-jobs", jobs)[0] == 0
    first, second = (pandas.read_parquet(tmp_path / n / "results.parquet") for n in ("1", "2"))
    pandas.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["problem.labels=[5, 5]"], "problem.labels: got \\[5, 5\\], expected ascending"),
        (["problem.n_hypotheses=1"], "problem.n_hypotheses: got 1"),
        (["baselines=[nobody]"], "baselines: got 'nobody', expected one of: directional"),
        (["methods.l2.criterion=l3"], "methods.l2.criterion: got 'l3'.*'l2'"),
        (["methods.l2.learner=linaer"], "methods.l2.learner: got 'linaer'.*'linear'"),
        (["methods.l2.name=random"], "the name 'random' is taken"),
        (["methods.l2.flor=1"], "methods.l2.flor: unknown key.*'floor'"),
        (["problem.label=[1]"], "problem.label: unknown key.*'labels'"),
        (["problem.kind=scale-decoy"], "problem.kind: got 'scale-decoy'.*'scale-decoys'"),
        (["metrics=[regret]"], "metrics: unknown key"),
        (["methods.l2.learner=[1]"], "methods.l2.learner: got '\\[1\\]', expected one of"),
        (["problem.stop={slack: 0.1}"], "methods.directional: got problem.stop.slack"),
    ],
)
def test_mistakes_are_one_line(dfl: Callable, settings: list[str], words: str) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    code, out, err = dfl("design", "run", "design-scale-decoys", *options)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)


def test_design_run_is_for_design_studies(dfl: Callable) -> None:
    code, _, err = dfl("design", "run", "shortest-path")
    assert code == 2
    assert "run it by: dfl run shortest-path" in err
    for name in DESIGNS:
        assert isinstance(config_file.load(name), configuration.DesignConfig)
    # methods that do not go with the problem are refused before anything is computed
    code, _, err = dfl(
        "run", "design-scale-decoys", "--set", "problem={kind: tabular-ball, labels: [5]}"
    )
    assert code == 2
    assert "methods.directional: got learner 'elimination', but this problem has no hypoth" in err


def test_what_would_fail_in_the_middle_is_refused_before(dfl: Callable) -> None:
    small = LinearCosts(kind="linear-costs", labels=(10, 21), n_pool=20)
    with pytest.raises(InvalidInputError, match=r"problem\.labels: got 21, expected at most 20"):
        small.check([linear("random")], 0)
    ScaleDecoys(kind="scale-decoys", labels=(21,)).check([linear("random")], 0)  # repeats
    stops = ScaleDecoys(kind="scale-decoys", labels=(5,), stop={"slack": 0.1, "consensus": False})
    floor = Reference(name="floor", learner="reference", of="elimination")
    stops.check([floor, eliminate("random", slack="azuma")], 0)
    for method in (linear("random"), eliminate("random", slack="practical")):
        with pytest.raises(InvalidInputError, match=r"methods\.random: .* 'mixture' or 'azuma'"):
            stops.check([method], 0)
    with pytest.raises(InvalidInputError, match=r"methods\.random: got first 6, expected .* 5,"):
        stops.model_copy(update={"stop": None}).check([linear("random", first=6)], 0)


def test_the_criterion_takes_over_inside_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = SequentialDesign.ask

    def record(design: SequentialDesign, pool: np.ndarray, n: int):
        asked.append((len(design.indices_), n, type(design.criterion).__name__))
        return ask(design, pool, n)

    monkeypatch.setattr(SequentialDesign, "ask", record)
    study = LinearCosts(kind="linear-costs", labels=(3, 20), batch=10)
    study.compute(linear("directional", first=6), 0)
    random, other = "RandomSampling", "DirectionalUncertainty"
    assert asked == [(0, 3, random), (3, 3, random), (6, 10, other), (16, 4, other)]


def test_a_linear_model_may_stop_where_there_are_hypotheses() -> None:
    study = ScaleDecoys(
        kind="scale-decoys", labels=(5,), stop={"mean_uncertainty": 9, "consensus": False}
    )
    values = study.compute(linear("random"), 0)["values"]
    assert values.keys() == {"regret@5", "labels-to-mean-uncertainty"}


def test_one_seed_has_a_mean_and_no_interval(dfl: Callable) -> None:
    small = ["--set", "problem.labels=[5]", "--set", "problem.n_hypotheses=5", "--n-jobs", "1"]
    out = dfl("run", "design-scale-decoys", *small, "--seeds", "0")[1]
    assert "nan" not in out
    (line,) = [line for line in out.splitlines() if line.split()[:1] == ["l2"]]
    assert "±" not in line


def test_results_say_which_rules_stopped(dfl: Callable, tmp_path: Path) -> None:
    # a rule that stops with the last label has stopped
    stop = "problem.stop={slack: 1e-9, consensus: false, mean_uncertainty: 9}"
    settings = ["problem.labels=[10]", "problem.batch=10", "problem.n_hypotheses=5", stop]
    options = [part for setting in settings for part in ("--set", setting)]
    command = ["run", "design-stopping", *options, "--seeds", "0:2", "--n-jobs", "1"]
    assert dfl(*command, "--out", "r")[0] == 0
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet").set_index("metric")
    assert (table.loc[["labels-to-slack", "labels-to-mean-uncertainty"]].value == 10).all()
    assert not table.loc["labels-to-slack"].stopped.any()
    assert table.loc["labels-to-mean-uncertainty"].stopped.all()
    assert table.loc["regret"].stopped.isna().all()


def test_scale_decoys_mislead_a_criterion_that_does_not_know_what_decides() -> None:
    study = ScaleDecoys(kind="scale-decoys", labels=(50,), batch=2)
    seeds = range(10)
    directional = means(study, eliminate("directional"), seeds)["regret@50"]
    other = means(study, eliminate("l2"), seeds)["regret@50"]
    assert directional < 0.85 * other
    # the truth is in the class: least squares find it, whatever is labeled
    assert means(study, eliminate("l2", loss="squared"), seeds)["regret@50"] < 0.2 * directional


def test_without_the_truth_the_loss_of_the_elimination_decides() -> None:
    study = Misspecified(kind="misspecified", labels=(100,), batch=2)
    for criterion in ("directional", "l2"):
        regret = means(study, eliminate(criterion), range(5))["regret@100"]
        wrong = means(study, eliminate(criterion, loss="squared"), range(5))["regret@100"]
        assert regret < 0.2 * wrong


def test_labels_follow_the_theory_of_a_table_of_categories() -> None:
    study = TabularBall(kind="tabular-ball", labels=(400,))
    settings = {"ridge": 1e-6, "intercept": False, "first": 30, "first_by": "d-optimal", "floor": 0}
    world = study.world(0)
    counts = {}
    for criterion in ("d-optimal", "integrated-regret"):
        begun = linear(criterion, **settings).begin(world, study, 0)
        rng = np.random.default_rng(0)
        for bought in range(400):
            begun.turn(bought)
            rows, weights = begun.design.ask(begun.pool)
            assert weights.tolist() == [1.0]
            begun.design.tell(rows, world.label(rows, rng))
        counts[criterion] = np.bincount(begun.design.indices_, minlength=10)
    assert (counts["d-optimal"] == 40).all()
    # n in proportion to the root of 1 / |c|, the least sum of regrets
    ideal = np.geomspace(1, 30, 10) ** -0.5
    np.testing.assert_allclose(counts["integrated-regret"] / 400, ideal / ideal.sum(), atol=0.03)
    assert counts["integrated-regret"][0] > 70


def test_integrated_design_is_about_as_good_as_d_optimal_on_a_linear_model() -> None:
    study = LinearCosts(kind="linear-costs", labels=(30,), noise=3)
    settings = {"ridge": 0.01, "intercept": False, "first": 6, "floor": 0}
    found = {
        criterion: means(study, linear(criterion, **settings), range(8))["regret@30"]
        for criterion in ("d-optimal", "integrated-directional", "random")
    }
    assert 0.6 < found["integrated-directional"] / found["d-optimal"] < 1.5
    assert found["d-optimal"] < 0.8 * found["random"]
    # the largest uncertainty of a single row is a bad guide
    greedy = linear("delta-directional", greedy=True, **settings)
    assert means(study, greedy, range(8))["regret@30"] > 1.5 * found["d-optimal"]


def test_stopping_rules_note_the_labels_they_need() -> None:
    study = ScaleDecoys.model_validate(
        {
            "kind": "scale-decoys",
            "labels": [500, 1500],
            "batch": 50,
            "n_hypotheses": 20,
            "stop": {"slack": 0.2, "mean_uncertainty": 0.02},
        }
    )
    settings = {"slack": "azuma", "lipschitz": 0.5, "floor": 0.0}
    own = study.compute(eliminate("directional", **settings), 0)
    other = study.compute(eliminate("random", **settings), 0)
    assert set(own["values"]) == set(study.metrics())
    assert own["values"]["labels-to-slack"] < other["values"]["labels-to-slack"] <= 1500
    assert own["values"]["best-kept"] == 1
    assert own["values"]["regret-at-slack"] <= 0.2
    for rule in ("slack", "consensus", "mean-uncertainty"):
        found = own["values"][f"labels-to-{rule}"]
        assert found <= 1500
        assert (rule in own["unstopped"]) <= (found == 1500)
    assert set(own) == {"values", "unstopped", "seconds", "solves"}


@pytest.fixture
def real(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_DATA", str(data_folder))


SIZES = {"n_pool": 30, "n_test": 60, "n_hypotheses": 12, "labels": (6, 12), "batch": 6}


def test_language_models_get_jobs_within_their_capacities(real: None) -> None:
    study = LLMAllocation(kind="llm-allocation", **SIZES)
    assert list(study.parts()) == ["llm-allocation-4", "llm-allocation-17"]
    for part, models in zip(study.parts().values(), (4, 17), strict=True):
        world = part.world(0)
        assert world.pool.shape == (30, 5 * 14)
        assert world.hypotheses.shape == (12, 30, 5 * models)
        costs = world.label(np.arange(30), np.random.default_rng(0))
        assert costs.shape == (30, 5 * models)
        decisions = world.oracle.solve(costs).decisions.reshape(30, 5, models)
        assert (decisions.sum(2) == 1).all()
        assert decisions.sum(1).max() == {4: 2, 17: 1}[models]
        assert (world.risks >= 0).all()
        # the class holds better than chance, and a perfect prediction has no regret
        always = np.tile(np.arange(models), 5)  # the same preference for everything
        assert world.risks.min() < world.regret(constant(always))
    four = study.parts()["llm-allocation-4"]
    found = four.compute(eliminate("directional"), 0)
    assert found["values"].keys() == {"regret@6", "regret@12"}
    best = Reference(name="best", learner="reference", of="elimination")
    floor = four.compute(best, 0)["values"]["regret@12"]
    assert floor <= found["values"]["regret@12"]
    whole = Reference(name="whole", learner="reference", of="linear")
    for method in (whole, linear("integrated-regret"), linear("margin")):
        assert four.compute(method, 0)["values"]["regret@12"] > 0


def test_prompts_of_the_three_parts_are_different(real: None) -> None:
    study = LLMRouting(kind="llm-routing", **SIZES)
    world = study.world(0)
    assert world.hypotheses.shape == (12, 30, 10)
    judged = []
    world.regret(lambda X: judged.append(X) or np.zeros((len(X), 10)))
    bought = {row.tobytes() for row in world.pool.reshape(-1, 14)}
    assert not bought & {row.tobytes() for row in judged[0].reshape(-1, 14)}
    assert len(bought) > 140
    # the same seed, the same world; another one, another
    np.testing.assert_array_equal(world.pool, study.world(0).pool)
    assert not np.array_equal(world.pool, study.world(1).pool)


def test_text_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"What is {i} + {i}?" if i % 2 else "Write a POEM about rain." for i in range(40)]
    X = text_features(texts, "words", 2, None)
    assert X.shape == (40, 10)
    np.testing.assert_allclose(X.mean(0), 0, atol=1e-9)
    assert (np.abs(X[0] - X[2]) < 1e-6).all()
    assert text_features(texts, "statistics", 2, None).shape == (40, 8)
    with pytest.raises(InvalidInputError, match="n_components: got 5000, expected at most 3, the"):
        text_features(texts, "words", 5000, None)
    with pytest.raises(InvalidInputError, match="got 'nowhere', expected the folder"):
        text_features(texts, "embedding", 2, "nowhere")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependencyError, match="pip install sentence-transformers"):
        text_features(texts, "embedding", 2, str(tmp_path))

    class Encoder:
        def __init__(self, path: str, local_files_only: bool) -> None:
            assert (path, local_files_only) == (str(tmp_path), True)

        def encode(self, texts: list[str], show_progress_bar: bool) -> np.ndarray:
            return np.random.default_rng(0).normal(size=(len(texts), 5))

    module = SimpleNamespace(SentenceTransformer=Encoder)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert text_features(texts, "embedding", 3, str(tmp_path)).shape == (40, 11)


# ---- ask and tell


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a pool of 20 rows and a problem of three alternatives."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 2)).round(3)
    rows = [[f"r{i}", *features[i], "ab"[i % 2]] for i in range(20)]
    write(tmp_path / "pool.csv", ["id", "x", "y", "kind"], rows)
    (tmp_path / "problem.yaml").write_text("kind: simplex\nn: 3\n")
    return tmp_path


ASK = ["design", "ask", "pool.csv", "--state", "s"]
FIRST = [*ASK, "--problem", "problem.yaml", "-n", "4"]
TELL = ["design", "tell", "new.csv", "--state", "s"]


def rows_of(text: str) -> list[str]:
    header, *rows = csv.reader(text.splitlines())
    assert header == ["id", "weight"]
    return [name for name, _ in rows]


def costs_of(name: str) -> list[float]:
    return np.random.default_rng(int(name[1:])).normal(size=3).round(4).tolist()


def label(folder: Path, names: list[str]) -> None:
    write(folder / "new.csv", ["id", "c0", "c1", "c2"], [[n, *costs_of(n)] for n in names])


def test_ask_and_tell(dfl: Callable, laboratory: Path) -> None:
    code, out, err = dfl(*FIRST)
    assert (code, err) == (0, "")
    names = rows_of(out)
    assert len(set(names)) == 4
    code, again, err = dfl(*ASK)  # nothing was told: the same rows
    assert (code, again) == (0, out)
    assert "have not been told yet" in err
    label(laboratory, names[:3][::-1])
    assert dfl(*TELL)[1] == "3 new labels, 3 in all, 1 rows to come\n"
    assert rows_of(dfl(*ASK)[1]) == names[3:]
    # the file that ask wrote, with costs filled in; rows without are passed over, as are columns
    # that are no costs
    code, out, _ = dfl(*ASK, "--out", "asked.csv")
    assert out == "1 rows to label: asked.csv\n"
    write(
        laboratory / "new.csv",
        ["c0", "weight", "id", "note", "c1", "c2"],
        [["", "", names[0], "later", "NA", "nan"], [1, 1, names[3], "", 2, 3]],
    )
    assert dfl(*TELL)[1] == "1 new labels, 4 in all, 0 rows to come\n"
    # the rest of the pool, each row once
    seen = list(names)
    while len(seen) < 20:
        new = rows_of(dfl(*ASK, "-n", "4")[1])
        label(laboratory, new)
        assert dfl(*TELL)[0] == 0
        seen += new
    assert sorted(seen) == sorted(f"r{i}" for i in range(20))
    code, _, err = dfl(*ASK)
    assert code == 2
    assert "0 of 20 rows are left" in err
    learned = desk_folder.open_design(Path("s"), desk_folder.read_setup(Path("s")))
    expected = {f"r{i}": costs_of(f"r{i}") for i in range(20)} | {names[3]: [1, 2, 3]}
    for row, costs in zip(learned.indices_, learned.C_, strict=True):
        np.testing.assert_allclose(costs, expected[f"r{row}"])


@pytest.mark.parametrize("named", ["ask", "ask again", "tell", "never"])
def test_costs_are_known_by_their_names(dfl: Callable, laboratory: Path, named: str) -> None:
    option = ["--costs", "c0,c1,c2"]
    names = rows_of(dfl(*FIRST, *(option if named == "ask" else []))[1])
    if named == "ask again":
        assert dfl(*ASK, *option)[0] == 0
    label(laboratory, names[:1])
    assert dfl(*TELL, *(option if named == "tell" else []))[0] == 0
    for name, order in ((names[1], [2, 0, 1]), (names[2], [1, 2, 0])):
        costs = costs_of(name)
        header = ["id", *(f"c{j}" for j in order)]
        write(laboratory / "new.csv", header, [[name, *(costs[j] for j in order)]])
        code, _, err = dfl(*TELL, "--costs", ",".join(header[1:]))
        assert (code, len(err.splitlines())) == (2, 1)
        assert f"--costs: got {', '.join(header[1:])}, but s was begun with c0, c1, c2; " in err
        assert dfl(*TELL)[0] == 0
    assert dfl(*ASK, "--costs", "c*")[0] == 0
    learned = desk_folder.open_design(Path("s"), desk_folder.read_setup(Path("s")))
    assert len(learned.C_) == 3
    for row, costs in zip(learned.indices_, learned.C_, strict=True):
        np.testing.assert_allclose(costs, costs_of(f"r{row}"))
    write(laboratory / "new.csv", ["id", "c0", "c1", "c3"], [[names[3], 1, 2, 3]])
    code, _, err = dfl(*TELL)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "no column 'c2' for the costs that s was begun with" in err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--features", "x,y"], "--features: got x, y, but s was begun with kind, x, y; leave"),
        (["--costs", "c1,c0,c2"], "--costs: got c1, c0, c2, but s was begun with c0, c1, c2; lea"),
        (["--costs", "c1,c2"], "--costs: got c1, c2, but s was begun with c0, c1, c2; leave"),
        (["--costs", "a,b,c"], "s: no column 'a' for --costs, expected one of: c0, c1, c2"),
    ],
)
def test_other_columns_are_refused(
    dfl: Callable, laboratory: Path, option: list[str], words: str
) -> None:
    first = dfl(*FIRST, "--costs", "c0,c1,c2")[1]
    code, out, err = dfl(*ASK, *option)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert dfl(*ASK, "--features", "kind,[xy]", "--costs", "c0,c1,c2")[1] == first


def test_costs_that_are_named_late_are_checked(dfl: Callable, laboratory: Path) -> None:
    dfl(*FIRST)
    for costs, words in (("c0,c1", "got 2 names, expected 3"), ("x,c1,c2", "'x' is named for two")):
        code, _, err = dfl(*ASK, "--costs", costs)
        assert (code, len(err.splitlines())) == (2, 1)
        assert words in err


def test_a_file_is_no_folder_of_a_state(dfl: Callable, laboratory: Path) -> None:
    command = [part if part != "s" else "pool.csv" for part in FIRST]
    code, out, err = dfl(*command)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "--state: pool.csv is a file, expected a folder" in err


def test_the_same_seed_asks_the_same_rows(dfl: Callable, laboratory: Path) -> None:
    one = dfl(*FIRST, "--seed", "3")[1]
    two = dfl(*[part if part != "s" else "other" for part in FIRST], "--seed", "3")[1]
    assert one == two
    assert one != dfl(*[part if part != "s" else "third" for part in FIRST], "--seed", "4")[1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["r99", 1, 2, 3]], "line 2: column 'id': got 'r99', which is not in the pool"),
        ([["NOT", 1, 2, 3]], "line 2: column 'id': got .* which is not asked for"),
        ([["A", 1, 2, 3], ["A", 1, 2, 3]], "line 3: column 'id': got .* line 2 has already"),
        ([["A", 1, "nan", 3]], "line 2: column 'c1': got 'nan', a value is missing"),
        ([["A", 1, "", 3]], "line 2: column 'c1': a value is missing"),
        ([["A", 1, "x", 3]], "line 2: column 'c1': got 'x', expected a finite number"),
        ([["A", 1, "inf", 3]], "line 2: column 'c1': got 'inf', expected a finite number"),
        ([["A", 1, 2]], "line 2: got 3 fields, expected 4"),
    ],
)
def test_bad_labels_are_one_line_and_change_nothing(
    dfl: Callable, laboratory: Path, rows: list[list[object]], words: str
) -> None:
    asked = rows_of(dfl(*FIRST)[1])
    other = next(name for name in (f"r{i}" for i in range(20)) if name not in asked)
    named = {"A": asked[0], "NOT": other}
    table = [[named.get(str(row[0]), row[0]), *row[1:]] for row in rows]
    write(laboratory / "new.csv", ["id", "c0", "c1", "c2"], table)
    before = {path: path.read_bytes() for path in (laboratory / "s").iterdir()}
    code, out, err = dfl(*TELL)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)
    assert {path: path.read_bytes() for path in (laboratory / "s").iterdir()} == before
    # a label twice, in two files
    label(laboratory, asked[:1])
    assert dfl(*TELL)[0] == 0
    assert "labeled already" in dfl(*TELL)[2]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (ASK, "the first ask needs --problem"),
        (TELL, "holds no design"),
        ([*FIRST, "--criterion", "best"], "--criterion: got 'best', expected one of"),
        ([*FIRST, "--floor", "2"], "--floor: got 2.0"),
        ([*FIRST, "--ridge", "0"], "--ridge: got 0.0"),
        ([*FIRST, "-n", "21"], "-n: got 21, but pool.csv has 20 rows"),
        ([*FIRST, "-n", "0"], "Invalid value for '--n'"),
        ([*FIRST, "--features", "z"], "no column 'z' for --features"),
        ([*FIRST, "--features", "id"], "expected at least one column besides 'id'"),
        ([*FIRST, "--costs", "a,b"], "got 2 names, expected 3"),
        (["design", "ask", "none.csv", *FIRST[3:]], "none.csv: No such file"),
        ([*FIRST[:-3], "none.yaml"], "there is no such file"),
    ],
)
def test_bad_beginnings(dfl: Callable, laboratory: Path, command: list[str], words: str) -> None:
    write(laboratory / "new.csv", ["id", "c0"], [["r0", 1]])
    code, out, err = dfl(*command)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)
    # nothing was begun, and a right beginning in the same folder works
    assert not (laboratory / "s" / "setup.json").exists()
    assert dfl(*FIRST)[0] == 0


def test_a_changed_pool_or_state_is_refused(dfl: Callable, laboratory: Path) -> None:
    first = dfl(*FIRST)[1]
    pool = (laboratory / "pool.csv").read_text()
    lines = pool.splitlines()
    for changed, words in (
        (pool + "r20,1,2,a\n", "got 21 rows, but s was begun with 20"),
        ("\n".join([lines[0], *reversed(lines[1:])]), "row 1: column 'id': got 'r19'"),
        (pool.replace("r3,", "r3,9", 1), "features differ"),
        (pool.replace("r3,", "r2,", 1), "line 5: column 'id': got 'r2', which line 4 has already"),
        (pool.replace(",a\n", ",c\n", 1), "line 2: column 'kind': got 'c'"),
        (pool.replace("id,", "name,", 1), "no column 'id'"),
    ):
        (laboratory / "pool.csv").write_text(changed)
        code, out, err = dfl(*ASK)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert words in err
    (laboratory / "pool.csv").write_text(pool)
    for name in ("design.npz", "setup.json", "problem.npz"):
        whole = (laboratory / "s" / name).read_bytes()
        (laboratory / "s" / name).write_bytes(whole[: len(whole) // 2])
        code, out, err = dfl(*ASK)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        (laboratory / "s" / name).write_bytes(whole)
    assert dfl(*ASK)[1] == first


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_killed_between_ask_and_tell_loses_nothing(
    dfl: Callable, laboratory: Path
) -> None:
    # killed as soon as the first row is printed
    command = [sys.executable, "-m", "dfl_experiments", *FIRST]
    with subprocess.Popen(command, cwd=laboratory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline(), process.stdout.readline()]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
    assert not list(laboratory.rglob("*.tmp"))
    code, out, _ = dfl(*ASK)
    assert code == 0
    assert out.startswith("".join(seen) + rest)
    label(laboratory, rows_of(out))
    assert dfl(*TELL)[1] == "4 new labels, 4 in all, 0 rows to come\n"


def test_methods_are_compared_with_the_baseline_of_their_family() -> None:
    config = config_file.load("llm-allocation")
    found = {method.name: config.baseline(method) for method in config.methods}
    assert found["l2"] == "random"
    assert found["l2, squared loss"] == "random, squared loss"
    assert found["linear, d-optimal"] == found["linear, whole pool"] == "linear, random"
    assert found["best hypothesis"] == "random"
    assert found["random"] is found["linear, random"] is None
