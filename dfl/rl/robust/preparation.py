"""What ``RobustPolicyOptimizer`` does before it learns: checks, its parts, a fingerprint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dfl._validation import check_positive
from dfl.adversary import (
    AbstractAdversary,
    AbstractStrength,
    ConstantStrength,
    WindowStrength,
    make_adversary,
)
from dfl.estimators._fingerprint import digest
from dfl.exceptions import InvalidInputError
from dfl.rl.fitting import told_parameters
from dfl.rl.robust.agent import RobustAgent, robust_law
from dfl.rl.robust.rollouts import AttackedRollouts
from dfl.rl.simulators import shown_by

if TYPE_CHECKING:
    from dfl.rl.robust.optimizer import RobustPolicyOptimizer

# what does not change what is learned
_UNTOLD = ("checkpoint", "verbose", "random_state")
# adversaries of the same name with a number of gradients
_CLIMBERS = ("kl", "value", "surrogate")


def check_settings(told: RobustPolicyOptimizer) -> None:
    """Refuse settings out of their range; what other parts check is left to them."""
    check_positive(told, learning_rate=told.learning_rate, deviation=told.deviation)
    if not 0 <= told.entropy < math.inf:
        raise InvalidInputError(
            f"RobustPolicyOptimizer: got entropy={told.entropy}, expected a positive number, or 0"
        )
    if not 0 <= told.epsilon < math.inf:  # also where nobody attacks: attacks are judged by it
        raise InvalidInputError(
            f"RobustPolicyOptimizer: got epsilon={told.epsilon}, expected a finite number of "
            "at least 0"
        )
    if told.attacked_rollouts and told.objective != "attacked":
        raise InvalidInputError(
            f"RobustPolicyOptimizer: got attacked_rollouts=True with objective="
            f"{told.objective!r}, whose steps are taken without the adversary; use "
            "attacked_rollouts=False"
        )
    if told.adversary not in (*_CLIMBERS, "identity", "random"):
        raise InvalidInputError(
            f"RobustPolicyOptimizer: got adversary={told.adversary!r}, expected one of: "
            f"identity, random, {', '.join(_CLIMBERS)}"
        )
    if told.adversary == "surrogate" and told.attacked_rollouts:
        raise InvalidInputError(
            "RobustPolicyOptimizer: adversary='surrogate' needs to know what actions gained, "
            "which is not known while steps are taken; use attacked_rollouts=False"
        )


def source_of(told: RobustPolicyOptimizer, env: Any) -> AttackedRollouts:
    """Return where the steps to learn from come from."""
    return AttackedRollouts(
        env,
        _adversary(told),
        objective=told.objective,
        kappa=told.kappa,
        softness=told.softness,
        strength=_schedule("strength", told.strength),
        radius=_schedule("radius", told.radius),
        attacked=told.attacked_rollouts,
        n_passes=told.max_iter,
        n_environments=told.n_environments,
        rollout_length=told.rollout_length,
        n_epochs=told.n_epochs,
        batch_size=told.batch_size,
        discount=told.discount,
        trace=told.trace,
        clip=told.clip,
        max_episode_steps=told.max_episode_steps,
    )


def agent_of(
    told: RobustPolicyOptimizer,
    n_inputs: int,
    n_actions: int | None,
    action_dim: int | None,
    generator: torch.Generator | None,
) -> RobustAgent:
    """Return the agent before training."""
    return RobustAgent(
        n_inputs,
        robust_law(n_actions, action_dim),
        hidden=tuple(told.hidden),
        deviation=told.deviation,
        entropy=told.entropy,
        penalty=told.kappa if told.objective == "regularized" else 0.0,
        units=_units(told.units, n_inputs),
        generator=generator,
    )


def fingerprint(told: RobustPolicyOptimizer, env: Any, agent: RobustAgent, seed: int) -> str:
    """Return what tells a fit from another, for checkpoints."""
    text = repr((seed, type(env).__name__, told_parameters(told, _UNTOLD), str(agent)))
    shown: list[Tensor] = []
    if hasattr(env, "observe") and hasattr(env, "step"):
        _, shown = shown_by(env, seed)
    return digest(text, [*shown, *agent.state_dict().values()])


def _adversary(told: RobustPolicyOptimizer) -> AbstractAdversary:
    parameters = {"steps": told.attack_steps} if told.adversary in _CLIMBERS else {}
    radius = 0.0 if told.adversary == "identity" else told.epsilon
    return make_adversary(told.adversary, radius, parameters)


def _schedule(name: str, asked: float | tuple[float, float]) -> AbstractStrength:
    """Return a schedule for a number, or for a window of training."""
    if isinstance(asked, (tuple, list)):
        if len(asked) != 2:
            raise InvalidInputError(
                f"RobustPolicyOptimizer: got {name}={asked}, expected a number from 0 to 1, or a "
                "pair of them"
            )
        return WindowStrength(*asked)
    return ConstantStrength(asked)


def _units(units: tuple[float, ...] | None, n_inputs: int) -> tuple[float, ...] | None:
    """Return what each of so many coordinates is divided by."""
    if units is None:
        return None
    found = tuple(map(float, units))
    if len(found) != n_inputs or not all(0 < unit < math.inf for unit in found):
        raise InvalidInputError(
            f"RobustPolicyOptimizer: got units={units}, expected {n_inputs} positive numbers, "
            "one for each coordinate of an observation"
        )
    return found
