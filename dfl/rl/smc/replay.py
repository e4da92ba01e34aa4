"""The latest rollouts, kept to be learned from more than once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from dfl.rl.fitting import part


@final
class Replay:
    """Keep the latest rollouts of n sequences each, and give back random sequences of them.

    Parameters
    ----------
    n_rollouts : int
        A further one takes the place of the oldest.
    """

    def __init__(self, n_rollouts: int) -> None:
        self.n_rollouts = n_rollouts
        self.count = 0
        self._held: dict[str, Tensor] = {}

    def add(self, rollout: Mapping[str, Tensor]) -> None:
        """Keep a rollout: tensors by name, of shape (n, ...), of the same shapes each time."""
        if not self._held:
            self._held = {
                name: values.new_zeros(self.n_rollouts, *values.shape)
                for name, values in rollout.items()
            }
        place = self.count % self.n_rollouts
        for name, values in rollout.items():
            self._held[name][place] = values
        self.count += 1

    def sample(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw sequences, all as likely: tensors by name, of shape (size, ...)."""
        full = min(self.count, self.n_rollouts)
        flat = {name: values[:full].flatten(0, 1) for name, values in self._held.items()}
        n = len(next(iter(flat.values())))
        index = torch.randint(n, (size,), generator=generator, device=generator.device)
        return {name: values[index.to(values.device)] for name, values in flat.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that is kept."""
        return {
            "count": torch.tensor(self.count),
            **{f"held.{k}": v for k, v in self._held.items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        self.count = int(state["count"])
        self._held = part(state, "held.")
