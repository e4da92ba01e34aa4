"""Exact worst cases, exact gradients, and what ascent of them comes to."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfl.adversary import AdaptiveStrength, ConstantStrength, WindowStrength
from dfl.exceptions import InvalidInputError
from dfl.rl.envs import random_model, two_step_model
from dfl.rl.robust import (
    ObservedModel,
    RobustObjective,
    SoftmaxProblem,
    StickyProblem,
    ascend,
    intrinsic_neighborhoods,
    objective_by_name,
    random_intrinsic_models,
    robust_gradient,
    sticky_model,
)

FLOAT = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(seed: int, n_states: int = 4, n_actions: int = 3) -> tuple[ObservedModel, Tensor]:
    """A random model whose last state is terminal, with random neighborhoods; and a policy."""
    draws = seeded(seed)
    tables = random_model(n_states, n_actions, generator=draws)
    near = (torch.rand(n_states, n_states, generator=draws) < 0.5) | torch.eye(n_states).bool()
    policy = torch.randn(n_states, n_actions, generator=draws, dtype=FLOAT).softmax(-1)
    return ObservedModel.of(tables, near, 0.9), policy


seeds = st.integers(0, 2**31)
strengths = st.floats(0.0, 1.0)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, strength=strengths)
def test_the_worst_view_is_that_of_enumeration(seed: int, strength: float) -> None:
    model, policy = drawn(seed)
    every = torch.stack([model.value(policy, view, strength) for view in model.views()])
    assert model.worst_value(policy, strength).item() == pytest.approx(every.min().item(), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_the_worst_view_is_that_of_value_iteration(seed: int) -> None:
    """The adversary's own process: its actions are the states it shows, its rewards negative."""
    model, policy = drawn(seed)
    earned = model.rewards @ policy.T
    moves = torch.einsum("ta,sax->stx", policy, model.transitions)
    values = torch.zeros(4, dtype=FLOAT)
    for _ in range(400):
        losses = earned + model.discount * moves @ values
        values = losses.masked_fill(~model.neighborhoods, math.inf).amin(1)
    found = model.values(policy, model.worst_view(policy))
    torch.testing.assert_close(found, values, rtol=0, atol=1e-9)


def test_values_are_those_of_the_model_in_tables() -> None:
    for tables in (two_step_model(), random_model(5, 3, generator=seeded(1))):
        s, a = tables.rewards.shape
        policy = torch.randn(s, a, generator=seeded(2), dtype=FLOAT).softmax(-1)
        model = ObservedModel.of(tables, torch.eye(s).bool(), 0.9)
        torch.testing.assert_close(model.values(policy), tables.policy_values(policy, 0.9))
        best = model.optimal_action_values().amax(-1)
        torch.testing.assert_close(best, tables.optimal_values(0.9), rtol=0, atol=1e-9)
        # nothing but the state itself can be shown
        assert torch.equal(model.worst_view(policy), torch.arange(s))
        assert torch.equal(model.divergence_view(policy), torch.arange(s))


@settings(max_examples=15, deadline=None)
@given(seed=seeds, strength=strengths)
def test_gradients_are_those_of_autograd(seed: int, strength: float) -> None:
    model, policy = drawn(seed)
    view = model.worst_view(policy, strength)
    free = policy.clone().requires_grad_()
    model.value(free, view, strength).backward()
    torch.testing.assert_close(model.gradient(policy, view, strength), free.grad)
    logits = policy.log()[None].requires_grad_()
    problem = SoftmaxProblem(model)
    problem.value(logits, view[None], strength).sum().backward()
    torch.testing.assert_close(problem.gradient(logits.detach(), view[None], strength), logits.grad)


@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_in_intrinsic_neighborhoods_the_best_policy_is_robust(seed: int) -> None:
    models = random_intrinsic_models(3, generator=seeded(seed))
    worth = models.optimal_action_values()
    best = worth.amax(-1)[:, 0]
    greedy = torch.nn.functional.one_hot(worth.argmax(-1), 2).to(FLOAT)
    torch.testing.assert_close(models.worst_value(greedy), best)
    # and of all policies that do not mix, none does better under its worst view
    for number in range(16):
        actions = torch.tensor([number >> i & 1 for i in range(4)])
        policy = torch.nn.functional.one_hot(actions, 2).to(FLOAT).expand(3, 4, 2)
        assert (models.worst_value(policy) <= best + 1e-9).all()


def test_where_best_actions_are_hidden_the_best_robust_value_is_smaller() -> None:
    # two states that look alike, with opposite best actions worth 1 and -1; each comes first as
    # often as the other
    rewards = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=FLOAT)
    alike = torch.ones(2, 2, dtype=torch.bool)
    first = torch.full((2,), 0.5, dtype=FLOAT)
    model = ObservedModel(torch.zeros(2, 2, 2, dtype=FLOAT), rewards, first, alike, 0.9)
    best = (model.optimal_action_values().amax(-1) * first).sum()
    policies = torch.eye(2, dtype=FLOAT)[torch.cartesian_prod(*[torch.arange(2)] * 2)]
    values = model.worst_value(policies)
    assert best == 1
    assert values.max() == 0  # the same action in both: one of the two is always wrong
    intrinsic = intrinsic_neighborhoods(model.optimal_action_values(), alike)
    assert torch.equal(intrinsic, torch.eye(2).bool())


def random_starts(n: int) -> Tensor:
    return torch.rand((n, 2), generator=seeded(), dtype=FLOAT)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, strength=strengths)
def test_the_sticky_process_in_closed_form_is_that_in_tables(seed: int, strength: float) -> None:
    problem, model = StickyProblem(), sticky_model()
    p = torch.rand((6, 2), generator=seeded(seed), dtype=FLOAT)
    policy = problem.policy(p)
    torch.testing.assert_close(problem.value(p), model.value(policy))
    view = problem.worst_view(p, strength)
    worst = problem.value(p, view, strength)
    torch.testing.assert_close(worst, model.worst_value(policy, strength))
    torch.testing.assert_close(worst, model.value(policy, view, strength))
    assert torch.equal(problem.divergence_view(p), model.divergence_view(policy))
    slope = model.gradient(policy, view, strength)
    torch.testing.assert_close(problem.gradient(p, view, strength), slope[..., 0] - slope[..., 1])


def test_policies_that_do_not_look_stick_below_a_threshold() -> None:
    # V = 2 p^2 - 1.3 p + 0.3 on the tie is stationary at p = 0.325
    problem = StickyProblem()
    tie = torch.full((1, 2), 0.325, dtype=FLOAT)
    view = torch.zeros((1, 2), dtype=torch.long)
    assert problem.gradient(tie, view).sum().item() == pytest.approx(0, abs=1e-12)
    start = torch.tensor([[p, p] for p in (0.3, 0.32, 0.33, 0.35)], dtype=FLOAT)
    found = problem.value(ascend(problem, start, objective_by_name("arpo"), steps=1500, rate=0.02))
    expected = torch.tensor([0.27375, 0.27375, 0.9468, 0.9468], dtype=FLOAT)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


TABLE = {
    "standard": (objective_by_name("standard"), 0.947, 0.0),
    "arpo": (objective_by_name("arpo"), 0.816, 0.194),
    "arpo, guidance 0.5": (objective_by_name("arpo+guidance"), 0.816, 0.194),
    "arpo, guidance 1.5": (RobustObjective("value", kappa=1.5), 0.816, 0.194),
    "barpo": (objective_by_name("barpo"), 0.947, 0.0),
    "barpo, guidance 0.25": (RobustObjective("kl", kappa=0.25), 0.816, 0.194),
    "barpo, guidance 1": (RobustObjective("kl", kappa=1.0), 0.816, 0.194),
    "barpo, guidance 3": (RobustObjective("kl", kappa=3.0), 0.816, 0.194),
    "strength 0.3": (RobustObjective("value", ConstantStrength(0.3)), 0.841, 0.158),
    "ramp": (objective_by_name("barpo-ramp"), 0.947, 0.0),
    "earlier ramp": (RobustObjective("value", WindowStrength(0.1, 0.7)), 0.916, 0.045),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_the_sticky_process(name: str) -> None:
    objective, value, stuck = TABLE[name]
    problem = StickyProblem()
    found = ascend(problem, random_starts(2000), objective, steps=1500, rate=0.02)
    natural = problem.value(found)
    worst = problem.value(found, problem.worst_view(found))
    assert natural.mean().item() == pytest.approx(value, abs=0.02)
    assert worst.mean().item() == pytest.approx(value, abs=0.02)
    assert (natural < 0.6).double().mean().item() == pytest.approx(stuck, abs=0.02)


def isa(n: int = 6) -> tuple[SoftmaxProblem, Tensor]:
    problem = SoftmaxProblem(random_intrinsic_models(n, generator=seeded(3)))
    return problem, torch.randn((n, 4, 2), generator=seeded(4), dtype=FLOAT)


@pytest.mark.parametrize("adversary", ["kl", "value"])
def test_strength_zero_is_the_standard_gradient_bit_for_bit(adversary: str) -> None:
    for problem, start in (isa(), (StickyProblem(), random_starts(50))):
        standard, _ = robust_gradient(problem, start, objective_by_name("standard"))
        weak, view = robust_gradient(problem, start, RobustObjective(adversary), strength=0.0)
        assert torch.equal(weak, standard)
        assert view is None  # the adversary is not asked
        off = RobustObjective(adversary, ConstantStrength(0.0))
        for steps in (1, 30):
            run = [
                ascend(problem, start, o, steps=steps, rate=0.1)
                for o in (off, objective_by_name("standard"))
            ]
            assert torch.equal(*run)


def test_the_whole_value_adversary_is_the_worst_case_gradient() -> None:
    """Its gradient is that of the worst value itself, by autograd and by Danskin's theorem."""
    problem, start = isa()
    found, _ = robust_gradient(problem, start, objective_by_name("arpo"))
    bilevel = RobustObjective("value", WindowStrength(0.3, 0.8))
    assert torch.equal(robust_gradient(problem, start, bilevel, strength=1.0)[0], found)
    logits = start.clone().requires_grad_()
    worst = problem.model.worst_view(problem.policy(start))
    problem.value(logits, worst).sum().backward()
    torch.testing.assert_close(found, logits.grad)
    # finite differences of min over views
    step = 1e-6 * torch.randn(start.shape, generator=seeded(5), dtype=FLOAT)
    ends = [problem.model.worst_value(problem.policy(start + s * step)) for s in (1, -1)]
    torch.testing.assert_close(
        (ends[0] - ends[1]) / 2, (found * step).sum((1, 2)), rtol=1e-4, atol=1e-11
    )


def test_guidance_adds_the_standard_gradient_and_wins_in_the_limit() -> None:
    problem, start = isa()
    standard, _ = robust_gradient(problem, start, objective_by_name("standard"))
    alone, _ = robust_gradient(problem, start, objective_by_name("barpo"))
    both, _ = robust_gradient(problem, start, RobustObjective("kl", kappa=2.0))
    torch.testing.assert_close(both, alone + 2 * standard)
    much, _ = robust_gradient(problem, start, RobustObjective("kl", kappa=1e9))
    units = [torch.nn.functional.normalize(x.flatten(1), dim=1) for x in (much, standard)]
    torch.testing.assert_close(*units, rtol=0, atol=1e-7)


def test_random_processes_separate_the_methods() -> None:
    """Worst-case ascent is excellent here, and the view that diverges most is not the worst."""
    n = 8
    models = random_intrinsic_models(n, generator=seeded(0))
    problem = SoftmaxProblem(models)
    start = torch.randn((n, 4, 2), generator=seeded(1), dtype=FLOAT)
    best = models.optimal_action_values().amax(-1)[:, 0]
    found = {}
    for name in ("standard", "arpo", "barpo", "barpo-ramp"):
        policy = problem.policy(
            ascend(problem, start, objective_by_name(name), steps=400, rate=0.3)
        )
        found[name] = (best - models.worst_value(policy)).mean().item()
    assert found["arpo"] < 0.05
    assert found["barpo-ramp"] < 0.05
    assert found["standard"] > 5 * found["arpo"]
    assert found["barpo"] > 5 * found["arpo"]


@pytest.mark.parametrize("kind", ["deterministic", "dirichlet"])
def test_random_processes_are_what_they_are_said_to_be(kind: str) -> None:
    models = random_intrinsic_models(20, transitions=kind, generator=seeded())
    torch.testing.assert_close(models.transitions.sum(-1), torch.ones(20, 4, 2, dtype=FLOAT))
    assert ((models.transitions == 1).any(-1).all()) == (kind == "deterministic")
    worth = models.optimal_action_values()
    assert ((worth[..., 0] - worth[..., 1]).abs() >= 0.1).all()
    assert torch.equal(models.neighborhoods, intrinsic_neighborhoods(worth))
    again = random_intrinsic_models(20, transitions=kind, generator=seeded())
    assert torch.equal(models.rewards, again.rewards)


def test_an_adaptive_strength_is_told_how_ascent_does() -> None:
    told = []
    objective = RobustObjective("value", AdaptiveStrength(step=0.1))
    ascend(
        StickyProblem(), random_starts(20), objective, steps=600, rate=0.02,
        callback=lambda step, strength, parameters: told.append(strength),
    )  # fmt: skip
    assert told[0] == told[20] == 0
    assert max(told) == 1
    assert objective.strength.at(0) == 0  # the objective itself is as it was


@pytest.mark.parametrize(
    "make",
    [
        lambda: RobustObjective("surrogate"),
        lambda: objective_by_name("spo"),
        lambda: RobustObjective(kappa=-1.0),
        lambda: ascend(
            StickyProblem(), random_starts(1), objective_by_name("arpo"), steps=0, rate=0.1
        ),
        lambda: random_intrinsic_models(0, generator=seeded()),
        lambda: random_intrinsic_models(1, gap=100.0, generator=seeded()),
        lambda: next(random_intrinsic_models(2, generator=seeded()).views()),
        lambda: ObservedModel(
            torch.zeros(2, 2, 2), torch.zeros(2, 2), torch.ones(2), torch.zeros(2, 2).bool(), 0.9
        ),
        lambda: ObservedModel(
            torch.zeros(2, 2, 3), torch.zeros(2, 2), torch.ones(2), torch.eye(2).bool(), 0.9
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        make()
