"""What somebody new types at the command line: each mistake is one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dfl import __version__

TABLE = "temp,value_a,value_b\n" + "".join(f"{i},{i % 3 + 1},{i % 5 + 1}\n" for i in range(20))
PROBLEM = "kind: knapsack\nweights: [[3, 4]]\ncapacities: [4]\nmaximize: true\n"
FIT = ("fit", "t.csv", "--problem", "p.yaml", "--features", "temp", "--costs", "value_*")


@pytest.fixture
def fit(dfl: Callable, tmp_path: Path) -> Callable[..., str]:
    """Train on a table and a problem that are wrong; return the line that says so."""

    def call(
        table: str | bytes = TABLE, problem: str = PROBLEM, arguments: tuple[str, ...] = FIT
    ) -> str:
        (tmp_path / "t.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
        (tmp_path / "p.yaml").write_text(problem)
        code, out, err = dfl(*arguments, "--out", "model", "--quiet")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert not (tmp_path / "model").exists()
        return err

    return call


def test_the_name_alone_shows_the_help_and_no_error(dfl: Callable) -> None:
    code, out, err = dfl()
    assert (code, err) == (2, "")
    assert "evaluate" in out
    assert "evaluate" in dfl("-h")[1]
    assert "--problem" in dfl("fit", "-h")[1]


def test_the_version_is_shown(dfl: Callable) -> None:
    assert dfl("--version") == (0, f"dfl {__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("run", "in runs/"),
        ("sweep", "in runs/"),
        ("predict", "TABLE.decisions.csv"),
        ("evaluate", "in the folder"),
        ("report", "least squares"),
        ("design ask", "integrated-regret"),
    ],
)
def test_the_help_shows_defaults(dfl: Callable, command: str, default: str) -> None:
    """Brackets in a help text are markup, and were not shown."""
    _, out, _ = dfl(*command.split(), "--help")
    words = re.sub(r"[\s│]+", "", out)
    assert f"[default:({default.replace(' ', '')})]" in words
    assert not re.search(r"\w \.(\s|$)", out)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("fitt", "No such command 'fitt'"),
        ("fit t.csv", "Missing option '--problem'; see dfl fit --help"),
        ("fit t.csv --epochs 3", "No such option: --epochs; see dfl fit --help"),
        ("design foo", "No such command 'foo'; see dfl design --help"),
    ],
)
def test_a_wrong_command_says_where_the_right_ones_are(
    dfl: Callable, command: str, says: str
) -> None:
    code, out, err = dfl(*command.split())
    assert (code, out) == (2, "")
    assert says in err
    assert " --help\n" in err


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (TABLE.replace(",", ";"), "separated by semicolons, expected commas"),
        (TABLE.replace(",", ";").replace("1", "1,5"), "separated by semicolons, expected commas"),
        (TABLE.replace(",", "\t"), "separated by tabs, expected commas"),
        ("", "got an empty file, expected a line of names"),
        (TABLE.splitlines()[0], "got a single line, expected a line of names"),
        (TABLE.replace("temp", "température").encode("latin-1"), "with the encoding UTF-8"),
    ],
)
def test_a_table_from_a_spreadsheet_says_how_to_save_it(
    fit: Callable, table: str | bytes, says: str
) -> None:
    assert says in fit(table)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("maximize", "maximise", "weights, capacities, maximize; did you mean 'maximize'?"),
        ("capacities", "capacity", "did you mean 'capacities'?"),
        ("knapsack", "napsack", "did you mean 'knapsack'?"),
        ("knapsack", "linear-program", "is given as an .mps or .lp file"),
        ("[3, 4]", "[3, 4, 5]", "p.yaml: the problem has 3 costs, but the table 2 columns"),
    ],
)
def test_a_problem_with_a_typo_is_corrected(fit: Callable, old: str, new: str, says: str) -> None:
    assert says in fit(problem=PROBLEM.replace(old, new))


def test_a_long_table_without_its_option_is_told_of_it(fit: Callable) -> None:
    line = fit(arguments=(*FIT[:-1], "value_a"))
    assert (
        "the table 1 columns of costs; a long table, with a row an item, needs --instance" in line
    )
    line = fit(arguments=(*FIT[:-1], "value_a", "--instance", "value_b", "--item", "temp"))
    assert "the problem has 2 costs, but the table 20 items in the column 'temp'" in line


def test_a_loss_of_policies_is_refused_in_words(fit: Callable) -> None:
    assert "got a Knapsack" in fit(arguments=(*FIT, "--loss", "preference"))


def test_a_picture_is_a_png(dfl: Callable) -> None:
    code, _, err = dfl("evaluate", "model", "t.csv", "--picture", "x.pdf")
    assert code == 2
    assert "got x.pdf, expected a name that ends in .png" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("problms: {}\nmethods: []\n", "problms: unknown key; did you mean 'problems'"),
        ("problem: {}\nmethods: []\n", "it has no key 'problems'; run it by: dfl run"),
        ("", "got an empty file, expected keys such as problem and methods"),
    ],
)
def test_a_sweep_that_is_none_says_why(dfl: Callable, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    code, _, err = dfl("sweep", "s.yaml")
    assert code == 2
    assert says in err


def test_trials_beside_grids_say_what_to_do(dfl: Callable, tmp_path: Path) -> None:
    ridge = "{name: r, estimator: two-stage, regressor: ridge, tune: {parameters.alpha: [1, 2]}}"
    text = f"name: s\nproblems: {{k: {{kind: knapsack}}}}\nmethods: [{ridge}]\ntrials: 5\n"
    (tmp_path / "s.yaml").write_text(text)
    assert "leave trials out, or take the tuner 'optuna'" in dfl("sweep", "s.yaml")[2]


def test_the_page_shows_the_error_that_is_shown(dfl: Callable) -> None:
    page = (Path(__file__).parents[2] / "docs/user_guide/command_line.md").read_text()
    command, line = re.findall(r"^\$ dfl (.*)\n(dfl: error: .*)$", page, re.MULTILINE)[0]
    assert dfl(*command.split()) == (2, "", f"{line}\n")
