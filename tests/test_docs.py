"""The examples of the README and of the documentation run, and figures in them exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "solvers" / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not {"_build", "_generated", "gallery"} & set(page.parts)
    ),
]
WITH_CODE = [page for page in PAGES[1:] if "```python\n" in page.read_text(encoding="utf-8")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code(page: Path) -> str:
    """Return the Python blocks of a page as one module that keeps the page's line numbers."""
    inside, lines = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines)


# cvxpylayers on one page
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_examples_run(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # its classes can be pickled, as in a script
    exec(compile(code(page), str(page), "exec"), vars(module))
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "developer").glob("add_*.md")), ids=name)
def test_what_is_added_takes_less_than_40_lines(page: Path) -> None:
    first = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert first is not None
    assert len(first[1].splitlines()) < 40


def test_the_quick_start_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "quick_start.md"
    exec(code(page), {})
    said = re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert capsys.readouterr().out == "".join(said)


def test_sources_named_in_the_docs_and_docstrings_are_listed() -> None:
    listed = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8").lower()
    named = r"arxiv[:./ a-z]{1,9}(\d{4}\.\d{4,5})|doi(?:\.org/|:? )(10\.\d{4,}/[^\s,;|\]\"]+)"
    files = [*PAGES, *(ROOT / "dfl").rglob("*.py"), *(ROOT / "solvers").rglob("*.py")]
    found = 0
    for path in files:
        for match in re.finditer(named, path.read_text(encoding="utf-8"), re.IGNORECASE):
            source = (match[1] or match[2]).lower().rstrip(".")
            source = source if "(" in source else source.rstrip(")")
            assert f"{{{source}}}" in listed, f"{path} names {source}"
            found += 1
    assert found > 150


def test_the_readme_is_short_and_its_example_shows_the_gain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    assert len(blocks[0].splitlines()) <= 12
    exec(blocks[0], {})
    two_stage, focused = (
        float(number) for number in re.findall(r": ([\d.]+) %", capsys.readouterr().out)
    )
    assert focused < two_stage


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"
    for target in re.findall(r"\{doc\}`([^`]+)`", text):
        assert (page.parent / f"{target}.md").exists(), f"{name(page)} refers to {target}"


def test_the_names_of_losses_and_recipes_are_documented() -> None:
    from dfl.losses import available
    from dfl_experiments import config_file

    choice = (ROOT / "docs" / "how_to_choose.md").read_text()
    for loss in available():
        assert f'`"{loss}"`' in choice
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for recipe in config_file.recipes():
        commands = (f"dfl run {recipe}", f"dfl sweep {recipe}", f"make {recipe}")
        assert any(command in pages for command in commands)


def test_measured_figures_of_the_choice_are_those_of_the_tables() -> None:
    docs = ROOT / "docs"
    measured = "".join(
        page.read_text(encoding="utf-8") for page in sorted((docs / "_generated").glob("*.md"))
    )
    choice = (docs / "how_to_choose.md").read_text(encoding="utf-8").split("## Which loss")[1]
    figures = re.findall(r"[-+\d.]+ \[[-+\d., ]+\]|(?<=\| )[\d.,]+(?= \|)", choice)
    assert len(figures) > 60
    for figure in figures:
        assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d,]|\.\d)", measured), figure


def test_the_table_of_oracles_has_every_problem() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from api_reference import API
    finally:
        sys.path.pop(0)
    page = (ROOT / "docs" / "user_guide" / "oracles.md").read_text()
    for problem in API["dfl_solvers"]["Problems"]:
        assert f"| `{problem}(" in page
