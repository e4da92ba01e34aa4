"""Models in tables whose policy sees what an adversary shows: exact worst cases and gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.tabular import TabularModel

# rounds of policy iteration: a few are enough, and each is exact
_ROUNDS = 60
# views that are tried one by one
_MOST_VIEWS = 100_000


@final
@dataclass(frozen=True)
class ObservedModel:
    r"""A Markov decision process, or a batch of them, whose policy sees what an adversary shows.

    The adversary shows another state than the one the process is in, out of a neighborhood of it;
    the process moves from the true one. Everything is exact, so that what learning approximates
    can be checked.

    Parameters
    ----------
    transitions : Tensor of shape (..., S, A, S)
        Probabilities; what a row lacks to one ends the episode.
    rewards : Tensor of shape (..., S, A)
        What action a earns in state s.
    initial : Tensor of shape (..., S)
        Probabilities of the first state.
    neighborhoods : Tensor of bool of shape (..., S, S)
        Entry (s, t) says that state t may be shown in place of s; s itself always may.
    discount : float
        Below one, unless every episode ends.

    Raises
    ------
    InvalidInputError
        If shapes disagree, a state is not in its own neighborhood, or the discount is none.

    Notes
    -----
    A view (..., S) holds the state that is shown in place of each. With strength t the policy acts
    as ``q(a|s) = (1 - t) pi(a|s) + t pi(a|view(s))``. The worst view solves a decision process of
    the adversary's own, whose actions are the states it may show and whose rewards are negative.

    References
    ----------
    Zhang et al., "Robust Deep Reinforcement Learning against Adversarial Perturbations on State
    Observations", NeurIPS 2020, arXiv 2003.08938.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import sticky_model
    >>> policy = torch.tensor([[0.9, 0.1], [0.8, 0.2]], dtype=torch.float64)
    >>> model = sticky_model()
    >>> model.worst_view(policy)
    tensor([1, 1])
    >>> round(model.value(policy).item(), 4), round(model.worst_value(policy).item(), 4)
    (0.57, 0.54)
    """

    transitions: Tensor
    rewards: Tensor
    initial: Tensor
    neighborhoods: Tensor
    discount: float

    def __post_init__(self) -> None:
        """Refuse tables that do not fit together."""
        *batch, s, a = self.rewards.shape
        shapes = [tuple(x.shape) for x in (self.transitions, self.initial, self.neighborhoods)]
        expected = [(*batch, s, a, s), (*batch, s), (*batch, s, s)]
        if shapes != expected:
            raise InvalidInputError(
                f"ObservedModel: got transitions, initial and neighborhoods of shapes {shapes} and "
                f"rewards of shape {(*batch, s, a)}, expected {expected}"
            )
        if not self.neighborhoods.diagonal(dim1=-2, dim2=-1).all():
            raise InvalidInputError(
                "ObservedModel: got a state outside its own neighborhood, expected that every "
                "state may be shown as it is"
            )
        if not 0 <= self.discount <= 1:
            raise InvalidInputError(
                f"ObservedModel: got discount={self.discount}, expected a number from 0 to 1"
            )

    @classmethod
    def of(cls, model: TabularModel, neighborhoods: Tensor, discount: float) -> ObservedModel:
        """Put an adversary between a model in tables and its policy.

        Parameters
        ----------
        model : TabularModel
            Without a limit of steps.
        neighborhoods : Tensor of bool of shape (S, S)
            True where a state may be shown in place of another.
        discount : float
            What a reward counts a step later.
        """
        alive = (~model.terminal).to(model.transitions)
        return cls(
            model.transitions * alive[:, None, None] * alive,
            model.rewards * alive[:, None],
            model.initial,
            neighborhoods,
            discount,
        )

    def rows(self, index: Tensor) -> ObservedModel:
        """Return some models of a batch, in any order and any number of times.

        Parameters
        ----------
        index : Tensor of shape (m,)
            Row numbers, or a mask of booleans of shape (n,).
        """
        return ObservedModel(
            self.transitions[index],
            self.rewards[index],
            self.initial[index],
            self.neighborhoods[index],
            self.discount,
        )

    def seen(self, policy: Tensor, view: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """Return how a policy (..., S, A) acts in the true states.

        Parameters
        ----------
        policy : Tensor of shape (..., S, A)
            Chances of actions in each state, as it is seen.
        view : Tensor of int of shape (..., S), optional
            Default: every state is shown as it is.
        strength : float, default=1.0
            Share of the view in the policy.
        """
        if not 0 <= strength <= 1:
            raise InvalidInputError(
                f"ObservedModel: got strength={strength}, expected a number from 0 to 1"
            )
        if view is None or strength == 0:
            return policy
        shown = policy.take_along_dim(view[..., None], -2)
        return shown if strength == 1 else (1 - strength) * policy + strength * shown

    def values(self, policy: Tensor, view: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """Return the value of each true state, (..., S)."""
        acting = self.seen(policy, view, strength)
        earned = (acting * self.rewards).sum(-1)
        return torch.linalg.solve(self._resolvent(acting), earned[..., None])[..., 0]

    def value(self, policy: Tensor, view: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """Return the value at the start, (...)."""
        return (self.initial * self.values(policy, view, strength)).sum(-1)

    def action_values(self, values: Tensor) -> Tensor:
        """Return what each action is worth if the states it leads to are worth ``values``."""
        return (
            self.rewards + self.discount * (self.transitions @ values[..., None, :, None])[..., 0]
        )

    def optimal_action_values(self, tolerance: float = 1e-12) -> Tensor:
        """Return what each action is worth to the best policy without an adversary, (..., S, A)."""
        policy = torch.zeros_like(self.rewards)
        policy[..., 0] = 1
        for _ in range(_ROUNDS):
            worth = self.action_values(self.values(policy))
            gain = worth.amax(-1) - (policy * worth).sum(-1)
            if (gain <= tolerance).all():
                return worth
            best = torch.zeros_like(policy).scatter_(-1, worth.argmax(-1, keepdim=True), 1.0)
            policy = best.where((gain > tolerance)[..., None], policy)
        raise InvalidInputError(
            f"ObservedModel: values go on changing after {_ROUNDS} rounds with discount="
            f"{self.discount}, expected a discount below one or episodes that end"
        )

    def worst_view(
        self,
        policy: Tensor,
        strength: float = 1.0,
        start: Tensor | None = None,
        rounds: int = _ROUNDS,
    ) -> Tensor:
        """Return the view (..., S) under which a policy earns least, by policy iteration.

        Parameters
        ----------
        policy : Tensor of shape (..., S, A)
            Chances of actions in each state, as it is seen.
        strength : float, default=1.0
            Share of the view in the policy; the worst one is that of the mixture.
        start : Tensor of int of shape (..., S), optional
            The view to improve. Default: every state as it is.
        rounds : int, default=60
            Most improvements. Fewer give a view that is no better for the policy than the start.
        """
        if start is None:
            start = torch.arange(policy.shape[-2], device=policy.device).expand(policy.shape[:-1])
        view = start
        for _ in range(rounds):
            worth = self.action_values(self.values(policy, view, strength))
            # what showing t in place of s leads to: (..., s, t)
            showing = worth @ policy.transpose(-1, -2)
            showing = showing.masked_fill(~self.neighborhoods, torch.inf)
            least, found = showing.min(-1)
            better = least < showing.take_along_dim(view[..., None], -1)[..., 0] - 1e-12
            if not better.any():
                break
            view = found.where(better, view)
        return view

    def worst_value(self, policy: Tensor, strength: float = 1.0) -> Tensor:
        """Return the value at the start under the worst view, (...)."""
        return self.value(policy, self.worst_view(policy, strength), strength)

    def divergence_view(self, policy: Tensor) -> Tensor:
        """Return the view (..., S) that changes the policy most in each state.

        Of states that diverge equally, the first is shown.
        """
        logs = policy.clamp(min=torch.finfo(policy.dtype).tiny).log()
        own = (policy * logs).sum(-1)[..., None]
        found = own - policy @ logs.transpose(-1, -2)
        return found.masked_fill(~self.neighborhoods, -torch.inf).argmax(-1)

    def views(self) -> Iterator[Tensor]:
        """Yield every view (S,) of a single model, to check the worst one by enumeration.

        Raises
        ------
        InvalidInputError
            If this is a batch of models, or there are too many views.
        """
        if self.rewards.ndim != 2:
            raise InvalidInputError("ObservedModel: got a batch of models, expected one")
        choices = [row.nonzero()[:, 0].tolist() for row in self.neighborhoods]
        count = 1
        for choice in choices:
            count *= len(choice)
        if count > _MOST_VIEWS:
            raise InvalidInputError(
                f"ObservedModel: got {count} views, expected at most {_MOST_VIEWS}"
            )
        for shown in itertools.product(*choices):
            yield torch.tensor(shown, device=self.neighborhoods.device)

    def gradient(self, policy: Tensor, view: Tensor | None = None, strength: float = 1.0) -> Tensor:
        r"""Return the gradient of the value at the start in the policy, for a fixed view.

        Parameters
        ----------
        policy : Tensor of shape (..., S, A)
            Chances of actions in each state, as it is seen.
        view : Tensor of int of shape (..., S), optional
            What is seen in each state; default: the states themselves.
        strength : float, default=1.0
            Share of the adversary in the value.

        Returns
        -------
        Tensor of shape (..., S, A)
            In the probabilities, each free; see ``SoftmaxProblem`` for that in logits.

        Notes
        -----
        ``d(s) Q(s, a)`` goes to the state that is shown in place of s, where d are discounted
        visits of the true states and Q the action values, both of the policy as it is seen.
        """
        acting = self.seen(policy, view, strength)
        resolvent = self._resolvent(acting)
        earned = (acting * self.rewards).sum(-1)
        values = torch.linalg.solve(resolvent, earned[..., None])[..., 0]
        visits = torch.linalg.solve(resolvent.transpose(-1, -2), self.initial[..., None])
        slope = visits * self.action_values(values)
        if view is None or strength == 0:
            return slope
        shown = torch.zeros_like(slope).scatter_add_(-2, view[..., None].expand_as(slope), slope)
        return shown if strength == 1 else (1 - strength) * slope + strength * shown

    def _resolvent(self, acting: Tensor) -> Tensor:
        moves = (acting[..., None, :] @ self.transitions)[..., 0, :]
        return torch.eye(moves.shape[-1]).to(moves) - self.discount * moves
