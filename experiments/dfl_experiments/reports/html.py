"""A report as one page that opens from disk and needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from dfl_experiments.reports.page import Page, Picture
from dfl_experiments.reports.pictures import inline
from dfl_solvers.exceptions import import_optional

_FOLDER = Path(__file__).parent


def html(page: Page, drawn: Mapping[Picture, str]) -> str:
    """Write a report in HTML: style, script and pictures are inside, nothing is loaded.

    All texts, some of which come from the user, are escaped; the page may run its own script only.

    Parameters
    ----------
    page : Page
        What to write.
    drawn : mapping of Picture to str
        The pictures as SVG.

    Returns
    -------
    str
        The whole file.

    Raises
    ------
    MissingDependencyError
        If Jinja2 is not installed.
    """
    jinja2 = import_optional("jinja2", "experiments")
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text: str = environment.get_template("page.html.jinja").render(
        page=page,
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        drawn={picture: inline(text) for picture, text in drawn.items()},
    )
    return text
