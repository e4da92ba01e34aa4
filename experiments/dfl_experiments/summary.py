"""From cells to numbers with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from dfl_experiments.config import RunConfig
from dfl_experiments.measures import MEASURES, Estimate, Measure, Outcome
from dfl_experiments.methods import (
    DecisionFocused,
    HeldOutLasso,
    TwoStage,
    TwoStageConstraints,
)
from dfl_experiments.runner import Cell

OVER_SEEDS = "Student t over seeds"
OVER_INSTANCES = "bootstrap over test instances"

Results = Sequence[tuple[Cell, Mapping[str, Any]]]


@final
@dataclass(frozen=True)
class Row:
    """One measure of one method on one problem.

    Attributes
    ----------
    problem, method, metric : str
    estimate : Estimate
        Mean with its 95 % interval.
    difference : Estimate or None
        To least squares on the same data, with its 95 % interval; None where there is no other.
    interval : str
        How the two intervals came about.
    n_seeds : int
        Seeds with a result.
    n_instances : int
        Test instances; 0 where a seed gives one number.
    seconds, solves : float
        Mean seconds of training, and mean number of instances that the oracle solved in it.
    labels : int or None
        Of a study of sequential design: the number of labels at which this was measured.
    """

    problem: str
    method: str
    metric: str
    estimate: Estimate
    difference: Estimate | None
    interval: str
    n_seeds: int
    n_instances: int
    seconds: float
    solves: float
    labels: int | None = None


def outcome(cell: Cell, content: Mapping[str, Any]) -> Outcome:
    """Read what a cell holds."""
    import numpy as np

    return Outcome(
        np.asarray(content["regret"], dtype=float),
        np.asarray(content["optimal"], dtype=float),
        content["sign"],
        cell.problem.decisions_per_year,
    )


def baseline(config: RunConfig) -> str | None:
    """Return the name of the first method that is least squares, if there is one.

    A linear fit comes before a predictor that is trained by the squared error.
    """
    for method in config.methods:
        if isinstance(method, TwoStage | TwoStageConstraints) and method.regressor == "linear":
            return method.name
    for method in config.methods:
        if isinstance(method, DecisionFocused | HeldOutLasso) and method.loss == "squared":
            return method.name
    return None


def tidy(config: RunConfig, results: Results) -> list[dict[str, Any]]:
    """Make one record per problem, method, seed and metric; parameters are columns of their own."""
    records = []
    for cell, content in results:
        found = outcome(cell, content)
        for metric in config.metrics:
            records.append(
                {
                    "problem": cell.part,
                    "method": cell.method.name,
                    "seed": cell.seed,
                    "metric": metric,
                    "value": MEASURES[metric].value(found),
                    "seconds": content["seconds"],
                    "solves": content["solves"],
                    **parameters(cell),
                }
            )
    return records


def parameters(cell: Cell) -> dict[str, Any]:
    """Return the parameters of problem and method as columns."""
    return {
        # what is not given stays empty, so that a column has one type
        f"{group}.{key}": value if isinstance(value, str | int | float | None) else str(value)
        for group in ("problem", "method")
        for key, value in cell.content[group].items()
    }


def summarize(config: RunConfig, results: Results) -> list[Row]:
    """Compute means, intervals and paired differences.

    Where a seed draws new data, intervals are Student's over the seeds. On one data set (real
    data, or one seed), they are bootstrap intervals over the test instances, after the mean over
    the seeds of each instance.
    """
    return [row for part in config.problem.parts() for row in summarize_part(config, part, results)]


def summarize_part(config: RunConfig, part: str, results: Results) -> list[Row]:
    """Do so for one of the problems."""
    return [
        _row(config, part, name, metric, results)
        for metric in config.metrics
        for name in _names(part, results)
    ]


def _names(part: str, results: Results) -> list[str]:
    return list(dict.fromkeys(cell.method.name for cell, _ in results if cell.part == part))


def _row(config: RunConfig, part: str, name: str, metric: str, results: Results) -> Row:
    measure = MEASURES[metric]
    own = _by_seed(part, name, results)
    base = baseline(config)
    other = _by_seed(part, base, results) if base not in (None, name) else {}
    common = {seed: other[seed] for seed in own if seed in other}
    if config.problem.draws_data and len(own) > 1:
        interval = OVER_SEEDS
        estimate = student([measure.value(found) for found in own.values()])
        difference = _paired_student(measure, own, common) if len(common) > 1 else None
    else:
        interval = OVER_INSTANCES
        estimate = measure.bootstrap(_mean(list(own.values())))
        difference = None
        if common:
            mine = _mean([own[seed] for seed in common])
            difference = measure.bootstrap(mine, _mean(list(common.values())))
    contents = [
        content for cell, content in results if cell.part == part and cell.method.name == name
    ]
    return Row(
        part,
        name,
        metric,
        estimate,
        difference,
        interval,
        len(own),
        len(next(iter(own.values())).regret),
        sum(content["seconds"] for content in contents) / len(contents),
        sum(content["solves"] for content in contents) / len(contents),
    )


def _by_seed(part: str, name: str | None, results: Results) -> dict[int, Outcome]:
    return {
        cell.seed: outcome(cell, content)
        for cell, content in results
        if cell.part == part and cell.method.name == name
    }


def student(values: Sequence[float]) -> Estimate:
    """Return the mean with Student's interval over seeds."""
    from dfl import metrics

    found = metrics.mean_interval(values)
    return Estimate(found.mean, found.low, found.high)


def _paired_student(
    measure: Measure, own: Mapping[int, Outcome], other: Mapping[int, Outcome]
) -> Estimate:
    return student([measure.value(own[s]) - measure.value(found) for s, found in other.items()])


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    """Average the regret of each instance over seeds that share their data."""
    import numpy as np

    first = outcomes[0]
    regret = np.mean([found.regret for found in outcomes], axis=0)
    return Outcome(regret, first.optimal, first.sign, first.per_year)
