"""Exact values of the losses, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfl import Target, make_loss, metrics
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses import AbstractLoss, available
from dfl_solvers import Ball, Box, FromCallable, LinearProgram, Maximize, Program, Simplex, TopK

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


@pytest.mark.parametrize("name", available())
def test_padding_changes_nothing(name: str, rng: np.random.Generator) -> None:
    short = rng.normal(size=(2, 8, 3))
    padded = np.concatenate([short, rng.normal(size=(2, 8, 2))], axis=2)
    mask = np.tile([True, True, True, False, False], (8, 1))
    loss = make_loss(name, Simplex(), {"n_samples": 4} if "young" in name else None)
    if loss.generator is not None:
        pytest.skip("the padded draw uses other noise")
    values = [
        loss(torch.tensor(p), Target(costs=torch.tensor(c), instance=i), reduction="none")
        for (p, c), i in ((short, None), (padded, {"mask": mask}))
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-12)


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
    with pytest.raises(InvalidInputError, match="needs costs"):
        loss(torch.zeros(1, 2), Target(decisions=torch.zeros(1, 2)))
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
