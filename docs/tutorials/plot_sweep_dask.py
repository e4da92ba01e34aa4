"""
A sweep on Dask: which loss wins if all are tuned?
==================================================

Losses for decision-focused training are often compared with the settings that their inventors
happened to use. A sweep tunes all of them alike, on every problem, and then repeats the comparison
over seeds. That is many small tasks: here a Dask cluster computes them.
"""

# %%
# What is compared
# ----------------
# Shortest paths, where a line is the truth (degree 1) and where it is far from it (degree 8). Three
# losses have three learning rates each to choose from, on a draw of the problem that is used for
# nothing else. Then come the seeds, each with new data.

import contextlib
import io
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas
from distributed import LocalCluster

from dfl import metrics
from dfl.plotting import RegretDisplay
from dfl_experiments import cli

n_seeds = 3 if "CI" in os.environ else 20  # a short version where pages are only tested
focused = "estimator: decision-focused, max_iter: 20, tune: {learning_rate: [0.01, 0.1, 1.0]}"
sweep = f"""
name: losses
problems:
  grid: {{kind: shortest-path, n_train: 150, n_test: 300, each: {{degree: [1, 8]}}}}
methods:
  - {{name: least squares, estimator: two-stage}}
  - {{name: spo+, loss: spo+, {focused}}}
  - {{name: fenchel-young, loss: perturbed-fenchel-young, {focused}}}
  - {{name: black-box, loss: black-box, {focused}}}
seeds: 0:{n_seeds}
"""

# %%
# The cluster
# -----------
# Two threads of this process stand in for one; ``dask scheduler`` and ``dask worker`` start one on
# many machines, which must share the folder of the results. The command is ``dfl sweep losses.yaml
# --backend dask --address HOST:PORT --out losses``.


def run(folder, address):
    """Run the command; return its exit code and the seconds that it took."""
    (folder / "losses.yaml").write_text(sweep)
    words = ["sweep", str(folder / "losses.yaml"), "--out", str(folder / "found")]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main([*words, "--backend", "dask", "--address", address, "--quiet"])
    return code, time.perf_counter() - start


with (
    TemporaryDirectory() as name,
    LocalCluster(
        2, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster,
):
    folder = Path(name)
    code, first = run(folder, cluster.scheduler_address)
    n_cells = len(list((folder / "found" / "cells").glob("*.json")))
    print(f"exit code {code}, {n_cells} cells in {first:.1f} s")
    # a task that is done is never done again: what was killed goes on, and more seeds add theirs
    code, second = run(folder, cluster.scheduler_address)
    print(f"once more: exit code {code}, {second / first:.0%} of the time")
    table = pandas.read_parquet(folder / "found" / "results.parquet")

# %%
# What tuning chose
# -----------------
# Rows with a number of a trial are tuning; a ring marks what was kept. Training starts at least
# squares and keeps the best weights by validation regret: where a line is the truth no learning
# rate finds better ones, and all tie. Where it is not, a rate of one spoils the black box and
# hardly harms Fenchel-Young, so that one rate for all would not be fair. The best is inside the
# range; were it at an end, the range should be longer.

trials = table[table.trial.notna()]
plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
_, panels = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for panel, (problem, own) in zip(panels, trials.groupby("problem"), strict=True):
    for method, rows in own.groupby("method", sort=False):
        rows = rows.sort_values("method.learning_rate")
        line = panel.plot(rows["method.learning_rate"], 100 * rows.value, ".-", label=method)[0]
        kept = rows[rows.chosen]
        panel.plot(
            kept["method.learning_rate"],
            100 * kept.value,
            "o",
            ms=9,
            mfc="none",
            c=line.get_color(),
        )
    panel.set(xscale="log", title=problem, xlabel="learning rate")
panels[0].set_ylabel("validation regret, %")
panels[0].legend(fontsize="small")

# %%
# Who wins
# --------
# Rows without a trial are the comparison. Seeds are shared, so differences are paired.

final = table[table.trial.isna()]
_, panels = plt.subplots(2, 1, figsize=(6, 4.8), layout="constrained")
for panel, (problem, own) in zip(panels, final.groupby("problem"), strict=True):
    RegretDisplay.from_results(own).plot(panel)
    panel.set_title(problem, fontsize="medium")
    regret = own.pivot_table(index="seed", columns="method", values="value")
    for method in ("spo+", "fenchel-young", "black-box"):
        change = metrics.mean_interval(100 * (regret[method] - regret["least squares"]))
        print(
            f"{problem}, {method:13} minus least squares: {change.mean:5.2f} points "
            f"[{change.low:5.2f}, {change.high:5.2f}]"
        )
plt.show()

# %%
# Where a line is far from the truth, training for decisions pays, whichever the loss. Where it is
# the truth, the full version with 20 seeds finds that it costs about a point: 30 of 150 rows are
# set aside for validation and now and then favor worse weights by luck. Differences between losses
# are smaller than what all gain, and few seeds do not settle them. :doc:`../user_guide/sweeps` has
# Optuna, limits of time, and what else there is.
