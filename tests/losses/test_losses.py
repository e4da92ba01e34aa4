"""Exact values of the losses, and what they refuse."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from dfl import DecisionFocusedRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses import AbstractLoss, WeightedSumLoss, available, imitating
from dfl.losses.registry import LOSSES
from dfl_solvers import (
    Ball,
    Box,
    Cached,
    Counting,
    FromCallable,
    Knapsack,
    LinearProgram,
    Maximize,
    MeanVariancePortfolio,
    MixedIntegerProgram,
    Oracle,
    Program,
    Simplex,
    TopK,
)

# tested on a simplex, whose decisions have no derivative
OF_DECISIONS = [
    name for name in available() if not LOSSES[name].requires & {"samples", "derivative"}
]
DRAWS_NOISE = {name for name in LOSSES if "n_samples" in inspect.signature(LOSSES[name]).parameters}
DRAWS_NOISE |= {"lancer"}  # the first weights of its network

# (oracle, predicted, true, regret, SPO+, subgradient), by hand
EXACT = {
    "simplex": (Simplex(3), (3, 2, 1), (1, 2, 4), 3.0, 7.0, (2, 0, -2)),
    "ball": (Ball(2), (4, 3), (3, 4), 0.2, 29**0.5 - 4.6, (0.65695338, -0.85721865)),
    "box": (Box(2), (-1, -0.5), (1, -2), 1.0, 4.0, (-2, 2)),
}


def tensor(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("case", EXACT)
def test_spo_plus_has_its_published_values_and_subgradient(case: str) -> None:
    oracle, predicted, true, regret, value, gradient = EXACT[case]
    output = tensor(predicted).requires_grad_()
    loss = make_loss("spo+", oracle)(output, Target(costs=tensor(true)))
    loss.backward()
    assert loss.item() == pytest.approx(value, abs=1e-9)
    np.testing.assert_allclose(output.grad[0], gradient, atol=1e-8)
    found = metrics.regret(oracle, np.array([predicted], float), np.array([true], float))
    assert found[0] == pytest.approx(regret, abs=1e-9)


def test_spo_plus_on_a_box_is_a_scaled_hinge(rng: np.random.Generator) -> None:
    predicted, true = rng.normal(size=(2, 50, 7))
    values = make_loss("spo+", Box(7))(
        torch.tensor(predicted), Target(costs=torch.tensor(true)), reduction="none"
    )
    hinge = np.maximum(np.abs(true) - 2 * np.sign(true) * predicted, 0).sum(1)
    np.testing.assert_allclose(values, hinge, atol=1e-12)


def test_spo_plus_identity_under_symmetric_noise(rng: np.random.Generator) -> None:
    # E[l(m + D, c)] - E[l(m, c)] = E[regret(c, c + 2D)] over the pairs m + Z, m - Z
    oracle, mean, shift = TopK(6, 2), rng.normal(size=6), rng.normal(size=6)
    noise = rng.normal(size=(200, 6))
    costs = np.concatenate([mean + noise, mean - noise])
    loss = make_loss("spo+", oracle)
    target = Target(costs=torch.tensor(costs))

    def risk(predicted: np.ndarray) -> float:
        return loss(torch.tensor(np.tile(predicted, (len(costs), 1))), target).item()

    right = metrics.regret(oracle, costs, costs + 2 * shift).mean()
    assert risk(mean + shift) - risk(mean) == pytest.approx(right, abs=1e-12)


def test_spo_plus_counts_the_known_part_of_the_objective(rng: np.random.Generator) -> None:
    # the same problem twice: known costs as fixed_costs, and as further costs that are predicted
    # without error
    A, ones, zeros = np.ones((1, 4)), np.ones(4), np.zeros(4)
    fixed = rng.normal(size=4)
    program = Program(A, [2.0], [2.0], zeros, ones, fixed_costs=fixed)
    plain = LinearProgram(Program(A, [2.0], [2.0], zeros, ones))
    predicted, true = rng.normal(size=(2, 30, 4))
    known = make_loss("spo+", LinearProgram(program))(
        torch.tensor(predicted), Target(costs=torch.tensor(true)), reduction="none"
    )
    whole = make_loss("spo+", plain)(
        torch.tensor(predicted + fixed), Target(costs=torch.tensor(true + fixed)), reduction="none"
    )
    np.testing.assert_allclose(known, whole, atol=1e-9)


def test_fenchel_young_gradient_is_decision_minus_mean_decision() -> None:
    oracle = Simplex(3)
    loss = make_loss("perturbed-fenchel-young", oracle, {"sigma": 0.5, "n_samples": 20_000})
    output = tensor((1.0, 1.2, 0.7)).requires_grad_()
    loss(output, Target(decisions=tensor((1.0, 0.0, 0.0)))).backward()
    draws = output.detach().numpy() + 0.5 * np.random.default_rng(1).normal(size=(200_000, 3))
    chosen = np.bincount(draws.argmin(1), minlength=3) / len(draws)
    # four standard errors of the smaller sample
    np.testing.assert_allclose(output.grad[0], [1, 0, 0] - chosen, atol=4 * 0.5 / 20_000**0.5)


def test_fenchel_young_value_on_two_points() -> None:
    # S = {e1, e2}: F(p) = E min(p1 + s Z1, p2 + s Z2) has a closed form
    loss = make_loss("perturbed-fenchel-young", Simplex(2), {"sigma": 1.0, "n_samples": 100_000})
    output = tensor((0.3, 0.0))
    value = loss(output, Target(decisions=tensor((1.0, 0.0)))).item()
    from scipy.stats import norm

    spread = 2**0.5
    smallest = -(0.3 * norm.cdf(0.3 / spread) + spread * norm.pdf(0.3 / spread)) + 0.3
    assert value == pytest.approx(0.3 - smallest, abs=0.02)


def test_squared_ignores_padding() -> None:
    mask = np.array([[True, True, False]])
    target = Target(costs=tensor((1.0, 2.0, 0.0)), instance={"mask": mask})
    assert make_loss("squared", Box())(tensor((2.0, 2.0, 99.0)), target).item() == 0.5


@pytest.mark.parametrize("name", OF_DECISIONS)
def test_padding_changes_nothing(name: str, rng: np.random.Generator) -> None:
    short = rng.normal(size=(2, 8, 3))
    padded = np.concatenate([short, rng.normal(size=(2, 8, 2))], axis=2)
    mask = np.tile([True, True, True, False, False], (8, 1))
    values, gradients = [], []
    for (p, c), width, instance in ((short, 3, None), (padded, 5, {"mask": mask})):
        output = torch.tensor(p).requires_grad_()
        loss = make_loss(name, Simplex(width))
        values.append(loss(output, Target(costs=torch.tensor(c), instance=instance), "none"))
        values[-1].sum().backward()
        gradients.append(output.grad)
    assert (gradients[1][:, 3:] == 0).all()
    if name not in DRAWS_NOISE:  # a padded draw is another one
        np.testing.assert_allclose(values[0].detach(), values[1].detach(), atol=1e-9)
        np.testing.assert_allclose(gradients[0], gradients[1][:, :3], atol=1e-9)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'spo\\+'"):
        make_loss("spo", Box())
    with pytest.raises(InvalidInputError, match="got parameter 'sgima', expected one of: sigma"):
        make_loss("perturbed-fenchel-young", Box(), {"sgima": 1.0})
    with pytest.raises(InvalidInputError, match="sigma=0"):
        make_loss("perturbed-fenchel-young", Box(), {"sigma": 0})
    with pytest.raises(InvalidInputError, match="got oracle=None"):
        make_loss("spo+", None)  # type: ignore[arg-type]
    loss = make_loss("spo+", Box())
    with pytest.raises(InvalidInputError, match=r"needs costs, .*: 'adjacent-vertex', .*'nce'"):
        loss(torch.zeros(1, 2), Target(decisions=torch.zeros(1, 2)))
    with pytest.raises(InvalidInputError, match=r"needs decisions, .* pass costs or decisions"):
        make_loss("nce", Box())(torch.zeros(1, 2), Target(objectives=torch.zeros(1)))
    with pytest.raises(InvalidInputError, match=r"shape \(1, 3\).*expected \(1, 2\)"):
        loss(torch.zeros(1, 2), Target(costs=torch.zeros(1, 3)))
    with pytest.raises(InvalidInputError, match="reduction='avg'"):
        loss(torch.zeros(1, 2), Target(costs=torch.zeros(1, 2)), reduction="avg")  # type: ignore[arg-type]


def test_a_loss_that_needs_a_program_refuses_an_oracle_without() -> None:
    class NeedsProgram(AbstractLoss):
        requires = frozenset({"program"})

        def per_sample(self, output: torch.Tensor, target: Target) -> torch.Tensor:
            return output.sum(-1)

    NeedsProgram(Maximize(Box(2)))
    with pytest.raises(UnsupportedError, match="NeedsProgram does not go with FromCallable"):
        NeedsProgram(FromCallable(lambda c: c))
    with pytest.raises(UnsupportedError, match="SmoothedSPOPlusLoss does not go with MeanVariance"):
        make_loss("smoothed-spo+", MeanVariancePortfolio(np.eye(2), 1.0))


@pytest.mark.parametrize("name", imitating())
def test_decisions_alone_are_enough_for_the_losses_that_say_so(name: str) -> None:
    output = tensor((3.0, 2.0, 1.0), (1.0, 2.0, 3.0)).requires_grad_()
    good = Target(decisions=tensor((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    make_loss(name, Simplex(3))(output, good).backward()
    # the costs of the good decisions should fall below those of the others
    assert (output.grad * good.decisions).sum() > 0


@pytest.mark.parametrize("name", sorted(set(OF_DECISIONS) - set(imitating())))
def test_decisions_alone_are_refused_by_the_others(name: str) -> None:
    with pytest.raises(InvalidInputError, match="needs costs"):
        make_loss(name, Simplex(3))(torch.zeros(1, 3), Target(decisions=torch.eye(3)[:1]))


def test_absolute_and_huber_ignore_padding_and_change_at_delta() -> None:
    mask = np.array([[True, True, False]])
    target = Target(costs=tensor((1.0, 2.0, 0.0)), instance={"mask": mask})
    output = tensor((1.5, 5.0, torch.nan)).requires_grad_()
    value = make_loss("absolute", Box())(output, target)
    assert value.item() == pytest.approx((0.5 + 3.0) / 2)
    value.backward()
    assert output.grad.isfinite().all()
    # 0.5^2 / 2, and 1 (3 - 1/2)
    assert make_loss("huber", Box())(output, target).item() == pytest.approx((0.125 + 2.5) / 2)
    wide = make_loss("huber", Box(), {"delta": 10.0})(output, target).item()
    assert wide == pytest.approx((0.125 + 4.5) / 2)
    with pytest.raises(InvalidInputError, match="delta=0"):
        make_loss("huber", Box(), {"delta": 0.0})


def test_perturbation_gradient_by_hand() -> None:
    output = tensor((3.0, 2.0, 1.0)).requires_grad_()
    target = Target(costs=tensor((1.0, 2.0, 4.0)))
    # p - c = (2, 0, -3), p + c = (4, 4, 5)
    for side, value, gradient in (
        ("backward", 1 + 3, (0, 0, 0)),
        ("central", (4 + 3) / 2, (0.5, 0, -0.5)),
    ):
        output.grad = None
        loss = make_loss("perturbation-gradient", Simplex(3), {"side": side, "step": 1.0})
        found = loss(output, target)
        found.backward()
        assert found.item() == pytest.approx(value)
        np.testing.assert_allclose(output.grad[0], gradient)
    with pytest.raises(InvalidInputError, match="step=0"):
        make_loss("perturbation-gradient", Box(), {"step": 0.0})
    with pytest.raises(InvalidInputError, match="side='forward'"):
        make_loss("perturbation-gradient", Box(), {"side": "forward"})
    with pytest.raises(InvalidInputError, match=r"step=1\.0, expected a positive number below 1"):
        make_loss("perturbation-gradient", MeanVariancePortfolio(np.eye(2), 1.0), {"step": 1.0})


@pytest.mark.parametrize("name", ["perturbation-gradient", "relaxed-spo+", "score-function"])
def test_the_known_part_of_the_objective_counts(name: str, rng: np.random.Generator) -> None:
    # the same problem twice: known costs as fixed_costs, and as further costs that are predicted
    # without error
    A, ones, zeros = np.ones((1, 4)), np.ones(4), np.zeros(4)
    fixed = rng.normal(size=4)
    known = LinearProgram(Program(A, [2.0], [2.0], zeros, ones, fixed_costs=fixed))
    plain = LinearProgram(Program(A, [2.0], [2.0], zeros, ones))
    predicted, true = (torch.tensor(draw) for draw in rng.normal(size=(2, 30, 4)))
    found = make_loss(name, known)(predicted, Target(costs=true), reduction="none")
    extra = torch.tensor(fixed)
    expected = make_loss(name, plain)(predicted + extra, Target(costs=true + extra), "none")
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_smoothed_spo_plus_on_a_ball_and_near_spo_plus(rng: np.random.Generator) -> None:
    predicted, true = (torch.tensor(draw) for draw in rng.normal(size=(2, 20, 3)))
    target = Target(costs=true)
    for strength in (0.5, 4.0):
        shifted = 2 * predicted - true
        size = torch.linalg.vector_norm(shifted, dim=1)
        # the projection of -shifted / strength on the unit ball
        inside = -shifted / torch.maximum(size, torch.tensor(strength))[:, None]
        best = -true / torch.linalg.vector_norm(true, dim=1, keepdim=True)
        expected = torch.linalg.vecdot(shifted, best - inside)
        expected = expected - strength / 2 * (inside**2).sum(1)
        loss = make_loss("smoothed-spo+", Ball(3), {"strength": strength})
        output = predicted.clone().requires_grad_()
        found = loss(output, target, reduction="none")
        found.sum().backward()
        np.testing.assert_allclose(found.detach(), expected, atol=1e-5)
        np.testing.assert_allclose(output.grad, 2 * (best - inside), atol=1e-2)
        gap = make_loss("spo+", Ball(3))(predicted, target, reduction="none") - expected
        assert (gap >= -1e-9).all()
        assert (gap <= strength / 2 + 1e-9).all()
    simplex = make_loss("smoothed-spo+", Simplex(3), {"strength": 1e-6})
    assert simplex(tensor((3, 2, 1)), Target(costs=tensor((1, 2, 4)))).item() == pytest.approx(7)


def test_relaxed_spo_plus_is_spo_plus_of_the_relaxation(rng: np.random.Generator) -> None:
    knapsack = Knapsack(np.array([[3.0, 4.0, 5.0, 6.0]]), np.array([9.0]))
    predicted, true = (torch.tensor(-np.abs(draw)) for draw in rng.normal(size=(2, 30, 4)))
    relaxation = MixedIntegerProgram(knapsack.program()).relax()
    expected = make_loss("spo+", relaxation)(predicted, Target(costs=true), "none")
    target = Target(costs=true)
    for oracle in (knapsack, MixedIntegerProgram(knapsack.program()), relaxation):
        counting = Counting(oracle)
        loss = make_loss("relaxed-spo+", counting)
        np.testing.assert_allclose(loss(predicted, target, "none"), expected, atol=1e-9)
        assert counting.counts.instances == 60
    loss.oracle = knapsack  # what an estimator does
    labels = loss.complete(target).decisions
    assert ((labels > 1e-6) & (labels < 1 - 1e-6)).any()
    with pytest.raises(UnsupportedError, match="RelaxedSPOPlusLoss does not go with Ball"):
        make_loss("relaxed-spo+", Ball(3))
    with pytest.raises(UnsupportedError, match="Ball has no linear relaxation"):
        loss.oracle = Ball(3)


def test_a_weighted_sum_is_what_it_says(rng: np.random.Generator) -> None:
    oracle = Maximize(TopK(4, 2))
    predicted, true = (torch.tensor(draw) for draw in rng.normal(size=(2, 10, 4)))
    names, weights = ("spo+", "squared", "nce", "perturbed-regret"), (1.0, 0.1, 0.5, 2.0)
    target = Target(costs=true)

    def parts() -> list[AbstractLoss]:
        return [make_loss(name, oracle) for name in names]

    loss = WeightedSumLoss(parts(), weights)
    assert loss.requires == {"costs", "decisions", "objectives", "linear"}
    loss.generator.manual_seed(5)
    found, decisions = loss(predicted, target, "none", return_decisions=True)
    expected = torch.zeros(10)
    for part, weight in zip(parts(), weights, strict=True):
        if part.generator is not None:
            part.generator.manual_seed(5)
        expected = expected + weight * part(predicted, target, "none")
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(decisions, oracle.solve(predicted.numpy()).decisions)
    counting = Counting(oracle.minimizing)
    loss.oracle = counting
    loss(predicted, target)
    assert counting.counts.instances > 0
    for _ in range(2):  # every part draws from the one generator
        loss.generator.manual_seed(5)
        assert loss(predicted, target) == found.mean()


def test_a_weighted_sum_trains_an_estimator() -> None:
    data = make_shortest_path(100, grid=(3, 3), degree=4, random_state=0)
    terms = [make_loss("spo+", data.oracle), make_loss("score-function", data.oracle)]
    loss = WeightedSumLoss(terms, (1.0, 0.2))
    fits = [
        DecisionFocusedRegressor(data.oracle, loss, max_iter=3, random_state=0).fit(data.X, data.C)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    assert fits[0].budget_.instances > 100 * 11


def test_sums_that_make_no_sense_are_refused() -> None:
    one = make_loss("spo+", Box(2))
    with pytest.raises(InvalidInputError, match="got 1 losses and 2 weights"):
        WeightedSumLoss([one], [1.0, 2.0])
    with pytest.raises(InvalidInputError, match=r"losses of one oracle.*sign -1"):
        WeightedSumLoss([one, make_loss("spo+", Maximize(Box(2)))], [1.0, 1.0])
    with pytest.raises(InvalidInputError, match=r"losses of one oracle.*PreferenceLoss of None"):
        WeightedSumLoss([one, make_loss("preference", None)], [1.0, 1.0])


@pytest.mark.parametrize(
    ("name", "oracle"), [("cave", Ball(4)), ("smooth-regret", Box(4)), ("lancer", Simplex())]
)
def test_refusals_name_the_problem_and_not_what_is_around_it(name: str, oracle: Oracle) -> None:
    words = f"does not go with {type(oracle).__name__}"
    with pytest.raises(UnsupportedError, match=words):
        make_loss(name, Counting(Cached(oracle)))
    with pytest.raises(UnsupportedError, match=words):
        DecisionFocusedRegressor(oracle, name).fit(np.ones((10, 2)), np.eye(10, 4))
