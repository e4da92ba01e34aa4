"""What holds for every layer on every kind of oracle, and what each one promises."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.layers import (
    AbstractLayer,
    FrankWolfeLayer,
    IdentityLayer,
    IMLELayer,
    InterpolationLayer,
    PerturbedLayer,
    QuadraticLayer,
)
from dfl_solvers import (
    Ball,
    Box,
    Counting,
    GridShortestPath,
    Knapsack,
    Maximize,
    MeanVariancePortfolio,
    Oracle,
    Simplex,
    TopK,
)

LAYERS: dict[str, Callable[[Oracle], AbstractLayer]] = {
    "perturbed": PerturbedLayer,
    "perturbed-gumbel": lambda oracle: PerturbedLayer(oracle, noise="gumbel"),
    "perturbed-multiplicative": lambda oracle: PerturbedLayer(oracle, noise="multiplicative"),
    "interpolation": InterpolationLayer,
    "identity": IdentityLayer,
    "identity-norm": lambda oracle: IdentityLayer(oracle, "norm"),
    "imle": IMLELayer,
    "frank-wolfe": FrankWolfeLayer,
    "quadratic": QuadraticLayer,
}
SAMPLED = {"perturbed", "perturbed-gumbel", "perturbed-multiplicative", "imle"}
STILL = sorted(set(LAYERS) - SAMPLED)
KNAPSACK = Knapsack([[3.0, 4.0, 5.0, 6.0]], [9.0])
ORACLES: dict[str, Oracle] = {
    "box": Box(5),
    "grid": GridShortestPath(3, 3),
    "knapsack": KNAPSACK,
    "simplex": Simplex(4),
    "top-k": TopK(5, 2),
}
every = pytest.mark.parametrize("name", LAYERS)
still = pytest.mark.parametrize("name", STILL)
on_every = pytest.mark.parametrize("key", ORACLES)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def pulled(
    layer: AbstractLayer, costs: torch.Tensor, incoming: torch.Tensor, instance: Any = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decisions, and the gradient that an incoming one becomes."""
    leaf = costs.clone().requires_grad_()
    decisions = layer(leaf, instance)
    decisions.backward(incoming)
    return decisions.detach(), leaf.grad


@every
@on_every
def test_decisions_lie_in_the_hull_and_gradients_have_the_type_of_the_costs(
    name: str, key: str
) -> None:
    oracle = ORACLES[key]
    costs, incoming = draw(2, 6, oracle.n_costs)
    for dtype in (torch.float64, torch.float32):
        layer = LAYERS[name](oracle)
        decisions, gradient = pulled(layer, costs.to(dtype), incoming.to(dtype))
        assert decisions.shape == gradient.shape == costs.shape
        assert decisions.dtype == gradient.dtype == dtype
        assert gradient.isfinite().all()
        if name == "quadratic" and key == "knapsack":  # in a larger set, the relaxation
            continue
        for direction in draw(20, 1, oracle.n_costs, seed=1).expand(20, 6, -1):
            least = oracle.solve(direction.numpy()).objectives
            assert ((direction * decisions).sum(1).numpy() >= least - 1e-5).all()


@every
@on_every
def test_the_sign_is_applied_once(name: str, key: str) -> None:
    oracle = ORACLES[key]
    costs, incoming = draw(2, 6, oracle.n_costs)
    decisions, gradient = pulled(LAYERS[name](oracle), -costs, incoming)
    maximized, risen = pulled(LAYERS[name](Maximize(oracle)), costs, incoming)
    np.testing.assert_allclose(maximized, decisions, atol=1e-12)
    np.testing.assert_allclose(risen, -gradient, atol=1e-12)


@still
@on_every
def test_a_batch_is_its_rows(name: str, key: str) -> None:
    oracle = ORACLES[key]
    costs, incoming = draw(2, 6, oracle.n_costs)
    layer = LAYERS[name](oracle)
    whole = pulled(layer, costs, incoming)
    rows = [pulled(layer, costs[i : i + 1], incoming[i : i + 1]) for i in range(6)]
    for part, alone in zip(whole, zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(part, torch.cat(alone), atol=1e-12)


@every
def test_empty_batches_pass(name: str) -> None:
    decisions, gradient = pulled(LAYERS[name](Box(3)), torch.zeros(0, 3), torch.zeros(0, 3))
    assert decisions.shape == gradient.shape == (0, 3)


@every
def test_instances_with_data_of_their_own_are_their_own_problems(name: str) -> None:
    capacities = np.array([[4.0], [9.0], [12.0], [18.0]])
    costs, incoming = draw(2, 4, 4)
    layer = LAYERS[name](KNAPSACK)
    state = None if layer.generator is None else layer.generator.get_state()
    found = pulled(layer, costs, incoming, {"capacities": capacities})
    for i in range(4):
        own = LAYERS[name](Knapsack(KNAPSACK.weights, capacities[i]))
        if state is not None:
            own.generator.set_state(state)
        alone = pulled(own, costs, incoming)
        for part, expected in zip(found, alone, strict=True):
            np.testing.assert_allclose(part[i], expected[i], atol=1e-12)


@every
def test_padding_gets_no_decision_and_no_gradient(name: str) -> None:
    mask = np.tile([True, True, True, False], (5, 1))
    costs, incoming = draw(2, 5, 4)
    costs[:, 3] = torch.nan  # whatever stands there
    # a matrix form needs to know the length
    oracle = Simplex(4) if name == "quadratic" else Simplex()
    decisions, gradient = pulled(LAYERS[name](oracle), costs, incoming, {"mask": mask})
    assert (decisions[:, 3] == 0).all()
    assert (gradient[:, 3] == 0).all()
    if name in STILL:
        short = pulled(LAYERS[name](Simplex(3)), costs[:, :3], incoming[:, :3])
        np.testing.assert_allclose(decisions[:, :3], short[0], atol=1e-12)
        np.testing.assert_allclose(gradient[:, :3], short[1], atol=1e-12)


@pytest.mark.parametrize("name", sorted(SAMPLED))
def test_seeds_repeat_and_copies_keep_their_own_noise(name: str) -> None:
    costs = draw(6, 4)
    layer = LAYERS[name](Simplex(4))
    twin = copy.deepcopy(layer)
    first = layer(costs)
    assert not torch.equal(first, layer(costs))
    assert torch.equal(first, twin(costs))
    layer.generator.manual_seed(0)
    assert torch.equal(first, layer(costs))


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [("perturbed", 60, 0), ("imle", 60, 60), ("interpolation", 6, 6), ("identity", 6, 0)],
)
def test_a_batch_is_one_call_of_the_oracle(name: str, forward: int, backward: int) -> None:
    oracle = Counting(Simplex(4))
    costs, incoming = draw(2, 6, 4)
    leaf = costs.requires_grad_()
    decisions = LAYERS[name](oracle)(leaf)
    assert (oracle.counts.calls, oracle.counts.instances) == (1, forward)
    decisions.backward(incoming)
    assert oracle.counts.calls == 1 + (backward > 0)
    assert oracle.counts.instances == forward + backward


def test_perturbed_box_is_the_normal_distribution_function() -> None:
    # w = 1{c + sigma Z < 0}: the mean is Phi(-c / sigma), its derivative -phi(c / sigma) / sigma
    n, k, sigma = 2000, 10, 0.8
    costs = torch.tensor([-1.0, 0.1, 0.6], dtype=torch.float64)
    incoming = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    layer = PerturbedLayer(Box(3), sigma, k)
    decisions, gradient = pulled(layer, costs.expand(n, 3), incoming.expand(n, 3))
    ratio = costs.numpy() / sigma
    _is_mean(decisions, norm.cdf(-ratio))
    _is_mean(gradient, -norm.pdf(ratio) / sigma * incoming.numpy())


@pytest.mark.parametrize("k", [1, 2, 10])
def test_perturbed_simplex_with_gumbel_noise_is_a_softmax(k: int) -> None:
    n, sigma = 20_000 // k, 0.7
    costs = torch.tensor([[0.3, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    incoming = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    exact = torch.softmax(-costs / sigma, 1)
    exact.backward(incoming)
    layer = PerturbedLayer(Simplex(3), sigma, k, "gumbel")
    found = pulled(layer, costs.detach().expand(n, 3), incoming.expand(n, 3))
    _is_mean(found[0], exact.detach()[0].numpy())
    _is_mean(found[1], costs.grad[0].numpy())


def test_multiplicative_noise_chooses_by_the_logarithm_of_costs() -> None:
    # the first of two positive costs wins with probability Phi(log(c2 / c1) / (sqrt(2) sigma))
    n, sigma = 5000, 0.5
    costs = torch.tensor([1.0, 1.4], dtype=torch.float64)
    incoming = torch.tensor([1.0, 0.0], dtype=torch.float64)
    layer = PerturbedLayer(Simplex(2), sigma, 10, "multiplicative")
    decisions, gradient = pulled(layer, costs.expand(n, 2), incoming.expand(n, 2))
    spread = math.sqrt(2) * sigma
    at = math.log(1.4) / spread
    _is_mean(decisions, np.array([norm.cdf(at), norm.cdf(-at)]))
    slope = norm.pdf(at) / spread
    _is_mean(gradient, np.array([-slope / 1.0, slope / 1.4]))
    # no sign changes, so that nothing is ever taken for its negative cost
    assert (PerturbedLayer(Box(2), 3.0, 50, "multiplicative")(costs[None]) == 0).all()


def _is_mean(rows: torch.Tensor, expected: np.ndarray) -> None:
    """Hold the mean of independent rows within four of its standard errors."""
    error = rows.std(0).numpy() / math.sqrt(len(rows))
    assert (np.abs(rows.mean(0).numpy() - expected) <= 4 * error + 1e-12).all()


@on_every
def test_interpolation_is_the_gradient_of_a_difference_of_optimal_values(key: str) -> None:
    # of (z*(c + lambda u) - z*(c)) / lambda, at fixed u
    oracle, smoothing, step = ORACLES[key], 3.0, 1e-6
    costs, incoming = draw(2, 6, oracle.n_costs)
    decisions, gradient = pulled(InterpolationLayer(oracle, smoothing), costs, incoming)
    np.testing.assert_array_equal(decisions, oracle.solve(costs.numpy()).decisions)
    for along in np.eye(oracle.n_costs):
        ends = [
            oracle.solve((costs + smoothing * incoming).numpy() + side).objectives
            - oracle.solve(costs.numpy() + side).objectives
            for side in (step * along, -step * along)
        ]
        numeric = (ends[0] - ends[1]) / (2 * step * smoothing)
        np.testing.assert_allclose(gradient.numpy() @ along, numeric, atol=1e-7)


@pytest.mark.parametrize("projection", ["none", "mean", "norm", "both"])
def test_identity_pulls_back_through_its_projection(projection: str) -> None:
    costs, incoming = draw(2, 6, 5)
    oracle = TopK(5, 2)
    decisions, gradient = pulled(IdentityLayer(oracle, projection), costs, incoming)
    # none of the projections changes the choice
    np.testing.assert_array_equal(decisions, oracle.solve(costs.numpy()).decisions)
    leaf = costs.clone().requires_grad_()
    image = leaf
    if projection in ("mean", "both"):
        image = image - image.mean(1, keepdim=True)
    if projection in ("norm", "both"):
        image = image / image.norm(dim=1, keepdim=True)
    image.backward(-incoming)
    np.testing.assert_allclose(gradient, leaf.grad, atol=1e-12)
    # what is projected out is not pushed
    if projection in ("mean", "both"):
        np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-12)
    if projection in ("norm", "both"):
        np.testing.assert_allclose((gradient * costs).sum(1), 0, atol=1e-12)


def test_imle_is_the_difference_of_two_distributions() -> None:
    # in one dimension w = 1{c - sigma e < 0}; the law of e is drawn here by NumPy
    rng = np.random.default_rng(0)
    sigma, smoothing, kappa, s = 0.8, 2.0, 2.0, 5
    terms = rng.gamma(1 / kappa, kappa / np.arange(1, s + 1), size=(400_000, s))
    law = np.sort(sigma * (terms.sum(1) - math.log(s)) / kappa)

    def mean(cost: float) -> float:
        return 1 - np.searchsorted(law, cost) / len(law)

    n, cost, incoming = 4000, 0.2, -0.15
    layer = IMLELayer(Box(1), sigma, 10, smoothing, kappa, s)
    rows = torch.full((n, 1), cost, dtype=torch.float64)
    decisions, gradient = pulled(layer, rows, torch.full_like(rows, incoming))
    slope = (mean(cost + smoothing * incoming) - mean(cost)) / smoothing
    for found, expected in ((decisions, mean(cost)), (gradient, slope)):
        error = 4 * found.std().item() / math.sqrt(n) + 4 * 0.5 / math.sqrt(len(law))
        assert found.mean().item() == pytest.approx(expected, abs=error)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match="PerturbedLayer: got oracle=3"):
        PerturbedLayer(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"shape \(3,\) .*expected floating-point"):
        IdentityLayer(Box(3))(torch.zeros(3))
    with pytest.raises(InvalidInputError, match=r"torch.int64, expected floating-point"):
        IdentityLayer(Box(3))(torch.zeros(1, 3, dtype=torch.int64))
    for layer, parameter in (
        (PerturbedLayer, "sigma"),
        (IMLELayer, "smoothing"),
        (InterpolationLayer, "smoothing"),
        (FrankWolfeLayer, "strength"),
        (QuadraticLayer, "smoothing"),
    ):
        for bad in (0.0, -1.0, math.inf, math.nan):
            with pytest.raises(InvalidInputError, match=f"{layer.__name__}: got {parameter}="):
                layer(Box(2), **{parameter: bad})
    with pytest.raises(InvalidInputError, match="n_samples=0"):
        PerturbedLayer(Box(2), n_samples=0)
    with pytest.raises(InvalidInputError, match="got noise 'uniform'"):
        PerturbedLayer(Box(2), noise="uniform")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="projection='half', expected one of: none"):
        IdentityLayer(Box(2), "half")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="QuadraticLayer does not go with Ball"):
        QuadraticLayer(Ball(2))
    with pytest.raises(UnsupportedError, match="part of its own"):
        FrankWolfeLayer(MeanVariancePortfolio(np.eye(2), 1.0))
