"""What ``_writer`` wrote, back into values: numbers, and classes that are known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from dfl.estimators._writer import KIND, ORACLE, RECORDS, TENSORS
from dfl.exceptions import InvalidInputError
from dfl.training import make_optimizer
from dfl.training.checkpoint import unpack_optimizer
from dfl_solvers.serialization import load_oracle

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


class Reader:
    """Turns JSON back into values."""

    def __init__(self, folder: Path, own: nn.Module | None, leaf_of: Callable[[str], type]) -> None:
        self.folder = folder
        self.leaf_of = leaf_of
        self.own = own
        file = folder / TENSORS
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
        kind = value.get(KIND)
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
            return RECORDS[value["class"]](**fields)
        if kind == "estimator":
            return self.estimator(self.leaf_of(value["class"]), value["state"])
        if kind == "pipeline":
            return Pipeline([(name, self.decode(step)) for name, step in value["steps"]])
        if kind == "oracle":
            return load_oracle(self.folder / ORACLE)
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
