"""A training state in one file: no pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfl.exceptions import TrainingError

_FORMAT = "dfl-checkpoint-1"


@final
class Checkpoint:
    """Keep the state of a training run on disk, so that a killed run continues where it was.

    One safetensors file holds every tensor; a JSON text in its header holds everything else.

    Parameters
    ----------
    path : str or Path
        The file. It is replaced in one step, so that it is never half-written.
    fingerprint : str
        Identifies the training run; a file with another fingerprint is refused.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str) -> None:
        self.path = Path(path)
        self.fingerprint = fingerprint

    def save(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Write named tensors and JSON-able values.

        Raises
        ------
        TrainingError
            If the file cannot be written, or a value is no number, text or list of such; an older
            file is left as it was.
        """
        unique = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        scratch = None
        try:
            header = {
                "format": _FORMAT,
                "fingerprint": self.fingerprint,
                "values": json.dumps(dict(values), default=float),  # NumPy's numbers, say
            }
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(prefix=self.path.name, dir=self.path.parent)
            os.close(handle)
            save_file(unique, scratch, metadata=header)
            os.replace(scratch, self.path)
        except (OSError, SafetensorError, TypeError, ValueError) as error:
            if scratch is not None:
                Path(scratch).unlink(missing_ok=True)
            raise TrainingError(f"checkpoint {self.path} cannot be written: {error}") from error

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read what ``save`` wrote; None if there is no file.

        Raises
        ------
        TrainingError
            If the file is damaged, of another kind, or of another training run.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = header.get("format")
            if found == _FORMAT:
                values = json.loads(header["values"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise TrainingError(
                f"checkpoint {self.path} is damaged ({error}); remove it to start again"
            ) from error
        if found != _FORMAT:
            raise TrainingError(f"{self.path}: got format {found!r}, expected {_FORMAT!r}")
        if header.get("fingerprint") != self.fingerprint:
            raise TrainingError(
                f"checkpoint {self.path} belongs to another training run (other data, parameters "
                "or seed); remove it or choose another path"
            )
        return tensors, values


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's state into named tensors and JSON-able values."""
    state = optimizer.state_dict()
    tensors = {
        f"optimizer.{index}.{name}": value
        for index, entry in state["state"].items()
        for name, value in entry.items()
        if isinstance(value, Tensor)
    }
    return tensors, {"param_groups": state["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Put back what ``pack_optimizer`` took out."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": values["param_groups"]})
