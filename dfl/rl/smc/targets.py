"""What is made of replayed steps: targets for the values, and weights for the actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from dfl.montecarlo import WeightedSamples
from dfl.rl.advantages import generalized_advantages
from dfl.rl.envs.model import BatchedModel
from dfl.rl.fitting import part
from dfl.rl.smc.learner import Learner, Steps
from dfl.rl.smc.network import seen_by


@final
@dataclass(frozen=True)
class Replayed:
    """Steps of the past, as the slow copy of the network sees them now.

    Attributes
    ----------
    observations : Tensor of shape (n, ...)
    reference : Tensor of shape (n, p)
        How the slow copy acts.
    values : Tensor of shape (n,)
        What the states are worth to it.
    returns : Tensor of shape (n,)
        What they turned out to be worth: ``values`` and the generalized advantages.
    samples : WeightedSamples
        Raw actions (n, k, ...) that were weighed when the step was taken.
    advantages : Tensor of shape (n, k)
        Of the particles of that search.
    """

    observations: Tensor
    reference: Tensor
    values: Tensor
    returns: Tensor
    samples: WeightedSamples
    advantages: Tensor


Weigh: TypeAlias = Callable[[Learner, Replayed, torch.Generator], tuple[Steps, WeightedSamples]]
"""An expectation step: from replayed steps to which actions are to become likelier."""


def as_searched(
    learner: Learner, replayed: Replayed, generator: torch.Generator
) -> tuple[Steps, WeightedSamples]:
    """Keep the weights of the searches that acted."""
    del learner, generator
    steps = Steps(replayed.observations, replayed.returns, replayed.advantages, replayed.reference)
    return steps, replayed.samples


def replayed(
    model: BatchedModel,
    learner: Learner,
    drawn: Mapping[str, Tensor],
    *,
    discount: float,
    trace: float,
) -> Replayed:
    """Look at sequences of steps (m, l, ...) as the slow copy does, all m l steps in a row.

    States stay where the simulator is; all that is returned is on the device of the learner.
    """
    shape = drawn["rewards"].shape
    flat = {name: values.flatten(0, 1) for name, values in drawn.items()}
    observations = seen_by(learner, model.observe(part(flat, "state.")))
    reference, values = learner.target(observations)
    device = values.device
    # the state after a step is the next one, but at the end of an episode or of the sequence
    over = drawn["terminated"] | drawn["truncated"]
    over[:, -1] = True
    next_values = values.reshape(shape).roll(-1, 1)
    last = {name: each[over.flatten()] for name, each in part(flat, "after.").items()}
    next_values[over.to(device)] = learner.target(seen_by(learner, model.observe(last)))[1]
    values = values.reshape(shape)
    returns = values + generalized_advantages(
        drawn["rewards"].to(values),
        values,
        next_values,
        drawn["terminated"].to(device),
        drawn["truncated"].to(device),
        discount=discount,
        trace=trace,
    )
    return Replayed(
        observations,
        reference,
        values.flatten(),
        returns.flatten(),
        WeightedSamples(flat["raw"].to(device), flat["weights"].to(device)),
        flat["advantages"].to(device),
    )
