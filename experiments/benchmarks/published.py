"""Run recipes of published tables and write what they showed beside what was published.

Run ``python experiments/benchmarks/published.py [NAME ...] [--runs DIR] [--n-jobs N]``: names of
recipes or suites; tables go to ``docs/_generated``, and verdicts, where a replication has criteria,
to the terminal as well. With ``--runs``, finished cells are kept there and a run that was stopped
goes on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from dfl_experiments import cli
from dfl_experiments.config import RunConfig, SuiteConfig
from dfl_experiments.config_file import load
from dfl_experiments.measures import MEASURES
from dfl_experiments.published import Published, judge, paper_of, published
from dfl_experiments.summary import student

GENERATED = Path(__file__).parents[2] / "docs" / "_generated"


def table(paper: Published, records: list[dict[str, Any]]) -> list[str]:
    """Write a line per problem and method: ours in several statistics, and the published one."""
    other = "normalized-regret"
    if paper.metric == other:
        other = "normalized-regret-mean"
    by: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in records:
        key = row["problem"], row["method"], row["metric"]
        by.setdefault(key, {})[row["seed"]] = row["value"]
    lines = [
        f"| problem | method | mean ± deviation, % | mean [95 %], % | median, % | published "
        f"{paper.statistic}, % | {_escaped(other)}, mean, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for (problem, method, metric), values in by.items():
        if metric != paper.metric:
            continue
        found = [100 * value for value in values.values()]
        interval = student(found)
        known = paper.numbers.get(problem, {}).get(method)
        second = by.get((problem, method, other), {})
        lines.append(
            f"| {problem} | {method} | {interval.value:.2f} ± {statistics.stdev(found):.2f} "
            f"| [{interval.low:.2f}, {interval.high:.2f}] | {statistics.median(found):.2f} "
            f"| {known or ''} "
            f"| {f'{100 * statistics.mean(second.values()):.2f}' if second else ''} |"
        )
    return lines


def _escaped(metric: str) -> str:
    """Return what a metric is, for the cell of a table."""
    return MEASURES[metric].label.replace("|", r"\|")


def page(name: str, records: list[dict[str, Any]]) -> str:
    """Put the table, the verdicts and the differences of protocol together."""
    paper = paper_of(name)
    if paper is None:
        raise SystemExit(
            f"nothing is published for {name}; expected one of {', '.join(published())}"
        )
    regrets: dict[tuple[str, str], dict[int, float]] = {}
    for row in records:
        if row["metric"] == paper.metric:
            key = row["problem"], row["method"]
            regrets.setdefault(key, {})[row["seed"]] = row["value"]
    verdicts = judge(paper.criteria, regrets)
    if verdicts:
        print(*verdicts, sep="\n")
    seeds = len({row["seed"] for row in records})
    lines = [
        f"`dfl run {name}`, {seeds} seeds; {MEASURES[paper.metric].label}. "
        f"Published: {paper.source}.",
        "",
        *table(paper, records),
        "",
        *([*(f"- {verdict}" for verdict in verdicts), ""] if verdicts else []),
        "What differs from the publication:",
        "",
        *(f"- {difference}" for difference in paper.differences),
    ]
    return "\n".join(lines) + "\n"


def run(name: str, folder: Path, n_jobs: str) -> list[dict[str, Any]]:
    """Run a recipe, or those of a suite, and return the records of all of them."""
    import pandas

    config = load(name)
    members = config.recipes if isinstance(config, SuiteConfig) else (config,)
    records: list[dict[str, Any]] = []
    for member in members:
        if not isinstance(member, RunConfig):
            raise TypeError(f"{member.name} is no run of methods on a problem")
        out = folder / member.name
        code = cli.main(["run", member.name, "--out", str(out), "--quiet", "--n-jobs", n_jobs])
        if code:
            raise SystemExit(code)
        records += pandas.read_parquet(out / "results.parquet").to_dict("records")
    return records


def main() -> int:
    """Run what is named, or everything that is published."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="recipes or suites; default: all")
    parser.add_argument("--runs", type=Path, help="a folder that keeps the runs")
    parser.add_argument("--n-jobs", default="-1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.names or published():
            records = run(name, arguments.runs or Path(scratch), arguments.n_jobs)
            target = GENERATED / f"{name.replace('-', '_')}.md"
            target.write_text(page(name, records), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
