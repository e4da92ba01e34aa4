"""What every generator promises: seeds, shapes, exact expectations, and data to learn from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dfl import datasets, metrics
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import minimizing

# small sizes; noise where there is any
MAKE: dict[str, Callable[..., Any]] = {
    "make_cubic_top_k": partial(datasets.make_cubic_top_k, n_items=6),
    "make_digit_matching": partial(datasets.make_digit_matching, grid=(2, 2)),
    "make_entropy_portfolio": partial(datasets.make_entropy_portfolio, n_assets=5, degree=1),
    "make_knapsack": partial(datasets.make_knapsack, n_items=6, capacity=15.0, noise=0.5),
    "make_knapsack_weights": partial(datasets.make_knapsack_weights, n_items=6, degree=1),
    "make_ordinal_classes": partial(datasets.make_ordinal_classes, n_classes=5),
    "make_perfect_matching": partial(datasets.make_perfect_matching, grid=(2, 3), noise=0.5),
    "make_portfolio": partial(datasets.make_portfolio, n_assets=6),
    "make_shortest_path": partial(datasets.make_shortest_path, grid=(3, 3), noise=0.5),
    "make_spanning_tree": partial(datasets.make_spanning_tree, n_nodes=5, noise=0.5),
    "make_staffing": partial(datasets.make_staffing, degree=1),
    "make_terrain": partial(datasets.make_terrain, size=4, tile_size=4, noise=0.5),
    "make_traveling_salesman": partial(datasets.make_traveling_salesman, n_cities=5, noise=0.5),
}
# what draws from NumPy's new generators; the others repeat published streams
MODERN = {
    "make_cubic_top_k",
    "make_digit_matching",
    "make_entropy_portfolio",
    "make_ordinal_classes",
    "make_terrain",
}
every = pytest.mark.parametrize("name", MAKE)
# a picture may be read in several ways, and constraints have no optimal decision of their own
KNOWN = sorted(set(MAKE) - {"make_digit_matching"})
COSTS = sorted(set(KNOWN) - {"make_knapsack_weights", "make_staffing"})
# the first has no noise, the second nothing but risk without it
NOISY = sorted(set(KNOWN) - {"make_cubic_top_k", "make_portfolio"})


def truth(data: Any) -> tuple[Any, Any]:
    """Return what is predicted (n, d), and its expectation."""
    return (data.y, data.mean_y) if "y" in data else (data.C, data.get("mean_costs"))


def test_no_generator_is_left_out() -> None:
    assert {name for name in datasets.__all__ if name.startswith("make_")} == set(MAKE)


@every
def test_the_same_seed_gives_the_same_data(name: str) -> None:
    before = np.random.get_state()[1].copy()
    one, two, other = (MAKE[name](20, random_state=seed) for seed in (1, 1, 2))
    assert (np.random.get_state()[1] == before).all()
    for key, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, two[key])
    assert repr(one.oracle) == repr(two.oracle)
    assert not np.array_equal(one.X, other.X)
    assert not np.array_equal(truth(one)[0], truth(other)[0])
    unseeded = [MAKE[name](20).X for _ in range(2)]
    assert not np.array_equal(*unseeded)
    # a generator goes on from where it is
    make = np.random.default_rng if name in MODERN else np.random.RandomState
    rng = make(5)
    first, second = MAKE[name](20, random_state=rng), MAKE[name](20, random_state=rng)
    np.testing.assert_array_equal(first.X, MAKE[name](20, random_state=make(5)).X)
    assert not np.array_equal(first.X, second.X)


@every
def test_shapes_names_and_oracle_fit(name: str) -> None:
    data = MAKE[name](7, random_state=0)
    values, mean = truth(data)
    assert data.X.shape == (7, len(data.feature_names))
    assert data.X.dtype == values.dtype == np.float64
    assert np.isfinite(data.X).all()
    assert np.isfinite(values).all()
    assert mean is None or mean.shape == values.shape
    if "C" in data:
        assert data.C.shape == (7, data.oracle.n_costs) == (7, len(data.cost_names))
        found = data.oracle.solve(data.C)
        assert found.decisions.shape == data.C.shape
        np.testing.assert_allclose(
            found.objectives, data.oracle.evaluate(data.C, found.decisions), rtol=1e-7, atol=1e-12
        )
    else:
        assert data.costs.shape == (data.oracle.n_costs,)
        assert data.predicts in minimizing(data.oracle)[0].instance_fields


@every
def test_one_sample_is_enough_and_none_is_not(name: str) -> None:
    assert len(MAKE[name](1, random_state=0).X) == 1
    for n in (0, -1, 2.5, True, "5"):
        with pytest.raises(InvalidInputError, match=f"n_samples={n!r}"):
            MAKE[name](n)


@every
def test_numbers_out_of_range_are_named(name: str) -> None:
    known = inspect.signature(MAKE[name]).parameters
    optional = {parameter for parameter in known if known[parameter].default is None}
    for parameter in sorted({*known} - optional - {"n_samples", "grid", "budget"}):
        for value in ("a", -1, None, float("nan")):
            with pytest.raises(InvalidInputError, match=f"{parameter}={value!r}"):
                MAKE[name](5, **{parameter: value})
    with pytest.raises(InvalidInputError, match="random_state='a'"):
        MAKE[name](5, random_state="a")


@pytest.mark.parametrize("name", NOISY)
def test_without_noise_the_truth_is_its_mean(name: str) -> None:
    data = MAKE[name](50, noise=0.0, random_state=0)
    # tours are rounded to four decimals
    np.testing.assert_allclose(*truth(data), rtol=1e-9, atol=6e-5 if "salesman" in name else 1e-12)
    noisy = MAKE[name](50, noise=0.5, random_state=0)
    assert not np.allclose(*truth(noisy))


@pytest.mark.parametrize("name", KNOWN)
def test_the_mean_is_the_conditional_expectation(name: str) -> None:
    # E[(c - m(x)) f(x)] = 0 for all f, if and only if m(x) = E[c | x]
    data = MAKE[name](3000 if name == "make_terrain" else 20_000, random_state=3)
    values, mean = truth(data)
    gap = values - mean
    if name != "make_cubic_top_k":
        assert gap.std() > 0.01 * values.std()
    seen = data.terrain if name == "make_terrain" else data.X
    functions = [np.ones(len(gap)), *seen[:, :5].T, *(seen[:, :5] ** 2).T, np.sin(seen @ seen[0])]
    for f in functions:
        terms = gap * f[:, None]
        error = terms.std(axis=0) / len(terms) ** 0.5
        assert (np.abs(terms.mean(axis=0)) <= 5 * error + 1e-4 * np.abs(f).mean()).all()
    own = gap * (mean - mean.mean(axis=0))
    assert (np.abs(own.mean(axis=0)) <= 5 * own.std(axis=0) / len(own) ** 0.5 + 1e-4).all()


@pytest.mark.parametrize("name", COSTS)
def test_true_means_reach_the_theoretical_minimum(name: str) -> None:
    bent = "degree" in inspect.signature(MAKE[name]).parameters  # more to choose among
    data = MAKE[name](2000, random_state=4, **({"degree": 4} if bent else {}))
    oracle, sign = minimizing(data.oracle)
    C, mean = sign * data.C, sign * data.mean_costs
    found = oracle.solve(mean)
    # what these decisions cost is, on average, the least expected cost there is
    gap = oracle.evaluate(C, found.decisions) - found.objectives
    slack = 5 * gap.std() / len(gap) ** 0.5 + 1e-4 * np.abs(found.objectives).mean()
    assert abs(gap.mean()) <= slack
    # and any other rule does worse: the mean over all instances, the costs of another instance
    best = metrics.normalized_regret(data.oracle, data.mean_costs, data.C)
    for other in (np.tile(data.mean_costs.mean(0), (2000, 1)), np.roll(data.mean_costs, 1, axis=0)):
        assert best < metrics.normalized_regret(data.oracle, other, data.C)


def _tiles(data: Any) -> Any:
    """Describe each cell of pictures by the means and deviations of its colors."""
    rows, cols = data.grid
    height, width, _ = data.image_shape
    cells = data.X.reshape(-1, rows, height // rows, cols, width // cols, 3).swapaxes(2, 3)
    cells = cells.reshape(-1, height // rows * width // cols, 3)
    return np.column_stack([cells.mean(axis=1), cells.std(axis=1)])


def _predict(name: str, data: Any, n: int, n_train: int) -> Any:
    """Learn from the first n instances by a model that is right, predict those after n_train."""
    values = truth(data)[0]
    if name == "make_cubic_top_k":
        powers = np.stack([data.X**k for k in range(4)], axis=-1)
        line = LinearRegression(fit_intercept=False)
        line.fit(powers[:n].reshape(-1, 4), values[:n].ravel())
        return line.predict(powers[n_train:].reshape(-1, 4)).reshape(-1, values.shape[1])
    if name == "make_ordinal_classes":  # a function of one score, which least squares finds
        score = LinearRegression().fit(data.X[:n], data.classes[:n])
        near = KNeighborsRegressor(int(2 * n**0.5))
        near.fit(score.predict(data.X[:n])[:, None], values[:n])
        return near.predict(score.predict(data.X[n_train:])[:, None])
    if name == "make_terrain":
        cells, d = _tiles(data), values.shape[1]
        near = make_pipeline(StandardScaler(), KNeighborsRegressor(int((n * d) ** 0.5 / 2)))
        near.fit(cells[: n * d], values[:n].ravel())
        return near.predict(cells[n_train * d :]).reshape(-1, d)
    return LinearRegression().fit(data.X[:n], values[:n]).predict(data.X[n_train:])


@pytest.mark.parametrize("name", KNOWN)
def test_a_model_that_is_right_learns_with_more_data(name: str) -> None:
    few, many = (4, 400) if name == "make_terrain" else (12, 3000)
    make = partial(MAKE[name], noise=0.2) if "salesman" in name else MAKE[name]
    data = make(many + 1000, random_state=5)
    mean = truth(data)[1][many:]
    learned = [_predict(name, data, n, many) for n in (few, many)]
    errors = [float(((predicted - mean) ** 2).mean()) for predicted in learned]
    if name == "make_cubic_top_k":  # without noise four points are enough
        assert max(errors) < 1e-12
        return
    assert errors[1] < 0.15 * errors[0]
    if name in COSTS:
        costs = data.mean_costs[many:]  # judged by expected costs: the minimum has no regret
        first, last = (metrics.normalized_regret(data.oracle, p, costs) for p in learned)
        assert last < 0.35 * first
        assert last < 0.02


def test_maps_do_not_depend_on_how_many_follow() -> None:
    short, long = (datasets.make_terrain(n, size=5, noise=0.5, random_state=0) for n in (3, 8))
    for key in ("X", "C", "mean_costs", "terrain"):
        np.testing.assert_array_equal(short[key], long[key][:3])
