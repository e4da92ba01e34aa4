"""The search by particles against its exact limit, and in models made to catch mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs import (
    BatchedModel,
    RubiksCube,
    SequentialKnapsack,
    TabularModel,
    play,
    random_model,
    repeat_rows,
    two_step_model,
)
from dfl.rl.smc import (
    SearchResult,
    effective_sample_size,
    multinomial,
    search_limit,
    smc_search,
    softmax_temperature,
    systematic,
    uniform_network,
)
from dfl.rl.smc.network import Network
from dfl_solvers import Knapsack


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table_network(policy: Tensor, values: Tensor) -> Network:
    """Return the network that looks up a policy (S, A) and values (S,) by the indicator seen."""

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        place = observations.argmax(1)
        return policy.log()[place], values[place]

    return network


class Recorder:
    """A model that notes down what is done to it."""

    def __init__(self, model: BatchedModel) -> None:
        self.model = model
        self.n_actions, self.action_dim = model.n_actions, model.action_dim
        self.steps: list[tuple[Mapping[str, Tensor], Tensor, Mapping[str, Tensor], Tensor]] = []

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return self.model.reset(n, generator)

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return self.model.observe(state)

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        after, rewards, terminated, truncated = self.model.step(state, actions, generator)
        self.steps.append((state, actions, after, rewards))
        return after, rewards, terminated, truncated


class OneLegalAction:
    """After the first step only the action that equals the number of the state is legal."""

    n_actions, action_dim = 5, None

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        none = torch.full((n,), -1)
        return {"number": none, "root": none, "noise": torch.zeros(n)}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([state["number"].float(), state["noise"]], 1)

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        n = len(actions)
        root = torch.where(state["root"] < 0, actions, state["root"])
        number = torch.randint(5, (n,), generator=generator)
        noise = torch.randn(n, generator=generator)
        never = torch.zeros(n, dtype=torch.bool)
        return {"number": number, "root": root, "noise": noise}, 2 * noise, never, never

    @staticmethod
    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        numbers = observations[:, :1]
        legal = (numbers == torch.arange(5)) | (numbers < 0)
        return torch.zeros(legal.shape).masked_fill(~legal, -torch.inf), 0.3 * observations[:, 1]


class EndsEarly:
    """Action 0 earns 1 and ends the episode, action 1 earns nothing; then comes rubbish."""

    n_actions, action_dim = 2, None

    def __init__(self, terminates: bool, rubbish: float) -> None:
        self.terminates = terminates
        self.rubbish = rubbish

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"over": torch.zeros(n, dtype=torch.bool)}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return torch.where(state["over"], self.rubbish, 0.0)[:, None]

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        rewards = torch.where(state["over"], self.rubbish, (actions == 0).float())
        ends = (actions == 0) | state["over"]
        never = torch.zeros_like(ends)
        over = {"over": state["over"] | ends}
        # states that are over are said to go on: the search must know by itself
        ends = ends & ~state["over"]
        return (over, rewards, ends, never) if self.terminates else (over, rewards, never, ends)


def ratio_on(result: SearchResult, action: int) -> Tensor:
    return (result.samples.weights * (result.samples.actions == action)).sum(1)


TWO_STEP = two_step_model()
UNIFORM = torch.full((4, 2), 0.5, dtype=torch.float64)


def two_step_search(
    values: tuple[float, ...], n_particles: int = 64, n: int = 4000, depth: int = 2, **rules: object
) -> Tensor:
    """Return the weight of the right side in n searches."""
    network = table_network(UNIFORM, torch.tensor(values, dtype=torch.float64))
    generator = seeded(7)
    state = TWO_STEP.reset(n, generator)
    result = smc_search(
        TWO_STEP,
        network,
        state,
        temperature=1.0,
        n_particles=n_particles,
        depth=depth,
        generator=generator,
        **rules,  # type: ignore[arg-type]
    )
    assert torch.allclose(result.samples.weights.sum(1), torch.ones(n, dtype=torch.float64))
    return ratio_on(result, 1)


VALUES = (0.3, 0.1, 0.6, 0.0)


def test_two_steps_tend_to_the_true_target_and_one_step_to_the_exact_advantage() -> None:
    two = two_step_search(VALUES)
    assert two.mean().item() == pytest.approx(0.650245, abs=0.01)
    resampled = two_step_search(VALUES, period=1)
    assert resampled.mean().item() == pytest.approx(0.650245, abs=0.01)
    exact = (0.25, 0.0, 0.5, 0.0)
    one = two_step_search(exact, depth=1, n_particles=256, n=1000)
    assert one.mean().item() == pytest.approx(0.622459, abs=0.005)
    # they can be told apart: many particles, with exact values too
    many = two_step_search(exact, n_particles=1024, n=1000)
    assert many.mean().item() == pytest.approx(0.650245, abs=0.003)


def test_spread_falls_with_particles_and_grows_with_resampling() -> None:
    kept = two_step_search(VALUES).std().item()
    assert kept == pytest.approx(0.060, abs=0.004)
    assert two_step_search(VALUES, n_particles=16).std().item() == pytest.approx(0.123, abs=0.006)
    assert two_step_search(VALUES, n_particles=256).std().item() == pytest.approx(0.0306, abs=0.002)
    assert two_step_search(VALUES, period=1).std().item() == pytest.approx(0.084, abs=0.005)
    last = two_step_search(VALUES, resample_last=True)
    assert last.std().item() == pytest.approx(0.084, abs=0.005)
    # values in between do not matter, unless particles are resampled by them
    other = (0.3, -0.4, 0.9, 0.0)
    assert torch.allclose(two_step_search(other), two_step_search(VALUES))
    assert two_step_search(other, period=1).std().item() == pytest.approx(0.090, abs=0.005)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    "rules", [{}, {"period": 1}, {"least_effective": 0.7}, {"resample": systematic, "period": 2}]
)
def test_search_in_random_models_tends_to_its_limit(
    deterministic: bool, rules: dict[str, object]
) -> None:
    model = random_model(5, 3, generator=seeded(11), deterministic=deterministic)
    weights = torch.rand(5, 3, generator=seeded(1), dtype=torch.float64) + 0.2
    policy = weights / weights.sum(1, keepdim=True)
    values = torch.tensor([0.5, -0.5, 1.0, 0.0, 3.0], dtype=torch.float64)
    searches, k = 200, 1000
    state = repeat_rows({"place": torch.arange(4), "steps": torch.zeros(4).long()}, searches)
    result = smc_search(
        model,
        table_network(policy, values),
        state,
        temperature=1.5,
        n_particles=k,
        depth=3,
        generator=seeded(2),
        **rules,  # type: ignore[arg-type]
    )
    limit = search_limit(model, policy, values, 3, 1.5)
    shallow = search_limit(model, policy, values, 1, 1.5)
    told_apart = 0
    for action in range(3):
        found = ratio_on(result, action).reshape(4, searches)
        error = 5 * found.std(1) / math.sqrt(searches) + 3 / k
        assert ((found.mean(1) - limit[:4, action]).abs() < error).all()
        told_apart += int(((found.mean(1) - shallow[:4, action]).abs() > 2 * error).sum())
    assert told_apart >= 6  # of 12: the error allowed is small enough to tell depths apart


def test_advantages_telescope_for_particles_that_are_never_resampled() -> None:
    model = Recorder(random_model(6, 3, generator=seeded(4)))
    values = torch.randn(6, generator=seeded(5), dtype=torch.float64)
    policy = torch.full((6, 3), 1 / 3, dtype=torch.float64)
    state = model.reset(20, seeded(6))
    result = smc_search(
        model,
        table_network(policy, values),
        state,
        temperature=0.5,
        n_particles=30,
        depth=4,
        generator=seeded(7),
    )
    total = torch.zeros(600, dtype=torch.float64)
    over = torch.zeros(600, dtype=torch.bool)
    ended_early = 0
    for before, _, after, rewards in model.steps:
        assert (before["place"][over] == 5).all(), "an ended particle was led on"
        total += torch.where(over, 0.0, rewards)
        place = torch.where(over, before["place"], after["place"])
        over = over | (place == 5)
        ended_early += int(over.sum())
    assert ended_early > 0
    expected = (
        total + torch.where(over, 0.0, values[place]) - values[state["place"]].repeat_interleave(30)
    )
    assert result.advantages.flatten().tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    weights = (expected.reshape(20, 30) / 0.5).softmax(1)
    assert torch.allclose(result.samples.weights, weights, atol=1e-12)
    assert torch.allclose(result.effective_sizes[:, -1], effective_sample_size(weights) / 30)
    # the dual makes of them weights that spend a budget
    temperature = softmax_temperature(result.advantages, 0.3)
    again = smc_search(
        model,
        table_network(policy, values),
        state,
        temperature=temperature,
        n_particles=30,
        depth=4,
        generator=seeded(7),
    ).samples.weights
    spent = (torch.xlogy(again, again).sum(1) + math.log(30)).mean()
    assert spent.item() == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize(
    ("temperature", "k", "expected"),
    [(1e-3, 16, 0.7515), (1e-3, 64, 0.9962), (0.25, 16, 0.63595), (0.25, 64, 0.80432)],
)
def test_the_chance_to_act_on_the_one_hit(temperature: float, k: int, expected: float) -> None:
    transitions = torch.zeros(2, 12, 2, dtype=torch.float64)
    transitions[:, :, 1] = 1
    rewards = torch.zeros(2, 12, dtype=torch.float64)
    rewards[0, 7] = 1
    ends = torch.tensor([False, True])
    model = TabularModel(transitions, rewards, ends, (~ends).double())
    n = 20_000
    state = model.reset(n, seeded())
    result = smc_search(
        model,
        uniform_network(model),
        state,
        temperature=temperature,
        n_particles=k,
        depth=1,
        generator=seeded(1),
    )
    assert ratio_on(result, 7).mean().item() == pytest.approx(expected, abs=0.012)
    acted = (result.actions == 7).double().mean().item()
    assert acted == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / n))


@pytest.mark.parametrize(
    "rules",
    [
        {"period": 1},
        {"period": 2},
        {"least_effective": 0.6},
        {"least_effective": 1.0, "resample": systematic},
    ],
)
def test_actions_and_roots_stay_with_their_particles_when_these_are_resampled(
    rules: dict[str, object],
) -> None:
    model = Recorder(OneLegalAction())
    state = model.reset(40, seeded())
    result = smc_search(
        model,
        OneLegalAction.network,
        state,
        temperature=1.0,
        n_particles=20,
        depth=5,
        generator=seeded(1),
        **rules,  # type: ignore[arg-type]
    )
    assert result.resampled[:, :-1].any()
    assert not result.resampled[:, -1].any()
    moved = 0
    for (before, actions, _, _), (_, _, earlier, _) in zip(
        model.steps[1:], model.steps[:-1], strict=True
    ):
        assert torch.equal(actions, before["number"])
        moved += int((before["noise"] != earlier["noise"]).sum())
    assert moved > 0
    assert torch.equal(result.samples.actions.flatten(), model.steps[-1][2]["root"])


def test_resampling_by_effective_size_is_decided_for_each_state_alone() -> None:
    model = OneLegalAction()
    state = model.reset(200, seeded())

    def search(least_effective: float | None) -> SearchResult:
        return smc_search(
            model,
            model.network,
            state,
            temperature=2.0,
            n_particles=10,
            depth=3,
            least_effective=least_effective,
            generator=seeded(3),
        )

    result = search(0.4)
    inner = result.resampled[:, :-1]
    assert torch.equal(inner, result.effective_sizes[:, :-1] < 0.4)
    never = ~inner.any(1)
    assert 0.05 < never.double().mean() < 0.95
    # where it was never due, the particles are the first ones, in their order
    same = (result.samples.actions == search(None).samples.actions).all(1)
    assert same[never].all()
    assert not same[~never].all()


def test_advantages_are_those_up_to_the_first_resampling() -> None:
    model = OneLegalAction()
    state = model.reset(60, seeded())

    def search(depth: int, **rules: object) -> SearchResult:
        arguments = {"temperature": 1.0, "n_particles": 10, "generator": seeded(5), **rules}
        return smc_search(model, model.network, state, depth=depth, **arguments)  # type: ignore[arg-type]

    # up to there the same numbers are drawn
    first, second = search(1).advantages, search(2).advantages
    assert torch.equal(search(4, period=2).advantages, second)
    assert torch.equal(search(2, resample_last=True).advantages, second)
    some = search(2, least_effective=0.4)
    due = some.resampled[:, 0]
    assert 0 < due.double().mean() < 1
    assert torch.equal(some.advantages[due], first[due])
    assert not torch.isclose(some.advantages[~due], first[~due]).any()


@pytest.mark.parametrize("rubbish", [100.0, float("nan"), float("inf")])
@pytest.mark.parametrize("terminates", [True, False])
def test_after_the_end_nothing_is_earned_and_only_a_limit_of_time_leaves_a_value(
    terminates: bool, rubbish: float
) -> None:
    model = EndsEarly(terminates, rubbish)

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        # rubbish in, rubbish out: logits and values of states after the end may be anything
        return observations.expand(-1, 2), 5 + 0 * observations[:, 0].nan_to_num(0.0, 0.0)

    result = smc_search(
        model,
        network,
        model.reset(50, seeded()),
        temperature=2.0,
        n_particles=16,
        depth=3,
        generator=seeded(1),
    )
    # the value of the start is 5, and so is what is left at a limit of time
    ended = -4.0 if terminates else 1.0
    assert set(result.advantages.flatten().tolist()) == {ended, 0.0}
    assert (result.advantages[result.samples.actions == 0] == ended).all()
    assert torch.allclose(result.samples.weights, (result.advantages / 2).softmax(1))
    share = (result.advantages == 0).float().mean(1)
    assert torch.allclose(result.alive[:, -1], share)
    assert share.mean().item() == pytest.approx(1 / 8, abs=0.04)


def test_ended_particles_are_resampled_like_others() -> None:
    model = EndsEarly(True, float("nan"))
    result = smc_search(
        model,
        lambda observations: (observations.expand(-1, 2), torch.zeros(len(observations))),
        model.reset(50, seeded()),
        temperature=0.02,
        n_particles=16,
        depth=3,
        period=1,
        generator=seeded(1),
    )
    # all that ended at once earned more by far: nobody else is left, and nothing changes after
    assert (result.samples.actions == 0).all()
    assert (result.samples.weights == 1 / 16).all()
    assert (result.alive[:, 1:] == 0).all()
    assert set(result.advantages.flatten().tolist()) == {0.0, 1.0}


def test_equal_weights_after_a_last_resampling_and_effective_sizes_before_it() -> None:
    model = random_model(6, 3, generator=seeded(4))
    result = smc_search(
        model,
        uniform_network(model),
        model.reset(10, seeded()),
        temperature=0.5,
        n_particles=8,
        depth=2,
        resample_last=True,
        generator=seeded(),
    )
    assert (result.samples.weights == 1 / 8).all()
    assert result.resampled.tolist() == [[False, True]] * 10
    assert (result.effective_sizes[:, -1] < 1).all()


def test_effective_sizes_and_counts_of_resampling() -> None:
    rows = torch.tensor([[0.25] * 4, [0, 1, 0, 0], [0.5, 0.5, 0, 0]])
    assert effective_sample_size(rows).tolist() == [4, 1, 2]
    weights = torch.rand(5, 12, generator=seeded(), dtype=torch.float64)
    weights[:, 3] = 0
    weights[0, -1] = 0
    weights /= weights.sum(1, keepdim=True)
    many = weights.repeat(4000, 1)
    for draw in (multinomial, systematic):
        counts = torch.nn.functional.one_hot(draw(many, seeded(1)), 12).sum(1).double()
        assert (counts[:, 3] == 0).all()
        assert (counts.sum(1) == 12).all()
        mean = counts.reshape(4000, 5, 12).mean(0)
        assert (mean - 12 * weights).abs().max() < 0.1
        if draw is systematic:
            assert ((counts - 12 * many).abs() < 1 + 1e-9).all()
    single = torch.zeros(3, 7).index_fill(1, torch.tensor([4]), 1.0)
    assert (systematic(single, seeded()) == 4).all()


def test_a_search_is_the_same_for_the_same_seed_and_counts_what_it_spends() -> None:
    cube = RubiksCube(2, 2)
    state = cube.reset(5, seeded())
    torch.manual_seed(0)
    untouched = torch.random.get_rng_state()
    budget = Budget(limits={"model_steps": 2 * 5 * 16 * 4})

    def search(seed: int, limit: Budget | None = None) -> SearchResult:
        return smc_search(
            cube,
            uniform_network(cube),
            state,
            temperature=0.1,
            least_effective=0.5,
            generator=seeded(seed),
            budget=limit,
        )

    one, two, other = search(1, budget), search(1, budget), search(2)
    assert budget.counts == {"train": {"model_steps": 640}}
    assert torch.equal(one.samples.actions, two.samples.actions)
    assert torch.equal(one.samples.weights, two.samples.weights)
    assert torch.equal(one.actions, two.actions)
    assert not torch.equal(one.samples.actions, other.samples.actions)
    assert torch.equal(torch.random.get_rng_state(), untouched)
    with pytest.raises(BudgetError, match="model_steps"):
        search(3, budget)


def test_a_network_is_called_without_gradient() -> None:
    model = random_model(6, 3, generator=seeded())
    linear = torch.nn.Linear(6, 4).double()

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        out = linear(observations)
        return out[:, :3], out[:, 3]

    result = smc_search(
        model, network, model.reset(4, seeded()), temperature=1.0, generator=seeded()
    )
    assert not result.samples.weights.requires_grad
    assert not result.advantages.requires_grad
    assert result.samples.weights.dtype == torch.float64


def test_wrong_arguments_are_refused_by_name() -> None:
    state = TWO_STEP.reset(3, seeded())

    def search(network: Network = uniform_network(TWO_STEP), **rules: object) -> None:  # noqa: B008
        arguments = {"temperature": 1.0, "generator": seeded(), **rules}
        smc_search(TWO_STEP, network, state, **arguments)  # type: ignore[arg-type]

    wrong: list[tuple[dict[str, object], str]] = [
        ({"temperature": 0.0}, "temperature=0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"n_particles": 0}, "n_particles=0"),
        ({"depth": 0}, "depth=0"),
        ({"period": 0}, "period=0"),
        ({"least_effective": 1.5}, "least_effective=1.5"),
        ({"least_effective": 0.5, "period": 2}, "expected one of them"),
        ({"period": 1, "resample": lambda weights, generator: torch.zeros(2)}, "resample returned"),
    ]
    for rules, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            search(**rules)
    for bad in (float("nan"), -float("inf")):
        logits = torch.zeros(3, 2).index_fill(0, torch.tensor([1]), bad)
        with pytest.raises(InvalidInputError, match="below state 1"):
            search(lambda observations: (logits, torch.zeros(3)))  # noqa: B023
    with pytest.raises(InvalidInputError, match="in step 0 from state 0"):
        search(
            lambda observations: (
                torch.zeros(len(observations), 2),
                torch.full((len(observations),), torch.nan),
            )
        )
    with pytest.raises(InvalidInputError, match=r"expected \(3, 2\) and \(3,\)"):
        search(lambda observations: (torch.zeros(3, 2), torch.zeros(3, 1)))


def solve_rate(scrambles: int, n_particles: int, depth: int, episodes: int = 1024) -> float:
    cube = RubiksCube(3, scrambles)
    network = uniform_network(cube)

    def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        return smc_search(
            cube,
            network,
            state,
            temperature=0.1,
            n_particles=n_particles,
            depth=depth,
            generator=generator,
        ).actions

    returns = play(cube, decide, episodes, 4, generator=seeded(scrambles))
    return returns.mean().item()


def test_search_without_learning_solves_more_cubes_with_more_particles() -> None:
    # what independent code gave on 3072 episodes: prior, 16 and 64 particles
    known = {1: (0.066, 0.655, 0.948), 2: (0.006, 0.111, 0.314)}
    for scrambles, (prior, few, many) in known.items():
        # a single particle acts as the prior does
        rates = [solve_rate(scrambles, n_particles, 4) for n_particles in (1, 16, 64)]
        for rate, expected in zip(rates, (prior, few, many), strict=True):
            error = math.sqrt(expected * (1 - expected) * (1 / 1024 + 1 / 3072))
            assert rate == pytest.approx(expected, abs=4 * error)
        assert rates[0] < rates[1] < rates[2]
        assert rates[2] - rates[0] >= 0.25


def test_search_fills_knapsacks_better_than_chance_and_never_better_than_the_oracle() -> None:
    weights = 1 + 4 * torch.rand(1, 8, generator=seeded(1), dtype=torch.float64)
    values = 10 * torch.rand(100, 8, generator=seeded(2), dtype=torch.float64)
    oracle = Knapsack(weights.numpy(), [0.5 * weights.sum().item()])
    model = SequentialKnapsack(oracle, values.numpy())
    first: list[Mapping[str, Tensor]] = []

    def decide(k: int) -> float:
        def act(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
            if (state["item"] == 0).all():
                first.append(state)
            return smc_search(
                model,
                uniform_network(model),
                state,
                temperature=0.5,
                n_particles=k,
                depth=8,
                generator=generator,
            ).actions

        returns = play(model, act, 300, 8, generator=seeded(3))
        optimal = model.optimal_returns(first[-1])
        assert (returns <= optimal + 1e-9).all()
        return ((optimal - returns).sum() / optimal.sum()).item()

    regrets = [decide(k) for k in (1, 16, 256)]
    assert regrets[0] > regrets[1] > regrets[2]
    assert regrets[2] < 0.1 * regrets[0]
