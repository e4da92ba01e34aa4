"""Decisions under risk: what intervals hold, what caution costs, and what it saves.

Coverage is counted over 1000 fresh samples, where the promise of a conformal set is exact, and on
held-out years of real data, which drift. Both sides of every comparison have the same data, model,
epochs and step sizes, and are judged on the same days.

Run ``python experiments/benchmarks/risk.py [--write docs/_generated/risk.md]``; it reads or
downloads the energy data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import report
from scipy.stats import binom
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.utils import Bunch

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, make_loss, metrics
from dfl.datasets import (
    fetch_energy_prices,
    fetch_scheduling_instance,
    load_sp500_weekly,
    make_shortest_path,
)
from dfl.risk import (
    ConformalBox,
    ConformalEllipsoid,
    ConformalRegret,
    CVaR,
    CVaRLoss,
    ForestWeights,
    GaussianCVaR,
    KernelWeights,
    NeighborWeights,
    WeightedSampleAverage,
    cvar,
)
from dfl_solvers import Newsvendor

REPETITIONS = 1000
ALPHA = 0.1
RULES: dict[str, Callable[[int], Any]] = {
    "`ConformalBox`": lambda seed: ConformalBox(ALPHA, random_state=seed),
    "`ConformalEllipsoid`": lambda seed: ConformalEllipsoid(ALPHA, random_state=seed),
    "`ConformalRegret`": lambda seed: ConformalRegret(ALPHA),
}
SEEDS = range(5)
EPOCHS = 40
LEARNING_RATES = (0.003, 0.01, 0.03)


def coverage_of_fresh_samples() -> list[str]:
    """Count, over fresh samples, how often the next instance is where it was said to be."""
    rows = []
    for name, rule in RULES.items():
        inside, kept, bounded, widths, costs = [], [], [], [], []
        for seed in range(REPETITIONS):
            data = make_shortest_path(300, grid=(4, 4), degree=4, noise=0.5, random_state=seed)
            X, C = data.X, data.C
            model = PredictThenOptimizeRegressor(data.oracle).fit(X[:100], C[:100])
            risk = rule(seed).calibrate(model, X[100:299], C[100:299])
            found = model.decide(X[299:], risk=risk)
            cost = C[299] @ found.decisions[0]
            if hasattr(risk, "contains"):
                inside.append(risk.contains(X[299:], C[299:])[0])
            else:
                bounded.append(
                    cost - data.oracle.solve(C[299:]).objectives[0] <= risk.regret_bound_
                )
            kept.append(found.low[0] <= cost <= found.high[0])
            widths.append(found.high[0] - found.low[0])
            costs.append(cost)
        part = [f"{np.mean(v):.3f}" if v else "-" for v in (inside, kept, bounded)]
        width = 100 * np.mean(widths) / np.mean(costs)
        rows.append(f"| {name} | {' | '.join(part)} | {width:.0f} % |")
    low, high = binom.interval(0.95, REPETITIONS, 1 - ALPHA) / np.float64(REPETITIONS)
    return [
        f"Share of {REPETITIONS} fresh samples in which the next instance is where it was said to "
        f"be, with alpha = {ALPHA}: shortest paths on a 4x4 grid, linear model, 199 instances to "
        f"calibrate with. An exact share of {1 - ALPHA} would be counted between {low:.3f} and "
        f"{high:.3f} with probability 0.95; costs may be within their interval more often. Widths "
        "are in percent of the mean cost.",
        "",
        "| | costs in the set | cost in its interval | regret below its bound | mean width |",
        "|---|---|---|---|---|",
        *rows,
    ]


def sp500() -> tuple[Bunch, int, int]:
    """Return the weekly decisions, and where calibrating and testing start."""
    data = load_sp500_weekly()
    years = data.dates.astype("datetime64[Y]").astype(int) + 1970
    return data, int((years < 2008).sum()), int((years < 2015).sum())


def energy() -> tuple[Any, Any, Any]:
    """Return features that are known the day before, prices and days, a row a half-hour."""
    data = fetch_energy_prices()
    known = [data.feature_names.index(name) for name in data.day_ahead]
    return data.X[:, known], data.y, data.groups


def real_decisions() -> list[str]:
    """Let the rules decide on held-out years of real data."""
    data, calibrate, test = sp500()
    own = {name: values[:calibrate] for name, values in data.instance.items()}
    middle = {name: values[calibrate:test] for name, values in data.instance.items()}
    late = {name: values[test:] for name, values in data.instance.items()}
    model = PredictThenOptimizeRegressor(data.oracle, Ridge(100.0))
    model.fit(data.X[:calibrate], data.C[:calibrate], instance=own)
    truth = data.C[test:]
    rules = {
        **RULES,
        "`CVaR(0.9)`": lambda seed: CVaR(0.9, random_state=seed),
        "`CVaR(0.9, NeighborWeights(100))`": lambda seed: CVaR(
            0.9, NeighborWeights(100), random_state=seed
        ),
        "`GaussianCVaR(0.9)`": lambda seed: GaussianCVaR(0.9),
    }
    plain = np.vecdot(truth, model.decide(data.X[test:], instance=late))
    rows = [f"| S&P 500 | no rule | - | - | {_describe(plain, 100)} | |"]
    for name, rule in rules.items():
        risk = rule(0).calibrate(
            model, data.X[calibrate:test], data.C[calibrate:test], instance=middle
        )
        found = model.decide(data.X[test:], instance=late, risk=risk)
        inside = "-"
        if hasattr(risk, "contains"):
            inside = f"{risk.contains(data.X[test:], truth, instance=late).mean():.3f}"
        costs = np.vecdot(truth, found.decisions)
        rows.append(_row("S&P 500", name, inside, found, costs, plain, 100))
    X, y, days = energy()
    first, second = 48 * 350, 48 * 550
    oracle = fetch_scheduling_instance(1)
    model = PredictThenOptimizeRegressor(oracle).fit(X[:first], y[:first], groups=days[:first])
    truth = y[second:].reshape(-1, 48)
    decisions = model.decide(X[second:], groups=days[second:]).reshape(-1, 48)
    plain = np.vecdot(truth, decisions)
    rows.append(f"| energy | no rule | - | - | {_describe(plain, 1e-6)} | |")
    for name in ("`ConformalBox`", "`ConformalRegret`"):
        risk = RULES[name](0).calibrate(
            model, X[first:second], y[first:second], groups=days[first:second]
        )
        found = model.decide(X[second:], groups=days[second:], risk=risk)
        inside = "-"
        if hasattr(risk, "contains"):
            inside = f"{risk.contains(X[second:], y[second:], groups=days[second:]).mean():.3f}"
        costs = np.vecdot(truth, found.decisions.reshape(-1, 48))
        rows.append(_row("energy", name, inside, found, costs, plain, 1e-6))
    return [
        f"Real decisions, calibrated on years between those of training and test; alpha = {ALPHA}. "
        "S&P 500: trained until 2007, tested on the 418 weeks from 2015 on, costs are losses in "
        "percent of the portfolio. Energy: 350 days of training, 239 of test, costs in millions. "
        "CVaR is the mean of the worst tenth; the last column is how much less it is than without "
        "a rule, with a 95 % interval over resampled weeks or days.",
        "",
        "| data | rule | costs in the set | cost in its interval | mean width | mean cost | CVaR | "
        "less CVaR |",
        "|---|---|---|---|---|---|---|---|",
        *[row.replace("| - | - |", "| - | - | - |") for row in rows],
    ]


def _describe(costs: Any, unit: float) -> str:
    return f"{unit * costs.mean():.3f} | {unit * cvar(costs, 0.9):.3f}"


def _row(data: str, name: str, inside: str, found: Any, costs: Any, plain: Any, unit: float) -> str:
    kept = ((costs >= found.low) & (costs <= found.high)).mean()
    width = unit * (found.high - found.low).mean()
    less, low, high = (unit * v for v in tail_difference(plain, costs))
    return (
        f"| {data} | {name} | {inside} | {kept:.3f} | {width:.3f} | {_describe(costs, unit)} | "
        f"{less:.3f} [{low:.3f}, {high:.3f}] |"
    )


def tail_difference(first: Any, second: Any, alpha: float = 0.9) -> tuple[float, float, float]:
    """Return how much more CVaR the first has, with the interval of a paired bootstrap."""
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        rows = rng.integers(len(first), size=len(first))
        draws.append(cvar(first[rows], alpha) - cvar(second[rows], alpha))
    low, high = np.quantile(draws, [0.025, 0.975])
    return cvar(first, alpha) - cvar(second, alpha), float(low), float(high)


def training_for_the_tail() -> list[str]:
    """Train the same linear model for the mean and for the CVaR of SPO+."""
    rows = []
    data, _, test = sp500()
    validate = int((data.dates < np.datetime64("2010-01-01")).sum())
    parts = [slice(0, validate), slice(validate, test), slice(test, None)]
    sets = [
        {
            "X": data.X[part],
            "y": data.C[part],
            "instance": {name: values[part] for name, values in data.instance.items()},
        }
        for part in parts
    ]
    rows += _compare("S&P 500", data.oracle, data.oracle, sets, 100)
    X, y, days = energy()
    parts = [slice(0, 48 * 400), slice(48 * 400, 48 * 550), slice(48 * 550, None)]
    sets = [{"X": X[part], "y": y[part], "groups": days[part]} for part in parts]
    for number in (1, 2):
        relaxed = fetch_scheduling_instance(number, relax=True)
        exact = fetch_scheduling_instance(number)
        rows += _compare(f"energy {number}", relaxed, exact, sets, 1e-3)
    return [
        "Training for the CVaR of SPO+ (`CVaRLoss`, alpha = 0.9) against training for its mean: "
        f"the same linear model from the same start, {EPOCHS} epochs of Adam in batches of 32, the "
        f"learning rate out of {LEARNING_RATES} with the least CVaR of regret (mean regret, for "
        f"the other) on later instances; mean of {len(SEEDS)} seeds. Regret of S&P 500 in percent "
        "of the portfolio, of energy in thousands; differences with a 95 % paired interval, "
        "negative where training for the tail is better.",
        "",
        "| data | trained for | mean regret | CVaR of regret | difference of means | of CVaR |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _compare(name: str, training: Any, judging: Any, sets: list[Any], unit: float) -> list[str]:
    regrets = {}
    for kind in ("mean", "tail"):
        fits = [(_fit(training, kind, sets[0], rate, 0), rate) for rate in LEARNING_RATES]
        quality = cvar if kind == "tail" else lambda values, _: float(values.mean())
        scores = [quality(_regret(model, judging, sets[1]), 0.9) for model, _ in fits]
        rate = LEARNING_RATES[int(np.argmin(scores))]
        models = [_fit(training, kind, sets[0], rate, seed) for seed in SEEDS]
        regrets[kind] = np.mean([_regret(model, judging, sets[2]) for model in models], axis=0)
    gap = metrics.paired_bootstrap(regrets["tail"], regrets["mean"], random_state=0)
    more, low, high = tail_difference(regrets["tail"], regrets["mean"])
    ends = [unit * v for v in (gap.difference, gap.low, gap.high, more, low, high)]
    means = [f"{unit * v.mean():.3f} | {unit * cvar(v, 0.9):.3f}" for v in regrets.values()]
    return [
        f"| {name} | mean | {means[0]} | | |",
        f"| | CVaR | {means[1]} | {ends[0]:.3f} [{ends[1]:.3f}, {ends[2]:.3f}] | "
        f"{ends[3]:.3f} [{ends[4]:.3f}, {ends[5]:.3f}] |",
    ]


def _fit(oracle: Any, kind: str, part: dict[str, Any], rate: float, seed: int) -> Any:
    loss = make_loss("spo+", oracle)
    return DecisionFocusedRegressor(
        oracle,
        CVaRLoss(loss, 0.9) if kind == "tail" else loss,
        max_iter=EPOCHS,
        learning_rate=rate,
        early_stopping=False,
        random_state=seed,
    ).fit(**part)


def _regret(model: Any, oracle: Any, part: dict[str, Any]) -> Any:
    # judged by the exact problem, trained on its relaxation
    model.oracle = oracle
    return model.evaluate(**part)[0]


def newsvendors() -> list[str]:
    """Order for skewed demand, and hold reserves against weekly losses."""
    rng = np.random.default_rng(0)
    n, d = 1000, 5
    X = rng.normal(size=(2 * n, 3))
    D = np.exp(0.5 * X @ rng.normal(size=(3, d)) + 0.8 * rng.normal(size=(2 * n, d)))
    rows = _orders("log-normal demand", X[:n], D[:n], X[n:], D[n:])
    data, _, test = sp500()
    # the volatility of each stock, and what it loses within the week
    V, L = 100 * data.X[:, 60:], 100 * np.maximum(data.C, 0)
    rows += _orders("losses of S&P 500", V[:test], L[:test], V[test:], L[test:])
    return [
        "Newsvendor, a unit short costs 9, one left over 1: the weighted critical quantile against "
        "the weighted mean, ordered as it is (a point forecast), of the same weights. Log-normal "
        "demand for 5 items, 1000 days of training and of test; and reserves against the weekly "
        "losses of 20 stocks, in percent, given their volatility. Mean cost, and its difference "
        "with a 95 % paired interval.",
        "",
        "| data | weights | point forecast | weighted samples | difference |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _orders(name: str, X: Any, D: Any, X_test: Any, D_test: Any) -> list[str]:
    oracle = Newsvendor(np.ones((1, D.shape[1])), 9.0, 1.0)
    forest = RandomForestRegressor(100, min_samples_leaf=10, random_state=0)
    rows = []
    for label, weights in {
        "forest": ForestWeights(forest),
        "50 neighbors": NeighborWeights(50),
        "kernel": KernelWeights(),
    }.items():
        model = WeightedSampleAverage(oracle, weights, "demand").fit(X, D)
        orders = model.decide(X_test, costs=np.zeros(D.shape[1])).decisions
        forecast = model.weights_.weights(X_test) @ D
        costs = [
            (9 * np.maximum(D_test - w, 0) + np.maximum(w - D_test, 0)).sum(1)
            for w in (orders, forecast)
        ]
        gap = metrics.paired_bootstrap(*costs, random_state=0)
        rows.append(
            f"| {name} | {label} | {costs[1].mean():.2f} | {costs[0].mean():.2f} | "
            f"{gap.difference:.2f} [{gap.low:.2f}, {gap.high:.2f}] |"
        )
    return rows


def table() -> str:
    """Measure, and return the results as tables in Markdown."""
    torch.set_num_threads(1)
    parts = (coverage_of_fresh_samples, real_decisions, newsvendors, training_for_the_tail)
    return "\n\n".join("\n".join(part()) for part in parts)


if __name__ == "__main__":
    report(__doc__, table)
