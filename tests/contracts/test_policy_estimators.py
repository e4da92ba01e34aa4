"""What every estimator of policies keeps, as those of predictors do."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import dfl
from dfl.estimators import BaseDecisionEstimator
from dfl.exceptions import InvalidInputError
from dfl.rl.envs import RubiksCube
from dfl.rl.preference import NoiseSchedule, StepwisePreferenceTuner
from dfl.rl.preference.tasks import GaussianDenoiser
from dfl.rl.robust import RobustPolicyOptimizer
from dfl.rl.segment import SegmentPolicyOptimizer, TabularLanguageModel
from dfl.rl.smc import SMCPolicyOptimizer

ROOT = Path(__file__).parents[2]
CUBE = RubiksCube(2, 1)
SCHEDULE = NoiseSchedule.linear()
DENOISER = GaussianDenoiser(SCHEDULE, SCHEDULE.times(4), shape=(2,))


def first_coordinate(x: torch.Tensor, times: torch.Tensor, conditions: None) -> torch.Tensor:
    return x[:, 0]


LANGUAGE_MODEL = TabularLanguageModel(2, 4, random_state=0)


def share_of_ones(completions: list[list[int]]) -> list[float]:
    return [sum(ids) / 4 for ids in completions]


# the quickest settings of each, and what it is fitted on
POLICIES: dict[type[BaseDecisionEstimator], dict] = {
    SMCPolicyOptimizer: {
        "max_iter": 2,
        "n_environments": 8,
        "rollout_length": 2,
        "n_updates": 2,
        "depth": 2,
        "max_episode_steps": 5,
        "random_state": 0,
    },
    RobustPolicyOptimizer: {
        "max_iter": 2,
        "n_environments": 8,
        "rollout_length": 2,
        "n_epochs": 1,
        "attack_steps": 1,
        "hidden": (8,),
        "max_episode_steps": 5,
        "random_state": 0,
    },
    StepwisePreferenceTuner: {
        "denoiser": DENOISER,
        "scheduler": SCHEDULE,
        "reward": first_coordinate,
        "shape": (2,),
        "n_steps": 4,
        "n_chains": 2,
        "max_iter": 2,
        "random_state": 0,
    },
    SegmentPolicyOptimizer: {
        "model": LANGUAGE_MODEL,
        "reward": share_of_ones,
        "estimator": "grpo",
        "num_generations": 16,
        "max_completion_length": 4,
        "max_iter": 2,
        "random_state": 0,
    },
}
every = pytest.mark.parametrize("leaf", POLICIES, ids=lambda leaf: leaf.__name__)


def make(leaf: type, **rules) -> BaseDecisionEstimator:
    return leaf(**{**POLICIES[leaf], **rules})


def fit(estimator: BaseDecisionEstimator, **rules) -> BaseDecisionEstimator:
    """Fit in the simulator, or to the reward that a tuner has."""
    if writes(type(estimator)):
        return estimator.fit(given(type(estimator), 1, 0), **rules)
    return estimator.fit(*([] if tunes(type(estimator)) else [CUBE]), **rules)


def tunes(leaf: type) -> bool:
    return leaf is StepwisePreferenceTuner


def writes(leaf: type) -> bool:
    return leaf is SegmentPolicyOptimizer


def unit(leaf: type) -> str:
    """Return what learning is counted in; these settings take 16 an epoch."""
    if writes(leaf):
        return "verifier_calls"
    return "reward_queries" if tunes(leaf) else "env_steps"


def load(leaf: type, path: Path) -> BaseDecisionEstimator:
    if tunes(leaf):
        return leaf.load(path, DENOISER, reward=first_coordinate, scheduler=SCHEDULE)
    if writes(leaf):
        return leaf.load(path, LANGUAGE_MODEL, reward=share_of_ones)
    return leaf.load(path, model=CUBE)


def given(leaf: type, n: int, seed: int):
    """Return what is decided on: states, prompts, or how many samples."""
    if writes(leaf):
        return [LANGUAGE_MODEL.prompt.tolist()] * n
    return n if tunes(leaf) else CUBE.reset(n, torch.Generator().manual_seed(seed))


@every
def test_the_constructor_stores_and_a_clone_is_the_same_and_not_fitted(leaf: type) -> None:
    assert issubclass(leaf, BaseDecisionEstimator)
    names = list(inspect.signature(leaf).parameters)
    estimator = make(leaf)
    assert set(vars(estimator)) == set(names)
    assert set(estimator.get_params()) == set(names)
    for name, default in inspect.signature(leaf).parameters.items():
        assert default.default is not inspect.Parameter.empty, name
    fitted = fit(make(leaf))
    again = clone(fitted)
    assert set(vars(again)) == set(names)
    assert repr(again) == repr(estimator)
    assert vars(again.set_params(max_iter=1))["max_iter"] == 1


@every
def test_nothing_is_decided_before_fit(leaf: type, tmp_path: Path) -> None:
    estimator = make(leaf)
    state = given(leaf, 2, 0)
    for act in (
        lambda: estimator.decide(state),
        lambda: estimator.score(*([state] if writes(leaf) else [])),
        lambda: estimator.save(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError):
            act()
    assert not any(tmp_path.iterdir())


@every
def test_fit_keeps_parameters_and_adds_names_with_an_underscore(leaf: type) -> None:
    estimator = make(leaf)
    before = dict(vars(estimator))
    assert fit(estimator) is estimator
    added = set(vars(estimator)) - set(before)
    assert all(name.startswith("_") or name.endswith("_") for name in added)
    assert all(vars(estimator)[name] is value for name, value in before.items())
    assert [entry["epoch"] for entry in estimator.history_] == [1, 2]
    assert {unit(leaf), "seconds"} <= set(estimator.budget_)
    first = estimator.history_
    assert len(fit(estimator).history_) == 2
    assert estimator.history_ is not first


@every
def test_callbacks_see_each_epoch_and_may_end_training(leaf: type) -> None:
    seen: list[float] = []

    def callback(entry: dict[str, float]) -> bool:
        seen.append(entry[unit(leaf)])
        return len(seen) == 2

    estimator = fit(make(leaf, max_iter=50), callbacks=[callback])
    assert len(estimator.history_) == len(seen) == 2
    assert seen == [16, 32]


@every
def test_progress_is_shown_when_asked_for(leaf: type, capsys: pytest.CaptureFixture[str]) -> None:
    fit(make(leaf))
    assert capsys.readouterr() == ("", "")
    fit(make(leaf, verbose=1))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err


@every
def test_a_fresh_process_decides_the_same(leaf: type, tmp_path: Path) -> None:
    estimator = fit(make(leaf))
    estimator.save(tmp_path / "model")
    state = given(leaf, 20, 1)
    name, path = leaf.__name__, str(tmp_path / "model")
    if tunes(leaf):
        script = f"""
from dfl.rl.preference import NoiseSchedule
from dfl.rl.preference.tasks import GaussianDenoiser
schedule = NoiseSchedule.linear()
denoiser = GaussianDenoiser(schedule, schedule.times(4), shape=(2,))
print({name}.load({path!r}, denoiser).decide(20).tolist())
"""
    elif writes(leaf):
        script = f"""
from dfl.rl.segment import TabularLanguageModel
print({name}.load({path!r}, TabularLanguageModel(2, 4)).decide([[2]] * 20))
"""
    else:
        script = f"""
import torch
from dfl.rl.envs import RubiksCube
cube = RubiksCube(2, 1)
state = cube.reset(20, torch.Generator().manual_seed(1))
print({name}.load({path!r}, model=cube).decide(state).tolist())
"""
    found = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'solvers')]!r}"
    script = f"{found}\nfrom {leaf.__module__} import {name}\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    decided = estimator.decide(state)
    assert done.stdout.strip() == str(decided if writes(leaf) else decided.tolist())


@every
def test_a_loaded_estimator_has_all_that_the_saved_one_has(leaf: type, tmp_path: Path) -> None:
    estimator = fit(make(leaf))
    estimator.save(tmp_path / "model")
    again = load(leaf, tmp_path / "model")
    assert vars(again).keys() == vars(estimator).keys()
    for key, value in vars(estimator).items():
        if isinstance(value, (int, float, str, list, dict, tuple)) or value is None:
            assert getattr(again, key) == value, key
    # saved again over itself; refused where anything else is, or by another class
    again.save(tmp_path / "model")
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidInputError, match="no model's folder"):
        again.save(tmp_path / "other")
    with pytest.raises(InvalidInputError, match=rf"{leaf.__name__}\.load\(path\)"):
        dfl.load(tmp_path / "model")
    weights = tmp_path / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(InvalidInputError, match="was changed"):
        load(leaf, tmp_path / "model")
