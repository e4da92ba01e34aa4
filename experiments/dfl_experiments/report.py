"""What a run leaves behind and shows: tables, files and figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfl.metrics import Interval
from dfl.plotting import LearningCurveDisplay, RegretDisplay, TrainingTimeDisplay
from dfl_experiments.cells import write_atomically
from dfl_experiments.config import RunConfig
from dfl_experiments.measures import MEASURES, Estimate
from dfl_experiments.methods import MINIMUM
from dfl_experiments.published import numbers_of
from dfl_experiments.standings import Standings, standings
from dfl_experiments.summary import OVER_SEEDS, Results, Row, baseline, summarize, tidy
from dfl_solvers.exceptions import import_optional

if TYPE_CHECKING:
    from rich.table import Table

EXTRA = "experiments"


def check() -> None:
    """Refuse before anything is computed if the packages that write results are missing.

    Raises
    ------
    MissingDependencyError
    """
    for module in ("pandas", "pyarrow", "matplotlib"):
        import_optional(module, EXTRA)


def write(config: RunConfig, results: Results, folder: Path) -> list[Row]:
    """Write ``results.parquet``, ``summary.csv`` and the figures; return the summary.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    rows = summarize(config, results)
    write_atomically(folder / "results.parquet", parquet_bytes(tidy(config, results)))
    write_atomically(folder / "summary.csv", csv_bytes(rows))
    write_atomically(folder / "summary.png", _intervals_figure(config, rows))
    write_atomically(folder / "time.png", _time_figure(config, rows))
    curves = _curves(results)
    if curves:
        write_atomically(folder / "learning.png", _learning_figure(config, curves))
    return rows


def tables(config: RunConfig, rows: Sequence[Row]) -> list[Table]:
    """Make one table a problem: a block a metric, a line a method."""
    from rich import box
    from rich.table import Table

    base = baseline(config)
    found = []
    for part in dict.fromkeys(row.problem for row in rows):
        own = [row for row in rows if row.problem == part]
        table = Table(title=_title(own), caption=_caption(config, own), box=box.SIMPLE_HEAD)
        table.title_justify = table.caption_justify = "left"
        table.add_column("%")
        table.add_column("mean ± 95 %", justify="right", no_wrap=True)
        if base is not None:
            table.add_column(f"minus {base} [95 %]", justify="right", no_wrap=True)
        paper = numbers_of(config.name, own[0].metric)
        known = {} if paper is None else paper.numbers.get(part, {})
        if known and paper is not None:
            table.add_column(f"published ({paper.statistic})", justify="right", no_wrap=True)
        table.add_column("train, s", justify="right", no_wrap=True)
        table.add_column("solves", justify="right", no_wrap=True)
        for metric in dict.fromkeys(row.metric for row in own):
            table.add_section()
            table.add_row(MEASURES[metric].label, style="bold")
            for row in (row for row in own if row.metric == metric):
                cells = [f"  {row.method}", _plus_minus(row.estimate)]
                if base is not None:
                    cells.append("" if row.difference is None else _interval(row.difference))
                if known and paper is not None:
                    shown = row.metric == paper.metric and row.method in known
                    cells.append(str(known[row.method]) if shown else "")
                table.add_row(*cells, f"{row.seconds:.2f}" if row.seconds else "",
                              f"{row.solves:,.0f}" if row.solves else "")  # fmt: skip
        found.append(table)
    names = [method.name for method in config.methods]
    overall = standings(rows, config.metrics[0], names, base)
    return [*found, _standings_table(overall)] if overall is not None else found


def _standings_table(overall: Standings) -> Table:
    """Make a table of how methods stand over all problems, the best mean rank first."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"over {overall.n_problems} problems: {MEASURES[overall.metric].label}",
        caption=f"mean ranks further apart than {overall.ranks.critical_difference:.2f} differ at "
        f"5 % (Nemenyi); Friedman's p = {overall.ranks.p_value:.2g}; closable: regret above the "
        "minimum, in relation to that of least squares, where that is above a tenth of a point",
        box=box.SIMPLE_HEAD,
    )
    table.title_justify = table.caption_justify = "left"
    for name in ("method", "mean rank", "at most 0.3 points worse than the best other", "closable"):
        table.add_column(name, justify="left" if name == "method" else "right")
    order = sorted(range(len(overall.methods)), key=lambda k: overall.ranks.ranks[k])
    for k in order:
        closable = overall.closable[k]
        table.add_row(
            overall.methods[k],
            f"{overall.ranks.ranks[k]:.2f}",
            f"{overall.n_close[k]} of {overall.n_problems}",
            "" if closable is None else f"{100 * closable:.0f} %",
        )
    return table


def _title(rows: Sequence[Row]) -> str:
    seeds, instances = rows[0].n_seeds, rows[0].n_instances
    return f"{rows[0].problem}: {seeds} seed{'s' * (seeds > 1)}, {instances} test instances"


def _caption(config: RunConfig, rows: Sequence[Row]) -> str:
    text = f"intervals: {rows[0].interval}"
    if rows[0].interval != OVER_SEEDS and config.problem.draws_data:
        text += " of one data set; use more seeds"
    if any(row.method == MINIMUM for row in rows):
        text += f"; {MINIMUM}: decisions for the true E[c|x], the least possible Σ regret"
    return text


def _plus_minus(estimate: Estimate) -> str:
    half = (estimate.high - estimate.low) / 2
    return f"{100 * estimate.value:.2f} ± {100 * half:.2f}"


def _interval(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:+.2f} [{low:+.2f}, {high:+.2f}]"


def parquet_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Write records as a Parquet file."""
    pandas = import_optional("pandas", EXTRA)
    import_optional("pyarrow", EXTRA)
    buffer = io.BytesIO()
    pandas.DataFrame.from_records(list(records)).to_parquet(buffer, index=False)
    return buffer.getvalue()


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """Write a summary as a CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["problem", "method", "metric", "labels", "mean", "low", "high", "difference",
         "difference_low", "difference_high", "n_seeds", "n_instances", "interval", "seconds",
         "solves"]
    )  # fmt: skip
    for row in rows:
        difference = ("", "", "") if row.difference is None else row.difference
        writer.writerow(
            [row.problem, row.method, row.metric, "" if row.labels is None else row.labels,
             *row.estimate, *difference, row.n_seeds, row.n_instances, row.interval, row.seconds,
             row.solves]
        )  # fmt: skip
    return buffer.getvalue().encode()


def new_figure(rows: int, columns: int, width: float, height: float) -> Any:
    """Make a figure that needs no screen and changes no global state."""
    figures = import_optional("matplotlib.figure", EXTRA)
    figure = figures.Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def png_bytes(figure: Any) -> bytes:
    """Draw a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _intervals_figure(config: RunConfig, rows: Sequence[Row]) -> bytes:
    """Draw a dot with its interval per method: a row of panels a problem, a panel a metric."""
    parts = list(dict.fromkeys(row.problem for row in rows))
    names = [method.name for method in config.methods]
    figure, panels = new_figure(len(parts), len(config.metrics), 4.0, 1.2 + 0.35 * len(names))
    floors = False
    for line, part in zip(panels, parts, strict=True):
        for panel, metric in zip(line, config.metrics, strict=True):
            own = {row.method: Interval(*row.estimate) for row in rows
                   if (row.problem, row.metric) == (part, metric)}  # fmt: skip
            floor = own.pop(MINIMUM, None)
            RegretDisplay(
                {name: own[name] for name in names},
                None if floor is None else floor.mean,
                f"{MEASURES[metric].label}, %",
            ).plot(panel)
            panel.tick_params(labelleft=panel is line[0])
            panel.set_title(part, fontsize="medium")
            floors = floors or floor is not None
    if floors:
        handles = [panels[0][0].lines[-1]]
        figure.legend(handles, [MINIMUM], loc="outside lower center", fontsize="small")
    return png_bytes(figure)


def _time_figure(config: RunConfig, rows: Sequence[Row]) -> bytes:
    """Draw the first metric against the seconds of training: a panel a problem."""
    metric = config.metrics[0]
    parts = list(dict.fromkeys(row.problem for row in rows))
    figure, panels = new_figure(len(parts), 1, 10.0, 6.5)
    for panel, part in zip(panels[:, 0], parts, strict=True):
        trained = [row for row in rows
                   if (row.problem, row.metric) == (part, metric) and row.seconds]  # fmt: skip
        if trained:
            TrainingTimeDisplay(
                {row.method: Interval(*row.estimate) for row in trained},
                {row.method: row.seconds for row in trained},
                f"{MEASURES[metric].label}, %",
            ).plot(panel)
        panel.set_title(part, fontsize="medium")
    return png_bytes(figure)


Curves = dict[str, dict[str, list[list[float]]]]


def _curves(results: Results) -> Curves:
    """Collect validation regret by epoch: problem, method, then one curve per seed and fold."""
    found: Curves = {}
    for cell, content in results:
        for epochs in content["history"]:
            curve = [epoch["validation"] for epoch in epochs if "validation" in epoch]
            if curve:
                found.setdefault(cell.part, {}).setdefault(cell.method.name, []).append(curve)
    return found


def _learning_figure(config: RunConfig, curves: Curves) -> bytes:
    names = [method.name for method in config.methods]
    figure, panels = new_figure(1, len(curves), 5.0, max(3.2, 0.22 * len(names)))
    for panel, (part, methods) in zip(panels[0], curves.items(), strict=True):
        # a method without curves keeps its place, and so the others their colors
        LearningCurveDisplay(
            {
                name: [[100 * value for value in run] for run in methods.get(name, [])]
                for name in names
            }
        ).plot(panel)
        panel.set_title(part, fontsize="medium")
        panel.set_ylim(bottom=0)
    return png_bytes(figure)
