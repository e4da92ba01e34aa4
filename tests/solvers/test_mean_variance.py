"""MeanVariancePortfolio against Clarabel, optimality conditions and answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dfl_solvers.backends.clarabel import solve_cone_program
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Status
from dfl_solvers.problems import _portfolios, portfolio
from dfl_solvers.problems import mean_variance as module
from dfl_solvers.problems.mean_variance import MeanVariancePortfolio
from dfl_solvers.problems.portfolio import Portfolio
from dfl_solvers.testing import check_oracle
from dfl_solvers.wrappers import Maximize

budgets = pytest.mark.parametrize("budget", ["equal", "at_most"])


def draw(rng, d, n_factors=3):
    loads = rng.normal(size=(d, n_factors))
    return loads @ loads.T + np.diag(rng.uniform(0.1, 1, d))


def reference(costs, covariance, aversion, budget):
    """Optimal objective by an interior-point method on the problem as stated."""
    d = len(costs)
    A, b = np.vstack([np.ones((1, d)), -np.eye(d)]), np.r_[1.0, np.zeros(d)]
    equal = int(budget == "equal")
    x, status = solve_cone_program(
        costs, A, b, quadratic=aversion * covariance, n_equal=equal, n_at_most=d + 1 - equal
    )
    return costs @ x + aversion / 2 * x @ covariance @ x, status


def check_optimal(costs, decisions, covariance, aversion, budget, tolerance=1e-11):
    """No first-order step to another portfolio is cheaper: enough, as the problem is convex."""
    assert (decisions >= 0).all()
    totals = decisions.sum(axis=1)
    if budget == "equal":
        np.testing.assert_allclose(totals, 1, atol=1e-13)
    else:
        assert (totals <= 1 + 1e-13).all()
    aversion = np.broadcast_to(aversion, len(costs))[:, None]
    slopes = costs + aversion * (decisions @ covariance)
    least = slopes.min(axis=1)
    if budget == "at_most":
        least = np.minimum(least, 0.0)
    gap = np.vecdot(slopes, decisions) - least
    size = np.abs(costs).max(axis=1) + aversion[:, 0] * np.abs(covariance).max()
    assert (gap <= tolerance * size).all()


def no_fallback(*arguments):
    pytest.fail("the kernel gave an instance up")


@budgets
@pytest.mark.parametrize("aversion", [1e-6, 0.1, 1.0, 10.0, 1e6])
@pytest.mark.parametrize("d", [1, 2, 7, 40])
def test_optimal(d, aversion, budget, monkeypatch):
    monkeypatch.setattr(module, "_solve_by_cones", no_fallback)
    rng = np.random.default_rng(d)
    covariance = draw(rng, d)
    costs = rng.normal(size=(60, d))
    oracle = MeanVariancePortfolio(covariance, aversion, budget)
    found = oracle.solve(costs)
    np.testing.assert_array_equal(found.status, Status.OPTIMAL)
    check_optimal(costs, found.decisions, covariance, aversion, budget)
    direct = np.vecdot(costs, found.decisions) + aversion / 2 * np.einsum(
        "ni,ij,nj->n", found.decisions, covariance, found.decisions
    )
    np.testing.assert_allclose(found.objectives, direct, rtol=1e-12, atol=1e-14)
    for c, objective in zip(costs[:6], found.objectives, strict=False):
        expected, status = reference(c, covariance, aversion, budget)
        assert status <= Status.FEASIBLE
        assert objective == pytest.approx(expected, rel=1e-6, abs=1e-7)


@budgets
def test_contract(rng, budget):
    oracle = MeanVariancePortfolio(draw(rng, 6), 2.0, budget)
    assert not oracle.linear_objective
    check_oracle(oracle)
    check_oracle(Maximize(oracle))


def test_by_hand():
    # slopes meet: -2 + 4 a = 1 - a for the first weight a
    oracle = MeanVariancePortfolio(np.diag([4.0, 1.0]), 1.0)
    found = oracle.solve([[-2.0, 0.0], [-1.0, -2.0], [5.0, 5.0]])
    np.testing.assert_allclose(found.decisions, [[0.6, 0.4], [0, 1], [0.2, 0.8]], atol=1e-14)
    np.testing.assert_allclose(found.objectives, [-1.2 + 0.72 + 0.08, -1.5, 5.4], atol=1e-14)
    cash = MeanVariancePortfolio(np.diag([4.0, 1.0]), 1.0, budget="at_most")
    found = cash.solve([[-2.0, -0.1], [1.0, 2.0], [0.0, 0.0], [-9.0, -9.0]])
    np.testing.assert_allclose(
        found.decisions, [[0.5, 0.1], [0, 0], [0, 0], [0.2, 0.8]], atol=1e-14
    )


def test_the_limits_of_the_aversion(rng):
    covariance = draw(rng, 9)
    costs = rng.normal(size=(20, 9))
    bold = MeanVariancePortfolio(covariance, 1e-9).solve(costs).decisions
    np.testing.assert_array_equal(bold, np.eye(9)[costs.argmin(axis=1)])
    shy = MeanVariancePortfolio(covariance, 1e12).solve(costs).decisions
    least = MeanVariancePortfolio(covariance, 1.0).solve(np.zeros((1, 9))).decisions
    np.testing.assert_allclose(shy, np.repeat(least, 20, axis=0), atol=1e-9)


def test_the_portfolio_of_that_variance_is_the_same(rng):
    """The price on variance and the bound on variance describe one frontier."""
    covariance = draw(rng, 12)
    costs = rng.normal(size=(20, 12))
    decisions = MeanVariancePortfolio(covariance, 1.5).solve(costs).decisions
    variance = np.einsum("ni,ij,nj->n", decisions, covariance, decisions)
    bounded = Portfolio(covariance, 1.0).solve(costs, {"risk": variance})
    np.testing.assert_allclose(bounded.decisions, decisions, atol=1e-9)


def test_ties(rng):
    covariance = draw(rng, 6)
    costs = np.array([np.zeros(6), np.full(6, -3.0), np.repeat([0.0, 1.0], 3), np.arange(6) // 2])
    for aversion in (0.01, 1.0, 100.0):
        for budget in ("equal", "at_most"):
            found = MeanVariancePortfolio(covariance, aversion, budget).solve(costs)
            check_optimal(costs, found.decisions, covariance, aversion, budget, 2e-12)


@budgets
def test_singular_covariances(budget):
    rng = np.random.default_rng(3)
    for trial in range(60):
        d = int(rng.integers(2, 10))
        loads = rng.normal(size=(d, int(rng.integers(1, d + 1))))
        if trial % 3 == 0:
            loads[rng.integers(d)] = loads[rng.integers(d)]  # the same asset twice
        if trial % 4 == 0:
            loads[rng.integers(d)] = 0  # a riskless one
        covariance = loads @ loads.T
        covariance = (covariance + covariance.T) / 2
        aversion = float(10.0 ** rng.uniform(-2, 2))
        costs = rng.normal(size=(4, d))
        costs[0] = np.round(costs[0])
        costs[1] = 0.5
        found = MeanVariancePortfolio(covariance, aversion, budget).solve(costs)
        check_optimal(costs, found.decisions, covariance, aversion, budget, 1e-7)


@budgets
@pytest.mark.parametrize("aversion", [1.0, 100.0, 1e4])
def test_nearly_singular_covariances_are_refined(aversion, budget, monkeypatch):
    """The walk loses digits, which the certificate notices and refinement brings back."""
    monkeypatch.setattr(module, "_solve_by_cones", no_fallback)
    monkeypatch.setattr(portfolio, "_solve_by_cones", no_fallback)
    rng = np.random.default_rng(1)
    loads = rng.normal(size=(20, 3))
    covariance = loads @ loads.T + np.diag(1e-4 * rng.uniform(0.1, 1, 20))
    costs = 0.01 * rng.normal(size=(40, 20))
    found = MeanVariancePortfolio(covariance, aversion, budget).solve(costs)
    check_optimal(costs, found.decisions, covariance, aversion, budget, 1e-12)
    variance = 4 * min_variance(covariance)
    bounded = Portfolio(covariance, variance, budget).solve(costs).decisions
    reached = np.einsum("ni,ij,nj->n", bounded, covariance, bounded)
    np.testing.assert_allclose(reached.max(), variance, rtol=1e-8)


def min_variance(covariance):
    w = MeanVariancePortfolio(covariance, 1.0).solve(np.zeros((1, len(covariance)))).decisions[0]
    return w @ covariance @ w


@budgets
def test_what_the_kernel_gives_up_the_cone_solver_answers(rng, monkeypatch, budget):
    oracle = MeanVariancePortfolio(draw(rng, 6), 2.0, budget)
    costs = np.vstack([rng.normal(size=(5, 6)), np.full((1, 6), 2.0)])
    expected = oracle.solve(costs)

    def give_up(kernel, n, *arguments, serial):
        arguments[-1][:] = Status.FAILED

    monkeypatch.setattr(_portfolios, "run", give_up)
    for factor in (1e-8, 1.0, 1e8):
        oracle.risk_aversion = 2.0 * factor
        found = oracle.solve(factor * costs)
        np.testing.assert_allclose(found.objectives / factor, expected.objectives, atol=1e-7)
        np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e4, 1e12])
def test_units_of_costs_and_aversion_together_do_not_matter(rng, scale):
    covariance = draw(rng, 10)
    costs = rng.normal(size=(20, 10))
    expected = MeanVariancePortfolio(covariance, 3.0).solve(costs)
    for oracle in (
        MeanVariancePortfolio(covariance, 3.0 * scale),
        MeanVariancePortfolio(scale * covariance, 3.0),
    ):
        found = oracle.solve(scale * costs)
        np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-10)
        np.testing.assert_allclose(found.objectives, scale * expected.objectives, rtol=1e-10)
    # but those of the costs alone do
    assert np.abs(oracle.solve(100 * scale * costs).decisions - expected.decisions).max() > 0.1


@budgets
def test_instance_data(rng, budget):
    n, d = 8, 5
    loads = rng.normal(size=(n, d, d))
    covariances = loads @ loads.transpose(0, 2, 1)
    aversions = rng.uniform(0.1, 10, n)
    costs = rng.normal(size=(n, d))
    oracle = MeanVariancePortfolio(np.eye(d), 1.0, budget)
    for instance in (
        {"covariance": covariances},
        {"risk_aversion": aversions},
        {"covariance": covariances, "risk_aversion": aversions},
    ):
        together = oracle.solve(costs, instance)
        again = oracle.evaluate(costs, together.decisions, instance)
        np.testing.assert_allclose(together.objectives, again)
        for i in range(n):
            covariance = instance.get("covariance", [np.eye(d)] * n)[i]
            aversion = float(instance.get("risk_aversion", np.ones(n))[i])
            alone = MeanVariancePortfolio(covariance, aversion, budget).solve(costs[i : i + 1])
            np.testing.assert_allclose(together.decisions[i], alone.decisions[0], atol=1e-12)
            assert together.objectives[i] == pytest.approx(alone.objectives[0], rel=1e-10)


def test_threads_agree(rng):
    oracle = MeanVariancePortfolio(draw(rng, 8), 1.0)
    costs = rng.normal(size=(1300, 8))
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 0.5], [0.4, 1.0]], 1.0), "MeanVariancePortfolio: the covariance is not symmetric"),
        (([[1.0, 2.0], [2.0, 1.0]], 1.0), "not positive semidefinite: it has the eigenvalue -1"),
        (([[1.0, 0.0]], 1.0), r"shape \(1, 2\), expected \(d, d\)"),
        (([["a"]], 1.0), "covariance is no matrix"),
        (([[1.0]], 0.0), "got risk_aversion 0.0, expected a positive"),
        (([[1.0]], float("nan")), "got risk_aversion nan"),
        (([[1.0]], 1.0, "most"), "got budget 'most', expected 'equal' or 'at_most'"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        MeanVariancePortfolio(*arguments)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"risk_aversion": np.ones((2, 1))}, r"shape \(2, 1\), expected \(2,\)"),
        ({"risk_aversion": np.array([1.0, 0.0])}, "instance 1: got risk_aversion 0.0"),
        ({"covariance": np.ones((2, 3))}, "MeanVariancePortfolio: .*'covariance' of shape"),
        ({"covariance": np.stack([np.eye(3), -np.eye(3)])}, "instance 1: .* semidefinite"),
        ({"risk": np.ones(2)}, "knows: covariance, risk_aversion"),
    ],
)
def test_bad_instance_data(instance, message):
    with pytest.raises(InvalidInputError, match=message):
        MeanVariancePortfolio(np.eye(3), 1.0).solve(np.ones((2, 3)), instance)


def test_repr():
    text = "MeanVariancePortfolio(covariance=[[2.0]], risk_aversion=0.5, budget='at_most')"
    assert repr(MeanVariancePortfolio([[2.0]], 0.5, "at_most")) == text
