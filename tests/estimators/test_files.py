"""A saved estimator decides the same in a fresh process; what was changed is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

import dfl
from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.estimators import BaseDecisionEstimator
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import FromCallable


@pytest.fixture(scope="module")
def data():
    return make_shortest_path(60, grid=(3, 3), degree=4, random_state=0)


def network() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 12)
    ).double()


def makers(oracle):
    return {
        "linear": DecisionFocusedRegressor(oracle, max_iter=2, random_state=0),
        "mlp": DecisionFocusedRegressor(oracle, predictor="mlp", max_iter=2, random_state=0),
        "loss": DecisionFocusedRegressor(
            oracle, "perturbed-fenchel-young", loss_parameters={"sigma": 0.5}, max_iter=1
        ),
        "module": DecisionFocusedRegressor(oracle, predictor=network(), max_iter=2, random_state=0),
        "least squares": PredictThenOptimizeRegressor(oracle),
        "pipeline": PredictThenOptimizeRegressor(
            oracle, make_pipeline(PolynomialFeatures(2), Ridge(0.1))
        ),
        "forest": PredictThenOptimizeRegressor(oracle, RandomForestRegressor(5, random_state=0)),
        "boosting": PredictThenOptimizeRegressor(
            oracle, MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=3))
        ),
    }


NAMES = list(makers(None))


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_estimator_is_the_saved_one(name: str, data, tmp_path: Path) -> None:
    model = makers(data.oracle)[name].fit(data.X, data.C)
    model.save(tmp_path / "model")
    again = dfl.load(tmp_path / "model", network() if name == "module" else None)
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict(data.X), model.predict(data.X))
    np.testing.assert_array_equal(again.decide(data.X), model.decide(data.X))
    assert again.score(data.X, data.C) == model.score(data.X, data.C)
    for key in ("max_iter", "loss", "loss_parameters", "learning_rate"):
        assert getattr(again, key, None) == getattr(model, key, None)
    for key in ("history_", "n_iter_", "best_iter_", "budget_"):
        assert getattr(again, key, None) == getattr(model, key, None)


def test_values_long_data_and_names_survive(tmp_path: Path) -> None:
    data = make_knapsack(20, random_state=0)
    frame = pd.DataFrame(data.X, columns=[f"f{i}" for i in range(data.X.shape[1])])
    model = DecisionFocusedRegressor(data.oracle, max_iter=1, random_state=0).fit(frame, data.C)
    model.save(tmp_path / "m")
    again = DecisionFocusedRegressor.load(tmp_path / "m")
    assert list(again.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(again.decide(frame), model.decide(frame))
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame.rename(columns={"f0": "other"}))


def test_a_module_is_asked_for_and_must_fit(data, tmp_path: Path) -> None:
    module = network()
    model = DecisionFocusedRegressor(data.oracle, predictor=module, max_iter=1).fit(data.X, data.C)
    model.save(tmp_path / "m")
    with pytest.raises(InvalidInputError, match=r"pass one of the same architecture: load\(path"):
        dfl.load(tmp_path / "m")
    with pytest.raises(InvalidInputError, match="another architecture than the saved one"):
        dfl.load(tmp_path / "m", torch.nn.Linear(5, 12))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    dfl.load(tmp_path / "m", module)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())  # a copy
    # frozen, in part or all of it, it predicts all the same
    for frozen in (module, module[0]):
        frozen.requires_grad_(False)
        again = dfl.load(tmp_path / "m", module)
        np.testing.assert_array_equal(again.predict(data.X), model.predict(data.X))
        module.requires_grad_(True)


def test_a_loss_object_is_not_stored_and_fit_says_so(data, tmp_path: Path) -> None:
    loss = dfl.make_loss("spo+", data.oracle)
    model = DecisionFocusedRegressor(data.oracle, loss, max_iter=1).fit(data.X, data.C)
    model.save(tmp_path / "m")
    again = dfl.load(tmp_path / "m")
    np.testing.assert_array_equal(again.decide(data.X), model.decide(data.X))
    with pytest.raises(InvalidInputError, match="expected one of"):
        again.fit(data.X, data.C)


def test_nothing_is_half_written(data, tmp_path: Path) -> None:
    model = PredictThenOptimizeRegressor(data.oracle)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "m")
    model.fit(data.X, data.C).save(tmp_path / "m")
    first = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}
    other = PredictThenOptimizeRegressor(FromCallable(lambda c: np.zeros_like(c), 12))
    with pytest.raises(UnsupportedError):
        other.fit(data.X, data.C).save(tmp_path / "m")
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == first
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    model.fit(2 * data.X, data.C).save(tmp_path / "m")  # replaces the older model
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} != first
    (tmp_path / "mine").mkdir()
    with pytest.raises(InvalidInputError, match="is no model's folder; nothing was written"):
        model.save(tmp_path / "mine")


@pytest.mark.parametrize("name", ["least squares", "mlp"])
def test_what_was_changed_is_refused(name: str, data, tmp_path: Path) -> None:
    makers(data.oracle)[name].fit(data.X, data.C).save(tmp_path / "m")
    folder = tmp_path / "m"
    for file in sorted(folder.iterdir()):
        good = file.read_bytes()
        for place in np.linspace(0, len(good) - 1, 15).astype(int):
            bad = bytearray(good)
            bad[place] ^= 1
            file.write_bytes(bytes(bad))
            with pytest.raises(InvalidInputError):
                dfl.load(folder)
        file.unlink()
        with pytest.raises(InvalidInputError):
            dfl.load(folder)
        file.write_bytes(good)
    dfl.load(folder)


def test_foreign_folders_are_refused(data, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dfl.load(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="is no model's folder"):
        dfl.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InvalidInputError, match="of another kind"):
        dfl.load(tmp_path)
    PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C).save(tmp_path / "m")
    with pytest.raises(
        InvalidInputError, match="holds a PredictThenOptimizeRegressor, expected a Decision"
    ):
        DecisionFocusedRegressor.load(tmp_path / "m")
    assert isinstance(BaseDecisionEstimator.load(tmp_path / "m"), PredictThenOptimizeRegressor)


class Harmful(Ridge):
    """A class that a foreign file might name."""


def test_code_of_others_is_not_loaded(data, tmp_path: Path) -> None:
    model = PredictThenOptimizeRegressor(data.oracle, Harmful()).fit(data.X, data.C)
    model.save(tmp_path / "m")
    with pytest.raises(InvalidInputError, match="Harmful; only scikit-learn's own are loaded"):
        dfl.load(tmp_path / "m")
