"""Write tests/golden/pyepo_data.json: rows that PyEPO's generators draw. Needs the extra pyepo."""

from __future__ import annotations

import json
from pathlib import Path

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np


def draws() -> dict[str, dict[str, list]]:
    """Return the first and last rows of each data set."""
    from pyepo.data import knapsack, portfolio, shortestpath

    x, c = shortestpath.genData(50, 5, (4, 5), deg=4, noise_width=0.5, seed=7)
    found = {"shortest-path": {"x": x, "c": c}}
    w, x, c = knapsack.genData(50, 5, 8, dim=2, deg=3, noise_width=0.5, seed=7)
    found["knapsack"] = {"x": x, "c": c, "weights": w}
    covariance, x, r = portfolio.genData(50, 5, 6, deg=4, noise_level=1, seed=7)
    found["portfolio"] = {"x": x, "c": -np.asarray(r), "covariance": covariance}
    return {
        name: {
            part: np.asarray(value, dtype=float)[[0, 1, -1]].tolist()
            for part, value in parts.items()
            if part in "xc"
        }
        | {
            part: np.asarray(value, dtype=float).tolist()
            for part, value in parts.items()
            if part not in "xc"
        }
        for name, parts in found.items()
    }


if __name__ == "__main__":
    Path(__file__).with_name("pyepo_data.json").write_text(json.dumps(draws()) + "\n")
