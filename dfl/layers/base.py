"""The base of every layer: sign, padding and checks, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Oracle, minimizing


class AbstractLayer(nn.Module, ABC):
    """A map from costs to decisions with a useful gradient, where that of an oracle is zero.

    A leaf writes ``decide``, which knows only minimization. Put a layer at the end of a network,
    and any loss of its decisions trains the network.

    Parameters
    ----------
    oracle : Oracle
        The oracle; for a maximizing one, the values change sign here, once, and ``self.oracle`` is
        the minimizing oracle it wraps.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the noise of a layer that samples: seed it to repeat a run.

    Raises
    ------
    InvalidInputError
        If ``oracle`` is none.
    """

    generator: torch.Generator | None = None

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        if not hasattr(oracle, "solve"):
            raise InvalidInputError(
                f"{type(self).__name__}: got oracle={oracle!r}, expected an object with a method "
                "solve(costs), such as dfl_solvers.GridShortestPath(5, 5)"
            )
        self.oracle, self.sign = minimizing(oracle)

    @abstractmethod
    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Return decisions (n, d) for costs (n, d) to be minimized, with a gradient in these."""

    @final  # type: ignore[misc]
    def forward(self, costs: Tensor, instance: Mapping[str, Any] | None = None) -> Tensor:
        """Decide for a batch.

        Parameters
        ----------
        costs : Tensor of shape (n, d)
            Costs (values, for a maximizing oracle), of any floating-point type.
        instance : mapping of str to ndarray, optional
            Per-instance data of the oracle, each array with leading n. Coordinates outside
            ``instance["mask"]`` are padding: their gradient is zero.

        Returns
        -------
        Tensor of shape (n, d)
            Decisions, or convex combinations of decisions, as the layer says.

        Raises
        ------
        InvalidInputError
            If the costs are no batch of numbers, or the oracle refuses them.
        """
        if costs.ndim != 2 or not costs.is_floating_point():
            raise InvalidInputError(
                f"{type(self).__name__}: got costs of shape {tuple(costs.shape)} and type "
                f"{costs.dtype}, expected floating-point numbers of shape (n, d)"
            )
        d = getattr(self.oracle, "n_costs", None)
        if d is not None and costs.shape[1] != d:
            raise InvalidInputError(
                f"{type(self).__name__}: got {costs.shape[1]} costs per instance, expected {d}, as "
                f"many as {type(self.oracle).__name__} has"
            )
        if self.sign == -1:
            costs = -costs
        if instance is not None and "mask" in instance:
            mask = torch.as_tensor(instance["mask"], dtype=torch.bool, device=costs.device)
            costs = torch.where(mask, costs, torch.zeros_like(costs))
        return self.decide(costs, instance)
