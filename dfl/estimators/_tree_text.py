"""A tree in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dfl_solvers.oracle import Array

if TYPE_CHECKING:
    from dfl.estimators.spo_tree import SPOTreeRegressor

# coordinates of a decision that are written out
_MOST = 8


def text_of(estimator: SPOTreeRegressor, digits: int) -> str:
    """Return a line a node, indented by depth; see ``SPOTreeRegressor.export_text``."""
    tree = estimator.tree_
    labels = leaf_labels(estimator, digits)
    if len(tree.feature) == 1:
        return f"all: {labels[0]}"
    names = feature_names(estimator)
    lines: list[str] = []
    ahead = [(int(tree.right[0]), 0, ">"), (int(tree.left[0]), 0, "<=")]
    parent = {int(tree.left[k]): k for k in np.flatnonzero(~tree.leaves)}
    parent |= {int(tree.right[k]): k for k in np.flatnonzero(~tree.leaves)}
    while ahead:
        node, depth, sense = ahead.pop()
        above = parent[node]
        question = f"{names[tree.feature[above]]} {sense} {tree.threshold[above]:.{digits}g}"
        label = f": {labels[node]}" if tree.leaves[node] else ""
        lines.append("    " * depth + question + label)
        if not tree.leaves[node]:
            ahead.append((int(tree.right[node]), depth + 1, ">"))
            ahead.append((int(tree.left[node]), depth + 1, "<="))
    return "\n".join(lines)


def feature_names(estimator: SPOTreeRegressor) -> list[str]:
    """Return the names of the features."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{k}" for k in range(estimator.n_features_in_)]
    return [str(name) for name in names]


def leaf_labels(estimator: SPOTreeRegressor, digits: int) -> dict[int, str]:
    """Say of each leaf how many rows it has, their mean regret and what is decided."""
    tree = estimator.tree_
    leaves = np.flatnonzero(tree.leaves)
    decided = [""] * len(leaves)
    if not estimator._own_sets:
        costs = estimator._sign * tree.values[leaves]
        decided = [
            f", decide {_written(decision, estimator)}"
            for decision in estimator._checked_oracle().solve(costs).decisions
        ]
    found = {}
    for leaf, decision in zip(leaves, decided, strict=True):
        weight = tree.weight[leaf]
        found[int(leaf)] = (
            f"{weight:.{max(digits, 6)}g} rows, mean regret {tree.loss[leaf] / weight:.{digits}g}"
            f"{decision}"
        )
    return found


def _written(decision: Array, estimator: SPOTreeRegressor) -> str:
    names = getattr(estimator, "cost_names_", None)
    chosen = np.flatnonzero(np.abs(decision) > 1e-9)
    words = []
    for j in chosen[:_MOST]:
        name = f"w{j}" if names is None else str(names[j])
        size = decision[j]
        words.append(name if abs(size - 1) < 1e-9 else f"{size:.3g} {name}")
    if len(chosen) > _MOST:
        words.append(f"and {len(chosen) - _MOST} more")
    return ", ".join(words) or "nothing"
