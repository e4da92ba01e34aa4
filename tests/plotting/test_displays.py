"""Displays hold the right numbers and draw them."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.plotting import DecisionDisplay, LearningCurveDisplay, RegretDisplay
from dfl_solvers import (
    Assignment,
    Cached,
    EnergyScheduling,
    GridShortestPath,
    Maximize,
    NodeGridShortestPath,
    TopK,
    TravelingSalesman,
)


def new_axes():
    return Figure().subplots()


@pytest.fixture(scope="module")
def fitted():
    data = make_shortest_path(200, degree=4, random_state=0)
    models = {
        "least squares": PredictThenOptimizeRegressor(data.oracle),
        "SPO+": DecisionFocusedRegressor(data.oracle, max_iter=3, random_state=0),
    }
    for model in models.values():
        model.fit(data.X[:150], data.C[:150])
    return data, models


def test_evaluate_is_the_regret_of_the_decisions(fitted) -> None:
    data, models = fitted
    model = models["SPO+"]
    X, C = data.X[150:], data.C[150:]
    regret, optimal = model.evaluate(X, C)
    np.testing.assert_allclose(regret, np.vecdot(C, model.decide(X)) - optimal)
    assert model.score(X, C) == 1 - regret.sum() / np.abs(optimal).sum()


def test_regret_display_shows_the_normalized_regret_of_each_method(fitted) -> None:
    data, models = fitted
    X, C = data.X[150:], data.C[150:]
    display = RegretDisplay.from_estimators(models, X, C).plot(new_axes())
    for name, model in models.items():
        interval = display.intervals[name]
        assert interval.mean == pytest.approx(1 - model.score(X, C))
        assert interval.low < interval.mean < interval.high
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(models)
    drawn = [100 * i.mean for i in display.intervals.values()]
    points = [float(c.lines[0].get_xdata()[0]) for c in display.ax_.containers]
    assert points == pytest.approx(drawn)
    single = RegretDisplay.from_estimator(models["SPO+"], X, C)
    assert single.intervals == {"DecisionFocusedRegressor": display.intervals["SPO+"]}


def test_regret_display_of_values_has_positive_regret() -> None:
    data = make_knapsack(60, random_state=0)
    model = PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
    display = RegretDisplay.from_estimator(model, data.X, data.C)
    (interval,) = display.intervals.values()
    assert interval.mean == pytest.approx(1 - model.score(data.X, data.C))
    assert interval.mean > 0


def test_regret_display_from_the_results_of_an_experiment() -> None:
    rows = [("p", m, s, "normalized-regret", v + s / 100) for m, v in (("a", 0.1), ("b", 0.2))
            for s in (0, 1, 2)]  # fmt: skip
    rows += [("p", "a", 0, "mean-squared-error", 7.0)]
    table = pd.DataFrame(rows, columns=["problem", "method", "seed", "metric", "value"])
    display = RegretDisplay.from_results(table)
    expected = metrics.mean_interval([0.1, 0.11, 0.12])
    assert vars(display.intervals["a"]) == pytest.approx(vars(expected))
    assert list(display.intervals) == ["a", "b"]
    with pytest.raises(InvalidInputError, match="got problem='q', expected one of: p"):
        RegretDisplay.from_results(table, problem="q")
    with pytest.raises(InvalidInputError, match="without the columns value"):
        RegretDisplay.from_results(table.drop(columns="value"))


def test_learning_curve_shows_validation_regret_and_the_kept_epoch(fitted) -> None:
    _, models = fitted
    model = models["SPO+"]
    display = LearningCurveDisplay.from_estimator(model, "SPO+").plot(new_axes())
    curve = display.ax_.lines[0].get_ydata()
    np.testing.assert_allclose(curve, [100 * entry["validation"] for entry in model.history_])
    assert display.kept == {"SPO+": model.best_iter_}
    assert display.ax_.get_ylabel() == "validation regret, %"
    with pytest.raises(NotFittedError):
        LearningCurveDisplay.from_estimator(DecisionFocusedRegressor(model.oracle))
    with pytest.raises(InvalidInputError, match="got no curve"):
        LearningCurveDisplay({"a": [[]]})


def test_learning_curve_of_the_loss_where_nothing_was_held_out(fitted) -> None:
    data, _ = fitted
    model = DecisionFocusedRegressor(data.oracle, max_iter=2, early_stopping=False)
    model.fit(data.X, data.C)
    display = LearningCurveDisplay.from_estimator(model).plot(new_axes())
    assert display.ax_.get_ylabel() == "training loss"
    np.testing.assert_allclose(
        display.ax_.lines[0].get_ydata(), [entry["loss"] for entry in model.history_]
    )


SCHEDULE = EnergyScheduling([2, 1], [0, 0], [4, 4], [1, 1], [[3], [3]], [[5]], 360)


@pytest.mark.parametrize(
    "oracle",
    [
        GridShortestPath(3, 2),
        NodeGridShortestPath(3, 2),
        Assignment(3),
        TravelingSalesman(5),
        SCHEDULE,
        TopK(4, 2),
        Maximize(Assignment(2)),
        Cached(GridShortestPath(2, 2)),
    ],
    ids=lambda oracle: type(oracle).__name__,
)
@pytest.mark.parametrize("with_costs", [True, False])
def test_every_kind_of_decision_is_drawn(oracle, with_costs: bool) -> None:
    costs = np.random.default_rng(0).uniform(1, 2, oracle.n_costs)
    solution = oracle.solve(costs[None])
    display = DecisionDisplay(oracle, solution.decisions[0], costs if with_costs else None, "best")
    ax = display.plot(new_axes()).ax_
    expected = f"best: objective {solution.objectives[0]:.4g}" if with_costs else "best"
    assert ax.get_title() == expected
    assert ax.has_data()
    display.figure_.savefig(io.BytesIO())


def test_the_path_that_is_drawn_is_the_decision() -> None:
    oracle = GridShortestPath(2, 2)
    ax = DecisionDisplay(oracle, [0, 1, 0, 1]).plot(new_axes()).ax_
    taken = [line.get_xydata().tolist() for line in ax.lines if line.get_zorder() == 2]
    assert taken == [[[0, 0], [0, -1]], [[0, -1], [1, -1]]]


def test_a_decision_of_an_estimator(fitted) -> None:
    data, models = fitted
    display = DecisionDisplay.from_estimator(models["SPO+"], data.X[0])
    np.testing.assert_array_equal(display.decision, models["SPO+"].decide(data.X[:1])[0])
    np.testing.assert_allclose(display.costs, models["SPO+"].predict(data.X[:1])[0])
    with pytest.raises(InvalidInputError, match=r"got costs of shape \(3,\), expected \(40,\)"):
        DecisionDisplay(data.oracle, display.decision, [1, 2, 3])


def test_axes_are_made_where_none_are_given(fitted) -> None:
    from matplotlib import pyplot

    display = RegretDisplay({"a": metrics.Interval(0.1, np.nan, np.nan)}, floor=0.05).plot()
    assert display.figure_ is pyplot.gcf()
    assert [line.get_linestyle() for line in display.ax_.lines if len(line.get_xdata()) == 2] == [
        "--"
    ]
    pyplot.close(display.figure_)
