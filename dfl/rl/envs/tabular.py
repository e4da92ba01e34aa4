"""Models with few states: transitions in a table, and exact values."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import State, checked_limit, out_of_time

# of value iteration: enough for a discount of 0.999
_ROUNDS = 50_000


@final
class TabularModel:
    r"""A Markov decision process in tables, with the exact values of its policies.

    What search and learning approximate is computed here, so that they can be checked.

    Parameters
    ----------
    transitions : Tensor of shape (S, A, S)
        ``transitions[s, a, t]`` is the probability that action a leads from state s to state t.
    rewards : Tensor of shape (S, A)
        What action a earns in state s.
    terminal : Tensor of bool of shape (S,)
        Episodes end when they reach such a state; nothing is earned there.
    initial : Tensor of shape (S,)
        Probabilities of the first state.
    max_steps : int, optional
        Episodes are truncated after so many steps. Default: never.

    Attributes
    ----------
    n_actions : int
        Number A of actions.

    Raises
    ------
    InvalidInputError
        If shapes disagree, probabilities do not sum to one, or no step is left.

    Notes
    -----
    A state is ``{"place": (n,), "steps": (n,)}``; observations are indicators (n, S).

    Examples
    --------
    >>> from dfl.rl.envs import two_step_model
    >>> model = two_step_model()
    >>> model.optimal_values(discount=1.0)
    tensor([1., 0., 1., 0.], dtype=torch.float64)
    """

    action_dim: None = None

    def __init__(
        self,
        transitions: Tensor,
        rewards: Tensor,
        terminal: Tensor,
        initial: Tensor,
        max_steps: int | None = None,
    ) -> None:
        s, a = rewards.shape if rewards.ndim == 2 else (-1, -1)
        shapes = tuple(transitions.shape), tuple(terminal.shape), tuple(initial.shape)
        if shapes != ((s, a, s), (s,), (s,)):
            raise InvalidInputError(
                f"TabularModel: got transitions, terminal and initial of shapes {shapes} and "
                f"rewards of shape {tuple(rewards.shape)}, expected (S, A, S), (S,), (S,) "
                "and (S, A)"
            )
        for name, law in (("transitions", transitions), ("initial", initial)):
            wrong = (law.sum(-1) - 1).abs().max().item()
            if not wrong < 1e3 * torch.finfo(law.dtype).eps or law.min() < 0:
                raise InvalidInputError(
                    f"TabularModel: got {name} that are negative or whose sums are off one by "
                    f"{wrong:.3g}, expected probabilities"
                )
        self.transitions = transitions
        self.rewards = rewards
        self.terminal = terminal
        self.initial = initial
        self.max_steps = checked_limit(max_steps, "TabularModel")
        self.n_actions: int = a

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n first states; see ``BatchedModel``."""
        place = torch.multinomial(self.initial, n, replacement=True, generator=generator)
        return {"place": place, "steps": torch.zeros_like(place)}

    def observe(self, state: State) -> Tensor:
        """Return an indicator of each state, shape (n, S); see ``BatchedModel``."""
        return torch.nn.functional.one_hot(state["place"], len(self.initial)).to(self.rewards)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Act once in each of n states; see ``BatchedModel``."""
        place, steps = state["place"], state["steps"] + 1
        law = self.transitions[place, actions]
        after = torch.multinomial(law, 1, generator=generator).squeeze(1)
        terminated = self.terminal[after]
        truncated = out_of_time(steps, self.max_steps, terminated)
        return {"place": after, "steps": steps}, self.rewards[place, actions], terminated, truncated

    def action_values(self, values: Tensor, discount: float) -> Tensor:
        """Return what each action is worth if the states it leads to are worth ``values``.

        Parameters
        ----------
        values : Tensor of shape (S,)
            What each state is worth.
        discount : float
            Of the next state's value.

        Returns
        -------
        Tensor of shape (S, A)
            Zero at terminal states.
        """
        values = values.masked_fill(self.terminal, 0.0)
        worth = self.rewards + discount * (self.transitions @ values)
        return worth.masked_fill(self.terminal[:, None], 0.0)

    def policy_values(self, policy: Tensor, discount: float, costs: Tensor | None = None) -> Tensor:
        """Return the value of each state under a policy, exactly.

        Parameters
        ----------
        policy : Tensor of shape (S, A)
            Probabilities of the actions in each state.
        discount : float
            Below one, unless every episode ends.
        costs : Tensor of shape (S,), optional
            What is paid at every visit of a state, such as a divergence.

        Returns
        -------
        Tensor of shape (S,)
            Zero at terminal states.

        Notes
        -----
        Solves ``v = r_pi - costs + discount P_pi v``.
        """
        alive = (~self.terminal).to(policy)
        earned = (policy * self.rewards).sum(1)
        if costs is not None:
            earned = earned - costs
        moves = torch.einsum("sa,sat->st", policy, self.transitions) * alive[:, None] * alive
        identity = torch.eye(len(alive), dtype=policy.dtype, device=policy.device)
        return torch.linalg.solve(identity - discount * moves, earned * alive)

    def optimal_values(self, discount: float, tolerance: float = 1e-12) -> Tensor:
        """Return the largest value of each state that any policy reaches, by value iteration.

        Parameters
        ----------
        discount : float
            Below one, unless every episode ends whatever is done.
        tolerance : float, default=1e-12
            Stop when no value changes by more; it must be above the precision of the tables.

        Returns
        -------
        Tensor of shape (S,)
            Zero at terminal states.

        Raises
        ------
        InvalidInputError
            If values go on changing, as they may with a discount of one.
        """
        values = torch.zeros_like(self.rewards[:, 0])
        for _ in range(_ROUNDS):
            better = self.action_values(values, discount).amax(1)
            if (better - values).abs().max() <= tolerance:
                return better
            values = better
        raise InvalidInputError(
            f"TabularModel: got discount={discount} and tolerance={tolerance}, and values change "
            f"by more after {_ROUNDS} rounds, expected a discount below one or episodes that end"
        )


def two_step_model(dtype: torch.dtype = torch.float64) -> TabularModel:
    """Return the smallest model in which depth matters: two choices, one of four paths earns 1.

    From the first state action 0 leads left and action 1 right; of the second choices only action
    1 on the right earns. Search of depth two and the exact advantage differ here.

    Parameters
    ----------
    dtype : torch.dtype, default=torch.float64
        Of the tables.

    Returns
    -------
    TabularModel
        States: first, left, right, end.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import two_step_model
    >>> uniform = torch.full((4, 2), 0.5, dtype=torch.float64)
    >>> two_step_model().policy_values(uniform, discount=1.0)
    tensor([0.2500, 0.0000, 0.5000, 0.0000], dtype=torch.float64)
    """
    transitions = torch.zeros(4, 2, 4, dtype=dtype)
    transitions[0, 0, 1] = transitions[0, 1, 2] = 1
    transitions[1:, :, 3] = 1
    rewards = torch.zeros(4, 2, dtype=dtype)
    rewards[2, 1] = 1
    places = torch.arange(4)
    return TabularModel(transitions, rewards, places == 3, (places == 0).to(dtype))


def random_model(
    n_states: int,
    n_actions: int,
    *,
    generator: torch.Generator,
    deterministic: bool = False,
    dtype: torch.dtype = torch.float64,
) -> TabularModel:
    """Draw a model with normal rewards; its last state is terminal, and its first state random.

    Parameters
    ----------
    n_states : int
        The terminal one included.
    n_actions : int
        Number A of actions.
    generator : torch.Generator
        Draws rewards and transitions.
    deterministic : bool, default=False
        Each action leads to one state; else transitions are uniform on the simplex.
    dtype : torch.dtype, default=torch.float64
        Of the tables.

    Returns
    -------
    TabularModel
        The model in tables.

    Raises
    ------
    InvalidInputError
        If there are fewer than two states or no action.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import random_model
    >>> random_model(5, 3, generator=torch.Generator().manual_seed(0)).transitions.shape
    torch.Size([5, 3, 5])
    """
    if n_states < 2 or n_actions < 1:
        raise InvalidInputError(
            f"got n_states={n_states} and n_actions={n_actions}, expected at least 2 and 1"
        )
    weights = torch.empty(n_states, n_actions, n_states, dtype=dtype)
    weights.exponential_(generator=generator)
    if deterministic:
        weights = torch.nn.functional.one_hot(weights.argmax(-1), n_states).to(dtype)
    rewards = torch.randn(n_states, n_actions, generator=generator, dtype=dtype)
    terminal = torch.arange(n_states) == n_states - 1
    initial = (~terminal).to(dtype) / (n_states - 1)
    return TabularModel(weights / weights.sum(-1, keepdim=True), rewards, terminal, initial)
