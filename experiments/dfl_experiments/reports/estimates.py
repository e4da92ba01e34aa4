"""From the results of a run to numbers with intervals, by problem, method and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from dfl.exceptions import InvalidInputError
from dfl_experiments.config import PolicyConfig, RunConfig
from dfl_experiments.config_errors import one_of
from dfl_experiments.measures import MEASURES, Estimate
from dfl_experiments.reports.folder import Loaded
from dfl_experiments.summary import OVER_INSTANCES, OVER_SEEDS, Row, student

ONE_SEED = "none: one seed"
OVER_TRAINING = "Student t over seeds of training, on one data set"


@final
@dataclass(frozen=True)
class Metric:
    """What is measured.

    Attributes
    ----------
    name, label : str
    percent : bool
        Whether values are shares, shown in percent.
    better : {"lower", "higher"} or None
        None: neither, or unknown; methods are then not ranked by it.
    """

    name: str
    label: str
    percent: bool
    better: Literal["lower", "higher"] | None

    @property
    def has_minimum(self) -> bool:
        """Whether decisions for the true E[c|x] have the least of it, in expectation."""
        return self.name == "normalized-regret"

    @property
    def unit(self) -> str:
        """The label with its unit."""
        return f"{self.label}, %" if self.percent else self.label


def metrics_of(run: Loaded) -> dict[str, Metric]:
    """List what was measured, in the order of the results."""
    return {name: _metric(name, run) for name in dict.fromkeys(run.table["metric"])}


def _metric(name: str, run: Loaded) -> Metric:
    if name in MEASURES:
        measure = MEASURES[name]
        higher = measure.needs_returns and not measure.deviation
        return Metric(name, measure.label, True, "higher" if higher else "lower")
    scores = run.config.problem.scores if isinstance(run.config, PolicyConfig) else {}
    if name in scores:
        return Metric(name, scores[name].label, False, scores[name].better)
    lower = name.startswith(("regret", "labels-to", "normalized-regret"))
    return Metric(name, name.replace("-", " "), False, "lower" if lower else None)


@final
@dataclass(frozen=True)
class Numbers:
    """All numbers of a run.

    Attributes
    ----------
    values : dict
        By problem and metric, then method and seed.
    rows : list of Row
        Means and differences with 95 % intervals.
    baseline : str or None
        The method that differences are taken from.
    """

    values: Mapping[tuple[str, str], Mapping[str, Mapping[int, float]]]
    rows: list[Row]
    baseline: str | None

    def of(self, problem: str, metric: str) -> list[Row]:
        """Return the rows of a problem by a metric."""
        return [row for row in self.rows if (row.problem, row.metric) == (problem, metric)]

    def whole(self, problem: str, metric: str) -> list[Row]:
        """Return those rows whose method has a result on every seed: these can be ranked."""
        methods = self.values.get((problem, metric), {})
        seeds = {seed for own in methods.values() for seed in own}
        return [row for row in self.of(problem, metric) if seeds == set(methods[row.method])]


def estimate(run: Loaded, baseline: str | None = None) -> Numbers:
    """Compute means, intervals and paired differences.

    Where a seed draws new data, intervals are Student's over the seeds. On one data set, they are
    the bootstrap intervals over test instances that the run has left, where it has.

    Parameters
    ----------
    run : Loaded
        From its folder.
    baseline : str, optional
        Default: least squares, or what the run itself compares with.

    Returns
    -------
    Numbers
        Of all problems, methods and metrics.

    Raises
    ------
    InvalidInputError
        If there is no method of that name.
    """
    own = find_baseline(run)
    base = own if baseline is None else baseline
    if base is not None and base not in set(run.table["method"]):
        known = one_of(base, dict.fromkeys(run.table["method"]))
        raise InvalidInputError(f"baseline: got {base!r}, expected {known}")
    values: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for line in run.table[["problem", "metric", "method", "seed", "value"]].itertuples(index=False):
        part = values.setdefault((line.problem, line.metric), {})
        part.setdefault(line.method, {})[int(line.seed)] = float(line.value)
    spent = run.table.groupby(["problem", "method"])[["seconds", "solves"]].mean()
    single = _share_their_data(run)
    rows = []
    for (problem, metric), methods in values.items():
        for name, seeds in methods.items():
            mean, gap, interval = _interval(seeds, methods.get(base or "", {}), problem in single)
            if name == base:
                gap = None
            if (problem, name, metric) in run.over_instances:
                found, difference = run.over_instances[problem, name, metric]
                mean, interval = Estimate(found.mean, found.low, found.high), OVER_INSTANCES
                if base == own and difference is not None:
                    gap = Estimate(difference.mean, difference.low, difference.high)
            seconds, solves = spent.loc[(problem, name)]
            rows.append(
                Row(problem, name, metric, mean, gap, interval, len(seeds), 0, seconds, solves)
            )
    return Numbers(values, rows, base)


def _interval(
    own: Mapping[int, float], other: Mapping[int, float], single: bool
) -> tuple[Estimate, Estimate | None, str]:
    common = [own[seed] - other[seed] for seed in own if seed in other]
    gap = student(common) if common else None
    interval = OVER_TRAINING if single else OVER_SEEDS
    return student(list(own.values())), gap, ONE_SEED if len(own) == 1 else interval


def _share_their_data(run: Loaded) -> set[str]:
    """Return the problems of which a seed draws no new data."""
    if "draws_data" in run.table.columns:
        return set(run.table.loc[~run.table["draws_data"].astype(bool), "problem"])
    if isinstance(run.config, RunConfig) and not run.config.problem.draws_data:
        return set(run.table["problem"])
    return set()


def find_baseline(run: Loaded) -> str | None:
    """Return the method that others are compared with, if there is one to speak of."""
    columns = run.table.columns
    if {"method.estimator", "method.regressor"} <= set(columns):
        plain = run.table["method.estimator"].isin(["two-stage", "two-stage-constraints"])
        plain &= run.table["method.regressor"] == "linear"
        if "method.features" in columns:
            # on the features as they are, if it was fitted to others as well
            as_they_are = plain & run.table["method.features"].isin(["given", None])
            plain = as_they_are if as_they_are.any() else plain
        if plain.any():
            return str(run.table.loc[plain, "method"].iloc[0])
    names = set(run.table["method"])
    given: Sequence[str] = getattr(run.config, "baselines", ())
    return next((name for name in (*given, "least squares") if name in names), None)
