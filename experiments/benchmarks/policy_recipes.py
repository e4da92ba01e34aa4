"""Run recipes of policies, and put their tables and pictures where the documentation has them.

``python experiments/benchmarks/policy_recipes.py RECIPE ... [--runs runs/policies]`` writes
``docs/_generated/NAME.md`` and what else a recipe has of verdicts, curves and samples, the name
with underscores. What a folder of runs holds already is not computed again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dfl_experiments import cli

DOCS = Path(__file__).parents[2] / "docs"
PARTS = {
    "summary.md": "_generated/{}.md",
    "verdict.md": "_generated/{}_verdict.md",
    "curves.png": "images/{}_curves.png",
    "samples.png": "images/{}_samples.png",
}


def main() -> int:
    """Run the recipes; return the first exit code that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs/policies"))
    parser.add_argument("--n-jobs", default="-1")
    arguments = parser.parse_args()
    for name in arguments.recipes:
        out = arguments.runs / name
        code = cli.main(["run", name, "--out", str(out), "--n-jobs", arguments.n_jobs])
        if code:
            return code
        target = name.replace("-", "_")
        for part, place in PARTS.items():
            if (out / part).exists():
                (DOCS / place.format(target)).write_bytes((out / part).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
