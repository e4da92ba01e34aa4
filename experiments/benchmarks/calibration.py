"""Calibration of SPO+: bounds against estimates, slopes, and excess regret by number of rows.

Run ``python experiments/benchmarks/calibration.py [--write docs/_generated/calibration.md]``.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from _common import report
from sklearn.exceptions import ConvergenceWarning

from dfl import PredictThenOptimizeRegressor, SPOPlusLinearRegressor
from dfl.risk import (
    ball_calibration,
    box_calibration,
    calibration_bound,
    calibration_function,
    interval_calibration,
    set_geometry,
)
from dfl_experiments import cli
from dfl_solvers import (
    AbstractOracle,
    Assignment,
    Ball,
    Box,
    Ellipsoid,
    EntropyBall,
    GridShortestPath,
    LogBarrierSimplex,
    Oracle,
    Simplex,
    Status,
    TopK,
)
from dfl_solvers.oracle import Array, Instance

ROWS = (100, 200, 400, 800, 1600)
REPETITIONS = 20


class Hull(AbstractOracle):
    """The hull of some points."""

    def __init__(self, vertices: Array) -> None:
        self.vertices = vertices
        self.n_costs = vertices.shape[1]

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        return self.vertices[(costs @ self.vertices.T).argmin(axis=1)], Status.OPTIMAL


def families() -> dict[str, Callable[[np.random.Generator], tuple[Oracle, Array | None]]]:
    """Return ten families of random sets: an oracle, and its vertices where it does not say."""

    def hull(rng: np.random.Generator) -> tuple[Oracle, Array | None]:
        vertices = rng.normal(size=(int(rng.integers(5, 12)), int(rng.integers(2, 4))))
        return Hull(vertices), vertices

    def ellipsoid(rng: np.random.Generator) -> tuple[Oracle, Array | None]:
        d = int(rng.integers(2, 5))
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
        return Ellipsoid(turn @ np.diag(rng.uniform(1, 2, d)) @ turn.T, rng.uniform(0.2, 2)), None

    return {
        "interval": lambda rng: (Box(1), None),
        "box": lambda rng: (Box(int(rng.integers(2, 6))), None),
        "simplex": lambda rng: (Simplex(int(rng.integers(3, 7))), None),
        "top k": lambda rng: (TopK(int(rng.integers(4, 7)), 2), None),
        "random polytope": hull,
        "paths or assignments": lambda rng: (
            (GridShortestPath(2, 3) if rng.random() < 0.5 else Assignment(3)),
            None,
        ),
        "ball": lambda rng: (Ball(int(rng.integers(2, 7)), rng.uniform(0.5, 2)), None),
        "ellipsoid": ellipsoid,
        "entropy": lambda rng: (EntropyBall(int(rng.integers(3, 7)), rng.uniform(0.02, 0.2)), None),
        "log barrier": lambda rng: (LogBarrierSimplex(n := int(rng.integers(3, 6)),
                                                      (1 + rng.uniform(0.02, 0.2)) * n * np.log(n)),
                                    None),
    }  # fmt: skip


def bounds_against_estimates(n_each: int = 5, n_samples: int = 4000) -> list[tuple[str, Array]]:
    """Return for each setting the ratios of the estimates to the bounds, at five excess regrets."""
    found = []
    for name, family in families().items():
        for k in range(n_each):
            rng = np.random.default_rng([len(found), k])
            oracle, vertices = family(rng)
            d = int(oracle.n_costs)  # type: ignore[arg-type]
            mean, sigma = rng.normal(size=d), float(rng.uniform(0.3, 3))
            geometry = set_geometry(oracle, vertices=vertices)
            largest = float(-oracle.solve(-mean[None]).objectives[0] - oracle.solve(mean[None])
                            .objectives[0])  # fmt: skip
            eps = largest * np.array([0.01, 0.05, 0.2, 0.5, 0.9])
            estimate = calibration_function(
                "spo+", oracle, mean, "normal", eps, sigma=sigma, n_samples=n_samples,
                random_state=k,
            )  # fmt: skip
            bound = calibration_bound(oracle, mean, sigma, eps, geometry=geometry)
            found.append((name, estimate.value / bound))
    return found


def slope(x: Array, y: Array) -> float:
    """Return the slope of a line through points, both axes logarithmic."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def slopes() -> dict[str, tuple[float, float]]:
    """Return the log-log slope of the calibration function, in closed form and estimated."""
    eps = np.geomspace(0.02, 0.2, 6)
    exact = [interval_calibration([e], e, 1.0)[0] for e in eps]
    # along the path |mean| = eps / width, with the noise fixed
    sampled = [estimated(Box(1), [e], [e]) for e in eps]
    box_mean = np.array([1.0, 2.0]) / 3  # both coordinates shrink; all must be wrong
    box = [box_calibration([e], e * box_mean, 1.0)[0] for e in eps]
    box_sampled = [estimated(Box(2), e * box_mean, [e]) for e in eps]
    angles = np.geomspace(0.001, 0.1, 6)
    mean = np.array([1.0, 0.0])
    return {
        "interval, |mean| = ε/D, noise fixed": (slope(eps, exact), slope(eps, sampled)),
        "box, |mean| = ε, noise fixed": (slope(eps, box), slope(eps, box_sampled)),
        "ball, mean and noise fixed": (
            slope(angles, ball_calibration(angles, mean, 1.0)),
            slope(angles, estimated(Ball(2), mean, angles)),
        ),
    }


def estimated(oracle: Oracle, mean: Any, eps: Any) -> Any:
    """Estimate the calibration function of SPO+ at normal noise of size one."""
    found = calibration_function(
        "spo+", oracle, mean, "normal", eps, n_samples=100_000, n_directions=16, random_state=0
    )
    return found.value if len(found.value) > 1 else found.value[0]


def excess_regret(
    oracle: Oracle, model: Any, n: int, seed: int, n_features: int = 3, n_test: int = 5000
) -> float:
    """Fit on n rows of well-specified linear data with normal noise; return the excess regret."""
    rng = np.random.default_rng([seed, n])
    d = int(oracle.n_costs)  # type: ignore[arg-type]
    B = np.random.default_rng([seed]).normal(size=(d, n_features))
    X = rng.normal(size=(n, n_features))
    C = X @ B.T + rng.normal(size=(n, d))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # curved sets end at a small gap
        model.fit(X, C)
    X = rng.normal(size=(n_test, n_features))
    mean = X @ B.T
    chosen = oracle.evaluate(mean, oracle.solve(model.predict(X)).decisions)
    return float((chosen - oracle.solve(mean).objectives).mean())


def rates(
    rows: tuple[int, ...] = ROWS, repetitions: int = REPETITIONS
) -> dict[str, tuple[Array, Array, Array]]:
    """Return mean excess regret by number of rows, and slopes of SPO+ and least squares."""
    found = {}
    for name, oracle in {"simplex of 5": Simplex(5), "box of 4": Box(4),
                         "ball in 4 dimensions": Ball(4)}.items():  # fmt: skip
        for method, make in {
            "SPO+": lambda oracle: SPOPlusLinearRegressor(oracle, tol=1e-4),
            "least squares": PredictThenOptimizeRegressor,
        }.items():
            excess = np.array(
                [[excess_regret(oracle, make(oracle), n, seed) for n in rows]
                 for seed in range(repetitions)]
            )  # fmt: skip
            rng = np.random.default_rng(0)
            draws = [
                slope(rows, excess[rng.integers(repetitions, size=repetitions)].mean(0))
                for _ in range(2000)
            ]
            interval = np.quantile(draws, [0.025, 0.975])
            found[f"{name} | {method}"] = (excess.mean(0), slope(rows, excess.mean(0)), interval)
    return found  # type: ignore[return-value]


def portfolio_trials() -> str:
    """Run the recipe ``entropy-portfolio``; say in how many trials SPO+ beats the other errors."""
    with tempfile.TemporaryDirectory() as folder:
        if cli.main(["run", "entropy-portfolio", "--out", folder, "--quiet", "--n-jobs", "1"]):
            raise SystemExit("the recipe entropy-portfolio failed")
        results = pandas.read_parquet(Path(folder) / "results.parquet")
    own = results[results["metric"] == "normalized-regret"]
    regret = own.pivot(index="seed", columns="method", values="value")
    wins = {
        name: int((regret["spo+"] < regret[name]).sum())
        for name in ("least squares", "squared", "absolute")
    }
    shown = ", ".join(f"{name} in {count}" for name, count in wins.items())
    return (
        f"**Entropy-constrained portfolios**, recipe `entropy-portfolio`: of {len(regret)} trials, "
        f"SPO+ has less normalized regret than {shown}."
    )


def table() -> str:
    """Measure, and return the result as tables in Markdown."""
    settings = bounds_against_estimates()
    lines = [
        f"**Bounds against estimates.** {len(settings)} random settings of set, mean and noise, "
        "five excess regrets each; estimate over bound, of which 1 would be tight and less than 1 "
        "a contradiction.",
        "",
        "| set | settings | least ratio | median | largest |",
        "|---|---|---|---|---|",
    ]
    for name in families():
        ratios = np.concatenate([r for other, r in settings if other == name])
        n = sum(other == name for other, _ in settings)
        spread = f"{ratios.min():.3g} | {np.median(ratios):.3g} | {ratios.max():.3g}"
        lines.append(f"| {name} | {n} | {spread} |")
    lines += ["", "**Slopes** of log δ by log ε.", "", "| path | closed form | estimate |",
              "|---|---|---|"]  # fmt: skip
    for name, (exact, sampled) in slopes().items():
        lines.append(f"| {name.replace('|', '&#124;')} | {exact:.3f} | {sampled:.3f} |")
    lines += [
        "",
        f"**Excess regret by rows**, linear data with normal noise, 3 features, {REPETITIONS} "
        "repetitions; slope of log excess by log n with the 95 % interval of a bootstrap over the "
        "repetitions.",
        "",
        f"| set | method | {' | '.join(f'n={n}' for n in ROWS)} | slope |",
        "|---|---|" + "---|" * (len(ROWS) + 1),
    ]
    for name, (excess, fitted, interval) in rates().items():
        cells = " | ".join(f"{value:.4g}" for value in excess)
        low, high = interval
        lines.append(f"| {name} | {cells} | {fitted:.2f} [{low:.2f}, {high:.2f}] |")
    lines += ["", portfolio_trials()]
    return "\n".join(lines)


if __name__ == "__main__":
    report(__doc__, table)
