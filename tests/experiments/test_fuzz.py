"""Tables, problems, models and configurations of any content end in a result or in one line.

A few inputs of each kind by default; ``DFL_FUZZ=500`` makes 500 of each kind, 2,000 in all.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import inspect
import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfl_solvers
from dfl_experiments import config_file
from dfl_experiments.cli import BAD_INPUT, main
from dfl_experiments.tables.problem_file import kinds, read_problem

fuzz = settings(
    max_examples=int(os.environ.get("DFL_FUZZ", "12")),
    deadline=None,
    derandomize=True,  # the same inputs every time
    suppress_health_check=list(HealthCheck),
)

ODD = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "1e30", "1e999", "1_000", "0x10",
         "\u0661\u0662", "1,5", "NA", "true", "null", "[]", "{}", '"', "'", "a b", "=1+1", "\0",
         "\u00e9", "9" * 400, "-0", "f0", "c0", "x0", "cost", "r0", ":", "- 1", "&a", "*a",
         "!!int x"]
    ),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=6),
)  # fmt: skip
# what is done to a text: where (as a share of its length), how much is taken out, what comes in
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), ODD), max_size=3)


def edited(parts: list[str], edits: list[tuple[float, int, str]]) -> list[str]:
    """Replace some of the parts of a text."""
    parts = list(parts)
    for place, taken, new in edits:
        start = int(place * len(parts))
        parts[start : start + taken] = [new]
    return parts


def call(*arguments: str) -> int:
    """Run the command line; an error is one line, and never a traceback."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        # what a user is warned of (a part of a model is ignored, say); numbers stay errors
        warnings.simplefilter("ignore", UserWarning)
        code = main(arguments)
    if code:
        assert code == BAD_INPUT, err.getvalue()
        assert not out.getvalue()
        assert err.getvalue().startswith("dfl: error: ")
        assert err.getvalue().count("\n") == 1
    return code


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def rows(seed: int, n: int = 16) -> list[list[str]]:
    """Return a table: two numbers and a category, four costs, and who the row belongs to."""
    rng = np.random.default_rng(seed)
    header = ["f0", "f1", "kind", "c0", "c1", "c2", "c3", "day", "item"]
    body = [
        [*(f"{v:.3g}" for v in rng.normal(size=2)), "ab"[i % 2],
         *(f"{v:.3g}" for v in rng.uniform(1, 2, size=4)), str(i // 4), str(i % 4)]
        for i in range(n)
    ]  # fmt: skip
    return [header, *body]


# what a whole column may be, in place of what it should be
COLUMNS = st.one_of(
    st.sampled_from(["0", "1e308", "-1e308", "1e-320", "1e200", "same", "1"]).map(
        lambda v: 16 * [v]
    ),
    st.lists(st.floats(allow_nan=False, allow_infinity=False).map(repr), min_size=16, max_size=16),
    st.permutations([str(i) for i in range(16)]),
    st.lists(st.sampled_from(["0", "1", "2"]), min_size=16, max_size=16),
    st.lists(ODD, min_size=16, max_size=16),
)


@st.composite
def csv_texts(draw: st.DrawFn) -> str:
    """Return a table some of whose columns, cells, lines or characters are others."""
    lines = rows(draw(st.integers(0, 3)))
    kind = draw(st.sampled_from(["right", "columns", "columns", "cells", "lines", "characters"]))
    if kind == "columns":
        for col in draw(st.lists(st.integers(0, 8), min_size=1, max_size=2)):
            for line, new in zip(lines[1:], draw(COLUMNS), strict=True):
                line[col] = new
    if kind == "cells":
        for row, col, new in draw(
            st.lists(st.tuples(st.integers(0, 16), st.integers(0, 8), ODD), max_size=2)
        ):
            lines[row][col] = new
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    text = buffer.getvalue()
    if kind == "lines":
        text = "\n".join(edited(text.splitlines(), draw(EDITS)))
    return "".join(edited(list(text), draw(EDITS))) if kind == "characters" else text


CHOSEN = st.sampled_from(
    ["c*", "c0,c1,c2,c3", "c0", "f*", "f0,kind", "kind", "*", "[", ",", "none"]
)
LONG = st.sampled_from([[], [], ["--instance", "day"], ["--instance", "day", "--item", "item"]])


@given(csv_texts(), csv_texts(), CHOSEN, CHOSEN, LONG)
@fuzz
def test_tables(train: str, new: str, features: str, costs: str, long: list[str]) -> None:
    with folder() as here:
        for name, text in (("train.csv", train), ("new.csv", new)):
            (here / name).write_text(text, encoding="utf-8", errors="replace")
        (here / "top.yaml").write_text("kind: top-k\nn: 4\nk: 1\n")
        # wrong columns less often than right ones
        chosen = ["--features", features if len(features) % 2 else "f0,kind"]
        chosen += ["--costs", costs if len(costs) % 2 else ("c0" if long else "c*")]
        model = str(here / "model")
        code = call(
            "fit", str(here / "train.csv"), "--problem", str(here / "top.yaml"), *chosen, *long,
            "--out", model, "--max-iter", "1", "--quiet",
        )  # fmt: skip
        if code:
            assert not Path(model).exists()
            return
        call("predict", model, str(here / "new.csv"))
        call("evaluate", model, str(here / "new.csv"), "--picture", str(here / "picture.png"))


NUMBERS = st.one_of(
    st.integers(-2, 5),
    st.sampled_from([10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf"), True, None, "4"]),
)
VALUES = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, max_size=4),
    st.lists(st.lists(NUMBERS, max_size=4), max_size=3),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2),
)


EYE = np.eye(4).tolist()
# a right problem of four costs, or of whatever number it can have, for each kind
RIGHT: dict[str, dict[str, Any]] = {
    "assignment": {"n": 2},
    "ball": {"n": 4, "radius": 2.0},
    "box": {"n": 4},
    "diverse-matching": {"same_field": [[1, 0], [0, 1]]},
    "ellipsoid": {"matrix": EYE, "level": 0.5},
    "energy-scheduling": {
        "durations": [1, 2], "earliest": [0, 0], "latest": [4, 4], "powers": [1.0, 2.0],
        "usage": [[1.0], [1.0]], "capacities": [[2.0]], "slot_minutes": 360,
    },
    "entropy-ball": {"n": 4},
    "grid-perfect-matching": {"rows": 2, "cols": 2},
    "grid-shortest-path": {"rows": 2, "cols": 2},
    "knapsack": {"weights": [[1.0, 2.0, 3.0, 4.0]], "capacities": [5.0]},
    "log-barrier-simplex": {"n": 4},
    "mean-variance-portfolio": {"covariance": EYE, "risk_aversion": 1.0, "budget": "equal"},
    "minimum-spanning-tree": {"n_nodes": 3, "edges": [[0, 1], [1, 2], [0, 2], [2, 1]]},
    "newsvendor": {"demand": EYE, "shortage": [1.0] * 4, "holding": [1.0] * 4},
    "node-grid-shortest-path": {"rows": 2, "cols": 2},
    "portfolio": {"covariance": EYE, "risk": 0.5, "budget": "at_most"},
    "ranking": {"n": 4},
    "shortest-path": {"edges": [[0, 1], [1, 2], [0, 2], [2, 3]], "source": 0, "target": 3},
    "simplex": {"n": 4},
    "top-k": {"n": 4, "k": 2},
    "traveling-salesman": {"n_cities": 3},
}  # fmt: skip


@st.composite
def problem_texts(draw: st.DrawFn) -> str:
    """Return the YAML of a problem of any kind, mostly with one value that is another."""
    kind = draw(st.sampled_from(sorted(RIGHT)))
    content: dict[str, Any] = {"kind": kind, **RIGHT[kind]}
    leaf = getattr(dfl_solvers, kinds()[kind])
    for key in draw(
        st.lists(st.sampled_from(list(inspect.signature(leaf).parameters)), max_size=2)
    ):
        own = content.get(key)
        if isinstance(own, list) and own and draw(st.booleans()):  # one of its numbers or rows
            content[key] = changed = copy.deepcopy(own)
            place = draw(st.integers(0, len(own) - 1))
            if isinstance(own[place], list) and own[place]:
                changed, place = changed[place], draw(st.integers(0, len(own[place]) - 1))
            changed[place] = draw(NUMBERS)
        else:
            content[key] = draw(VALUES)
    content["maximize"] = draw(st.sampled_from([True, False, False, False, 1]))
    text = yaml.safe_dump(content, allow_unicode=True)
    return "".join(edited(list(text), draw(EDITS))) if draw(st.integers(0, 3)) == 0 else text


def test_no_kind_of_problem_is_left_out(tmp_path: Path) -> None:
    assert set(RIGHT) == set(kinds())
    for kind, content in RIGHT.items():
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump({"kind": kind, **content}))
        oracle = read_problem(path, ["c0", "c1", "c2", "c3"])
        oracle.solve(np.ones((1, oracle.n_costs or 4)))
        assert oracle.n_costs == 4 or kind == "traveling-salesman"


@given(problem_texts())
@fuzz
def test_problems(text: str) -> None:
    with folder() as here:
        (here / "train.csv").write_text("\n".join(",".join(line) for line in rows(0)))
        (here / "problem.yaml").write_text(text, encoding="utf-8", errors="replace")
        call(
            "fit", str(here / "train.csv"), "--problem", str(here / "problem.yaml"),
            "--features", "f*", "--costs", "c*", "--out", str(here / "model"), "--max-iter", "1",
            "--quiet",
        )  # fmt: skip


MPS = """NAME toy
ROWS
 N cost
 L r0
 G r1
 E r2
COLUMNS
 M1 'MARKER' 'INTORG'
 c0 cost 1 r0 1
 c0 r1 1 r2 1
 c1 cost 2 r0 2
 c1 r2 1
 M2 'MARKER' 'INTEND'
 c2 cost 3 r0 1
 c2 r1 2 r2 1
 c3 cost 1 r2 1
 x0 cost 0.5 r0 1
RHS
 rhs r0 4 r1 1
 rhs r2 2
RANGES
 rng r0 3
BOUNDS
 UP b c0 1
 UP b c1 1
 UP b c2 5
 UP b c3 2
 UP b x0 9
ENDATA
"""
LP = """min
 cost: c0 + 2 c1 + 3 c2 + c3 + 0.5 x0
st
 r0: c0 + 2 c1 + c2 + x0 <= 4
 r1: c0 + 2 c2 >= 1
 r2: c0 + c1 + c2 + c3 = 2
bounds
 c2 <= 5
 0 <= c3 <= 2
 x0 <= 9
bin
 c0 c1
end
"""


@st.composite
def models(draw: st.DrawFn) -> tuple[str, str]:
    """Return the ending and the text of a model, some of whose parts are others."""
    ending = draw(st.sampled_from(["mps", "mps", "lp"]))
    text = MPS if ending == "mps" else LP
    kind = draw(st.sampled_from(["numbers", "numbers", "words", "lines", "characters"]))
    if kind == "lines":
        return ending, "\n".join(edited(text.splitlines(), draw(EDITS)))
    if kind == "characters":
        return ending, "".join(edited(list(text), draw(EDITS)))
    words = re.split(r"(\s+)", text)
    own = [j for j, word in enumerate(words) if re.fullmatch(r"[0-9.]+", word)]
    places = own if kind == "numbers" else [j for j, word in enumerate(words) if word.strip()]
    for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        words[place] = draw(
            st.sampled_from(["0", "-1", "1e30", "1e20", "-1e300", "1e-300", "nan", "inf", "7"])
            if kind == "numbers"
            else st.one_of(ODD, st.sampled_from(words))
        )
    return ending, "".join(words)


@given(models())
@fuzz
def test_models(model: tuple[str, str]) -> None:
    ending, text = model
    with folder() as here:
        (here / "train.csv").write_text("\n".join(",".join(line) for line in rows(0)))
        (here / f"model.{ending}").write_text(text, encoding="utf-8", errors="replace")
        call(
            "fit", str(here / "train.csv"), "--problem", str(here / f"model.{ending}"),
            "--features", "f*", "--costs", "c*", "--out", str(here / "model"), "--max-iter", "1",
            "--quiet",
        )  # fmt: skip


def spots(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values within a configuration."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from spots(value, (*path, key))


# long ones only repeat what is in others
RECIPES = {name: config_file.read(name) for name in config_file.recipes()}
RECIPES = {name: raw for name, raw in RECIPES.items() if len(raw.get("methods", ())) < 10}


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """Return a shipped recipe some of whose values, keys or characters are others."""
    raw = copy.deepcopy(RECIPES[draw(st.sampled_from(sorted(RECIPES)))])
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(spots(raw)) or [("name",)]))
        node: Any = raw
        for key in path[:-1]:
            node = node[key]
        new = draw(st.one_of(VALUES, st.sampled_from(sorted(RECIPES))))
        if isinstance(node, dict) and draw(st.booleans()):
            node[draw(st.one_of(st.text(max_size=5), NUMBERS))] = new
        else:
            node[path[-1]] = new
    text = yaml.safe_dump(raw, allow_unicode=True)
    return "".join(edited(list(text), draw(EDITS))) if draw(st.booleans()) else text


KEYS = ["name", "problem.degree", "methods.0.name", "problem", "methods", "seeds", ".", "", "a..b"]
CHANGES = st.lists(st.tuples(st.sampled_from(KEYS), ODD).map("=".join), max_size=2)


@given(configurations(), CHANGES, st.one_of(st.just("0"), ODD))
@fuzz
def test_configurations(text: str, changes: list[str], seeds: str) -> None:
    with folder() as here:
        (here / "run.yaml").write_text(text, encoding="utf-8", errors="replace")
        options = [part for change in changes for part in ("--set", change)]
        call("run", str(here / "run.yaml"), *options, f"--seeds={seeds}", "--print-config")


def test_infinite_coefficients_are_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("\n".join(",".join(line) for line in rows(0)))
    for number in ("inf", "-inf", "nan"):
        (tmp_path / "model.mps").write_text(MPS.replace("cost 0.5", f"cost {number}"))
        assert call(
            "fit", str(tmp_path / "train.csv"), "--problem", str(tmp_path / "model.mps"),
            "--features", "f*", "--costs", "c*", "--out", str(tmp_path / "model"),
        ) == BAD_INPUT  # fmt: skip


def test_yaml_that_python_stumbles_over_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("\n".join(",".join(line) for line in rows(0)))
    path = tmp_path / "odd.yaml"
    for odd in ("!!int x", "!!int ''", "!!bool x", "!!float x", "!!timestamp x", "!!binary x",
                "!!set [1]", "{[]: 1}", 3000 * "[", "9" * 5000):  # fmt: skip
        path.write_text(f"kind: top-k\nn: 4\nk: {odd}\n")
        assert call("run", str(path), "--print-config") == BAD_INPUT
        call("run", "shortest-path", "--set", f"name={odd}", "--print-config")
        assert call(
            "fit", str(tmp_path / "train.csv"), "--problem", str(path), "--features", "f*",
            "--costs", "c*", "--out", str(tmp_path / "model"),
        ) == BAD_INPUT  # fmt: skip


def test_binary_files_are_one_line_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "train.csv").write_text("\n".join(",".join(line) for line in rows(0)))
    fit = ["--features", "f*", "--costs", "c*", "--out", str(tmp_path / "model")]
    for ending in ("csv", "yaml", "mps", "mps.gz", "lp", "lp.gz", "npz"):
        path = tmp_path / f"noise.{ending}"
        for content in (b"", rng.bytes(300), b"\x1f\x8b" + rng.bytes(30), b"\xff\xfe" * 20):
            path.write_bytes(content)
            if ending == "csv":
                problem, table = tmp_path / "top.yaml", path
                problem.write_text("kind: top-k\nn: 4\nk: 1\n")
            else:
                problem, table = path, tmp_path / "train.csv"
            assert call("fit", str(table), "--problem", str(problem), *fit) == BAD_INPUT
            if ending == "yaml":
                assert call("run", str(path)) == BAD_INPUT
    good = tmp_path / "good.mps"
    good.write_text(MPS)
    assert call("fit", str(tmp_path / "train.csv"), "--problem", str(good), *fit, "--quiet") == 0
