"""An oracle whose derivative is taken to be minus the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor

from dfl import _bridge
from dfl.exceptions import InvalidInputError
from dfl.layers.base import AbstractLayer
from dfl_solvers.oracle import Oracle

_PROJECTIONS = ("none", "mean", "norm", "both")


@final
class IdentityLayer(AbstractLayer):
    r"""The exact decision, with minus the identity as its derivative: the cheapest layer.

    One solve an instance, none backward, and nothing to tune.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    projection : {"none", "mean", "norm", "both"}, default="none"
        What is taken out of the costs before the oracle sees them, so that the gradient does not
        push where decisions cannot change: ``"mean"``, their mean, which needs decisions of equal
        sum (``Simplex``, ``TopK``, ``Assignment``); ``"norm"``, their length, which needs an
        objective that is exactly ``c.w``; or both.

    Raises
    ------
    InvalidInputError
        If there is no such projection.

    Notes
    -----
    The output is ``w*(P(c))`` and the gradient for an incoming gradient u is ``-J_P(c)' u``, where
    P is the projection. As decisions move against their costs, minus the identity is the simplest
    derivative that points the right way. "Both" is the mean first, then the norm.

    References
    ----------
    Sahoo et al., "Backpropagation through Combinatorial Algorithms: Identity with Projection
    Works", ICLR 2023, arXiv 2205.15213.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import IdentityLayer
    >>> from dfl_solvers import Simplex
    >>> costs = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> decisions = IdentityLayer(Simplex(2), projection="mean")(costs)
    >>> (decisions * torch.tensor([[3.0, 0.0]])).sum().backward()
    >>> decisions.detach(), costs.grad
    (tensor([[1., 0.]]), tensor([[-1.5000,  1.5000]]))
    """

    def __init__(
        self, oracle: Oracle, projection: Literal["none", "mean", "norm", "both"] = "none"
    ) -> None:
        super().__init__(oracle)
        if projection not in _PROJECTIONS:
            raise InvalidInputError(
                f"IdentityLayer: got projection={projection!r}, expected one of: "
                f"{', '.join(_PROJECTIONS)}"
            )
        self.projection = projection

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Optimal decisions (n, d); see ``AbstractLayer``."""
        if self.projection in ("mean", "both"):
            costs = _centered(costs, None if instance is None else instance.get("mask"))
        if self.projection in ("norm", "both"):
            costs = torch.nn.functional.normalize(costs, dim=1)
        decisions = _bridge.decisions(self.oracle, costs, instance)
        return decisions - (costs - costs.detach()) if costs.requires_grad else decisions


def _centered(costs: Tensor, mask: Any) -> Tensor:
    """Costs less their mean over the coordinates that are no padding."""
    if mask is None:
        return costs - costs.mean(1, keepdim=True)
    real = torch.as_tensor(mask, dtype=costs.dtype, device=costs.device)
    return (costs - costs.sum(1, keepdim=True) / real.sum(1, keepdim=True)) * real
