"""Pictures of what was followed while policies learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dfl.plotting._axes import color
from dfl_experiments.config import PolicyConfig
from dfl_experiments.report import new_figure, png_bytes
from dfl_experiments.summary import Results

Curve = Sequence[Mapping[str, float]]

_LONGER = 10


def curves_picture(config: PolicyConfig, results: Results) -> bytes | None:
    """Draw each score that curves have (a column) over each axis (a row); None without curves.

    A line is the mean over seeds where all have points, a band their 95 % interval. Negative
    controls are left out: they were told other rewards.
    """
    axes, scores = config.problem.axes, config.problem.scores
    curves: dict[str, list[Curve]] = {}
    for cell, content in results:
        if content["curve"] and getattr(cell.method, "control", "none") == "none":
            curves.setdefault(cell.method.name, []).append(content["curve"])
    points = [point for own in curves.values() for curve in own for point in curve]
    rows = [axis for axis in axes if any(axis in point for point in points)]
    columns = [score for score in scores if any(score in point for point in points)]
    if not rows or not columns:
        return None
    names = [method.name for method in config.methods]
    figure, panels = new_figure(len(rows), len(columns), 5.0, 3.4)
    for line, axis in zip(panels, rows, strict=True):
        for panel, score in zip(line, columns, strict=True):
            for name, own in curves.items():
                _draw(panel, own, axis, score, name, color(names.index(name)))
            panel.set_xlabel(axes[axis])
            panel.set_ylabel(scores[score].label)
            panel.grid(alpha=0.3)
            if panel.lines:
                panel.legend(fontsize="x-small")
                _scale(panel)
    return png_bytes(figure)


def _scale(panel: Any) -> None:
    """Count in thousands; by factors where some methods went on far longer than others."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    ends = [float(line.get_xdata()[-1]) for line in panel.lines]
    if max(ends) > _LONGER * min(ends) > 0:
        panel.set_xscale("log")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(6))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw(
    panel: Any, curves: Sequence[Curve], axis: str, score: str, name: str, shade: str
) -> None:
    from dfl.metrics import mean_interval

    lines = []
    for curve in curves:
        both = sorted((p[axis], p[score]) for p in curve if axis in p and score in p)
        if both:
            lines.append(np.array(both).T)
    if not lines:
        return
    # seeds that looked at other places are drawn in between, where all of them looked
    start, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    grid = np.unique(np.concatenate([x for x, _ in lines]))
    grid = grid[(start <= grid) & (grid <= end)]
    if not len(grid):
        return
    table = np.array([np.interp(grid, x, y) for x, y in lines])
    intervals = [mean_interval(column) for column in table.T]
    panel.plot(grid, [one.mean for one in intervals], color=shade, label=name, linewidth=1.4)
    low, high = [one.low for one in intervals], [one.high for one in intervals]
    if np.isfinite(low).all():
        panel.fill_between(grid, low, high, color=shade, alpha=0.15, linewidth=0)
