"""What a run could not compute, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from dfl_experiments.reports.page import Entry, Section, Sheet


@final
@dataclass(frozen=True)
class Failure:
    """A cell without a result, and the reason.

    Attributes
    ----------
    cell : str
        Problem and method.
    seed : str
        Empty where there is no single one.
    kind : str
        Such as "failed", "timeout" or "refused".
    reason : str
    """

    cell: str
    seed: str
    kind: str
    reason: str


def failures_of(bad: Any, record: Mapping[str, Any]) -> list[Failure]:
    """Gather failures from the rows of a sweep without a result, or from the record of a run."""
    found = {}
    for line in bad.astype(object).where(bad.notna(), None).to_dict("records"):
        cell = f"{line['problem']}, {line['method']}"
        cell += "" if line["trial"] is None else f", trial {int(line['trial'])}"
        seed = "" if line["seed"] is None else str(int(line["seed"]))
        found[cell, seed] = Failure(cell, seed, str(line["status"]), str(line["error"]))
    if found:  # a sweep: its rows say all that its record does
        return list(found.values())
    cells = record.get("cells") or {}
    for name, reason in cells.get("failed", {}).items():
        cell, _, seed = name.rpartition(", seed ")
        found[cell, seed] = Failure(cell or name, seed, "failed", str(reason))
    return list(found.values())


def failures_section(failures: Sequence[Failure]) -> Section | None:
    """Make the table of failures: a line a reason and cell, its seeds together."""
    if not failures:
        return None
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in failures:
        grouped.setdefault((one.cell, one.kind, one.reason), []).append(one.seed)
    rows = [
        [Entry(cell), Entry(", ".join(filter(None, seeds)) or "all"), Entry(kind), Entry(reason)]
        for (cell, kind, reason), seeds in grouped.items()
    ]
    return Section("Failures", (), [Sheet("", ["cell", "seeds", "kind", "reason"], rows)])
