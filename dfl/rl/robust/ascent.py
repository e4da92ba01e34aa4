"""Exact ascent of the standard, the worst-case and the bilevel objective."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, final

import torch
from torch import Tensor

from dfl.adversary import AbstractStrength, ConstantStrength, WindowStrength
from dfl.exceptions import InvalidInputError
from dfl.rl.robust.tabular import ObservedModel

_ADVERSARIES = ("identity", "kl", "value")


@final
@dataclass(frozen=True)
class RobustObjective:
    r"""What exact ascent climbs.

    Parameters
    ----------
    adversary : {"identity", "kl", "value"}, default="value"
        What shows states: nobody, the view that changes the policy most, or the worst one.
    strength : AbstractStrength, default=ConstantStrength()
        Share of the adversary in the policy in the course of ascent; it does its worst to the
        mixture.
    kappa : float, default=0.0
        Weight of guidance by the objective without an adversary.

    Raises
    ------
    InvalidInputError
        If the adversary is unknown or the weight negative.

    Notes
    -----
    ``V(pi seen through the view) + kappa V(pi)``, whose gradient is taken with the view held fixed.

    References
    ----------
    Li et al., "On the Tension Between Optimality and Adversarial Robustness in Policy
    Optimization", ICLR 2026, arXiv 2512.01228. Reconstructed: its code is not public.

    Examples
    --------
    >>> from dfl.rl.robust import RobustObjective
    >>> RobustObjective("kl", kappa=0.5)
    RobustObjective(adversary='kl', strength=ConstantStrength(value=1.0), kappa=0.5)
    """

    adversary: str = "value"
    strength: AbstractStrength = field(default_factory=ConstantStrength)
    kappa: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no objective."""
        if self.adversary not in _ADVERSARIES or not self.kappa >= 0:
            raise InvalidInputError(
                f"RobustObjective: got adversary={self.adversary!r} and kappa={self.kappa}, "
                f"expected one of {', '.join(_ADVERSARIES)} and at least 0"
            )


_OBJECTIVES: Mapping[str, RobustObjective] = MappingProxyType(
    {
        "standard": RobustObjective("identity"),
        "arpo": RobustObjective("value"),
        "arpo+guidance": RobustObjective("value", kappa=0.5),
        "barpo": RobustObjective("kl"),
        "barpo+guidance": RobustObjective("kl", kappa=0.5),
        "barpo-ramp": RobustObjective("value", WindowStrength(0.3, 0.8)),
    }
)


def objective_by_name(name: str) -> RobustObjective:
    """Return an objective by its name.

    Parameters
    ----------
    name : str
        ``"standard"``; ``"arpo"``, adversarially robust policy optimization; ``"barpo"``, the
        bilevel one; either with ``"+guidance"``, of weight 0.5; or ``"barpo-ramp"``, a proposal of
        this library, the worst view with a strength that grows from 30 to 80 % of the steps. Its
        results are not those of ``"barpo"``.

    Returns
    -------
    RobustObjective
        The objective.

    Raises
    ------
    InvalidInputError
        If the name is unknown.

    Examples
    --------
    >>> from dfl.rl.robust import objective_by_name
    >>> objective_by_name("barpo")
    RobustObjective(adversary='kl', strength=ConstantStrength(value=1.0), kappa=0.0)
    """
    if name not in _OBJECTIVES:
        raise InvalidInputError(
            f"got objective {name!r}, expected one of: {', '.join(_OBJECTIVES)}"
        )
    return _OBJECTIVES[name]


class ExactProblem(Protocol):
    """Policies by parameters (n, ...), with exact values and gradients."""

    def value(self, parameters: Tensor, view: Tensor | None = ..., strength: float = ...) -> Tensor:
        """Return the value at the start, (n,)."""
        ...

    def gradient(
        self, parameters: Tensor, view: Tensor | None = ..., strength: float = ...
    ) -> Tensor:
        """Return the gradient in the parameters for a fixed view."""
        ...

    def worst_view(
        self, parameters: Tensor, strength: float = ..., before: Tensor | None = ...
    ) -> Tensor:
        """Return the worst view; the one before may help to find it."""
        ...

    def divergence_view(self, parameters: Tensor) -> Tensor:
        """Return the view that changes the policy most."""
        ...

    def moved(self, parameters: Tensor, step: Tensor) -> Tensor:
        """Return the parameters after a step."""
        ...


@final
class SoftmaxProblem:
    """Policies of models in tables by logits (n, S, A), one model each or one for all.

    Parameters
    ----------
    model : ObservedModel
        A single one, or a batch of n.
    largest : float, default=6.0
        Logits are centered in each state, and cut to this size.
    rounds : int, default=4
        Improvements of the worst view in a step of ascent, from the one before.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import SoftmaxProblem, sticky_model
    >>> problem = SoftmaxProblem(sticky_model())
    >>> problem.gradient(torch.zeros(1, 2, 2, dtype=torch.float64))
    tensor([[[-0.0750,  0.0750],
             [ 0.2500, -0.2500]]], dtype=torch.float64)
    """

    def __init__(self, model: ObservedModel, largest: float = 6.0, rounds: int = 4) -> None:
        self.model = model
        self.largest = largest
        self.rounds = rounds

    def policy(self, parameters: Tensor) -> Tensor:
        """Return the probabilities of the actions, (n, S, A)."""
        return parameters.softmax(-1)

    def value(
        self, parameters: Tensor, view: Tensor | None = None, strength: float = 1.0
    ) -> Tensor:
        """Return the value at the start, (n,)."""
        return self.model.value(self.policy(parameters), view, strength)

    def gradient(
        self, parameters: Tensor, view: Tensor | None = None, strength: float = 1.0
    ) -> Tensor:
        """Return the gradient in the logits for a fixed view."""
        policy = self.policy(parameters)
        slope = self.model.gradient(policy, view, strength)
        return policy * (slope - (policy * slope).sum(-1, keepdim=True))

    def worst_view(
        self, parameters: Tensor, strength: float = 1.0, before: Tensor | None = None
    ) -> Tensor:
        """Improve the view before by some rounds, or find the worst one where there is none."""
        rounds = {} if before is None else {"rounds": self.rounds}
        return self.model.worst_view(self.policy(parameters), strength, before, **rounds)

    def divergence_view(self, parameters: Tensor) -> Tensor:
        """Return the view that changes the policy most."""
        return self.model.divergence_view(self.policy(parameters))

    def moved(self, parameters: Tensor, step: Tensor) -> Tensor:
        """Return the logits after a step, centered and cut."""
        moved = parameters + step
        return (moved - moved.mean(-1, keepdim=True)).clamp(-self.largest, self.largest)


def robust_gradient(
    problem: ExactProblem,
    parameters: Tensor,
    objective: RobustObjective,
    strength: float = 1.0,
    before: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of an objective, and the view it was taken under.

    Parameters
    ----------
    problem : ExactProblem
        Whose objective it is.
    parameters : Tensor of shape (n, ...)
        Where the gradients are taken.
    objective : RobustObjective
        What is climbed.
    strength : float, default=1.0
        In place of the objective's schedule. At 0 the adversary is not asked at all.
    before : Tensor, optional
        The view of the step before.

    Returns
    -------
    gradient : Tensor of the shape of ``parameters``
        Uphill.
    view : Tensor or None
        What is seen in each state; ``before`` where the adversary is not asked.
    """
    if strength == 0 or objective.adversary == "identity":
        slope, view = problem.gradient(parameters), before
    else:
        if objective.adversary == "kl":
            view = problem.divergence_view(parameters)
        else:
            view = problem.worst_view(parameters, strength, before)
        slope = problem.gradient(parameters, view, strength)
    if objective.kappa:
        slope = slope + objective.kappa * problem.gradient(parameters)
    return slope, view


def ascend(
    problem: ExactProblem,
    start: Tensor,
    objective: RobustObjective,
    *,
    steps: int,
    rate: float,
    callback: Callable[[int, float, Tensor], None] | None = None,
) -> Tensor:
    """Climb an objective by exact gradients, from many starts at once.

    Parameters
    ----------
    problem : ExactProblem
        What is climbed on.
    start : Tensor of shape (n, ...)
        Parameters; each start goes its own way.
    objective : RobustObjective
        A strength that observes is told the mean value of all starts after each step.
    steps : int
        Number of steps.
    rate : float
        Length of a step in units of the gradient.
    callback : callable, optional
        Is called before each step with its number, the strength and the parameters.

    Returns
    -------
    Tensor of the shape of ``start``
        The parameters after the last step.

    Raises
    ------
    InvalidInputError
        If there is no step, or its length is not positive.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import StickyProblem, ascend, objective_by_name
    >>> start = torch.full((1, 2), 0.5, dtype=torch.float64)
    >>> ascend(StickyProblem(), start, objective_by_name("standard"), steps=1500, rate=0.02)
    tensor([[0.9800, 0.9800]], dtype=torch.float64)
    """
    if steps < 1 or not rate > 0:
        raise InvalidInputError(
            f"got steps={steps} and rate={rate}, expected at least 1 and a positive number"
        )
    strength = copy.deepcopy(objective.strength)
    parameters, view = problem.moved(start, torch.zeros_like(start)), None
    for step in range(steps):
        if strength.observes:  # it costs a value a step
            strength.observe(float(problem.value(parameters).mean()))
        share = strength.at(step / steps)
        if callback is not None:
            callback(step, share, parameters)
        slope, view = robust_gradient(problem, parameters, objective, share, view)
        parameters = problem.moved(parameters, rate * slope)
    return parameters
