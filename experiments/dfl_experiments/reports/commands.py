"""The command ``dfl report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dfl_experiments import cells

Folders = Annotated[list[Path], typer.Argument(help="Folders that `dfl run` or `dfl sweep` wrote.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder to write.", show_default="report/ in the first")
]
Baseline = Annotated[
    str | None, typer.Option(help="Method to compare with.", show_default="least squares")
]
MetricName = Annotated[
    str | None,
    typer.Option("--metric", help="What to rank by.", show_default="the first in common"),
]


def write_report(
    folders: Folders,
    out: Out = None,
    baseline: Baseline = None,
    metric: MetricName = None,
) -> int:
    """Make tables and pictures of finished runs: HTML, Markdown and LaTeX."""
    made = write(folders, out or folders[0] / "report", baseline=baseline, metric=metric)
    for path in made:
        typer.echo(f"report: {path}")
    return 0


def write(
    folders: Sequence[Path],
    out: Path,
    *,
    baseline: str | None = None,
    metric: str | None = None,
) -> list[Path]:
    """Write the report of runs into a folder.

    Parameters
    ----------
    folders : sequence of Path
        What runs and sweeps have left.
    out : Path
        Made if missing.
    baseline, metric : str, optional
        As in ``build``.

    Returns
    -------
    list of Path
        The page, the Markdown and the LaTeX.

    Raises
    ------
    InvalidInputError
        If a folder holds no run or no result, or the runs have no metric in common.
    StorageError
        If something cannot be written.
    """
    from dfl_experiments import report

    report.check()
    from dfl_experiments.reports.build import build
    from dfl_experiments.reports.html import html
    from dfl_experiments.reports.latex import latex
    from dfl_experiments.reports.markdown import markdown
    from dfl_experiments.reports.pictures import on_paper, pdf, svg

    page = build(folders, baseline=baseline, metric=metric)
    pictures = [picture for section in page.sections for picture in section.pictures]
    names = {picture: f"pictures/{place:02}" for place, picture in enumerate(pictures)}
    with cells.explained(out):
        (out / "pictures").mkdir(parents=True, exist_ok=True)
    drawn = {picture: svg(picture.figure, place) for place, picture in enumerate(pictures)}
    for picture, name in names.items():
        cells.write_atomically(out / f"{name}.svg", on_paper(drawn[picture]).encode())
        cells.write_atomically(out / f"{name}.pdf", pdf(picture.figure))
    texts = {
        "report.html": html(page, drawn),
        "report.md": markdown(page, {p: f"{name}.svg" for p, name in names.items()}),
        "report.tex": latex(page, {p: f"{name}.pdf" for p, name in names.items()}),
    }
    for name, text in texts.items():
        cells.write_atomically(out / name, text.encode())
    return [out / name for name in texts]
