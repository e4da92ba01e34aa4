"""Exact training: the optimum, its proof, the penalty, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from dfl import (
    DecisionFocusedRegressor,
    PredictThenOptimizeRegressor,
    SPOPlusLinearRegressor,
    SPOPlusLinearRegressorCV,
    Target,
    make_loss,
)
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InfeasibleError, InvalidInputError, UnsupportedError
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Counting,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    Program,
    Simplex,
    TopK,
)


def table(n: int, p: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, (X @ rng.normal(size=(p, d))) ** 2 - 1 + rng.normal(size=(n, d))


def risk(model, X: np.ndarray, C: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Risk without penalty as the loss of the training loop computes it."""
    loss = make_loss("spo+", model.oracle)
    predicted, target = torch.from_numpy(model.predict(X)), Target(costs=torch.from_numpy(C))
    return float(np.average(loss(predicted, target, reduction="none").numpy(), weights=weights))


def penalty(model, X: np.ndarray, C: np.ndarray) -> float:
    """Penalty as the documentation defines it, without alpha."""
    scaled, unit = model.coef_ * X.std(axis=0), np.abs(C).mean()
    return float(np.abs(scaled).sum() if model.penalty == "l1" else (scaled**2).sum() / (2 * unit))


WEIGHTS = np.random.default_rng(3).uniform(1, 5, (2, 7))
CASES = {
    "path": (GridShortestPath(3, 3), 12),
    "top-k": (TopK(6, 2), 6),
    "assignment": (Assignment(3), 9),
    "simplex": (Simplex(5), 5),
    "box": (Box(4), 4),
    "knapsack relaxation": (LinearProgram(Knapsack(WEIGHTS, [6.0, 8.0]).program().relax()), 7),
    "known costs": (
        LinearProgram(
            Program(np.ones((1, 5)), [1], [2], [0] * 5, [1] * 5, fixed_costs=[0.3, -1, 0.5, 0, 1])
        ),
        5,
    ),
}
problem = pytest.mark.parametrize("name", CASES)


def test_the_optimum_on_a_small_graph_is_that_of_a_search_without_slopes() -> None:
    # a 2x2 grid has two paths, which differ in two coordinates each: the loss depends on one number
    X, C = table(12, 1, 4)
    model = SPOPlusLinearRegressor(GridShortestPath(2, 2)).fit(X, C)

    # first node -> right -> down against down -> right, edges in the oracle's order
    paths = np.unique(GridShortestPath(2, 2).solve(C).decisions, axis=0)
    assert len(paths) == 2
    difference = paths[0] - paths[1]

    def by_hand(parameters: np.ndarray) -> float:
        predicted = np.outer(parameters[0] + parameters[1] * X[:, 0], difference) / 4
        both = (2 * predicted - C) @ paths.T
        best = C @ paths.T
        at_best = np.take_along_axis(both, best.argmin(axis=1)[:, None], axis=1)[:, 0]
        return float((at_best - both.min(axis=1)).mean())

    found = min(
        minimize(by_hand, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).fun
        for start in np.random.default_rng(0).normal(size=(20, 2))
    )
    assert model.objective_ == pytest.approx(found, rel=1e-7)
    assert risk(model, X, C) == pytest.approx(model.objective_, rel=1e-12)
    assert model.duality_gap_ < 1e-6


@problem
@pytest.mark.parametrize("kind", [None, "l1", "l2"])
def test_solvers_agree_and_prove_it(name: str, kind: str | None) -> None:
    oracle, d = CASES[name]
    X, C = table(40, 2, d)
    alpha = 0.02 if kind else 0.0
    solvers = ["bundle", "qp"] + (["lp"] if kind != "l2" else [])
    models = [
        SPOPlusLinearRegressor(oracle, solver, penalty=kind, alpha=alpha).fit(X, C)
        for solver in solvers
    ]
    least = min(model.objective_ for model in models)
    unit = np.abs(C).mean()
    for model in models:
        assert 0 <= model.duality_gap_ <= 1e-6
        assert model.objective_ == pytest.approx(least, rel=2e-6)
        total = risk(model, X, C) + alpha * (penalty(model, X, C) if kind else 0.0)
        assert model.objective_ == pytest.approx(total, rel=1e-9)
    # no other coefficients are better by more than the gap, in any direction
    rng, model = np.random.default_rng(1), models[0]
    for size in (1e-3, 1e-1, 1.0):
        other = clone(model).fit(X, C)
        other.coef_ = model.coef_ + size * unit * rng.normal(size=model.coef_.shape)
        other.intercept_ = model.intercept_ + size * unit * rng.normal(size=d)
        total = risk(other, X, C) + alpha * (penalty(other, X, C) if kind else 0.0)
        assert total >= model.objective_ * (1 - 1e-6)


def test_a_vanishing_penalty_changes_nothing() -> None:
    X, C = table(60, 3, 6)
    plain = SPOPlusLinearRegressor(TopK(6, 2)).fit(X, C)
    for kind, solver in (("l2", "qp"), ("l2", "bundle"), ("l1", "lp")):
        model = SPOPlusLinearRegressor(TopK(6, 2), solver, penalty=kind, alpha=1e-9).fit(X, C)
        assert model.objective_ == pytest.approx(plain.objective_, rel=2e-6)


def test_no_worse_than_stochastic_training_and_least_squares() -> None:
    data = make_shortest_path(150, grid=(4, 4), degree=6, noise=0.5, random_state=0)
    exact = SPOPlusLinearRegressor(data.oracle).fit(data.X, data.C)
    stochastic = DecisionFocusedRegressor(
        data.oracle, max_iter=30, early_stopping=False, random_state=0
    ).fit(data.X, data.C)
    least = PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
    assert exact.duality_gap_ < 1e-6
    risks = [risk(model, data.X, data.C) for model in (exact, stochastic, least)]
    # each of the others is above what the certificate says no linear model can be below
    assert risks[0] < risks[1] < risks[2] * 0.9
    assert risks[0] <= exact.objective_ * (1 + 1e-9)


def test_the_least_risk_is_not_the_least_regret_where_least_squares_is_right() -> None:
    # well specified, few and noisy rows: the exact minimum overfits, and nothing here hides it
    ours, theirs = [], []
    for seed in range(4):
        data = make_shortest_path(560, grid=(4, 4), degree=1, noise=0.5, random_state=seed)
        train, test = (data.X[:60], data.C[:60]), (data.X[60:], data.C[60:])
        ours.append(SPOPlusLinearRegressor(data.oracle).fit(*train).score(*test))
        theirs.append(PredictThenOptimizeRegressor(data.oracle).fit(*train).score(*test))
    assert np.mean(theirs) > np.mean(ours)


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_coefficients_shrink_with_alpha(kind: str) -> None:
    X, C = table(60, 4, 6)
    model = SPOPlusLinearRegressor(TopK(6, 2), penalty=kind)
    path = model.path(X, C, [1e-3, 1e-1, 100.0])
    sizes = np.abs(path.coefs * X.std(axis=0)).sum(axis=(1, 2))
    assert sizes[0] > sizes[1] > sizes[2]
    assert path.risks[0] < path.risks[1] < path.risks[2]
    if kind == "l1":
        zeros = np.count_nonzero(np.abs(path.coefs) < 1e-6 * np.abs(C).mean(), axis=(1, 2))
        assert zeros[0] < zeros[1]
    assert sizes[2] < 1e-2 * sizes[0]
    # what is left is the best constant prediction: the intercept is free
    constant = SPOPlusLinearRegressor(TopK(6, 2)).fit(np.zeros_like(X), C)
    assert path.risks[2] == pytest.approx(constant.objective_, rel=1e-2)


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_a_path_is_fits_of_their_own(kind: str) -> None:
    X, C = table(50, 3, 5)
    alphas = [1e-3, 0.0, 1.0, 3e-2]
    model = SPOPlusLinearRegressor(Simplex(5), penalty=kind)
    path = model.path(X, C, alphas)
    assert path.coefs.shape == (4, 5, 3)
    assert path.intercepts.shape == (4, 5)
    np.testing.assert_array_equal(path.alphas, alphas)
    for k, alpha in enumerate(alphas):
        single = clone(model).set_params(alpha=alpha).fit(X, C)
        assert path.objectives[k] == pytest.approx(single.objective_, rel=2e-6)
        assert path.duality_gaps[k] <= 1e-6
        single.coef_, single.intercept_ = path.coefs[k], path.intercepts[k]
        assert risk(single, X, C) == pytest.approx(path.risks[k], rel=1e-9)
    assert path.n_iters.sum() < sum(
        clone(model).set_params(alpha=a).fit(X, C).n_iter_ for a in alphas
    )


@pytest.mark.parametrize(("kind", "solver"), [("l1", "bundle"), ("l2", "bundle"), ("l2", "qp")])
def test_units_do_not_matter(kind: str, solver: str) -> None:
    X, C = table(40, 2, 6)
    model = SPOPlusLinearRegressor(TopK(6, 2), solver, penalty=kind, alpha=0.05)
    base = clone(model).fit(X, C)
    other = clone(model).fit(X * [1e3, 1e-3] + 7.0, C * 1e4)
    assert other.objective_ == pytest.approx(1e4 * base.objective_, rel=2e-6)
    loss = 1e4 * risk(base, X, C) / risk(other, X * [1e3, 1e-3] + 7.0, C * 1e4)
    assert loss == pytest.approx(1.0, rel=1e-4)


def test_maximizing_is_minimizing_the_negative() -> None:
    X, V = table(40, 2, 6)
    for solver in ("bundle", "lp"):
        up = SPOPlusLinearRegressor(Maximize(TopK(6, 2)), solver).fit(X, V)
        down = SPOPlusLinearRegressor(TopK(6, 2), solver).fit(X, -V)
        np.testing.assert_allclose(up.predict(X), -down.predict(X), atol=1e-8)
        assert up.objective_ == pytest.approx(down.objective_)
        assert up.score(X, V) == pytest.approx(down.score(X, -V))


@pytest.mark.parametrize("solver", ["bundle", "lp", "qp"])
def test_a_weight_is_a_number_of_copies(solver: str) -> None:
    X, C = table(30, 2, 4)
    weights = np.random.default_rng(0).integers(0, 4, 30)
    model = SPOPlusLinearRegressor(Box(4), solver)
    weighted = clone(model).fit(X, C, sample_weight=weights)
    copied = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(C, weights, axis=0))
    assert weighted.objective_ == pytest.approx(copied.objective_, rel=2e-6)
    assert risk(weighted, X, C, weights) == pytest.approx(weighted.objective_, rel=1e-9)


@pytest.mark.parametrize("kind", [None, "l1", "l2"])
def test_instances_with_sets_of_their_own(kind: str | None) -> None:
    X, C = table(30, 2, 6)
    mask = np.random.default_rng(0).random((30, 6)) < 0.7
    mask[:, :2] = True
    alpha = 0.01 if kind else 0.0
    found = {}
    for solver in ("bundle", "qp") + (() if kind == "l2" else ("lp",)):
        model = SPOPlusLinearRegressor(TopK(6, 2), solver, penalty=kind, alpha=alpha)
        model.fit(X, C, instance={"mask": mask})
        assert model.duality_gap_ <= 1e-6
        found[solver] = model.objective_
        assert not model.decide(X, instance={"mask": mask})[~mask].any()
    assert max(found.values()) <= min(found.values()) * (1 + 2e-6)
    whole = SPOPlusLinearRegressor(TopK(6, 2), penalty=kind, alpha=alpha).fit(X, C)
    assert abs(whole.objective_ - found["bundle"]) > 1e-3


def test_integer_programs_are_relaxed_by_the_program_and_not_by_the_bundle() -> None:
    data = make_knapsack(
        60, n_items=7, n_dimensions=2, capacity=9, degree=4, noise=0.5, random_state=0
    )
    # its values are integers: without ties, labels do not depend on the scale of the values
    C = data.C + np.random.default_rng(1).uniform(-0.5, 0.5, data.C.shape)
    exact = SPOPlusLinearRegressor(data.oracle).fit(data.X, C)
    relaxed = SPOPlusLinearRegressor(data.oracle, "lp").fit(data.X, C)
    polyhedron = Maximize(LinearProgram(data.oracle.minimizing.program().relax()))
    same = SPOPlusLinearRegressor(polyhedron).fit(data.X, C)
    assert max(m.duality_gap_ for m in (exact, relaxed, same)) <= 1e-6
    assert relaxed.objective_ == pytest.approx(same.objective_, rel=2e-6)
    assert risk(exact, data.X, C) == pytest.approx(exact.objective_, rel=1e-9)
    assert risk(exact, data.X, C) <= risk(relaxed, data.X, C) * (1 + 1e-6)
    # capacities by instance, relaxed as well
    capacities = np.random.default_rng(0).uniform(5, 15, (60, 2))
    fits = [
        SPOPlusLinearRegressor(data.oracle, solver).fit(
            data.X, C, instance={"capacities": capacities}
        )
        for solver in ("lp", "qp")
    ]
    assert fits[0].objective_ == pytest.approx(fits[1].objective_, rel=2e-6)


def test_oracles_without_matrix_form() -> None:
    X, C = table(40, 2, 4)
    for oracle in (Ball(4), FromCallable(lambda c: np.eye(4)[c.argmin()], 4)):
        model = SPOPlusLinearRegressor(oracle).fit(X, C)
        assert model.duality_gap_ <= 1e-6
        words = f"'lp' does not go with {type(oracle).__name__}.*use solver='bundle'"
        with pytest.raises(UnsupportedError, match=words):
            clone(model).set_params(solver="lp").fit(X, C)
    by_hand = SPOPlusLinearRegressor(Simplex(4)).fit(X, C)
    assert model.objective_ == pytest.approx(by_hand.objective_, rel=2e-6)
    with pytest.raises(UnsupportedError, match=r"Box\(\) has no matrix form"):
        SPOPlusLinearRegressor(Box(), "qp").fit(X, C)


def test_perfect_fits_and_constant_features_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(30, 2)), np.full(30, 5.0)])
    C = X @ rng.normal(size=(3, 4)) + 1
    for solver in ("bundle", "lp", "qp"):
        model = SPOPlusLinearRegressor(Simplex(4), solver).fit(X, C)
        assert model.objective_ < 1e-7
        assert model.score(X, C) == pytest.approx(1.0, abs=1e-6)
    one = SPOPlusLinearRegressor(Box(1)).fit(X, C[:, 0])
    assert one.coef_.shape == (3,)
    assert isinstance(one.intercept_, float)


@pytest.mark.parametrize(("kind", "alpha"), [("l2", 1e-2), ("l1", 1e-2), ("l2", 1e-4)])
def test_small_risks_are_proved_as_well_as_large_ones(kind: str, alpha: float) -> None:
    # the risk is some thousandths of the costs, and what is left of a slope is no smaller than that
    for seed in range(4):
        data = make_knapsack(20, n_items=5, n_dimensions=2, capacity=9, degree=4, random_state=seed)
        model = SPOPlusLinearRegressor(data.oracle, penalty=kind, alpha=alpha)
        model.fit(data.X, data.C)  # a warning would be an error
        assert model.duality_gap_ <= 1e-6
        assert model.n_iter_ < 40


def test_a_search_that_cannot_go_on_ends() -> None:
    X, C = table(40, 2, 6)
    model = SPOPlusLinearRegressor(TopK(6, 2), tol=1e-300, max_iter=500)
    with pytest.warns(ConvergenceWarning, match="relative gap"):
        model.fit(X, C)
    assert model.n_iter_ < 100
    assert model.duality_gap_ < 1e-6


def test_too_few_steps_are_confessed() -> None:
    X, C = table(40, 2, 6)
    model = SPOPlusLinearRegressor(TopK(6, 2), max_iter=2)
    with pytest.warns(ConvergenceWarning, match="relative gap is .* after 2 iterations"):
        model.fit(X, C)
    best = SPOPlusLinearRegressor(TopK(6, 2)).fit(X, C).objective_
    # honest: the optimum lies within the gap that was reported
    assert model.objective_ * (1 - model.duality_gap_) <= best <= model.objective_


def test_grid_search_and_cross_validation_choose_alpha_by_regret() -> None:
    data = make_shortest_path(60, grid=(3, 3), degree=2, noise=0.5, random_state=0)
    alphas = [1.0, 1e-1, 1e-2, 1e-4]
    search = GridSearchCV(
        SPOPlusLinearRegressor(data.oracle, penalty="l2"), {"alpha": alphas}, cv=3
    ).fit(data.X, data.C)
    oracle = Counting(data.oracle)
    model = SPOPlusLinearRegressorCV(oracle, alphas=alphas, cv=3).fit(data.X, data.C)
    assert model.budget_.instances == oracle.counts.instances > 4 * 60
    assert model.regret_path_.shape == (4, 3)
    # the search scores 1 - regret, by fits of their own
    by_search = 1 - search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(model.regret_path_.mean(axis=1), by_search, atol=5e-3)
    assert model.alpha_ == alphas[model.regret_path_.mean(axis=1).argmin()]
    single = SPOPlusLinearRegressor(data.oracle, penalty="l2", alpha=model.alpha_)
    np.testing.assert_array_equal(single.fit(data.X, data.C).coef_, model.coef_)
    assert model.decide(data.X).shape == data.C.shape


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"solver": "simplex"}, "got solver='simplex'"),
        ({"penalty": "l3"}, "got penalty='l3'"),
        ({"alpha": -1.0, "penalty": "l2"}, "got alpha=-1.0"),
        ({"solver": "lp", "penalty": "l2"}, "solver='lp' with penalty='l2'.*use solver='qp'"),
        ({"tol": 0.0}, "got tol=0.0"),
        ({"max_iter": 0}, "max_iter=0"),
    ],
)
def test_bad_parameters_are_named(parameters, words: str) -> None:
    X, C = table(10, 2, 4)
    with pytest.raises(InvalidInputError, match=words):
        SPOPlusLinearRegressor(Box(4), **parameters).fit(X, C)


def test_bad_input_is_named() -> None:
    X, C = table(10, 2, 4)
    with pytest.raises(InvalidInputError, match="SPOPlusLinearRegressor needs an oracle"):
        SPOPlusLinearRegressor().fit(X, C)
    with pytest.raises(InvalidInputError, match="got 4 costs per row, expected 5"):
        SPOPlusLinearRegressor(Box(5)).fit(X, C)
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        SPOPlusLinearRegressor(Box(4)).fit(X, C, np.zeros(10))
    with pytest.raises(InvalidInputError, match=r"'mask' of shape \(3, 4\).*dimension of 10"):
        SPOPlusLinearRegressor(Box(4)).fit(X, C, instance={"mask": np.ones((3, 4))})
    with pytest.raises(InvalidInputError, match=r"path: got penalty=None"):
        SPOPlusLinearRegressor(Box(4)).path(X, C, [0.1])
    with pytest.raises(InvalidInputError, match=r"got alphas=\[\]"):
        SPOPlusLinearRegressor(Box(4), penalty="l1").path(X, C, [])
    empty = LinearProgram(Program([[1.0] * 4], [9.0], [9.0], [0] * 4, [1] * 4))
    with pytest.raises(InfeasibleError, match="instance 0"):
        SPOPlusLinearRegressor(empty).fit(X, C)
