"""What a sweep came to: rows of the table, and means with intervals for each problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dfl_experiments import report
from dfl_experiments.config import RunConfig
from dfl_experiments.runner import Cell
from dfl_experiments.summary import Results, Row, summarize_part
from dfl_experiments.sweep.config import SweepConfig
from dfl_experiments.sweep.plan import Pair

if TYPE_CHECKING:
    from rich.table import Table


@final
@dataclass(frozen=True)
class SweepOutcome:
    """The results of the seeds, without the trials.

    Attributes
    ----------
    config : SweepConfig
    results : sequence of (Cell, content)
    refused : dict of str to str
        Why methods do not go with problems, by ``"problem, method"``.
    """

    config: SweepConfig
    results: Results
    refused: dict[str, str]

    def rows(self) -> list[Row]:
        """Return means with intervals."""
        return [row for _, rows in self._by_problem() for row in rows]

    def tables(self) -> list[Table]:
        """Make one table a problem."""
        return [table for part, rows in self._by_problem() for table in report.tables(part, rows)]

    def _by_problem(self) -> list[tuple[RunConfig, list[Row]]]:
        found = []
        for name, problem in self.config.parts():
            own = [(cell, content) for cell, content in self.results if cell.part == name]
            # what a run of one problem is, without its checks: the sweep has made them
            run = RunConfig.model_construct(
                name=self.config.name,
                problem=problem,
                methods=self.config.methods,
                metrics=self.config.metrics,
                seeds=self.config.seeds,
            )
            found.append((run, summarize_part(run, name, own)))
        return found


def outcome_of(
    config: SweepConfig, pairs: Sequence[Pair], final: Sequence[Cell], results: Results
) -> SweepOutcome:
    """Put together what a sweep came to."""
    keys = {cell.key for cell in final}
    refused = {f"{pair.part}, {pair.method.name}": pair.refused for pair in pairs if pair.refused}
    return SweepOutcome(config, [r for r in results if r[0].key in keys], refused)
