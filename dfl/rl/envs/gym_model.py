"""Environments of Gymnasium that can be copied, as models to search in."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.rl.envs.gym_snapshots import Snapshots
from dfl.rl.envs.gym_spaces import Spaces
from dfl.rl.envs.model import State, random_actions

# of the test that copies go on as the original does: episodes, most steps before and after a copy,
# and how many of these copy again, as a search would
_STARTS, _BEFORE, _AFTER, _COPIES = 3, 4, 300, 8


@final
class GymnasiumModel:
    """A simulator that can be searched, of a Gymnasium environment that can be copied.

    Each step copies each environment of the batch and steps the copy, in Python: it is right, and
    slow. Whether copies go on as the original would is tried at the start, since many environments
    lose part of their state when copied, and would make a search lie.

    Parameters
    ----------
    make : callable
        Without arguments, to a new environment, such as ``lambda: gymnasium.make("CartPole-v1")``.
    save, restore : callable, optional
        From an environment to a list of numbers, always as many, on which all its future depends,
        the counters of its wrappers included; and from an environment and these numbers, which sets
        it back. Needed where deep copies fail, and to learn in the model: states are then tensors,
        which can be kept and written to files. Default: deep copies.

    Attributes
    ----------
    n_actions, action_dim : int or None
        Of ``Discrete`` and of bounded ``Box`` actions.

    Raises
    ------
    MissingDependencyError
        If Gymnasium is not installed.
    UnsupportedError
        If actions are of another space, or copies do not go on as the original does.
    InvalidInputError
        If only one of ``save`` and ``restore`` is given, or ``make`` is an environment.

    Notes
    -----
    A state is ``{"shown": (n, ...), "saved": (n, m), "over": (n,)}``, of which ``saved`` is a
    column of copies if there is no ``save``, and ``over`` says where the episode has ended: nothing
    happens there. Observations are what is shown: arrays in their shape, other spaces flattened.
    The ``np_random`` of an environment is seeded anew before each step and reset, so that all
    randomness comes from the generator. An environment that draws from another one of NumPy or
    Python fails the test at the start. What is carried over from one episode to the next, such as
    the number of episodes, is carried over here too.

    For MuJoCo, whose deep copies diverge, save and restore the physics state and the
    ``_elapsed_steps`` of the time limit.

    Examples
    --------
    >>> import gymnasium
    >>> import torch
    >>> from dfl.rl.envs import GymnasiumModel, play, random_actions
    >>> cart = GymnasiumModel(lambda: gymnasium.make("CartPole-v1"))
    >>> act = lambda state, generator: random_actions(cart, len(state["shown"]), generator)
    >>> play(cart, act, 2, 500, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        make: Callable[[], Any],
        save: Callable[[Any], Sequence[float]] | None = None,
        restore: Callable[[Any, np.ndarray], None] | None = None,
    ) -> None:
        if not callable(make):
            raise InvalidInputError(
                f"GymnasiumModel: got {make!r}, expected a function that makes an environment: "
                "lambda: gymnasium.make(...)"
            )
        if (save is None) != (restore is None):
            raise InvalidInputError("GymnasiumModel: got one of save and restore, expected both")
        self.make = make
        self.save = save
        self.restore = restore
        # the one that is reset, and set back to what was saved; its own state does not matter
        self._scratch = make()
        self._scratch.reset(seed=0)
        self._spaces = Spaces(self._scratch.observation_space, self._scratch.action_space)
        self.n_actions = self._spaces.n_actions
        self.action_dim = self._spaces.action_dim
        self._check_copies()

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Begin n episodes; see ``BatchedModel``."""
        shown, saved = [], []
        for seed in _seeds(n, generator):
            shown.append(copy.deepcopy(self._scratch.reset(seed=seed)[0]))
            saved.append(self._saved(self._scratch))
        return self._state(self._spaces.shown(shown), saved, torch.zeros(n, dtype=torch.bool))

    def observe(self, state: State) -> Tensor:
        """Return what the environments show; see ``BatchedModel``."""
        return state["shown"]

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Step a copy of each of n environments; see ``BatchedModel``."""
        before, seeds = self._rows(state), _seeds(len(actions), generator)
        shown, saved = state["shown"].clone(), list(before)
        # an environment that has ended is left as it is, since many fail if stepped
        rewards, over = torch.zeros(len(before)), state["over"]
        terminated, truncated = over.clone(), torch.zeros_like(over)
        taken = self._spaces.taken(actions, len(before))
        for i in (~over).nonzero().squeeze(1).tolist():
            env = self._restored(before[i])
            outcome = _stepped(env, taken[i], seeds[i])
            shown[i] = self._spaces.shown([outcome[0]])[0]
            rewards[i], terminated[i] = outcome[1], outcome[2]
            # an environment may say both; here an episode that terminated is not truncated
            truncated[i] = outcome[3] and not outcome[2]
            # a deep copy that was just stepped is nobody else's
            saved[i] = env if self.save is None else self._saved(env)
        after = self._state(shown, saved, over | terminated | truncated)
        return after, rewards, terminated, truncated

    def _state(self, shown: Tensor, saved: list[Any], over: Tensor) -> State:
        if self.save is None:
            # rows of objects, which the functions on rows handle as they handle tensors
            column = cast(Tensor, Snapshots(saved))
        else:
            column = torch.from_numpy(np.stack(saved))
        return {"shown": shown, "saved": column, "over": over}

    def _rows(self, state: State) -> Sequence[Any]:
        if self.save is None:
            return cast(Snapshots, state["saved"]).saved
        return list(state["saved"].cpu().numpy())

    def _saved(self, env: Any) -> Any:
        return copy.deepcopy(env) if self.save is None else np.array(self.save(env), dtype=float)

    def _restored(self, saved: Any) -> Any:
        if self.restore is None:
            return copy.deepcopy(saved)
        self.restore(self._scratch, saved.copy())
        return self._scratch

    def _check_copies(self) -> None:
        """Step an environment, and before and after it what was saved of it, and compare.

        That two copies agree is not enough: both may have lost where the original was.
        """
        generator = torch.Generator().manual_seed(0)
        for start in range(_STARTS):
            original = self.make()
            original.reset(seed=start)
            n = _BEFORE + _AFTER
            taken = self._spaces.taken(random_actions(self, n, generator), n)
            for i, action in enumerate(taken[:_BEFORE]):
                if _ended(_stepped(original, action, i)):
                    original.reset(seed=start)
            try:
                saved = self._saved(original)
                early = self._followed(saved, taken[_BEFORE:])
                truth = _steps(original, taken[_BEFORE:])
                late = self._followed(saved, taken[_BEFORE:])
            except Exception as error:
                raise UnsupportedError(
                    f"GymnasiumModel: {original} cannot be copied ({error}); give save and restore "
                    "that can"
                ) from error
            for name, copied in (("a copy", early), ("a later copy of the same state", late)):
                wrong = self._first_difference(copied, truth)
                if wrong is not None:
                    raise UnsupportedError(
                        f"GymnasiumModel: {name} of {original} does not go on as it does: they "
                        f"differ {wrong + 1} steps after; give save and restore that keep all that "
                        "its future depends on"
                    )
            if self.save is None and _draws_apart(saved, taken[_BEFORE:]):
                raise UnsupportedError(
                    f"GymnasiumModel: {original} draws from a generator of its own, which is "
                    "copied with it, so that copies of a state would all have the same luck: let "
                    "it draw from self.np_random"
                )

    def _followed(self, saved: Any, taken: np.ndarray) -> list[tuple]:
        env, outcomes = self._restored(saved), []
        for i in range(_COPIES):
            outcomes += _steps(env, taken[i : i + 1], i)
            if _ended(outcomes[-1]):
                return outcomes
            env = self._restored(self._saved(env))
        return outcomes + _steps(env, taken[_COPIES:], _COPIES)

    def _first_difference(self, copied: list[tuple], truth: list[tuple]) -> int | None:
        for i, (one, other) in enumerate(zip(copied, truth, strict=False)):
            shown = self._spaces.shown([one[0], other[0]])
            same = torch.allclose(shown[0], shown[1], 1e-6, 1e-6, equal_nan=True)
            if not same or one[2:] != other[2:] or not np.isclose(one[1], other[1]):
                return i
        return None if len(copied) == len(truth) else min(len(copied), len(truth))


def _seeds(n: int, generator: torch.Generator) -> list[int]:
    seeds = torch.randint(2**31 - 1, (n,), generator=generator, device=generator.device)
    return cast(list[int], seeds.tolist())


def _stepped(env: Any, action: Any, seed: int) -> tuple[Any, float, bool, bool]:
    """Return observation, reward, and whether the episode terminated or was truncated."""
    env.unwrapped.np_random = np.random.default_rng(seed)
    shown, reward, terminated, truncated, _ = env.step(action)
    return copy.deepcopy(shown), float(reward), bool(terminated), bool(truncated)


def _steps(env: Any, actions: np.ndarray, first_seed: int = 0) -> list[tuple]:
    """Step until the episode ends, or there are no more actions; count as its time limit does."""
    outcomes: list[tuple] = []
    for i, action in enumerate(actions):
        outcome = _stepped(env, action, first_seed + i)
        # a limit may be too far for the test, and a counter that goes on would reach it in a search
        timed = env.has_wrapper_attr("_elapsed_steps")
        outcomes.append((*outcome, env.get_wrapper_attr("_elapsed_steps") if timed else 0))
        if _ended(outcomes[-1]):
            break
    return outcomes


def _draws_apart(env: Any, actions: np.ndarray) -> bool:
    """Return whether a generator that is copied with an environment is drawn from in its steps."""
    memo: dict[int, Any] = {}
    copied = copy.deepcopy(env, memo)
    kinds = (np.random.BitGenerator, random.Random)
    found = [part for part in memo.values() if isinstance(part, kinds)]
    before = [_drawn_so_far(part) for part in found]
    # this one's np_random is replaced in each step, so that only others are drawn from
    _steps(copied, actions)
    return before != [_drawn_so_far(part) for part in found]


def _drawn_so_far(part: np.random.BitGenerator | random.Random) -> str:
    return str(part.getstate() if isinstance(part, random.Random) else part.state)


def _ended(outcome: tuple) -> bool:
    return bool(outcome[2] or outcome[3])
