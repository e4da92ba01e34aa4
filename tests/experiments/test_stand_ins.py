"""Recipes whose methods train on another set than the one that decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from dfl_experiments.config_file import load

SMALL = ["--set", "problem.n_train=400", "--set", "problem.n_test=400", "--n-jobs", "1"]


def regret(path: Path) -> pandas.DataFrame:
    table = pandas.read_parquet(path / "results.parquet")
    own = table[table["metric"] == "normalized-regret"]
    return own.pivot(index="seed", columns="method", values="value")


def only(config: str, *kept: str) -> list[str]:
    """Settings that keep the names of some methods and make the others cheap."""
    names = [method.name for method in load(config).methods]
    tuned = [name for name in names if name not in (*kept, "least squares", "equal weight")]
    settings = [f"methods.{name}.max_iter=1" for name in tuned]
    settings += [f"methods.{name}.learning_rate=0.03" for name in (*kept, *tuned)]
    return [word for setting in settings for word in ("--set", setting)]


def test_spo_plus_beats_both_errors_on_entropy_portfolios(dfl: Callable, tmp_path: Path) -> None:
    code, _, err = dfl("run", "entropy-portfolio", "--out", "r", "--seeds", "0:3", "--n-jobs", "1",
                       "--quiet", *only("entropy-portfolio", "spo+", "absolute"))  # fmt: skip
    assert (code, err) == (0, "")
    found = regret(tmp_path / "r")
    assert (found["spo+"] < found["least squares"]).all()
    assert (found["spo+"] < found["absolute"]).all()
    assert (found["theoretical minimum"] < found["spo+"]).all()


def test_the_barrier_trains_and_the_simplex_decides(dfl: Callable, tmp_path: Path) -> None:
    words = only("ordinal-classes", "spo+", "spo+, barrier")
    code, _, err = dfl("run", "ordinal-classes", "--out", "r", "--seeds", "0:2", *SMALL, *words,
                       "--quiet")  # fmt: skip
    assert (code, err) == (0, "")
    found = regret(tmp_path / "r")
    assert (found["spo+, barrier"] < found["least squares"]).all()
    assert (found["spo+, barrier"] != found["spo+"]).any()
    # decisions are classes: regrets are whole numbers
    value = found["spo+, barrier"] * 400
    assert value.to_numpy() == pytest.approx(value.round().to_numpy())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("methods.spo+.stand_in=barrier", "got stand_in 'barrier', expected.*log-barrier"),
        ("methods.spo+.loss=smooth-regret", "needs decisions with a derivative"),
        ("problem.noise=2", "problem.noise: got 2"),
    ],
)
def test_mistakes_are_named(dfl: Callable, setting: str, words: str) -> None:
    code, _, err = dfl("run", "ordinal-classes", "--set", setting)
    assert (code, len(err.splitlines())) == (2, 1)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)


def test_the_shipped_recipes_hold_what_the_paper_compares() -> None:
    losses = {method.loss for method in load("entropy-portfolio").methods
              if method.estimator == "decision-focused"}  # fmt: skip
    assert losses == {"squared", "absolute", "spo+", "smooth-regret"}
    for name in ("ordinal-classes", "ordinal-digits"):
        stand_ins = {getattr(m, "stand_in", None) for m in load(name).methods}
        assert stand_ins == {None, "log-barrier"}
