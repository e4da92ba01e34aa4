"""A batched model as Stable-Baselines3 wants its environments."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dfl.montecarlo import Budget
from dfl.rl.envs.model import BatchedModel, begin_anew
from dfl_solvers.exceptions import import_optional


def vec_env(
    model: BatchedModel, n_envs: int, generator: torch.Generator, budget: Budget | None
) -> Any:
    """Return a ``VecEnv`` of Stable-Baselines3 over a model, in which episodes begin anew.

    Parameters
    ----------
    model : BatchedModel
    n_envs : int
        Episodes side by side.
    generator : torch.Generator
        All randomness comes from it.
    budget : Budget or None
        Is charged ``"env_steps"``, one for each step of each episode.

    Returns
    -------
    VecEnv
        It hands on the last observation of an episode, and whether it was truncated, as
        Stable-Baselines3 needs them to value it. ``finished`` has for each episode that ended the
        steps of all episodes up to then, and its return.

    Raises
    ------
    MissingDependencyError
        If Stable-Baselines3 is not installed.
    """
    base: Any = import_optional("stable_baselines3.common.vec_env", "rl").VecEnv
    spaces = import_optional("gymnasium.spaces", "rl")

    class ModelVecEnv(base):
        def __init__(self) -> None:
            shown = model.observe(model.reset(1, generator))[0].numpy()
            if model.n_actions is not None:
                actions = spaces.Discrete(model.n_actions)
            else:
                actions = spaces.Box(-1.0, 1.0, (model.action_dim,), np.float32)
            super().__init__(n_envs, spaces.Box(-np.inf, np.inf, shown.shape, np.float32), actions)

        def reset(self) -> np.ndarray:
            self.state = model.reset(n_envs, generator)
            self.steps, self.earned = 0, torch.zeros(n_envs, dtype=torch.float64)
            self.finished: list[tuple[int, float]] = []
            return self._shown()

        def step_async(self, actions: np.ndarray) -> None:
            self.chosen = torch.from_numpy(np.asarray(actions))

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            if budget is not None:
                budget.charge("env_steps", n_envs)
            self.state, rewards, terminated, truncated = model.step(
                self.state, self.chosen, generator
            )
            ended = terminated | truncated
            self.steps += n_envs
            self.earned += rewards.to(self.earned)
            self.finished += [(self.steps, value) for value in self.earned[ended].tolist()]
            self.earned = self.earned.masked_fill(ended, 0.0)
            infos: list[dict[str, Any]] = [{} for _ in range(n_envs)]
            if ended.any():
                last = self._shown()
                for i in ended.nonzero().squeeze(1).tolist():
                    infos[i]["terminal_observation"] = last[i]
                    infos[i]["TimeLimit.truncated"] = bool(truncated[i])
                self.state = begin_anew(model, self.state, ended, generator)
            return self._shown(), rewards.to(torch.float32).numpy(), ended.numpy(), infos

        def _shown(self) -> np.ndarray:
            return model.observe(self.state).to(torch.float32).numpy()

        # the rest of what a VecEnv must have; there are no environments to ask

        def close(self) -> None:
            pass

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(model, attr_name, None)] * n_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise AttributeError(f"a simulator has no {attr_name} to set")

        def env_method(self, method_name: str, *args: Any, indices: Any = None) -> list[Any]:
            raise AttributeError(f"a simulator has no {method_name} for single environments")

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * n_envs

    return ModelVecEnv()
