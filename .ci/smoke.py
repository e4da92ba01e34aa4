"""Import every module; fit, save, load and decide: what the lowest versions must be able to do."""

import importlib
import pkgutil
import tempfile

import numpy as np
from rich.console import Console
from sklearn.ensemble import RandomForestRegressor

import dfl
import dfl_experiments
import dfl_solvers
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.estimators import (
    DecisionFocusedRegressor,
    PredictThenOptimizeRegressor,
    SPOPlusLinearRegressor,
)
from dfl_experiments import config_file
from dfl_experiments.doctor import examine
from dfl_solvers import LinearProgram, MixedIntegerProgram, WithBackend, check_oracle

modules = 0
for package in (dfl, dfl_solvers, dfl_experiments):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            modules += 1

if examine(Console()):
    raise SystemExit("dfl doctor has found something")
for recipe in ("demo", "energy", "smc-cube", "design-linear"):
    config_file.load(recipe)

paths = make_shortest_path(80, grid=(3, 3), degree=4, noise=0.5, random_state=0)
knapsack = make_knapsack(20, n_items=6, capacity=12, random_state=0).oracle
for oracle in (
    paths.oracle,
    LinearProgram(paths.oracle.program()),
    WithBackend(paths.oracle, backend="highs"),
    MixedIntegerProgram(knapsack.minimizing.program()),
    WithBackend(paths.oracle, backend="clarabel"),
):
    check_oracle(oracle)

with tempfile.TemporaryDirectory() as folder:
    for number, model in enumerate(
        (
            DecisionFocusedRegressor(paths.oracle, max_iter=3, random_state=0),
            DecisionFocusedRegressor(paths.oracle, predictor="mlp", max_iter=2, random_state=0),
            PredictThenOptimizeRegressor(paths.oracle, RandomForestRegressor(5, random_state=0)),
            SPOPlusLinearRegressor(paths.oracle),
        )
    ):
        model.fit(paths.X, paths.C).save(f"{folder}/{number}")
        again = dfl.load(f"{folder}/{number}")
        if not np.array_equal(again.decide(paths.X), model.decide(paths.X)):
            raise SystemExit(f"{model} decides otherwise once it is loaded")
Console().print(f"{modules} modules, oracles and estimators work at the lowest versions")
