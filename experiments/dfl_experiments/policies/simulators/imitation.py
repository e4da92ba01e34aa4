"""Policies that imitate the decisions of an oracle, by a loss of the core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import PositiveFloat, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.study import PolicyOutcome

if TYPE_CHECKING:
    import torch

    from dfl.montecarlo import WeightedSamples
    from dfl.rl.envs import BatchedModel, SequentialKnapsack
    from dfl.rl.envs.play import Decide


@final
class Imitation(AbstractPolicyMethod):
    """Do item by item what the oracle decided; by ``WeightedLikelihoodLoss``, weight one each.

    It solves each row of training once, and takes no step of the simulator.
    """

    algorithm: Literal["imitation"]
    max_iter: PositiveInt = 30
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn, and judge the likeliest decisions."""
        import torch
        from torch import nn

        from dfl import make_loss
        from dfl.training import train

        model: SequentialKnapsack = study.model(False, seed)
        started = time.perf_counter()
        observations, actions = _decided(model)
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(observations.shape[1], 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
            nn.Linear(256, 2), nn.LogSoftmax(1),
        )  # fmt: skip
        source = _Decisions(observations, actions, self.batch_size)
        loss = make_loss(
            "weighted-likelihood",
            None,
            {"log_prob": lambda output, taken: output.gather(1, taken)},
        )
        train(
            network,
            loss,
            source,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            seed=seed,
        )
        seconds = time.perf_counter() - started

        def acting(judged: BatchedModel) -> Decide:
            return lambda state, generator: network(judged.observe(state)).detach().argmax(1)

        spent = {"solves": float(len(model.values))}
        return PolicyOutcome(study.scored(acting, acting, seed), spent, seconds)


def _decided(model: SequentialKnapsack) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is seen on the way to the best decisions, and what they do there."""
    import torch

    values = model.values
    n, d = values.shape
    decisions = torch.from_numpy(model.oracle.solve(values.numpy()).decisions) > 0.5
    seen = []
    for item in range(d):
        taken = decisions.clone()
        taken[:, item:] = False
        state = {"row": torch.arange(n), "item": torch.full((n,), item), "taken": taken}
        seen.append(model.observe(state))
    return torch.cat(seen), decisions.T.reshape(-1, 1).to(torch.int64)


@final
class _Decisions:
    """Batches of decisions, in a new random order each epoch."""

    def __init__(self, observations: torch.Tensor, actions: torch.Tensor, batch_size: int) -> None:
        self.observations = observations
        self.actions = actions
        self.batch_size = batch_size

    def batches(
        self, model: Any, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, WeightedSamples]]:
        """Yield every decision once."""
        import torch

        from dfl.montecarlo import WeightedSamples

        del model
        order = torch.randperm(len(self.actions), generator=generator)
        for rows in torch.split(order, self.batch_size):
            actions = self.actions[rows]
            weights = torch.ones(actions.shape)
            yield self.observations[rows], WeightedSamples(actions, weights)
