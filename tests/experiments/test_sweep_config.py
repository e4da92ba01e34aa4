"""Sweeps as they are written: grids, predictors, spaces, and mistakes that are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dfl.exceptions import InvalidInputError
from dfl_experiments.config_file import load
from dfl_experiments.space import Range, corners, grid
from dfl_experiments.sweep.commands import _default_folder
from dfl_experiments.sweep.config import SweepConfig, load_sweep
from dfl_experiments.sweep.tuners import GridTuner, OptunaTuner

SWEEP = {
    "name": "small",
    "problems": {
        "grid": {"kind": "shortest-path", "each": {"degree": [1, 6], "noise": [0.0, 0.5]}},
        "knapsack": {"kind": "knapsack"},
    },
    "predictors": {"linear": {"predictor": "linear"}, "mlp": {"predictor": "mlp"}},
    "methods": [
        {"name": "least squares", "estimator": "two-stage"},
        {"name": "spo+", "estimator": "decision-focused", "tune": {"learning_rate": [0.01, 0.1]}},
        {
            "name": "perturbed",
            "estimator": "decision-focused",
            "loss": "perturbed-fenchel-young",
            "predictor": "mlp",
            "each": {"loss_parameters.sigma": [0.5, 1.0]},
            "tune": {"learning_rate": [0.01, 0.1]},
        },
    ],
    "seeds": "0:3",
}


@pytest.fixture
def written(tmp_path: Path):
    def write(**changed: object) -> str:
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, **changed}))
        return str(path)

    return write


def test_grids_and_predictors_are_written_out(written) -> None:
    config = load_sweep(written(), ["problems.knapsack.n_items=8", "methods.spo+.max_iter=3"])
    assert [name for name, _ in config.parts()] == [
        "grid degree=1 noise=0.0", "grid degree=1 noise=0.5",
        "grid degree=6 noise=0.0", "grid degree=6 noise=0.5", "knapsack",
    ]  # fmt: skip
    assert config.problems["grid degree=6 noise=0.0"].degree == 6
    assert config.problems["knapsack"].n_items == 8
    assert {m.name: getattr(m, "predictor", None) for m in config.methods} == {
        "least squares": None,
        "spo+ | linear": "linear",
        "spo+ | mlp": "mlp",
        # it says its predictor itself
        "perturbed loss_parameters.sigma=0.5 | mlp": "mlp",
        "perturbed loss_parameters.sigma=1.0 | mlp": "mlp",
    }
    assert config.methods[1].max_iter == 3
    assert config.methods[4].loss_parameters == {"sigma": 1.0}
    assert config.n_trials == 2
    assert config.seeds == (0, 1, 2)
    assert SweepConfig.model_validate(config.model_dump()) == config


def spo(**tune: object) -> list[dict]:
    return [{"name": "spo+", "estimator": "decision-focused", "tune": tune}]


TWO = [*spo(learning_rate=[0.1]), {**spo(learning_rate=[0.1, 1])[0], "name": "b"}]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": spo(learning_rat=[1])}, "methods.spo+ | linear.tune: got 'learning_rat'"),
        ({"methods": spo(name=["a"])}, "got 'name', expected one of: loss"),
        ({"methods": spo(learning_rate=[])}, "tune.learning_rate: got [], expected list should"),
        ({"methods": spo(learning_rate=3)}, "tune.learning_rate: got 3, expected a valid list"),
        ({"methods": spo(learning_rate={"low": 1, "high": 1})}, "expected low < high"),
        ({"methods": spo(learning_rate={"low": 0, "high": 1, "log": True})}, "a positive number"),
        ({"methods": spo(learning_rate={"low": 1, "high": 2, "lo": 1})}, "lo: unknown key"),
        ({"methods": spo(learning_rate={"low": 1, "high": 2})}, "got a range, expected a list"),
        ({"methods": spo(learning_rate=[0.1, -1])}, "got -1, expected a number greater than 0"),
        ({"methods": spo(optimizer=["adam", "adamm"])}, "got 'adamm', expected one of: adam"),
        ({"methods": TWO}, "expected as many for each"),
        ({"trials": 3}, "trials: got 3, but the grids have 2 each"),
        ({"tuner": "optuna"}, "trials: missing"),
        ({"tuner": "random"}, "tuner: got 'random', expected one of: grid, optuna"),
        ({"trial_seed": 2}, "trial_seed: got 2, expected none of the seeds"),
        ({"metrics": ["volatility"]}, "is for problems with dated returns"),
        ({"metrics": ["regrets"]}, "metrics: got 'regrets'"),
        ({"predictors": ["linear"]}, "predictors: got ['linear'], expected names with fields"),
        ({"problems": {"a": {"kind": "knapsack", "each": [1]}}}, "problems.a.each: got [1]"),
        ({"problems": {"a": {"kind": "knapsack", "item": 1}}}, "problems.a.item: unknown key"),
        ({"problems": {"a": {"kind": "knapsac"}}}, "did you mean 'knapsack'"),
        ({"problems": {"a": {}}}, "problems.a: missing 'kind'"),
        ({"problems": {}}, "problems: got {}"),
        ({"methods": [SWEEP["methods"][0]] * 2}, "the name 'least squares' is taken"),
        ({"timeout": 0}, "timeout: got 0, expected a number greater than 0"),
        ({"tim": 0}, "did you mean"),
        ({"methods": spo(**{"max_iter.x": [1]})}, "tune: got 'max_iter.x', expected 'max_iter'"),
        ({"methods": [{**TWO[0], "max_iter": 1, "each": {"max_iter.x": [1]}}]}, "methods.0.each: "),
        ({"methods": [{"estimator": "decision-focused"}]}, "methods.0.name: missing"),
        ({"methods": [{**TWO[0], "predictor": "mpl"}]}, "predictor: got 'mpl', expected one of"),
        ({"predictors": {"a": {"predictr": "mlp"}}}, "predictors: got the field 'predictr'"),
        ({"seeds": "a"}, "seeds: got 'a', expected seeds such as 0:10"),
        ({"methods": spo(learning_rate={"low": "a", "high": 2})}, "rate.low: got 'a', expected"),
    ],
)
def test_mistakes_name_the_key(written, changed: dict, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_sweep(written(**changed))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_said_twice_counts_once(written) -> None:
    config = load_sweep(written(seeds=[1, 0, 1], metrics=["normalized-regret"] * 2))
    assert config.seeds == (1, 0)
    assert config.metrics == ("normalized-regret",)


def test_a_method_with_a_predictor_of_no_class_stays_as_it_is(written) -> None:
    (method,) = load_sweep(written(methods=[{**TWO[0], "predictor": "convolution"}])).methods
    assert (method.name, method.predictor) == ("spo+", "convolution")


def test_combinations_are_counted_without_making_them(written) -> None:
    tune = {key: list(range(1, 500)) for key in ("max_iter", "n_iter_no_change", "batch_size")}
    assert load_sweep(written(methods=spo(**tune))).n_trials == 499**3


def test_more_trials_and_seeds_share_a_folder(written) -> None:
    folder = _default_folder(load_sweep(written()))
    many = load_sweep(written(tuner="optuna"), seeds="0:9", trials=7, timeout=5)
    more = load_sweep(written(tuner="optuna"), trials=9)
    assert _default_folder(many) == _default_folder(more) != folder
    assert _default_folder(load_sweep(written(), ["problems.knapsack.n_items=9"])) != folder


def test_a_run_is_no_sweep_and_a_sweep_no_run(written) -> None:
    with pytest.raises(InvalidInputError, match="run it by: dfl run shortest-path"):
        load_sweep("shortest-path")
    with pytest.raises(InvalidInputError, match="is a sweep; run it by: dfl sweep"):
        load(written())
    with pytest.raises(InvalidInputError, match=r"methods.spo\+.tune: this is for a sweep"):
        load("shortest-path", ["methods.spo+.tune={learning_rate: [1, 2]}"])


def test_corners_have_every_value_and_every_bound() -> None:
    space = {"a": (1, 2, 3), "b": Range(low=0.5, high=2)}
    assert corners(space) == [{"a": 1, "b": 0.5}, {"a": 2, "b": 2}, {"a": 3, "b": 2}]
    assert corners({}) == []
    assert len(grid({"a": (1, 2, 3), "b": (1, 2)})) == 6


def test_suggestions_follow_from_study_number_and_results() -> None:
    space = {
        "rate": Range(low=1e-3, high=1.0, log=True),
        "depth": Range(low=2, high=9),
        "loss": (["a"], ["b"]),
    }

    def suggested(study: str, values: list[float | None]) -> list[dict]:
        tuner, found = OptunaTuner(space, study), []
        for value in values:
            found.append(tuner.ask())
            tuner.tell(value)
        return found

    values = [3.0, None, 1.0, 2.0, 0.5, 0.7, 0.2, 0.1]
    first = suggested("a", values)
    assert first == suggested("a", values)
    assert first[:5] == suggested("a", values[:5])
    assert first != suggested("b", values)
    # what was told matters
    assert first[:4] == suggested("a", [1.0, 2.0, 3.0, None, *values[4:]])[:4]
    assert first[5:] != suggested("a", [1.0, 2.0, 3.0, None, *values[4:]])[5:]
    for setting in first:
        assert 1e-3 <= setting["rate"] <= 1
        assert isinstance(setting["depth"], int)
        assert setting["loss"] in (["a"], ["b"])
    tuner = GridTuner({"a": (1, 2)})
    assert [tuner.ask(), tuner.ask()] == [{"a": 1}, {"a": 2}]


def test_the_sampler_comes_closer_to_the_best() -> None:
    tuner, tried = OptunaTuner({"x": Range(low=0.0, high=1.0)}, "study"), []
    for _ in range(40):
        x = tuner.ask()["x"]
        tuner.tell((x - 0.3) ** 2)
        tried.append(abs(x - 0.3))
    assert sum(tried[-10:]) < 0.5 * sum(tried[:10])
