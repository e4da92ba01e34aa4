"""The table of losses in the documentation is the one that the losses make."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_losses_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "losses_table.py"))["table"]()
    written = (DOCS / "_generated" / "losses.md").read_text(encoding="utf-8")
    assert written == made, "run: python docs/losses_table.py"
