"""What is learned from searches: targets, losses and prices against their closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.envs import RubiksCube, random_model
from dfl.rl.smc import (
    Learner,
    SMCRollouts,
    Steps,
    generalized_advantages,
    smc_search,
    softmax_temperature,
)
from dfl.rl.smc.categorical import Categorical
from dfl.rl.smc.law import law_of
from dfl.rl.smc.replay import Replay
from dfl.rl.smc.tanh_normal import TanhNormal
from dfl.training import train


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_advantages_of_a_terminated_and_of_a_truncated_episode() -> None:
    rewards, values = torch.tensor([[1.0, 0, 2]]), torch.tensor([[1.0, 2, 3]])
    after = torch.tensor([[2.0, 3, 4]])
    last, never = torch.tensor([[False, False, True]]), torch.zeros(1, 3, dtype=torch.bool)

    def found(terminated: Tensor, truncated: Tensor) -> list[float]:
        return generalized_advantages(
            rewards, values, after, terminated, truncated, discount=0.9, trace=0.5
        )[0].tolist()

    terminates = found(last, never)
    assert terminates == pytest.approx([1.9125, 0.25, -1])
    assert [a + v for a, v in zip(terminates, (1, 2, 3), strict=True)] == pytest.approx(
        [2.9125, 2.25, 2]
    )
    assert found(never, last) == pytest.approx([2.6415, 1.87, 2.6])


def test_advantages_are_sums_within_each_episode() -> None:
    g, d, trace = seeded(), 0.9, 0.7
    rewards, values, after = torch.randn(3, 20, 8, generator=g, dtype=torch.float64)
    terminated = torch.rand(20, 8, generator=g) < 0.2
    truncated = ~terminated & (torch.rand(20, 8, generator=g) < 0.2)
    found = generalized_advantages(
        rewards, values, after, terminated, truncated, discount=d, trace=trace
    )
    ends = 0
    for i, t in itertools.product(range(20), range(8)):
        total = 0.0
        for j in range(t, 8):
            worth = 0.0 if terminated[i, j] else float(after[i, j])
            total += (d * trace) ** (j - t) * float(rewards[i, j] + d * worth - values[i, j])
            if terminated[i, j] or truncated[i, j]:
                ends += 1
                break
        assert found[i, t].item() == pytest.approx(total, abs=1e-12)
    assert ends > 50


class Line(nn.Module):
    """Logits and values that are linear in what is seen."""

    def __init__(self, n_inputs: int, size: int) -> None:
        super().__init__()
        g = seeded(9)
        self.weight = nn.Parameter(
            torch.randn(n_inputs, size + 1, generator=g, dtype=torch.float64)
        )

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        output = observations.to(self.weight) @ self.weight
        return output[:, :-1], output[:, -1]


THREE = Categorical(3)


def learner(law=THREE, n_inputs: int = 4, **rules) -> Learner:
    settings = {
        "temperature": 1.0,
        "divergence": 0.1,
        "policy_divergence": (0.01,) * len(law.budgets),
        "target_rate": 0.1,
    }
    return Learner(Line(n_inputs, law.size), law, **{**settings, **rules})


def steps(n: int = 6, k: int = 5, law=THREE, seed: int = 0) -> Steps:
    g = seeded(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return Steps(normal(n, 4), 3 + normal(n), normal(n, k), normal(n, law.size))


@pytest.mark.parametrize("law", [Categorical(3), TanhNormal(2)])
def test_the_loss_is_the_sum_of_its_parts_and_each_part_moves_what_it_should(law) -> None:
    model, given = learner(law), steps(law=law)
    with torch.no_grad():
        model.log_temperature.fill_(math.log(0.7))
        model.log_multipliers.copy_(torch.linspace(-0.5, 0.5, len(law.budgets)))
    raw = law.draw(given.reference, 5, seeded(1))
    weights = torch.rand(6, 5, generator=seeded(2), dtype=torch.float64)
    samples = WeightedSamples(raw, weights / weights.sum(1, keepdim=True))
    loss = model.loss()(model(given), samples)

    parameters, values = model.network(given.observations)
    likelihood = -(samples.weights * law.log_prob(parameters, given.reference, raw)).sum(1).mean()
    apart = law.divergences(given.reference, parameters)
    multipliers = model.log_multipliers.exp()
    paid = (multipliers.detach() * apart.mean(0)).sum()
    price = (multipliers * (0.01 - apart.detach().mean(0))).sum()
    eta = model.log_temperature.exp()
    dual = eta * 0.1 + eta * (torch.exp(given.advantages / eta).mean(1).log()).mean()
    spread = given.returns.var(correction=0) + 1e-4 * (given.returns**2).mean()
    critic = 0.5 * ((values - given.returns) ** 2).mean() / spread
    assert loss.item() == pytest.approx((likelihood + paid + price + dual + critic).item())

    loss.backward()
    (expected,) = torch.autograd.grad(likelihood + paid + critic, [model.network.weight])
    assert torch.allclose(model.network.weight.grad, expected)
    # a price grows where the policy is further away than it may be
    slope = multipliers.detach() * (0.01 - apart.detach().mean(0))
    assert torch.allclose(model.log_multipliers.grad, slope)
    assert (slope < 0).any()
    # the temperature's slope is the divergence asked for less the one of the weights
    q = (given.advantages / eta).softmax(1)
    spent = (torch.xlogy(q, q).sum(1) + math.log(5)).mean()
    assert model.log_temperature.grad.item() == pytest.approx((eta * (0.1 - spent)).item())
    assert all(p.grad is None for p in model.target.parameters())


class Repeated:
    """The same batch, some times an epoch."""

    def __init__(self, given: Steps, samples: WeightedSamples) -> None:
        self.given, self.samples = given, samples

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Steps, WeightedSamples]]:
        for _ in range(100):
            yield self.given, self.samples
            model.follow()


@pytest.mark.parametrize(
    ("divergence", "expected"), [(0.01, 7.035584), (0.1, 2.119895), (0.5, 0.670412)]
)
def test_the_temperature_comes_to_the_known_one_and_the_price_holds_the_policy(
    divergence: float, expected: float
) -> None:
    # advantages of plus and minus one; all weight on one of three actions, which draws the policy
    model = learner(divergence=divergence, policy_divergence=(0.02,), target_rate=0.0)
    g = steps(n=8)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).expand(8, 2)
    reference, _ = model.target(g.observations)
    given = Steps(g.observations, g.returns, signs, reference.detach())
    samples = WeightedSamples(torch.zeros(8, 1, dtype=torch.int64), torch.ones(8, 1).double())
    prices = [model.log_temperature, model.log_multipliers]
    optimizer = torch.optim.Adam(
        [{"params": [model.network.weight], "lr": 3e-2}, {"params": prices, "lr": 3e-2}]
    )
    train(model, model.loss(), Repeated(given, samples), max_iter=6, optimizer=optimizer)
    assert model.temperature == pytest.approx(expected, rel=1e-4)
    assert model.temperature == pytest.approx(softmax_temperature(signs, divergence), rel=1e-4)
    apart = model.law.divergences(given.reference, model.network(g.observations)[0])
    assert apart.mean().item() == pytest.approx(0.02, rel=0.01)
    assert torch.equal(model.target(g.observations)[0], reference)


def test_the_copy_follows_slowly_and_is_not_trained() -> None:
    model = learner(target_rate=0.25)
    before = model.target.weight.clone()
    with torch.no_grad():
        model.network.weight += 1
        model.log_temperature.fill_(-50)
    model.follow()
    assert torch.allclose(model.target.weight, before + 0.25)
    assert model.log_temperature.item() == -18
    assert not any(p.requires_grad for p in model.target.parameters())
    model.train()
    assert model.network.training
    assert not model.target.training


def test_what_is_learned_is_where_the_network_is() -> None:
    model = Learner(
        nn.Linear(4, 4, device="meta"),
        THREE,
        temperature=1.0,
        divergence=0.1,
        policy_divergence=(0.01,),
        target_rate=0.1,
    )
    held = [*model.parameters(), *model.buffers()]
    assert {values.device.type for values in held} == {"meta"}


class Corridor:
    """Walk along numbers; each step earns the number it starts from. It ends at ``length``."""

    n_actions = 2
    action_dim = None

    def __init__(self, length: int = 5, bad: float | None = None) -> None:
        self.length = length
        self.bad = bad

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"place": torch.randint(3, (n,), generator=generator)}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return torch.nn.functional.one_hot(state["place"], self.length + 1).double()

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        place = (state["place"] + 1).clamp(max=self.length)
        over = place >= self.length
        rewards = state["place"].double()
        if self.bad is not None:
            rewards = torch.where(state["place"] == 4, self.bad, rewards)
        return {"place": place}, rewards, over, torch.zeros_like(over)


def rollouts(model=None, **rules) -> SMCRollouts:
    settings = {"n_environments": 6, "rollout_length": 9, "n_updates": 3, "batch_size": 4}
    search = partial(smc_search, n_particles=4, depth=2)
    return SMCRollouts(model or Corridor(), search, **{**settings, **rules})


def passed(
    source: SMCRollouts, model: Learner, generator: torch.Generator
) -> list[tuple[Steps, WeightedSamples]]:
    return list(source.batches(model, generator))


def corridor_learner(**rules) -> Learner:
    return learner(Categorical(2), n_inputs=6, **rules)


def test_targets_of_whole_episodes_are_what_they_earned() -> None:
    source = rollouts(discount=0.9, trace=1.0, batch_size=40)
    model = corridor_learner(target_rate=0.0)
    with torch.no_grad():
        model.network.weight += 1  # targets are those of the copy
    values = model.target.weight[:, -1]
    exact = torch.zeros(6, dtype=torch.float64)
    for place in reversed(range(5)):
        exact[place] = place + 0.9 * exact[place + 1]
    ((given, samples), *_) = passed(source, model, seeded())
    place = given.observations.argmax(1).reshape(40, 9)
    assert (place < 5).all()
    returns = given.returns.reshape(40, 9)
    checked = cut = 0
    for row, target in zip(place, returns, strict=True):
        last = max((t for t in range(9) if row[t] == 4), default=-1)
        for t in range(9):
            if t <= last:  # the episode ends within the sequence
                assert target[t].item() == pytest.approx(exact[row[t]].item())
                checked += 1
            else:  # the value of the state after the last step stands for the rest
                rest = range(t, 9)
                earned = sum(0.9 ** (i - t) * float(row[i]) for i in rest)
                left = 0.9 ** (9 - t) * values[row[8] + 1].item()
                assert target[t].item() == pytest.approx(earned + left)
                cut += 1
    assert min(checked, cut) > 20
    assert samples.actions.shape == samples.weights.shape == (360, 4)
    assert torch.allclose(samples.weights.sum(1), torch.ones(360, dtype=torch.float64))
    assert torch.equal(given.reference, model.target(given.observations)[0])


def test_a_limit_of_time_keeps_the_value_of_the_last_state_of_its_own_episode() -> None:
    source = rollouts(discount=1.0, trace=1.0, batch_size=40, max_episode_steps=2)
    model = corridor_learner(target_rate=0.0)
    values = model.target.weight[:, -1]
    ((given, _), *_) = passed(source, model, seeded())
    place = given.observations.argmax(1).reshape(40, 9)
    # two steps from one of the first three numbers never reach the end
    assert place.amax() == 3
    for row, target in zip(place, given.returns.reshape(40, 9), strict=True):
        for t in range(0, 8, 2):
            assert row[t + 1] == row[t] + 1
            expected = row[t] + row[t + 1] + values[row[t] + 2].item()
            assert target[t].item() == pytest.approx(float(expected))
    # episodes are counted as they end: four of two steps in each environment
    assert source.summary["episodes"] == 24


def test_returns_of_episodes_are_kept_over_passes() -> None:
    source = rollouts(n_environments=3, rollout_length=2)
    model, generator = corridor_learner(), seeded()
    earned: list[float] = []
    episodes = 0.0
    for _ in range(20):
        passed(source, model, generator)
        episodes += source.summary["episodes"]
        if "return" in source.summary:
            earned.append(source.summary["return"])
    # from 0, 1 or 2 to the end: 10, 10 or 9
    assert episodes > 20
    assert min(earned) >= 9
    assert max(earned) <= 10
    assert len(earned) < 20  # no episode ends in some passes, and none is made up


def test_a_pass_counts_what_it_spends_and_stops_at_a_limit() -> None:
    budget = Budget({"model_steps": 2 * 6 * 9 * 4 * 2})
    source = rollouts(budget=budget)
    model, generator = corridor_learner(), seeded()
    for _ in range(2):
        passed(source, model, generator)
    assert budget.counts["train"] == {"env_steps": 108, "model_steps": 864, "optimizer_steps": 6}
    assert {k: source.summary[k] for k in source.kinds} == budget.counts["train"]
    with pytest.raises(BudgetError, match="model_steps"):
        passed(source, model, generator)
    # no update is made that is not paid for
    batches = rollouts(budget=Budget({"optimizer_steps": 2})).batches(model, generator)
    assert [len(next(batches)) for _ in range(2)] == [2, 2]
    with pytest.raises(BudgetError, match="optimizer_steps"):
        next(batches)


def test_running_means_are_moved_by_updates_only() -> None:
    class Normed(Line):
        def __init__(self) -> None:
            super().__init__(6, 2)
            self.norm = nn.BatchNorm1d(6).double()

        def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(self.norm(observations))

    model = Learner(
        Normed(),
        Categorical(2),
        temperature=1.0,
        divergence=0.1,
        policy_divergence=(0.01,),
        target_rate=0.1,
    )
    model.train()
    for given, _ in rollouts(n_updates=3).batches(model, seeded()):
        model(given)
    assert model.network.norm.num_batches_tracked == 3
    assert torch.equal(model.target.norm.running_mean, model.network.norm.running_mean)


def test_the_same_seed_gives_the_same_batches_and_a_state_goes_on_as_it_was() -> None:
    cube = RubiksCube(2, 1)

    def collected(n: int, source: SMCRollouts, generator: torch.Generator) -> list[Tensor]:
        model = learner(law_of(cube), n_inputs=144, target_rate=0.5)
        found = []
        for _ in range(n):
            for given, samples in passed(source, model, generator):
                found += [given.observations, given.returns, samples.actions, samples.weights]
        return found

    def equal(first: list[Tensor], second: list[Tensor]) -> bool:
        return len(first) == len(second) and all(map(torch.equal, first, second))

    settings = {"model": cube, "n_rollouts": 2, "max_episode_steps": 5}
    source, generator = rollouts(**settings), seeded()
    once = collected(3, source, generator)
    assert equal(once, collected(3, rollouts(**settings), seeded()))
    assert not equal(once, collected(3, rollouts(**settings), seeded(1)))
    # what comes after depends on nothing but the state and the generator
    state = {k: v.clone() for k, v in source.state_dict().items()}
    after, again = rollouts(**settings), torch.Generator()
    after.load_state_dict(state)
    again.set_state(generator.get_state())
    assert equal(collected(2, source, generator), collected(2, after, again))
    assert source.summary == after.summary


def test_the_latest_rollouts_are_drawn_from_all_as_often() -> None:
    replay = Replay(3)
    for i in range(5):
        replay.add({"number": torch.arange(4) + 10 * i, "pair": torch.full((4, 2), float(i))})
        drawn = replay.sample(4000, seeded(i))
        kept = torch.tensor([10 * j + k for j in range(max(0, i - 2), i + 1) for k in range(4)])
        counts = (drawn["number"][:, None] == kept).sum(0)
        assert counts.sum() == 4000
        share = 4000 / len(kept)
        assert (counts - share).abs().max() < 5 * math.sqrt(share)
        assert torch.equal(drawn["pair"][:, 0], (drawn["number"] // 10).float())


def test_values_and_policies_of_a_small_model_are_learned_by_the_shared_loop() -> None:
    model = random_model(6, 3, generator=seeded(3), deterministic=True)
    law = law_of(model)

    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))

        def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
            output = observations @ self.table
            return output[:, :3], output[:, 3]

    trained = Learner(
        Table(),
        law,
        temperature=1.0,
        divergence=0.7,
        policy_divergence=(0.1,),
        target_rate=0.3,
    )
    source = SMCRollouts(
        model,
        partial(smc_search, n_particles=16, depth=1),
        n_environments=16,
        rollout_length=8,
        n_updates=24,
        batch_size=16,
        discount=0.9,
        max_episode_steps=20,
    )
    uniform = torch.full((6, 3), 1 / 3, dtype=torch.float64)
    best = model.optimal_values(0.9)
    first = model.policy_values(uniform, 0.9)
    train(trained, trained.loss(), source, max_iter=20, learning_rate=5e-2)
    policy = trained.network.table[:, :3].softmax(1).detach()
    learned = model.policy_values(policy, 0.9)
    gained = float(model.initial @ (learned - first)) / float(model.initial @ (best - first))
    assert gained > 0.9
    # the critic knows what the policy is worth
    off = (trained.network.table[:5, 3].detach() - learned[:5]).abs().max()
    assert off < 0.3 * (learned[:5].max() - learned[:5].min())


def test_what_is_wrong_is_refused_by_name() -> None:
    for name in ("n_environments", "rollout_length", "n_rollouts", "n_updates", "batch_size"):
        with pytest.raises(InvalidInputError, match=f"{name}=0"):
            rollouts(**{name: 0})
    with pytest.raises(InvalidInputError, match="max_episode_steps=0"):
        rollouts(max_episode_steps=0)
    for name in ("discount", "trace"):
        with pytest.raises(InvalidInputError, match=f"{name}=1.5"):
            rollouts(**{name: 1.5})
    with pytest.raises(InvalidInputError, match="expected a Learner"):
        passed(rollouts(), nn.Linear(1, 1), seeded())  # type: ignore[arg-type]
    for bad in (math.nan, math.inf):
        with pytest.raises(InvalidInputError, match="not finite"):
            passed(rollouts(Corridor(bad=bad)), corridor_learner(), seeded())


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, lambda rewards: rewards[:, None], r"rewards of shape \(24, 1\).*expected \(24,\)"),
        (2, lambda over: over[:, None], r"terminated of shape \(24, 1\)"),
        (3, lambda over: over.long(), r"truncated .* torch.int64 .* torch.bool"),
    ],
)
def test_a_model_that_returns_other_shapes_is_refused(place: int, change, message: str) -> None:
    class Odd(Corridor):
        def step(self, state, actions, generator):  # type: ignore[no-untyped-def]
            found = list(super().step(state, actions, generator))
            found[place] = change(found[place])
            return tuple(found)

    with pytest.raises(InvalidInputError, match=f"Odd: step returned {message}"):
        passed(rollouts(Odd()), corridor_learner(), seeded())
