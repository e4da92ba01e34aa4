"""How a trained policy does by itself, and under each attack."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from dfl.exceptions import InvalidInputError
from dfl.metrics import interquartile_mean, mean_interval
from dfl.montecarlo import Budget
from dfl.rl.robust.attack import AbstractAttack, Showing, acting
from dfl.rl.robust.attacks import ATTACKS as ATTACKS
from dfl.rl.robust.attacks import make_attack
from dfl.rl.robust.collect import episode_returns
from dfl.rl.robust.optimizer import RobustPolicyOptimizer
from dfl.rl.robust.scaling import RunningScale
from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True)
class RobustnessReport:
    """Returns of episodes, not discounted, that began alike.

    Attributes
    ----------
    natural : ndarray of shape (n_episodes,)
        Without an attack.
    attacked : dict of str to ndarray of shape (n_episodes,)
        By attack.
    budget : Budget
        What judging took: phase ``"evaluate"``, and ``"select"`` for what attacks learned.
    """

    natural: Array
    attacked: Mapping[str, Array]
    budget: Budget = field(repr=False)

    @property
    def worst(self) -> float:
        """The least mean return, over the attacks and none."""
        return float(min(values.mean() for values in (self.natural, *self.attacked.values())))

    @property
    def ratio(self) -> float:
        """What the worst attack loses, as a share of the natural return: 0 is robust."""
        natural = float(self.natural.mean())
        return (self.worst - natural) / abs(natural) if natural else 0.0

    def table(self) -> str:
        """Return means and interquartile means with 95 % intervals over episodes, in Markdown."""
        lines = ["| attack | mean return [95 %] | interquartile mean [95 %] |", "|---|---|---|"]
        for name, values in {"none": self.natural, **self.attacked}.items():
            mean = mean_interval(values)
            middle = interquartile_mean(values[:, None], random_state=0)
            lines.append(f"| {name} | {_text(mean)} | {_text(middle)} |")
        lines.append(f"| worst | {self.worst:.1f} | ratio {self.ratio:+.3f} |")
        return "\n".join(lines)


def evaluate(
    policy: RobustPolicyOptimizer,
    env: Any = None,
    *,
    attacks: Sequence[str | AbstractAttack] = ATTACKS,
    epsilon: float | None = None,
    units: RunningScale | None = None,
    n_episodes: int = 100,
    random_state: Any = None,
) -> RobustnessReport:
    """Play episodes without and with each attack, by the likeliest actions.

    Parameters
    ----------
    policy : RobustPolicyOptimizer
        Fitted. Its scales do not change.
    env : BatchedModel or VectorEnv, optional
        Default: where it learned.
    attacks : sequence of str or AbstractAttack
        Default: all of ``make_attack``.
    epsilon : float, optional
        Radius of the ball, in ``units``. Default: that of the policy.
    units : RunningScale, optional
        In whose units the radius is, such as ``other.agent_.scale``. If these are standard
        deviations, a policy that keeps still meets a smaller ball than one that sways: give all
        policies that are compared the same units, here or in training. Default: the policy's own.
    n_episodes : int, default=100
        For each attack, beginning in the same states.
    random_state : int, Generator, RandomState or None
        Seeds the first states and the attacks. Default: one that follows from that of ``fit``.

    Returns
    -------
    RobustnessReport
        Returns of the episodes, by attack.

    Raises
    ------
    InvalidInputError
        If there is no environment or no episode, the environment has other actions, there is no
        such attack, two have one name, or ``units`` has another shape.

    Examples
    --------
    >>> from dfl.rl.envs import CartPole
    >>> from dfl.rl.robust import RobustPolicyOptimizer, evaluate
    >>> policy = RobustPolicyOptimizer("identity", max_iter=2, random_state=0).fit(CartPole())
    >>> report = evaluate(policy, attacks=["random", "critic"], n_episodes=10)
    >>> bool(report.worst <= report.attacked["random"].mean())
    True
    """
    check_is_fitted(policy)
    env = policy.env_of(env)
    radius = policy.epsilon if epsilon is None else epsilon
    if not 0 <= radius < float("inf"):
        raise InvalidInputError(f"got epsilon={radius}, expected a finite number of at least 0")
    asked = _attacks(attacks)
    if units is not None:
        policy = _in_units(policy, units)
    budget, seed = Budget(), policy.seed_of(random_state)
    generator = torch.Generator().manual_seed(seed + 1)

    def played(show: Showing | None) -> Array:
        with budget.phase("evaluate"), budget.timed():
            returns = episode_returns(
                env,
                acting(policy.agent_, show),
                n_episodes,
                policy.max_episode_steps,
                generator=torch.Generator().manual_seed(seed),
                budget=budget,
            )
        return np.asarray(returns.cpu().numpy())

    natural = played(None)
    attacked = {
        attack.name: played(attack.against(policy, env, radius, generator, budget))
        for attack in asked
    }
    return RobustnessReport(natural, attacked, budget)


def _attacks(given: Sequence[str | AbstractAttack]) -> list[AbstractAttack]:
    """Return attacks, whose names are their keys in the report."""
    named = [given] if isinstance(given, str) else given
    asked = [make_attack(each) if isinstance(each, str) else each for each in named]
    for i, attack in enumerate(asked):
        if not isinstance(attack, AbstractAttack):
            raise InvalidInputError(
                f"evaluate: got an attack of type {type(attack).__name__} at place {i}, expected "
                "a name or an AbstractAttack"
            )
        if attack.name in [before.name for before in asked[:i]]:
            raise InvalidInputError(
                f"evaluate: got two attacks of the name {attack.name!r}, expected one of each: one "
                "would be lost from the worst; judge them in two calls"
            )
    return asked


def _in_units(policy: RobustPolicyOptimizer, units: RunningScale) -> RobustPolicyOptimizer:
    """Return a policy that acts alike, and whose attacks are in other units."""
    other = copy.copy(policy)
    other.agent_ = policy.agent_.rescaled(units)
    return other


def _text(interval: Any) -> str:
    return f"{interval.mean:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
