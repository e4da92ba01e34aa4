"""Data of published experiments: sizes, sums, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfl.datasets import fetch_cora_matching, fetch_price_knapsack, make_portfolio
from dfl.exceptions import InvalidInputError


def test_price_knapsack(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    data = fetch_price_knapsack(capacity=60)
    assert data.X.shape == (789 * 48, 8)
    assert dict(zip(*np.unique(data.weights, return_counts=True), strict=True)) == {
        3: 16,
        5: 16,
        7: 16,
    }
    np.testing.assert_allclose(data.y[:2], [218.51111564, 132.0134956])
    assert data.X[0].tolist() == [0, 1, 44, 11, 315.31, 3388.77, 49.26, 600.71]
    value = data.y.reshape(-1, 48)
    found = data.oracle.solve(value[:20])
    assert (found.decisions @ data.weights <= 60).all()
    more = fetch_price_knapsack(capacity=120).oracle.solve(value[:20])
    assert (more.objectives > found.objectives).all()
    everything = fetch_price_knapsack(capacity=240).oracle.solve(value[:1])
    assert everything.objectives[0] == pytest.approx(value[0].sum())
    with pytest.raises(InvalidInputError, match="capacity=-1"):
        fetch_price_knapsack(capacity=-1)


def test_cora_matching(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    data = fetch_cora_matching(n_directions=4)
    assert data.X.shape == (27 * 2500, 5)
    assert data.papers.shape == (27, 2, 50)
    assert len(np.unique(data.papers)) == 2700  # no paper is in two places
    assert set(np.unique(data.y)) == {0.0, 1.0}
    with np.load(data_folder / "cora.npz") as file:
        edges = {(int(i), int(j)) for i, j in file["edges"]}
        labels = file["labels"]
    left, right = data.papers[3]
    cited = data.y.reshape(27, 50, 50)[3]
    for a, b in ((0, 0), (7, 11), *np.argwhere(cited)[:5]):
        pair = (int(left[a]), int(right[b]))
        assert bool(cited[a, b]) == (pair in edges or pair[::-1] in edges)
        assert data.instance["same_field"][3, a, b] == (labels[pair[0]] == labels[pair[1]])
    # far more citations than two random sides of random blocks have
    assert data.y.sum() > 10 * 5278 * 27 * 2500 / (2708 * 2707 / 2)
    # citations can be told from words
    shared = data.X[:, -1]
    assert shared[data.y == 1].mean() > 1.5 * shared[data.y == 0].mean()
    values = data.y.reshape(27, -1)
    made = data.oracle.solve(values, data.instance).decisions
    same = (made * data.instance["same_field"].reshape(27, -1)).sum(1) / made.sum(1)
    assert (same >= 0.25 - 1e-9).all()
    assert (same <= 0.75 + 1e-9).all()
    with pytest.raises(InvalidInputError, match="n_directions=0"):
        fetch_cora_matching(n_directions=0)


def test_cora_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFL_DATA", raising=False)
    with pytest.raises(InvalidInputError, match="cannot be downloaded; put the file"):
        fetch_cora_matching(data_home=tmp_path)


def test_portfolio_with_other_factors_and_cash() -> None:
    usual = make_portfolio(30, degree=4, random_state=3)
    np.testing.assert_array_equal(
        usual.C, make_portfolio(30, degree=4, n_factors=5, random_state=3).C
    )
    data = make_portfolio(4000, degree=4, n_factors=4, budget="at_most", random_state=3)
    covariance = data.oracle.covariance
    # four factors beside the residuals
    values = np.linalg.eigvalsh(covariance - 0.01**2 * np.eye(50))
    assert (values[:-4] < 1e-12).all()
    assert (values[-4:] > 1e-6).all()
    residual = np.cov((data.C - data.mean_costs).T)
    np.testing.assert_allclose(residual, covariance, atol=2e-5)
    # where all returns are negative, cash is held
    assert data.oracle.solve(np.ones((1, 50))).decisions.sum() == 0
    with pytest.raises(InvalidInputError, match="n_factors=0"):
        make_portfolio(5, n_factors=0)
