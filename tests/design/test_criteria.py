"""Criteria have the values of their formulas, and are blind to what does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl.design import (
    AOptimal,
    BayesianLinearRegression,
    CommitteeVariance,
    ConeDirectionalUncertainty,
    DeltaDirectionalUncertainty,
    DirectionalUncertainty,
    DOptimal,
    FiniteHypothesisClass,
    IntegratedDirectionalDesign,
    IOptimal,
    L2Uncertainty,
    MarginUncertainty,
    Posterior,
    RandomSampling,
    RegretUncertainty,
    ResultantUncertainty,
    directional_margin,
    project_costs,
)
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Counting,
    GridShortestPath,
    LinearProgram,
    Maximize,
    MeanVariancePortfolio,
    Program,
    Simplex,
    TopK,
    degeneracy_distance,
)

ONE = np.zeros((1, 1))


class Given:
    """A model whose posterior is given."""

    ready = True

    def __init__(self, mean, covariance) -> None:
        self.mean, self.covariance = np.atleast_2d(mean), np.asarray(covariance)

    def posterior(self, X):
        return Posterior(self.mean, np.ones(len(self.mean)), self.covariance)


def chords(table, projection):
    """The definition, pair by pair."""
    found = []
    for x in range(table.shape[1]):
        unit = table[:, x] @ projection
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        found.append(np.linalg.norm(unit[:, None] - unit, axis=-1).max())
    return np.array(found)


def row_centering(n):
    return np.kron(np.eye(n), np.eye(n) - 1 / n)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 17), st.floats(1e-8, 10))
def test_the_chord_is_that_of_the_definition_however_close_directions_are(seed, m, d, spread):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(1, 3, d)) + spread * rng.normal(size=(m, 3, d))
    model, pool = FiniteHypothesisClass(table), np.arange(3)
    exact = DirectionalUncertainty(project=False).score(model, pool)
    np.testing.assert_allclose(exact, chords(table, np.eye(d)), rtol=1e-7, atol=1e-15)
    projected = DirectionalUncertainty().score(model, pool, Simplex(d))
    np.testing.assert_allclose(projected, chords(table, np.eye(d) - 1 / d), rtol=1e-6, atol=1e-12)
    bound = DirectionalUncertainty("bound", project=False).score(model, pool)
    assert (bound >= exact - 1e-12).all()
    assert (bound <= 2 * exact + 1e-12).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 17), st.floats(-150, 150))
def test_l2_is_the_largest_distance_at_any_scale(seed, m, d, exponent):
    table = 10.0**exponent * np.random.default_rng(seed).normal(size=(m, 2, d))
    found = L2Uncertainty().score(FiniteHypothesisClass(table), np.arange(2))
    flat = table / 10.0**exponent
    expected = np.linalg.norm(flat[:, None] - flat, axis=-1).max(axis=(0, 1))
    np.testing.assert_allclose(found / 10.0**exponent, expected, rtol=1e-12)


def test_scale_of_hypotheses_changes_nothing_but_l2(rng) -> None:
    """C5: powers of two, so that equality is exact."""
    table = rng.normal(size=(12, 20, 9))
    scaled = table * 2.0 ** rng.integers(-8, 9, size=(12, 20, 1))
    plain, other = FiniteHypothesisClass(table), FiniteHypothesisClass(scaled)
    pool, oracle = np.arange(20), Assignment(3)
    for criterion in (
        DirectionalUncertainty(),
        DirectionalUncertainty("bound"),
        DirectionalUncertainty(project=False),
        ResultantUncertainty(),
    ):
        np.testing.assert_array_equal(
            criterion.score(plain, pool, oracle), criterion.score(other, pool, oracle)
        )
    np.testing.assert_array_equal(
        oracle.solve(table.reshape(-1, 9)).decisions, oracle.solve(scaled.reshape(-1, 9)).decisions
    )
    any_scale = FiniteHypothesisClass(table * rng.uniform(0.01, 100, size=(12, 20, 1)))
    np.testing.assert_allclose(
        DirectionalUncertainty().score(any_scale, pool, oracle),
        DirectionalUncertainty().score(plain, pool, oracle),
        rtol=1e-12,
    )
    for blind in (L2Uncertainty(), CommitteeVariance()):
        assert not np.allclose(blind.score(plain, pool), blind.score(other, pool), rtol=0.1)


def test_hypotheses_of_one_direction_have_no_uncertainty_at_all(rng) -> None:
    direction = rng.normal(size=(1, 5, 4))
    model = FiniteHypothesisClass(direction * rng.uniform(0.1, 10, size=(30, 5, 1)))
    assert not DirectionalUncertainty().score(model, np.arange(5), Box(4)).any()


def test_uncertainty_asks_the_oracle_nothing(rng) -> None:
    """C8."""
    oracle = Counting(Assignment(3))
    model = FiniteHypothesisClass(rng.normal(size=(6, 10, 9)))
    for criterion in (
        DirectionalUncertainty(),
        ResultantUncertainty(),
        DeltaDirectionalUncertainty(),
        RegretUncertainty(),
    ):
        criterion.score(model, np.arange(10), oracle)
    assert oracle.counts.calls == 0
    MarginUncertainty().score(model, np.arange(10), oracle)
    assert oracle.counts.calls > 0


def test_costs_without_direction_are_as_uncertain_as_can_be() -> None:
    zero = FiniteHypothesisClass(np.array([[[0.0, 0.0, 0.0]], [[1.0, 2.0, 4.0]]]))
    flat = FiniteHypothesisClass(np.array([[[0.1, 0.1, 0.1]], [[1.0, 2.0, 4.0]]]))
    alone = FiniteHypothesisClass(np.array([[[0.1, 0.1, 0.1]]]))
    for method in ("exact", "bound"):
        criterion = DirectionalUncertainty(method)
        assert criterion.score(zero, [0], Simplex(3)) == 2
        assert criterion.score(flat, [0], Simplex(3)) == 2
        assert criterion.score(flat, [0], Box(3)) < 2
        assert criterion.score(alone, [0], Simplex(3)) == 0


@pytest.mark.parametrize(
    ("oracle", "projection"),
    [
        (Simplex(4), np.eye(4) - 1 / 4),
        (Simplex(), np.eye(4) - 1 / 4),
        (TopK(4, 2), np.eye(4) - 1 / 4),
        (Box(4), np.eye(4)),
        (Ball(4), np.eye(4)),
        (Assignment(2), np.kron(np.eye(2) - 1 / 2, np.eye(2) - 1 / 2)),
        (Maximize(Simplex(4)), np.eye(4) - 1 / 4),
        (Counting(Maximize(Simplex(4))), np.eye(4) - 1 / 4),
    ],
    ids=repr,
)
def test_projections_have_their_closed_forms(oracle, projection, rng) -> None:
    costs = rng.normal(size=(3, 5, 4))
    np.testing.assert_allclose(project_costs(oracle, costs), costs @ projection, atol=1e-14)


def test_row_sums_alone_center_rows(rng) -> None:
    """Each task to one model, capacities of models are inequalities: rows lose their mean."""
    ones, eye = np.ones((1, 3)), np.eye(3)
    A = np.vstack([np.kron(eye, ones), np.kron(ones, eye)])
    program = Program(
        A, [1, 1, 1, -np.inf, -np.inf, -np.inf], [1, 1, 1, 2, 2, 2], np.zeros(9), np.ones(9)
    )
    costs = rng.normal(size=(6, 9))
    np.testing.assert_allclose(
        project_costs(LinearProgram(program), costs), costs @ row_centering(3), atol=1e-14
    )


def test_decisions_and_margins_do_not_feel_the_projection(rng) -> None:
    for oracle in (GridShortestPath(3, 4), Assignment(4), Simplex(6)):
        costs = rng.normal(size=(20, oracle.n_costs)) + 5
        projected = project_costs(oracle, costs)
        np.testing.assert_array_equal(
            oracle.solve(costs).decisions, oracle.solve(projected).decisions
        )
        np.testing.assert_allclose(project_costs(oracle, projected), projected, atol=1e-12)
        np.testing.assert_allclose(
            degeneracy_distance(oracle, costs).distance,
            degeneracy_distance(oracle, projected).distance,
            atol=1e-9,
        )
        assert (np.linalg.norm(projected, axis=1) < np.linalg.norm(costs, axis=1)).all()


def test_projection_of_a_decision_map_is_that_of_the_decisions(rng) -> None:
    # the decision is (x1 + x2, x3) with x1 + x2 + x3 = 1: the simplex again
    program = Program(
        [[1.0, 1.0, 1.0]], [1.0], [1.0], np.zeros(3), np.ones(3),
        decision_map=[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    )  # fmt: skip
    costs = rng.normal(size=(4, 2))
    np.testing.assert_allclose(
        project_costs(LinearProgram(program), costs), costs - costs.mean(1, keepdims=True)
    )


def test_delta_method_is_the_mean_squared_chord_to_first_order(rng) -> None:
    mean, covariance = np.array([6.0, 0.0, 8.0, 0.0]), np.diag([0.04, 0.09, 0.01, 0.16])
    found = DeltaDirectionalUncertainty().score(Given(mean, covariance), ONE, Ball(4))[0]
    unit = mean / 10
    assert found**2 == pytest.approx((np.trace(covariance) - unit @ covariance @ unit) / 100)
    draws = mean + rng.normal(size=(400_000, 4)) * np.sqrt(np.diag(covariance))
    draws /= np.linalg.norm(draws, axis=1, keepdims=True)
    assert found**2 == pytest.approx(((draws - unit) ** 2).sum(1).mean(), rel=0.01)


def test_regret_weight_is_the_expected_regret_on_the_ball(rng) -> None:
    mean, covariance = np.array([6.0, 0.0, 8.0, 0.0]), np.diag([0.04, 0.09, 0.01, 0.16])
    found = RegretUncertainty().score(Given(mean, covariance), ONE, Ball(4))[0]
    assert found == pytest.approx(0.01396, abs=5e-6)
    draws = mean + rng.normal(size=(400_000, 4)) * np.sqrt(np.diag(covariance))
    regret = np.linalg.norm(draws, axis=1) - draws @ mean / 10
    assert found == pytest.approx(regret.mean(), rel=0.01)
    # half the length times the squared directional uncertainty
    delta = DeltaDirectionalUncertainty().score(Given(mean, covariance), ONE, Ball(4))[0]
    assert found == pytest.approx(10 / 2 * delta**2)


def test_posterior_and_its_own_draws_agree(rng) -> None:
    X = rng.normal(size=(40, 3))
    C = X @ rng.normal(size=(3, 4)) + 0.3 * rng.normal(size=(40, 4))
    model = BayesianLinearRegression(n_draws=4000).fit(X, C)
    drawn = FiniteHypothesisClass(model.members(X).swapaxes(0, 1))
    numbers = np.arange(40)
    for criterion in (RegretUncertainty(), DeltaDirectionalUncertainty()):
        np.testing.assert_allclose(
            criterion.score(drawn, numbers, Simplex(4)),
            criterion.score(model, X, Simplex(4)),
            rtol=0.15,
        )


def test_between_two_decisions_a_direction_is_a_sign_and_rounding_is_no_uncertainty(rng) -> None:
    """Left of the projection is a line; what rounding leaves across it would choose the rows."""
    costs = rng.normal([3.0, 0.0], size=(9, 60, 2))
    members, numbers = FiniteHypothesisClass(costs), np.arange(60)
    X = rng.normal(size=(60, 3))
    posterior = BayesianLinearRegression().fit(X, costs[0])
    for criterion in (RegretUncertainty(), DeltaDirectionalUncertainty()):
        assert not criterion.score(members, numbers, Simplex(2)).any()
        assert not criterion.score(posterior, X, Simplex(2)).any()
        assert criterion.score(members, numbers, Box(2)).all()
        assert criterion.score(posterior, X, Box(2)).all()
    # of designs it leaves the classical one
    for weight in ("direction", "regret"):
        np.testing.assert_allclose(
            IntegratedDirectionalDesign(weight).score(posterior, X, Simplex(2)),
            IOptimal().score(posterior, X),
        )
    # the widest difference of directions does see who disagrees
    signs = np.sign(costs[..., 0] - costs[..., 1])
    disagree = signs.min(axis=0) < signs.max(axis=0)
    assert 0 < disagree.sum() < 60
    found = DirectionalUncertainty().score(members, numbers, Simplex(2))
    np.testing.assert_allclose(found, 2.0 * disagree, atol=1e-12)


def test_cone_of_round_noise_is_exact_and_of_other_noise_an_eigenvalue(rng) -> None:
    mean = np.array([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0]])
    criterion = ConeDirectionalUncertainty(radius=2.0)
    found = criterion.score(Given(mean, 0.25 * np.eye(3)), np.zeros((2, 1)), Ball(3))
    # the sphere of radius 1 around a mean of length 5; and one that holds the origin
    np.testing.assert_allclose(found, [2 * 1 / 5, 2.0])
    means, root = rng.normal(size=(50, 5)) * 30, rng.normal(size=(5, 5))
    noise, projection = root @ root.T, np.eye(5) - 1 / 5
    found = ConeDirectionalUncertainty(1.0).score(
        Given(means, noise), np.zeros((50, 1)), Simplex(5)
    )
    for value, own in zip(found, means @ projection, strict=True):
        across = projection - np.outer(own, own) / (own @ own)
        largest = np.linalg.eigvalsh(across @ noise @ across)[-1]
        expected = np.sqrt(largest) / np.linalg.norm(own)
        assert value == pytest.approx(2 * expected if expected < 1 else 2.0, rel=1e-9)


def test_resultant_is_the_root_mean_square_chord(rng) -> None:
    table = rng.normal(size=(7, 4, 3)) + 1
    found = ResultantUncertainty(project=False).score(FiniteHypothesisClass(table), np.arange(4))
    unit = table / np.linalg.norm(table, axis=-1, keepdims=True)
    square = ((unit[:, None] - unit) ** 2).sum(-1).mean(axis=(0, 1))
    np.testing.assert_allclose(2 - 2 * (1 - found) ** 2, square)


@pytest.fixture
def fitted(rng):
    X = rng.normal(size=(60, 4))
    C = X @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3))
    return BayesianLinearRegression(ridge=0.1).fit(X[:12], C[:12]), X, C


def test_integrated_gain_is_the_drop_of_the_integral(fitted) -> None:
    """Sherman and Morrison against a fresh inverse."""
    model, X, _ = fitted
    Z, law = model.features(X), np.arange(1.0, 61) / np.arange(1.0, 61).sum()
    posterior = model.posterior(X)
    projection = np.eye(3) - 1 / 3
    mean = posterior.mean @ projection
    length = np.linalg.norm(mean, axis=1)
    across = np.array(
        [np.trace((projection - np.outer(u, u)) @ model.noise_) for u in mean / length[:, None]]
    )
    deviation = np.sqrt(across * posterior.leverage)
    factors = {
        IntegratedDirectionalDesign(): across / np.maximum(length, deviation / 2) ** 2,
        IntegratedDirectionalDesign("regret"): across / np.maximum(2 * length, deviation),
        IOptimal(): np.ones(60),
    }
    for criterion, factor in factors.items():
        matrix = (Z * (law * factor)[:, None]).T @ Z
        before = np.trace(model.inverse_ @ matrix)
        precision = np.linalg.inv(model.inverse_)
        drops = [before - np.trace(np.linalg.inv(precision + np.outer(z, z)) @ matrix) for z in Z]
        np.testing.assert_allclose(
            criterion.score(model, X, Simplex(3), law), drops, rtol=1e-9, atol=1e-12
        )


def test_a_and_d_optimal_gains_are_drops_of_trace_and_determinant(fitted) -> None:
    model, X, _ = fitted
    precision = np.linalg.inv(model.inverse_)
    for z, a, d in zip(
        model.features(X), AOptimal().score(model, X), DOptimal().score(model, X), strict=True
    ):
        after = precision + np.outer(z, z)
        drop = np.trace(model.inverse_) - np.trace(np.linalg.inv(after))
        assert a == pytest.approx(drop, rel=1e-9)
        rise = np.linalg.slogdet(after)[1] - np.linalg.slogdet(precision)[1]
        assert np.log1p(d) == pytest.approx(rise, rel=1e-9)


def test_greedy_batches_are_single_steps_with_the_model_updated(fitted) -> None:
    model, X, C = fitted
    allowed = np.ones(60, dtype=bool)
    allowed[:12] = False
    for criterion in (DOptimal(), AOptimal(), IOptimal()):
        batch = criterion.select(model, X, 5, allowed, False, Simplex(3), None)
        assert len(set(batch)) == 5
        single, step, open_rows = [], BayesianLinearRegression(ridge=0.1), allowed.copy()
        step.fit(X[:12], C[:12])
        for _ in range(5):
            best = criterion.select(step, X, 1, open_rows, False, Simplex(3), None)[0]
            single.append(best)
            open_rows[best] = False
            step.fit(X[[best]], C[[best]])
        assert list(batch) == single


def test_margin_scores_fall_with_the_distance_to_a_tie(rng) -> None:
    table = rng.normal(size=(1, 50, 9))
    model, pool = FiniteHypothesisClass(table), np.arange(50)
    distance = degeneracy_distance(Assignment(3), table[0]).distance
    scores = MarginUncertainty().score(model, pool, Assignment(3))
    np.testing.assert_array_equal(np.argsort(-scores), np.argsort(distance))
    # values are the costs of a maximizing oracle with the other sign
    turned = FiniteHypothesisClass(-table)
    np.testing.assert_allclose(
        MarginUncertainty().score(turned, pool, Maximize(Assignment(3))), scores
    )


def test_directional_margin_keeps_its_promise(rng) -> None:
    """Directions closer than the margin decide alike."""
    oracle, costs = Assignment(3), rng.normal(size=(200, 9))
    margin = directional_margin(oracle, costs)
    assert 0 < margin < 1
    unit = project_costs(oracle, costs)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    step = rng.normal(size=unit.shape)
    step *= 0.999 * margin / np.linalg.norm(step, axis=1, keepdims=True)
    np.testing.assert_array_equal(oracle.solve(unit).decisions, oracle.solve(unit + step).decisions)
    assert directional_margin(oracle, 7 * costs + 1) == pytest.approx(margin)
    assert directional_margin(Simplex(3), [[1.0, 1.0, 1.0]]) == 0
    with pytest.raises(InvalidInputError, match="quantile=2"):
        directional_margin(oracle, costs, quantile=2)


def test_errors_of_criteria() -> None:
    model = FiniteHypothesisClass(np.ones((2, 3, 2)))
    with pytest.raises(InvalidInputError, match="needs the oracle"):
        DirectionalUncertainty().score(model, np.arange(3))
    with pytest.raises(InvalidInputError, match="predicts 2 costs, the oracle takes 3"):
        DirectionalUncertainty().score(model, np.arange(3), Simplex(3))
    with pytest.raises(InvalidInputError, match="method='fast'"):
        DirectionalUncertainty("fast").score(model, np.arange(3), Box(2))
    with pytest.raises(InvalidInputError, match="empty pool"):
        DirectionalUncertainty().score(model, np.zeros((0, 1)), Box(2))
    with pytest.raises(InvalidInputError, match=r"nan in row 1, column 0"):
        L2Uncertainty().score(model, [0.0, np.nan])
    with pytest.raises(UnsupportedError, match="DOptimal needs a linear model"):
        DOptimal().score(model, np.arange(3))
    with pytest.raises(UnsupportedError, match="members"):
        L2Uncertainty().score(Given([[1.0, 2.0]], np.eye(2)), ONE)
    with pytest.raises(UnsupportedError, match="covariance"):
        ConeDirectionalUncertainty().score(model, np.arange(3), Box(2))
    with pytest.raises(InvalidInputError, match="radius"):
        ConeDirectionalUncertainty(0).score(Given([[1.0, 2.0]], np.eye(2)), ONE, Box(2))
    with pytest.raises(InvalidInputError, match="weight='loss'"):
        IntegratedDirectionalDesign("loss").score(
            BayesianLinearRegression().fit(ONE, [[1.0, 2.0]]), ONE, Box(2)
        )
    with pytest.raises(InvalidInputError, match="table of 3 designs"):
        L2Uncertainty().score(model, [0, 5])


def test_reprs_rebuild_the_criteria() -> None:
    for criterion in (
        AOptimal(),
        CommitteeVariance(True),
        ConeDirectionalUncertainty(1.5),
        DOptimal(),
        DeltaDirectionalUncertainty(False),
        DirectionalUncertainty("bound"),
        IOptimal(),
        IntegratedDirectionalDesign("regret"),
        L2Uncertainty(True),
        MarginUncertainty(),
        RandomSampling(),
        RegretUncertainty(),
        ResultantUncertainty(False),
    ):
        assert repr(eval(repr(criterion), globals())) == repr(criterion)  # noqa: S307


@pytest.mark.parametrize("wrap", [lambda oracle: oracle, Maximize, Counting])
@pytest.mark.parametrize("project", [True, False])
def test_directions_are_refused_where_decisions_depend_on_the_scale(wrap, project) -> None:
    """A portfolio with a variance of its own: twice the returns, another decision."""
    problem = MeanVariancePortfolio(np.diag([1.0, 4.0]), 1.0)
    costs = np.array([[-1.0, -2.0]])
    assert not np.allclose(problem.solve(costs).decisions, problem.solve(9 * costs).decisions)
    oracle, pool = wrap(problem), np.arange(1)
    model = FiniteHypothesisClass(np.stack([costs, 9 * costs]))
    linear = BayesianLinearRegression().fit(np.eye(2), np.eye(2) + 1)
    for criterion, own, rows in (
        (DirectionalUncertainty(project=project), model, pool),
        (DirectionalUncertainty("bound", project), model, pool),
        (ResultantUncertainty(project), model, pool),
        (DeltaDirectionalUncertainty(project), model, pool),
        (RegretUncertainty(project), model, pool),
        (ConeDirectionalUncertainty(project=project), linear, np.eye(2)),
        (IntegratedDirectionalDesign(project=project), linear, np.eye(2)),
        (DeltaDirectionalUncertainty(project), linear, np.eye(2)),
    ):
        name = type(criterion).__name__
        with pytest.raises(UnsupportedError, match=f"{name}: MeanVariancePortfolio has an obj"):
            criterion.score(own, rows, oracle)
    assert L2Uncertainty(project).score(model, pool, oracle) > 0
    with pytest.raises(UnsupportedError, match="directional_margin: MeanVariancePortfolio"):
        directional_margin(oracle, costs)
