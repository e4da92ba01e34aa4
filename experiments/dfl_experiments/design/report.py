"""What a study of sequential design leaves behind: regret against the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfl_experiments.cells import write_atomically
from dfl_experiments.config import DesignConfig
from dfl_experiments.measures import Estimate
from dfl_experiments.report import csv_bytes, new_figure, parquet_bytes, png_bytes
from dfl_experiments.summary import OVER_SEEDS, Results, Row, parameters, student

if TYPE_CHECKING:
    from rich.table import Table


def write(config: DesignConfig, results: Results, folder: Path) -> list[Row]:
    """Write ``results.parquet``, ``summary.csv`` and ``summary.png``; return the summary.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    rows = summarize(config, results)
    write_atomically(folder / "results.parquet", parquet_bytes(tidy(results)))
    write_atomically(folder / "summary.csv", csv_bytes(rows))
    write_atomically(folder / "summary.png", _picture(config, rows, results))
    return rows


def summarize(config: DesignConfig, results: Results) -> list[Row]:
    """Compute means over seeds, and differences to the baseline on the same seeds."""
    values: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    spent: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for cell, content in results:
        key = cell.part, cell.method.name
        values.setdefault(key, {})[cell.seed] = content["values"]
        spent.setdefault(key, []).append((content["seconds"], content["solves"]))
    rows = []
    for part, problem in config.problem.parts().items():
        for metric in problem.metrics():
            for method in config.methods:
                own = values.get((part, method.name), {})
                own = {seed: found for seed, found in own.items() if metric in found}
                if not own:
                    continue
                name, _, labels = metric.partition("@")
                seconds, solves = zip(*spent[part, method.name], strict=True)
                rows.append(
                    Row(
                        part,
                        method.name,
                        name,
                        student([found[metric] for found in own.values()]),
                        _difference(config.baseline(method), part, method.name, metric, values),
                        OVER_SEEDS,
                        len(own),
                        0,
                        sum(seconds) / len(seconds),
                        sum(solves) / len(solves),
                        int(labels) if labels else None,
                    )
                )
    return rows


def _difference(
    base: str | None,
    part: str,
    method: str,
    metric: str,
    values: dict[tuple[str, str], dict[int, dict[str, float]]],
) -> Estimate | None:
    if base is None:
        return None
    own, other = values[part, method], values.get((part, base), {})
    gaps = [
        own[seed][metric] - other[seed][metric]
        for seed in own
        if metric in own[seed] and metric in other.get(seed, {})
    ]
    return student(gaps) if len(gaps) > 1 else None


def tables(config: DesignConfig, rows: Sequence[Row]) -> list[Table]:
    """Make one table a problem: a block a measure, a line a method."""
    from rich import box
    from rich.table import Table

    found = []
    for part in dict.fromkeys(row.problem for row in rows):
        own = [row for row in rows if row.problem == part]
        seeds, bases = own[0].n_seeds, config.baselines
        caption = f"intervals: {OVER_SEEDS}"
        if len(bases) > 1:
            caption += f"; baselines, of learner and loss: {', '.join(map(repr, bases))}"
        table = Table(
            title=f"{part}: {seeds} seed{'s' * (seeds > 1)}",
            caption=caption,
            box=box.SIMPLE_HEAD,
        )
        table.title_justify = table.caption_justify = "left"
        table.add_column("", no_wrap=True)
        table.add_column("mean ± 95 %", justify="right", no_wrap=True)
        if bases:
            name = bases[0] if len(bases) == 1 else "baseline"
            table.add_column(f"minus {name} [95 %]", justify="right", no_wrap=True)
        table.add_column("design, s", justify="right", no_wrap=True)
        table.add_column("solves", justify="right", no_wrap=True)
        for metric, labels in dict.fromkeys((row.metric, row.labels) for row in own):
            table.add_section()
            after = "" if labels is None else f" after {labels} labels"
            table.add_row(metric.replace("-", " ") + after, style="bold")
            for row in own:
                if (row.metric, row.labels) == (metric, labels):
                    table.add_row(*_line(config, row))
        found.append(table)
    return found


def _line(config: DesignConfig, row: Row) -> list[str]:
    value, low, high = row.estimate
    spread = f" ± {(high - low) / 2:.2g}" if row.n_seeds > 1 else ""
    cells = [f"  {row.method}", f"{value:.4g}{spread}"]
    if config.baselines:
        gap = row.difference
        cells.append("" if gap is None else f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
    return [
        *cells,
        f"{row.seconds:.2f}" if row.seconds else "",
        f"{row.solves:,.0f}" if row.solves else "",
    ]


def tidy(results: Results) -> list[dict[str, Any]]:
    """Make one record per problem, method, seed, measure and number of labels."""
    records = []
    for cell, content in results:
        for metric, value in content["values"].items():
            name, _, labels = metric.partition("@")
            records.append(
                {
                    "problem": cell.part,
                    "method": cell.method.name,
                    "seed": cell.seed,
                    "metric": name,
                    "labels": int(labels) if labels else None,
                    "value": value,
                    "stopped": _stopped(name, content["unstopped"]),
                    "seconds": content["seconds"],
                    "solves": content["solves"],
                    **parameters(cell),
                }
            )
    return records


def _stopped(metric: str, unstopped: Sequence[str]) -> bool | None:
    """Say of a number of labels whether its rule stopped there, and not only the budget."""
    rule = metric.removeprefix("labels-to-")
    return rule not in unstopped if rule != metric else None


def _picture(config: DesignConfig, rows: Sequence[Row], results: Results) -> bytes:
    """Draw regret by number of labels: a row of panels a problem, a panel a family of methods.

    What no number of labels would beat is a dashed line.
    """
    from dfl.plotting import LabelCurveDisplay
    from dfl.plotting._axes import COLORS

    parts, labels = config.problem.parts(), config.problem.labels
    floors = {method.name: method.family for method in config.methods if method.is_reference}
    families = {method.name: method.family for method in config.methods if not method.is_reference}
    columns = list(dict.fromkeys(families.values()))
    figure, panels = new_figure(len(parts), len(columns), 5.0, 3.6)
    for line, part in zip(panels, parts, strict=True):
        for panel, family in zip(line, columns, strict=True):
            curves: dict[str, list[list[float]]] = {}
            for cell, content in results:
                if cell.part == part and families.get(cell.method.name) == family:
                    values = [content["values"][f"regret@{n}"] for n in labels]
                    curves.setdefault(cell.method.name, []).append(values)
            if not curves:
                continue
            LabelCurveDisplay(labels, curves).plot(panel)
            for more in panel.lines[len(COLORS) :]:  # colors come again
                more.set_linestyle(":")
            for row in rows:
                floor = floors.get(row.method, ("",))[0] == family[0]
                if floor and (row.problem, row.labels) == (part, labels[-1]):
                    panel.axhline(
                        row.estimate.value, color="gray", linestyle="--", label=row.method
                    )
            panel.legend(fontsize="x-small")
            panel.set_title(f"{part}: {', '.join(family)}", fontsize="medium")
    return png_bytes(figure)
