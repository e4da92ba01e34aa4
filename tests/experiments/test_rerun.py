"""The sweep of every loss, cut down: what it is made of, and that all of it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas
import yaml

from dfl.losses import available
from dfl_experiments import config_file
from dfl_experiments.sweep.config import load_sweep
from dfl_experiments.sweep.expand import family


def test_every_loss_is_in_it_and_all_are_tuned_alike() -> None:
    config = load_sweep("rerun")
    losses = {method.loss for method in config.methods if hasattr(method, "loss")}
    # those of policies hold no oracle
    assert losses == set(available()) - {"preference", "weighted-likelihood"}
    for loss in losses:
        own = [m for m in config.methods if getattr(m, "loss", None) == loss]
        assert {family(m.name)[1] for m in own} == {"linear", "polynomial", "perceptron"}
        assert {(m.max_iter, m.n_iter_no_change) for m in own} == {(80, 15)}
    assert len(config.problems) == 8
    assert config.n_trials == 10
    assert len(config.seeds) == 10
    untuned = [method.name for method in config.methods if not method.tune]
    assert untuned == ["least squares"]


def test_a_cut_of_it_runs(dfl: Callable, tmp_path: Path) -> None:
    raw = config_file.read("rerun")
    raw["problems"] = {
        "shortest path": {"kind": "shortest-path", "grid": [3, 3], "n_train": 30, "n_test": 10}
    }
    raw["predictors"]["linear"]["max_iter"] = 2
    del raw["predictors"]["polynomial"], raw["predictors"]["perceptron"]
    (tmp_path / "cut.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    code, _, err = dfl(
        "sweep", "cut.yaml", "--trials", "1", "--seeds", "0", "--out", "cut", "--n-jobs", "1",
        "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "cut" / "results.parquet")
    refused = table[table.status == "refused"]
    assert set(refused.family) == {"permutahedron", "smooth-regret"}
    assert refused.error.str.contains("does not go with GridShortestPath").all()
    good = table[table.status == "ok"]
    assert len(good) == 1 + 2 * 35 + 1  # least squares, trial and result of the others, minimum
    assert good.value.between(0, 1).all()
    assert good[good.trial.isna() & (good.predictor == "linear")].family.nunique() == 32
