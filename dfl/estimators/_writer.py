"""The values of a fitted estimator as JSON, with files for what JSON has no word for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from dfl.estimators._scaling import Scaling
from dfl.estimators._trees import Trees
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.leaderboard import LeaderboardRow, Verdict
from dfl.losses import AbstractLoss
from dfl.training.checkpoint import pack_optimizer
from dfl_solvers.recourse.discard import Discard
from dfl_solvers.recourse.reoptimize import Reoptimize
from dfl_solvers.recourse.rescale import Rescale
from dfl_solvers.serialization import save_oracle
from dfl_solvers.wrappers import Counts

TENSORS = "weights.safetensors"
ORACLE = "oracle.npz"
# the values of these classes are stored field by field
RECORDS: dict[str, type] = {
    "Counts": Counts,
    "Discard": Discard,
    "LeaderboardRow": LeaderboardRow,
    "Reoptimize": Reoptimize,
    "Rescale": Rescale,
    "Scaling": Scaling,
    "Trees": Trees,
    "Verdict": Verdict,
}
# marks what JSON has no word for
KIND = "$kind"


class Writer:
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
            return items if isinstance(value, list) else {KIND: "tuple", "items": items}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value) and KIND not in value:
                return {key: self.encode(item, f"{name}.{key}") for key, item in value.items()}
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            self._add(name, torch.from_numpy(np.array(value, order="C")))
            return {KIND: "array", "name": name}
        elif isinstance(value, np.ndarray):  # names of features and of outputs
            if all(isinstance(item, str) for item in value.ravel()):
                return {KIND: "names", "items": value.tolist()}
        elif isinstance(value, os.PathLike):
            return os.fspath(value)
        elif isinstance(value, AbstractLoss):
            return {KIND: "unsaved", "repr": repr(value)}
        elif isinstance(value, nn.Module):
            for key, tensor in value.state_dict().items():
                self._add(f"{name}.{key}", tensor)
            return {KIND: "module", "name": name, "training": value.training}
        elif isinstance(value, torch.optim.Optimizer):
            tensors, values = pack_optimizer(value)
            for key, tensor in tensors.items():
                self._add(f"{name}.{key}", tensor)
            groups = self.encode(values["param_groups"], name)
            rule = type(value).__name__.lower()
            return {KIND: "optimizer", "name": name, "rule": rule, "groups": groups}
        elif type(value).__name__ in RECORDS:
            fields = {
                field.name: self.encode(getattr(value, field.name), f"{name}.{field.name}")
                for field in dataclasses.fields(value)
            }
            return {KIND: "record", "class": type(value).__name__, "fields": fields}
        elif hasattr(value, "solve") and (name == "oracle" or value is self.oracle):
            self.parts[ORACLE] = lambda path: save_oracle(value, path)
            return {KIND: "oracle"}
        elif isinstance(value, BaseDecisionEstimator):
            state = self.state(value, f"{name}.")
            return {KIND: "estimator", "class": type(value).__name__, "state": state}
        elif isinstance(value, Pipeline) and isinstance(value[-1], BaseDecisionEstimator):
            steps = [[key, self.encode(step, f"{name}.{key}")] for key, step in value.steps]
            return {KIND: "pipeline", "steps": steps}
        elif isinstance(value, BaseEstimator):
            import skops.io

            # steps of a pipeline may have any characters in their names
            file = f"{quote(name, safe='')}.skops"
            self.parts[file] = lambda path: skops.io.dump(value, path)
            return {KIND: "sklearn", "file": file}
        # a splitter, a generator, a callback: not needed to predict, and code is not stored
        return {KIND: "unsaved", "repr": repr(value)}

    def _add(self, name: str, tensor: Tensor) -> None:
        # clones, since safetensors refuses tensors that share memory
        self._tensors[name] = tensor.detach().cpu().clone().contiguous()
        self.parts[TENSORS] = lambda path: save_file(self._tensors, path)
