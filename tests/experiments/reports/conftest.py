"""Folders as runs leave them, with numbers that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas
import pytest

Values = Mapping[str, Mapping[str, Sequence[float]]]
# estimator, regressor and loss by the beginning of a name; else one that decides
_KINDS = {
    "least squares": ("two-stage", "linear", None),
    "squared": ("decision-focused", None, "squared"),
    "theoretical minimum": ("expected-costs", None, None),
    "lasso by squares": ("held-out-lasso", None, "squared"),
    "lasso by spo+": ("held-out-lasso", None, "spo+"),
    "steps by squares": ("published-training", None, "squared"),
    "steps by spo+": ("published-training", None, "spo+"),
}


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Write the results of a run, by problem and method a value a seed; return its folder."""

    def write(
        name: str,
        values: Values,
        metric: str = "normalized-regret",
        failed: Mapping[str, str] | None = None,
        finished: str | None = "2026-01-01T00:00:00+00:00",
    ) -> Path:
        rows = []
        for problem, methods in values.items():
            for place, (method, numbers) in enumerate(methods.items()):
                estimator, regressor, loss = _KINDS.get(method, ("decision-focused", None, "spo+"))
                rows += [
                    {
                        "problem": problem,
                        "method": method,
                        "seed": seed,
                        "metric": metric,
                        "value": value,
                        "seconds": 0.5 + place,
                        "solves": 10 * place,
                        "problem.degree": 6,
                        "method.estimator": estimator,
                        "method.regressor": regressor,
                        "method.loss": loss,
                    }
                    for seed, value in enumerate(numbers)
                ]
        folder = tmp_path / name
        folder.mkdir()
        pandas.DataFrame.from_records(rows).to_parquet(folder / "results.parquet")
        record = {
            "name": name,
            "finished": finished,
            "command": ["dfl", "run", "x"],
            "cells": {"total": len(rows), "failed": dict(failed or {})},
        }
        (folder / "run.json").write_text(json.dumps(record))
        return folder

    return write
