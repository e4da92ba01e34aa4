"""Reading the folder that a run or a sweep left behind."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final, get_args

from pydantic import ValidationError

from dfl.exceptions import InvalidInputError
from dfl.metrics import Interval
from dfl_experiments.config import Config
from dfl_experiments.reports.failures import Failure, failures_of
from dfl_experiments.reports.unfinished import gather
from dfl_experiments.summary import OVER_INSTANCES
from dfl_experiments.sweep.config import SweepConfig
from dfl_solvers.exceptions import import_optional

_RECORDS = {"run.json": "dfl run", "sweep.json": "dfl sweep"}
_RESULTS = "results.parquet"
_KEY = ["problem", "method", "seed", "metric"]


@final
@dataclass(frozen=True)
class Loaded:
    """A run as it lies in its folder.

    Attributes
    ----------
    name : str
        Of the run.
    folder : Path
    table : DataFrame
        A row per problem, method, seed and metric, with parameters as columns: final and whole.
    trials : DataFrame
        The rows of tuning trials; none where nothing was tuned.
    failures : list of Failure
    warnings : list of str
    record : mapping
        ``run.json`` or ``sweep.json``.
    config : RunConfig, DesignConfig, PolicyConfig, SweepConfig or None
        None if it was written by another version that had other keys.
    over_instances : dict
        By problem, method and metric: mean and difference with bootstrap intervals over test
        instances, where the run has one data set.
    """

    name: str
    folder: Path
    table: Any
    trials: Any
    failures: list[Failure]
    warnings: list[str]
    record: Mapping[str, Any]
    config: Config | SweepConfig | None
    over_instances: Mapping[tuple[str, str, str], tuple[Interval, Interval | None]]


def load(folder: Path) -> Loaded:
    """Read a folder.

    Raises
    ------
    InvalidInputError
        If it is no folder of a run, has no result yet, or what it holds cannot be read.
    """
    pandas = import_optional("pandas", "experiments")
    record, source = _record(folder)
    if record is None and not (folder / _RESULTS).is_file():
        raise InvalidInputError(
            f"{folder} is no folder of a run: it has neither {_RESULTS} nor run.json; expected one "
            "that `dfl run` or `dfl sweep` wrote"
        )
    record = record or {}
    config = _config(record)
    warnings = []
    finished = record.get("finished") is not None
    frame = _frame(pandas, folder)
    if not finished and source is not None:
        state = "this is what it has reported so far"
        if config is not None:
            # what an earlier, shorter run has reported may be older
            found, state = gather(config, folder)
            frame = pandas.DataFrame.from_records(found)
        warnings.append(f"{folder.name} is not finished: {state}; the same {source} goes on.")
    none_yet = f"{folder} has no result yet: go on with the same `{source}`, then report"
    if frame is None or not len(frame):
        raise InvalidInputError(none_yet)
    frame = _shaped(frame, folder)
    final = frame["trial"].isna()
    good = frame["status"] == "ok"
    table, trials = frame[final & good], frame[~final & good]
    if not len(table) and not finished and source is not None:
        raise InvalidInputError(none_yet)
    if not len(table):
        raise InvalidInputError(f"{folder} has no result: all of its cells failed")
    twice = table[table.duplicated(_KEY)]
    if len(twice):
        problem, method, seed, metric = twice.iloc[0][_KEY]
        raise InvalidInputError(
            f"{folder}: results hold {problem}, {method}, seed {seed}, {metric} more than once, "
            "expected once"
        )
    failures = failures_of(frame[~good], record)
    if failures:
        warnings.append(f"{folder.name}: what has no result is under Failures ({len(failures)}).")
    return Loaded(
        str(record.get("name") or folder.name),
        folder,
        table.reset_index(drop=True),
        trials.reset_index(drop=True),
        failures,
        warnings,
        record,
        config,
        _over_instances(folder) if finished else {},
    )


def _record(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    for name, source in _RECORDS.items():
        path = folder / name
        if path.is_file():
            try:
                found = json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                raise InvalidInputError(f"cannot read {path}: {error}") from error
            if not isinstance(found, dict):
                raise InvalidInputError(f"{path} is no record of a run")
            return found, source
    return None, None


def _config(record: Mapping[str, Any]) -> Config | SweepConfig | None:
    for kind in (*get_args(Config), SweepConfig):
        with contextlib.suppress(ValidationError):
            return cast(Config, kind.model_validate(record.get("config")))
    return None


def _frame(pandas: Any, folder: Path) -> Any:
    path = folder / _RESULTS
    if not path.is_file():
        return None
    try:
        return pandas.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among them
        raise InvalidInputError(f"cannot read {path}: {error}") from error


def _shaped(frame: Any, folder: Path) -> Any:
    """Give results of every kind the same columns."""
    frame = frame.rename(columns={"score": "metric"})
    missing = [name for name in (*_KEY, "value", "seconds") if name not in frame.columns]
    if missing:
        raise InvalidInputError(
            f"{folder / _RESULTS}: got no column {missing[0]!r}, expected results of `dfl run` or "
            "`dfl sweep`"
        )
    for name, default in (("status", "ok"), ("error", ""), ("trial", None), ("solves", 0.0)):
        if name not in frame.columns:
            frame[name] = default
    if "labels" in frame.columns:
        counted = frame["labels"].notna()
        labels = frame.loc[counted, "labels"].astype(int).astype(str)
        frame.loc[counted, "metric"] += " after " + labels + " labels"
    return frame


def _over_instances(
    folder: Path,
) -> dict[tuple[str, str, str], tuple[Interval, Interval | None]]:
    """Read the intervals that need single instances, which the table of results does not hold."""
    found = {}
    try:
        with open(folder / "summary.csv", newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        for line in lines:
            if line.get("interval") == OVER_INSTANCES:
                mean, low, high = (float(line[name]) for name in ("mean", "low", "high"))
                gap = None
                if line["difference"]:
                    names = ("difference", "difference_low", "difference_high")
                    gap = Interval(*(float(line[name]) for name in names))
                key = line["problem"], line["method"], line["metric"]
                found[key] = Interval(mean, low, high), gap
    except (OSError, ValueError, KeyError):
        return {}
    return found
