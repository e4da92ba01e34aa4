"""PyEPO models become oracles, and oracles PyEPO models."""

from __future__ import annotations

import copy
import itertools
import pickle
import sys
from typing import Any

import highspy  # noqa: F401  (before PyEPO, which loads ortools)
import numpy as np
import pytest

from dfl_solvers.exceptions import (
    InvalidInputError,
    MissingDependencyError,
    SolverError,
    UnsupportedError,
)
from dfl_solvers.imports import from_pyepo, to_pyepo
from dfl_solvers.oracle import minimizing
from dfl_solvers.problems.box import Box
from dfl_solvers.problems.knapsack import Knapsack
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mean_variance import MeanVariancePortfolio
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.problems.portfolio import Portfolio
from dfl_solvers.problems.shortest_path import GridShortestPath
from dfl_solvers.problems.traveling_salesman import TravelingSalesman
from dfl_solvers.testing import check_oracle
from dfl_solvers.wrappers import Counting, Maximize

pyepo = pytest.importorskip("pyepo")
gp = pytest.importorskip("gurobipy")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    gp.setParam("OutputFlag", 0)


WEIGHTS = np.array([[3.0, 4.0, 2.0, 5.0, 1.0], [2.0, 1.0, 4.0, 3.0, 3.0]])
CAPACITIES = np.array([8.0, 7.0])


def dsl_model() -> Any:
    """Predicted values of the first variable block, known ones of the second."""
    from pyepo import EPO
    from pyepo.dsl import Maximize as Max
    from pyepo.dsl import Parameter, Problem, Variable

    x, y = Variable(5, vtype=EPO.BINARY), Variable(2, lb=0.0, ub=3.0)
    values = Parameter(5)
    objective = Max(values @ x - np.array([1.0, 0.5]) @ y)
    constraints = [WEIGHTS @ x <= CAPACITIES, x.sum() + y.sum() >= 3.5]
    return Problem(objective, constraints).compile("gurobi", MIPGap=0.0)


def dsl_best(values: np.ndarray) -> np.ndarray:
    items = np.array(list(itertools.product((0, 1), repeat=5)), dtype=float)
    items = items[(items @ WEIGHTS.T <= CAPACITIES).all(axis=1)]
    short = np.maximum(3.5 - items.sum(axis=1), 0)
    known = -(0.5 * np.minimum(short, 3) + 1.0 * np.maximum(short - 3, 0))
    return (values @ items.T + known).max(axis=1)


def pyepo_models() -> list[tuple[Any, type, bool]]:
    """PyEPO models, our class for each, and whether it maximizes."""
    grb = pyepo.model.grb
    covariance = np.diag([1.0, 2.0, 3.0, 4.0]) + 0.3
    return [
        (grb.shortestPathModel((4, 6)), GridShortestPath, False),
        (grb.knapsackModel(WEIGHTS, CAPACITIES), Knapsack, True),
        (grb.knapsackModel(WEIGHTS, CAPACITIES).relax(), LinearProgram, True),
        (grb.portfolioModel(4, covariance), Portfolio, True),
        (dsl_model(), MixedIntegerProgram, True),
        (grb.tspDFJModel(6), TravelingSalesman, False),
        (grb.tspGGModel(5), TravelingSalesman, False),
        (grb.tspMTZModel(5), TravelingSalesman, False),
    ]


@pytest.mark.parametrize("index", range(8))
def test_a_model_and_our_own_oracle_for_it_agree(index: int, rng: np.random.Generator) -> None:
    model, own, maximizes = pyepo_models()[index]
    wrapped, native = from_pyepo(model, native=False), from_pyepo(model)
    assert type(minimizing(native)[0]) is own
    assert isinstance(native, Maximize) == isinstance(wrapped, Maximize) == maximizes
    costs = rng.normal(size=(15, model.num_cost))
    found, expected = native.solve(costs), wrapped.solve(costs)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-5)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=2e-3)
    evaluated = wrapped.evaluate(costs, found.decisions)
    np.testing.assert_allclose(evaluated, native.evaluate(costs, found.decisions), atol=1e-6)


def test_partly_predicted_costs(rng: np.random.Generator) -> None:
    values = rng.normal(size=(20, 5))
    for native in (True, False):
        oracle = from_pyepo(dsl_model(), native=native)
        solution = oracle.solve(values)
        np.testing.assert_allclose(solution.objectives, dsl_best(values), atol=1e-6)
        assert solution.decisions.shape == (20, 5)
        np.testing.assert_allclose(
            oracle.evaluate(values, solution.decisions), solution.objectives, atol=1e-6
        )


def test_added_constraints_and_own_classes_are_kept(rng: np.random.Generator) -> None:
    base = pyepo.model.grb.knapsackModel
    cut = base(WEIGHTS, CAPACITIES).addConstr(np.ones(5), 1.0)

    class Stubborn(base):  # type: ignore[misc, valid-type]
        def solve(self) -> tuple[np.ndarray, float]:
            return np.zeros(5), 0.0

    values = rng.uniform(size=(10, 5))
    oracle = from_pyepo(cut)
    assert (oracle.solve(values).decisions.sum(axis=1) == 1).all()
    copied = pickle.loads(pickle.dumps(oracle))  # noqa: S301
    np.testing.assert_array_equal(copied.solve(values).decisions, oracle.solve(values).decisions)
    stubborn = from_pyepo(Stubborn(WEIGHTS, CAPACITIES))
    assert not stubborn.solve(values).decisions.any()
    with pytest.raises(UnsupportedError, match="knapsackModel does not tell"):
        oracle.minimizing.program()
    none = from_pyepo(dsl_model().addConstr(np.ones(7), 1.0), native=False)
    with pytest.raises(SolverError, match="instance 0: compiledGrbProblem has no solution"):
        none.solve(values)


def test_the_wrapped_model_keeps_the_contract() -> None:
    check_oracle(from_pyepo(pyepo.model.grb.shortestPathModel((3, 3)), native=False))
    check_oracle(from_pyepo(dsl_model(), native=False))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="got a model of type int"):
        from_pyepo(3)
    with pytest.raises(InvalidInputError, match="takes any number of costs"):
        to_pyepo(Counting(BoxOfAnySize()))


class BoxOfAnySize:
    """An oracle that takes any number of costs."""

    n_costs = None

    def solve(self, costs: Any, instance: Any = None) -> Any:
        return Box(costs.shape[1]).solve(costs)

    def evaluate(self, costs: Any, decisions: Any, instance: Any = None) -> Any:
        return np.vecdot(costs, decisions)


def train(model: Any, X: np.ndarray, C: np.ndarray, loss: str = "SPOPlus") -> tuple[Any, ...]:
    """Run the training script that PyEPO's documentation shows, and return losses and regret."""
    data = pyepo.data.dataset.optDataset(model, X, C)
    loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=False)
    torch.manual_seed(0)
    predictor = torch.nn.Linear(X.shape[1], C.shape[1])
    optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-2)
    criterion = getattr(pyepo.func, loss)(model, processes=1)
    losses = []
    for _ in range(3):
        for x, c, w, z in loader:
            p = predictor(x)
            value = criterion(p, c, w, z) if loss == "SPOPlus" else criterion(p, c)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
    return np.array(losses), pyepo.metric.regret(predictor, model, loader), data


@pytest.mark.parametrize("loss", ["SPOPlus", "PG"])
@pytest.mark.parametrize("problem", ["grid", "knapsack", "known"])
def test_a_training_script_runs_with_one_line_changed(problem: str, loss: str) -> None:
    if problem == "grid":
        theirs = pyepo.model.grb.shortestPathModel((5, 5))
        X, C = pyepo.data.shortestpath.genData(64, 5, (5, 5), deg=4, noise_width=0.5, seed=1)
        oracle: Any = GridShortestPath(5, 5)
    elif problem == "knapsack":
        weights, X, C = pyepo.data.knapsack.genData(64, 5, 10, dim=2, deg=4, seed=1)
        C = C + np.random.default_rng(0).uniform(size=C.shape)  # integers have ties
        theirs = pyepo.model.grb.knapsackModel(weights, [12.0, 12.0])
        oracle = Maximize(Knapsack(weights, [12.0, 12.0]))
    else:
        _, X, C = pyepo.data.knapsack.genData(64, 5, 5, dim=2, deg=4, seed=1)
        C = C + np.random.default_rng(0).uniform(size=C.shape)
        theirs = dsl_model()
        oracle = from_pyepo(theirs)
    counted = Counting(oracle)
    expected, regret, _ = train(theirs, X, C, loss)
    found, own_regret, data = train(to_pyepo(counted), X, C, loss)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert own_regret == pytest.approx(regret, abs=1e-5)
    assert data.sols.shape == (64, C.shape[1] + (problem == "known"))
    assert counted.counts.calls <= 1 + 3 * 4 + 4  # the labels, the batches, the regret


# with a known part, noise is drawn for every entry of a solution, of which PyEPO has more
@pytest.mark.parametrize(
    ("name", "known"),
    [("PFY", False), ("DPO", False), ("DBB", False), ("NID", False), ("DBB", True), ("NID", True)],
)
def test_other_losses_of_pyepo_agree(name: str, known: bool, rng: np.random.Generator) -> None:
    theirs = dsl_model() if known else pyepo.model.grb.knapsackModel(WEIGHTS, CAPACITIES)
    oracle = from_pyepo(theirs)
    p = torch.tensor(rng.normal(size=(4, 5)), dtype=torch.float32)
    weights = torch.tensor(rng.normal(size=(4, 5)), dtype=torch.float32)
    gradients = []
    for model in (to_pyepo(oracle), theirs):
        module = getattr(pyepo.func, name)(model)
        q = p.clone().requires_grad_()
        if name == "PFY":
            module(q, torch.eye(5)[:4]).backward()
        else:
            (module(q)[:, :5] * weights).sum().backward()
        gradients.append(q.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-3)
    assert gradients[0].abs().sum() > 0


def test_a_nonlinear_part_of_the_objective(rng: np.random.Generator) -> None:
    """Its value is the last entry of a solution."""
    oracle = MeanVariancePortfolio(np.diag([1.0, 2.0, 3.0]), 2.0)
    model = to_pyepo(oracle)
    costs = rng.normal(size=(6, 3))
    data = pyepo.data.dataset.optDataset(model, costs, costs)
    solution = oracle.solve(costs)
    np.testing.assert_allclose(data.sols[:, :3], solution.decisions, atol=1e-6)
    np.testing.assert_allclose(data.objs[:, 0], solution.objectives, atol=1e-5)
    known = solution.objectives - np.vecdot(costs, solution.decisions)
    np.testing.assert_allclose(data.sols[:, 3], known, atol=1e-5)
    model._setFullObj(np.append(costs[0], 0.0))
    with pytest.raises(UnsupportedError, match=r"times 0\.0"):
        model.solve()
    with pytest.raises(UnsupportedError, match="no matrix form"):
        model.relax()


def test_one_at_a_time_copies_and_specifications() -> None:
    model = to_pyepo(Maximize(Knapsack(WEIGHTS, CAPACITIES)))
    theirs = pyepo.model.grb.knapsackModel(WEIGHTS, CAPACITIES)
    assert (model.num_cost, model.modelSense) == (5, theirs.modelSense)
    values = np.array([1.0, 5.0, 2.0, 3.0, 4.0])
    for one in (
        model,
        model.copy(),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),  # noqa: S301
        model.rebuild(),
    ):
        for c in (values, torch.from_numpy(values), list(values)):
            one.setObj(c)
            theirs.setObj(c)
            (w, z), (expected, best) = one.solve(), theirs.solve()
            np.testing.assert_array_equal(w, np.round(expected))
            assert z == pytest.approx(best)
    kept = model.copy()
    np.testing.assert_array_equal(kept.solve()[0], model.solve()[0])
    with pytest.raises(InvalidInputError, match=r"costs of shape \(4,\)"):
        model.setObj(values[:4])


def test_relaxations_and_added_constraints(rng: np.random.Generator) -> None:
    ours = to_pyepo(Maximize(Knapsack(WEIGHTS, CAPACITIES)))
    theirs = pyepo.model.grb.knapsackModel(WEIGHTS, CAPACITIES)
    cut = rng.uniform(size=5)
    for mine, other in (
        (ours.relax(), theirs.relax()),
        (ours.addConstr(cut, 0.7), theirs.addConstr(cut, 0.7)),
        (ours.addConstr(cut, 1.5).addConstr(-cut, 0.1), theirs.addConstr(cut, 1.5)),
    ):
        for values in rng.uniform(size=(5, 5)):
            mine.setObj(values)
            other.setObj(values)
            assert mine.solve()[1] == pytest.approx(other.solve()[1], abs=1e-5)
    known, dsl = to_pyepo(from_pyepo(dsl_model())), dsl_model()
    # at most 2.2 of value and known part together
    values = rng.uniform(size=5)
    mine = known.addConstr(np.append(values, 1.0), 2.2)
    other = dsl.addConstr(np.concatenate([values, [-1.0, -0.5]]), 2.2)
    mine.setObj(values)
    other.setObj(values)
    assert mine.solve()[1] == pytest.approx(other.solve()[1], abs=1e-5)


def test_unambiguous_regret(rng: np.random.Generator) -> None:
    """It adds a constraint to find the worst of the tied decisions."""
    theirs, ours = pyepo.model.grb.shortestPathModel((3, 3)), to_pyepo(GridShortestPath(3, 3))
    for _ in range(5):
        predicted, costs = rng.integers(1, 3, size=(2, 12)).astype(float)
        ours.setObj(costs)
        best = ours.solve()[1]
        values = [
            pyepo.metric.unambregret.calUnambRegret(m, predicted, costs, best)
            for m in (theirs, ours)
        ]
        assert values[1] == pytest.approx(values[0], abs=1e-3)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "pyepo"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"dfl-opt\[pyepo\]"):
        from_pyepo(object())
