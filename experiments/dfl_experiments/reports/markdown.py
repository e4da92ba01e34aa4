"""A report in Markdown, with its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dfl_experiments.reports.page import Entry, Page, Picture, Sheet

# what Markdown would take for markup; a bar would end a cell
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#$~])")


def markdown(page: Page, files: Mapping[Picture, str]) -> str:
    """Write a report.

    Parameters
    ----------
    page : Page
        What to write.
    files : mapping of Picture to str
        Where each picture lies, seen from the report.

    Returns
    -------
    str
        The whole file.
    """
    blocks = [f"# {escape(page.title)}", *(f"> {escape(text)}" for text in page.warnings)]
    for section in page.sections:
        blocks.append(f"## {escape(section.title)}")
        blocks += [escape(text) for text in section.paragraphs]
        for sheet in section.sheets:
            if sheet.title:
                blocks.append(f"**{escape(sheet.title)}**")
            blocks.append(_table(sheet))
            if sheet.caption:
                blocks.append(escape(sheet.caption))
        for picture in section.pictures:
            blocks.append(f"![{escape(picture.caption)}]({files[picture]})")
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Write a text so that it is read as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(sheet: Sheet) -> str:
    lines = [
        [escape(column) for column in sheet.columns],
        [":--" if left else "--:" for left in sheet.words],
        *([_entry(entry) for entry in row] for row in sheet.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _entry(entry: Entry) -> str:
    text = escape(entry.text)
    return f"**{text}**" if entry.mark else text
