"""How policies act: what the search, the losses and the trust region need of a distribution."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel
from dfl.rl.smc.categorical import Categorical
from dfl.rl.smc.tanh_normal import TanhNormal


class ActionLaw(Protocol):
    """A family of distributions of actions, with parameters that a network returns.

    Attributes
    ----------
    size : int
        Numbers p that say how to act in a state.
    budgets : tuple of float
        For each part of the divergence of two policies, what it may be after an update unless
        something else is asked for.
    """

    @property
    def size(self) -> int:
        """Number of parameters."""
        ...

    @property
    def budgets(self) -> tuple[float, ...]:
        """Divergences of policies before and after an update, part by part."""
        ...

    def wrong(self, parameters: Tensor) -> Tensor:
        """Return which rows of parameters (n, p) are of no distribution, (n,) booleans."""
        ...

    def draw(self, parameters: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Draw k raw actions for each row of parameters (n, p), of shape (n, k, ...)."""
        ...

    def best(self, parameters: Tensor) -> Tensor:
        """Return the likeliest raw action of each row of parameters (n, p), of shape (n, ...)."""
        ...

    def action(self, raw: Tensor) -> Tensor:
        """Return what a model is given for raw actions of any leading shape."""
        ...

    def log_prob(self, parameters: Tensor, reference: Tensor, raw: Tensor) -> Tensor:
        """Return what the likelihood loss weighs, (n, k), up to what does not depend on parameters.

        Parameters and those of a reference are (n, p), raw actions (n, k, ...).
        """
        ...

    def divergences(self, reference: Tensor, parameters: Tensor) -> Tensor:
        """Return the divergence from a reference of each row, part by part, of shape (n, m)."""
        ...


def law_of(model: BatchedModel) -> ActionLaw:
    """Return how policies act in a model.

    Raises
    ------
    InvalidInputError
        If the model does not say what its actions are.
    """
    if getattr(model, "n_actions", None) is None and getattr(model, "action_dim", None) is None:
        raise InvalidInputError(
            f"{type(model).__name__} has neither n_actions nor action_dim, expected a "
            "simulator with one of them"
        )
    return make_law(model.n_actions, model.action_dim)


def make_law(n_actions: int | None, action_dim: int | None) -> ActionLaw:
    """Return how policies act over so many actions, or in so many coordinates."""
    return Categorical(n_actions) if n_actions is not None else TanhNormal(action_dim or 0)
