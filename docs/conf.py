"""Configuration of the documentation."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("MPLBACKEND", "agg")
warnings.filterwarnings("ignore", category=DeprecationWarning)

from api_reference import API  # noqa: E402

from dfl import __version__  # noqa: E402

project = "dfl"
author = "The dfl developers"
copyright = "The dfl developers"
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_generated/*.md", "tutorials/*.rst", "tutorials/README.rst"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_theme = "pydata_sphinx_theme"
html_title = "dfl"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False
autosummary_generate = True
autodoc_typehints = "none"
# what scikit-learn adds to every estimator for its metadata routing
autodoc_default_options = {
    "exclude-members": "get_metadata_routing, set_fit_request, set_score_request",
}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
suppress_warnings = ["config.cache"]
sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "write_computation_times": False,
}


def write_reference() -> None:
    """Write the pages of the reference from ``api_reference.py``."""
    folder = HERE / "_generated" / "api"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Reference", "", "```{toctree}", ":maxdepth: 1", ""]
    for package, sections in API.items():
        lines.append(package)
        page = [package, "=" * len(package), "", f".. currentmodule:: {package}", ""]
        for title, names in sections.items():
            page += [title, "-" * len(title), ""]
            page += [".. autosummary::", "   :nosignatures:", ""]
            page += [f"   {name}" for name in names]
            page.append("")
        # a name that two packages offer is described once, in the package that is its home
        described = [
            name
            for names in sections.values()
            for name in names
            if package != "dfl"
            or (
                name not in {n for s in API["dfl.losses"].values() for n in s}
                and name not in {n for s in API["dfl.estimators"].values() for n in s}
            )
        ]
        for name in described:
            page += [f".. autoclass:: {name}" if name[0].isupper() else f".. autofunction:: {name}"]
            page += ["   :members:", ""] if name[0].isupper() else [""]
        _write(folder / f"{package}.rst", "\n".join(page))
    lines += ["```", ""]
    _write(folder / "index.md", "\n".join(lines))


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


write_reference()
