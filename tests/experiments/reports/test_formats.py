"""What a report reads, refuses and writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas
import pytest
import yaml

from dfl_experiments.reports import latex, markdown
from dfl_experiments.reports.build import build

HOSTILE = r"<script>alert('x')</script> & | $x_1$ \input{a} `b` #%~^"
VALUES = {
    "grid": {
        "least squares": [0.10, 0.12, 0.11],
        HOSTILE: [0.08, 0.09, 0.10],
        "theoretical minimum": [0.04, 0.05, 0.06],
    },
    "<b>tour</b>": {
        "least squares": [0.20, 0.22, 0.21],
        HOSTILE: [0.18, 0.19, 0.20],
        "theoretical minimum": [0.14, 0.15, 0.16],
    },
}


class Reader(HTMLParser):
    """Collects elements and text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_of_users_are_shown_and_never_read_as_markup(
    dfl: Callable, write_run: Callable
) -> None:
    failed = {"grid, <i>bad</i>, seed 2": "it & <b>diverged</b>"}
    folder = write_run("run", VALUES, failed=failed)
    code, out, err = dfl("report", str(folder), "--out", "new/folder")
    assert (code, err) == (0, "")
    files = [Path(line.removeprefix("report: ")) for line in out.splitlines()]
    assert [file.name for file in files] == ["report.html", "report.md", "report.tex"]

    page = Reader()
    page.feed(files[0].read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert not {"b", "i", "link", "img", "iframe", "object"} & set(tags)
    assert tags.count("svg") == 5  # ranks; intervals and training time of two problems
    assert HOSTILE in page.text
    assert "it & <b>diverged</b>" in page.text
    places = [v for _, attributes in page.elements for k, v in attributes.items()
              if k in {"href", "src", "xlink:href", "action"}]  # fmt: skip
    assert places
    assert all(str(place).startswith("#") for place in places)

    text = files[1].read_text(encoding="utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert not re.search(r"(?<!\\)<", text.replace("> ", ""))
    for picture in re.findall(r"\]\((pictures/\d+\.svg)\)", text):
        content = (files[1].parent / picture).read_text(encoding="utf-8")
        assert content.startswith("<?xml")
        assert "currentColor" not in content

    text = files[2].read_text(encoding="utf-8")
    assert r"\toprule" in text
    assert r"\textless{}script\textgreater{}" in text
    assert r"\input" not in text
    body = re.sub(r"\\[{}%$&#_]", "", text)
    assert body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0
    for picture in re.findall(r"\{(pictures/\d+\.pdf)\}", text):
        assert (files[2].parent / picture).read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 50 %", r"a\_b \& 50 \%"),
        ("-1.5 [-2.0, +0.5]", "$-$1.5 [$-$2.0, +0.5]"),
        ("spo-2 {x} \\", r"spo-2 \{x\} \textbackslash{}"),
        ("Σ |z*|", r"$\Sigma$ \textbar{}z*\textbar{}"),
    ],
)
def test_latex_escapes(text: str, expected: str) -> None:
    assert latex.escape(text) == expected


def test_markdown_escapes() -> None:
    assert markdown.escape("a|b\n*c* [d](e)") == r"a\|b \*c\* \[d\](e)"


def test_what_is_no_run_is_one_line(dfl: Callable, write_run: Callable, tmp_path: Path) -> None:
    one = write_run("one", {"a": {"x": [0.1], "y": [0.2]}})
    other = write_run("other", {"a": {"x": [0.1], "y": [0.2]}}, metric="length")
    mixed = write_run("mixed", {"a": {"x": [0.1]}, "b": {"x": [0.2]}})
    table = pandas.read_parquet(mixed / "results.parquet")
    table.loc[table.problem == "b", "metric"] = "length"
    table.to_parquet(mixed / "results.parquet")
    (tmp_path / "empty").mkdir()
    broken = write_run("broken", {"a": {"x": [0.1]}})
    (broken / "results.parquet").write_bytes(b"no table")
    foreign = write_run("foreign", {"a": {"x": [0.1]}})
    pandas.DataFrame({"a": [1]}).to_parquet(foreign / "results.parquet")
    twice = write_run("twice", {"a": {"x": [0.1]}})
    table = pandas.read_parquet(twice / "results.parquet")
    pandas.concat([table, table]).to_parquet(twice / "results.parquet")
    early = write_run("early", {"a": {"x": [0.1]}}, finished=None)
    (early / "results.parquet").unlink()
    # a sweep that is still among its trials has not failed; one that ended without a result has
    tuning = write_run("tuning", {"a": {"x": [0.1]}}, finished=None)
    ended = write_run("ended", {"a": {"x": [0.1]}})
    for folder in (tuning, ended):
        table = pandas.read_parquet(folder / "results.parquet")
        table.assign(trial=0).to_parquet(folder / "results.parquet")
    for arguments, message in (
        (["empty"], "empty is no folder of a run: it has neither results.parquet nor run.json"),
        (["none"], "none is no folder of a run"),
        ([str(broken)], "cannot read"),
        ([str(foreign)], "got no column 'problem'"),
        ([str(twice)], "results hold a, x, seed 0, normalized-regret more than once"),
        ([str(early)], "early has no result yet"),
        ([str(tuning)], "tuning has no result yet: go on with the same"),
        ([str(ended)], "ended has no result: all of its cells failed"),
        ([str(one), str(one)], "a folder is given twice"),
        ([str(one), str(other)], "the runs have no metric in common"),
        ([str(mixed)], "mixes metrics: normalized-regret, length"),
        ([str(one), "--metric", "length"], "metric: got 'length', expected one that all"),
        ([str(one), "--baseline", "z"], "baseline: got 'z', expected one of: x, y"),
    ):
        code, out, err = dfl("report", *arguments, "--out", "report")
        assert (code, out, len(err.splitlines())) == (2, "", 1), err
        assert message in err
    assert not (tmp_path / "report").exists()


def test_runs_side_by_side_flag_what_differs(write_run: Callable) -> None:
    values = {name: {"same": [0.1, 0.2], "moved": [0.1, 0.2], "gone": [0.3, 0.3]} for name in "ab"}
    first = write_run("first", values)
    values["a"]["moved"] = [0.1, 0.25]
    values["b"] = {"same": [0.1, 0.2, 0.4], "moved": [0.1, 0.2], "gone": [0.3, 0.3]}
    second = write_run("second", values)
    table = pandas.read_parquet(second / "results.parquet")
    table = table[~((table.problem == "a") & (table.method == "gone"))]
    table.loc[(table.problem == "b") & (table.method == "moved"), "problem.degree"] = 8
    table.to_parquet(second / "results.parquet")
    page = build([first, second])
    sheet = page.sections[0].sheets[0]
    assert sheet.columns[-2:] == ["second minus first", "flag"]
    rows = [[entry.text for entry in row] for row in sheet.rows]
    flags = {(row[0], row[1]): row[5] for row in rows}
    assert flags == {
        ("a", "moved"): "differs on 1 of 2 seeds, by up to 5 points",
        ("a", "gone"): "only in one",
        ("b", "same"): "same on 2 seeds, 1 in one run only",
        ("b", "moved"): "same on 2 seeds; problem.degree 6 → 8",
        ("a", "same"): "same on 2 seeds",
        ("b", "gone"): "same on 2 seeds",
    }
    assert list(flags)[-2:] == [("a", "same"), ("b", "gone")]
    marked = [row[5].mark == "worse" for row in sheet.rows]
    assert marked == [True] * 4 + [False] * 2
    assert [section.title for section in page.sections[1:3]] == [
        "first: Over 2 problems",
        "first: a",
    ]


def test_an_unfinished_sweep_reports_what_is_there(dfl: Callable, tmp_path: Path) -> None:
    sweep = {
        "name": "small",
        "problems": {"grid": {"kind": "shortest-path", "n_train": 40, "n_test": 20},
                     "ball": {"kind": "portfolio", "n_train": 40, "n_test": 20, "n_assets": 4}},
        "methods": [
            {"name": "least squares", "estimator": "two-stage"},
            {"name": "cave", "estimator": "decision-focused", "loss": "cave", "max_iter": 1,
             "tune": {"learning_rate": [0.01, 0.1]}},
            {"name": "squared", "estimator": "decision-focused", "loss": "squared", "max_iter": 1,
             "tune": {"learning_rate": [0.01, 0.1]}},
        ],
        "seeds": "0:2",
    }  # fmt: skip
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    assert dfl("sweep", "sweep.yaml", "--out", "s", "--n-jobs", "1", "--quiet")[0] == 0
    whole = {section.title: section for section in build([tmp_path / "s"]).sections}
    words = " ".join(whole["In plain words"].paragraphs)
    assert "tuned by validation regret, up to 2 trials each" in words
    (failure,) = whole["Failures"].sheets[0].rows
    assert [entry.text for entry in failure][:3] == ["ball, cave", "all", "refused"]
    assert failure[3].text.startswith("ConeAlignedLoss does not go with Portfolio")

    # as it was before the end: cells of one method are missing
    record = json.loads((tmp_path / "s" / "sweep.json").read_text())
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({**record, "finished": None}))
    for path in (tmp_path / "s" / "cells").glob("*.json"):
        cell = json.loads(path.read_text())
        own = cell["method"].get("loss") == "squared"
        if own and "problem" not in cell["problem"] and cell["seed"] == 1:
            path.unlink()
    page = build([tmp_path / "s"])
    assert (
        page.warnings[0]
        == "s is not finished: 18 of 20 cells are here; the same dfl sweep goes on."
    )
    found = {section.title: section for section in page.sections}
    missing = [[entry.text for entry in row] for row in found["Failures"].sheets[0].rows]
    assert ["grid, squared", "1", "failed", "it was not computed"] in missing
    for problem in ("grid", "ball"):
        sheet = found[problem].sheets[0]
        seeds = {row[0].text: row[-1].key for row in sheet.rows}
        assert (seeds["squared"], seeds["least squares"]) == (1, 2)
    # means over other seeds are no base for ranks
    sheet = found["grid"].sheets[0]
    place = list(sheet.columns).index("rank")
    ranks = {row[0].text: row[place].text for row in sheet.rows}
    assert (ranks["squared"], bool(ranks["least squares"])) == ("", True)
    assert "rank" not in found["ball"].sheets[0].columns
