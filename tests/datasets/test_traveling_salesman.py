"""The data of traveling salesmen: PyEPO's for the same seed, and exact expectations."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dfl.datasets.traveling_salesman import make_traveling_salesman
from dfl.exceptions import InvalidInputError

# in a process of its own: importing PyEPO loads solvers that must not meet ours
PYEPO = """
import json
from pyepo.data import tsp
found = [tsp.genData(30, 4, m, deg=deg, noise_width=noise, seed=7)
         for m, deg, noise in ((7, 4, 0.5), (10, 1, 0.0))]
print('\\n' + json.dumps([[x.tolist(), c.tolist()] for x, c in found]))
"""


@pytest.mark.slow
def test_seeds_reproduce_the_data_of_pyepo() -> None:
    if importlib.util.find_spec("pyepo") is None:
        assert os.environ.get("CI") != "true", "the extra pyepo must be installed in CI"
        pytest.skip("the extra pyepo is not installed")
    found = subprocess.run(
        [sys.executable, "-c", PYEPO], capture_output=True, text=True, check=True, timeout=120
    )
    golden = json.loads(found.stdout.strip().splitlines()[-1])
    for (x, c), (m, degree, noise) in zip(golden, ((7, 4, 0.5), (10, 1, 0.0)), strict=True):
        data = make_traveling_salesman(
            30, 4, n_cities=m, degree=degree, noise=noise, random_state=7
        )
        np.testing.assert_allclose(data.X, x, atol=1e-12)
        # PyEPO keeps costs in single precision
        np.testing.assert_allclose(data.C, c, rtol=3e-7, atol=1e-7)


def test_mean_costs_are_the_expectation() -> None:
    quiet = make_traveling_salesman(5, 3, n_cities=6, degree=3, random_state=1)
    np.testing.assert_allclose(quiet.C, quiet.mean_costs, atol=5e-5)
    # a seed gives the same cities, features and means at any noise
    loud = make_traveling_salesman(4000, 3, n_cities=6, degree=3, noise=0.5, random_state=1)
    ratios = (loud.C - loud.mean_costs).mean(axis=0) / loud.mean_costs.std(axis=0).clip(0.5)
    assert np.abs(ratios).max() < 0.1
    assert (np.abs(loud.C - loud.mean_costs) > 1e-3).any()


def test_costs_are_rounded_and_fit_the_oracle() -> None:
    data = make_traveling_salesman(20, n_cities=9, degree=2, noise=0.3, random_state=0)
    np.testing.assert_allclose(data.C * 1e4, np.round(data.C * 1e4), atol=1e-6)
    solution = data.oracle.solve(data.C)
    assert solution.decisions.shape == data.C.shape == (20, 36)
    assert (solution.decisions.sum(axis=1) == 9).all()
    assert data.feature_names[-1] == "x9"
    assert data.cost_names[-1] == "c35"


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_cities=2"):
        make_traveling_salesman(5, n_cities=2)
    with pytest.raises(InvalidInputError, match="n_samples=0"):
        make_traveling_salesman(0)
    with pytest.raises(InvalidInputError, match="noise=-1"):
        make_traveling_salesman(5, noise=-1)
