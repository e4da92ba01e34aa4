"""The table of a sweep: a row a result, a trial, or a pair that could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfl_experiments.execution import Failure
from dfl_experiments.measures import MEASURES
from dfl_experiments.runner import Cell
from dfl_experiments.summary import Results, outcome, parameters
from dfl_experiments.sweep.config import SweepConfig
from dfl_experiments.sweep.expand import family
from dfl_experiments.sweep.plan import Pair, Trial

TRIAL_METRIC = "validation-regret"
Record = dict[str, Any]


def records(
    config: SweepConfig, pairs: Sequence[Pair], results: Results, failed: Mapping[str, Failure]
) -> list[Record]:
    """Make the rows of ``results.parquet``.

    Parameters
    ----------
    config : SweepConfig
        Names seeds and metrics.
    pairs : sequence of Pair
        With their trials.
    results : sequence of (Cell, content)
        Those cells that were computed, trials among them.
    failed : mapping of str to Failure
        The others, by their keys.

    Returns
    -------
    list of dict
        All with the same keys: the columns.
    """
    contents = {cell.key: content for cell, content in results}
    found: list[Record] = []
    for pair in pairs:
        if pair.refused:
            found.append(_row(pair, status="refused", error=pair.refused))
            continue
        found += [_trial_row(pair, trial, contents, failed) for trial in pair.trials]
        cells = pair.cells(config.seeds)
        if not cells:
            last = failed.get(pair.trials[-1].cell.key)
            reason = "its regret is no number" if last is None else last.message
            known: Record = {
                "status": "failed" if last is None else last.status,
                "error": f"none of its trials could be computed; the last: {reason}",
            }
            found += [
                _row(pair, seed=seed, metric=metric, **known)
                for seed in config.seeds
                for metric in config.metrics
            ]
        for cell in cells:
            found += _final_rows(config, pair, cell, contents.get(cell.key), failed.get(cell.key))
    return _uniform(found)


def _final_rows(
    config: SweepConfig,
    pair: Pair,
    cell: Cell,
    content: Mapping[str, Any] | None,
    failure: Failure | None,
) -> list[Record]:
    known: Record = {"seed": cell.seed, **parameters(cell)}
    if content is None:
        known |= _what_failed(failure)
        return [_row(pair, metric=metric, **known) for metric in config.metrics]
    decided = outcome(cell, content)
    known |= {"seconds": content["seconds"], "solves": content["solves"]}
    return [
        _row(pair, metric=metric, value=MEASURES[metric].value(decided), **known)
        for metric in config.metrics
    ]


def _trial_row(
    pair: Pair, trial: Trial, contents: Mapping[str, Any], failed: Mapping[str, Failure]
) -> Record:
    # the parameters of the problem itself, not of its held-out part
    cell = Cell(pair.part, pair.problem, trial.cell.method, trial.cell.seed)
    known: Record = {
        "seed": cell.seed,
        "metric": TRIAL_METRIC,
        "trial": trial.number,
        "chosen": trial is pair.best,
        **parameters(cell),
    }
    content = contents.get(trial.cell.key)
    if content is None:
        return _row(pair, **known, **_what_failed(failed.get(trial.cell.key)))
    return _row(
        pair, value=trial.value, seconds=content["seconds"], solves=content["solves"], **known
    )


def _what_failed(failure: Failure | None) -> Record:
    if failure is None:
        return {"status": "failed", "error": "it was not computed"}
    return {"status": failure.status, "error": failure.message}


def _row(pair: Pair, **known: Any) -> Record:
    """Make a row: what is not known of it stays empty."""
    own, predictor = family(pair.method.name)
    return {
        "problem": pair.part,
        "method": pair.method.name,
        "family": own,
        "predictor": predictor,
        "seed": None,
        "metric": None,
        "value": None,
        "seconds": None,
        "solves": None,
        "trial": None,
        "chosen": None,
        "status": "ok",
        "error": None,
        "draws_data": pair.problem.draws_data,
        **known,
    }


def _uniform(found: Sequence[Record]) -> list[Record]:
    """Give every row all columns, and every column one type: text where some of it is text."""
    columns = list(dict.fromkeys(name for row in found for name in row))
    text = {name for row in found for name, value in row.items() if isinstance(value, str)}
    return [
        {
            name: str(row[name]) if name in text and row.get(name) is not None else row.get(name)
            for name in columns
        }
        for row in found
    ]


def parquet_bytes(found: Sequence[Record]) -> bytes:
    """Write the rows as a Parquet file."""
    import io

    import pandas as pd

    frame = pd.DataFrame(found)
    kinds = {"seed": "Int64", "trial": "Int64", "chosen": "boolean"}
    kinds |= dict.fromkeys(("value", "seconds", "solves"), "float64")
    buffer = io.BytesIO()
    frame.astype(kinds).to_parquet(buffer, index=False)
    return buffer.getvalue()
