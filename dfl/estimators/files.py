"""Fitted estimators to folders and back, without pickle."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

import dfl.estimators
from dfl.estimators._model_folder import read_folder, write_folder
from dfl.estimators._scaling import Scaling
from dfl.estimators._trees import Trees
from dfl.estimators.leaderboard import LeaderboardRow, Verdict
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss
from dfl.training import make_optimizer
from dfl.training.checkpoint import pack_optimizer, unpack_optimizer
from dfl_solvers.recourse.discard import Discard
from dfl_solvers.recourse.reoptimize import Reoptimize
from dfl_solvers.recourse.rescale import Rescale
from dfl_solvers.serialization import load_oracle, save_oracle
from dfl_solvers.wrappers import Counts

_TENSORS = "weights.safetensors"
_ORACLE = "oracle.npz"
# the values of these classes are stored field by field
_RECORDS: dict[str, type] = {
    "Counts": Counts,
    "Discard": Discard,
    "LeaderboardRow": LeaderboardRow,
    "Reoptimize": Reoptimize,
    "Rescale": Rescale,
    "Scaling": Scaling,
    "Trees": Trees,
    "Verdict": Verdict,
}
# inner parts of scikit-learn's regressors that hold numbers only, beside those that skops knows
_HARMLESS = (
    "sklearn._loss.loss.",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process.kernels.",
    "sklearn.metrics._dist_metrics.",
    "sklearn.neighbors._ball_tree.",
    "sklearn.neighbors._kd_tree.",
    "sklearn.neural_network._stochastic_optimizers.",
    "sklearn.tree._tree.Tree",
)
# marks what JSON has no word for
_KIND = "$kind"


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save a fitted estimator; see ``BaseDecisionEstimator.save``."""
    writer = _Writer(getattr(estimator, "oracle", None))
    content = {"class": type(estimator).__name__, "state": writer.state(estimator, "")}
    write_folder(path, content, writer.parts)


def load(path: str | os.PathLike[str], predictor: nn.Module | None = None) -> Any:
    """Load an estimator that its method ``save`` saved.

    Nothing in the folder is run: it names classes of this package and of scikit-learn, and holds
    numbers. Folders from elsewhere are safe to open.

    Parameters
    ----------
    path : path
        The folder.
    predictor : nn.Module, optional
        Where the estimator was given a module of your own: one of the same architecture. It is
        copied, and the saved weights are put into the copy.

    Returns
    -------
    Estimator
        With the same parameters, predictions and decisions.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InvalidInputError
        If the folder is of another kind or of a newer version, a file is missing or was changed,
        or the predictor is missing or has another architecture.

    Examples
    --------
    >>> import tempfile
    >>> import dfl
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(100, random_state=0)
    >>> model = dfl.PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model")
    ...     again = dfl.load(f"{folder}/model")
    >>> bool((again.predict(data.X) == model.predict(data.X)).all())
    True
    """
    return load_as(path, _leaf, predictor)


def load_as(
    path: str | os.PathLike[str], leaf_of: Callable[[str], Any], module: nn.Module | None
) -> Any:
    """Load an estimator of the class that a function finds for its name; see ``load``."""
    content = read_folder(path)
    try:
        leaf = leaf_of(content["class"])
        estimator = _Reader(Path(path), module).estimator(leaf, content["state"])
    except InvalidInputError as error:
        raise InvalidInputError(f"{os.fspath(path)}: {error}") from error
    except (KeyError, TypeError, AttributeError, SafetensorError, ValueError) as error:
        raise InvalidInputError(
            f"{os.fspath(path)} does not describe an estimator of this version: "
            f"{type(error).__name__}: {error}"
        ) from error
    return estimator


def _leaf(name: str) -> type:
    leaf = getattr(dfl.estimators, name) if name in dfl.estimators.__all__ else None
    if not isinstance(leaf, type) or not issubclass(leaf, dfl.estimators.BaseDecisionEstimator):
        raise InvalidInputError(
            f"got an estimator of class {name!r}, expected one of dfl.estimators; others are "
            f"loaded by their own class: {name}.load(path)"
        )
    return leaf


class _Writer:
    """Turns values into JSON, and collects what goes to files of its own."""

    def __init__(self, oracle: Any) -> None:
        self.oracle = oracle
        self.parts: dict[str, Any] = {}
        self._tensors: dict[str, Tensor] = {}

    def state(self, estimator: Any, prefix: str) -> dict[str, Any]:
        """Encode the attributes of an estimator."""
        # requests of metadata routing are scikit-learn's own objects, and not needed to predict
        attributes = {k: v for k, v in vars(estimator).items() if k != "_metadata_request"}
        return {name: self.encode(value, prefix + name) for name, value in attributes.items()}

    def encode(self, value: Any, name: str) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value.item() if isinstance(value, np.generic) else value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, f"{name}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {_KIND: "tuple", "items": items}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value) and _KIND not in value:
                return {key: self.encode(item, f"{name}.{key}") for key, item in value.items()}
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            self._add(name, torch.from_numpy(np.array(value, order="C")))
            return {_KIND: "array", "name": name}
        elif isinstance(value, np.ndarray):  # names of features and of outputs
            if all(isinstance(item, str) for item in value.ravel()):
                return {_KIND: "names", "items": value.tolist()}
        elif isinstance(value, os.PathLike):
            return os.fspath(value)
        elif isinstance(value, AbstractLoss):
            return {_KIND: "unsaved", "repr": repr(value)}
        elif isinstance(value, nn.Module):
            for key, tensor in value.state_dict().items():
                self._add(f"{name}.{key}", tensor)
            return {_KIND: "module", "name": name, "training": value.training}
        elif isinstance(value, torch.optim.Optimizer):
            tensors, values = pack_optimizer(value)
            for key, tensor in tensors.items():
                self._add(f"{name}.{key}", tensor)
            groups = self.encode(values["param_groups"], name)
            rule = type(value).__name__.lower()
            return {_KIND: "optimizer", "name": name, "rule": rule, "groups": groups}
        elif type(value).__name__ in _RECORDS:
            fields = {
                field.name: self.encode(getattr(value, field.name), f"{name}.{field.name}")
                for field in dataclasses.fields(value)
            }
            return {_KIND: "record", "class": type(value).__name__, "fields": fields}
        elif hasattr(value, "solve") and (name == "oracle" or value is self.oracle):
            self.parts[_ORACLE] = lambda path: save_oracle(value, path)
            return {_KIND: "oracle"}
        elif isinstance(value, dfl.estimators.BaseDecisionEstimator):
            state = self.state(value, f"{name}.")
            return {_KIND: "estimator", "class": type(value).__name__, "state": state}
        elif isinstance(value, Pipeline) and isinstance(
            value[-1], dfl.estimators.BaseDecisionEstimator
        ):
            steps = [[key, self.encode(step, f"{name}.{key}")] for key, step in value.steps]
            return {_KIND: "pipeline", "steps": steps}
        elif isinstance(value, BaseEstimator):
            import skops.io

            # steps of a pipeline may have any characters in their names
            file = f"{quote(name, safe='')}.skops"
            self.parts[file] = lambda path: skops.io.dump(value, path)
            return {_KIND: "sklearn", "file": file}
        # a splitter, a generator, a callback: not needed to predict, and code is not stored
        return {_KIND: "unsaved", "repr": repr(value)}

    def _add(self, name: str, tensor: Tensor) -> None:
        # clones, since safetensors refuses tensors that share memory
        self._tensors[name] = tensor.detach().cpu().clone().contiguous()
        self.parts[_TENSORS] = lambda path: save_file(self._tensors, path)


class _Reader:
    """Turns JSON back into values."""

    def __init__(self, folder: Path, own: nn.Module | None) -> None:
        self.folder = folder
        self.own = own
        file = folder / _TENSORS
        self._tensors = load_file(file) if file.exists() else {}
        self._modules: dict[str, bool] = {}
        self._optimizers: dict[str, tuple[str, Any]] = {}

    def estimator(self, leaf: type, state: dict[str, Any]) -> Any:
        """Make an estimator of a class with these attributes."""
        # the modules of an estimator are made after its other values, for which they are needed
        outer = self._modules, self._optimizers
        self._modules, self._optimizers = {}, {}
        estimator: Any = object.__new__(leaf)
        for name, value in state.items():
            setattr(estimator, name, self.decode(value))
        self._finish(estimator)
        self._modules, self._optimizers = outer
        return estimator

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value.get(_KIND)
        if kind is None:
            return {key: self.decode(item) for key, item in value.items()}
        if kind == "tuple":
            return tuple(self.decode(item) for item in value["items"])
        if kind == "array":
            return self._tensors[value["name"]].numpy()
        if kind == "names":
            return np.array(value["items"], dtype=object)
        if kind == "record":
            fields = {name: self.decode(item) for name, item in value["fields"].items()}
            return _RECORDS[value["class"]](**fields)
        if kind == "estimator":
            return self.estimator(_leaf(value["class"]), value["state"])
        if kind == "pipeline":
            return Pipeline([(name, self.decode(step)) for name, step in value["steps"]])
        if kind == "oracle":
            return load_oracle(self.folder / _ORACLE)
        if kind == "sklearn":
            return _load_sklearn(self.folder / Path(value["file"]).name)
        if kind == "module":
            self._modules[value["name"]] = value["training"]
            return None
        if kind == "optimizer":
            self._optimizers[value["name"]] = value["rule"], self.decode(value["groups"])
            return None
        if kind == "unsaved":
            return value["repr"]
        raise InvalidInputError(f"got a value of kind {kind!r}")

    def _finish(self, estimator: Any) -> None:
        """Make the modules and their optimizers, for which the other values are needed."""
        for name, training in self._modules.items():
            module = self._module(estimator, self._part(name))
            setattr(estimator, _last(name), module.train(training))
        for name, (rule, groups) in self._optimizers.items():
            optimizer: torch.optim.Optimizer | None
            try:
                optimizer = make_optimizer(rule, estimator.predictor_, 1.0)
                unpack_optimizer(optimizer, self._part(name), {"param_groups": groups})
            except (InvalidInputError, ValueError):
                optimizer = None  # a module with frozen parts predicts, and trains on afresh
            setattr(estimator, _last(name), optimizer)

    def _part(self, name: str) -> dict[str, Tensor]:
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self._tensors.items()
            if key.startswith(prefix)
        }

    def _module(self, estimator: Any, weights: dict[str, Tensor]) -> nn.Module:
        module: nn.Module | None = estimator._module(weights) or copy.deepcopy(self.own)
        if module is None:
            raise InvalidInputError(
                "the predictor is a module of your own, whose code is not stored; pass one of the "
                "same architecture: load(path, predictor=...)"
            )
        floating = {t.dtype for t in weights.values() if t.is_floating_point()}
        if len(floating) == 1:  # with several the module knows which part has which
            module = module.to(floating.pop())
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise InvalidInputError(
                f"the predictor has another architecture than the saved one: {error}"
            ) from error
        return module


def _last(name: str) -> str:
    """Return the attribute's own name, without those of the estimators around."""
    return name.rpartition(".")[2]


def _load_sklearn(path: Path) -> Any:
    """Load a scikit-learn object if all that it is made of is known to be harmless."""
    import skops.io

    unknown = skops.io.get_untrusted_types(file=path)
    foreign = [name for name in unknown if not name.startswith(_HARMLESS)]
    if foreign:
        raise InvalidInputError(
            f"{path.name} holds objects of {', '.join(foreign)}; only scikit-learn's own are loaded"
        )
    return skops.io.load(path, trusted=unknown)
