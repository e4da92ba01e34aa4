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


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_examples_run(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # its classes can be pickled, as in a script
    exec(compile(code(page), str(page), "exec"), vars(module))
    assert "nan" not in capsys.readouterr().out


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
        assert f"dfl run {recipe}" in pages or f"make {recipe}" in pages


def test_the_table_of_oracles_has_every_problem() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from api_reference import API
    finally:
        sys.path.pop(0)
    page = (ROOT / "docs" / "user_guide" / "oracles.md").read_text()
    for problem in API["dfl_solvers"]["Problems"]:
        assert f"| `{problem}(" in page
