"""Losses through smoothed relaxations and permutahedra: exact values, certificates, learning."""

from __future__ import annotations

import highspy  # noqa: F401  (before CVXPY, which loads ortools)
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import rankdata, spearmanr

from dfl import DecisionFocusedRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InfeasibleError, InvalidInputError, SolverError, UnsupportedError
from dfl.layers import (
    BarrierLayer,
    FrankWolfeLayer,
    PermutahedronLayer,
    QuadraticLayer,
    soft_rank,
    soft_sort,
)
from dfl.losses import QuadraticRegretLoss
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Ellipsoid,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MeanVariancePortfolio,
    Oracle,
    Program,
    Ranking,
    Simplex,
    TopK,
)
from dfl_solvers.backends.barrier import BarrierProgram

KNAPSACK = Knapsack(np.array([[3.0, 4.0, 5.0, 6.0], [1.0, 5.0, 2.0, 2.0]]), np.array([9.0, 6.0]))
GENERAL = Program(
    # an equation, rows with one and two sides, variables with none, one, two and equal bounds
    [[1, 1, 1, 1, 0], [2, -1, 0, 3, 1], [0, 1, -1, 0, 2]],
    [1.0, -np.inf, -4.0],
    [1.0, 2.0, 4.0],
    [-np.inf, 0, 0, -2, 0.5],
    [np.inf, np.inf, 1, 2, 0.5],
)
PROGRAMS = {
    "assignment": Assignment(3).program(),
    "box": Box(4).program(),
    "general": GENERAL,
    "grid": GridShortestPath(3, 4).program(),
    "knapsack": KNAPSACK.program().relax(),
    "top-k": TopK(5, 2).program(),
}


def tensor(rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def differences(value, at: torch.Tensor, step: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function of a tensor (n, d)."""
    found = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        shift = torch.zeros_like(at)
        shift[place] = step
        found[place] = (value(at + shift) - value(at - shift)).item() / (2 * step)
    return found


def slacks(program: Program, x: np.ndarray) -> np.ndarray:
    """Slacks (n, m) of all inequalities that are no equations, from the definition."""
    values = np.hstack([x @ program.A.toarray().T, x])
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    free = lower < upper
    both = np.hstack([values - lower, upper - values])
    return both[:, np.concatenate([free & np.isfinite(lower), free & np.isfinite(upper)])]


@pytest.mark.parametrize("key", PROGRAMS)
@pytest.mark.parametrize("weight", [1.0, 1e-2, 1e-5])
def test_the_barrier_s_optimum_is_certified(
    key: str, weight: float, rng: np.random.Generator
) -> None:
    program = PROGRAMS[key]
    barrier = BarrierProgram(program, weight)
    costs = rng.normal(size=(20, program.n_variables))
    if key == "general":  # nothing else bounds the first variable
        costs[:, 0] = 0
    x = barrier.solve(costs).x
    assert program.violation(x) < 1e-9
    inner = slacks(program, x)
    assert (inner > 0).all()
    # multipliers mu / s make a dual solution whose gap is mu times the number of inequalities
    best = LinearProgram(program).solve(costs).objectives
    gap = (costs * x).sum(1) - best
    assert (gap > 0).all()
    np.testing.assert_array_less(gap, weight * inner.shape[1] * (1 + 1e-6))


def test_the_barrier_s_optimum_is_that_of_a_general_method(rng: np.random.Generator) -> None:
    program = KNAPSACK.program().relax()
    for costs in rng.normal(size=(5, 4)):
        (x,) = BarrierProgram(program, 0.3).solve(costs[None]).x

        def value(y: np.ndarray, costs: np.ndarray = costs) -> float:
            inside = slacks(program, y[None])[0]
            return costs @ y - 0.3 * np.log(np.maximum(inside, 1e-300)).sum()

        found = minimize(value, np.full(4, 0.3), method="Nelder-Mead",
                         options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 5000})  # fmt: skip
        np.testing.assert_allclose(x, found.x, atol=1e-5)


@pytest.mark.parametrize("key", PROGRAMS)
def test_the_barrier_s_gradient_is_that_of_central_differences(
    key: str, rng: np.random.Generator
) -> None:
    program = PROGRAMS[key]
    barrier = BarrierProgram(program, 0.1)
    costs, vectors = rng.normal(size=(2, 4, program.n_variables))
    if key == "general":
        costs[:, 0] = 0
    found = barrier.pull_back(barrier.solve(costs), vectors)
    for j in range(key == "general", program.n_variables):
        step = np.zeros(program.n_variables)
        step[j] = 1e-5
        ends = [(barrier.solve(costs + sign * step).x * vectors).sum(1) for sign in (1, -1)]
        np.testing.assert_allclose(found[:, j], (ends[0] - ends[1]) / 2e-5, atol=1e-6)


def test_inequalities_that_never_have_slack_count_as_equations() -> None:
    # the second item does not fit, and the padded ones of a mask have only zero
    tight = Knapsack(np.array([[1.0, 5.0]]), np.array([0.0]))
    decisions = BarrierLayer(tight)(tensor([[-3.0, 1.0]]))
    np.testing.assert_allclose(decisions, 0, atol=1e-12)
    masked = BarrierLayer(TopK(4, 1), 1e-9)(
        tensor([[3.0, 1.0, 2.0, -9.0]]), {"mask": np.array([[True, True, True, False]])}
    )
    np.testing.assert_allclose(masked, [[0, 1, 0, 0]], atol=1e-8)


def test_what_no_barrier_can_do_is_refused() -> None:
    one = np.ones(1)
    line = Program(np.array([[1.0, 1.0]]), one, one, np.full(2, -np.inf), np.full(2, np.inf))
    with pytest.raises(InvalidInputError, match="contains a line"):
        BarrierProgram(line, 1.0)
    with pytest.raises(InfeasibleError):
        BarrierProgram(Program([[1.0]], [2.0], [3.0], [0.0], [1.0]), 1.0)
    ray = Program(np.zeros((0, 1)), [], [], [0.0], [np.inf])
    with pytest.raises(SolverError, match="instance 1"):
        BarrierProgram(ray, 1.0).solve(np.array([[1.0], [-1.0]]))
    with pytest.raises(InvalidInputError, match="weight 0"):
        BarrierProgram(ray, 0.0)


@pytest.mark.parametrize("name", ["qptl", "intopt"])
def test_the_relaxation_s_regret_is_that_of_its_layer(name: str, rng: np.random.Generator) -> None:
    oracle = GridShortestPath(3, 3)
    predicted, true = (tensor(draw) for draw in rng.uniform(0.5, 2, size=(2, 6, 12)))
    layer = QuadraticLayer(oracle, 0.7) if name == "qptl" else BarrierLayer(oracle, 0.7)
    parameters = {"smoothing" if name == "qptl" else "weight": 0.7}
    output = predicted.clone().requires_grad_()
    found = make_loss(name, oracle, parameters)(output, Target(costs=true), "none")
    found.sum().backward()
    other = predicted.clone().requires_grad_()
    best = torch.from_numpy(oracle.solve(true.numpy()).objectives)
    expected = (layer(other) * true).sum(1) - best
    expected.sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-12)
    np.testing.assert_allclose(output.grad, other.grad, atol=1e-12)


@pytest.mark.parametrize(("name", "unit"), [("qptl", "smoothing"), ("intopt", "weight")])
def test_with_little_smoothing_the_value_is_regret_of_the_relaxation(
    name: str, unit: str, rng: np.random.Generator
) -> None:
    predicted, true = rng.normal(size=(2, 10, 4))
    relaxed = LinearProgram(KNAPSACK.program().relax())
    decisions = relaxed.solve(predicted).decisions
    expected = (true * decisions).sum(1) - KNAPSACK.solve(true).objectives
    loss = make_loss(name, KNAPSACK, {unit: 1e-6})
    found = loss(tensor(predicted), Target(costs=tensor(true)), "none")
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_loss_object_follows_the_oracle_that_it_is_given() -> None:
    loss = QuadraticRegretLoss(TopK(3, 1))
    output, target = tensor([[0.0, 1.0, 9.0]]), Target(costs=tensor([[1.0, 2.0, 4.0]]))
    first = loss(output, target).item()
    loss.oracle = TopK(3, 2)
    second = loss(output, target).item()
    assert second == make_loss("qptl", TopK(3, 2))(output, target).item() != first


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=7),
    st.sampled_from([0.05, 1.0, 8.0]),
    st.integers(1, 6),
)
def test_soft_top_k_is_a_projection(costs: list[float], strength: float, k: int) -> None:
    d = len(costs)
    oracle = TopK(d, min(k, d))
    found = PermutahedronLayer(oracle, strength)(tensor([costs])).numpy()
    expected = QuadraticLayer(oracle, strength)(tensor([costs])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.sampled_from([0.1, 1.0, 4.0]))
def test_soft_ranks_are_certified_projections(costs: list[float], strength: float) -> None:
    d = len(costs)
    oracle = Ranking(d)
    w = PermutahedronLayer(oracle, strength)(tensor([costs])).numpy()[0]
    # majorized by 1, ..., d
    assert w.sum() == pytest.approx(d * (d + 1) / 2)
    assert (np.cumsum(np.sort(w)) >= np.cumsum(np.arange(1, d + 1)) - 1e-9).all()
    # no ranking is better along the gradient at w
    gradient = np.array(costs) + strength * w
    best = oracle.solve(gradient[None]).decisions[0]
    assert gradient @ w <= gradient @ best + 1e-8 * (1 + np.abs(gradient).sum())
    ranks = soft_rank(-tensor([costs]), strength).numpy()[0]
    np.testing.assert_allclose(ranks, w, atol=1e-9)


def test_soft_rankings_are_those_of_the_hull_of_rankings(rng: np.random.Generator) -> None:
    costs = tensor(rng.normal(size=(10, 5)))
    for oracle in (Ranking(5), Ranking(5, 1 / np.log2(np.arange(2, 7))), Maximize(Ranking(5))):
        sides = [costs.clone().requires_grad_() for _ in range(2)]
        layers = (PermutahedronLayer(oracle, 0.5), FrankWolfeLayer(oracle, 0.5))
        found, expected = (layer(side) for layer, side in zip(layers, sides, strict=True))
        np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-8)
        for decisions in (found, expected):
            (decisions**2 * torch.arange(5)).sum().backward()
        np.testing.assert_allclose(sides[0].grad, sides[1].grad, atol=1e-7)


@pytest.mark.parametrize("function", [soft_rank, soft_sort])
def test_soft_ranks_and_sorted_values_between_exact_and_constant(
    function, rng: np.random.Generator
) -> None:
    values = tensor(rng.permutation(np.linspace(-2, 2, 7)) + rng.normal(size=(5, 1)))
    exact = rankdata(values, axis=1) if function is soft_rank else np.sort(values, axis=1)
    np.testing.assert_allclose(function(values, 1e-3), exact, atol=1e-9)
    flat = function(values, 1e6)
    np.testing.assert_allclose(flat.mean(1), exact.mean(1), atol=1e-9)
    np.testing.assert_allclose(flat, np.repeat(exact.mean(1, keepdims=True), 7, 1), atol=1e-4)
    values = tensor(rng.normal(size=(5, 7)))  # of no two steps alike, since there is a kink
    for strength in (0.3, 1.5):
        weights = tensor(rng.normal(size=(5, 7)))
        at = values.clone().requires_grad_()
        (function(at, strength) * weights).sum().backward()
        numeric = differences(lambda x, s=strength, w=weights: (function(x, s) * w).sum(), values)
        np.testing.assert_allclose(at.grad, numeric, atol=1e-6)


def test_soft_rank_loss_is_spearmans_correlation_where_it_is_hard(
    rng: np.random.Generator,
) -> None:
    predicted, true = rng.normal(size=(2, 8, 9))
    loss = make_loss("soft-rank", TopK(9, 2), {"strength": 1e-9})
    found = loss(tensor(predicted), Target(costs=tensor(true)), "none")
    expected = [
        (1 - spearmanr(one, two).statistic) * (81 - 1) / 6
        for one, two in zip(predicted, true, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("name", ["soft-rank", "permutahedron"])
def test_padding_has_no_part_in_ranks(name: str, rng: np.random.Generator) -> None:
    predicted, true = rng.normal(size=(2, 3, 6))
    mask = np.arange(6) < np.array([[4], [6], [2]])
    target = Target(costs=tensor(true), instance={"mask": mask})
    output = tensor(predicted).requires_grad_()
    found = make_loss(name, TopK(None, 2))(output, target, "none")
    found.sum().backward()
    np.testing.assert_array_equal(output.grad[~torch.from_numpy(mask)], 0)
    for i, m in enumerate((4, 6, 2)):
        alone = Target(costs=tensor(true[i : i + 1, :m]))
        expected = make_loss(name, TopK(m, 2))(tensor(predicted[i : i + 1, :m]), alone)
        assert found[i].item() == pytest.approx(expected.item(), abs=1e-12)


def test_what_permutahedra_and_barriers_refuse() -> None:
    with pytest.raises(UnsupportedError, match=r"does not go with Box.*permutations"):
        make_loss("permutahedron", Box(3))
    with pytest.raises(UnsupportedError, match="PermutahedronLayer does not go with Box"):
        PermutahedronLayer(Box(3))
    for name in ("qptl", "intopt"):
        with pytest.raises(UnsupportedError, match=r"does not go with Ball.*matrix form"):
            make_loss(name, Ball(3))
    for name, key in (
        ("qptl", "smoothing"), ("intopt", "weight"), ("permutahedron", "strength"),
        ("soft-rank", "strength"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=f"{key}=0"):
            make_loss(name, TopK(3, 1), {key: 0})
    with pytest.raises(InvalidInputError, match="expected floating-point numbers of shape"):
        soft_rank(torch.zeros(3))
    for shape in ((3,), (1, 3), (2, 4)):
        with pytest.raises(InvalidInputError, match=r"mask of shape .*, expected \(2, 3\)"):
            soft_rank(torch.zeros(2, 3), 1.0, np.ones(shape, dtype=bool))
    for layer in (BarrierLayer, FrankWolfeLayer, PermutahedronLayer, QuadraticLayer):
        with pytest.raises(InvalidInputError, match="got 4 costs per instance, expected 3"):
            layer(TopK(3, 1))(torch.zeros(2, 4))


@pytest.mark.parametrize("budget", ["equal", "at_most"])
def test_regret_with_a_price_on_risk_has_its_own_gradient(
    budget: str, rng: np.random.Generator
) -> None:
    factors = rng.normal(size=(5, 5))
    oracle = MeanVariancePortfolio(factors @ factors.T + np.eye(5), 0.5, budget)
    predicted, true = (tensor(draw) for draw in rng.normal(size=(2, 6, 5)))
    loss = make_loss("smooth-regret", oracle)
    target = loss.complete(Target(costs=true))
    output = predicted.clone().requires_grad_()
    values = loss(output, target, "none")
    values.sum().backward()
    expected = metrics.regret(oracle, predicted.numpy(), true.numpy())
    np.testing.assert_allclose(values.detach(), expected, atol=1e-9)
    numeric = differences(lambda x: loss(x, target, "sum"), predicted)
    np.testing.assert_allclose(output.grad, numeric, atol=1e-6)
    # the closed form that linear predictors are trained by
    single = {"covariance": np.repeat(oracle.covariance[None], 6, 0)}
    data = Target(costs=true, instance=single)
    again = predicted.clone().requires_grad_()
    loss(again, data, "sum").backward()
    np.testing.assert_allclose(again.grad, output.grad, atol=1e-12)


def test_convex_programs_of_cvxpy_have_derivatives(rng: np.random.Generator) -> None:
    cp = pytest.importorskip("cvxpy")
    from dfl_solvers.imports import from_cvxpy

    Q = np.diag([1.0, 2.0, 4.0])
    costs, vectors = rng.normal(size=(2, 8, 3))
    x, c, level = cp.Variable(3), cp.Parameter(3), cp.Parameter()
    square, total = cp.quad_form(x, Q) / 2, cp.sum(x)
    portfolio = from_cvxpy(
        cp.Problem(cp.Minimize(c @ x + square), [total == level, x >= 0]),
        {"c": c, "level": level},
        costs="c",
    )
    known = MeanVariancePortfolio(Q, 1.0)
    found = portfolio.vector_jacobian_product(costs, vectors, {"level": np.ones(8)})
    np.testing.assert_allclose(found, known.vector_jacobian_product(costs, vectors), atol=1e-6)
    # second-order cones: the surface is curved
    for bound, same in (
        (cp.norm(x) <= 1.0, Ball(3)),
        (cp.norm(np.sqrt(Q) @ x) <= 1.0, Ellipsoid(Q)),
    ):
        ball = from_cvxpy(cp.Problem(cp.Minimize(c @ x), [bound]), {"c": c})
        found = ball.vector_jacobian_product(costs, vectors)
        np.testing.assert_allclose(found, same.vector_jacobian_product(costs, vectors), atol=1e-3)
    # and a loss trains through them
    X = rng.normal(size=(60, 2))
    C = (X @ rng.normal(size=(2, 3))) ** 3
    simple = from_cvxpy(cp.Problem(cp.Minimize(c @ x + square), [total == 1, x >= 0]), {"c": c})
    scores = [
        DecisionFocusedRegressor(simple, name, max_iter=5, early_stopping=False, random_state=0)
        .fit(X, C)
        .score(X, C)
        for name in ("squared", "smooth-regret")
    ]
    assert scores[1] > scores[0]


def test_decisions_that_jump_are_refused() -> None:
    cp = pytest.importorskip("cvxpy")
    from dfl_solvers.imports import from_cvxpy

    x, c, level = cp.Variable(3), cp.Parameter(3), cp.Parameter()
    oracle = from_cvxpy(
        cp.Problem(cp.Minimize(c @ x), [cp.sum(x) == level, x >= 0]),
        {"c": c, "level": level},
        costs="c",
    )
    with pytest.raises(UnsupportedError, match="needs decisions with a derivative"):
        make_loss("smooth-regret", oracle)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("qptl", {"smoothing": 1.0}), ("intopt", {"weight": 0.1})],
)
def test_relaxed_losses_learn(name: str, parameters: dict[str, float]) -> None:
    data = make_shortest_path(600, grid=(4, 4), degree=6, noise=0.5, random_state=1)
    train, test = slice(0, 300), slice(300, 600)
    settings = {"max_iter": 20, "learning_rate": 0.01, "random_state": 0}
    scores = [
        DecisionFocusedRegressor(data.oracle, loss, loss_parameters=held, **settings)
        .fit(data.X[train], data.C[train])
        .score(data.X[test], data.C[test])
        for loss, held in (("squared", None), (name, parameters))
    ]
    assert scores[1] > scores[0] + 0.01


@pytest.mark.parametrize("name", ["soft-rank", "permutahedron"])
@pytest.mark.parametrize("oracle", [TopK(10, 3), Ranking(10), Simplex(10)], ids=repr)
def test_losses_of_permutations_learn(name: str, oracle: Oracle) -> None:
    # few large costs spoil least squares, and hardly matter for the order
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 10, 4))
    C = np.exp(1.5 * (X @ [1, -1, 0.5, 0])) * rng.lognormal(0, 0.3, (300, 10))
    items = np.repeat(np.arange(300), 10)
    X, C, train = X.reshape(-1, 4), C.ravel(), items < 100
    regrets = [
        1
        - DecisionFocusedRegressor(oracle, loss, max_iter=15, learning_rate=0.03, random_state=0)
        .fit(X[train], C[train], groups=items[train])
        .score(X[~train], C[~train], groups=items[~train])
        for loss in ("squared", name)
    ]
    assert regrets[1] < 0.5 * regrets[0]
