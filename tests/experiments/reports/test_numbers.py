"""The numbers of a report are those of the results."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from dfl import metrics
from dfl_experiments.config_file import load as load_recipe
from dfl_experiments.reports import plain_words
from dfl_experiments.reports.build import build
from dfl_experiments.reports.compare import common_metric
from dfl_experiments.reports.estimates import estimate, find_baseline
from dfl_experiments.reports.folder import load
from dfl_experiments.reports.overall import overall
from dfl_experiments.reports.page import Section
from dfl_experiments.reports.page import estimate as page_estimate
from dfl_experiments.reports.verdict import best_elsewhere, kinds_of, verdicts
from dfl_experiments.summary import baseline

LEAST = "theoretical minimum"
# where the decision-focused method wins, where least squares does, and where nobody does
VALUES = {
    "a": {
        "least squares": [0.10, 0.11, 0.12, 0.11],
        "squared": [0.08, 0.09, 0.10, 0.09],
        "spo+": [0.06, 0.07, 0.08, 0.07],
        LEAST: [0.04, 0.05, 0.06, 0.05],
    },
    "b": {
        "least squares": [0.02, 0.03, 0.02, 0.03],
        "squared": [0.03, 0.04, 0.03, 0.04],
        "spo+": [0.05, 0.061, 0.05, 0.06],
        LEAST: [0.00, 0.01, 0.00, 0.01],
    },
    "c": {
        "least squares": [0.10, 0.20, 0.10, 0.20],
        "squared": [0.11, 0.21, 0.11, 0.21],
        "spo+": [0.10, 0.20, 0.12, 0.19],
        LEAST: [0.0995, 0.1995, 0.0995, 0.1995],
    },
}


def section(sections: list[Section], title: str) -> Section:
    return next(one for one in sections if one.title == title)


def test_means_differences_ranks_and_shares_by_hand(write_run: Callable) -> None:
    folder = write_run("run", VALUES)
    numbers = estimate(load(folder))
    assert numbers.baseline == "least squares"
    row = next(r for r in numbers.of("a", "normalized-regret") if r.method == "spo+")
    assert tuple(row.estimate) == pytest.approx(
        (lambda i: (i.mean, i.low, i.high))(metrics.mean_interval(VALUES["a"]["spo+"]))
    )
    assert tuple(row.difference or ()) == pytest.approx((-0.04, -0.04, -0.04))
    sheet = section(build([folder]).sections, "a").sheets[0]
    assert sheet.columns[3:5] == ["rank", "closable left, %"]
    by_method = {line[0].text: [entry.key for entry in line] for line in sheet.rows}
    assert by_method["spo+"][3:7] == pytest.approx([1, 100 / 3, 2.5, 20])
    assert by_method["squared"][3:5] == pytest.approx([2, 200 / 3])
    assert by_method["least squares"][3:5] == pytest.approx([3, 100])
    assert np.isnan(by_method[LEAST][3])
    marks = {line[0].text: line[2].mark for line in sheet.rows}
    assert marks == {LEAST: "better", "spo+": "better", "squared": "better", "least squares": ""}


def test_the_baseline_is_least_squares_on_the_features_as_they_are(write_run: Callable) -> None:
    folder = write_run("run", {"a": {"least squares": [0.1], "spo+": [0.1]}})
    table = pandas.read_parquet(folder / "results.parquet")
    spline = table[table.method == "least squares"].assign(method="spline")
    spline["method.features"], table["method.features"] = "spline", "given"
    pandas.concat([spline, table]).to_parquet(folder / "results.parquet")
    assert find_baseline(load(folder)) == "least squares"
    spline.to_parquet(folder / "results.parquet")
    assert find_baseline(load(folder)) == "spline"


def test_ranks_over_problems_leave_out_what_lacks_results(write_run: Callable) -> None:
    # ranks of least squares, squared, spo+: 3 2 1 | 1 2 3 | 1 3 2
    folder = write_run("run", VALUES)
    metric = common_metric([load(folder)])
    found = overall(estimate(load(folder)), metric)
    assert found is not None
    ranks = {line[0].text: line[1].key for line in found.sheets[0].rows}
    assert ranks == pytest.approx({"least squares": 5 / 3, "spo+": 2.0, "squared": 7 / 3})
    assert list(ranks) == ["least squares", "spo+", "squared"]
    few = {
        **VALUES,
        "b": {**VALUES["b"], "spo+": VALUES["b"]["spo+"][:2]},  # a seed failed
        "c": {name: v for name, v in VALUES["c"].items() if name != "spo+"},
    }
    found = overall(estimate(load(write_run("few", few))), metric)
    assert found is not None
    assert found.title == "Over 3 problems"
    assert [line[0].text for line in found.sheets[0].rows] == ["least squares", "squared"]
    assert "not ranked: spo+" in found.paragraphs[0]
    closable = {line[0].text: line[4].key for line in found.sheets[0].rows}
    # a: two thirds; b: three halves; in c there is nothing to close
    assert closable["squared"] == pytest.approx(100 * (2 / 3 + 1.5) / 2)


def test_the_best_of_many_is_judged_where_it_was_not_chosen(rng: np.random.Generator) -> None:
    assert best_elsewhere({"a": {0: 0.0, 1: 1.0}, "b": {0: 1.0, 1: 0.0}}, [0, 1])[0] == [1.0, 1.0]
    # of a hundred methods that are equally good, the best looks better than it is
    seeds = range(50)
    noise = rng.normal(1.0, 1.0, size=(100, 50))
    methods = {str(k): dict(zip(seeds, line, strict=True)) for k, line in enumerate(noise)}
    values, name = best_elsewhere(methods, seeds)
    assert name == str(noise.mean(axis=1).argmin())
    assert noise.mean(axis=1).min() < 0.7
    assert abs(np.mean(values) - 1.0) < 0.3


def test_the_answer_says_what_is_left_of_the_gain(write_run: Callable) -> None:
    folder = write_run("run", VALUES)
    run = load(folder)
    metric = common_metric([run])
    found = {one.problem: one for one in verdicts(run.table, estimate(run), metric)}
    assert (found["a"].focused, found["a"].two_stage) == ("spo+", "squared")
    assert found["a"].gain.mean == pytest.approx(0.04)
    assert found["a"].left.mean == pytest.approx(0.02)
    assert found["a"].closable == pytest.approx((1 / 3, 2 / 3))
    # the baseline is a two-stage model as well, and here the best one
    assert (found["b"].two_stage, found["b"].left.mean) == ("least squares", found["b"].gain.mean)
    assert found["b"].left.high < 0
    assert found["c"].closable is None
    text = plain_words.answer([found["a"]], metric, "tuned by hand")
    assert "2.00 points less regret: 50 % of the gain survives" in text
    assert "clearly ahead on 1 of 1" in text
    # a problem of large regrets is one problem
    many = metrics.Interval(9.0, 8.0, 10.0)
    none = replace(found["a"], gain=many, left=metrics.Interval(0.0, 0.0, 0.0))
    text = plain_words.answer([found["a"], found["a"], none], metric, "tuned by hand")
    assert "less regret: in the median over problems, 50 % of the gain survives" in text
    text = plain_words.answer(list(found.values()), metric, "tuned by hand")
    assert "ahead on 1 of 3, with the 95 % interval of the paired difference above zero (a)" in text
    assert "clearly behind on b." in text
    assert "known on 2" in text
    words = section(build([folder]).sections, "In plain words")
    assert words.paragraphs[1] == "The least mean regret of all methods has least squares on b; c."


def test_methods_of_published_recipes_are_told_apart_by_their_loss(write_run: Callable) -> None:
    own = VALUES["a"]
    names = {"lasso by squares": "least squares", "steps by squares": "squared",
             "lasso by spo+": "spo+", "steps by spo+": "spo+"}  # fmt: skip
    folder = write_run("run", {"a": {name: own[other] for name, other in names.items()}})
    run = load(folder)
    kinds = kinds_of(run.table)
    assert kinds == {name: "focused" if "spo+" in name else "two-stage" for name in names}
    numbers = estimate(run, "lasso by squares")
    (found,) = verdicts(run.table, numbers, common_metric([run]))
    assert (found.two_stage, found.gain.mean) == ("steps by squares", pytest.approx(0.04))
    config = load_recipe("replicate-spo-paths")
    assert baseline(config) == "least squares"


def test_what_only_describes_is_not_what_methods_are_ranked_by(write_run: Callable) -> None:
    folder = write_run("run", VALUES, metric="entropy")
    table = pandas.read_parquet(folder / "results.parquet")
    assert common_metric([load(folder)]).name == "entropy"
    both = [table, table.assign(metric="normalized-regret")]
    pandas.concat(both).to_parquet(folder / "results.parquet")
    assert common_metric([load(folder)]).name == "normalized-regret"
    assert common_metric([load(folder)], "entropy").name == "entropy"


def test_columns_that_have_nothing_to_say_are_left_out(write_run: Callable) -> None:
    values = {"a": {"spo+": [0.1, 0.2], "other": [0.2, 0.3]}}
    folder = write_run("run", values)
    table = pandas.read_parquet(folder / "results.parquet")
    head = section(build([folder]).sections, "a").sheets[0].columns
    assert "solves" in head
    # the baseline has another metric than the two
    table["solves"] = 0.0
    base = table[table.method == "spo+"].assign(method="least squares", metric="entropy")
    pandas.concat([table, base]).to_parquet(folder / "results.parquet")
    numbers = estimate(load(folder), "least squares")
    assert numbers.baseline == "least squares"
    head = section(build([folder], baseline="least squares").sections, "a").sheets[0].columns
    assert head == ["method", "mean [95 %]", "rank", "train, s", "seeds"]


def test_seeds_of_one_data_set_are_said_to_be(write_run: Callable) -> None:
    folder = write_run("run", VALUES)
    said = "Seeds share one data set on a; b: "
    words = section(build([folder]).sections, "In plain words")
    assert not any("share one data set" in text for text in words.paragraphs)
    table = pandas.read_parquet(folder / "results.parquet")
    table.assign(draws_data=table.problem == "c").to_parquet(folder / "results.parquet")
    words = section(build([folder]).sections, "In plain words")
    assert words.paragraphs[-1].startswith(said)


def test_no_minus_before_zero() -> None:
    shown = page_estimate(metrics.Interval(-1e-9, -2e-5, 3e-5), percent=True)
    assert shown.text == "0.00 [0.00, 0.00]"
    signed = page_estimate(metrics.Interval(-1e-3, -2e-3, -1e-9), percent=True, signed=True)
    assert signed.text == "-0.10 [-0.20, +0.00]"


def test_without_another_two_stage_model_the_answer_says_so(write_run: Callable) -> None:
    values = {"a": {name: v for name, v in VALUES["a"].items() if name != "squared"}}
    words = section(build([write_run("run", values)]).sections, "In plain words")
    assert "No other two-stage model was run" in words.paragraphs[0]
    assert "survives" not in words.paragraphs[0]


def test_on_one_data_set_the_intervals_are_those_over_instances(
    dfl: Callable, tmp_path: Path
) -> None:
    tiny = ["--set", "problem.n_train=40", "--set", "problem.n_test=30",
            "--set", "methods.spo+.max_iter=2",
            "--set", "methods.perturbed-fenchel-young.max_iter=2"]  # fmt: skip
    assert (
        dfl(
            "run", "shortest-path", *tiny, "--seeds", "0", "--out", "r", "--n-jobs", "1", "--quiet"
        )[0]
        == 0
    )
    with open(tmp_path / "r" / "summary.csv", newline="") as file:
        kept = {(line["method"], line["metric"]): line for line in csv.DictReader(file)}
    for row in estimate(load(tmp_path / "r")).rows:
        line = kept[row.method, row.metric]
        assert row.interval == line["interval"] == "bootstrap over test instances"
        assert tuple(row.estimate) == tuple(float(line[k]) for k in ("mean", "low", "high"))
        if row.method != "least squares":
            assert row.difference is not None
            assert row.difference.low == float(line["difference_low"])
