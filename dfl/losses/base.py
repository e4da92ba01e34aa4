"""The base of every loss: sign, checks, filling in and reduction, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from dfl import _bridge
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle, minimizing


class AbstractLoss(nn.Module, ABC):
    """A surrogate of regret: model output and a ``Target`` in, one number per sample out.

    A leaf writes ``per_sample`` and declares in ``requires`` what it needs of the target
    (``"costs"``, ``"decisions"``, ``"objectives"``) and of the oracle (``"program"``). A pair of
    loss and oracle that cannot work is refused at construction.

    Parameters
    ----------
    oracle : Oracle
        The oracle; for a maximizing one, outputs and costs change sign here, once, and
        ``self.oracle`` is the minimizing oracle it wraps.

    Raises
    ------
    UnsupportedError
        If the loss needs the matrix form of the problem and the oracle has none.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    generator: torch.Generator | None = None

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        if not hasattr(oracle, "solve"):
            raise InvalidInputError(
                f"{type(self).__name__}: got oracle={oracle!r}, expected an object with a method "
                "solve(costs), such as dfl_solvers.GridShortestPath(5, 5)"
            )
        self.oracle, self.sign = minimizing(oracle)
        if "program" in self.requires and not hasattr(self.oracle, "program"):
            raise UnsupportedError(
                f"{type(self).__name__} does not go with {type(self.oracle).__name__}: it needs "
                "the oracle's matrix form (a method program()), which this oracle does not have"
            )

    @abstractmethod
    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss (n,) of outputs (n, d) for a complete target, in the sense of minimization."""

    @final  # type: ignore[misc]
    def forward(
        self,
        output: Tensor,
        target: Target,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        output : Tensor of shape (n, d)
            Predicted costs (values, for a maximizing oracle).
        target : Target
            The truth, in the same sense as ``output``.
        reduction : {"mean", "sum", "none"}, default="mean"
            How the n numbers are put together.

        Returns
        -------
        Tensor
            A scalar, or of shape (n,) for ``reduction="none"``.

        Raises
        ------
        InvalidInputError
            If shapes differ or the target lacks what the loss needs.
        """
        self._check(output, target)
        if self.sign == -1:
            output, target = -output, target.negated()
        values = self.per_sample(output, self.complete(target))
        if reduction == "mean":
            return values.mean()
        if reduction == "sum":
            return values.sum()
        if reduction == "none":
            return values
        raise InvalidInputError(
            f"{type(self).__name__}: got reduction={reduction!r}, expected 'mean', 'sum' or 'none'"
        )

    @final
    def complete(self, target: Target) -> Target:
        """Fill in the optimal decisions and objectives that this loss needs and the target lacks.

        Parameters
        ----------
        target : Target
            In the sense of minimization.

        Returns
        -------
        Target
            The same object if nothing is missing.
        """
        needs_decisions = "decisions" in self.requires and target.decisions is None
        needs_objectives = target.objectives is None and (
            "objectives" in self.requires
            or ("decisions" in self.requires and not self.linear_objective)
        )
        if target.costs is None or not (needs_decisions or needs_objectives):
            return target
        decisions = target.decisions
        if decisions is None:
            decisions, objectives = _bridge.solve(self.oracle, target.costs, target.instance)
        else:
            objectives = _bridge.evaluate(self.oracle, target.costs, decisions, target.instance)
        return Target(target.costs, decisions, objectives, target.instance)

    @property
    def linear_objective(self) -> bool:
        """True if the oracle's objective is exactly ``c.w``, with no part of its own."""
        return getattr(self.oracle, "linear_objective", True)

    def own_part(self, target: Target) -> Tensor:
        """Return what the objective of the target's decisions holds beside ``c.w``, shape (n,)."""
        if target.objectives is not None and target.costs is not None:
            return target.objectives - torch.linalg.vecdot(target.costs, target.decisions)
        decisions = target.decisions
        nothing = torch.zeros_like(decisions)
        return _bridge.evaluate(self.oracle, nothing, decisions, target.instance)

    def _check(self, output: Tensor, target: Target) -> None:
        name = type(self).__name__
        if output.ndim != 2:
            raise InvalidInputError(
                f"{name}: got output of shape {tuple(output.shape)}, expected (n, d)"
            )
        for part in ("costs", "decisions"):
            value = getattr(target, part)
            if value is not None and value.shape != output.shape:
                raise InvalidInputError(
                    f"{name}: got {part} of shape {tuple(value.shape)} in the target, "
                    f"expected {tuple(output.shape)}, the shape of the output"
                )
        for part in ("costs", "decisions"):
            known = getattr(target, part) is not None or (
                part == "decisions" and target.costs is not None
            )
            if part in self.requires and not known:
                raise InvalidInputError(
                    f"{name} needs {part}, but the target holds none; "
                    + (
                        "losses that learn from decisions alone, such as "
                        "'perturbed-fenchel-young', do not"
                        if part == "costs"
                        else "pass costs or decisions"
                    )
                )
