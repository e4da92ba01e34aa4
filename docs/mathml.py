"""Formulas as MathML, made when the site is built: no network and no script shows them."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{convert(node, as_block=False)}</span>')
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    # a formula wider than the screen scrolls by itself, see _static/site.css
    writer.body.append(f'<div class="math" tabindex="0">{convert(node, as_block=True)}</div>')
    raise nodes.SkipNode


def convert(node: nodes.Element, *, as_block: bool) -> str:
    text = re.sub(r"\\(big|Big|bigg|Bigg)(?![A-Za-z])", r"\\\1l", node.astext())
    if as_block and "\\\\" in text and "\\begin" not in text:
        text = f"\\begin{{aligned}}{text}\\end{{aligned}}"  # as MathJax does in Sphinx
    try:
        return tex2mathml(text, as_block=as_block)
    except Exception as error:
        raise ExtensionError(f"formula that cannot be drawn: {text}", error) from error
