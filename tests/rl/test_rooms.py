"""The policy methods are optional: the library knows nothing of them."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_nothing_else_in_the_library_imports_the_policy_methods() -> None:
    own, others = [], []
    for path in [*(ROOT / "dfl").rglob("*.py"), *(ROOT / "solvers").rglob("*.py")]:
        policies = any(f"{name}.".startswith("dfl.rl.") for name in imported(path))
        if (ROOT / "dfl" / "rl") in path.parents:
            own.append(policies)
        else:
            others.append(policies)
    assert any(own)  # so that what is looked for can be found
    assert len(others) > 100
    assert not any(others)


def test_the_search_weighs_by_the_rules_that_losses_use() -> None:
    names = set().union(*(imported(p) for p in (ROOT / "dfl" / "rl" / "smc").glob("*.py")))
    assert {"dfl.montecarlo.softmax", "dfl.montecarlo.WeightedSamples"} <= names
    core = set().union(*(imported(p) for p in (ROOT / "dfl" / "losses").glob("*.py")))
    assert "dfl.montecarlo.weights.softmax" in core or "dfl.montecarlo.softmax" in core
