"""Candidates for each step of a sampler, as a source of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.fitting import spent, trained_as
from dfl.rl.preference.checks import check_conditions, check_counts
from dfl.rl.preference.directions import Direction, steepest
from dfl.rl.preference.learner import StepwiseLearner, predict
from dfl.rl.preference.objectives import StepBatch
from dfl.rl.preference.rewards import QUERIES, Reward, counted_reward
from dfl.rl.preference.sampling import (
    compared_steps,
    first_noise,
    noise_of_step,
    rows_of,
    shuffled,
)
from dfl.rl.preference.transition import DDIMTransition


@final
class StepwiseCandidates:
    """Draw k candidates for each step of n samplers, and yield batches of what is better.

    All candidates of a step come from one x; a reward judges what the denoiser expects each to
    become, and the sampler goes on from a random one, so that steps to come are not those of
    winners. A pass samples once, then yields every step whose candidates differ, in random order.

    Parameters
    ----------
    reward : callable
        From samples (n, ...), times (n,) and conditions to what each is worth, (n,).
    shape : tuple of int
        Of one sample.
    direction : Direction
        How candidates are drawn and weighted.
    n_candidates : int, default=4
        Number k of candidates at each step.
    n_chains : int, default=64
        Samplers side by side.
    batch_size : int, default=64
        Steps in a batch.
    start_step : int, default=2
        Steps before are not compared.
    conditions : object of a length, optional
        What the denoiser is told, a row each: a tensor, or anything that a tensor of row numbers
        indexes. Each pass draws ``n_chains`` of them, all once before any is drawn again.
    slow_sampler : bool, default=True
        Sample from the slow copy of the denoiser, else from itself.
    budget : Budget, optional
        Is charged ``"reward_queries"``, ``"denoiser_calls"`` (rows, of the sampler) and
        ``"optimizer_steps"``.

    Attributes
    ----------
    budget : Budget
    summary : dict of str to float
        Of the last pass: mean ``reward`` of the candidates of the last step that was compared, the
        share of steps that were ``valid``, ``path_divergence`` of the sampler from the reference
        over all steps in nats, and what was spent so far.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or conditions have no rows.

    Notes
    -----
    A pass costs ``n_candidates n_chains`` queries for each step that is compared. Steps without
    noise have no candidates: the last one of a scheduler with ``set_alpha_to_one=True``. Where the
    candidates of no step differ, nothing is yielded and nothing is learned.

    References
    ----------
    Liang et al., "Aesthetic Post-Training Diffusion Models from Generic Preferences with Step-by-
    step Preference Optimization", CVPR 2025, arXiv 2406.04314.
    """

    kinds: ClassVar[tuple[str, ...]] = (QUERIES, "denoiser_calls", "optimizer_steps")

    def __init__(
        self,
        reward: Reward,
        shape: tuple[int, ...],
        direction: Direction,
        *,
        n_candidates: int = 4,
        n_chains: int = 64,
        batch_size: int = 64,
        start_step: int = 2,
        conditions: Any = None,
        slow_sampler: bool = True,
        budget: Budget | None = None,
    ) -> None:
        check_counts((
            ("n_candidates", n_candidates, 1),
            ("n_chains", n_chains, 1),
            ("batch_size", batch_size, 1),
            ("start_step", start_step, 0),
        ))  # fmt: skip
        check_conditions(conditions)
        self.budget = Budget() if budget is None else budget
        self.reward = counted_reward(reward, self.budget)
        self.shape = tuple(shape)
        self.direction = direction
        self.n_candidates = n_candidates
        self.n_chains = n_chains
        self.batch_size = batch_size
        self.start_step = start_step
        self.conditions = conditions
        self.slow_sampler = slow_sampler
        self.summary: dict[str, float] = {}

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[StepBatch, WeightedSamples]]:
        """Sample, and yield batches for the ``StepwiseLearner`` that is trained."""
        learner = trained_as(self, model, StepwiseLearner)
        learner.eval()
        kept = self._collect(learner, generator)
        learner.train()
        for rows in shuffled(len(kept["steps"]), self.batch_size, generator):
            part = {name: values[rows.to(values.device)] for name, values in kept.items()}
            self.budget.charge("optimizer_steps", 1)
            yield self._batch(learner, part)
            learner.follow()
        self.summary |= spent(self.budget, self.kinds)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what was spent, all that is left of a pass."""
        return {"spent": self.budget.spent_on(self.kinds)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Charge what was spent before."""
        self.budget.charge_all(self.kinds, state["spent"])

    @torch.no_grad()
    def _collect(self, learner: StepwiseLearner, generator: torch.Generator) -> dict[str, Tensor]:
        """Sample once; return the steps whose candidates differ, row by row."""
        transition, sampler = learner.transition, self._sampler(learner)
        compared = compared_steps(transition, self.start_step)
        index = self._drawn_rows(generator)
        conditions = rows_of(self.conditions, index)
        x = first_noise(sampler, self.n_chains, self.shape, generator)
        noise = self._predict(sampler, transition, x, 0, conditions)
        kept: list[dict[str, Tensor]] = []
        divergence = torch.zeros((), dtype=torch.float64)
        for i in range(len(transition)):
            original = predict(learner.reference, transition, x, i, conditions)
            divergence += transition.divergence(noise - original, i).mean().cpu()
            if compared[i]:
                found, x, noise = self._compare(learner, x, noise, i, index, generator)
                kept.append(found)
                continue
            x = transition.step(x, noise, i, noise_of_step(transition, x, i, generator))
            if i + 1 < len(transition):
                noise = self._predict(sampler, transition, x, i + 1, conditions)
        rows = {name: torch.cat([found[name] for found in kept]) for name in kept[0]}
        valid = rows.pop("valid")
        self.summary["valid"] = float(valid.double().mean())
        self.summary["path_divergence"] = float(divergence)
        return {name: values[valid] for name, values in rows.items()}

    def _compare(
        self,
        learner: StepwiseLearner,
        x: Tensor,
        noise: Tensor,
        i: int,
        index: Tensor,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Draw and judge candidates of step i; return them, one of them, and the noise in it."""
        n, k = self.n_chains, self.n_candidates
        drawn = self.direction.draw(n, k, self.shape, generator).to(x)
        spread = float(learner.transition.deviations[i]) * drawn
        candidates = learner.transition.mean(x, noise, i)[:, None] + spread
        flat, repeated = candidates.flatten(0, 1), index.repeat_interleave(k)
        if self.direction.exact:
            flat = flat.detach().requires_grad_()
        with torch.set_grad_enabled(self.direction.exact):
            after, values = self._judge(learner, flat, i, rows_of(self.conditions, repeated))
            if self.direction.exact:
                drawn, weights = steepest(values, flat, drawn.shape)
        values = values.detach().reshape(n, k)
        if not self.direction.exact:
            weights = self.direction.weigh(values)
        valid = (weights != 0).any(1)
        compared, weights = learner.objective.candidates(drawn, weights)
        chosen = torch.randint(k, (n,), generator=generator)
        picked = (torch.arange(n) * k + chosen).to(x.device)
        self.summary["reward"] = float(values.mean())
        found = {
            "x": x,
            "steps": torch.full((n,), i, dtype=torch.int64, device=x.device),
            "index": index.to(x.device),
            "origin": noise,
            "candidates": compared,
            "weights": weights,
            "valid": valid,
        }
        return found, flat.detach()[picked], after.detach()[picked]

    def _judge(
        self, learner: StepwiseLearner, x: Tensor, i: int, conditions: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the noise in what step i led to, and what it is expected to be worth."""
        transition = learner.transition
        if i + 1 == len(transition):  # nothing is left to be expected
            return torch.zeros_like(x), self.reward(
                x, transition.times.new_zeros(len(x)), conditions
            )
        noise = self._predict(self._sampler(learner), transition, x, i + 1, conditions)
        times = transition.times[i + 1].expand(len(x)).to(x.device)
        return noise, self.reward(transition.clean(x, noise, i + 1), times, conditions)

    @torch.no_grad()
    def _batch(
        self, learner: StepwiseLearner, rows: dict[str, Tensor]
    ) -> tuple[StepBatch, WeightedSamples]:
        """Add what the reference and the slow copy say now."""
        conditions = rows_of(self.conditions, rows["index"])
        parts = rows["x"], rows["steps"], conditions
        anchor = None
        if learner.objective.anchored:
            anchor = predict(learner.slow, learner.transition, *parts)
        batch = StepBatch(*parts, rows["candidates"], rows["origin"], anchor)
        old = learner.log_prob(learner.reference, batch)
        return batch, WeightedSamples(rows["candidates"], rows["weights"], old)

    def _sampler(self, learner: StepwiseLearner) -> nn.Module:
        return learner.slow if self.slow_sampler else learner.denoiser

    def _predict(
        self, sampler: nn.Module, transition: DDIMTransition, x: Tensor, i: int, conditions: Any
    ) -> Tensor:
        self.budget.charge("denoiser_calls", len(x))
        return predict(sampler, transition, x, i, conditions)

    def _drawn_rows(self, generator: torch.Generator) -> Tensor:
        """Draw row numbers of conditions, all of them once before any again."""
        n = self.n_chains
        if self.conditions is None:
            return torch.zeros(n, dtype=torch.int64)
        m = len(self.conditions)
        drawn = [torch.randperm(m, generator=generator) for _ in range(-(-n // m))]
        return torch.cat(drawn)[:n]
