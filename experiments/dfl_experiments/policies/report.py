"""What a study of policies leaves behind and shows: tables, files and pictures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from dfl.metrics import Interval
from dfl.plotting._axes import color
from dfl_experiments.cells import write_atomically
from dfl_experiments.config import PolicyConfig
from dfl_experiments.policies.curves import curves_picture
from dfl_experiments.policies.summary import PolicySummary, summarize
from dfl_experiments.policies.tuning import Trial
from dfl_experiments.report import new_figure, parquet_bytes, png_bytes
from dfl_experiments.summary import Results, parameters

if TYPE_CHECKING:
    from rich.table import Table

CAPTION = (
    "↑ higher is better, ↓ lower is; means with Student's 95 % interval over seeds, interquartile "
    "means with a bootstrap interval; differences are paired over seeds"
)


def write(
    config: PolicyConfig, results: Results, folder: Path, trials: Sequence[Trial]
) -> PolicySummary:
    """Write tables and pictures into the folder of a run; return the summary.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    found = summarize(config, results, trials)
    files: dict[str, bytes] = {
        "summary.csv": _csv(
            ("method", "score", "mean", "low", "high", "interquartile_mean",
             "interquartile_low", "interquartile_high", "n_seeds"),
            ([row.method, row.score, *_three(row.mean), *_three(row.middle), row.n_seeds]
             for row in found.rows),
        ),
        "comparisons.csv": _csv(
            ("method", "baseline", "score", "difference", "low", "high", "improvement",
             "improvement_low", "improvement_high"),
            ([one.method, one.baseline, one.score, *_three(one.difference),
              *_three(one.improvement)] for one in found.comparisons),
        ),
        "spent.csv": _csv(
            ("method", "kind", "mean"),
            ([name, kind, value] for name in found.spent
             for kind, value in {"seconds": found.seconds[name], **found.spent[name]}.items()),
        ),
        "trials.csv": _csv(
            ("method", "setting", "value", "seconds", "chosen"),
            ([one.method, json.dumps(one.setting), "" if one.value is None else one.value,
              one.seconds, one.chosen] for one in trials),
        ),
        "curves.csv": _csv(("method", "seed", "point", "name", "value"), _curve_lines(results)),
        "results.parquet": parquet_bytes(tidy(results)),
        "summary.md": _markdown(found).encode(),
        "summary.png": _picture(found),
    }  # fmt: skip
    picture = curves_picture(config, results)
    if picture is not None:
        files["curves.png"] = picture
    files |= config.problem.files([(cell.method.name, cell.seed, each) for cell, each in results])
    for name, content in files.items():
        write_atomically(folder / name, content)
    return found


@final
@dataclass(frozen=True)
class Grid:
    """A table before it is drawn: the first column is of names, the others of numbers.

    Attributes
    ----------
    title : str
    columns : list of str
    rows : list of list of str
        A row of one cell is the heading of a section.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


def grids(found: PolicySummary) -> list[Grid]:
    """Make the tables: scores, beside each baseline, what was spent, what was tried."""
    made: list[Grid] = [Grid(found.title, ["", "mean [95 %]", "interquartile mean [95 %]"], [])]
    # seeds whose run failed are missing
    most = max((row.n_seeds for row in found.rows), default=0)
    for score, about in found.scores.items():
        made[0].rows.append([_labeled(about.label, about.better)])
        for row in found.rows:
            if row.score == score:
                few = f" (seeds: {row.n_seeds})" if row.n_seeds < most else ""
                made[0].rows.append([row.method + few, shown(row.mean), shown(row.middle)])
    for baseline in dict.fromkeys(one.baseline for one in found.comparisons):
        columns = ["", "difference [95 %]", "better with probability [95 %]"]
        made.append(Grid(f"minus {baseline}", columns, []))
        for score, about in found.scores.items():
            compared = [c for c in found.comparisons if (c.baseline, c.score) == (baseline, score)]
            if compared:
                made[-1].rows.append([_labeled(about.label, about.better)])
            for one in compared:
                chance = "" if one.improvement is None else shown(one.improvement)
                made[-1].rows.append([one.method, shown(one.difference, signed=True), chance])
    kinds = list(dict.fromkeys(kind for each in found.spent.values() for kind in each))
    made.append(Grid("spent on learning, mean of a run", ["", "seconds", *map(_words, kinds)], []))
    for name, spent in found.spent.items():
        counts = [f"{spent[kind]:,.0f}" if kind in spent else "" for kind in kinds]
        made[-1].rows.append([name, f"{found.seconds[name]:.1f}", *counts])
    if found.trials:
        columns = ["", "setting", "score", "seconds", "chosen"]
        made.append(Grid("tried, with a seed apart", columns, []))
        for trial in found.trials:
            setting = ", ".join(f"{key} {value}" for key, value in trial.setting.items())
            value = "failed" if trial.value is None else f"{trial.value:.4g}"
            chosen = "yes" if trial.chosen else ""
            made[-1].rows.append([trial.method, setting, value, f"{trial.seconds:.1f}", chosen])
    return made


def tables(found: PolicySummary) -> list[Table]:
    """Make the tables that are shown."""
    from rich import box
    from rich.table import Table

    made: list[Table] = []
    for grid in grids(found):
        caption = None if made else CAPTION
        table = Table(title=grid.title, caption=caption, box=box.SIMPLE_HEAD)
        table.title_justify = table.caption_justify = "left"
        for place, name in enumerate(grid.columns):
            table.add_column(name, justify="right" if place else "left", no_wrap=not place)
        sections = any(len(row) == 1 for row in grid.rows)
        for row in grid.rows:
            if len(row) == 1:
                table.add_section()
                table.add_row(*row, style="bold")
            else:
                table.add_row("  " * sections + row[0], *row[1:])
        made.append(table)
    return made


def shown(interval: Interval, signed: bool = False) -> str:
    """Write an interval, with as many digits as it tells; a single run has no bounds."""
    numbers = (interval.mean, interval.low, interval.high)
    known = [value for value in numbers if math.isfinite(value)]
    width = max(known) - min(known) or abs(interval.mean)
    digits = 3 if width == 0 else min(max(2 - math.floor(math.log10(width)), 0), 6)
    mean, low, high = (f"{value:{'+' if signed else ''}.{digits}f}" for value in numbers)
    return mean if len(known) == 1 else f"{mean} [{low}, {high}]"


def _labeled(label: str, better: str | None) -> str:
    return label + {None: "", "higher": " ↑", "lower": " ↓"}[better]


def _words(kind: str) -> str:
    return kind.replace("_", " ").replace("env steps", "environment steps")


def _three(interval: Interval | None) -> tuple[float | str, ...]:
    if interval is None:
        return ("", "", "")
    bounds = (interval.mean, interval.low, interval.high)
    return tuple(value if math.isfinite(value) else "" for value in bounds)


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue().encode()


def _curve_lines(results: Results) -> Iterable[list[Any]]:
    for cell, content in results:
        for place, point in enumerate(content["curve"]):
            for name, value in point.items():
                yield [cell.method.name, cell.seed, place, name, value]


def tidy(results: Results) -> list[dict[str, Any]]:
    """Make one record per method, seed and score."""
    return [
        {
            "problem": cell.part,
            "method": cell.method.name,
            "seed": cell.seed,
            "score": score,
            "value": value,
            "seconds": content["seconds"],
            **{f"spent.{kind}": number for kind, number in content["spent"].items()},
            **parameters(cell),
        }
        for cell, content in results
        for score, value in content["scores"].items()
    ]


def _markdown(found: PolicySummary) -> str:
    """Write all tables in Markdown, each under a line that says what it is."""
    blocks = []
    for grid in grids(found):
        lines = [
            f"{grid.title[:1].upper()}{grid.title[1:]}.",
            "",
            f"| {' | '.join(grid.columns)} |",
            f"|{'---|' * len(grid.columns)}",
        ]
        for row in grid.rows:
            cells = row if len(row) > 1 else [f"**{row[0]}**", *[""] * (len(grid.columns) - 1)]
            lines.append(f"| {' | '.join(cells)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, f"{CAPTION}."]) + "\n"


def _picture(found: PolicySummary) -> bytes:
    """Draw a dot with its interval for each method: a panel a score."""
    names = list(dict.fromkeys(row.method for row in found.rows))
    figure, panels = new_figure(1, len(found.scores), 4.0, 1.2 + 0.35 * len(names))
    for panel, (score, about) in zip(panels[0], found.scores.items(), strict=True):
        means: Mapping[str, Interval] = {r.method: r.mean for r in found.rows if r.score == score}
        for place, name in enumerate(names):
            if name not in means:
                continue
            mean = means[name]
            panel.plot(mean.mean, place, "o", color=color(place))
            if math.isfinite(mean.low):
                panel.hlines(place, mean.low, mean.high, color=color(place))
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlabel(_labeled(about.label, about.better))
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(labelleft=panel is panels[0][0])
    return png_bytes(figure)
