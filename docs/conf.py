"""Configuration of the site: ``make docs``."""

import importlib
import inspect
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from api_reference import API  # noqa: E402
from sklearn.base import BaseEstimator  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from dfl import __version__  # noqa: E402

project = "dfl"
author = "The dfl developers"
copyright = author
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "mathml",
    "numpydoc",
    "myst_parser",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_generated", "tutorials"]
html_theme = "pydata_sphinx_theme"
html_title = "dfl"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
}
html_sidebars = {"*": []}  # pages of the root have no others below them
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name types and shapes
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "show_signature": False,
    "capture_repr": (),  # what a script says, it prints
    "parallel": 2,  # two tutorials at a time, each on one thread
}


def write_reference() -> None:
    """Write one page a package from the list of its public names."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    for package in API:
        write(folder / f"{package}.rst", "\n".join(page(package)))


def page(package: str) -> list[str]:
    """Return the lines of a package's page."""
    module = importlib.import_module(package)
    lines = [
        package,
        "=" * len(package),
        "",
        f".. module:: {package}",
        "",
        module.__doc__ or "",
        "",
    ]
    for section, names in API[package].items():
        if names == ["__version__"]:
            continue
        lines += [section, "-" * len(section), ""]
        for name in names:
            lines += [*entry(package, name, getattr(module, name)), ""]
    return lines


def entry(package: str, name: str, value: object) -> list[str]:
    """Return the directive that documents a name, or a link where another page does."""
    homes = [home for home in API if home != package and any(name in s for s in API[home].values())]
    if package == "dfl" and homes:
        role = "class" if inspect.isclass(value) else "func"
        return [f"- :py:{role}:`{name} <{homes[0]}.{name}>`, see :doc:`{homes[0]}`"]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, Exception) else "class"
        lines = [f".. auto{kind}:: {package}.{name}", "   :members:"]
        if package == "dfl.estimators" and issubclass(value, BaseEstimator):
            # scikit-learn documents what is inherited from it
            lines.append("   :inherited-members: BaseEstimator,RegressorMixin,MultiOutputMixin")
        return lines
    return [f".. autofunction:: {package}.{name}"]


def skip_member(
    app: object, what: str, name: str, obj: object, skip: bool, options: object
) -> bool:
    """Leave out the methods that scikit-learn adds to estimators for metadata routing."""
    return skip or name == "get_metadata_routing" or name.endswith("_request")


def setup(app: Sphinx) -> None:
    """Connect to autodoc."""
    app.connect("autodoc-skip-member", skip_member)


def write(path: Path, text: str) -> None:
    """Write a file unless it holds the text already, so that nothing is built twice."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


write_reference()
