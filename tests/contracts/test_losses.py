"""What holds for every registered loss of decisions on every kind of oracle.

What a loss promises beyond that is declared here, in the sets below, and then tested.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from dfl import Target, make_loss, metrics
from dfl.exceptions import UnsupportedError
from dfl.losses import AbstractLoss, available
from dfl.losses.registry import LOSSES
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Counting,
    GridShortestPath,
    Knapsack,
    LogBarrierSimplex,
    Maximize,
    MeanVariancePortfolio,
    MixedIntegerProgram,
    Newsvendor,
    Oracle,
    Simplex,
    TopK,
    TravelingSalesman,
)

KNAPSACK = Knapsack(np.array([[3.0, 4.0, 5.0, 6.0]]), np.array([9.0]))
ORACLES: dict[str, Oracle] = {
    "assignment": Assignment(3),
    "ball": Ball(4),
    "box": Box(5),
    "grid": GridShortestPath(3, 3),
    "knapsack": KNAPSACK,
    "log-barrier-simplex": LogBarrierSimplex(4),
    # these two have a part of the objective of their own
    "mean-variance": MeanVariancePortfolio(np.diag([1.0, 2.0, 3.0]), 2.0),
    "newsvendor": Newsvendor(np.random.default_rng(0).integers(0, 9, (5, 3)), 4.0, 1.0, 12.0),
    "relaxation": MixedIntegerProgram(KNAPSACK.program()).relax(),
    "simplex": Simplex(4),
    "top-k": TopK(5, 2),
    "traveling-salesman": TravelingSalesman(4),
}
NAMES = [name for name in available() if "samples" not in LOSSES[name].requires]

# a pool that grows by the decisions of the predictions makes no function of the output
POOLED = {"contrastive-map", "nce", "ranking-listwise", "ranking-pairwise", "ranking-pointwise"}
STILL: dict[str, dict[str, Any]] = {name: {"solve_ratio": 0.0} for name in POOLED}
# what the loss aims at inside the cone is fixed in its gradient; on the cone it needs not be
STILL["cave"] = {"inner_ratio": 0.0}

# noise is drawn for the batch, so that no row has that of a batch of one
SAMPLED = {
    "adaptive-imle", "imle", "perturbed-fenchel-young", "perturbed-regret", "score-function",
}  # fmt: skip
# what autograd gives is the derivative of the value
TRUE_GRADIENT = {
    "absolute", "adjacent-vertex", "cave", "contrastive-map", "cosine", "huber", "imitation",
    "nce", "optimality-margin", "perturbation-gradient", "perturbed-fenchel-young",
    "ranking-listwise", "ranking-pairwise", "ranking-pointwise",
    "regularized-fenchel-young", "relaxed-spo+", "smooth-regret", "smoothed-spo+", "spo+",
    "squared", "structured-svm", "weighted-direction",
    "intopt", "lodl", "permutahedron", "qptl", "soft-rank",
}  # fmt: skip
CONVEX = TRUE_GRADIENT - {
    "cave", "cosine", "intopt", "permutahedron", "perturbation-gradient", "qptl",
    "smooth-regret", "soft-rank",
}  # fmt: skip
ZERO_AT_THE_TRUTH = {
    "absolute", "black-box", "contrastive-map", "cosine", "huber", "identity", "ranking-pairwise",
    "ranking-pointwise", "relaxed-spo+", "smooth-regret", "spo+", "squared",
    "lodl",
}  # fmt: skip
NEVER_NEGATIVE = ZERO_AT_THE_TRUTH | {
    "adaptive-imle", "cave", "imitation", "imle", "optimality-margin", "perturbed-fenchel-young",
    "perturbed-regret", "ranking-listwise", "regularized-fenchel-young", "score-function",
    "structured-svm", "weighted-direction",
    "lancer", "permutahedron", "soft-rank",
}  # fmt: skip
BOUNDS_REGRET = {"spo+"}
IS_REGRET = {"black-box", "identity", "smooth-regret"}
# how losses scale if costs do, and the parameter that then has to scale too; the weighted direction
# has predictions without a unit and does not scale with both
DEGREE = {
    "absolute": 1, "adaptive-imle": 1, "adjacent-vertex": 1, "black-box": 1, "cave": 0,
    "contrastive-map": 1, "cosine": 0, "huber": 2, "identity": 1, "imle": 1,
    "nce": 1, "optimality-margin": 1, "perturbation-gradient": 1, "perturbed-fenchel-young": 1,
    "perturbed-regret": 1, "ranking-listwise": 0, "ranking-pairwise": 1, "ranking-pointwise": 2,
    "regularized-fenchel-young": 1, "relaxed-spo+": 1, "score-function": 1, "smooth-regret": 1,
    "smoothed-spo+": 1, "spo+": 1, "squared": 2, "structured-svm": 1,
    "intopt": 1, "lodl": 1, "permutahedron": 1, "qptl": 1, "soft-rank": 0,
}  # fmt: skip
UNIT = {
    "adaptive-imle": "sigma", "adjacent-vertex": "margin", "huber": "delta", "imle": "sigma",
    "perturbed-fenchel-young": "sigma", "optimality-margin": "margin", "perturbed-regret": "sigma",
    "ranking-listwise": "temperature", "regularized-fenchel-young": "strength",
    "score-function": "sigma", "smoothed-spo+": "strength", "structured-svm": "margin",
    "intopt": "weight", "lodl": "sigma", "permutahedron": "strength", "qptl": "smoothing",
    "soft-rank": "strength",
}  # fmt: skip
# decisions of the linear relaxation, which may be better than any of the problem itself
RELAXED = {"intopt", "qptl", "relaxed-spo+"}
# decisions a row of which a batch asks in its one oracle call; the others are found in several
SOLVES = {
    "absolute": 0, "adaptive-imle": 10, "adjacent-vertex": 0, "black-box": 1, "cave": 0,
    "contrastive-map": 1, "cosine": 0, "huber": 0, "identity": 1, "imle": 10,
    "nce": 1, "optimality-margin": 0, "perturbation-gradient": 2, "perturbed-fenchel-young": 1,
    "perturbed-regret": 10, "ranking-listwise": 1, "ranking-pairwise": 1, "ranking-pointwise": 1,
    "score-function": 10, "smooth-regret": 1, "spo+": 1, "squared": 0, "structured-svm": 1,
    "weighted-direction": 0,
    "lodl": 0, "soft-rank": 0,
}  # fmt: skip


@cache
def fits(name: str, key: str) -> bool:
    """Tell whether loss and oracle go together, as the loss itself says."""
    try:
        make_loss(name, ORACLES[key])
    except UnsupportedError:
        return False
    return True


def pairs(names: Any = NAMES) -> pytest.MarkDecorator:
    """Run a test for losses on the oracles that they go with."""
    cases = [(name, key) for name in sorted(names) for key in ORACLES if fits(name, key)]
    return pytest.mark.parametrize(
        ("name", "oracle"),
        [(name, ORACLES[key]) for name, key in cases],
        ids=[f"{name}-{key}" for name, key in cases],
    )


def batch(oracle: Oracle, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(2, n, oracle.n_costs))
    return torch.tensor(draws[0]), torch.tensor(draws[1])


def seeded(name: str, oracle: Oracle, parameters: dict[str, Any] | None = None) -> AbstractLoss:
    loss = make_loss(name, oracle, parameters)
    if loss.generator is not None:
        loss.generator.manual_seed(3)
    return loss


def test_what_a_loss_requires_decides_what_it_refuses() -> None:
    for name in NAMES:
        for key, oracle in ORACLES.items():
            needs = LOSSES[name].requires
            lacks_program = "program" in needs and not hasattr(oracle, "program")
            lacks_linear = "linear" in needs and not oracle.linear_objective
            lacks_derivative = "derivative" in needs and not hasattr(
                oracle, "vector_jacobian_product"
            )
            lacks_variables = (
                ("variables" in needs or ("normals" in needs and not hasattr(oracle, "tight_cuts")))
                and not lacks_program
                and not oracle.program().identity
            )
            lacks = lacks_program or lacks_linear or lacks_derivative or lacks_variables
            lacks |= "permutations" in needs and not hasattr(oracle, "permuted")
            assert fits(name, key) != lacks


@pairs()
def test_one_number_a_sample_and_reductions_agree(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    values = {
        how: seeded(name, oracle)(output, Target(costs=costs), reduction=how)
        for how in ("none", "mean", "sum")
    }
    assert values["none"].shape == (6,)
    assert values["none"].isfinite().all()
    assert values["mean"].item() == pytest.approx(values["none"].mean().item())
    assert values["sum"].item() == pytest.approx(values["none"].sum().item())
    if name in NEVER_NEGATIVE:
        assert (values["none"] >= -1e-9).all()
    single = seeded(name, oracle)(output.float(), Target(costs=costs.float()))
    assert single.dtype == torch.float32
    if name not in SAMPLED:  # other noise is drawn
        assert single.item() == pytest.approx(values["mean"].item(), abs=1e-4)


@pairs()
def test_the_sign_is_applied_once(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    minimized = seeded(name, oracle)(-output, Target(costs=-costs))
    maximized = seeded(name, Maximize(oracle))(output, Target(costs=costs))
    assert maximized.item() == pytest.approx(minimized.item(), abs=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
@pairs()
def test_an_accelerator_gives_value_and_gradient_of_the_processor(
    name: str, oracle: Oracle
) -> None:
    output, costs = batch(oracle)
    found = {}
    for device in ("cpu", "cuda"):
        at = output.to(device).requires_grad_()
        value = seeded(name, oracle)(at, Target(costs=costs.to(device)), reduction="none")
        assert value.device.type == device
        (slope,) = torch.autograd.grad(value.sum(), at)
        found[device] = value.detach().cpu(), slope.cpu()
    for here, there in zip(*found.values(), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-9)


@pairs(TRUE_GRADIENT)
def test_gradient_is_that_of_central_differences(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle, n=3)
    loss = seeded(name, oracle, STILL.get(name))
    target = loss.complete(Target(costs=costs))

    def value(at: torch.Tensor) -> torch.Tensor:
        if loss.generator is not None:
            loss.generator.manual_seed(3)
        return loss(at, target, reduction="sum")

    output.requires_grad_()
    value(output).backward()
    step, numeric = 1e-6, torch.zeros_like(output)
    for i, j in np.ndindex(*output.shape):
        shifted = output.detach().clone()
        sides = []
        for sign in (1, -1):
            shifted[i, j] = output[i, j].detach() + sign * step
            sides.append(value(shifted))
        numeric[i, j] = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(output.grad, numeric, atol=1e-4)


@pairs(CONVEX)
def test_convex_along_segments(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    target = seeded(name, oracle).complete(Target(costs=costs))
    other = output.flip(0)
    near, middle, far = (
        seeded(name, oracle, STILL.get(name))(at, target, reduction="none")
        for at in (output, (output + other) / 2, other)
    )
    assert (middle <= (near + far) / 2 + 1e-9).all()


@pairs(ZERO_AT_THE_TRUTH)
def test_zero_at_the_truth(name: str, oracle: Oracle) -> None:
    _, costs = batch(oracle, n=20)
    values = seeded(name, oracle)(costs, Target(costs=costs), reduction="none")
    np.testing.assert_allclose(values, 0, atol=1e-9)


@pairs(BOUNDS_REGRET)
def test_bounds_regret(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle, n=40)
    values = seeded(name, oracle)(output, Target(costs=costs), reduction="none").numpy()
    regret = metrics.regret(oracle, output.numpy(), costs.numpy())
    assert (values >= regret - 1e-9).all()


@pairs(IS_REGRET)
def test_is_regret(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle, n=40)
    values, decisions = seeded(name, oracle)(
        output, Target(costs=costs), reduction="none", return_decisions=True
    )
    regret = metrics.regret(oracle, output.numpy(), costs.numpy())
    np.testing.assert_allclose(values, regret, atol=1e-9)
    np.testing.assert_allclose(decisions, oracle.solve(output.numpy()).decisions, atol=1e-9)


@pairs(["perturbation-gradient"])
def test_backward_perturbation_gradient_bounds_the_cost_of_the_decision(
    name: str, oracle: Oracle
) -> None:
    output, costs = batch(oracle, n=40)
    best = oracle.solve(costs.numpy()).objectives
    regret = metrics.regret(oracle, output.numpy(), costs.numpy())
    values = make_loss(name, oracle, {"step": 0.5})(output, Target(costs=costs), reduction="none")
    assert (values.numpy() - best >= regret - 1e-9).all()
    # SPO+ is the same with the predicted cost of w*(c) in place of the least one
    above = make_loss("spo+", oracle)(output, Target(costs=costs), reduction="none")
    assert (values - torch.from_numpy(best) <= above + 1e-9).all()
    # a difference over a short step is the derivative, from either side
    for side in ("backward", "central"):
        loss = make_loss(name, oracle, {"step": 1e-6, "side": side})
        short = loss(output, Target(costs=costs), reduction="none").numpy()
        np.testing.assert_allclose(short - best, regret, atol=1e-4)


@pairs(BOUNDS_REGRET)
def test_identity_under_symmetric_noise(name: str, oracle: Oracle) -> None:
    # E[l(m + D, c)] - E[l(m, c)] = E[regret(c, c + 2D)] over the pairs m + Z, m - Z
    rng = np.random.default_rng(2)
    mean, shift = rng.normal(size=(2, oracle.n_costs))
    noise = rng.normal(size=(50, oracle.n_costs))
    costs = np.concatenate([mean + noise, mean - noise])
    loss = make_loss(name, oracle)

    def risk(predicted: np.ndarray) -> float:
        output = torch.tensor(np.tile(predicted, (len(costs), 1)))
        return loss(output, Target(costs=torch.tensor(costs))).item()

    right = metrics.regret(oracle, costs, costs + 2 * shift).mean()
    # HiGHS and the smooth sets solve to a tolerance
    assert risk(mean + shift) - risk(mean) == pytest.approx(right, abs=1e-7)


@pairs(DEGREE)
def test_scales_with_the_costs(name: str, oracle: Oracle) -> None:
    if not getattr(oracle, "linear_objective", True):
        pytest.skip("the problem's own part has a unit too")
    output, costs = batch(oracle)
    unit = UNIT.get(name)
    values = []
    for factor in (1.0, 3.0):
        parameters = {} if unit is None else {unit: 0.5 * factor}
        loss = seeded(name, oracle, parameters)
        values.append(loss(factor * output, Target(costs=factor * costs), reduction="none"))
    np.testing.assert_allclose(values[1], 3.0 ** DEGREE[name] * values[0], rtol=1e-6, atol=1e-7)


@pairs(set(NAMES) - SAMPLED)
def test_a_batch_is_its_rows(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle, n=5)
    loss = seeded(name, oracle, STILL.get(name))
    target = loss.complete(Target(costs=costs))
    whole = loss(output, target, reduction="none")
    rows = [slice(i, i + 1) for i in range(5)]
    alone = torch.cat([loss(output[i], target.rows(i), reduction="none") for i in rows])
    np.testing.assert_allclose(whole, alone, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if fits(name, "knapsack")])
def test_instances_with_data_of_their_own_are_their_own_problems(name: str) -> None:
    rng = np.random.default_rng(4)
    output, costs = (torch.tensor(draw) for draw in rng.normal(size=(2, 4, 4)))
    capacities = np.array([[4.0], [9.0], [12.0], [18.0]])
    parameters = {"n_samples": 4} if name in SAMPLED else None
    for i in range(4):
        row = slice(i, i + 1)
        own = Knapsack(KNAPSACK.weights, capacities[i])
        expected = seeded(name, own, parameters)(output[row], Target(costs=costs[row]))
        target = Target(costs=costs[row], instance={"capacities": capacities[row]})
        found = seeded(name, KNAPSACK, parameters)(output[row], target)
        assert found.item() == pytest.approx(expected.item(), abs=1e-9)
    if name not in SAMPLED:
        alone = [
            seeded(name, KNAPSACK)(
                output[i : i + 1],
                Target(costs=costs[i : i + 1], instance={"capacities": capacities[i : i + 1]}),
            )
            for i in range(4)
        ]
        target = Target(costs=costs, instance={"capacities": capacities})
        whole = seeded(name, KNAPSACK)(output, target, reduction="none")
        np.testing.assert_allclose(whole, torch.stack(alone), atol=1e-9)


@pairs()
def test_decisions_come_back_on_request(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    target = seeded(name, oracle).complete(Target(costs=costs))
    value = seeded(name, oracle)(output, target)
    again, decisions = seeded(name, oracle)(output, target, return_decisions=True)
    assert again.item() == value.item()
    assert decisions.shape in {(6, oracle.n_costs), (6, decisions.shape[1], oracle.n_costs)}
    # feasible: never better than the optimum, and the own part is that of a decision
    flat = decisions.reshape(-1, oracle.n_costs).numpy()
    rows = np.repeat(costs.numpy(), len(flat) // 6, axis=0)
    best = oracle.solve(rows).objectives
    slack = oracle.evaluate(rows, flat) - best
    if name not in RELAXED:
        assert (slack >= -1e-6).all()


@pairs(SOLVES)
def test_a_batch_is_one_call(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    target = seeded(name, oracle).complete(Target(costs=costs))
    counting = Counting(oracle)
    loss = seeded(name, counting)
    loss(output, target)
    calls = 1 if SOLVES[name] else 0
    assert (counting.counts.calls, counting.counts.instances) == (calls, 6 * SOLVES[name])
    # what was solved is returned, not solved again
    loss(output, target, return_decisions=True)
    assert counting.counts.calls == (2 if calls else 1)


@pairs()
def test_same_seed_same_value(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    first, second = (seeded(name, oracle)(output, Target(costs=costs)) for _ in range(2))
    assert first.item() == second.item()
