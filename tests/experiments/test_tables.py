"""A CSV user needs no Python: fit, predict, evaluate end in a result or in one line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfl
from dfl import metrics
from dfl.datasets import make_knapsack, make_shortest_path
from dfl_experiments.cli import BAD_INPUT, main
from dfl_experiments.tables.problem_file import kinds
from dfl_solvers import GridShortestPath, Maximize, TopK, save_oracle

GRID = "kind: grid-shortest-path\nrows: 3\ncols: 3\n"


def write(path: Path, columns: dict[str, object]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read(path: Path) -> dict[str, list[str]]:
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    return dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True))


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a training and a test table of the 3x3 grid and its problem."""
    monkeypatch.chdir(tmp_path)
    data = make_shortest_path(90, grid=(3, 3), degree=4, random_state=0)
    for name, rows in (("train.csv", slice(60)), ("test.csv", slice(60, 90))):
        columns = {f"f{j}": data.X[rows, j] for j in range(5)}
        columns["day"] = np.where(np.arange(90) % 2, "monday", "sunday")[rows]
        columns |= {f"c{j}": data.C[rows, j] for j in range(12)}
        write(tmp_path / name, columns)
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


FIT = "fit train.csv --problem grid.yaml --features f*,day --costs c* --out model --max-iter 2"


def run(text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return exit code and what was printed; an error is one line."""
    code = main(text.split())
    out, err = capsys.readouterr()
    if code:
        assert code == BAD_INPUT
        assert not out
        assert err.startswith("dfl: error: ")
        assert err.count("\n") == 1
    return code, err if code else out


def test_fit_predict_and_evaluate_a_wide_table(wide: Path, capsys) -> None:
    code, text = run(FIT, capsys)
    assert code == 0
    assert "60 instances, 7 features; 2 epochs" in text
    code, text = run("predict model test.csv --out new.csv", capsys)
    assert (code, text) == (0, "30 rows: new.csv\n")
    table, new = read(wide / "test.csv"), read(wide / "new.csv")
    assert {name: new[name] for name in table} == table
    X = np.column_stack([np.array(table[f"f{j}"], float) for j in range(5)])
    X = np.column_stack(
        [X, [d == "monday" for d in table["day"]], [d == "sunday" for d in table["day"]]]
    )
    model = dfl.load(wide / "model" / "model")
    predicted = np.column_stack([np.array(new[f"predicted_c{j}"], float) for j in range(12)])
    decided = np.column_stack([np.array(new[f"decision_c{j}"], float) for j in range(12)])
    np.testing.assert_allclose(predicted, model.predict(X), rtol=1e-10)
    np.testing.assert_array_equal(decided, model.decide(X))
    code, text = run("evaluate model test.csv", capsys)
    C = np.column_stack([np.array(table[f"c{j}"], float) for j in range(12)])
    regret = metrics.normalized_regret(GridShortestPath(3, 3), predicted, C)
    assert f"model            {100 * regret:.2f} [" in text
    assert (wide / "model" / "evaluation.png").stat().st_size > 1000


def test_a_long_table_in_any_order_gives_the_same_decisions(wide: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    n, d = 30, 12
    features, costs = rng.normal(size=(n, d)), rng.uniform(1, 2, (n, d))
    columns = {
        "day": np.repeat(np.arange(n), d),
        "period": np.tile(np.arange(d), n),
        "x": features.ravel(),
        "price": costs.ravel() + features.ravel(),
    }
    write(wide / "long.csv", columns)
    order = rng.permutation(n * d)
    write(wide / "mixed.csv", {name: values[order] for name, values in columns.items()})
    options = "--problem grid.yaml --features x --costs price --instance day --item period"
    for table in ("long", "mixed"):
        code, text = run(f"fit {table}.csv {options} --out {table} --max-iter 2", capsys)
        assert code == 0
        assert "30 instances" in text
        run(f"predict {table} {table}.csv --out {table}.out.csv", capsys)
    # the order of the instances differs, and with it the batches: judge one model on both
    run("predict long mixed.csv --out again.csv", capsys)
    straight, again = read(wide / "long.out.csv"), read(wide / "again.csv")
    decided = np.array(straight["decision_price"], float)
    np.testing.assert_array_equal(np.array(again["decision_price"], float), decided[order])
    predicted = np.array(straight["predicted_price"], float).reshape(n, d)
    best = GridShortestPath(3, 3).solve(predicted).decisions
    np.testing.assert_array_equal(decided.reshape(n, d), best)
    assert run("evaluate long mixed.csv", capsys)[0] == 0


def test_instances_of_unequal_size_need_no_items(wide: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, 6, 20)
    n = sizes.sum()
    x = rng.normal(size=n)
    groups = [f"d{i}" for i in np.repeat(np.arange(20), sizes)]
    write(wide / "long.csv", {"day": groups, "x": x, "value": x + 2 + rng.normal(size=n)})
    (wide / "top.yaml").write_text("kind: top-k\nn: null\nk: 2\nmaximize: true\n")
    options = "--problem top.yaml --features x --costs value --instance day --out m --max-iter 2"
    assert run(f"fit long.csv {options}", capsys)[0] == 0
    run("predict m long.csv --out new.csv", capsys)
    chosen = np.array(read(wide / "new.csv")["decision_value"], float)
    assert (np.bincount(np.repeat(np.arange(20), sizes), chosen) == 2).all()


def test_the_problem_as_a_model_file_and_as_a_saved_oracle(wide: Path, capsys) -> None:
    data = make_knapsack(40, n_items=4, random_state=0)
    columns = {f"f{j}": data.X[:, j] for j in range(data.X.shape[1])}
    write(wide / "k.csv", columns | {f"v{j}": data.C[:, j] for j in range(4)})
    weights, capacities = data.oracle.minimizing.weights, data.oracle.minimizing.capacities
    rows = "".join(
        f" row{i}: " + " + ".join(f"{w} v{j}" for j, w in enumerate(row)) + f" <= {c}\n"
        for i, (row, c) in enumerate(zip(weights, capacities, strict=True))
    )
    names = " ".join(f"v{j}" for j in range(4))
    (wide / "k.lp").write_text(
        f"Maximize\n obj: {' + '.join(names.split())}\nSubject To\n{rows}Binary\n {names}\nEnd\n"
    )
    save_oracle(data.oracle, wide / "k.npz")
    np.savetxt(wide / "w.csv", weights, delimiter=",", header="a,b,c,d", comments="")
    (wide / "k.yaml").write_text(
        f"kind: knapsack\nweights: w.csv\ncapacities: {[float(c) for c in capacities]}\n"
        "maximize: true\n"
    )
    decided = []
    for ending in ("lp", "npz", "yaml"):
        options = (
            f"--problem k.{ending} --features f* --costs v* --out m --loss squared --max-iter 1"
        )
        assert run(f"fit k.csv {options}", capsys)[0] == 0
        run("predict m k.csv --out new.csv", capsys)
        decided.append([read(wide / "new.csv")[f"decision_v{j}"] for j in range(4)])
    assert decided[0] == decided[1] == decided[2]


def test_every_kind_of_problem_is_a_class() -> None:
    assert {"top-k", "grid-shortest-path", "knapsack", "portfolio"} <= kinds().keys()
    assert not {"linear-program", "maximize"} & kinds().keys()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("edit", "command", "message"),
    [
        (lambda w: None, FIT.replace("day", "dya"), "no column 'dya' for --features"),
        (lambda w: None, FIT.replace("c*", "f1"), "the column 'f1' is named for two purposes"),
        (lambda w: None, FIT.replace("c*", "c1,c2"), "the problem has 12 costs, but the table 2"),
        (lambda w: None, FIT.replace("train", "none"), "No such file"),
        (lambda w: None, FIT.replace("grid.yaml", "g.yaml"), "there is no such file"),
        (lambda w: None, FIT + " --loss spo", "did you mean 'spo+'"),
        (lambda w: None, FIT + " --item day", "--item without --instance"),
        (lambda w: change(w / "grid.yaml", "rows", "row"), FIT, "expected of grid-shortest-path"),
        (lambda w: change(w / "grid.yaml", "cols: 3", ""), FIT, "needs the key 'cols'"),
        (lambda w: change(w / "grid.yaml", "path", "paths"), FIT, "did you mean 'grid-shortest"),
        (lambda w: change(w / "grid.yaml", "3", "three"), FIT, "these keys make no"),
        (lambda w: change(w / "train.csv", "f1", "f0"), FIT, "the name 'f0' twice"),
        (lambda w: change(w / "train.csv", "sunday", ""), FIT, "line 2: column 'day': a value is"),
        (lambda w: change(w / "train.csv", "sunday", "7"), FIT, "line 3: column 'day': got 'mond"),
        (lambda w: change(w / "train.csv", "sunday", "sunday,1"), FIT, "line 2: got 19 fields"),
        (lambda w: (w / "model").mkdir(), FIT, "was not written by `dfl fit`"),
        (lambda w: None, "predict model test.csv", "was not written by `dfl fit`"),
    ],
)
def test_errors_name_what_is_wrong(wide: Path, capsys, edit, command: str, message: str) -> None:
    edit(wide)
    code, text = run(command, capsys)
    assert code == BAD_INPUT
    assert message in text
    assert not (wide / "model" / "table.json").exists()


def test_a_table_that_does_not_fit_the_model(wide: Path, capsys) -> None:
    run(FIT, capsys)
    change(wide / "test.csv", "sunday", "holiday")
    code, text = run("predict model test.csv", capsys)
    assert code == BAD_INPUT
    assert "line 2: column 'day': got 'holiday', expected one of the texts" in text
    assert not (wide / "test.decisions.csv").exists()
    (wide / "model" / "table.json").write_text("{}")
    assert "it was changed" in run("predict model test.csv", capsys)[1]


def test_long_tables_with_gaps(wide: Path, capsys) -> None:
    columns = {"day": [1, 1, 2], "item": ["a", "b", "a"], "x": [1, 2, 3], "c": [1, 2, 3]}
    (wide / "top.yaml").write_text("kind: top-k\nn: 2\nk: 1\n")
    options = "--problem top.yaml --features x --costs c --instance day --item item --out m"
    write(wide / "l.csv", columns)
    assert "day '2' lacks the item 'b'" in run(f"fit l.csv {options}", capsys)[1]
    write(wide / "l.csv", columns | {"item": ["a", "a", "b"]})
    assert "line 3: day '1' has the item 'a' twice" in run(f"fit l.csv {options}", capsys)[1]


FIELDS = st.one_of(
    st.floats(-9, 9).map(str),
    st.integers(-3, 3).map(str),
    st.sampled_from(["", "nan", "a", "b", "1e400", "1,5", '"', "-", "0x1", "\x00", "é", " 2 "]),
)


@st.composite
def csv_texts(draw: st.DrawFn) -> str:
    """Make tables that are mostly right, now and then wrong in some way."""
    n_rows = draw(st.integers(0, 7))
    names = draw(
        st.sampled_from([["f0", "f1", "c0", "c1"]] * 5 + [["f0", "f0", "c0", "c1"], ["f0", "c1"]])
    )
    good = st.floats(-5, 5, allow_subnormal=False).map(lambda v: f"{v:.3f}")
    field = good if draw(st.integers(0, 2)) else FIELDS
    rows = [[draw(field) for _ in names] for _ in range(n_rows)]
    if rows and not draw(st.integers(0, 9)):
        rows[0] = rows[0][:-1]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([names, *rows])
    return buffer.getvalue()


PROBLEMS = st.one_of(
    st.sampled_from(
        [
            "kind: simplex\nn: 2\n",
            "kind: box\nn: 2\n",
            "kind: top-k\nn: 2\nk: 1\nmaximize: true\n",
            "kind: grid-shortest-path\nrows: 1\ncols: 3\n",
            "kind: knapsack\nweights: [[1, 2]]\ncapacities: [2]\n",
            "kind: knapsack\nweights: [[1, 2], [3]]\ncapacities: [2]\n",
            "kind: ball\nn: 2\nradius: .nan\n",
            "kind: portfolio\ncovariance: [[1, 0], [0, 1]]\nrisk: 1\n",
            "kind: [1]\n",
            "a: *b\n",
            "- kind\n",
            "kind: top-k\nn: 2\nk: 1\nmaximize: 2\n",
            "kind: top-k\nn: 1.5\nk: x\n",
            "",
        ]
    ),
    st.tuples(st.sampled_from(sorted(kinds())), st.text(max_size=20)).map(
        lambda pair: f"kind: {pair[0]}\n{pair[1]}: 1\n"
    ),
    st.text(max_size=30),
)


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(table=csv_texts(), problem=PROBLEMS)
def test_any_files_end_in_a_result_or_in_one_line(
    tmp_path: Path, monkeypatch, capsys, table: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(table, encoding="utf-8", newline="")
    (tmp_path / "p.yaml").write_text(problem, encoding="utf-8", errors="replace")
    code, _ = run(
        "fit t.csv --problem p.yaml --features f* --costs c* --out m --max-iter 1 --quiet", capsys
    )
    if not code:
        assert run("predict m t.csv --out o.csv", capsys)[0] == 0
        run("evaluate m t.csv", capsys)


def test_values_are_maximized(wide: Path, capsys) -> None:
    save_oracle(Maximize(TopK(12, 1)), wide / "top.npz")
    run(FIT.replace("grid.yaml", "top.npz"), capsys)
    run("predict model test.csv --out new.csv", capsys)
    new = read(wide / "new.csv")
    predicted = np.column_stack([np.array(new[f"predicted_c{j}"], float) for j in range(12)])
    decided = np.column_stack([np.array(new[f"decision_c{j}"], float) for j in range(12)])
    np.testing.assert_array_equal(decided.argmax(1), predicted.argmax(1))
