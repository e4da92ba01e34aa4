"""A report in LaTeX, with tables by booktabs and its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dfl_experiments.reports.page import Entry, Page, Picture, Sheet

_PREAMBLE = r"""% LuaLaTeX or pdfLaTeX; a table or a picture can be copied on its own
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[a4paper,landscape,margin=20mm]{geometry}
\usepackage{amsmath,textcomp,booktabs,longtable,graphicx}
\begin{document}
"""
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "Σ": r"$\Sigma$",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2212": r"$-$",
    "→": r"$\to$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")
_NUMBER = re.compile(r"(?<![\w.])-(?=\d)")


def latex(page: Page, files: Mapping[Picture, str]) -> str:
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
    lines = [_PREAMBLE + rf"\title{{{escape(page.title)}}}", r"\date{}", r"\maketitle", ""]
    for text in page.warnings:
        lines += [rf"\textbf{{{escape(text)}}}", ""]
    for section in page.sections:
        lines += [rf"\section{{{escape(section.title)}}}", ""]
        for text in section.paragraphs:
            lines += [escape(text), ""]
        for sheet in section.sheets:
            lines += [*_table(sheet), ""]
        for picture in section.pictures:
            lines += [
                r"\begin{figure}[htbp]",
                r"\centering",
                rf"\includegraphics[width=\linewidth,height=0.75\textheight,keepaspectratio]{{{files[picture]}}}",
                rf"\caption{{{escape(picture.caption)}}}",
                r"\end{figure}",
                "",
            ]
    return "\n".join([*lines, r"\end{document}", ""])


def escape(text: str) -> str:
    """Write a text so that it is set as it is."""
    text = _SPECIAL.sub(lambda found: _ESCAPES[found[0]], " ".join(text.split()))
    # a minus, not a hyphen
    return _NUMBER.sub("$-$", text)


def _table(sheet: Sheet) -> list[str]:
    # long words are broken; numbers are not
    columns = "".join(
        ("p{60mm}" if _long(sheet, place) else "l") if left else "r"
        for place, left in enumerate(sheet.words)
    )
    head = " & ".join(escape(column) for column in sheet.columns) + r" \\"
    lines = [r"\begingroup\footnotesize", rf"\begin{{longtable}}{{{columns}}}"]
    if sheet.title:
        lines.append(rf"\caption{{{escape(sheet.title)}}}\\")
    lines += [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endlastfoot"]
    lines += [" & ".join(map(_entry, row)) + r" \\" for row in sheet.rows]
    lines.append(r"\end{longtable}")
    if sheet.caption:
        lines.append(rf"\noindent {escape(sheet.caption)}\par")
    return [*lines, r"\endgroup"]


def _long(sheet: Sheet, place: int) -> bool:
    return any(len(row[place].text) > 40 for row in sheet.rows)


def _entry(entry: Entry) -> str:
    text = escape(entry.text)
    return rf"\textbf{{{text}}}" if entry.mark else text
