"""A step of torch's optimizers by compiled code: the same up to rounding, without overhead."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl.training import _linear_kernels as kernels
from dfl_solvers.kernels import run
from dfl_solvers.oracle import Array

# more parameters than this are left to torch, which shares them among threads
_LARGE = 1 << 17

_RULES = {
    torch.optim.Adam: kernels.ADAM,
    torch.optim.AdamW: kernels.ADAMW,
    torch.optim.SGD: kernels.SGD,
}
# what a plain optimizer has switched off
_PLAIN = {"amsgrad": False, "maximize": False, "momentum": 0, "differentiable": False}


def rule_of(optimizer: torch.optim.Optimizer) -> int | None:
    """Return which compiled rule is this optimizer's; None if none is."""
    rule = _RULES.get(type(optimizer))
    groups = optimizer.param_groups
    plain = all(group.get(key, off) == off for group in groups for key, off in _PLAIN.items())
    known = all(
        p.device.type == "cpu" and p.dtype in (torch.float32, torch.float64) and p.is_contiguous()
        for group in groups
        for p in group["params"]
    )
    size = sum(p.numel() for group in groups for p in group["params"])
    return rule if plain and known and size <= _LARGE else None


def rates_of(group: dict[str, Any]) -> Array:
    """Return the numbers of a parameter group that the compiled rules read."""
    beta1, beta2 = group.get("betas", (0.0, 0.0))
    return np.array([group["lr"], beta1, beta2, group.get("eps", 0.0), group["weight_decay"]])


def state_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """Return the optimizer's own state of a parameter, as its first step would make it."""
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state and not isinstance(optimizer, torch.optim.SGD):
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["exp_avg"] = torch.zeros_like(parameter, requires_grad=False)
        state["exp_avg_sq"] = torch.zeros_like(parameter, requires_grad=False)
    return state


@final
class Step:
    """Step an optimizer, its state and its parameters kept where torch keeps them.

    Plain Adam, AdamW and SGD over not too many parameters on the CPU are compiled; of a small
    model, torch's own step would be the largest cost in training. Others step as they do.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.rule = rule_of(optimizer)
        self._rates: list[Array] = []
        self._bound: list[tuple[Tensor, Array, Array, Array, Array, Array]] = []
        if self.rule is None:
            return
        for group in optimizer.param_groups:
            rates = rates_of(group)
            self._rates.append(rates)
            for p in group["params"]:
                weights = p.detach().numpy().reshape(-1)
                state = state_of(optimizer, p)
                mean = square = weights[:0]
                count = np.zeros(1, np.float32)
                if state:
                    mean, square = (state[k].numpy().reshape(-1) for k in ("exp_avg", "exp_avg_sq"))
                    count = state["step"].numpy().reshape(1)
                self._bound.append((p, weights, mean, square, rates, count))
                none = weights[:0]  # compiled here, if need be
                run(kernels.step, 0, none, none, none, none, self.rule, rates, count)

    def start(self) -> None:
        """Read the rates, which may change between epochs."""
        for rates, group in zip(self._rates, self.optimizer.param_groups, strict=False):
            rates[:] = rates_of(group)

    def __call__(self) -> None:
        """Take a step along the gradients that the parameters hold."""
        if self.rule is None:
            self.optimizer.step()
            return
        for p, weights, mean, square, rates, count in self._bound:
            if p.grad is not None:
                slope = p.grad.numpy().reshape(-1)
                kernels.step(0, 1, weights, slope, mean, square, self.rule, rates, count)
