"""The problems of a run that are drawn: each learns and is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

KINDS = {"spanning-tree": {"n_nodes": 6}, "perfect-matching": {"grid": [2, 3]}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_a_problem(dfl: Callable, tmp_path: Path, kind: str) -> None:
    problem = {"kind": kind, "n_train": 200, "n_test": 200, "degree": 6, **KINDS[kind]}
    methods = [
        {"name": "least squares", "estimator": "two-stage"},
        {"name": "spo+", "estimator": "decision-focused", "loss": "spo+", "max_iter": 20},
    ]
    config = {"name": "drawn", "problem": problem, "methods": methods, "seeds": "0:2",
              "metrics": ["normalized-regret"]}  # fmt: skip
    (tmp_path / "drawn.yaml").write_text(json.dumps(config))  # JSON is YAML
    code, _, err = dfl("run", "drawn.yaml", "--out", "r", "--n-jobs", "1")
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    mean = table.groupby("method").value.mean()
    assert mean["theoretical minimum"] < mean["spo+"] < mean["least squares"]
