"""ConvexLayer against brute force, Clarabel, finite differences and projections known by hand."""

from __future__ import annotations

import copy
import io
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dfl.exceptions import InfeasibleError, InvalidInputError
from dfl.layers import ConvexLayer, QuadraticLayer
from dfl_solvers import GridShortestPath, LinearProgram, Program, Simplex
from dfl_solvers.backends.clarabel import solve_cone_program
from dfl_solvers.backends.quadratic import QuadraticPrograms
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Status

NAMES = ("Q", "p", "A", "b", "G", "h")


def random_parts(rng, n, k, e, m, tight=0.5):
    """Feasible programs, every part by instance; a share of the rows is tight at one point."""
    loads = rng.normal(size=(n, k, k))
    A, G, point = rng.normal(size=(n, e, k)), rng.normal(size=(n, m, k)), rng.normal(size=(n, k))
    gap = rng.uniform(0.1, 1.0, (n, m)) * (rng.random((n, m)) > tight)
    Q = loads @ loads.transpose(0, 2, 1) / k + 0.1 * np.eye(k)
    p = rng.normal(size=(n, k))
    return Q, p, A, np.matvec(A, point), G, np.matvec(G, point) + gap


def kkt(Q, p, N, d):
    """Optimum and multipliers with equalities alone."""
    k, q = len(p), len(N)
    matrix = np.block([[Q, N.T], [N, np.zeros((q, q))]])
    found = np.linalg.solve(matrix, np.concatenate([-p, d]))
    return found[:k], found[k:]


def brute_force(Q, p, A, b, G, h):
    """The first set of inequalities that, held as equalities, satisfies the KKT conditions."""
    k, m = len(p), len(h)
    for size in range(min(m, k - len(b)) + 1):
        for chosen in itertools.combinations(range(m), size):
            rows = list(chosen)
            x, multipliers = kkt(Q, p, np.vstack([A, G[rows]]), np.concatenate([b, h[rows]]))
            if (G @ x <= h + 1e-9).all() and (multipliers[len(b) :] >= -1e-9).all():
                full = np.zeros(m)
                full[rows] = multipliers[len(b) :]
                return x, multipliers[: len(b)], full
    raise AssertionError("no KKT point")


def by_clarabel(Q, p, A, b, G, h):
    """The optimum of an interior-point method, and it with its tight rows solved exactly."""
    near, status = solve_cone_program(
        p,
        np.vstack([A, G]),
        np.concatenate([b, h]),
        quadratic=Q,
        n_equal=len(b),
        n_at_most=len(h),
        tolerance=1e-11,
    )
    assert status <= Status.FEASIBLE
    tight = h - G @ near < 1e-5
    x, multipliers = kkt(Q, p, np.vstack([A, G[tight]]), np.concatenate([b, h[tight]]))
    assert (multipliers[len(b) :] > 0).all()
    assert (G @ x <= h + 1e-9).all()
    return near, x


def tensors(parts, grad=True):
    return [torch.tensor(part, requires_grad=grad) for part in parts]


def call(parts, layer=None):
    layer = ConvexLayer() if layer is None else layer
    Q, p, A, b, G, h = parts
    return layer.solve(p, Q=Q, A=A, b=b, G=G, h=h)


def gradients(parts, weights, of=0):
    given = tensors(parts)
    found = torch.autograd.grad(call(given)[of], given, torch.as_tensor(weights), allow_unused=True)
    return [grad.numpy() for grad in found]


# values


@pytest.mark.parametrize("k", [1, 2, 5])
def test_agrees_with_brute_force_and_with_the_loop(k, rng):
    for _ in range(20):
        e, m = int(rng.integers(0, k)), int(rng.integers(0, 7))
        parts = random_parts(rng, 6, k, e, m, tight=0.0)
        found = call(tensors(parts))
        for i in range(6):
            own = [part[i] for part in parts]
            for value, expected in zip(found, brute_force(*own), strict=True):
                np.testing.assert_allclose(value[i].detach(), expected, atol=1e-9)
            alone = call(tensors([part[None] for part in own]))
            for value, one in zip(found, alone, strict=True):
                assert torch.equal(value[i], one[0])


def test_agrees_with_an_interior_point_method(rng):
    parts = random_parts(rng, 20, 20, 5, 10, tight=0.0)
    found = call(tensors(parts)).z.detach().numpy()
    for i in range(20):
        near, exact = by_clarabel(*(part[i] for part in parts))
        np.testing.assert_allclose(found[i], near, atol=1e-5)
        np.testing.assert_allclose(found[i], exact, atol=1e-11)


@pytest.mark.parametrize("seed", range(8))
def test_kkt_conditions_where_numbers_are_badly_scaled(seed):
    rng = np.random.default_rng(seed)
    k, e, m = 12, 3, 20
    loads = np.linalg.qr(rng.normal(size=(k, k)))[0]
    Q, A, G = (loads * np.geomspace(1, 1e6, k)) @ loads.T, *rng.normal(size=(2, m, k))
    A, point, p = A[:e], rng.normal(size=k), 1e3 * rng.normal(size=k)
    b, h = A @ point, G @ point + rng.uniform(0, 1, m)
    units, rows = 10 ** rng.uniform(-3, 3, k), 10 ** rng.uniform(-3, 3, e + m)
    plain = QuadraticPrograms(Q, p, A, b, G, h).solve()
    scaled = QuadraticPrograms(
        Q * units * units[:, None],
        p * units,
        A * units * rows[:e, None],
        b * rows[:e],
        G * units * rows[e:, None],
        h * rows[e:],
    ).solve()
    x, multipliers = scaled.x[0] * units, scaled.multipliers[0] * rows
    np.testing.assert_allclose(x, plain.x[0], rtol=1e-8, atol=1e-10)
    assert np.abs(Q @ x + p + np.vstack([A, G]).T @ multipliers).max() < 1e-6
    np.testing.assert_allclose(A @ x, b, atol=1e-9)
    assert (G @ x <= h + 1e-9).all()
    assert (multipliers[e:] >= 0).all()
    np.testing.assert_allclose(multipliers[e:] * (G @ x - h), 0, atol=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_degenerate_programs(seed):
    """Small integers: rows that depend on others, that repeat, that meet where they need not."""
    rng = np.random.default_rng(seed)
    k, e, m = 6, int(rng.integers(0, 5)), 30
    A, G = rng.integers(-1, 2, (e, k)) * 1.0, rng.integers(-1, 2, (m, k)) * 1.0
    point, gap = rng.integers(-2, 3, k), rng.integers(0, 2, m)
    Q, p = np.diag(rng.integers(1, 4, k)) * 1.0, rng.integers(-5, 6, k) * 1.0
    A, G = np.vstack([A, A.sum(axis=0)]), np.vstack([G, 2 * G[:3]])
    b, h = A @ point, G @ point + np.concatenate([gap, 2 * gap[:3]])
    parts = tensors((Q, p, A, b, G, h))
    z, equal, at_most = call(parts)
    x = z[0].detach().numpy()
    near, status = solve_cone_program(
        p, np.vstack([A, G]), np.r_[b, h], quadratic=Q, n_equal=e + 1, n_at_most=m + 3
    )
    assert status <= Status.FEASIBLE
    np.testing.assert_allclose(x, near, atol=1e-4)
    assert (at_most >= 0).all()
    slope = Q @ x + p + A.T @ equal[0].detach().numpy() + G.T @ at_most[0].detach().numpy()
    np.testing.assert_allclose(slope, 0, atol=1e-10)
    np.testing.assert_allclose(A @ x, b, atol=1e-12)
    assert (G @ x <= h + 1e-12).all()
    for grad in torch.autograd.grad(z.sum(), parts):
        assert torch.isfinite(grad).all()


def test_projection_on_a_box(rng):
    points = torch.tensor(3 * rng.normal(size=(50, 4)), requires_grad=True)
    G = torch.tensor(np.vstack([np.eye(4), -np.eye(4)]))
    project = ConvexLayer(torch.eye(4).double(), G=G, h=torch.ones(8).double())
    z = project(-points)
    assert torch.equal(z, points.clamp(-1, 1))  # bounds are met exactly
    (grad,) = torch.autograd.grad(z.sum(), points)
    torch.testing.assert_close(grad, (points.abs() < 1).double())


def test_projection_on_a_half_space(rng):
    points, a = torch.tensor(rng.normal(size=(50, 4))), torch.tensor(rng.normal(size=4))
    project = ConvexLayer(np.eye(4), G=a[None], h=torch.zeros(1).double())
    beyond = (points @ a).clamp(min=0) / (a @ a)
    torch.testing.assert_close(project(-points), points - beyond[:, None] * a)
    torch.testing.assert_close(project.solve(-points).inequality_multipliers[:, 0], beyond)


def test_projection_on_the_simplex(rng):
    d = 30
    points = rng.normal(size=(50, d))
    project = ConvexLayer(np.eye(d), A=np.ones((1, d)), b=np.ones(1), G=-np.eye(d), h=np.zeros(d))
    descending = np.sort(points)[:, ::-1]
    levels = (descending.cumsum(axis=1) - 1) / np.arange(1, d + 1)
    n_kept = (descending > levels).sum(axis=1)
    expected = np.maximum(points - levels[np.arange(50), n_kept - 1][:, None], 0)
    found = project(-torch.tensor(points))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert ((found == 0).numpy() == (expected == 0)).all()


# gradients


def test_gradients_of_everything_are_finite_differences_of_brute_force(rng):
    n, k, e, m = 4, 4, 1, 4
    parts = random_parts(rng, n, k, e, m, tight=0.0)
    weights = rng.normal(size=(n, k)), rng.normal(size=(n, e)), rng.normal(size=(n, m))

    def loss(parts, of):
        values = [brute_force(*(part[i] for part in parts))[of] for i in range(n)]
        return (np.array(values) * weights[of]).sum()

    step = 1e-5
    for of in range(3):
        found = gradients(parts, weights[of], of)
        for name, part, grad in zip(NAMES, parts, found, strict=True):
            expected = np.empty_like(part)
            for place in np.ndindex(part.shape):
                sides = []
                for sign in (1, -1):
                    moved = [value.copy() for value in parts]
                    changed = moved[NAMES.index(name)]
                    changed[place] += sign * step
                    if name == "Q":  # only the symmetric part counts
                        moved[0] = (moved[0] + moved[0].transpose(0, 2, 1)) / 2
                    sides.append(loss(moved, of))
                expected[place] = (sides[0] - sides[1]) / (2 * step)
            size = np.abs(expected).max()
            np.testing.assert_allclose(grad, expected, atol=1e-6 * max(size, 1), err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_twenty_variables_are_finite_differences(name, rng):
    """Along random directions, of an interior-point solution whose tight rows are solved exactly"""
    parts = random_parts(rng, 3, 20, 5, 10, tight=0.0)
    weights = rng.normal(size=(3, 20))
    place = NAMES.index(name)
    grad = gradients(parts, weights)[place]
    for _ in range(3):
        direction = rng.normal(size=parts[place].shape)
        if name == "Q":
            direction = direction + direction.transpose(0, 2, 1)
        sides = []
        for step in (1e-5, -1e-5):
            moved = [*parts[:place], parts[place] + step * direction, *parts[place + 1 :]]
            optima = [by_clarabel(*(part[i] for part in moved))[1] for i in range(3)]
            sides.append((np.array(optima) * weights).sum())
        expected = (sides[0] - sides[1]) / 2e-5
        assert (grad * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_gradcheck(rng):
    parts = tensors(random_parts(rng, 3, 4, 1, 3))
    assert torch.autograd.gradcheck(lambda *given: tuple(call(given)), parts)


def test_shared_parts_get_the_sum_of_the_gradients(rng):
    n = 7
    parts = random_parts(rng, n, 5, 2, 6, tight=0.0)
    weights = rng.normal(size=(n, 5))
    everything = [part[:1] for part in parts]
    for given in itertools.product([True, False], repeat=6):
        if all(given):
            continue
        shared = [one[0] if own else np.repeat(one, n, 0)
                  for one, own in zip(everything, given, strict=True)]  # fmt: skip
        alike = [np.repeat(one, n, 0) for one in everything]
        expected = gradients(alike, weights)
        for grad, whole, own in zip(gradients(shared, weights), expected, given, strict=True):
            np.testing.assert_allclose(grad, whole.sum(0) if own else whole, atol=1e-12)


def test_shared_matrices_are_those_of_each_instance(rng):
    """The path that factors once, with right-hand sides that differ."""
    Q, p, A, b, G, h = random_parts(rng, 40, 6, 2, 8, tight=0.0)
    point = rng.normal(size=(40, 6))
    b, h = point @ A[0].T, point @ G[0].T + rng.uniform(0, 0.5, h.shape)
    found = call(tensors((Q[0], p, A[0], b, G[0], h))).z.detach().numpy()
    for i in range(40):
        np.testing.assert_allclose(found[i], brute_force(Q[0], p[i], A[0], b[i], G[0], h[i])[0],
                                   atol=1e-9)  # fmt: skip


def test_a_kink_has_the_gradient_of_one_side():
    """The projection of the corner itself on a box: each coordinate moves with its point or not."""
    project = ConvexLayer(np.eye(2), G=np.eye(2), h=np.ones(2))
    point = torch.ones((1, 2), dtype=torch.float64, requires_grad=True)
    z = project(-point)
    rows = torch.stack([torch.autograd.grad(z[0, j], point, retain_graph=True)[0][0]
                        for j in range(2)])  # fmt: skip
    assert torch.equal(rows, torch.diag(rows.diagonal()))
    assert all(value in (0, 1) for value in rows.diagonal())


def test_changes_in_place_do_not_spoil_gradients(rng):
    parts = random_parts(rng, 3, 4, 1, 3)
    given = tensors(parts)
    z = call(given).z
    loss = z.sum()
    z.detach().zero_()
    for grad, expected in zip(
        torch.autograd.grad(loss, given), gradients(parts, np.ones((3, 4))), strict=True
    ):
        np.testing.assert_array_equal(grad, expected)
    loss = call(given).z.sum()
    with torch.no_grad():
        given[4] += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_rows_that_depend_on_others_get_no_gradient():
    A, b = np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([1.0, 2.0])
    parts = tensors((np.eye(2), np.array([[3.0, 1.0]]), A, b, np.zeros((0, 2)), np.zeros(0)))
    z = call(parts).z
    np.testing.assert_allclose(z.detach(), [[-0.5, 1.5]], atol=1e-14)
    grads = torch.autograd.grad(z.sum(), parts)
    assert torch.equal(grads[3], torch.tensor([1.0, 0.0], dtype=torch.float64))


# the module


def test_parts_that_stay_are_parameters_or_constants(rng):
    Q, p, A, b, G, h = random_parts(rng, 5, 4, 1, 3)
    learned = nn.Parameter(torch.tensor(Q[0]))
    layer = ConvexLayer(learned, A=A[0], b=b[0], G=G[0], h=h[0])
    assert [name for name, _ in layer.named_parameters()] == ["Q"]
    assert set(layer.state_dict()) == {"Q", "A", "b", "G", "h"}
    p = torch.tensor(p)
    expected = call(tensors((Q[0], p.numpy(), A[0], b[0], G[0], h[0]))).z
    assert torch.equal(layer(p), expected)
    assert torch.equal(layer(p, h=torch.tensor(h[0] + 1)),
                       call([learned, p, *tensors((A[0], b[0], G[0], h[0] + 1))]).z)  # fmt: skip
    layer(p).sum().backward()
    assert learned.grad.abs().max() > 0
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert torch.equal(loaded(p), expected)
    assert torch.equal(copy.deepcopy(layer)(p), expected)


def test_a_network_learns_through_the_layer():
    """The price of variance, from portfolios alone."""
    rng = np.random.default_rng(0)
    returns = torch.tensor(rng.normal(size=(50, 4)))
    simplex = {"A": np.ones((1, 4)), "b": np.ones(1), "G": -np.eye(4), "h": np.zeros(4)}
    layer, eye = ConvexLayer(**simplex), torch.eye(4).double()
    true = layer(-returns, Q=3.0 * eye)
    price = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = torch.optim.Adam([price], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (layer(-returns, Q=price * eye) - true).square().sum().backward()
        optimizer.step()
    assert price.item() == pytest.approx(3.0, abs=1e-3)


def test_float32_and_gradients_in_the_type_of_each_part(rng):
    parts = random_parts(rng, 5, 4, 1, 3)
    single = [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in parts]
    single[2] = torch.tensor(parts[2], requires_grad=True)
    z = call(single).z
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.double(), call(tensors(parts)).z, atol=1e-4, rtol=1e-4)
    z.sum().backward()
    assert [part.grad.dtype == part.dtype for part in single] == [True] * 6


def test_no_instances():
    parts = tensors((np.eye(2), np.zeros((0, 2)), np.ones((1, 2)), np.ones(1), np.eye(2),
                     np.ones(2)))  # fmt: skip
    z, equal, at_most = call(parts)
    assert (z.shape, equal.shape, at_most.shape) == ((0, 2), (0, 1), (0, 2))
    z.sum().backward()
    assert [part.grad.abs().sum().item() for part in parts] == [0.0] * 6


def test_no_constraints_and_infinite_bounds(rng):
    Q, p, _, _, G, h = random_parts(rng, 5, 3, 0, 2)
    free = ConvexLayer(Q)(torch.tensor(p))
    np.testing.assert_allclose(free, -np.linalg.solve(Q, p[..., None])[..., 0], atol=1e-12)
    unbounded = torch.full((2,), np.inf, dtype=torch.float64)
    assert torch.equal(ConvexLayer(Q, G=G, h=unbounded)(torch.tensor(p)), free)
    h[:, 0] = np.inf
    given = tensors((Q, p, np.zeros((0, 3)), np.zeros(0), G, h))
    assert all(
        torch.isfinite(grad).all() for grad in torch.autograd.grad(call(given).z.sum(), given)
    )


def test_more_threads_change_nothing(rng):
    parts = random_parts(rng, 300, 8, 2, 12, tight=0.0)
    weights = rng.normal(size=(300, 8))
    shared = (parts[0][0], *parts[1:2], parts[2][0], parts[3][0], parts[4][0], parts[5][0])
    for given in (parts, shared):
        results = []
        for threads in (1, 2):
            set_threads(threads)
            try:
                results.append(
                    [call(tensors(given)).z.detach().numpy(), *gradients(given, weights)]
                )
            finally:
                set_threads(None)
        for one, two in zip(*results, strict=True):
            np.testing.assert_array_equal(one, two)


# errors


@pytest.mark.parametrize("seed", range(5))
def test_infeasible_instances_are_named(seed):
    rng = np.random.default_rng(seed)
    Q, p, A, b, G, h = random_parts(rng, 5, 6, 2, 5, tight=0.0)
    # where all rows but the last are met, it is minus their sum plus equalities: its least value
    weights, others = rng.uniform(0, 1, 4), rng.normal(size=2)
    G[3, 4] = others @ A[3] - weights @ G[3, :4]
    least = others @ b[3] - weights @ h[3, :4]
    h[3, 4] = least - 1e-6
    with pytest.raises(InfeasibleError, match="instance 3: no point"):
        call(tensors((Q, p, A, b, G, h)))
    h[3, 4] = least + 1e-6
    call(tensors((Q, p, A, b, G, h)))


def test_equalities_that_contradict_each_other_are_named():
    A, b = np.ones((2, 3)), np.array([[1.0, 1.0], [1.0, 1.1]])
    with pytest.raises(InfeasibleError, match="instance 1"):
        ConvexLayer(np.eye(3), np.zeros(3), A=A)(b=torch.tensor(b))


@pytest.mark.parametrize("least", [-1.0, 0.0, -1e-14])
def test_programs_that_are_not_strictly_convex_are_named(least, rng):
    loads = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    Q = np.stack([np.eye(3), (loads * [1.0, 2.0, least]) @ loads.T])
    with pytest.raises(InvalidInputError, match="instance 1: Q is not positive definite"):
        ConvexLayer(Q)(torch.zeros(3).double())
    ConvexLayer(Q[1] + 1.5 * np.eye(3))(torch.zeros(3).double())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": torch.zeros(2, 4)}, "got Q of shape"),
        ({"p": torch.zeros(2, 3, 1, 1)}, "expected 1 axes, or 2"),
        ({"p": torch.zeros(2, 3), "h": torch.zeros(3, 3)}, "got h for 3 instances, expected 2"),
        ({"p": torch.zeros(3), "b": torch.ones(1)}, "both A and b"),
        ({"p": torch.tensor([[0.0] * 3, [0.0, np.nan, 0.0]])}, "instance 1: p holds NaN"),
        ({"p": torch.zeros(3), "h": torch.tensor([0.0, -np.inf, 1.0])}, "h holds NaN or an inf"),
        ({"p": torch.zeros(3, dtype=torch.int64)}, "torch.int64"),
        ({}, "got no p"),
    ],
)
def test_what_cannot_be_solved_is_refused(change, message):
    layer = ConvexLayer(torch.eye(3), G=torch.eye(3), h=torch.zeros(3))
    with pytest.raises(InvalidInputError, match=message):
        layer(**change)


def test_parts_that_are_no_numbers_are_refused():
    with pytest.raises(InvalidInputError, match="p holds no numbers"):
        ConvexLayer(p="cheap")
    with pytest.raises(InvalidInputError, match="got no Q"):
        ConvexLayer()(torch.zeros(3))


def test_numbers_whose_squares_are_infinite_are_refused():
    layer, costs = QuadraticLayer(Simplex(3)), torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(layer(1e23 * costs), torch.tensor([[0.0, 0.0, 1.0]]).double())
    with pytest.raises(InvalidInputError, match=r"p of size 3e\+30 and Q of size 1: rounding"):
        layer(1e30 * costs)
    with pytest.raises(
        InvalidInputError, match=r"instance 0: p holds 3e\+155, expected numbers up"
    ):
        layer(1e155 * costs)
    with pytest.raises(InvalidInputError, match="p holds NaN or an infinite number"):
        layer(torch.inf * costs)


# programs


def test_a_program_with_little_smoothing_is_its_linear_program(rng):
    oracle = GridShortestPath(5, 5)
    costs = rng.uniform(1, 2, (32, 40))
    layer = ConvexLayer.from_program(oracle.program(), smoothing=1e-4)
    np.testing.assert_allclose(layer(torch.tensor(costs)), oracle.solve(costs).decisions, atol=1e-9)


def test_a_program_with_any_rows_and_bounds(rng):
    A = np.array([[1.0, 1, 1, 1], [1, -1, 0, 0], [0, 1, 2, 0], [1, 0, 0, 1]])
    program = Program(
        A,
        [2.0, -0.5, -np.inf, 0.2],
        [2.0, 0.5, 1.5, np.inf],
        [0.0, 0.0, -np.inf, 0.25],
        [1.0, np.inf, np.inf, 0.25],
        integrality=[True, False, False, False],
    )
    costs = rng.normal(size=(20, 4))
    z = ConvexLayer.from_program(program, 0.3)(torch.tensor(costs)).numpy()
    assert program.relax().violation(z) < 1e-12
    # no direction to a vertex is better
    slope = costs + 0.3 * z
    best = LinearProgram(program.relax(), backend="highs").solve(slope)
    np.testing.assert_allclose(best.objectives, np.vecdot(slope, z), atol=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, -1.0, np.nan, np.inf])
def test_a_smoothing_that_is_none_is_refused(smoothing):
    with pytest.raises(InvalidInputError, match="expected a positive number"):
        ConvexLayer.from_program(GridShortestPath(2, 2).program(), smoothing)
