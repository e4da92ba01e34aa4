"""Weight rules, samples and budgets: exact values, masks, limits."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import (
    Budget,
    WeightedSamples,
    centered,
    leave_one_out,
    softmax,
    standardized,
)
from dfl.rl.preference import pair_extremes
from dfl.rl.smc import softmax_temperature

RULES = {
    "centered": centered,
    "leave-one-out": leave_one_out,
    "standardized": standardized,
    "standardized-sample": partial(standardized, ddof=1, eps=1e-4),
    "pair-extremes": pair_extremes,
    "pair-extremes-threshold": partial(pair_extremes, threshold=0.0),
    "softmax": softmax,
    "softmax-warm": partial(softmax, temperature=2.0),
}
every = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
REWARDS = [[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]


def tensor(values: list[list[float]]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@every
def test_masked_entries_do_not_count(rule) -> None:
    values, mask = draws(4, 6), torch.tensor([True, True, False, True, False, True]).expand(4, 6)
    spoiled = values.clone().requires_grad_()
    with torch.no_grad():
        spoiled[~mask] = torch.nan
    weights = rule(spoiled, mask)
    assert not weights.requires_grad
    assert torch.equal(weights[~mask], torch.zeros(8, dtype=torch.float64))
    kept = rule(values[mask].reshape(4, 4))
    torch.testing.assert_close(weights[mask].reshape(4, 4), kept, rtol=0, atol=1e-12)


@every
def test_a_group_without_candidates_or_spread_is_finite(rule) -> None:
    nothing = rule(torch.full((2, 3), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert torch.equal(nothing, torch.zeros(2, 3))
    assert rule(torch.full((2, 3), 0.1)).isfinite().all()


@every
def test_order_and_an_added_constant_change_nothing(rule) -> None:
    values = draws(5, 7)
    order = torch.tensor([3, 0, 6, 1, 2, 5, 4])
    weights = rule(values)
    torch.testing.assert_close(rule(values[:, order]), weights[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(rule(values + 3.0), weights, rtol=0, atol=1e-12)


def test_baselines_have_their_exact_values() -> None:
    rewards = tensor(REWARDS)
    half = tensor([[0.5, -0.5, -0.5, 0.5, 0.5, -0.5]])
    torch.testing.assert_close(centered(rewards), half)
    torch.testing.assert_close(leave_one_out(rewards), 1.2 * half)
    torch.testing.assert_close(standardized(rewards, eps=0.0), 2 * half)
    ratio = standardized(rewards, ddof=1, eps=0.0) / standardized(rewards, eps=0.0)
    torch.testing.assert_close(ratio, torch.full_like(ratio, (5 / 6) ** 0.5))
    assert torch.equal(standardized(torch.full((1, 3), 0.1)), torch.zeros(1, 3))
    torch.testing.assert_close(
        standardized(tensor([[0.0, -1.0, -3.0, 0.0]]), eps=0.0),
        tensor([[0.8164965809, 0.0, -1.6329931619, 0.8164965809]]),
    )


@pytest.mark.parametrize("rule", [centered, leave_one_out])
def test_equal_values_are_exactly_zero_whatever_their_mean_rounds_to(rule) -> None:
    for value in (0.1, 0.3, 1 / 3, 0.7):
        for k in range(1, 17):
            values = torch.full((1, k + 2), value)
            values[0, 0] = torch.nan
            mask = torch.arange(k + 2)[None] > 1
            assert not rule(values, mask).any()
            assert not rule(values[:, 1:]).any()
    almost = torch.full((1, 7), 0.1)
    almost[0, 3] = 0.1001
    assert rule(almost).all()


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9))
def test_centered_is_leave_one_out_but_for_a_factor(values: list[float]) -> None:
    v, k = tensor([values]), len(values)
    torch.testing.assert_close(centered(v), leave_one_out(v) * (k - 1) / k, rtol=1e-9, atol=1e-9)
    others = (v.sum() - v) / (k - 1)
    torch.testing.assert_close(leave_one_out(v), v - others, rtol=1e-9, atol=1e-9)


def test_pair_extremes_counts_only_clear_pairs() -> None:
    values = tensor([[0.0, 3.0, -1.0], [1.0, 1.0, 1.0]])
    pairs = pair_extremes(values, threshold=0.0)
    assert pairs.tolist() == [[0.0, 0.5, -0.5], [0.0, 0.0, 0.0]]
    # tanh((3 + 1) / 2) = 0.964
    assert pair_extremes(values, threshold=0.96)[0, 1] == 0.5
    assert pair_extremes(values, threshold=0.97)[0, 1] == 0.0


def test_softmax_has_its_exact_values() -> None:
    values = -tensor([[1.0, 2.0, 4.0]])
    expected = tensor([[0.705384513, 0.259496460, 0.035119027]])
    torch.testing.assert_close(softmax(values), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(softmax(2 * values, temperature=2.0), expected, rtol=0, atol=1e-9)
    # a prior corrects for candidates drawn twice as often
    prior = tensor([[math.log(0.5), math.log(0.5), 0.0]])
    double = softmax(tensor([[0.0, 0.0, 0.0]]), log_prior=prior)
    torch.testing.assert_close(double, tensor([[0.25, 0.25, 0.5]]))
    with pytest.raises(InvalidInputError, match="temperature=0"):
        softmax(values, temperature=0)


def test_a_soft_maximum_goes_from_the_mean_to_the_largest_loss() -> None:
    losses = tensor([[1.0, 2.0, 4.0]])
    assert (softmax(losses, temperature=1e-3) * losses).sum() == pytest.approx(4.0)
    assert (softmax(losses, temperature=1e6) * losses).sum() == pytest.approx(7 / 3, abs=1e-5)
    assert softmax(tensor([[1e6, 0.0]]), temperature=0.1).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("divergence", "temperature"),
    [(0.01, 7.035584), (0.1, 2.119895), (0.2, 1.409499), (0.5, 0.670412), (0.6, 0.505376)],
)
def test_the_dual_has_its_exact_values(divergence: float, temperature: float) -> None:
    found = softmax_temperature(tensor([[1.0, -1.0]]), divergence)
    assert found == pytest.approx(temperature, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("divergence", [1e-6, 0.3, 1.5])
def test_the_dual_meets_its_budget(scale: float, divergence: float) -> None:
    values = scale * draws(5, 8)
    mask = torch.ones(5, 8, dtype=torch.bool)
    mask[0, 5:] = False
    values[0, 5:] = torch.nan
    temperature = softmax_temperature(values, divergence, mask)
    weights = softmax(values, mask, temperature=temperature)
    found = (torch.special.xlogy(weights, weights).sum(1) + mask.sum(1).double().log()).mean()
    assert found == pytest.approx(divergence, rel=1e-4)


def test_the_dual_refuses_a_divergence_that_no_temperature_has() -> None:
    # two of four candidates tie for the best: at most log 2
    values = tensor([[1.0, 1.0, 0.0, -1.0]])
    assert softmax_temperature(values, 0.69) > 0
    with pytest.raises(InvalidInputError, match=r"divergence=0.7, .* below 0.693147"):
        softmax_temperature(values, 0.7)
    with pytest.raises(InvalidInputError, match="divergence=0"):
        softmax_temperature(values, 0)


def test_shapes_are_checked() -> None:
    with pytest.raises(InvalidInputError, match=r"shape \(3,\), expected \(n, k\)"):
        centered(torch.zeros(3))
    with pytest.raises(InvalidInputError, match=r"mask of shape \(1, 2\)"):
        centered(torch.zeros(1, 3), torch.ones(1, 2, dtype=torch.bool))


def test_rows_of_samples() -> None:
    samples = WeightedSamples(draws(4, 2, 3), draws(4, 2), log_prob_old=draws(4, 2))
    part = samples.rows(torch.tensor([2, 0]))
    assert (len(samples), len(part), part.mask) == (4, 2, None)
    assert torch.equal(part.actions, samples.actions[[2, 0]])
    assert torch.equal(part.log_prob_old, samples.log_prob_old[[2, 0]])


def test_a_budget_stops_before_its_limit_and_keeps_phases_apart() -> None:
    calls: list[int] = []
    budget = Budget({"env_steps": 5})
    step = budget.counted(lambda states, scale=1: calls.append(len(states)) or scale, "env_steps")
    assert step([0, 0, 0], scale=2) == 2
    with budget.phase("evaluate"):
        step([0])
    with pytest.raises(BudgetError, match="2 more env_steps would exceed the limit of 5: 4 are"):
        step([0, 0])
    step([0])
    assert calls == [3, 1, 1]
    assert budget.counts == {"train": {"env_steps": 4}, "evaluate": {"env_steps": 1}}
    assert budget.spent("env_steps") == 5
    assert budget.spent("other") == 0
    assert set(budget.seconds) == {"train", "evaluate"}
    with pytest.raises(InvalidInputError, match="limit of -1 env_steps"):
        Budget({"env_steps": -1})


def test_times_of_a_phase_add_up_even_if_what_is_timed_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter([0.0, 1.0, 10.0, 12.0, 20.0, 24.0])
    monkeypatch.setattr("dfl.montecarlo.budget.time.perf_counter", lambda: next(now))
    budget = Budget()
    with budget.timed():
        pass
    with pytest.raises(ZeroDivisionError), budget.timed():
        1 / 0  # noqa: B018
    with budget.phase("evaluate"):
        assert budget.counted(len, "env_steps")([0, 0]) == 2
    assert budget.seconds == {"train": 3.0, "evaluate": 4.0}
