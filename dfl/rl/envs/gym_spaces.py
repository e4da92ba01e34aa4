"""Spaces of Gymnasium as what models show and take."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.exceptions import import_optional


@final
class Spaces:
    """How observations and actions of a Gymnasium environment become tensors and come from them.

    Parameters
    ----------
    observations : gymnasium.Space
        Of one environment. Arrays keep their shape; other spaces are flattened.
    actions : gymnasium.Space
        Of one environment: ``Discrete``, or a bounded ``Box``, whose actions are from -1 to 1 here.

    Raises
    ------
    MissingDependencyError
        If Gymnasium is not installed.
    UnsupportedError
        If actions are of another space.
    """

    def __init__(self, observations: Any, actions: Any) -> None:
        spaces = import_optional("gymnasium.spaces", "rl")
        self.n_actions: int | None = None
        self.action_dim: int | None = None
        if isinstance(actions, spaces.Discrete):
            self.n_actions = int(actions.n)
        elif isinstance(actions, spaces.Box) and actions.is_bounded():
            self.action_dim = int(np.prod(actions.shape))
        else:
            raise UnsupportedError(
                f"got actions {actions}, expected Discrete or a Box with bounds: wrap the "
                "environment"
            )
        self._observations = observations
        self._actions = actions
        self._is_array = isinstance(observations, spaces.Box)
        self._flatten = spaces.flatten

    def shown(self, observations: list[Any]) -> Tensor:
        """Return observations of n environments as a tensor of float32 of shape (n, ...)."""
        if self._is_array:
            rows = np.stack([np.asarray(o, dtype=np.float32) for o in observations])
        else:
            rows = np.stack(
                [
                    np.asarray(self._flatten(self._observations, o), dtype=np.float32)
                    for o in observations
                ]
            )
        return torch.from_numpy(rows)

    def taken(self, actions: Tensor, n: int) -> np.ndarray:
        """Return actions of n environments as they take them, with leading n."""
        space = self._actions
        shape = (n,) if self.action_dim is None else (n, self.action_dim)
        if actions.shape != shape or actions.is_floating_point() != (self.n_actions is None):
            kind = "floating point" if self.n_actions is None else "whole numbers"
            raise InvalidInputError(
                f"got actions of shape {tuple(actions.shape)} and {actions.dtype}, expected "
                f"{kind} of shape {shape}"
            )
        if self.n_actions is not None:
            return actions.cpu().numpy().astype(space.dtype) + space.start
        share = (actions.detach().cpu().double().clamp(-1, 1).numpy() + 1) / 2
        low, high = space.low.astype(float), space.high.astype(float)
        scaled = low + share.reshape(-1, *space.shape) * (high - low)
        if np.issubdtype(space.dtype, np.integer):
            # cut off, the largest would need exactly 1, which a policy hardly ever takes
            scaled = scaled.round()
        # rounding must not carry an action beyond the bounds
        return scaled.astype(space.dtype).clip(space.low, space.high)
