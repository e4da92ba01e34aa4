"""The smallest process in which robust policy optimization sticks, in closed form."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from dfl.rl.robust.tabular import ObservedModel

_SAFE = 0.3
"""What leaving at once earns."""


def sticky_model() -> ObservedModel:
    r"""Return the process of ``StickyProblem`` in tables.

    In the first state, action 0 leads to the second and action 1 ends with a reward of 0.3. In the
    second, they end with rewards of 1 and -1. Either state may be shown in place of the other;
    action 0 is best in both, so that the adversary hides nothing that a best policy needs.

    Returns
    -------
    ObservedModel
        The process in tables.

    Examples
    --------
    >>> from dfl.rl.robust import sticky_model
    >>> sticky_model().optimal_action_values()
    tensor([[ 1.0000,  0.3000],
            [ 1.0000, -1.0000]], dtype=torch.float64)
    """
    transitions = torch.zeros(2, 2, 2, dtype=torch.float64)
    transitions[0, 0, 1] = 1
    rewards = torch.tensor([[0.0, _SAFE], [1.0, -1.0]], dtype=torch.float64)
    initial = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return ObservedModel(transitions, rewards, initial, torch.ones(2, 2, dtype=torch.bool), 1.0)


@final
class StickyProblem:
    r"""Policies of ``sticky_model`` as probabilities of action 0, many at once, in closed form.

    Without an adversary, ascent from nearly anywhere ends at the best policy. With the strongest
    one, policies that are the same in both states stick where they leave at once, although the
    best policy is robust: a stationary point that is deceptive.

    Parameters
    ----------
    floor : float, default=0.02
        Probabilities stay this far from 0 and 1.

    Notes
    -----
    With the probabilities q of action 0 as they are seen, ``V = q0 (2 q1 - 1) + 0.3 (1 - q0)``.
    The worst view shows the smaller p in the second state, and in the first the smaller where
    ``2 q1 - 1 > 0.3`` and the larger elsewhere. Where both are p, ``V = 2 p^2 - 1.3 p + 0.3``,
    which is stationary at 0.325: below, ascent ends at 0.3, above at 1. A construction of this
    library after the claims of Li et al., "On the Tension Between Optimality and Adversarial
    Robustness in Policy Optimization", ICLR 2026, arXiv 2512.01228.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import StickyProblem, ascend, objective_by_name
    >>> problem = StickyProblem()
    >>> start = torch.tensor([[0.3, 0.3], [0.35, 0.35]], dtype=torch.float64)
    >>> found = ascend(problem, start, objective_by_name("arpo"), steps=1500, rate=0.02)
    >>> problem.value(found)
    tensor([0.2737, 0.9468], dtype=torch.float64)
    """

    def __init__(self, floor: float = 0.02) -> None:
        self.floor = floor

    def policy(self, parameters: Tensor) -> Tensor:
        """Return the probabilities of both actions, (n, 2, 2)."""
        return torch.stack([parameters, 1 - parameters], -1)

    def value(
        self, parameters: Tensor, view: Tensor | None = None, strength: float = 1.0
    ) -> Tensor:
        """Return the value at the start, (n,)."""
        first, second = self._seen(parameters, view, strength).unbind(-1)
        return first * (2 * second - 1) + _SAFE * (1 - first)

    def gradient(
        self, parameters: Tensor, view: Tensor | None = None, strength: float = 1.0
    ) -> Tensor:
        """Return the gradient in the parameters (n, 2) for a fixed view."""
        first, second = self._seen(parameters, view, strength).unbind(-1)
        slope = torch.stack([2 * second - 1 - _SAFE, 2 * first], -1)
        if view is None or strength == 0:
            return slope
        shown = torch.zeros_like(slope).scatter_add_(-1, view, slope)
        return (1 - strength) * slope + strength * shown

    def worst_view(
        self, parameters: Tensor, strength: float = 1.0, before: Tensor | None = None
    ) -> Tensor:
        """Return the worst view (n, 2) for the mixture."""
        del before
        least, most = parameters.argmin(-1), parameters.argmax(-1)
        second = (1 - strength) * parameters[..., 1] + strength * parameters.amin(-1)
        return torch.stack([least.where(2 * second - 1 > _SAFE, most), least], -1)

    def divergence_view(self, parameters: Tensor) -> Tensor:
        """Return the other state for each, or the first where both act alike, (n, 2)."""
        other = torch.tensor([1, 0], device=parameters.device).expand_as(parameters)
        alike = (parameters[..., :1] == parameters[..., 1:]).expand_as(parameters)
        return other.masked_fill(alike, 0)

    def moved(self, parameters: Tensor, step: Tensor) -> Tensor:
        """Return the parameters after a step, projected."""
        return (parameters + step).clamp(self.floor, 1 - self.floor)

    def _seen(self, parameters: Tensor, view: Tensor | None, strength: float) -> Tensor:
        if view is None or strength == 0:
            return parameters
        return (1 - strength) * parameters + strength * parameters.gather(-1, view)
