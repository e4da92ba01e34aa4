"""Decisions for the worst costs of a set, against duality and general solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from dfl_solvers import (
    Ball,
    Counting,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    MixedIntegerProgram,
    Portfolio,
    Program,
    Simplex,
)
from dfl_solvers._worst_case import box, ellipsoid, minimize_worst, tail
from dfl_solvers.exceptions import UnsupportedError


def cvar(values, weights, alpha):
    """The definition, at the breakpoints where its minimum lies."""
    return min(t + weights @ np.maximum(values - t, 0) / (1 - alpha) for t in values)


def box_value(center, radius):
    return lambda w: center @ w + radius @ np.abs(w)


def ellipsoid_value(center, factor):
    return lambda w: center @ w + np.linalg.norm(factor.T @ w)


def draw_sets(rng, d, K=30):
    """Return a set of each kind with the function it is the largest ``c.w`` of."""
    center, radius = rng.normal(size=d), rng.uniform(0.1, 1, d)
    factor = 0.4 * rng.normal(size=(d, d))
    scenarios, weights = rng.normal(size=(K, d)), rng.dirichlet(np.ones(K))
    return {
        "box": (box(center, radius), box_value(center, radius)),
        "ellipsoid": (ellipsoid(center, factor), ellipsoid_value(center, factor)),
        "tail": (
            tail(scenarios, weights, 0.8),
            lambda w: cvar(scenarios @ w, weights, 0.8),
        ),
    }


@pytest.mark.parametrize("kind", ["box", "ellipsoid", "tail"])
def test_mixtures_agree_with_the_matrix_form(kind, rng) -> None:
    """A portfolio whose risk bound never binds is a simplex: one is mixed, the other a program."""
    d = 6
    free = Portfolio(np.eye(d), risk=2.0)
    for _ in range(5):
        costs, value = draw_sets(rng, d)[kind]
        (by_program,) = minimize_worst(Simplex(d), [costs], None)
        (mixed,) = minimize_worst(Counting(free), [costs], None)
        assert value(mixed) == pytest.approx(value(by_program), rel=1e-5, abs=1e-6)
        # no vertex, and no random decision, is better
        others = np.vstack([np.eye(d), rng.dirichlet(np.ones(d), 200)])
        assert min(map(value, others)) >= value(by_program) - 1e-7


@pytest.mark.parametrize("kind", ["box", "ellipsoid", "tail"])
def test_curved_sets_have_no_better_decision(kind, rng) -> None:
    covariance = np.cov(rng.normal(size=(5, 40)))
    oracle = Portfolio(covariance, risk=0.4 * np.trace(covariance) / 5)
    ball = Ball(5, 2.0)
    for _ in range(3):
        costs, value = draw_sets(rng, 5)[kind]
        (w,) = minimize_worst(oracle, [costs], None)
        assert w.sum() == pytest.approx(1)
        assert w @ covariance @ w <= oracle.risk * (1 + 1e-7)
        (w,) = minimize_worst(ball, [costs], None)
        assert np.linalg.norm(w) <= 2 + 1e-7
        inside = {"type": "ineq", "fun": lambda v: 4 - v @ v}
        for start in rng.normal(size=(4, 5)):
            other = minimize(value, start, method="SLSQP", constraints=inside)
            assert value(w) <= other.fun + 1e-4


def test_signs_of_either_kind_and_instances(rng) -> None:
    """Two rows whose bounds differ; decisions of either sign."""
    d = 4
    program = Program(np.ones((1, d)), [-1.0], [1.0], np.full(d, -1.0), np.full(d, 1.0))
    oracle = LinearProgram(program)
    sets = [draw_sets(rng, d)["box"] for _ in range(2)]
    instance = {"upper": np.array([np.full(d, 1.0), np.full(d, 0.2)])}
    found = minimize_worst(oracle, [costs for costs, _ in sets], instance)
    assert found[1].max() <= 0.2 + 1e-9
    for i, (_, value) in enumerate(sets):
        others = rng.uniform(-1, instance["upper"][i], size=(3000, d))
        others = others[np.abs(others.sum(1)) <= 1]
        assert min(map(value, others)) >= value(found[i]) - 1e-8


def test_integers(rng) -> None:
    """A knapsack against enumeration, for a box and for scenarios; an ellipsoid is refused."""
    weights = rng.integers(1, 6, size=(1, 6)).astype(float)
    oracle = Knapsack(weights, [9.0])
    every = np.array(np.meshgrid(*[[0.0, 1.0]] * 6)).reshape(6, -1).T
    feasible = every[(every @ weights[0]) <= 9]
    sets = draw_sets(rng, 6)
    for kind in ("box", "tail"):
        costs, value = sets[kind]
        (w,) = minimize_worst(oracle, [costs], None)
        assert set(np.unique(w)) <= {0.0, 1.0}
        assert value(w) == pytest.approx(min(map(value, feasible)), abs=1e-7)
    with pytest.raises(UnsupportedError, match="Knapsack has integer decisions"):
        minimize_worst(oracle, [sets["ellipsoid"][0]], None)
    with pytest.raises(UnsupportedError, match=r"FromCallable has no matrix form.*Portfolio"):
        minimize_worst(FromCallable(lambda c: c, 6), [sets["box"][0]], None)


def test_known_costs_and_maps_count(rng) -> None:
    """A mixed-integer program with fixed costs and a decision map."""
    program = Program(
        np.ones((1, 3)), [1.0], [2.0], np.zeros(3), np.ones(3), [True, True, False],
        fixed_costs=[0.5, -0.3, 0.1], decision_map=[[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]],
    )  # fmt: skip
    M = program.decision_map.toarray()
    grid = np.array(
        [[a, b, c] for a in (0, 1) for b in (0, 1) for c in np.linspace(0, 1, 101)], dtype=float
    )
    grid = grid[(grid.sum(1) >= 1) & (grid.sum(1) <= 2)]
    for kind in ("box", "tail"):
        costs, value = draw_sets(rng, 2)[kind]
        oracle = MixedIntegerProgram(program)
        (w,) = minimize_worst(oracle, [costs], None)
        own = oracle.evaluate(np.zeros((1, 2)), w[None])[0]
        least = min(value(M @ x) + program.fixed_costs @ x for x in grid)
        assert value(w) + own <= least + 1e-7


def test_paths_of_certain_costs_are_the_shortest(rng) -> None:
    oracle = GridShortestPath(3, 3)
    c = rng.uniform(1, 2, size=(1, 12))
    expected = oracle.solve(c).objectives[0]
    for costs in (box(c[0], np.zeros(12)), ellipsoid(c[0], np.zeros((12, 1)))):
        (w,) = minimize_worst(oracle, [costs], None)
        assert c[0] @ w == pytest.approx(expected, rel=1e-6)
