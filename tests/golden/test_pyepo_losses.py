"""Values and gradients are those of PyEPO, on the same data and in the same run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import highspy  # noqa: F401  (before PyEPO, which loads ortools)
import numpy as np
import pytest
import torch

from dfl import Target, make_loss
from dfl.layers import SumOfGamma
from dfl.losses import mix_with_neighbors
from dfl_solvers import GridShortestPath, Knapsack, Maximize, Oracle

N = 24
WEIGHTS = np.array([[3.0, 4.0, 2.0, 5.0, 1.0, 4.0], [2.0, 1.0, 4.0, 3.0, 3.0, 2.0]])
CAPACITIES = np.array([8.0, 7.0])


@pytest.fixture(scope="module", params=["shortest-path", "knapsack"])
def peer(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Return a problem in both libraries, predictions and truth, in float64."""
    pyepo = pytest.importorskip("pyepo")
    gurobipy = pytest.importorskip("gurobipy")
    gurobipy.setParam("OutputFlag", 0)
    oracle: Oracle
    if request.param == "shortest-path":
        oracle = GridShortestPath(5, 5)
        model = pyepo.model.shortestPathModel((5, 5), backend="gurobi")
    else:
        oracle = Maximize(Knapsack(WEIGHTS, CAPACITIES))
        model = pyepo.model.knapsackModel(WEIGHTS, CAPACITIES, backend="gurobi")
    rng = np.random.default_rng(0)
    output, costs = rng.uniform(0.5, 2.0, size=(2, N, oracle.n_costs))
    solution = oracle.solve(costs)
    data = pyepo.data.dataset.optDataset(model, np.zeros((N, 1)), costs)
    np.testing.assert_allclose(data.sols, solution.decisions, atol=1e-6)
    return SimpleNamespace(
        func=pyepo.func,
        model=model,
        data=data,
        oracle=oracle,
        sign=getattr(oracle, "sign", 1),
        output=torch.tensor(output),
        costs=torch.tensor(costs),
        decisions=torch.tensor(solution.decisions),
        objectives=torch.tensor(solution.objectives),
    )


def spo_plus(peer: SimpleNamespace, output: torch.Tensor) -> torch.Tensor:
    loss = peer.func.SPOPlus(peer.model, reduction="none")
    return loss(output, peer.costs, peer.decisions, peer.objectives[:, None])


def gradient_of(two_sides: bool) -> Callable[..., torch.Tensor]:
    def loss(peer: SimpleNamespace, output: torch.Tensor) -> torch.Tensor:
        theirs = peer.func.perturbationGradient(
            peer.model, sigma=0.25, two_sides=two_sides, reduction="none"
        )
        return theirs(output, peer.costs)

    return loss


def regret_of(name: str, **parameters: Any) -> Callable[..., torch.Tensor]:
    """Their layers give decisions, of which this takes the regret."""

    def loss(peer: SimpleNamespace, output: torch.Tensor) -> torch.Tensor:
        theirs = getattr(peer.func, name)(peer.model, **parameters)
        same_noise(peer, theirs)
        decisions = theirs(output)
        return peer.sign * (torch.linalg.vecdot(peer.costs, decisions) - peer.objectives)

    return loss


def pooled(name: str, truth: str) -> Callable[..., torch.Tensor]:
    def loss(peer: SimpleNamespace, output: torch.Tensor) -> torch.Tensor:
        theirs = getattr(peer.func, name)(peer.model, dataset=peer.data, reduction="none")
        theirs.solpool = theirs.solpool.to(output.dtype)  # theirs is in single precision
        return theirs(output, getattr(peer, truth))

    return loss


CASES: dict[str, tuple[str, dict[str, Any], Callable[..., torch.Tensor]]] = {
    "spo+": ("spo+", {}, spo_plus),
    "backward gradient": ("perturbation-gradient", {"step": 0.25}, gradient_of(False)),
    "central gradient": (
        "perturbation-gradient", {"step": 0.25, "side": "central"}, gradient_of(True),
    ),
    "black box": (
        "black-box", {"smoothing": 3.0}, regret_of("blackboxOpt", lambd=3.0),
    ),
    "identity": (
        "identity", {"projection": "none"}, regret_of("negativeIdentity"),
    ),
    "nce": ("nce", {}, pooled("noiseContrastiveEstimation", "decisions")),
    "contrastive map": ("contrastive-map", {}, pooled("contrastiveMAP", "decisions")),
    "pointwise": ("ranking-pointwise", {}, pooled("pointwiseLearningToRank", "costs")),
    "pairwise": ("ranking-pairwise", {}, pooled("pairwiseLearningToRank", "costs")),
    "listwise": ("ranking-listwise", {}, pooled("listwiseLearningToRank", "costs")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_pyepo(peer: SimpleNamespace, case: str) -> None:
    name, parameters, theirs = CASES[case]
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    loss = make_loss(name, peer.oracle, parameters)
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    expected = theirs(peer, other)
    expected.sum().backward()
    # theirs has 1e-7 in denominators, and no weight of a list below 1e-8
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.grad, other.grad, rtol=1e-5, atol=1e-6)


def same_noise(peer: SimpleNamespace, theirs: Any) -> None:
    """Flip their noise where values are maximized: they add it to values, we to costs."""
    if peer.sign == -1 and hasattr(theirs, "_perturb"):
        plain = theirs._perturb
        theirs._perturb = lambda values, noise: plain(values, -noise)


def test_fenchel_young_is_that_of_pyepo_with_the_same_noise(peer: SimpleNamespace) -> None:
    sigma, k, seed = 0.5, 3, 7
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    loss = make_loss("perturbed-fenchel-young", peer.oracle, {"sigma": sigma, "n_samples": k})
    loss.generator.manual_seed(seed)
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    theirs = peer.func.perturbedFenchelYoung(
        peer.model, n_samples=k, sigma=sigma, seed=seed, reduction="none"
    )
    same_noise(peer, theirs)
    expected = theirs(other, peer.decisions)
    expected.sum().backward()
    # ours adds the noise's part of the decision w*, of mean zero, so that no draw is negative
    noise = torch.randn(
        (N, k, peer.costs.shape[1]), generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )  # fmt: skip
    difference = sigma * torch.linalg.vecdot(noise, peer.decisions[:, None]).mean(1)
    np.testing.assert_allclose(found.detach(), expected.detach() + difference, atol=1e-6)
    np.testing.assert_allclose(ours.grad, other.grad, atol=1e-6)


def test_perturbed_regret_is_that_of_pyepo_with_the_same_noise(peer: SimpleNamespace) -> None:
    sigma, k, seed = 0.5, 4, 7
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    loss = make_loss("perturbed-regret", peer.oracle, {"sigma": sigma, "n_samples": k})
    loss.generator.manual_seed(seed)
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    theirs = regret_of("perturbedOpt", n_samples=k, sigma=sigma, seed=seed)
    expected = theirs(peer, other)
    expected.sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-6)
    # its gradient is in terms of the noise it drew
    np.testing.assert_allclose(ours.grad, peer.sign * other.grad, rtol=1e-5, atol=1e-6)


def test_multiplied_noise_is_that_of_pyepo(peer: SimpleNamespace) -> None:
    sigma, k, seed = 0.5, 3, 7
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    parameters = {"sigma": sigma, "n_samples": k, "noise": "multiplicative"}
    loss = make_loss("perturbed-fenchel-young", peer.oracle, parameters)
    loss.generator.manual_seed(seed)
    loss(ours, Target(costs=peer.costs), reduction="sum").backward()
    theirs = peer.func.perturbedFenchelYoungMul(
        peer.model, n_samples=k, sigma=sigma, seed=seed, reduction="sum"
    )
    theirs(other, peer.decisions).backward()
    # ours multiplies the decision w* by the factors, of mean one, too
    noise = torch.randn(
        (N, k, peer.costs.shape[1]), generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )  # fmt: skip
    factor = torch.exp(sigma * noise - sigma**2 / 2).mean(1)
    expected = other.grad + peer.sign * (factor - 1) * peer.decisions
    np.testing.assert_allclose(ours.grad, expected, atol=1e-6)


def test_implicit_mle_is_that_of_pyepo_with_the_same_noise(peer: SimpleNamespace) -> None:
    sigma, k, seed = 0.5, 4, 7
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    parameters = {"sigma": sigma, "n_samples": k, "smoothing": 2.0}
    loss = make_loss("imle", peer.oracle, parameters)
    loss.generator.manual_seed(seed)
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    noise = SumOfGamma(kappa=5.0).draw(
        (N, k, peer.costs.shape[1]), peer.costs, torch.Generator().manual_seed(seed)
    )
    # ours subtracts the noise from costs, as the paper does: it adds it to values
    drawn = SimpleNamespace(sample=lambda **_: -peer.sign * noise)
    theirs = regret_of("implicitMLE", n_samples=k, sigma=sigma, lambd=2.0, distribution=drawn)
    expected = theirs(peer, other)
    expected.sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-6)
    np.testing.assert_allclose(ours.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_regularized_losses_are_those_of_pyepo(peer: SimpleNamespace) -> None:
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    loss = make_loss("regularized-fenchel-young", peer.oracle, {"strength": 0.5})
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    theirs = peer.func.regularizedFrankWolfeFenchelYoung(
        peer.model, lambd=0.5, tol=1e-9, reduction="none"
    )
    expected = theirs(other, peer.decisions)
    expected.sum().backward()
    # plain Frank-Wolfe, which theirs is, converges slowly
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-3)
    np.testing.assert_allclose(ours.grad, other.grad, atol=1e-2)


def test_quadratic_relaxation_is_that_of_pyepo_where_it_is_tight(peer: SimpleNamespace) -> None:
    if peer.sign == -1:
        pytest.skip(
            "theirs is over the hull of the decisions, and knapsacks have a wider relaxation"
        )
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    found = make_loss("qptl", peer.oracle, {"smoothing": 2.0})(
        ours, Target(costs=peer.costs), "none"
    )
    found.sum().backward()
    expected = regret_of("regularizedFrankWolfeOpt", lambd=2.0, tol=1e-9, max_iter=500)(peer, other)
    expected.sum().backward()
    # away-step Frank-Wolfe stops at a gap
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-3)
    np.testing.assert_allclose(ours.grad, other.grad, atol=1e-2)


def test_adaptive_implicit_mle_is_that_of_pyepo_with_the_same_noise(peer: SimpleNamespace) -> None:
    sigma, k, seed = 0.5, 4, 7
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    loss = make_loss("adaptive-imle", peer.oracle, {"sigma": sigma, "n_samples": k})
    loss.generator.manual_seed(seed)
    found = loss(ours, Target(costs=peer.costs), reduction="none")
    found.sum().backward()
    noise = SumOfGamma(kappa=5.0).draw(
        (N, k, peer.costs.shape[1]), peer.costs, torch.Generator().manual_seed(seed)
    )
    # ours subtracts the noise from costs, as the paper does: it adds it to values
    drawn = SimpleNamespace(sample=lambda **_: -peer.sign * noise)
    theirs = regret_of("adaptiveImplicitMLE", n_samples=k, sigma=sigma, distribution=drawn)
    expected = theirs(peer, other)
    expected.sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-6)
    np.testing.assert_allclose(ours.grad, other.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", ["projection", "heuristic"])
def test_cone_aligned_is_that_of_pyepo(peer: SimpleNamespace, part: str) -> None:
    pytest.importorskip("clarabel")
    projects = part == "projection"
    ours, other = (peer.output.clone().requires_grad_() for _ in range(2))
    parameters = {"inner_ratio": 0.0, "solve_ratio": float(projects), "heuristic_ratio": 0.2}
    loss = make_loss("cave", peer.oracle, parameters)
    found = loss(ours, Target(decisions=peer.decisions), reduction="none")
    found.sum().backward()
    cones = constraints(peer)
    theirs = peer.func.coneAlignedCosine(
        peer.model, max_iter=200, solve_ratio=float(projects), inner_ratio=0.2, reduction="none"
    )
    expected = theirs(other, cones)
    expected.sum().backward()
    # theirs projects by an interior-point method and rounds to single precision
    near = {"rtol": 1e-4, "atol": 1e-5 if projects else 1e-9}
    np.testing.assert_allclose(found.detach(), expected.detach(), **near)
    np.testing.assert_allclose(ours.grad, other.grad, **near)


def constraints(peer: SimpleNamespace) -> torch.Tensor:
    """Return normals of their tight constraints, (N, m, d), filled up with zeros."""
    from pyepo.data.dataset import optDatasetConstrs

    data = optDatasetConstrs(peer.model, np.zeros((N, 1)), peer.costs.numpy())
    return torch.nn.utils.rnn.pad_sequence(data.ctrs, batch_first=True)


def test_mixtures_with_neighbors_are_those_of_pyepo(peer: SimpleNamespace) -> None:
    from pyepo.data.dataset import optDatasetKNN

    X = np.random.default_rng(3).normal(size=(N, 4))
    rows, mixed = mix_with_neighbors(X, peer.costs.numpy(), n_neighbors=5, weight=0.3)
    theirs = optDatasetKNN(peer.model, X, peer.costs.numpy(), k=5, weight=0.3)
    solution = peer.oracle.solve(mixed)

    def mean(values: np.ndarray) -> np.ndarray:
        return values.reshape(N, 5, -1).mean(1)

    np.testing.assert_array_equal(rows, np.repeat(np.arange(N), 5))
    # theirs are in single precision
    np.testing.assert_allclose(mean(mixed), theirs.costs, atol=1e-5)
    np.testing.assert_allclose(mean(solution.decisions), theirs.sols, atol=1e-5)
    np.testing.assert_allclose(mean(solution.objectives), theirs.objs, atol=1e-5)
