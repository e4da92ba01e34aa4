"""Policies learned by search: better than the prior, the same again, and able to go on."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError, TrainingError
from dfl.rl.envs import Pendulum, RubiksCube, SequentialKnapsack, play, two_step_model
from dfl.rl.smc import PolicyValueNetwork, SMCPolicyOptimizer, smc_search
from dfl.rl.smc.law import law_of
from dfl.rl.smc.network import evaluate
from dfl_solvers import Knapsack

ROOT = Path(__file__).parents[2]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(n_inputs: int, n_parameters: int, hidden: int = 64) -> PolicyValueNetwork:
    return PolicyValueNetwork(n_inputs, n_parameters, (hidden,), generator=seeded(5))


def quick(module: nn.Module | str = "mlp", **rules) -> SMCPolicyOptimizer:
    settings = {
        "max_iter": 25,
        "n_environments": 32,
        "rollout_length": 8,
        "n_updates": 8,
        "temperature": 0.2,
        "learning_rate": 3e-3,
        "max_episode_steps": 4,
        "random_state": 0,
    }
    return SMCPolicyOptimizer(module, **{**settings, **rules})


def test_a_cube_is_learned_and_the_network_alone_solves_it() -> None:
    cube = RubiksCube(2, 1)
    untrained = quick(network(144, 9), depth=1, max_iter=1, n_updates=1, learning_rate=1e-9)
    before = untrained.fit(cube)
    after = quick(network(144, 9), depth=1).fit(cube)
    # at random: one move of nine, or a few more over four moves
    assert before.score(search=False) < 0.35
    assert after.score(search=False) > 0.8
    assert after.score(search=True) > max(0.8, before.score(search=True) + 0.1)
    assert after.budget_["env_steps"] == 25 * 32 * 8
    assert after.budget_["model_steps"] == 25 * 32 * 8 * 16
    assert after.budget_["optimizer_steps"] == 25 * 8
    assert after.budget_["seconds"] == after.history_[-1]["seconds"] > 0


def test_knapsacks_are_filled_better_and_the_weights_keep_their_divergence() -> None:
    weights = 1 + 4 * torch.rand(1, 6, generator=seeded(1), dtype=torch.float64)
    values = 10 * torch.rand(60, 6, generator=seeded(2), dtype=torch.float64)
    oracle = Knapsack(weights.numpy(), [0.5 * weights.sum().item()])
    model = SequentialKnapsack(oracle, values.numpy())
    policy = quick(
        network(13, 2), depth=6, max_episode_steps=6, max_iter=30, discount=1.0, temperature=1.0
    ).fit(model)

    def regret(act) -> float:
        first: list[Mapping[str, Tensor]] = []

        def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
            first.append(state)
            return act(state, generator)

        earned = play(model, decide, 300, 6, generator=seeded(3))
        optimal = model.optimal_returns(first[0])
        assert (earned <= optimal + 1e-9).all()
        return ((optimal - earned).sum() / optimal.sum()).item()

    blind = regret(lambda state, g: torch.randint(2, state["item"].shape, generator=g))
    alone = regret(lambda state, g: policy.decide(state, search=False))
    searching = regret(
        lambda state, g: policy.decide(
            state, random_state=int(torch.randint(2**31, (), generator=g))
        )
    )
    assert alone < 0.5 * blind
    assert searching < 0.25 * blind
    spent = [entry["divergence"] for entry in policy.history_[-5:]]
    assert sum(spent) / 5 == pytest.approx(0.5, rel=0.5)
    apart = [entry["policy_divergence"] for entry in policy.history_[-5:]]
    assert sum(apart) / 5 < 2 * 1e-2


class Point:
    """A point on a line, moved by up to half a unit a step, pays the square of its distance."""

    n_actions = None
    action_dim = 1

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"place": 4 * torch.rand(n, generator=generator) - 2}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return state["place"][:, None]

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        place = state["place"] + 0.5 * actions.squeeze(1)
        never = torch.zeros(len(place), dtype=torch.bool)
        return {"place": place}, -(place**2), never, never


def test_continuous_actions_are_learned() -> None:
    model = Point()
    policy = quick(
        network(1, 2), max_iter=20, max_episode_steps=8, temperature=1.0, discount=0.9
    ).fit(model)

    def earned(act) -> float:
        return play(model, act, 500, 8, generator=seeded(1)).mean().item()

    still = earned(lambda state, g: torch.zeros(len(state["place"]), 1))
    best = earned(lambda state, g: (-2 * state["place"][:, None]).clamp(-1, 1))
    assert best > still / 3
    for search in (False, True):
        found = policy.score(n_episodes=500, search=search)
        assert found > best + 0.3 * (still - best)
    actions = policy.decide(torch.tensor([[-2.0], [2.0]]), search=False)
    assert actions.shape == (2, 1)
    assert 0.5 < actions[0].item() < 1
    assert -1 < actions[1].item() < -0.5


def test_a_policy_is_not_judged_in_the_states_it_began_with() -> None:
    first: list[Tensor] = []

    class Noted(Point):
        def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
            state = super().reset(n, generator)
            if n == 32:
                first.append(state["place"])
            return state

    policy = quick(network(1, 2), max_iter=1, rollout_length=2).fit(Noted())
    policy.score(n_episodes=32)
    policy.score(n_episodes=32)
    began, judged, again = first
    assert not torch.isin(judged, began).any()
    assert torch.equal(judged, again)


class LateRewards:
    """Three steps, each of which earns one, but nothing at all until it is switched on."""

    n_actions = 2
    action_dim = None

    def __init__(self) -> None:
        self._worth = 0.0

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"step": torch.zeros(n, dtype=torch.int64)}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return torch.nn.functional.one_hot(state["step"], 4).float()

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        step = (state["step"] + 1).clamp(max=3)
        over = step == 3
        return {"step": step}, torch.full((len(step),), self._worth), over, torch.zeros_like(over)


def test_a_critic_that_saw_nothing_for_long_learns_of_later_rewards() -> None:
    model = LateRewards()

    def switch(entry: dict[str, float]) -> None:
        model._worth = float(entry["epoch"] >= 15)

    policy = quick(network(4, 2), max_iter=35, temperature=1.0, depth=1, discount=1.0)
    policy.fit(model, callbacks=[switch])
    with torch.no_grad():
        _, values = policy.network_(torch.eye(4)[:3])
    assert values.tolist() == pytest.approx([3, 2, 1], abs=0.3)


def test_more_particles_swing_a_pendulum_up_better() -> None:
    model = Pendulum(max_steps=60)
    returns = [
        quick(
            network(3, 2),
            max_iter=1,
            n_particles=k,
            depth=12,
            divergence=0.4,
            temperature=2.0,
            max_episode_steps=60,
        )
        .fit(model)
        .score(n_episodes=64)
        for k in (2, 64)
    ]
    assert returns[1] > returns[0] + 50


def weights_of(policy: SMCPolicyOptimizer) -> list[Tensor]:
    return list(policy.network_.state_dict().values())


def without_seconds(policy: SMCPolicyOptimizer) -> list[dict[str, float]]:
    return [{k: v for k, v in e.items() if k != "seconds"} for e in policy.history_]


def test_the_same_seed_gives_the_same_run_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    untouched = torch.random.get_rng_state()
    runs = [quick(max_iter=3, random_state=seed).fit(RubiksCube(2, 1)) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), untouched)
    assert all(map(torch.equal, weights_of(runs[0]), weights_of(runs[1])))
    assert without_seconds(runs[0]) == without_seconds(runs[1])
    assert not all(map(torch.equal, weights_of(runs[0]), weights_of(runs[2])))
    state = RubiksCube(2, 3).reset(40, seeded())
    assert torch.equal(runs[0].decide(state), runs[1].decide(state))
    assert torch.equal(runs[0].decide(state), runs[0].decide(state))
    assert not torch.equal(runs[0].decide(state), runs[0].decide(state, random_state=7))
    assert runs[0].score(n_episodes=50) == runs[1].score(n_episodes=50)


SCRIPT = """
import sys; sys.path[:0] = {paths!r}
import os, signal, torch
from dfl.rl.envs import RubiksCube
from dfl.rl.smc import PolicyValueNetwork, SMCPolicyOptimizer
sys.modules["dfl.training.train"]._SECONDS_BETWEEN_CHECKPOINTS = 0.0
def dies(entry):
    if entry["epoch"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
SMCPolicyOptimizer(
    PolicyValueNetwork(144, 9, (64,), generator=torch.Generator().manual_seed(5)),
    max_iter=6, n_environments=16, rollout_length=4, n_updates=3, n_rollouts=2, max_episode_steps=7,
    random_state=0, checkpoint={path!r},
).fit(RubiksCube(2, (1, 2)), callbacks=[dies])
"""


def test_a_killed_fit_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    path = tmp_path / "state"
    paths = [str(ROOT), str(ROOT / "solvers")]
    script = SCRIPT.format(paths=paths, path=str(path))
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.exists()
    rules = {"network": network(144, 9), "max_iter": 6, "n_environments": 16}
    rules |= {"rollout_length": 4, "n_updates": 3, "n_rollouts": 2, "max_episode_steps": 7}
    rules |= {"random_state": 0}
    whole = SMCPolicyOptimizer(**rules).fit(RubiksCube(2, (1, 2)))
    epochs: list[float] = []
    resumed = SMCPolicyOptimizer(**rules, checkpoint=path).fit(
        RubiksCube(2, (1, 2)), callbacks=[lambda entry: epochs.append(entry["epoch"])]
    )
    assert epochs == [4, 5, 6]  # the one that was cut off by the kill is done again
    assert all(map(torch.equal, weights_of(whole), weights_of(resumed)))
    assert without_seconds(whole) == without_seconds(resumed)
    for kind in ("env_steps", "model_steps", "optimizer_steps"):
        assert whole.budget_[kind] == resumed.budget_[kind]
    # a finished one is read; another fit is refused
    again = SMCPolicyOptimizer(**rules, checkpoint=path).fit(RubiksCube(2, (1, 2)))
    assert all(map(torch.equal, weights_of(whole), weights_of(again)))
    for changed, model in (
        ({"depth": 2}, RubiksCube(2, (1, 2))),
        ({"random_state": 1}, RubiksCube(2, (1, 2))),
        ({}, RubiksCube(2, 3)),
        ({}, RubiksCube(2, (1, 2), max_steps=3)),
        ({"network": network(144, 9, hidden=32)}, RubiksCube(2, (1, 2))),
    ):
        with pytest.raises(TrainingError, match="another training run"):
            SMCPolicyOptimizer(**{**rules, **changed}, checkpoint=path).fit(model)


class Wind(Point):
    """Points that are blown aside, which no public number tells."""

    def __init__(self, wind: float) -> None:
        self._wind = wind

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        return super().step({"place": state["place"] + self._wind}, actions, generator)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    rules = {"max_iter": 1, "checkpoint": tmp_path / "state"}
    first = quick(network(1, 2), **rules).fit(Wind(0.1))
    again = quick(network(1, 2), **rules).fit(Wind(0.1))
    assert all(map(torch.equal, weights_of(first), weights_of(again)))
    with pytest.raises(TrainingError, match="another training run"):
        quick(network(1, 2), **rules).fit(Wind(0.2))


def test_what_was_saved_decides_the_same(tmp_path: Path) -> None:
    cube = RubiksCube(2, 2)
    state = cube.reset(50, seeded())
    for given in ("mlp", network(144, 9)):
        policy = quick(given, max_iter=2).fit(RubiksCube(2, 1))
        policy.save(tmp_path / "policy")
        module = given if isinstance(given, nn.Module) else None
        again = SMCPolicyOptimizer.load(tmp_path / "policy", model=cube, predictor=module)
        assert torch.equal(again.decide(state), policy.decide(state))
        shown = cube.observe(state)
        assert torch.equal(again.decide(shown, False), policy.decide(shown, False))
        assert again.history_ == policy.history_
        assert again.budget_ == policy.budget_
        without = SMCPolicyOptimizer.load(tmp_path / "policy", predictor=module)
        found = without.decide(shown.numpy(), search=False)
        assert isinstance(found, np.ndarray)
        assert (found == policy.decide(shown, False).numpy()).all()
        with pytest.raises(InvalidInputError, match=r"load\(path, model="):
            without.decide(state)
        without.save(tmp_path / "second")  # there is no simulator to leave out
        second = SMCPolicyOptimizer.load(tmp_path / "second", module, model=cube)
        assert torch.equal(second.decide(state), policy.decide(state))
    with pytest.raises(InvalidInputError, match="a module of your own"):
        SMCPolicyOptimizer.load(tmp_path / "policy")
    with pytest.raises(InvalidInputError, match="another architecture"):
        SMCPolicyOptimizer.load(tmp_path / "policy", predictor=network(144, 9, hidden=32))
    files = sorted(os.listdir(tmp_path / "policy"))
    assert files == ["model.json", "weights.safetensors"]


class WrongShapes(nn.Module):
    """A network for other actions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4).double()

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        output = self.layer(observations)
        return output[:, :3], output[:, 3]


def test_what_is_wrong_is_refused_by_name() -> None:
    model = two_step_model()
    wrong: list[tuple[dict, str]] = [
        ({"divergence": 3.0}, r"divergence=3\.0.*below 2\.773, the logarithm of n_particles=16"),
        ({"divergence": math.log(4), "n_particles": 4}, "divergence=1.38"),
        ({"divergence": 0.0}, "divergence=0.0"),
        ({"n_particles": 1}, "n_particles=1"),
        ({"n_particles": 0}, "n_particles=0"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"dual_learning_rate": math.nan}, "dual_learning_rate=nan"),
        ({"target_rate": 0.0}, "target_rate=0.0"),
        ({"policy_divergence": 0.0}, "policy_divergence=0.0"),
        ({"policy_divergence": (0.1, 0.1, 0.1)}, "policy_divergence="),
        ({"policy_divergence": (0.1, 0.1)}, "for continuous actions only"),
        ({"policy_divergence": [0.1, -0.1]}, "policy_divergence="),
        ({"depth": 0}, "depth=0"),
        ({"n_environments": 0}, "n_environments=0"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"period": 1, "least_effective": 0.5}, "expected one of them"),
        ({"random_state": "x"}, "random_state"),
        ({"module": "cnn"}, "network='cnn'"),
        ({"module": WrongShapes()}, r"expected \(32, 2\)"),
        ({"module": nn.Linear(4, 3).double()}, "returned a Tensor, expected two"),
        ({"module": WrongShapes().requires_grad_(False)}, "without parameters"),
    ]
    for rules, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            quick(**{"max_iter": 1, **rules}).fit(model)
    with pytest.raises(InvalidInputError, match="ndarray has neither n_actions nor action_dim"):
        quick().fit(np.zeros((3, 2)))
    policy = quick(max_iter=1, rollout_length=2).fit(model)
    seen = model.observe(model.reset(3, seeded()))
    with pytest.raises(InvalidInputError, match="search=False"):
        policy.decide(seen)
    with pytest.raises(InvalidInputError, match=r"got observations of shape \(3, 3\)"):
        policy.decide(seen[:, :3], search=False)
    with pytest.raises(InvalidInputError, match="n_episodes=0"):
        policy.score(n_episodes=0)
    with pytest.raises(InvalidInputError, match=r"n_actions=9 .* expected 2 and None"):
        policy.score(RubiksCube(2))


class Elsewhere(nn.Module):
    """A network on a device without numbers, which answers on the CPU: what it saw is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))
        self.saw = torch.device("cpu")

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.saw = observations.device
        return torch.zeros(len(observations), 2), torch.zeros(len(observations))


def test_observations_go_to_the_device_of_the_network_and_what_it_says_comes_back() -> None:
    network, model = Elsewhere(), two_step_model()
    state = model.reset(3, torch.Generator().manual_seed(0))
    found = smc_search(
        model, network, state, temperature=1.0, generator=torch.Generator().manual_seed(0)
    )
    assert network.saw.type == "meta"
    assert found.actions.device.type == "cpu"
    there = {name: values.to("meta") for name, values in state.items()}
    parameters, values = evaluate(network, law_of(model), Shown(), there)
    assert parameters.device.type == values.device.type == "meta"


class Shown:
    """A simulator that shows its states as they are."""

    n_actions, action_dim = 2, None

    def observe(self, state):
        return next(iter(state.values()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("make", [two_step_model, partial(Pendulum, max_steps=8)])
def test_a_network_on_an_accelerator_learns_in_a_simulator_on_the_cpu(make, tmp_path: Path) -> None:
    model = make()
    n_inputs = model.observe(model.reset(1, torch.Generator()))[0].numel()
    network = PolicyValueNetwork(n_inputs, law_of(model).size, (16,)).to("cuda")
    fitted = SMCPolicyOptimizer(
        network, max_iter=2, rollout_length=4, depth=2, max_episode_steps=8, random_state=0,
        checkpoint=tmp_path / "kept",
    ).fit(model)  # fmt: skip
    assert next(fitted.network_.parameters()).device.type == "cuda"
    assert any(
        not torch.equal(a, b.to("cuda"))
        for a, b in zip(fitted.network_.parameters(), network.parameters(), strict=True)
    )
    state = model.reset(5, torch.Generator().manual_seed(0))
    assert fitted.decide(state).device.type == "cpu"
    assert fitted.decide(model.observe(state), search=False).device.type == "cpu"
    assert all(math.isfinite(fitted.score(n_episodes=4, search=search)) for search in (True, False))
