"""Sets with differentiable decisions: optimality, derivatives, published values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from dfl_solvers.backends.clarabel import solve_cone_program
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.problems.ball import Ball
from dfl_solvers.problems.ellipsoid import Ellipsoid
from dfl_solvers.problems.entropy_ball import EntropyBall
from dfl_solvers.problems.log_barrier_simplex import LogBarrierSimplex
from dfl_solvers.testing import check_oracle

FACTOR = np.random.default_rng(5).normal(size=(6, 6))
MATRIX = FACTOR @ FACTOR.T + 0.1 * np.eye(6)
ORACLES = {
    "ball": Ball(6, radius=2.5),
    "ellipsoid": Ellipsoid(MATRIX, level=3.0),
    "entropy": EntropyBall(6),
    "entropy-one": EntropyBall(6, level=1.0),
    "entropy-near-all": EntropyBall(6, level=1.75),
    "entropy-near-none": EntropyBall(6, level=1e-5),
    "barrier": LogBarrierSimplex(6),
    "barrier-near-none": LogBarrierSimplex(6, level=6 * np.log(6) + 1e-4),
    "barrier-wide": LogBarrierSimplex(6, level=40.0),
}
every = pytest.mark.parametrize("name", ORACLES)
on_the_simplex = pytest.mark.parametrize("name", list(ORACLES)[2:])


def divergence(w):
    return np.log(w.shape[1]) + (w * np.log(np.where(w > 0, w, 1.0))).sum(axis=1)


def outside(oracle, w):
    """By how much decisions break the constraints of a set."""
    if isinstance(oracle, Ball):
        return np.linalg.norm(w, axis=1) - oracle.radius
    if isinstance(oracle, Ellipsoid):
        return np.einsum("ni,ij,nj->n", w, oracle.matrix, w) / 2 - oracle.level
    np.testing.assert_allclose(w.sum(axis=1), 1, atol=1e-14)
    assert (w >= 0).all()
    if isinstance(oracle, EntropyBall):
        return divergence(w) - oracle.level
    return -np.log(w).sum(axis=1) - oracle.level


def numerical(oracle, costs, vectors, step=1e-4):
    """Gradient of vectors . w*(costs) by central differences of fourth order."""
    found = np.zeros_like(costs)
    for j in range(costs.shape[1]):
        for k, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            moved = costs.copy()
            moved[:, j] += k * step
            found[:, j] += weight * np.vecdot(vectors, oracle.solve(moved).decisions)
    return found / (12 * step)


@every
def test_contract(name):
    check_oracle(ORACLES[name])


@every
def test_decisions_lie_on_the_boundary(name, rng):
    oracle = ORACLES[name]
    decisions = oracle.solve(rng.normal(size=(2000, 6))).decisions
    violation = outside(oracle, decisions)
    assert violation.max() < 1e-12
    assert violation.min() > -1e-12  # costs never leave the constraint loose


@every
def test_derivative_is_that_of_central_differences(name, rng):
    oracle = ORACLES[name]
    costs, vectors = rng.normal(size=(2, 30, 6))
    found = oracle.vector_jacobian_product(costs, vectors)
    expected = numerical(oracle, costs, vectors)
    size = np.abs(expected).max(axis=1, keepdims=True) + 1e-3
    np.testing.assert_allclose(found / size, expected / size, atol=2e-7)


@every
def test_derivative_is_orthogonal_to_the_costs(name, rng):
    costs, vectors = rng.normal(size=(2, 50, 6))
    gradients = ORACLES[name].vector_jacobian_product(costs, vectors)
    size = np.abs(gradients).max(axis=1)
    np.testing.assert_allclose(np.vecdot(gradients, costs), 0, atol=1e-10 * size.max())
    if not isinstance(ORACLES[name], (Ball, Ellipsoid)):
        np.testing.assert_allclose(gradients.sum(axis=1), 0, atol=1e-10 * size.max())


@every
def test_the_jacobian_is_symmetric_and_negative(name, rng):
    """It is the second derivative of the concave optimal value."""
    costs = np.repeat(rng.normal(size=(1, 6)), 6, axis=0)
    jacobian = ORACLES[name].vector_jacobian_product(costs, np.eye(6))
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-10 * np.abs(jacobian).max())
    assert np.linalg.eigvalsh(jacobian).max() < 1e-10 * np.abs(jacobian).max()


@every
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e9, 1e150, 1e305])
def test_units_of_the_costs_do_not_matter(name, scale, rng):
    oracle = ORACLES[name]
    costs, vectors = rng.normal(size=(2, 30, 6))
    expected = oracle.solve(costs).decisions
    np.testing.assert_allclose(oracle.solve(scale * costs).decisions, expected, atol=1e-12)
    found = oracle.vector_jacobian_product(scale * costs, vectors) * scale
    expected = oracle.vector_jacobian_product(costs, vectors)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


@on_the_simplex
def test_a_constant_added_to_all_costs_does_not_matter(name, rng):
    oracle = ORACLES[name]
    costs = rng.integers(-9, 9, size=(30, 6)).astype(float)
    for constant in (-17.0, 2.0**20):
        expected = oracle.solve(costs).decisions
        found = oracle.solve(costs + constant).decisions
        np.testing.assert_allclose(found, expected, atol=1e-9)


@every
def test_no_costs_no_derivative(name):
    oracle = ORACLES[name]
    costs = np.zeros((2, 6))
    decisions = oracle.solve(costs).decisions
    middle = 0.0 if isinstance(oracle, (Ball, Ellipsoid)) else 1 / 6
    np.testing.assert_array_equal(decisions, middle)
    np.testing.assert_array_equal(oracle.vector_jacobian_product(costs, np.ones((2, 6))), 0)
    assert oracle.vector_jacobian_product(costs[:0], costs[:0]).shape == (0, 6)


@on_the_simplex
def test_equal_costs_give_equal_weights(name):
    oracle = ORACLES[name]
    costs = np.full((1, 6), -0.1)
    np.testing.assert_array_equal(oracle.solve(costs).decisions, 1 / 6)
    np.testing.assert_array_equal(oracle.vector_jacobian_product(costs, np.eye(1, 6)), 0)


def test_ellipsoid_by_hand():
    decisions = Ellipsoid(np.diag([1.0, 4.0])).solve([[3.0, 8.0], [0.0, -1.0]]).decisions
    np.testing.assert_allclose(decisions, [[-0.6, -0.4], [0, 0.5]], atol=1e-15)
    # the unit matrix is the ball
    costs, vectors = np.random.default_rng(0).normal(size=(2, 9, 5))
    ball, same = Ball(5, radius=3.0), Ellipsoid(np.eye(5), level=4.5)
    np.testing.assert_allclose(same.solve(costs).decisions, ball.solve(costs).decisions, atol=1e-14)
    np.testing.assert_allclose(
        same.vector_jacobian_product(costs, vectors),
        ball.vector_jacobian_product(costs, vectors),
        atol=1e-13,
    )


def test_ellipsoid_against_a_cone_solver(rng):
    costs = rng.normal(size=(8, 6))
    root = np.linalg.cholesky(MATRIX).T
    A, b = np.vstack([np.zeros((1, 6)), -root]), np.r_[np.sqrt(2 * 3.0), np.zeros(6)]
    expected = [solve_cone_program(c, A, b, second_order=(7,))[0] @ c for c in costs]
    found = Ellipsoid(MATRIX, 3.0).solve(costs)
    np.testing.assert_allclose(found.objectives, expected, rtol=1e-7)
    inverse = np.linalg.inv(MATRIX)
    closed_form = -np.sqrt(6.0 * np.einsum("ni,ij,nj->n", costs, inverse, costs))
    np.testing.assert_allclose(found.objectives, closed_form, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
def test_units_of_the_matrix(scale, rng):
    costs, vectors = rng.normal(size=(2, 9, 6))
    expected = Ellipsoid(MATRIX, 3.0)
    found = Ellipsoid(scale * MATRIX, scale * 3.0)
    np.testing.assert_allclose(
        found.solve(costs).decisions, expected.solve(costs).decisions, rtol=1e-12
    )
    np.testing.assert_allclose(
        found.vector_jacobian_product(costs, vectors),
        expected.vector_jacobian_product(costs, vectors),
        rtol=1e-11,
    )


def test_published_values_of_the_entropy_set():
    two = EntropyBall(2)
    assert two.level == pytest.approx(np.log(2) - np.log(1.1))
    np.testing.assert_allclose(
        two.solve([[0.0, 1.0], [5.0, 12.0]]).decisions, [[0.98069797, 0.01930203]] * 2, atol=1e-8
    )
    three = EntropyBall(3, level=0.35667494)
    decisions = three.solve([[1.0, 2.0, 4.0]]).decisions
    np.testing.assert_allclose(decisions, [[0.6888821, 0.2697545, 0.0413634]], atol=1e-7)
    # softmax(-a c) with the published a
    a = np.log(decisions[0, 0] / decisions[0, 1])
    assert a == pytest.approx(0.93755787, abs=1e-7)


def test_published_values_of_the_barrier():
    two = LogBarrierSimplex(2)
    assert two.level == pytest.approx(4 * np.log(2))
    first = (1 + np.sqrt(1 - 4 * np.exp(-two.level))) / 2
    assert first == pytest.approx(0.9330127019)
    np.testing.assert_allclose(
        two.solve([[1.0, 2.0], [7.0, -4.0]]).decisions, [[first, 1 - first], [1 - first, first]]
    )
    np.testing.assert_allclose(
        LogBarrierSimplex(3).solve([[1.0, 2.0, 3.0]]).decisions,
        [[0.91841463, 0.05384815, 0.02773722]],
        atol=1e-8,
    )


@on_the_simplex
def test_objectives_are_those_of_a_general_method(name, rng):
    oracle = ORACLES[name]
    costs = rng.normal(size=(4, 6))
    found = oracle.solve(costs).objectives
    for c, objective in zip(costs, found, strict=True):
        result = minimize(
            lambda w, c=c: c @ w,
            np.full(6, 1 / 6) + 1e-3 * (np.arange(6) - 2.5),
            jac=lambda w, c=c: c,
            bounds=[(1e-12, 1)] * 6,
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "ineq", "fun": lambda w: -outside_of_level(oracle, w)},
            ],
            options={"maxiter": 500, "ftol": 1e-14},
        )
        assert objective <= result.fun + 1e-9
        if result.success:
            assert objective == pytest.approx(result.fun, abs=2e-6)


def outside_of_level(oracle, w):
    if isinstance(oracle, EntropyBall):
        return divergence(w[None])[0] - oracle.level
    return -np.log(w).sum() - oracle.level


@pytest.mark.parametrize("level", [0.3, 0.9, 1.6])
def test_entropy_decisions_are_of_the_exponential_form(level, rng):
    costs = rng.normal(size=(50, 6))
    w = EntropyBall(6, level).solve(costs).decisions
    slopes = (np.log(w[:, 1:]) - np.log(w[:, :1])) / (costs[:, :1] - costs[:, 1:])
    np.testing.assert_allclose(slopes, slopes[:, :1] * np.ones(5), rtol=1e-8)
    assert (slopes > 0).all()


@pytest.mark.parametrize("level", [11.0, 21.5, 60.0])
def test_barrier_decisions_are_of_the_reciprocal_form(level, rng):
    costs = rng.normal(size=(50, 6))
    w = LogBarrierSimplex(6, level).solve(costs).decisions
    # 1 / w = T (c + u): an affine function of the costs
    for c, row in zip(costs, w, strict=True):
        slope = np.polyfit(c, 1 / row, 1)
        np.testing.assert_allclose(np.polyval(slope, c), 1 / row, rtol=1e-6)
        assert slope[0] > 0


def test_ties_of_the_entropy_set():
    costs = np.array([[1.0, 1.0, 2.0, 3.0]])
    # equal weights on two of four belong to the set from level log 2 on
    inside, beyond = EntropyBall(4, 0.999 * np.log(2)), EntropyBall(4, 1.001 * np.log(2))
    w = inside.solve(costs).decisions[0]
    assert w[0] == w[1]
    assert w[2] > 0
    assert divergence(w[None])[0] == pytest.approx(inside.level, abs=1e-12)
    assert inside.vector_jacobian_product(costs, np.eye(1, 4)).any()
    np.testing.assert_array_equal(beyond.solve(costs).decisions, [[0.5, 0.5, 0, 0]])
    np.testing.assert_array_equal(beyond.vector_jacobian_product(costs, np.eye(1, 4)), 0)
    # almost a tie: the decision has jumped to the side of the cheaper
    almost = beyond.solve(costs + 1e-9 * np.eye(1, 4)).decisions[0]
    assert divergence(almost[None])[0] == pytest.approx(beyond.level, abs=1e-12)
    assert almost[1] > almost[0] > 0


@pytest.mark.parametrize("gap", [1e-300, 1e-100, 1e-12, 1e-3])
@pytest.mark.parametrize("n", [2, 3, 50])
def test_costs_of_very_different_size(gap, n):
    costs = np.ones((2, n))
    costs[:, 0] = 0
    costs[0, -1] = gap
    costs[1, 1:] = gap * np.arange(1, n)
    bound = float(np.log(n))
    oracles = [EntropyBall(n, share * bound) for share in (1e-8, 0.1, 0.5, 0.9, 0.9999)]
    oracles += [LogBarrierSimplex(n, factor * n * bound) for factor in (1 + 1e-8, 2, 3, 10)]
    for oracle in oracles:
        found = oracle.solve(costs)
        assert np.isfinite(found.decisions).all()
        violation = outside(oracle, found.decisions)
        assert violation.max() < 1e-12 * max(1.0, oracle.level)
        gradients = oracle.vector_jacobian_product(costs, np.ones((2, 1)) * np.arange(n))
        assert not np.isnan(gradients).any()


@pytest.mark.parametrize("n", [2, 5, 300, 3000])
def test_many_weights(n, rng):
    costs = rng.normal(size=(20, n))
    for oracle in (EntropyBall(n), EntropyBall(n, 0.9 * np.log(n)), LogBarrierSimplex(n)):
        w = oracle.solve(costs).decisions
        assert np.abs(outside(oracle, w)).max() < 3e-13 * max(1.0, oracle.level)
        assert (w.argmax(axis=1) == costs.argmin(axis=1)).all()


def test_barrier_weights_too_small_for_a_number():
    # the level asks for exp(-2000), below the smallest number
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    w = LogBarrierSimplex(2, 2000.0).solve(costs).decisions
    np.testing.assert_allclose(w, [[1, 0], [0, 1]], atol=1e-150)
    assert np.isfinite(LogBarrierSimplex(2, 2000.0).vector_jacobian_product(costs, costs)).all()


@pytest.mark.parametrize("n", [2, 3, 10, 50])
def test_levels_at_the_very_ends(n, rng):
    costs, vectors = rng.normal(size=(2, 10, n))
    for oracle in (
        LogBarrierSimplex(n, np.nextafter(n * np.log(n), np.inf)),
        EntropyBall(n, 1e-16),
        EntropyBall(n, 5e-324),
    ):
        np.testing.assert_allclose(oracle.solve(costs).decisions, 1 / n, atol=1e-6)
        assert np.isfinite(oracle.vector_jacobian_product(costs, vectors)).all()
    nearly_all = EntropyBall(n, np.nextafter(np.log(n), 0))
    w = nearly_all.solve(costs).decisions
    np.testing.assert_allclose(w, np.eye(n)[costs.argmin(axis=1)], atol=1e-13)
    assert np.isfinite(nearly_all.vector_jacobian_product(costs, vectors)).all()


def test_ball_derivatives_in_single_precision(rng):
    costs, vectors = rng.normal(size=(2, 5, 4)).astype(np.float32)
    found = Ball(4).vector_jacobian_product(costs, vectors)
    assert found.dtype == np.float64
    expected = Ball(4).vector_jacobian_product(costs.astype(float), vectors.astype(float))
    np.testing.assert_array_equal(found, expected)
    assert np.isinf(Ball(2).vector_jacobian_product([[1e-310, 0.0]], [[0.0, 1.0]])[0, 1])


@every
def test_batches_and_lists(name, rng):
    oracle = ORACLES[name]
    costs, vectors = rng.normal(size=(2, 7, 6))
    together = oracle.vector_jacobian_product(costs, vectors)
    for i in range(7):
        alone = oracle.vector_jacobian_product(costs[i : i + 1].tolist(), [vectors[i].tolist()])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-12, atol=1e-14)
    turned = oracle.vector_jacobian_product(np.asfortranarray(costs), np.asfortranarray(vectors))
    np.testing.assert_array_equal(turned, together)
    costs.setflags(write=False)
    vectors.setflags(write=False)
    oracle.vector_jacobian_product(costs, vectors)


@every
def test_bad_vectors(name):
    oracle = ORACLES[name]
    costs = np.ones((2, 6))
    for vectors, message in (
        (np.ones((2, 5)), r"vectors of shape \(2, 5\), expected \(2, 6\), the shape of the costs"),
        (np.full((2, 6), np.nan), "got nan in the vectors at instance 0, coordinate 0"),
        ([["a"] * 6] * 2, "vectors are no numbers"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            oracle.vector_jacobian_product(costs, vectors)
    with pytest.raises(InvalidInputError, match="got cost inf at instance 0, coordinate 1"):
        oracle.vector_jacobian_product([[0, np.inf, 0, 0, 0, 0]], np.ones((1, 6)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ellipsoid([[1.0, 0.0]]), r"shape \(1, 2\), expected \(d, d\)"),
        (lambda: Ellipsoid(np.zeros((0, 0))), r"shape \(0, 0\), expected \(d, d\)"),
        (lambda: Ellipsoid([["a"]]), "matrix is no matrix"),
        (lambda: Ellipsoid([[np.nan]]), "finite"),
        (lambda: Ellipsoid([[1.0, 0.5], [0.4, 1.0]]), "not symmetric: .* differ by 0.1"),
        (lambda: Ellipsoid([[1.0, 2.0], [2.0, 1.0]]), "smallest eigenvalue is -1, its largest 3"),
        (lambda: Ellipsoid([[1.0, 1.0], [1.0, 1.0]]), "not positive definite"),
        (lambda: Ellipsoid([[0.0]]), "not positive definite"),
        (lambda: Ellipsoid([[1.0]], level=0.0), "level=0.0, expected a positive"),
        (lambda: Ellipsoid([[1.0]], level=np.nan), "level=nan"),
        (lambda: EntropyBall(1), "n=1, expected an integer of at least 2"),
        (lambda: EntropyBall(3, level=0.0), "level=0.0, expected .* log.n. = 1.09861"),
        (lambda: EntropyBall(3, level=1.1), "level=1.1"),
        (lambda: LogBarrierSimplex(1), "n=1, expected an integer of at least 2"),
        (lambda: LogBarrierSimplex(2, level=1.0), r"level=1.0, expected .* = 1.38629"),
        (lambda: LogBarrierSimplex(2, level=np.inf), "level=inf"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_repr():
    assert repr(Ellipsoid([[2.0]], 1.5)) == "Ellipsoid(matrix=[[2.0]], level=1.5)"
    assert repr(EntropyBall(3, 0.5)) == "EntropyBall(n=3, level=0.5)"
    for oracle in (EntropyBall(7), LogBarrierSimplex(7)):
        rebuilt = eval(repr(oracle))  # noqa: S307
        assert rebuilt.level == oracle.level
