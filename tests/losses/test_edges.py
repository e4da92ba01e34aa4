"""Adjacent vertices, bases and what is made of them: exact sets, properties, learning."""

from __future__ import annotations

import copy
import itertools
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError, SolverError, UnsupportedError
from dfl.losses._cones import NormalCones
from dfl.losses._edges import AdjacentMoves, BasisMoves, _edges
from dfl_solvers import (
    Assignment,
    Box,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    MixedIntegerProgram,
    Oracle,
    Program,
    ShortestPath,
    Simplex,
    TopK,
    TravelingSalesman,
)

SETS: dict[str, Oracle] = {
    "assignment": Assignment(4),
    "box": Box(4),
    "graph": ShortestPath([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3)], 0, 3),
    "grid": GridShortestPath(3, 4),
    "knapsack": MixedIntegerProgram(
        Knapsack(np.array([[3.0, 4, 5, 6, 2], [1, 2, 3, 4, 5]]), np.array([9.0, 7.0])).program()
    ).relax(),
    "simplex": Simplex(5),
    "top-k": TopK(5, 2),
}


def tensor(rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def vertices_of(oracle: Oracle, rng: np.random.Generator) -> np.ndarray:
    costs = rng.normal(size=(3000, oracle.n_costs))
    return np.unique(oracle.solve(costs).decisions.round(9), axis=0)


def adjacent_by_definition(points: np.ndarray, at: int) -> list[tuple[float, ...]]:
    """Two vertices share an edge if no mean of others is their midpoint."""
    found = []
    for j in range(len(points)):
        if j == at:
            continue
        # as much as possible of the midpoint from the others
        worth = -np.ones(len(points))
        worth[[at, j]] = 0.0
        middle = np.append((points[at] + points[j]) / 2, 1.0)
        A = np.vstack([points.T, np.ones(len(points))])
        if linprog(worth, A_eq=A, b_eq=middle, bounds=(0, None)).fun > -1e-7:
            found.append(points[j] - points[at])
    return as_set(np.array(found))


def as_set(moves: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(map(tuple, moves.round(6) + 0.0))


@pytest.mark.parametrize("key", SETS)
def test_adjacent_vertices_are_those_of_the_definition(key: str, rng: np.random.Generator) -> None:
    oracle = SETS[key]
    points = vertices_of(oracle, rng)
    find = AdjacentMoves(oracle.program(), 1000)
    cones = NormalCones(oracle.program().relax())
    for at in range(min(len(points), 5)):
        expected = adjacent_by_definition(points, at)
        assert as_set(find(points[at], None)) == expected
        # the general way finds what the one for networks finds
        assert as_set(_edges(points[at], find.program, cones, 1000)) == expected


def test_known_numbers_of_adjacent_vertices() -> None:
    for oracle, count in (
        (Box(7), 7),
        (Simplex(6), 5),
        (TopK(7, 3), 12),
        # cycles of two, three, four and five of five
        (Assignment(5), 10 + 20 + 30 + 24),
    ):
        decision = oracle.solve(np.arange(oracle.n_costs)[None] - 3.5).decisions[0]
        assert len(AdjacentMoves(oracle.program(), 1000)(decision, None)) == count


def test_the_nearest_are_kept_in_networks() -> None:
    oracle = Assignment(5)
    decision = np.eye(5).ravel()
    find = AdjacentMoves(oracle.program(), 30)
    sizes = np.abs(find(decision, None)).sum(1)
    np.testing.assert_array_equal(sizes, [4] * 10 + [6] * 20)


def test_an_edge_without_an_end_counts_with_length_one() -> None:
    # x + y >= 1 in the positive quarter, at (0, 1): to (1, 0), and up
    program = Program([[1.0, 1.0]], [1.0], [np.inf], [0.0, 0.0], [np.inf, np.inf])
    moves = AdjacentMoves(program, 10)(np.array([0.0, 1.0]), None)
    assert as_set(moves) == [(0.0, 1.0), (1.0, -1.0)]


def test_too_many_edges_and_points_that_are_no_vertices_are_refused() -> None:
    program = SETS["knapsack"].program()
    # the tip of a pyramid over a square, with four edges
    walls = [[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1]]
    pyramid = Program(walls, np.full(4, -np.inf), np.ones(4), np.full(3, -9.0), np.full(3, 9.0))
    tip = np.array([0.0, 0.0, 1.0])
    assert len(AdjacentMoves(pyramid, 4)(tip, None)) == 4
    with pytest.raises(SolverError, match="more than 3 adjacent vertices; raise max_adjacent"):
        AdjacentMoves(pyramid, 3)(tip, None)
    inside = np.full(5, 0.4)
    for find in (AdjacentMoves(program, 10), BasisMoves(program)):
        with pytest.raises(InvalidInputError, match="no vertex of the linear relaxation"):
            find(inside, None)
    # no path, nor a set of two, however whole its numbers are
    for oracle, decision in ((GridShortestPath(3, 3), np.zeros(12)), (TopK(4, 2), np.ones(4))):
        for find in (AdjacentMoves(oracle.program(), 10), BasisMoves(oracle.program())):
            with pytest.raises(InvalidInputError, match=r"breaks a constraint .* by [12],"):
                find(decision, None)
    for name in ("adjacent-vertex", "optimality-margin"):
        with pytest.raises(UnsupportedError, match="decision_map"):
            make_loss(name, TravelingSalesman(4))
        with pytest.raises(InvalidInputError, match="margin=-1"):
            make_loss(name, Box(2), {"margin": -1})
    with pytest.raises(InvalidInputError, match="max_adjacent=0"):
        make_loss("adjacent-vertex", Box(2), {"max_adjacent": 0})


def test_adjacent_vertex_loss_by_hand() -> None:
    good = Target(decisions=tensor([[0.0, 1.0]]))
    # at (0, 1) of the box, p.(w* - v) is -p_1 and p_2
    output = tensor([[0.5, 2.0]]).requires_grad_()
    value = make_loss("adjacent-vertex", Box(2), {"margin": 0.1})(output, good)
    value.backward()
    assert value.item() == pytest.approx(2.0 - 0.1)
    np.testing.assert_array_equal(output.grad, [[0.0, 1.0]])
    value = make_loss("adjacent-vertex", Box(2))(output, good)
    assert value.item() == pytest.approx(2.0 - 0.5)
    # the two paths of a square differ by all four edges
    square = make_loss("adjacent-vertex", GridShortestPath(2, 2), {"margin": 0.0})
    path = Target(decisions=tensor([[1.0, 0.0, 1.0, 0.0]]))
    assert square(tensor([[1.0, 2.0, 3.0, 0.5]]), path).item() == pytest.approx(4.0 - 2.5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SETS)), st.integers(0, 2**32 - 1))
def test_without_margin_it_is_zero_where_the_decision_is_optimal_and_only_there(
    key: str, seed: int
) -> None:
    oracle = SETS[key]
    predicted, true = np.random.default_rng(seed).normal(size=(2, 8, oracle.n_costs))
    predicted[:4] = true[:4] + 0.1 * predicted[:4]
    target = Target(decisions=tensor(oracle.solve(true).decisions))
    loss = make_loss("adjacent-vertex", oracle, {"margin": 0.0})
    values = loss(tensor(predicted), target, "none").numpy()
    gap = (predicted * target.decisions.numpy()).sum(1) - oracle.solve(predicted).objectives
    np.testing.assert_array_equal(values < 1e-9, gap < 1e-9)


def test_reduced_costs_are_those_of_a_basis_by_hand() -> None:
    # x + y + z = 1, at (1, 0, 0): reduced costs of y and z are p_2 - p_1 and p_3 - p_1
    good = Target(decisions=tensor([[1.0, 0.0, 0.0]]))
    output = tensor([[1.0, 1.25, 3.0]]).requires_grad_()
    loss = make_loss("optimality-margin", Simplex(3))
    value = loss(output, good)
    value.backward()
    assert value.item() == pytest.approx(0.75)
    np.testing.assert_allclose(output.grad, [[1.0, -1.0, 0.0]], atol=1e-12)


@pytest.mark.parametrize("key", SETS)
def test_bases_are_optimal_for_the_costs_they_come_from(key: str, rng: np.random.Generator) -> None:
    oracle = SETS[key]
    program = oracle.program()
    costs = rng.normal(size=(20, oracle.n_costs))
    decisions = oracle.solve(costs).decisions
    find = BasisMoves(program)
    dimension = find.cones.rays.shape[1]
    for decision, row in zip(decisions, costs, strict=True):
        moves = find(decision, row)
        assert np.linalg.matrix_rank(moves) == len(moves) == dimension
        assert (moves @ row >= -1e-9).all()
        # each leaves one tight constraint and keeps the equations
        equations = program.row_lower == program.row_upper
        np.testing.assert_allclose((moves @ program.A.T)[:, equations], 0, atol=1e-9)
    # a loss of at most the margin proves an optimum
    loss = make_loss("optimality-margin", oracle)
    target = Target(costs=tensor(costs), decisions=tensor(decisions))
    predicted = costs + 0.3 * rng.normal(size=costs.shape)
    values = loss(tensor(predicted), target, "none").numpy()
    gap = (predicted * decisions).sum(1) - oracle.solve(predicted).objectives
    assert (gap[values <= 1.0] < 1e-9).all()
    large = loss(tensor(1e6 * costs), target, "none")
    np.testing.assert_allclose(large, 0, atol=1e-6)


def test_edges_are_found_once_and_travel_with_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    plain = AdjacentMoves.__call__

    def counted(self, decision, costs):
        calls.append(1)
        return plain(self, decision, costs)

    monkeypatch.setattr(AdjacentMoves, "__call__", counted)
    data = make_shortest_path(30, random_state=0)
    loss = make_loss("adjacent-vertex", data.oracle)
    target = loss.complete(Target(costs=tensor(data.C)))
    first = loss(tensor(data.C), target)
    distinct = len(np.unique(target.decisions, axis=0))
    assert len(calls) == distinct
    for again in (loss, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301
        assert again(tensor(data.C), target).item() == first.item()
    # unpickled, the oracle is another one
    assert len(calls) <= 3 * distinct
    assert loss(tensor(data.C), target).item() == first.item()


def test_edges_of_a_batch_are_never_dense_together(rng: np.random.Generator) -> None:
    oracle = GridShortestPath(14, 14)
    loss = make_loss("adjacent-vertex", oracle)
    costs = tensor(rng.uniform(size=(30, oracle.n_costs)))
    target = loss.complete(Target(costs=costs))
    loss(costs[:1], target.rows(slice(0, 1)))  # compiles
    tracemalloc.start()
    loss(costs, target)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 * 1000 * oracle.n_costs * 8  # of the dense moves alone


@pytest.mark.parametrize("name", ["adjacent-vertex", "optimality-margin", "imitation"])
def test_they_beat_least_squares_where_the_model_is_wrong(name: str) -> None:
    better = []
    for degree, seed in itertools.product((4, 6), (1, 2)):
        data = make_shortest_path(1500, degree=degree, noise=0.5, random_state=seed)
        train, test = slice(0, 500), slice(500, 1500)
        regrets = []
        for model in (
            DecisionFocusedRegressor(
                data.oracle, name, max_iter=20, learning_rate=0.03, random_state=0
            ),
            PredictThenOptimizeRegressor(data.oracle),
        ):
            model.fit(data.X[train], data.C[train])
            predicted = model.predict(data.X[test])
            regrets.append(metrics.normalized_regret(data.oracle, predicted, data.C[test]))
        better.append(regrets[1] - regrets[0])
    assert np.mean(better) > 0.003


def test_adjacent_vertex_learns_from_decisions_alone() -> None:
    data = make_shortest_path(900, degree=4, noise=0.5, random_state=3)
    good = data.oracle.solve(data.C[:500]).decisions
    model = DecisionFocusedRegressor(
        data.oracle, "adjacent-vertex", max_iter=20, learning_rate=0.03, random_state=0
    ).fit(data.X[:500], decisions=good)
    constant = np.tile(data.C[:500].mean(0), (400, 1))
    found, idle = (
        metrics.normalized_regret(data.oracle, predicted, data.C[500:])
        for predicted in (model.predict(data.X[500:]), constant)
    )
    assert found < 0.6 * idle


@pytest.mark.parametrize("key", ["box", "grid", "top-k"])
def test_imitation_has_the_named_losses_as_members(key: str, rng: np.random.Generator) -> None:
    oracle = SETS[key]
    predicted, true = (tensor(draw) for draw in rng.normal(size=(2, 6, oracle.n_costs)))
    target = make_loss("spo+", oracle).complete(Target(costs=true))
    size = (target.decisions**2).sum(1)

    def both(ours: dict, name: str, theirs: dict, factor: float = 1.0, more: object = 0.0) -> None:
        outputs = [predicted.clone().requires_grad_() for _ in range(2)]
        value = make_loss("imitation", oracle, ours)(outputs[0], target, "none")
        other = factor * make_loss(name, oracle, theirs)(outputs[1], target, "none") + more
        np.testing.assert_allclose(value.detach(), other.detach(), atol=1e-9)
        for part in (value, other):
            part.sum().backward()
        np.testing.assert_allclose(outputs[0].grad, outputs[1].grad, atol=1e-7)

    both({"base": "none", "strength": 0.5}, "regularized-fenchel-young", {"strength": 0.5})
    both({"strength": 0.0, "scale": 1 / 0.7}, "structured-svm", {"margin": 0.7}, 1 / 0.7)
    both({"base": "regret", "strength": 0.0, "scale": 2.0}, "spo+", {})
    both(
        {"base": "regret", "strength": 0.5, "scale": 2.0},
        "smoothed-spo+", {"strength": 0.5}, more=0.25 * size,
    )  # fmt: skip


def test_imitation_is_the_largest_of_its_definition(rng: np.random.Generator) -> None:
    # over the hull of two decisions it is a maximum over one number
    oracle = Simplex(2)
    share = np.linspace(0, 1, 20001)
    points = np.stack([share, 1 - share], axis=1)
    good = np.array([1.0, 0.0])
    for base, strength, scale in itertools.product(("none", "hamming"), (0.0, 0.8), (0.5, 2.0)):
        predicted = rng.normal(size=2)
        distance = (points - good) @ (1 - 2 * good) if base == "hamming" else 0.0
        own = strength / 2 * ((points**2).sum(1) - 1)
        expected = (distance + scale * (good - points) @ predicted - own).max()
        parameters = {"base": base, "strength": strength, "scale": scale}
        loss = make_loss("imitation", oracle, parameters)
        found = loss(tensor(predicted[None]), Target(decisions=tensor(good[None])))
        assert found.item() == pytest.approx(expected, abs=1e-7)


def test_imitation_on_the_simplex_is_twice_the_zero_one_hinge(rng: np.random.Generator) -> None:
    loss = make_loss("imitation", Simplex(4), {"strength": 0.0, "scale": 2.0})
    predicted = rng.normal(size=(20, 4))
    others = predicted[:, 1:].min(1)
    hinge = np.maximum(0, 1 + predicted[:, 0] - others)
    good = tensor(np.tile([1.0, 0, 0, 0], (20, 1)))
    found = loss(tensor(predicted), Target(decisions=good), "none")
    np.testing.assert_allclose(found, 2 * hinge, atol=1e-12)


def test_imitation_says_what_it_needs() -> None:
    loss = make_loss("imitation", Box(2), {"base": "regret"})
    with pytest.raises(InvalidInputError, match="needs costs"):
        loss(tensor([[1.0, 2.0]]), Target(decisions=tensor([[0.0, 1.0]])))
    for parameters, words in (
        ({"base": "l2"}, "base='l2'"),
        ({"strength": -1.0}, "strength=-1.0"),
        ({"scale": 0.0}, "scale=0.0"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            make_loss("imitation", Box(2), parameters)


def test_cones_of_linear_programs_keep_their_projections_from_any_start(
    rng: np.random.Generator,
) -> None:
    # the kernel that starts at given weights ends where it ends without
    from dfl.losses._cones import _nonnegative

    rays = rng.normal(size=(12, 5))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    points = rng.normal(size=(2, 5))
    gram, spans = rays @ rays.T, np.ones((1, 12), dtype=bool)
    first, second = (_nonnegative((rays @ p)[None], gram, spans, 5) for p in points)
    again = _nonnegative((rays @ points[1])[None], gram, spans, 5, first.copy())
    np.testing.assert_allclose(again @ rays, second @ rays, atol=1e-10)
    assert (again >= 0).all()


def test_linear_programs_with_fixed_variables_have_edges_too() -> None:
    program = Program([[1.0, 1.0, 1.0]], [2.0], [2.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    oracle = LinearProgram(program)
    loss = make_loss("adjacent-vertex", oracle, {"margin": 0.0})
    good = Target(decisions=tensor([[1.0, 1.0, 0.0]]))
    assert loss(tensor([[2.0, 5.0, 0.5]]), good).item() == pytest.approx(1.5)
