"""Portfolio against Clarabel, duality, and answers known by hand."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from dfl_solvers.backends.clarabel import solve_cone_program
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.oracle import Status
from dfl_solvers.problems import _portfolios
from dfl_solvers.problems import portfolio as module
from dfl_solvers.problems.portfolio import Portfolio


def reference(costs, covariance, risk, budget="equal"):
    """Optimal objective by an interior-point method on the problem as stated."""
    d = len(costs)
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(values.clip(0))
    A = np.vstack([np.ones((1, d)), -np.eye(d), np.zeros((1, d)), -factor.T])
    b = np.concatenate([[1.0], np.zeros(d), [np.sqrt(risk)], np.zeros(d)])
    equal = int(budget == "equal")
    x, status = solve_cone_program(
        costs, A, b, n_equal=equal, n_at_most=d + 1 - equal, second_order=(d + 1,)
    )
    return costs @ x, status


def check_feasible(decisions, covariance, risk, budget="equal"):
    assert (decisions >= 0).all()
    totals = decisions.sum(axis=1)
    if budget == "equal":
        np.testing.assert_allclose(totals, 1, atol=1e-12)
    else:
        assert (totals <= 1 + 1e-12).all()
    variance = np.einsum("ni,ij,nj->n", decisions, covariance, decisions)
    assert (variance <= risk * (1 + 1e-9)).all()


def no_fallback(*arguments):
    pytest.fail("the kernel gave an instance up")


@pytest.mark.parametrize("budget", ["equal", "at_most"])
@pytest.mark.parametrize("factor", [1.001, 1.3, 3.0, 30.0])
@pytest.mark.parametrize("d", [2, 7, 40])
def test_agrees_with_an_interior_point_method(d, factor, budget, monkeypatch):
    monkeypatch.setattr(module, "_solve_by_cones", no_fallback)
    rng = np.random.default_rng(d)
    loads = rng.normal(size=(d, 3))
    covariance = loads @ loads.T + np.diag(rng.uniform(0.1, 1, d))
    risk = factor * min_variance(covariance)
    costs = rng.normal(size=(12, d))
    oracle = Portfolio(covariance, risk, budget)
    solution = oracle.solve(costs)
    check_feasible(solution.decisions, covariance, risk, budget)
    for i, c in enumerate(costs):
        expected, status = reference(c, covariance, risk, budget)
        assert status <= Status.FEASIBLE
        assert solution.objectives[i] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_array_equal(solution.status, Status.OPTIMAL)


def min_variance(covariance):
    d = len(covariance)
    A, b = np.vstack([np.ones((1, d)), -np.eye(d)]), np.r_[1.0, np.zeros(d)]
    w, _ = solve_cone_program(np.zeros(d), A, b, quadratic=covariance, n_equal=1, n_at_most=d)
    return w @ covariance @ w


def test_optimal_by_duality(rng):
    """The certificate, computed apart: no multiplier of the risk gives a bound above the answer."""
    d = 30
    loads = rng.normal(size=(d, 4))
    covariance = loads @ loads.T / 100 + 0.01 * np.eye(d)
    risk = 2.0 * min_variance(covariance)
    costs = rng.normal(size=(50, d))
    solution = Portfolio(covariance, risk).solve(costs)
    check_feasible(solution.decisions, covariance, risk)
    for c, w, objective in zip(costs, solution.decisions, solution.objectives, strict=True):
        slopes = covariance @ w
        held = w > 1e-9
        # stationarity on the support: c + mu S w = nu
        mu, nu = np.linalg.lstsq(
            np.column_stack([-slopes[held], np.ones(held.sum())]), c[held], rcond=None
        )[0]
        assert mu >= 0
        bound = (c + mu * slopes).min() - mu / 2 * (w @ slopes + risk)
        assert objective - bound < 1e-9
        assert nu == pytest.approx((c + mu * slopes).min(), abs=1e-9)


def test_by_hand():
    # variance 4 a^2 + (1 - a)^2 <= 1: a <= 0.4
    oracle = Portfolio(np.diag([4.0, 1.0]), 1.0)
    solution = oracle.solve([[-2.0, -1.0], [-1.0, -2.0], [0.0, 0.0]])
    np.testing.assert_allclose(solution.decisions[:2], [[0.4, 0.6], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(solution.objectives, [-1.4, -2, 0], atol=1e-12)
    # at the least variance there is one portfolio: weights 1/5 and 4/5
    edge = Portfolio(np.diag([4.0, 1.0]), 0.8).solve([[-2.0, -1.0], [3.0, -1.0]])
    np.testing.assert_allclose(edge.decisions, [[0.2, 0.8], [0.2, 0.8]], atol=1e-7)


def test_cash_is_allowed_when_the_budget_is_at_most_one():
    oracle = Portfolio(np.diag([4.0, 1.0]), 1.0, budget="at_most")
    solution = oracle.solve([[1.0, 2.0], [-1.0, 2.0], [-1.0, 0.0]])
    np.testing.assert_allclose(solution.decisions[0], [0, 0], atol=1e-15)
    assert solution.objectives[0] == 0
    np.testing.assert_allclose(solution.objectives[1:], [-0.5, -0.5], atol=1e-12)
    # no risk at all leaves cash only
    none = Portfolio(np.diag([4.0, 1.0]), 0.0, budget="at_most").solve([[-1.0, -2.0]])
    np.testing.assert_allclose(none.decisions, 0, atol=1e-6)


def test_one_asset():
    assert Portfolio([[2.0]], 2.0).solve([[-3.0]]).objectives.tolist() == [-3]
    with pytest.raises(InfeasibleError):
        Portfolio([[2.0]], 1.9).solve([[-3.0]])
    np.testing.assert_allclose(Portfolio([[4.0]], 1.0, "at_most").solve([[-3.0]]).decisions, 0.5)


def test_infeasible_names_its_instance():
    covariance = np.eye(4)
    with pytest.raises(InfeasibleError, match=r"Portfolio: instance 0 \(and 2 more\)"):
        Portfolio(covariance, 0.2499).solve(np.eye(3, 4))
    costs = np.arange(8.0).reshape(2, 4)
    with pytest.raises(InfeasibleError, match="instance 1:"):
        Portfolio(covariance, 1.0).solve(costs, {"risk": np.array([0.3, 0.2])})
    exactly = Portfolio(covariance, 0.25).solve(costs)
    np.testing.assert_allclose(exactly.decisions, 0.25, atol=1e-5)


def test_ties_and_equal_costs(rng):
    d = 8
    loads = rng.normal(size=(d, d))
    covariance = loads @ loads.T
    risk = 1.1 * min_variance(covariance)
    costs = np.array([np.zeros(d), np.full(d, -3.0), np.repeat([0.0, 1.0], 4), np.arange(8) // 3])
    solution = Portfolio(covariance, risk).solve(costs)
    check_feasible(solution.decisions, covariance, risk)
    expected = [reference(c, covariance, risk)[0] for c in costs]
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-7)


@pytest.mark.parametrize("budget", ["equal", "at_most"])
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
        risk = float(rng.uniform(0.3, 1.0) * np.median(covariance.diagonal())) + 1e-3
        costs = rng.normal(size=(4, d))
        costs[0] = np.round(costs[0])
        expected = [reference(c, covariance, risk, budget) for c in costs]
        if any(status > Status.FEASIBLE for _, status in expected):
            continue
        solution = Portfolio(covariance, risk, budget).solve(costs)
        check_feasible(solution.decisions, covariance, risk * (1 + 1e-6), budget)
        np.testing.assert_allclose(solution.objectives, [v for v, _ in expected], atol=3e-6)


def test_what_the_kernel_gives_up_the_cone_solver_answers(rng, monkeypatch):
    d = 6
    loads = rng.normal(size=(d, d))
    covariance = loads @ loads.T
    risk = 1.5 * min_variance(covariance)
    costs = rng.normal(size=(5, d))
    for budget in ("equal", "at_most"):
        oracle = Portfolio(covariance, risk, budget)
        expected = oracle.solve(costs)

        def give_up(kernel, n, *arguments, serial):
            arguments[-1][:] = Status.FAILED

        with monkeypatch.context() as patch:
            patch.setattr(_portfolios, "run", give_up)
            found = oracle.solve(costs)
            with pytest.raises(InfeasibleError):
                Portfolio(covariance, risk / 2).solve(costs)
        np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-7)
        np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_units_of_costs_and_returns_do_not_matter(rng, scale):
    loads = rng.normal(size=(10, 10))
    covariance = loads @ loads.T
    risk = 1.5 * min_variance(covariance)
    costs = rng.normal(size=(10, 10))
    expected = Portfolio(covariance, risk).solve(costs).decisions
    np.testing.assert_allclose(
        Portfolio(covariance, risk).solve(scale * costs + 5 * scale).decisions, expected, atol=1e-7
    )
    np.testing.assert_allclose(
        Portfolio(scale * covariance, scale * risk).solve(costs).decisions, expected, atol=1e-9
    )


@pytest.mark.parametrize("budget", ["equal", "at_most"])
def test_instance_data(rng, budget):
    n, d = 6, 5
    loads = rng.normal(size=(n, d, d))
    covariances = loads @ loads.transpose(0, 2, 1)
    risks = np.array([1.2 * min_variance(covariance) for covariance in covariances])
    costs = rng.normal(size=(n, d))
    oracle = Portfolio(np.eye(d), 1.0, budget)
    together = oracle.solve(costs, {"covariance": covariances, "risk": risks})
    for i in range(n):
        alone = Portfolio(covariances[i], risks[i], budget).solve(costs[i : i + 1])
        np.testing.assert_allclose(together.decisions[i], alone.decisions[0], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 0.5], [0.4, 1.0]], 1.0), "not symmetric"),
        (([[1.0, 2.0], [2.0, 1.0]], 1.0), "not positive semidefinite: it has the eigenvalue -1"),
        (([[1.0, 0.0]], 1.0), r"shape \(1, 2\), expected \(d, d\)"),
        (([[np.nan]], 1.0), "finite"),
        (([[1.0]], -1.0), "got risk -1.0"),
        (([[1.0]], float("nan")), "got risk nan"),
        (([[1.0]], 1.0, "most"), "got budget 'most', expected 'equal' or 'at_most'"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Portfolio(*arguments)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"risk": np.ones((2, 1))}, r"'risk' of shape \(2, 1\), expected \(2,\)"),
        ({"risk": np.array([1.0, -1.0])}, "instance 1: got risk -1"),
        ({"covariance": np.ones((2, 3))}, "'covariance' of shape"),
        ({"covariance": np.stack([np.eye(3), -np.eye(3)])}, "instance 1: .* semidefinite"),
        ({"covariance": np.stack([np.eye(3), np.triu(np.ones((3, 3)))])}, "instance 1: .*symmetr"),
        ({"weights": np.ones(2)}, "knows: covariance, risk"),
    ],
)
def test_bad_instance_data(instance, message):
    with pytest.raises(InvalidInputError, match=message):
        Portfolio(np.eye(3), 1.0).solve(np.ones((2, 3)), instance)


def test_wrong_width_names_both():
    with pytest.raises(InvalidInputError, match="got 4 costs per instance, expected 3"):
        Portfolio(np.eye(3), 1.0).solve(np.ones((2, 4)))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])  # noqa: S301
def test_copies_solve_alike(rng, duplicate):
    oracle = Portfolio(np.diag([4.0, 1.0]), 1.0, "at_most")
    costs = rng.normal(size=(4, 2))
    expected = oracle.solve(costs).decisions
    np.testing.assert_array_equal(duplicate(oracle).solve(costs).decisions, expected)
    assert (
        repr(oracle) == "Portfolio(covariance=[[4.0, 0.0], [0.0, 1.0]], risk=1.0, budget='at_most')"
    )


def test_two_threads_at_once(rng):
    covariance = np.diag(rng.uniform(1, 2, 20))
    oracle = Portfolio(covariance, 0.1)
    batches = [rng.normal(size=(700, 20)) for _ in range(2)]
    expected = [oracle.solve(costs).decisions for costs in batches]
    found = [None, None]

    def work(i):
        found[i] = oracle.solve(batches[i]).decisions

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        np.testing.assert_array_equal(found[i], expected[i])
