"""Trees and forests by decision loss: exact splits, exact pruning, few calls of the oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.tree import DecisionTreeRegressor

from dfl import PredictThenOptimizeRegressor, SPOForestRegressor, SPOTreeRegressor
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.estimators import _tree_pruning, _tree_sample, _tree_splits, spo_forest
from dfl.estimators._table import Table
from dfl.estimators._tree_fit import folds_of
from dfl.estimators._trees import Trees
from dfl.exceptions import InvalidInputError
from dfl.risk import ForestWeights
from dfl_solvers import (
    Box,
    GridShortestPath,
    Knapsack,
    Maximize,
    MeanVariancePortfolio,
    Simplex,
    TopK,
)
from dfl_solvers.kernels import set_threads

# the first example compiles
few = settings(max_examples=15, deadline=None)
DATA = make_shortest_path(300, grid=(3, 3), degree=4, noise=0.5, random_state=0)


def cost_of(oracle, costs, weights, instance=None) -> float:
    """Return what the decision for the mean cost costs on its rows."""
    mean = np.average(costs, axis=0, weights=weights)
    decisions = oracle.solve(np.tile(mean, (len(costs), 1)), instance).decisions
    return float(weights @ oracle.evaluate(costs, decisions, instance))


def best_split(oracle, X, costs, weights, instance=None, least=1) -> float:
    """Return the least cost of the two sides of any split, one candidate after another."""
    found = np.inf
    for f in range(X.shape[1]):
        for cut in np.unique(X[:, f])[:-1]:
            left = X[:, f] <= cut
            if min(left.sum(), (~left).sum()) < least:
                continue
            sides = (
                cost_of(
                    oracle,
                    costs[side],
                    weights[side],
                    None if instance is None else {k: v[side] for k, v in instance.items()},
                )
                for side in (left, ~left)
            )
            found = min(found, sum(sides))
    return found


def stump(oracle, **parameters) -> SPOTreeRegressor:
    return SPOTreeRegressor(oracle, max_depth=1, ccp_alpha=0.0, **parameters)


def reached(model, oracle, X, costs, weights, sign=1, instance=None) -> float:
    """Return what the tree's decisions cost in the sense of minimization."""
    decisions = oracle.solve(sign * model.predict(X), instance).decisions
    return float(weights @ oracle.evaluate(costs, decisions, instance))


COVARIANCE = np.diag([1.0, 2.0, 3.0])
ORACLES = [
    Simplex(4),
    TopK(5, 2),
    GridShortestPath(3, 3),
    Knapsack(np.array([[2.0, 3.0, 4.0, 1.0]]), np.array([5.0])),
    MeanVariancePortfolio(COVARIANCE, 1.0),
]


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: type(oracle).__name__)
@few
@given(seed=st.integers(0, 10_000))
def test_the_split_is_that_of_brute_force(oracle, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(4, 20)), oracle.n_costs
    X = rng.integers(0, 6, (n, 2)).astype(float)  # values that repeat
    costs, weights = rng.normal(size=(n, d)), rng.uniform(0.5, 2, n)
    least = int(rng.integers(1, 3))
    model = stump(oracle, min_samples_leaf=least).fit(X, costs, weights)
    expected = best_split(oracle, X, costs, weights, least=least)
    whole = cost_of(oracle, costs, weights)
    assert expected <= whole + 1e-9 or not np.isfinite(expected)
    found = reached(model, oracle, X, costs, weights)
    assert found == pytest.approx(min(expected, whole), rel=1e-9, abs=1e-9)


@few
@given(seed=st.integers(0, 10_000))
def test_the_split_is_that_of_brute_force_where_each_row_has_its_own_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    oracle = Knapsack(np.array([[2.0, 3.0, 4.0, 1.0]]), np.array([5.0]))
    X, costs = rng.normal(size=(9, 2)), rng.normal(size=(9, 4))
    weights = rng.uniform(0.5, 2, 9)
    instance = {"capacities": rng.uniform(1, 9, (9, 1))}
    model = stump(oracle).fit(X, costs, weights, instance=instance)
    expected = best_split(oracle, X, costs, weights, instance)
    whole = cost_of(oracle, costs, weights, instance)
    found = reached(model, oracle, X, costs, weights, instance=instance)
    if expected < whole - 1e-9:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert "decide" not in model.export_text()


def test_it_splits_at_the_decision_switch_and_a_regression_tree_does_not() -> None:
    x = np.linspace(0, 1, 101)[:, None]
    # costs jump by ten at 0.3, where both decisions become as much dearer; at 0.7 they change place
    costs = np.where(x < 0.7, [[1.0, 2.0]], [[2.0, 1.0]]) + 10 * (x < 0.3)
    ours = stump(Simplex(2)).fit(x, costs)
    theirs = PredictThenOptimizeRegressor(Simplex(2), DecisionTreeRegressor(max_depth=1))
    theirs.fit(x, costs)
    assert ours.tree_.threshold[0] == pytest.approx(0.695)
    assert theirs.regressor_.tree_.threshold[0] == pytest.approx(0.295)
    assert ours.score(x, costs) == 1
    # 31 of the rows are decided wrong, each for one too much
    regret, _ = theirs.evaluate(x, costs)
    assert regret.sum() == pytest.approx(31)


def test_a_leaf_predicts_what_no_constant_beats() -> None:
    model = SPOTreeRegressor(DATA.oracle, max_depth=3, random_state=0).fit(DATA.X, DATA.C)
    leaves = model.apply(DATA.X)
    rng = np.random.default_rng(0)
    for leaf in np.unique(leaves):
        own = DATA.C[leaves == leaf]
        np.testing.assert_allclose(model.tree_.values[leaf], own.mean(0))
        total = own.sum(0)
        decided = DATA.oracle.solve(model.tree_.values[leaf][None]).decisions[0]
        others = DATA.oracle.solve(rng.uniform(0, 3, (200, own.shape[1]))).decisions
        assert total @ decided <= (others @ total).min() + 1e-9
        best = DATA.oracle.solve(own).objectives.sum()
        assert model.tree_.loss[leaf] == pytest.approx(total @ decided - best)
    assert model.tree_.weight[np.unique(leaves)].sum() == len(DATA.X)


def test_two_splits_do_what_one_does_not() -> None:
    # of the two questions neither alone changes a decision
    x = np.repeat([[0, 0], [1, 1], [0, 1], [1, 0]], [12, 12, 8, 10], axis=0).astype(float)
    costs = np.where(x[:, :1] == x[:, 1:], [[0.0, 1.0]], [[1.0, 0.0]])
    assert best_split(Simplex(2), x, costs, np.ones(42)) == cost_of(Simplex(2), costs, np.ones(42))
    model = SPOTreeRegressor(Simplex(2), ccp_alpha=0.0).fit(x, costs)
    assert model.score(x, costs) == 1
    assert model.get_depth() == 2
    assert model.get_n_leaves() == 4


def full_tree(seed: int, n: int = 60) -> tuple[Trees, np.ndarray]:
    data = make_shortest_path(n, grid=(3, 3), degree=2, noise=0.5, random_state=seed)
    model = SPOTreeRegressor(data.oracle, ccp_alpha=0.0, min_samples_leaf=3).fit(data.X, data.C)
    return model.tree_, _tree_pruning.strengths(model.tree_)


@few
@given(seed=st.integers(0, 1000), share=st.floats(0, 1.2))
def test_pruning_is_optimal_for_every_price_of_a_leaf(seed: int, share: float) -> None:
    tree, strength = full_tree(seed)
    alpha = share * max(strength.max(), 0.0)
    total = tree.weight[0]

    def least(node: int) -> float:
        """Return the least loss and price below a node, over all ways to prune."""
        own = tree.loss[node] / total + alpha
        if tree.leaves[node]:
            return own
        return min(own, least(tree.left[node]) + least(tree.right[node]))

    pruned = tree.cut(strength > alpha)
    leaves = pruned.leaves
    found = pruned.loss[leaves].sum() / total + alpha * leaves.sum()
    assert found == pytest.approx(least(0), rel=1e-9, abs=1e-12)
    inner = np.flatnonzero(~tree.leaves)
    for children in (tree.left, tree.right):
        assert (strength[children[inner]] <= strength[inner]).all()


def test_pruning_leaves_one_leaf_of_noise_and_the_signal_of_a_signal() -> None:
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(400, 3)), rng.normal(size=(400, 4))
    grown = SPOTreeRegressor(Simplex(4), ccp_alpha=0.0).fit(X, noise)
    pruned = SPOTreeRegressor(Simplex(4), random_state=0).fit(X, noise)
    assert grown.get_n_leaves() > 50
    assert pruned.get_n_leaves() <= 3
    assert pruned.regret_path_.shape == (len(pruned.alphas_), 5)
    assert pruned.regret_path_.mean(1).argmin() > 0
    signal = noise + 3 * (X[:, :1] > 0) * np.eye(4)[0] - 1.5 * np.eye(4)[0]
    pruned.fit(X, signal)
    assert pruned.tree_.feature[0] == 0
    assert abs(pruned.tree_.threshold[0]) < 0.1
    assert pruned.get_n_leaves() < grown.get_n_leaves() / 5
    assert pruned.feature_importances_[0] > 0.8
    # one validation set, by a splitter of one split
    pruned.set_params(cv=ShuffleSplit(1, random_state=0)).fit(X, signal)
    assert pruned.regret_path_.shape[1] == 1
    assert pruned.set_params(ccp_alpha=np.inf).fit(X, signal).get_n_leaves() == 1
    assert not hasattr(pruned, "alphas_")


def test_held_out_regret_is_that_of_the_pruned_trees() -> None:
    tree, strength = full_tree(0, 100)
    data = make_shortest_path(300, grid=(3, 3), degree=2, noise=0.5, random_state=0)
    X, C = data.X[100:], data.C[100:]
    optimal = data.oracle.solve(C).objectives
    held = _tree_sample.Sample(data.oracle, X, C, optimal, np.ones(200), None)
    alphas = _tree_pruning.prices(strength)
    found = _tree_pruning.held_out_regret(tree, strength, alphas, held)
    for alpha, regret in zip(alphas, found, strict=True):
        predicted = tree.cut(strength > alpha).mean(X)
        own = np.vecdot(C, data.oracle.solve(predicted).decisions) - optimal
        assert regret == pytest.approx(own.sum() / optimal.sum())
    assert alphas[0] == 0
    assert not (strength > alphas[-1]).any()


def test_a_level_is_one_call_of_the_oracle() -> None:
    n, p = DATA.X.shape
    one = stump(DATA.oracle).fit(DATA.X, DATA.C)
    # labels, the root, and two sides of every candidate of the only level
    assert (one.budget_.calls, one.budget_.instances) == (3, n + 1 + 2 * p * (n - 1))
    few = stump(DATA.oracle, max_candidates=7).fit(DATA.X, DATA.C)
    assert few.budget_.instances == n + 1 + 2 * p * 7
    deep = SPOTreeRegressor(DATA.oracle, ccp_alpha=0.0).fit(DATA.X, DATA.C)
    assert deep.budget_.calls <= deep.get_depth() + 3
    forest = SPOForestRegressor(DATA.oracle, n_estimators=7, random_state=0).fit(DATA.X, DATA.C)
    assert forest.budget_.calls <= forest.trees_.depths().max() + 3


def test_candidates_are_at_even_ranks() -> None:
    x = np.arange(100.0)[:, None]
    costs = np.where(x < 52, [[1.0, 2.0]], [[2.0, 1.0]])
    model = stump(Simplex(2), max_candidates=4).fit(x, costs)
    # of 99 cuts those at an eighth, three eighths, ...; five eighths decides the most rows right
    assert model.tree_.threshold[0] == 61.5
    assert stump(Simplex(2)).fit(x, costs).tree_.threshold[0] == 51.5


def test_blocks_threads_and_order_do_not_matter(monkeypatch) -> None:
    def fitted():
        model = SPOTreeRegressor(DATA.oracle, max_features=3, random_state=1)
        return model.fit(DATA.X, DATA.C)

    whole = fitted()
    set_threads(1)
    try:
        serial = fitted()
    finally:
        set_threads(None)
    monkeypatch.setattr(_tree_splits, "_BLOCK", 1000)
    blocks = fitted()
    assert blocks.budget_.calls > 2 * whole.budget_.calls
    for other in (serial, blocks):
        for name in ("feature", "threshold", "left", "right", "values", "loss"):
            np.testing.assert_array_equal(getattr(other.tree_, name), getattr(whole.tree_, name))
    monkeypatch.undo()
    order = np.random.default_rng(0).permutation(len(DATA.X))
    plain = SPOTreeRegressor(DATA.oracle, ccp_alpha=0.01)
    expected = plain.fit(DATA.X, DATA.C).predict(DATA.X)
    found = plain.fit(DATA.X[order], DATA.C[order]).predict(DATA.X)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("leaf", [SPOTreeRegressor, SPOForestRegressor])
def test_values_are_negative_costs(leaf) -> None:
    data = make_knapsack(80, n_items=5, n_dimensions=1, capacity=8, random_state=0)
    values = leaf(data.oracle, random_state=0).fit(data.X, data.C)
    costs = leaf(data.oracle.minimizing, random_state=0).fit(data.X, -data.C)
    np.testing.assert_array_equal(values.predict(data.X), -costs.predict(data.X))
    np.testing.assert_array_equal(values.decide(data.X), costs.decide(data.X))
    assert isinstance(data.oracle, Maximize)


def test_weights_are_repetitions_and_zero_is_absence() -> None:
    X, C = DATA.X[:60], DATA.C[:60]
    counts = np.random.default_rng(0).integers(0, 3, 60)
    rows = np.repeat(np.arange(60), counts)
    for leaf in (
        SPOTreeRegressor(DATA.oracle, ccp_alpha=0.002),
        SPOForestRegressor(DATA.oracle, n_estimators=2, bootstrap=False, max_features=None),
    ):
        weighted = leaf.fit(X, C, counts).predict(X)
        np.testing.assert_allclose(weighted, leaf.fit(X[rows], C[rows]).predict(X))
    # only ratios matter
    one = SPOTreeRegressor(DATA.oracle, random_state=0).fit(X, C, np.full(60, 0.25))
    np.testing.assert_allclose(
        one.predict(X), SPOTreeRegressor(DATA.oracle, random_state=0).fit(X, C).predict(X)
    )


def test_a_forest_is_the_mean_of_its_trees() -> None:
    whole = SPOForestRegressor(DATA.oracle, n_estimators=3, bootstrap=False, max_features=None)
    tree = SPOTreeRegressor(DATA.oracle, ccp_alpha=0.0).fit(DATA.X, DATA.C)
    # the tree is pruned of splits that save nothing, which the forest keeps
    own = whole.fit(DATA.X, DATA.C)
    np.testing.assert_allclose(own.decide(DATA.X), tree.decide(DATA.X))
    forest = SPOForestRegressor(DATA.oracle, n_estimators=5, random_state=0).fit(DATA.X, DATA.C)
    values = forest.trees_.values[forest.apply(DATA.X)]
    assert values.shape == (300, 5, 12)
    np.testing.assert_allclose(forest.predict(DATA.X), values.mean(1))
    assert len(np.unique(values[:, :, 0], axis=1)[0]) > 1
    # each tree has the weight of n rows
    np.testing.assert_allclose(forest.trees_.weight[forest.trees_.roots], 300)
    assert forest.feature_importances_.sum() == pytest.approx(1)


def test_a_forest_grows_in_groups_where_memory_is_short(monkeypatch) -> None:
    monkeypatch.setattr(spo_forest, "_BLOCK", 2 * 300 * 17)
    forest = SPOForestRegressor(DATA.oracle, n_estimators=5, random_state=0).fit(DATA.X, DATA.C)
    assert len(forest.trees_.roots) == 5
    leaves = forest.apply(DATA.X)
    assert forest.trees_.leaves[leaves].all()
    np.testing.assert_allclose(forest.trees_.weight[forest.trees_.roots], 300)
    # trees grown in groups are those grown at once
    same = forest.set_params(bootstrap=False, max_features=None)
    grouped = same.fit(DATA.X, DATA.C).trees_
    monkeypatch.undo()
    whole = same.fit(DATA.X, DATA.C).trees_
    assert whole.roots.tolist() == [0, 1, 2, 3, 4]
    assert grouped.roots[2] > 2
    for name in ("values", "loss"):
        found, expected = (getattr(t, name)[t.apply(DATA.X)] for t in (grouped, whole))
        np.testing.assert_array_equal(found, expected)


def test_forests_of_decisions_beat_forests_of_costs_and_single_trees() -> None:
    gaps = []
    for seed in range(3):
        data = make_shortest_path(1300, degree=6, noise=0.5, random_state=seed)
        train, test = slice(0, 300), slice(300, None)
        models = (
            SPOForestRegressor(data.oracle, n_estimators=50, random_state=0),
            SPOTreeRegressor(data.oracle, min_samples_leaf=5, random_state=0),
            PredictThenOptimizeRegressor(data.oracle, RandomForestRegressor(50, random_state=0)),
        )
        scores = [
            model.fit(data.X[train], data.C[train]).score(data.X[test], data.C[test])
            for model in models
        ]
        gaps.append([scores[0] - scores[1], scores[0] - scores[2]])
    assert (np.mean(gaps, axis=0) > 0.01).all(), gaps


def test_weights_of_leaves_serve_decisions_under_risk() -> None:
    forest = SPOForestRegressor(DATA.oracle, n_estimators=5, min_samples_leaf=5, random_state=0)
    weights = ForestWeights(forest).fit(DATA.X, DATA.C).weights(DATA.X[:4])
    assert weights.shape == (4, 300)
    np.testing.assert_allclose(weights.sum(1), 1)


def test_text_says_who_and_what() -> None:
    frame = pd.DataFrame({"load": [0.0, 1.0, 2.0, 3.0], "wind": 0.0})
    costs = pd.DataFrame({"coal": [1.0, 1.0, 4.0, 4.0], "gas": [2.0, 3.0, 2.0, 2.0]})
    model = SPOTreeRegressor(Simplex(2), ccp_alpha=0.0).fit(frame, costs)
    assert model.export_text() == (
        "load <= 1.5: 2 rows, mean regret 0, decide coal\n"
        "load > 1.5: 2 rows, mean regret 0, decide gas"
    )
    model.set_params(ccp_alpha=9.0).fit(frame, costs)
    # gas costs 9 in all, where the best decisions cost 6
    assert model.export_text() == "all: 4 rows, mean regret 0.75, decide gas"
    model = SPOTreeRegressor(Box(20), ccp_alpha=0.0).fit([[0.0], [1.0]], [[-1.0] * 20, [1.0] * 20])
    words = [f"w{j}" for j in range(8)]
    assert model.export_text() == (
        f"x0 <= 0.5: 1 rows, mean regret 0, decide {', '.join(words)}, and 12 more\n"
        "x0 > 0.5: 1 rows, mean regret 0, decide nothing"
    )


def test_text_of_deeper_trees_is_indented() -> None:
    model = SPOTreeRegressor(DATA.oracle, max_depth=3, ccp_alpha=0.0).fit(DATA.X, DATA.C)
    lines = model.export_text().splitlines()
    assert len(lines) == len(model.tree_.feature) - 1
    assert sum("decide" in line for line in lines) == model.get_n_leaves()
    assert max(len(line) - len(line.lstrip()) for line in lines) == 4 * (model.get_depth() - 1)


def test_values_that_are_next_to_each_other_are_kept_apart() -> None:
    low = 1.0
    high = np.nextafter(low, 2)
    X = np.array([[low], [high]])
    costs = np.array([[1.0, 2.0], [2.0, 1.0]])
    model = SPOTreeRegressor(Simplex(2), ccp_alpha=0.0).fit(X, costs)
    np.testing.assert_array_equal(model.predict(X), costs)
    huge = np.array([[-1e308], [1e308]])
    np.testing.assert_array_equal(model.fit(huge, costs).predict(huge), costs)


def table_of(n: int, dates=None) -> Table:
    return Table(np.zeros((n, 1)), np.zeros((n, 1)), True, None, dates, None, True)


def test_folds_keep_groups_together_and_look_ahead() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 8, 40)
    for train, held in folds_of(4, table_of(40), groups, rng):
        assert not set(groups[train]) & set(groups[held])
    dates = np.datetime64("2024-01-01") + rng.integers(0, 15, 40)
    for found in (
        folds_of(3, table_of(40, dates), None, rng),
        folds_of(3, table_of(40), dates, rng),
    ):
        assert found
        for train, held in found:
            assert dates[train].max() < dates[held].min()
    plain = folds_of(5, table_of(40), None, rng)
    assert sorted(np.concatenate([held for _, held in plain])) == list(range(40))
    assert folds_of(5, table_of(9), None, rng) == []
    # fewer groups make fewer folds; a splitter that looks back is refused
    assert len(folds_of(5, table_of(40), np.arange(40) % 3, rng)) == 3
    with pytest.raises(InvalidInputError, match="looks ahead"):
        folds_of(KFold(4), table_of(40, np.sort(dates)), None, rng)


def test_folds_without_weight_are_not_held_out() -> None:
    X, C = DATA.X[:60], DATA.C[:60]
    one = np.zeros(60)
    one[3] = 1
    model = SPOTreeRegressor(DATA.oracle, random_state=0).fit(X, C, one)
    np.testing.assert_allclose(model.predict(X), np.tile(C[3], (60, 1)))
    # of four folds in order, the last has no weight
    counts = np.repeat([1.0, 0.0], [45, 15])
    model.set_params(cv=KFold(4)).fit(X, C, counts)
    assert model.regret_path_.shape[1] == 3
    model.set_params(cv=[(np.arange(45), np.arange(45, 60))]).fit(X, C, counts)
    assert model.ccp_alpha_ == 0
    assert not hasattr(model, "alphas_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_depth": 0}, "max_depth=0, expected None or a whole number from 1"),
        ({"min_samples_leaf": 1.5}, "min_samples_leaf=1.5, expected a whole number from 1"),
        ({"max_candidates": -1}, "max_candidates=-1"),
        ({"max_features": 0.0}, "max_features=0.0"),
        ({"max_features": "sqrt"}, "max_features='sqrt'"),
        ({"ccp_alpha": -1.0}, "ccp_alpha=-1.0, expected 'cv' or a number from 0"),
        ({"ccp_alpha": "best"}, "ccp_alpha='best'"),
        ({"ccp_alpha": None}, "ccp_alpha=None, expected 'cv' or a number from 0"),
        ({"cv": 1}, "cv=1 .* at least 2 folds"),
    ],
)
def test_parameters_out_of_range_are_named(parameters: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message.replace("'", ".")):
        SPOTreeRegressor(DATA.oracle, **parameters).fit(DATA.X, DATA.C)


def test_other_errors() -> None:
    with pytest.raises(InvalidInputError, match="n_estimators=0"):
        SPOForestRegressor(DATA.oracle, n_estimators=0).fit(DATA.X, DATA.C)
    with pytest.raises(ValueError, match="zero"):
        SPOTreeRegressor(DATA.oracle).fit(DATA.X, DATA.C, np.zeros(300))
    with pytest.raises(InvalidInputError, match=r"one cost per row, expected 12; .* not"):
        SPOTreeRegressor(DATA.oracle).fit(DATA.X, DATA.C[:, 0], groups=np.arange(300) // 12)
    with pytest.raises(NotFittedError):
        SPOTreeRegressor(DATA.oracle).export_text()
    with pytest.raises(NotFittedError):
        SPOForestRegressor(DATA.oracle).apply(DATA.X)


@few
@given(seed=st.integers(0, 1000))
def test_trees_of_scikit_learn_are_copied_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    theirs = [DecisionTreeRegressor(max_depth=k, random_state=0).fit(X, Y) for k in (2, 5)]
    ours = Trees.join([Trees.of(tree) for tree in theirs])
    rounded = X.astype(np.float32).astype(float)
    np.testing.assert_array_equal(
        ours.apply(rounded) - ours.roots, np.column_stack([tree.apply(X) for tree in theirs])
    )
    expected = sum(tree.predict(X) for tree in theirs)
    np.testing.assert_allclose(ours.sum(rounded), expected, rtol=1e-14)
    singly = sum(tree.sum(rounded) for tree in ours)
    np.testing.assert_allclose(singly, expected, rtol=1e-14)


def test_cutting_every_way_is_walking_to_the_last_kept_split() -> None:
    tree, _ = full_tree(3, 30)
    X = np.random.default_rng(0).normal(size=(50, 5))
    inner = np.flatnonzero(~tree.leaves)[:4]
    for kept in itertools.product([False, True], repeat=len(inner)):
        keep = np.ones(len(tree.feature), dtype=bool)
        keep[inner] = kept
        nodes = _tree_pruning._stops(tree, keep, X)
        np.testing.assert_array_equal(tree.cut(keep).mean(X), tree.values[nodes])
