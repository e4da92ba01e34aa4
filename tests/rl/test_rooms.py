"""The policy methods are optional: the library knows nothing of them."""

from __future__ import annotations

import ast
from pathlib import Path

import dfl.montecarlo

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


def taken(folders: list[Path]) -> set[str]:
    """Return the names of ``dfl.montecarlo`` that the files of some folders import."""
    names = set().union(*(imported(path) for folder in folders for path in folder.rglob("*.py")))
    last = {name.rsplit(".", 1)[1] for name in names if name.startswith("dfl.montecarlo.")}
    return last & set(dfl.montecarlo.__all__)


def test_what_policies_and_losses_share_is_imported_by_both() -> None:
    root = ROOT / "dfl"
    policies = taken([root / "rl"])
    core = taken([f for f in root.iterdir() if f.is_dir() and f.name not in ("rl", "montecarlo")])
    assert policies & core == set(dfl.montecarlo.__all__)


def test_policies_are_trained_by_the_loop_and_the_loss_of_predictors() -> None:
    names = set().union(*(imported(p) for p in (ROOT / "dfl" / "rl" / "smc").glob("*.py")))
    assert {
        "dfl.training.train",
        "dfl.losses.WeightedLikelihoodLoss",
        "dfl.estimators.base.BaseDecisionEstimator",
    } <= names
    steps = [
        path
        for path in (ROOT / "dfl" / "rl" / "smc").glob("*.py")
        if ".backward()" in path.read_text() or ".step()" in path.read_text()
    ]
    assert not steps  # no second loop
