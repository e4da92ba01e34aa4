"""Cone-aligned vectors on round trips of 20 cities: regret and seconds, beside PyEPO's and SPO+.

The protocol of the published table: 1000 rows to train on and 1000 to test, 10 features, degree 4,
noise 0.5, a linear predictor from a random start, Adam at 0.05, batches of 32, 10 epochs, no early
stopping. Both libraries run in the same loop, on the same data, starts and batches; only the loss
differs. Seconds are those of the processor in training alone, labels and normals not counted, since
they bear a busy machine better than a clock does.

Run ``python experiments/benchmarks/cone_aligned.py [--write docs/_generated/cone_aligned.md]`` with
the extra ``pyepo`` installed (its Gurobi wheel carries a free license for this size).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np
import torch
from _common import quietly, report
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from dfl import PredictThenOptimizeRegressor, Target, make_loss, metrics
from dfl.datasets import make_traveling_salesman
from dfl_solvers.kernels import set_threads

N, N_VALIDATION, N_TEST, CITIES = 1000, 100, 1000, 20
EPOCHS, BATCH, RATE, SPLIT = 10, 32, 5e-2, 135
FIRST = 42
# losses of this library by method, with parameters and the number of data sets
OWN = {
    "CaVE+": ("cave", {}, 3),
    "CaVE exact": ("cave", {"inner_ratio": 0.0}, 3),
    "CaVE hybrid": ("cave", {"solve_ratio": 0.3}, 3),
    "SPO+": ("spo+", {}, 10),
}
# PyEPO's parameters, where it has the method; as it takes long, on the first data set only
PEER = {"CaVE+": {"max_iter": 3}, "CaVE hybrid": {"max_iter": 3, "solve_ratio": 0.3}, "SPO+": None}
PEER_SEEDS = 1
# mean regret in %, its standard deviation over ten data sets, and seconds
PUBLISHED = {
    "least squares": (12.12, 0.89, 1.5),
    "CaVE+": (6.20, 0.24, 107.1),
    "CaVE exact": (7.35, 0.40, 113.6),
    "CaVE hybrid": (7.69, 0.33, 27.1),
    "SPO+": (5.95, 0.16, 175.2),
}


@dataclass
class Runs:
    """Regrets in % and processor seconds of the data sets that a method has seen."""

    regrets: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def data_of(seed: int) -> Bunch:
    """Return training and test rows."""
    data = make_traveling_salesman(
        N + N_VALIDATION + N_TEST, n_cities=CITIES, n_features=10, degree=4, noise=0.5,
        random_state=seed,
    )  # fmt: skip
    X, X_test, C, C_test = train_test_split(data.X, data.C, test_size=N_TEST, random_state=SPLIT)
    X, _, C, _ = train_test_split(X, C, test_size=N_VALIDATION, random_state=SPLIT)
    return Bunch(oracle=data.oracle, X=X, C=C, X_test=X_test, C_test=C_test)


def trained(
    data: Bunch, value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> tuple[float, float]:
    """Train with a loss of predictions and row numbers; return test regret in % and seconds."""
    torch.manual_seed(0)
    model = torch.nn.Linear(data.X.shape[1], data.C.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    X = torch.from_numpy(data.X).float()
    start = time.process_time()
    for _ in range(EPOCHS):
        for rows in torch.randperm(N).split(BATCH):
            loss = value(model(X[rows]), rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.process_time() - start
    predicted = model(torch.from_numpy(data.X_test).float()).detach().double().numpy()
    return 100 * metrics.normalized_regret(data.oracle, predicted, data.C_test), seconds


def ours(data: Bunch, name: str, parameters: dict[str, Any]) -> tuple[float, float]:
    """Train with a loss of this library."""
    loss = make_loss(name, data.oracle, parameters)
    target = loss.complete(Target(costs=torch.from_numpy(data.C).float()))
    return trained(data, lambda output, rows: loss(output, target.rows(rows)))


def theirs(data: Bunch, cones: Any, parameters: dict[str, Any] | None) -> tuple[float, float]:
    """Train with a loss of PyEPO."""
    import pyepo

    if parameters is None:
        spo_plus = pyepo.func.SPOPlus(cones.model)
        labels = cones.costs, cones.sols, cones.objs
        return trained(
            data, lambda output, rows: spo_plus(output, *(label[rows] for label in labels))
        )
    cave = pyepo.func.coneAlignedCosine(cones.model, **parameters)

    def value(output: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return cave(output, cones.collate_fn([cones[i] for i in rows.tolist()])[-1])

    return trained(data, value)


def cones_of(data: Bunch) -> Any:
    """Return PyEPO's data set of labels and normals."""
    import pyepo

    model = pyepo.model.tspModel(CITIES, formulation="DFJ", backend="gurobi")
    return pyepo.data.dataset.optDatasetConstrs(model, data.X, data.C)


def measure() -> tuple[dict[str, Runs], dict[str, Runs]]:
    """Return what our methods and PyEPO's reach, one data set after the other."""
    own = {name: Runs() for name in ("least squares", *OWN)}
    peer = {name: Runs() for name in PEER}

    def note(runs: Runs, who: str, name: str, found: tuple[float, float]) -> None:
        runs.regrets.append(found[0])
        runs.seconds.append(found[1])
        sys.stderr.write(f"{who} {name}: {found[0]:.2f} %, {found[1]:.1f} s\n")

    for k in range(max(n for *_, n in OWN.values())):
        data = data_of(FIRST + k)
        start = time.process_time()
        model = PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
        seconds = time.process_time() - start
        regret = metrics.normalized_regret(data.oracle, model.predict(data.X_test), data.C_test)
        note(own["least squares"], "dfl", "least squares", (100 * regret, seconds))
        with quietly():
            cones = cones_of(data) if k < PEER_SEEDS else None
        for name, (loss, parameters, n) in OWN.items():
            if k < n:
                note(own[name], "dfl", name, ours(data, loss, parameters))
            if cones is not None and name in PEER:
                note(peer[name], "PyEPO", name, theirs(data, cones, PEER[name]))
    return own, peer


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    set_threads(1)
    own, peer = measure()

    def cells(runs: Runs | None, base: float) -> str:
        if runs is None:
            return " | | |"
        mean = np.mean(runs.regrets)
        spread = f" ± {np.std(runs.regrets):.2f}" if len(runs.regrets) > 2 else ""
        seconds = np.mean(runs.seconds)
        return f" {mean:.2f}{spread} ({len(runs.regrets)}) | {seconds:.1f} | {seconds / base:.2f} |"

    lines = []
    for name, (mean, spread, seconds) in PUBLISHED.items():
        relative = seconds / PUBLISHED["SPO+"][2]
        lines.append(
            f"| {name} |"
            + cells(own[name], float(np.mean(own["SPO+"].seconds)))
            + cells(peer.get(name), float(np.mean(peer["SPO+"].seconds)))
            + f" {mean:.2f} ± {spread:.2f} | {seconds:.1f} | {relative:.2f} |"
        )
    return "\n".join(
        [
            f"Round trips of {CITIES} cities, {N} training rows, {EPOCHS} epochs; normalized "
            f"regret of {N_TEST} test rows in %, mean ± standard deviation (data sets), processor "
            "seconds of training, and these over those of SPO+ in the same library. PyEPO "
            f"{version('pyepo')} with Gurobi {version('gurobipy')}, one thread in either library.",
            "",
            "| method | regret, % | s | of SPO+ | PyEPO: regret, % | s | of SPO+ | published: "
            "regret, % | s | of SPO+ |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *lines,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
