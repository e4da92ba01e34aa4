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
from dfl.rl.smc import SMCPolicyOptimizer

ROOT = Path(__file__).parents[2]
CUBE = RubiksCube(2, 1)
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
    }
}
every = pytest.mark.parametrize("leaf", POLICIES, ids=lambda leaf: leaf.__name__)


def make(leaf: type, **rules) -> BaseDecisionEstimator:
    return leaf(**{**POLICIES[leaf], **rules})


@every
def test_the_constructor_stores_and_a_clone_is_the_same_and_not_fitted(leaf: type) -> None:
    assert issubclass(leaf, BaseDecisionEstimator)
    names = list(inspect.signature(leaf).parameters)
    estimator = make(leaf)
    assert set(vars(estimator)) == set(names)
    assert set(estimator.get_params()) == set(names)
    for name, default in inspect.signature(leaf).parameters.items():
        assert default.default is not inspect.Parameter.empty, name
    fitted = make(leaf).fit(CUBE)
    again = clone(fitted)
    assert set(vars(again)) == set(names)
    assert repr(again) == repr(estimator)
    assert vars(again.set_params(max_iter=1))["max_iter"] == 1


@every
def test_nothing_is_decided_before_fit(leaf: type, tmp_path: Path) -> None:
    estimator = make(leaf)
    state = CUBE.reset(2, torch.Generator().manual_seed(0))
    for act in (
        lambda: estimator.decide(state),
        lambda: estimator.score(),
        lambda: estimator.save(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError):
            act()
    assert not any(tmp_path.iterdir())


@every
def test_fit_keeps_parameters_and_adds_names_with_an_underscore(leaf: type) -> None:
    estimator = make(leaf)
    before = dict(vars(estimator))
    assert estimator.fit(CUBE) is estimator
    added = set(vars(estimator)) - set(before)
    assert all(name.startswith("_") or name.endswith("_") for name in added)
    assert all(vars(estimator)[name] is value for name, value in before.items())
    assert [entry["epoch"] for entry in estimator.history_] == [1, 2]
    assert {"env_steps", "seconds"} <= set(estimator.budget_)
    first = estimator.history_
    assert len(estimator.fit(CUBE).history_) == 2
    assert estimator.history_ is not first


@every
def test_callbacks_see_each_epoch_and_may_end_training(leaf: type) -> None:
    seen: list[float] = []

    def callback(entry: dict[str, float]) -> bool:
        seen.append(entry["env_steps"])
        return len(seen) == 2

    estimator = make(leaf, max_iter=50).fit(CUBE, callbacks=[callback])
    assert len(estimator.history_) == len(seen) == 2
    assert seen == [16, 32]


@every
def test_progress_is_shown_when_asked_for(leaf: type, capsys: pytest.CaptureFixture[str]) -> None:
    make(leaf).fit(CUBE)
    assert capsys.readouterr() == ("", "")
    make(leaf, verbose=1).fit(CUBE)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err


@every
def test_a_fresh_process_decides_the_same(leaf: type, tmp_path: Path) -> None:
    estimator = make(leaf).fit(CUBE)
    estimator.save(tmp_path / "model")
    state = CUBE.reset(20, torch.Generator().manual_seed(1))
    script = f"""
import sys; sys.path[:0] = {[str(ROOT), str(ROOT / "solvers")]!r}
import torch
from dfl.rl.envs import RubiksCube
from {leaf.__module__} import {leaf.__name__}
cube = RubiksCube(2, 1)
state = cube.reset(20, torch.Generator().manual_seed(1))
print({leaf.__name__}.load({str(tmp_path / "model")!r}, model=cube).decide(state).tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(estimator.decide(state).tolist())


@every
def test_a_loaded_estimator_has_all_that_the_saved_one_has(leaf: type, tmp_path: Path) -> None:
    estimator = make(leaf).fit(CUBE)
    estimator.save(tmp_path / "model")
    again = leaf.load(tmp_path / "model", model=CUBE)
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
        leaf.load(tmp_path / "model", model=CUBE)
