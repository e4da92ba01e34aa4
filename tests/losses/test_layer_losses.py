"""Losses of the decisions of layers: exact values, exact expectations, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from dfl import DecisionFocusedRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses import imitating
from dfl.training import TableSource, train
from dfl_solvers import (
    Box,
    GridShortestPath,
    Knapsack,
    Maximize,
    MeanVariancePortfolio,
    Newsvendor,
    Simplex,
    TopK,
)

THROUGH_LAYERS = ("black-box", "identity", "imle", "perturbed-regret")
SAMPLED = ("imle", "perturbed-regret", "perturbed-fenchel-young")
PREDICTED, TRUE = [[3.0, 2.0, 1.0]], [[1.0, 2.0, 4.0]]


def tensor(rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def pulled(loss, output: torch.Tensor, target: Target, reduction: str = "mean"):
    leaf = output.clone().requires_grad_()
    value = loss(leaf, target, reduction=reduction)
    value.backward()
    return value.item(), leaf.grad


@pytest.mark.parametrize(
    ("name", "parameters", "value", "gradient"),
    [
        # w*(p) = e3; p + c = (4, 4, 5) goes to e1, p + 4 c = (7, 10, 17) too
        ("black-box", {"smoothing": 1.0}, 3.0, (1, 0, -1)),
        ("black-box", {"smoothing": 4.0}, 3.0, (0.25, 0, -0.25)),
        ("black-box", {"smoothing": 0.1}, 3.0, (0, 0, 0)),
        ("identity", {"projection": "none"}, 3.0, (-1, -2, -4)),
        ("identity", {"projection": "mean"}, 3.0, (4 / 3, 1 / 3, -5 / 3)),
        # -(c - (c.q) q) / |p| with q = p / |p|, |p|^2 = 14 and c.p = 11
        (
            "identity",
            {"projection": "norm"},
            3.0,
            tuple((11 / 14 * p - c) / 14**0.5 for p, c in zip((3, 2, 1), (1, 2, 4), strict=True)),
        ),
        # almost no noise: those of the black box
        ("imle", {"smoothing": 4.0, "sigma": 1e-9, "kappa": 1.0}, 3.0, (0.25, 0, -0.25)),
        # (w_1, w_2, w_3) = (0, 0, 1), at strength 0.5
        ("regularized-fenchel-young", {"strength": 0.5}, 2 - 0.0, (1, 0, -1)),
        # at strength 4: (-p / 4) projected is (1, 4, 7) / 12; p.w* - p.w + 2 (1 - |w|^2)
        (
            "regularized-fenchel-young",
            {"strength": 4.0},
            3 - 18 / 12 + 2 * (1 - 66 / 144),
            (11 / 12, -4 / 12, -7 / 12),
        ),
    ],
)
def test_values_and_gradients_by_hand(
    name: str, parameters: dict[str, object], value: float, gradient: tuple[float, ...]
) -> None:
    loss = make_loss(name, Simplex(3), parameters)
    found, slope = pulled(loss, tensor(PREDICTED), Target(costs=tensor(TRUE)))
    assert found == pytest.approx(value, abs=1e-9)
    np.testing.assert_allclose(slope[0], gradient, atol=1e-9)


@pytest.mark.parametrize("name", THROUGH_LAYERS)
def test_the_step_of_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    rng = np.random.default_rng(0)
    output, costs = tensor(rng.normal(size=(2, 12, 12)))
    gradients = []
    for reduction in ("mean", "sum"):
        loss = make_loss(name, GridShortestPath(3, 3))
        gradients.append(pulled(loss, output, Target(costs=costs), reduction)[1])
    np.testing.assert_allclose(12 * gradients[0], gradients[1], atol=1e-12)
    assert gradients[1].abs().max() > 0.05


@pytest.mark.parametrize("name", THROUGH_LAYERS)
def test_the_value_is_regret(name: str) -> None:
    rng = np.random.default_rng(0)
    oracle = Maximize(Knapsack([[3.0, 4.0, 5.0, 6.0]], [9.0]))
    output, costs = rng.normal(size=(2, 20, 4))
    parameters = {"sigma": 1e-9} if name in SAMPLED else {}
    loss = make_loss(name, oracle, parameters)
    found = loss(tensor(output), Target(costs=tensor(costs)), reduction="none")
    np.testing.assert_allclose(found, metrics.regret(oracle, output, costs), atol=1e-9)


def test_perturbed_regret_is_the_score_function_loss() -> None:
    rng = np.random.default_rng(0)
    output, costs = tensor(rng.normal(size=(2, 6, 12)))
    target = Target(costs=costs)
    oracle, parameters = GridShortestPath(3, 3), {"sigma": 0.5, "n_samples": 7}
    found, expected = (
        pulled(make_loss(name, oracle, parameters), output, target)
        for name in ("perturbed-regret", "score-function")
    )
    assert found[0] == pytest.approx(expected[0], abs=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)


def test_perturbed_regret_on_a_box_is_a_sum_of_normal_tails() -> None:
    n, sigma = 5000, 0.7
    predicted, true = np.array([0.4, -0.2]), np.array([-1.0, 2.0])
    loss = make_loss("perturbed-regret", Box(2), {"sigma": sigma})
    target = Target(costs=tensor(np.tile(true, (n, 1))))
    leaf = tensor(np.tile(predicted, (n, 1))).requires_grad_()
    values = loss(leaf, target, reduction="none")
    values.sum().backward()
    exact = (true * norm.cdf(-predicted / sigma)).sum() - np.minimum(true, 0).sum()
    slope = -true * norm.pdf(predicted / sigma) / sigma
    assert values.mean().item() == pytest.approx(exact, abs=4 * values.std().item() / n**0.5)
    error = leaf.grad.std(0).numpy() / n**0.5
    assert (np.abs(leaf.grad.mean(0).numpy() - slope) <= 4 * error).all()


def test_fenchel_young_with_gumbel_noise_on_a_simplex_is_cross_entropy() -> None:
    n, sigma = 20_000, 0.8
    costs = tensor([[0.3, -0.5, 1.0]]).requires_grad_()
    exact = sigma * torch.nn.functional.cross_entropy(-costs / sigma, torch.tensor([2]))
    exact.backward()
    loss = make_loss("perturbed-fenchel-young", Simplex(3), {"sigma": sigma, "noise": "gumbel"})
    leaf = costs.detach().repeat(n, 1).requires_grad_()
    good = Target(decisions=tensor([[0, 0, 1]]).repeat(n, 1))
    values = loss(leaf, good, reduction="none")
    values.sum().backward()
    error = values.detach().std().item() / n**0.5
    assert values.mean().item() == pytest.approx(exact.item(), abs=4 * error)
    errors = leaf.grad.std(0).numpy() / n**0.5
    assert (np.abs((leaf.grad.mean(0) - costs.grad[0]).numpy()) <= 4 * errors).all()


def test_multiplicative_fenchel_young_of_two_costs() -> None:
    # F(p) = E min(p1 f1, p2 f2) for lognormal factors, as the price of an exchange option
    n, sigma, p = 20_000, 0.5, np.array([1.0, 1.3])
    spread = math.sqrt(2) * sigma
    up = (math.log(p[0] / p[1]) + sigma**2) / spread
    down = up - spread
    least = p[0] - (p[0] * norm.cdf(up) - p[1] * norm.cdf(down))
    slope = np.array([1 - (1 - norm.cdf(up)), -norm.cdf(down)])
    parameters = {"sigma": sigma, "noise": "multiplicative"}
    loss = make_loss("perturbed-fenchel-young", Simplex(2), parameters)
    leaf = tensor(np.tile(p, (n, 1))).requires_grad_()
    values = loss(leaf, Target(decisions=tensor([[1, 0]]).repeat(n, 1)), reduction="none")
    values.sum().backward()
    error = values.detach().std().item() / n**0.5
    assert values.mean().item() == pytest.approx(p[0] - least, abs=4 * error)
    errors = leaf.grad.std(0).numpy() / n**0.5
    assert (np.abs(leaf.grad.mean(0).numpy() - slope) <= 4 * errors).all()


def test_the_regularized_loss_on_a_simplex_is_that_of_sparsemax() -> None:
    # Martins & Astudillo (2016): -z_k + (sum over the support of z_j^2 - tau^2) / 2 + 1 / 2
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 5))
    labels = rng.integers(0, 5, size=50)
    ordered = -np.sort(-scores, axis=1)
    size = (1 + ordered * np.arange(1, 6) > ordered.cumsum(1)).sum(1)
    tau = (np.take_along_axis(ordered.cumsum(1), size[:, None] - 1, 1)[:, 0] - 1) / size
    inside = scores > tau[:, None]
    sums = np.where(inside, scores**2 - tau[:, None] ** 2, 0).sum(1)
    expected = -scores[np.arange(50), labels] + sums / 2 + 1 / 2
    loss = make_loss("regularized-fenchel-young", Simplex(5))
    found = loss(tensor(-scores), Target(decisions=tensor(np.eye(5)[labels])), reduction="none")
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_generator_of_the_loss_seeds_the_noise(name: str) -> None:
    output, costs = tensor(np.random.default_rng(0).normal(size=(2, 6, 5)))
    loss = make_loss(name, TopK(5, 2))
    values = []
    for seed in (1, 2, 1):
        loss.generator.manual_seed(seed)
        values.append(loss(output, Target(costs=costs)).item())
    assert values[0] == values[2] != values[1]


@pytest.mark.parametrize("name", [*THROUGH_LAYERS, "regularized-fenchel-young"])
def test_objectives_with_a_part_of_their_own_are_refused(name: str) -> None:
    for oracle in (MeanVariancePortfolio(np.eye(3), 1.0), Newsvendor([[1, 2]], 4.0, 1.0, 5.0)):
        with pytest.raises(
            UnsupportedError, match=f"with {type(oracle).__name__}.*part of its own"
        ):
            make_loss(name, oracle)


def test_imitation_needs_no_costs() -> None:
    assert {"perturbed-fenchel-young", "regularized-fenchel-young"} <= set(imitating())
    assert not set(THROUGH_LAYERS) & set(imitating())


def test_parameters_out_of_range_are_refused() -> None:
    for name, parameter in (
        ("black-box", "smoothing"),
        ("imle", "sigma"),
        ("imle", "kappa"),
        ("perturbed-regret", "sigma"),
        ("perturbed-fenchel-young", "sigma"),
        ("regularized-fenchel-young", "strength"),
    ):
        with pytest.raises(InvalidInputError, match=f"{parameter}=-1"):
            make_loss(name, Box(2), {parameter: -1.0})
    for name in SAMPLED:
        with pytest.raises(InvalidInputError, match="n_samples=0"):
            make_loss(name, Box(2), {"n_samples": 0})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, {}) for name in THROUGH_LAYERS),
        ("perturbed-fenchel-young", {"n_samples": 3}),
        ("perturbed-fenchel-young", {"noise": "gumbel", "n_samples": 3}),
        ("regularized-fenchel-young", {}),
    ],
)
def test_training_with_it_lowers_regret(name: str, parameters: dict[str, object]) -> None:
    data = make_shortest_path(300, grid=(3, 3), degree=4, noise=0.2, random_state=0)
    costs = torch.from_numpy(data.C / data.C.mean())
    loss = make_loss(name, data.oracle, parameters)
    model = torch.nn.Linear(5, 12, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.ones_(model.bias)
    source = TableSource(torch.from_numpy(data.X), loss.complete(Target(costs=costs)), 32)
    train(model, loss, source, max_iter=30, learning_rate=0.02)
    found = model(torch.from_numpy(data.X)).detach().numpy()
    constant = np.tile(data.C.mean(0), (len(data.C), 1))
    regret = [metrics.normalized_regret(data.oracle, p, data.C) for p in (found, constant)]
    assert regret[0] < 0.6 * regret[1]


@pytest.mark.parametrize("name", [*THROUGH_LAYERS, "regularized-fenchel-young"])
def test_an_estimator_gives_the_loss_its_own_oracle(name: str) -> None:
    data = make_shortest_path(60, grid=(3, 3), degree=4, random_state=0)
    fits = [
        DecisionFocusedRegressor(
            data.oracle, loss=loss, early_stopping=False, max_iter=2, random_state=0
        ).fit(data.X, data.C)
        for loss in (name, make_loss(name, Box(12)))
    ]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    # labels, and at least one solve a sample and epoch
    assert fits[0].budget_.instances == fits[1].budget_.instances >= 3 * 60
