"""Losses that turn predictions to a direction or a cone: exact values, properties, learning."""

from __future__ import annotations

import contextlib
import importlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from dfl import DecisionFocusedRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path, make_traveling_salesman
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses._cones import NormalCones
from dfl.risk import CVaRLoss
from dfl.training import Checkpoint, TableSource, train
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MeanVariancePortfolio,
    MixedIntegerProgram,
    Oracle,
    Program,
    Simplex,
    TopK,
    TravelingSalesman,
)

CONES: dict[str, Oracle] = {
    "assignment": Assignment(4),
    "box": Box(5),
    "general": LinearProgram(
        # an equation, rows with one and with two sides, and variables with none, one and two
        Program(
            [[1, 1, 1, 1, 0], [2, -1, 0, 3, 1], [0, 1, -1, 0, 2]],
            [1.0, -np.inf, -1.0],
            [1.0, 2.0, 1.0],
            [-np.inf, 0, 0, -2, 0.5],
            [3.0, np.inf, 1, 2, 0.5],
        )
    ),
    "grid": GridShortestPath(4, 5),
    "knapsack": MixedIntegerProgram(
        Knapsack(np.array([[3.0, 4.0, 5.0, 6.0]]), np.array([9.0])).program()
    ).relax(),
    "top-k": TopK(6, 2),
}


def tensor(rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def normals_at(program: Program, decision: np.ndarray) -> np.ndarray:
    """Every tight normal of a program at a decision, from the definition, equations twice."""
    A = np.concatenate([program.A.toarray(), np.eye(program.n_variables)])
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    value = A @ decision
    return np.concatenate([-A[value <= lower + 1e-6], A[value >= upper - 1e-6]])


def test_cosine_by_hand_and_on_a_ball(rng: np.random.Generator) -> None:
    output = tensor([[4.0, 3.0]]).requires_grad_()
    value = make_loss("cosine", Ball(2))(output, Target(costs=tensor([[0.0, 2.0]])))
    value.backward()
    assert value.item() == pytest.approx(0.4, abs=1e-15)
    # -(q - cos u) / |p| with the unit vectors q = (0, 1) of c and u = (4, 3) / 5 of p
    np.testing.assert_allclose(output.grad[0], [0.48 / 5, -0.64 / 5], atol=1e-15)
    predicted, true = rng.normal(size=(2, 40, 3))
    oracle = Ball(3, radius=2.0)
    values = make_loss("cosine", oracle)(
        torch.tensor(predicted), Target(costs=tensor(true)), "none"
    )
    regret = metrics.regret(oracle, predicted, true)
    np.testing.assert_allclose(2 * np.linalg.norm(true, axis=1) * values.numpy(), regret, atol=1e-9)


@pytest.mark.parametrize("name", ["cosine", "weighted-direction"])
def test_nothing_breaks_at_zero(name: str) -> None:
    for predicted, true in (((0.0, 0.0), (1.0, 2.0)), ((1.0, 2.0), (0.0, 0.0))):
        output = tensor([predicted]).requires_grad_()
        value = make_loss(name, Box())(output, Target(costs=tensor([true])))
        value.backward()
        assert value.isfinite()
        assert output.grad.isfinite().all()
    assert value.item() == (1 if name == "cosine" else 0)


@pytest.mark.parametrize("name", ["cosine", "weighted-direction", "cave"])
def test_losses_without_a_unit_refuse_a_part_of_the_objective_that_has_one(name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"objective that is c\.w alone|matrix form"):
        make_loss(name, MeanVariancePortfolio(np.eye(2), 1.0))


def test_weighted_direction_by_hand() -> None:
    output = tensor([[1.0, 0.0]]).requires_grad_()
    value = make_loss("weighted-direction", Box())(output, Target(costs=tensor([[3.0, 4.0]])))
    value.backward()
    # 5 ((1 - 0.6)^2 + 0.8^2) and 10 (p - c / 5)
    assert value.item() == pytest.approx(4.0, abs=1e-14)
    np.testing.assert_allclose(output.grad[0], [4.0, -8.0], atol=1e-14)


def test_weighted_direction_finds_the_direction_of_the_mean_costs(rng: np.random.Generator) -> None:
    # long costs point elsewhere than short ones
    length = rng.lognormal(sigma=1.5, size=(500, 1))
    costs = torch.tensor(
        length * (rng.uniform(size=(500, 4)) + np.array([3, 0, 0, 0]) * (length > 1))
    )
    target = Target(costs=costs)
    loss = make_loss("weighted-direction", Simplex(4))
    best = (costs.mean(0) / torch.linalg.vector_norm(costs, dim=1).mean()).requires_grad_()
    loss(best.expand(500, 4), target).backward()
    np.testing.assert_allclose(best.grad, 0, atol=1e-10)
    # the mean of the directions is another one, and least squares on them would find it
    other = (costs / torch.linalg.vector_norm(costs, dim=1, keepdim=True)).mean(0)
    assert torch.cosine_similarity(best.detach(), other, dim=0) < 0.999


def test_weighted_direction_is_least_squares_for_costs_of_one_length(
    rng: np.random.Generator,
) -> None:
    costs = rng.normal(size=(20, 3))
    costs *= 2.0 / np.linalg.norm(costs, axis=1, keepdims=True)
    predicted = torch.tensor(rng.normal(size=(20, 3)))
    target = Target(costs=tensor(costs))
    found = make_loss("weighted-direction", Box())(predicted, target, "none")
    squared = make_loss("squared", Box())(2 * predicted, target, "none")
    np.testing.assert_allclose(found, 3 / 2 * squared, atol=1e-12)


def test_structured_svm_by_hand() -> None:
    # over paths e_j: 2 m for another, so max(0, 2 m + p_1 - min(p_2, p_3))
    good = Target(decisions=tensor([[1.0, 0.0, 0.0]]))
    for margin, value, gradient in ((1.0, 4.0, (1, 0, -1)), (0.25, 2.5, (1, 0, -1))):
        output = tensor([[3.0, 2.0, 1.0]]).requires_grad_()
        found = make_loss("structured-svm", Simplex(3), {"margin": margin})(output, good)
        found.backward()
        assert found.item() == pytest.approx(value)
        np.testing.assert_array_equal(output.grad[0], gradient)
    far = make_loss("structured-svm", Simplex(3))
    assert far(tensor([[0.0, 2.0, 2.0]]), good).item() == 0
    assert far(tensor([[0.0, 1.5, 2.0]]), good).item() == pytest.approx(0.5)
    with pytest.raises(InvalidInputError, match="margin=0"):
        make_loss("structured-svm", Box(), {"margin": 0})


def test_structured_svm_is_the_largest_violated_hamming_margin(rng: np.random.Generator) -> None:
    oracle = TopK(5, 2)
    sets = np.array(
        [np.isin(np.arange(5), pair) for pair in zip(*np.triu_indices(5, 1), strict=True)]
    )
    sets = sets.astype(float)
    predicted, true = rng.normal(size=(2, 40, 5))
    good = oracle.solve(true).decisions
    distance = np.abs(good[:, None] - sets).sum(2)
    expected = (0.7 * distance + (predicted * good).sum(1)[:, None] - predicted @ sets.T).max(1)
    loss = make_loss("structured-svm", oracle, {"margin": 0.7})
    found = loss(torch.tensor(predicted), Target(decisions=tensor(good)), "none")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_adaptive_imle_is_imle_with_a_step_that_adapts(rng: np.random.Generator) -> None:
    oracle = GridShortestPath(3, 3)
    predicted, true = (torch.tensor(draw) for draw in rng.uniform(0.5, 2, size=(2, 8, 12)))
    parameters = {"sigma": 0.5, "n_samples": 3, "kappa": 4.0}
    adaptive = make_loss("adaptive-imle", oracle, parameters)
    sizes = [torch.linalg.vector_norm(part).item() for part in (predicted, true)]
    alpha, n_entries = 1.0, 1.0
    for _ in range(5):
        step = alpha * sizes[0] / sizes[1]
        plain = make_loss("imle", oracle, {**parameters, "smoothing": step})
        plain.generator.set_state(adaptive.generator.get_state())
        outputs = [predicted.clone().requires_grad_() for _ in range(2)]
        values = [
            loss(output, Target(costs=true))
            for loss, output in zip((adaptive, plain), outputs, strict=True)
        ]
        for value in values:
            value.backward()
        assert values[0].item() == values[1].item()
        np.testing.assert_allclose(outputs[0].grad, outputs[1].grad, atol=1e-12)
        n_entries = 0.9 * n_entries + 0.1 * (outputs[1].grad != 0).sum().item() / 8
        alpha += 1e-3 if n_entries < 1 else -1e-3
        assert adaptive.alpha.item() == pytest.approx(alpha)
    assert alpha < 1  # some decisions moved
    with torch.no_grad():  # what is only judged changes nothing
        adaptive(predicted, Target(costs=true))
    assert adaptive.alpha.item() == pytest.approx(alpha)


def test_adaptive_imle_without_a_step_has_no_gradient() -> None:
    loss = make_loss("adaptive-imle", Simplex(3))
    loss.alpha.zero_()
    output = tensor([[1.0, 2.0, 3.0]]).requires_grad_()
    loss(output, Target(costs=tensor([[3.0, 2.0, 1.0]]))).backward()
    np.testing.assert_array_equal(output.grad, 0)
    assert loss.alpha.item() == pytest.approx(1e-3)


@pytest.mark.parametrize("name", ["adaptive-imle", "cvar", "lancer"])
def test_a_loss_that_learns_resumes_with_what_it_learned(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.import_module("dfl.training.train"), "_SECONDS_BETWEEN_CHECKPOINTS", 0.0
    )
    data = make_shortest_path(60, grid=(3, 3), random_state=0)
    X, costs = (torch.tensor(part, dtype=torch.float32) for part in (data.X, data.C))

    class Killed(Exception):
        pass

    def run(path: str, epochs: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Train for five epochs, but break off where the table was read more often."""
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 12)
        loss = make_loss("spo+" if name == "cvar" else name, data.oracle)
        if name == "cvar":
            loss = CVaRLoss(loss, alpha=0.5, window=100)
        table = TableSource(X, loss.complete(Target(costs=costs)))

        class Breaking:
            read = 0

            def batches(self, model, generator):
                self.read += 1
                if self.read > epochs:
                    raise Killed
                return table.batches(model, generator)

        file = Checkpoint(tmp_path / path, "same")
        with contextlib.suppress(Killed):
            train(model, loss, Breaking(), max_iter=5, checkpoint=file)
        return model.weight.detach(), loss.state_dict()

    weight, state = run("whole", 5)
    _, first = run("parts", 2)
    again, resumed = run("parts", 3)
    assert torch.equal(weight, again)
    for key, value in state.items():
        assert torch.equal(value.nan_to_num(-1), resumed[key].nan_to_num(-1))
        assert not torch.equal(value, first[key])


@pytest.mark.parametrize("key", CONES)
def test_projections_are_those_of_nonnegative_least_squares(
    key: str, rng: np.random.Generator
) -> None:
    oracle = CONES[key]
    program = oracle.program().relax()
    d = program.n_variables
    costs, points = rng.normal(size=(2, 40, d))
    decisions = LinearProgram(program).solve(costs).decisions
    cones = NormalCones(program)
    found = cones.project(points, decisions)
    for point, decision, projection in zip(points, decisions, found, strict=True):
        normals = normals_at(program, decision)
        weights, _ = nnls(normals.T, point)
        expected = weights @ normals
        np.testing.assert_allclose(projection, expected, atol=1e-7)
    # costs of which the decision is an optimum are in the cone
    np.testing.assert_allclose(cones.project(-costs, decisions), -costs, atol=1e-6)


@pytest.mark.parametrize("key", CONES)
def test_cave_is_zero_where_the_decision_is_optimal_and_only_there(
    key: str, rng: np.random.Generator
) -> None:
    oracle = LinearProgram(CONES[key].program().relax())
    predicted, true = rng.normal(size=(2, 60, oracle.n_costs))
    loss = make_loss("cave", oracle, {"inner_ratio": 0.0})
    target = loss.complete(Target(costs=tensor(true)))
    np.testing.assert_allclose(loss(tensor(true), target, "none"), 0, atol=1e-9)
    values = loss(tensor(predicted), target, "none").numpy()
    best = oracle.solve(predicted).objectives
    gap = (predicted * target.decisions.numpy()).sum(1) - best
    assert (values[gap < 1e-9] < 1e-9).all()
    assert (values[gap > 1e-3] > 1e-9).all()
    assert (gap > 1e-3).sum() > 20


@pytest.mark.parametrize("key", CONES)
def test_cave_plus_aims_inside_the_cone(key: str, rng: np.random.Generator) -> None:
    oracle = LinearProgram(CONES[key].program().relax())
    predicted, true = rng.normal(size=(2, 60, oracle.n_costs))
    loss = make_loss("cave", oracle, {"inner_ratio": 0.3})
    target = loss.complete(Target(costs=tensor(true)))
    decisions = target.decisions.numpy()
    cones = NormalCones(oracle.program())
    inner = cones.average(decisions)
    inner *= 0.3 / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-300)
    away = -predicted / np.linalg.norm(predicted, axis=1, keepdims=True)
    aims = inner + cones.project(away - inner, decisions)
    # the aim is optimal for the decision, and so is what is left of it without the way inside
    for costs in (-aims, inner - aims):
        best = oracle.solve(costs).objectives
        np.testing.assert_allclose((costs * decisions).sum(1), best, atol=1e-6)
    cosine = (away * aims).sum(1) / np.linalg.norm(aims, axis=1)
    np.testing.assert_allclose(loss(tensor(predicted), target, "none"), 1 - cosine, atol=1e-7)
    # nothing is left to learn there
    np.testing.assert_allclose(loss(tensor(-inner), target, "none"), 0, atol=1e-7)


@pytest.mark.parametrize("n", [5, 7, 8])
def test_tours_have_the_cone_of_all_tight_subtour_constraints(
    n: int, rng: np.random.Generator
) -> None:
    oracle = TravelingSalesman(n)
    ends = oracle.edges()
    sets = [np.isin(np.arange(n), s) for k in range(2, n - 1) for s in combinations(range(n), k)]
    inner = np.array([s[ends[:, 0]] & s[ends[:, 1]] for s in sets], dtype=float)
    most = np.array([s.sum() - 1.0 for s in sets])
    costs, points = rng.normal(size=(2, 12, oracle.n_costs))
    decisions = oracle.solve(costs).decisions
    cones = NormalCones(oracle.core_program(), oracle.tight_cuts)
    for _ in range(2):  # cold, and from what was found
        found = cones.project(points, decisions)
        points = np.roll(points, 1, axis=0)
    points = np.roll(points, -1, axis=0)
    for point, decision, projection in zip(points, decisions, found, strict=True):
        own = oracle.tight_cuts(decision)
        np.testing.assert_array_equal(own @ decision, np.sqrt(0.25 + 2 * own.sum(1)) - 0.5)
        normals = normals_at(oracle.core_program(), decision)
        normals = np.concatenate([normals, inner[inner @ decision == most]])
        weights, _ = nnls(normals.T, point)
        np.testing.assert_allclose(projection, weights @ normals, atol=1e-6)


def test_cave_is_zero_where_a_tour_is_optimal_in_the_subtour_relaxation(
    rng: np.random.Generator,
) -> None:
    n = 7
    oracle = TravelingSalesman(n)
    ends = oracle.edges()
    sets = [np.isin(np.arange(n), s) for k in range(2, n - 1) for s in combinations(range(n), k)]
    inner = np.array([s[ends[:, 0]] & s[ends[:, 1]] for s in sets], dtype=float)
    core = oracle.core_program()
    relaxation = LinearProgram(
        Program(
            np.concatenate([core.A.toarray(), inner]),
            np.concatenate([core.row_lower, np.full(len(sets), -np.inf)]),
            np.concatenate([core.row_upper, [s.sum() - 1.0 for s in sets]]),
            core.lower,
            core.upper,
        )
    )
    true = rng.uniform(size=(30, oracle.n_costs))
    predicted = true + 0.2 * rng.normal(size=true.shape)
    target = make_loss("cave", oracle).complete(Target(costs=tensor(true)))
    gap = (predicted * target.decisions.numpy()).sum(1) - relaxation.solve(predicted).objectives
    exact, inside = (
        make_loss("cave", oracle, {"inner_ratio": ratio})(tensor(predicted), target, "none")
        for ratio in (0.0, 0.1)
    )
    np.testing.assert_array_equal(exact < 1e-9, gap < 1e-9)
    assert (gap[inside.numpy() < 1e-9] < 1e-9).all()
    assert 5 < (gap < 1e-9).sum() < 25


def test_cave_of_the_only_tour_is_zero() -> None:
    costs = tensor([[1.0, -2.0, 3.0]])
    loss = make_loss("cave", TravelingSalesman(3), {"inner_ratio": 0.0})
    assert loss(-costs, Target(costs=costs)).item() == pytest.approx(0.0, abs=1e-12)


def test_cave_learns_tours() -> None:
    data = make_traveling_salesman(260, n_cities=8, degree=4, noise=0.5, random_state=0)
    train, test = slice(0, 160), slice(160, 260)
    model = DecisionFocusedRegressor(
        data.oracle, "cave", max_iter=10, learning_rate=0.03, random_state=0
    ).fit(data.X[train], decisions=data.oracle.solve(data.C[train]).decisions)
    constant = np.tile(data.C[train].mean(0), (100, 1))
    found, idle = (
        metrics.normalized_regret(data.oracle, predicted, data.C[test])
        for predicted in (model.predict(data.X[test]), constant)
    )
    assert found < 0.8 * idle


def test_cave_by_hand() -> None:
    # at (1, 0) of the box the cone is x_1 >= 0, x_2 <= 0; the mean of its normals is (1, -1) / 2
    good = Target(decisions=tensor([[1.0, 0.0]]))
    inside = 0.2 / 2**0.5
    for ratio, aim in ((0.0, (0.0, -0.8)), (0.2, (inside, -0.8))):
        output = tensor([[3.0, 4.0]]).requires_grad_()
        value = make_loss("cave", Box(2), {"inner_ratio": ratio})(output, good)
        value.backward()
        u, t = np.array([-0.6, -0.8]), np.array(aim) / np.linalg.norm(aim)
        assert value.item() == pytest.approx(1 - u @ t, abs=1e-12)
        np.testing.assert_allclose(output.grad[0], (t - (u @ t) * u) / 5, atol=1e-12)
    # opposite to the cone: only an aim inside it has a gradient
    for ratio, moves in ((0.0, False), (0.2, True)):
        output = tensor([[2.0, -1.0]]).requires_grad_()
        make_loss("cave", Box(2), {"inner_ratio": ratio})(output, good).backward()
        assert bool((output.grad != 0).any()) == moves


def test_cave_hybrid_projects_as_often_as_it_says(rng: np.random.Generator) -> None:
    oracle = Maximize(TopK(5, 2))
    predicted, true = (tensor(draw) for draw in rng.normal(size=(2, 6, 5)))
    target = Target(costs=true)
    loss = make_loss("cave", oracle, {"solve_ratio": 0.3})
    always, never = (
        make_loss("cave", oracle, {"solve_ratio": float(ratio)})(predicted, target).item()
        for ratio in (1, 0)
    )
    found = np.array([loss(predicted, target).item() for _ in range(400)])
    assert np.isin(found.round(12), np.round([always, never], 12)).all()
    # four standard errors
    assert abs((found.round(12) == round(always, 12)).mean() - 0.3) < 4 * (0.21 / 400) ** 0.5


def test_cave_refuses_what_it_cannot_do() -> None:
    compact = MixedIntegerProgram(TravelingSalesman(4).program())
    with pytest.raises(
        UnsupportedError, match=r"does not go with MixedIntegerProgram.*decision_map"
    ):
        make_loss("cave", compact)
    with pytest.raises(UnsupportedError, match=r"does not go with Ball.*matrix form"):
        make_loss("cave", Ball(3))
    for name in ("inner_ratio", "solve_ratio", "heuristic_ratio"):
        with pytest.raises(InvalidInputError, match=f"{name}=1.5, expected a number from 0 to 1"):
            make_loss("cave", Box(2), {name: 1.5})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("adaptive-imle", {}),
        ("cave", {}),
        ("cave", {"solve_ratio": 0.3}),
        ("structured-svm", {}),
        ("weighted-direction", {}),
        ("cosine", {}),
    ],
)
def test_they_learn(name: str, parameters: dict[str, float]) -> None:
    data = make_shortest_path(600, degree=6, noise=0.5, random_state=1)
    train, test = slice(0, 300), slice(300, 600)
    model = DecisionFocusedRegressor(
        data.oracle,
        name,
        loss_parameters=parameters,
        max_iter=30,
        learning_rate=0.03,
        random_state=0,
    ).fit(data.X[train], data.C[train])
    constant = np.tile(data.C[train].mean(0), (300, 1))
    found, idle = (
        metrics.normalized_regret(data.oracle, predicted, data.C[test])
        for predicted in (model.predict(data.X[test]), constant)
    )
    assert found < 0.6 * idle
