"""The generators: PyEPO's data for the same seed, and exact expectations."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dfl.datasets import make_knapsack, make_portfolio, make_shortest_path
from dfl.exceptions import InvalidInputError

GOLDEN = Path(__file__).parents[1] / "golden"


def ours():
    return {
        "shortest-path": make_shortest_path(50, grid=(4, 5), degree=4, noise=0.5, random_state=7),
        "knapsack": make_knapsack(
            50, n_items=8, n_dimensions=2, degree=3, noise=0.5, random_state=7
        ),
        "portfolio": make_portfolio(50, n_assets=6, degree=4, random_state=7),
    }


def compare(golden: dict) -> None:
    for name, data in ours().items():
        np.testing.assert_allclose(data.X[[0, 1, -1]], golden[name]["x"], atol=1e-12)
        # PyEPO keeps costs in single precision
        np.testing.assert_allclose(data.C[[0, 1, -1]], golden[name]["c"], rtol=3e-7, atol=1e-8)
    weights = ours()["knapsack"].oracle.minimizing.weights
    np.testing.assert_allclose(weights, golden["knapsack"]["weights"], rtol=1e-6)
    covariance = ours()["portfolio"].oracle.covariance
    np.testing.assert_allclose(covariance, golden["portfolio"]["covariance"], rtol=1e-5)


def test_seeds_reproduce_the_published_data() -> None:
    compare(json.loads((GOLDEN / "pyepo_data.json").read_text()))


@pytest.mark.slow
def test_seeds_reproduce_the_data_of_the_installed_pyepo() -> None:
    if importlib.util.find_spec("pyepo") is None:
        assert os.environ.get("CI") != "true", "the extra pyepo must be installed in CI"
        pytest.skip("the extra pyepo is not installed")
    code = f"import sys, json; sys.path.insert(0, {str(GOLDEN)!r}); import make_pyepo_data as m; "
    code += "print('\\n' + json.dumps(m.draws()))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    compare(json.loads(found.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda seed: make_shortest_path(1, degree=4, noise=0.5, random_state=seed), 0.05),
        (lambda seed: make_portfolio(1, n_assets=5, degree=2, random_state=seed), 0.02),
    ],
)
def test_mean_costs_are_the_costs_without_noise(make, tolerance: float) -> None:
    # over many draws the noise of one x averages out relative to its mean
    gaps = np.concatenate([(lambda d: d.C - d.mean_costs)(make(s))[0] for s in range(2000)])
    scale = np.concatenate([np.abs(make(s).mean_costs[0]) for s in range(200)]).mean()
    assert abs(gaps.mean()) < tolerance * max(scale, 0.02)
    assert gaps.std() > 0


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0])
def test_the_mean_of_rounded_values_is_exact(noise: float) -> None:
    from dfl.datasets.knapsack import _mean_of_ceil

    base = np.array([0.3, 0.999, 1.0, 2.5, 7.3, 40.2])
    rng = np.random.default_rng(0)
    draws = np.ceil(base * rng.uniform(1 - noise, 1 + noise, (400_000, 6)))
    error = draws.std(0) / 400_000**0.5
    assert (np.abs(_mean_of_ceil(base, noise) - draws.mean(0)) <= 5 * error + 1e-12).all()


def test_no_noise_leaves_the_mean() -> None:
    for data in (make_shortest_path(5, random_state=0), make_knapsack(5, random_state=0)):
        np.testing.assert_array_equal(data.C, data.mean_costs)


def test_data_fit_their_oracle() -> None:
    for data in ours().values():
        found = data.oracle.solve(data.C)
        assert found.decisions.shape == data.C.shape == data.mean_costs.shape
        assert len(data.feature_names) == data.X.shape[1]
        assert len(data.cost_names) == data.C.shape[1]
    risk = ours()["portfolio"]
    w = risk.oracle.solve(risk.C).decisions
    variance = np.einsum("ni,ij,nj->n", w, risk.oracle.covariance, w)
    assert (variance <= risk.oracle.risk * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_shortest_path(0), "n_samples=0"),
        (lambda: make_shortest_path(5, grid=(0, 5)), "rows=0"),
        (lambda: make_shortest_path(5, degree=1.5), "degree=1.5"),
        (lambda: make_shortest_path(5, noise=-1), "noise=-1"),
        (lambda: make_knapsack(5, n_items=0), "n_items=0"),
        (lambda: make_portfolio(5, n_assets=-2), "n_assets=-2"),
        (lambda: make_knapsack(5, random_state="a"), "random_state='a'"),
    ],
)
def test_bad_arguments_are_named(call, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()
