"""The base of every loss: sign, checks, filling in and reduction, once."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from dfl import _bridge
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses.target import Target
from dfl.montecarlo.samples import WeightedSamples
from dfl_solvers.oracle import Oracle, minimizing

Reduction = Literal["mean", "sum", "none"]


class AbstractLoss(nn.Module, ABC):
    """A surrogate of regret: model output and a ``Target`` in, one number per sample out.

    A leaf writes ``per_sample`` and declares in ``requires`` what it needs of the target
    (``"costs"``, ``"decisions"``, ``"objectives"``) and of the oracle (``"program"``: a matrix
    form; ``"variables"``: one whose variables are the decision itself; ``"normals"``: that, or
    methods that say which constraints of the decision are tight; ``"linear"``: an objective that
    is ``c.w`` and nothing else; ``"derivative"``: decisions that vary smoothly; ``"permutations"``:
    decisions that are the permutations of given numbers). A pair of
    loss and oracle that cannot work is refused at construction. The loss of a policy requires
    ``"samples"`` alone: its target is a ``WeightedSamples``, and it holds no oracle.

    Parameters
    ----------
    oracle : Oracle or None
        The oracle; for a maximizing one, outputs and costs change sign here, once, and
        ``self.oracle`` is the minimizing oracle it wraps. None for the loss of a policy.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the randomness of a loss that samples; training seeds it.
    progress : float
        Share of training that is done; training sets it before each epoch.
    predicts : str or None
        The field of the oracle's instance data that outputs (n, q) are, where they are part of the
        constraints. None, as nearly always: outputs are costs.

    Raises
    ------
    InvalidInputError
        If the oracle is none, or is given to a loss that holds none.
    UnsupportedError
        If the oracle lacks what the loss needs of it.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    generator: torch.Generator | None = None
    progress: float = 0.0
    predicts: str | None = None
    oracle: Oracle
    _solved: list[Tensor] | None = None

    def __init__(self, oracle: Oracle | None) -> None:
        super().__init__()
        name = type(self).__name__
        if "samples" in self.requires:
            if oracle is not None:
                raise InvalidInputError(
                    f"{name} holds no oracle: got a {name_of_problem(oracle)}, expected None; it "
                    "trains policies on weighted samples, see dfl.losses.available() for others"
                )
            self.sign = 1
            return
        if oracle is None or not hasattr(oracle, "solve"):
            raise InvalidInputError(
                f"{name}: got oracle={oracle!r}, expected an object with a method solve(costs), "
                "such as dfl_solvers.GridShortestPath(5, 5)"
            )
        held, self.sign = minimizing(oracle)
        problem = name_of_problem(held)
        if "program" in self.requires and not hasattr(held, "program"):
            raise UnsupportedError(
                f"{name} does not go with {problem}: it needs the oracle's matrix form (a method "
                "program()), which this oracle does not have"
            )
        if "derivative" in self.requires and not hasattr(held, "vector_jacobian_product"):
            raise UnsupportedError(
                f"{name} does not go with {problem}: it needs decisions with a derivative (a "
                "method vector_jacobian_product()), which this oracle does not have"
            )
        if "permutations" in self.requires and not hasattr(held, "permuted"):
            raise UnsupportedError(
                f"{name} does not go with {problem}: it needs decisions that are the permutations "
                "of given numbers (a method permuted()), such as those of TopK"
            )
        if "linear" in self.requires and not getattr(held, "linear_objective", True):
            raise UnsupportedError(
                f"{name} does not go with {problem}: it needs an objective that is c.w alone, and "
                "this one has a part of its own"
            )
        program: Any = getattr(held, "program", None)
        says_normals = "normals" in self.requires and hasattr(held, "tight_cuts")
        needs_variables = self.requires & {"variables", "normals"} and not says_normals
        if needs_variables and not program().identity:
            raise UnsupportedError(
                f"{name} does not go with {problem}: it needs a matrix form whose variables are "
                "the decision, and this one maps its variables to it (decision_map)"
            )
        self.oracle = held

    @abstractmethod
    def per_sample(self, output: Tensor, target: Any) -> Tensor:
        """Loss (n,) of outputs (n, d) for a complete target, in the sense of minimization."""

    @final  # type: ignore[misc]
    def forward(
        self,
        output: Tensor,
        target: Any,
        reduction: Reduction = "mean",
        *,
        return_decisions: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Loss of a batch.

        Parameters
        ----------
        output : Tensor of shape (n, d)
            Predicted costs (values, for a maximizing oracle).
        target : Target, or WeightedSamples for the loss of a policy
            The truth, in the same sense as ``output``.
        reduction : {"mean", "sum", "none"}, default="mean"
            How the n numbers are put together.
        return_decisions : bool, default=False
            Also return the decisions that the loss solved for.

        Returns
        -------
        Tensor
            A scalar, or of shape (n,) for ``reduction="none"``.
        decisions : Tensor of shape (n, d) or (n, k, d), if ``return_decisions``
            What the oracle answered in this call, without solving again: k decisions an instance
            where a loss solves for k cost vectors. A loss that solves nothing, or holds losses that
            do, gives the decisions of the outputs.

        Raises
        ------
        InvalidInputError
            If shapes differ or the target lacks what the loss needs.
        """
        self._check(output, target, reduction, return_decisions)
        if self.sign == -1:
            target = target.negated()
            output = -output if self.predicts is None else output
        self._solved = [] if return_decisions else None
        values = self.per_sample(output, self.complete(target))
        if reduction == "mean":
            values = values.mean()
        elif reduction == "sum":
            values = values.sum()
        if not return_decisions:
            return values
        solved, self._solved = self._solved, None
        return values, solved[-1] if solved else self.solve(output, target.instance)[0]

    def move_inputs(
        self, model: nn.Module, inputs: Tensor, target: Any, generator: torch.Generator
    ) -> Tensor:
        """Return the inputs of a batch as training shows them to the model; most losses do nothing.

        Parameters
        ----------
        model : nn.Module
            From inputs to outputs.
        inputs : Tensor of shape (n, ...)
            What the model is given.
        target : Target
            Of the same n instances.
        generator : torch.Generator
            All randomness comes from it.
        """
        del model, target, generator
        return inputs

    def extra_repr(self) -> str:
        """Return the constructor's numbers and names, as the attributes hold them."""
        names = [name for name in inspect.signature(type(self)).parameters if hasattr(self, name)]
        values = {name: getattr(self, name) for name in names}
        plain = (bool, int, float, str, type(None))
        return ", ".join(f"{k}={v!r}" for k, v in values.items() if isinstance(v, plain))

    def complete(self, target: Any) -> Any:
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
        if not self.requires & {"decisions", "objectives"}:
            return target
        needs_decisions = "decisions" in self.requires and target.decisions is None
        needs_objectives = target.objectives is None and (
            "objectives" in self.requires or not self.linear_objective
        )
        if target.costs is None or not (needs_decisions or needs_objectives):
            return target
        decisions = target.decisions
        if decisions is None:
            decisions, objectives = _bridge.solve(self.oracle, target.costs, target.instance)
        else:
            objectives = _bridge.evaluate(self.oracle, target.costs, decisions, target.instance)
        return replace(target, decisions=decisions, objectives=objectives)

    def solve(
        self, costs: Tensor, instance: Mapping[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Solve in one call of the oracle, without gradient; for ``per_sample``.

        Parameters
        ----------
        costs : Tensor of shape (n, d) or (n, k, d)
            One cost vector an instance, or k.
        instance : mapping of str to ndarray, optional
            Per-instance data, each array with leading n.

        Returns
        -------
        decisions : Tensor of the shape of ``costs``
            Optimal ones.
        objectives : Tensor of shape (n,) or (n, k)
            What they cost.
        """
        decisions, objectives = _bridge.solve(self.oracle, costs, instance)
        if self._solved is not None:
            self._solved.append(decisions)
        return decisions, objectives

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

    def _check(self, output: Tensor, target: Any, reduction: str, return_decisions: bool) -> None:
        name = type(self).__name__
        if reduction not in ("mean", "sum", "none"):
            raise InvalidInputError(
                f"{name}: got reduction={reduction!r}, expected 'mean', 'sum' or 'none'"
            )
        policy = "samples" in self.requires
        found, expected = type(target), WeightedSamples if policy else Target
        if found is not expected:
            raise InvalidInputError(
                f"{name}: got a target of type {found.__name__}, expected {expected.__name__}"
            )
        if policy:
            if return_decisions:
                raise InvalidInputError(f"{name} holds no oracle: it has no decisions to return")
            return
        parts = {name: getattr(target, name) for name in ("costs", "decisions", "objectives")}
        for what, value in {"output": output, **parts}.items():
            if value is not None and not isinstance(value, Tensor):
                raise InvalidInputError(
                    f"{name}: got {what} of type {type(value).__name__}, expected a torch.Tensor; "
                    "torch.as_tensor makes one of an array"
                )
        if output.ndim != 2:
            raise InvalidInputError(
                f"{name}: got output of shape {tuple(output.shape)}, expected (n, d)"
            )
        for part in ("costs", "decisions"):
            value = getattr(target, part)
            if self.predicts is not None and value is not None and len(value) == len(output):
                continue  # there are other numbers of outputs and of costs
            if value is not None and value.shape != output.shape:
                raise InvalidInputError(
                    f"{name}: got {part} of shape {tuple(value.shape)} in the target, "
                    f"expected {tuple(output.shape)}, the shape of the output"
                )
        if "costs" in self.requires and target.costs is None:
            raise InvalidInputError(
                f"{name} needs costs, but the target holds none; losses that learn from decisions "
                f"alone do not: {', '.join(_imitating())}"
            )
        if "decisions" in self.requires and target.decisions is None and target.costs is None:
            raise InvalidInputError(
                f"{name} needs decisions, but the target holds none; pass costs or decisions"
            )


def name_of_problem(oracle: Oracle) -> str:
    """Return the class of an oracle under all that counts, limits, caches or scales its solves."""
    inner: Any = oracle
    while hasattr(inner, "solve"):
        oracle, inner = inner, getattr(inner, "oracle", None)
    return type(oracle).__name__


def _imitating() -> list[str]:
    """Names of the losses for which costs need not be known."""
    # imported here, since the registry imports the leaves
    from dfl.losses.registry import imitating

    return [repr(name) for name in imitating()]
