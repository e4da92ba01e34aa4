"""Completions of prompts, as a source of batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.fitting import part, spent, trained_as
from dfl.rl.segment.drawing import AdvantageEstimator, Collected, Drawing
from dfl.rl.segment.examples import Example, LossType, pack
from dfl.rl.segment.policy import TokenBatch, TokenPolicy
from dfl.rl.segment.processes import Processes
from dfl.rl.segment.replay import EdgeReplay
from dfl.rl.segment.values import Judge

Scorer = Callable[[Sequence[Tensor], Sequence[Tensor]], list[Tensor]]
Log = Callable[[int, Sequence[Example], Sequence[dict[str, Any]]], None]


@final
class SegmentRollouts:
    """Draw completions of prompts, say what their segments are worth, and yield batches of them.

    A pass draws completions of a few prompts, in random order without repetition until all had
    their turn, and yields batches of what there is to learn.

    Parameters
    ----------
    prompts : sequence of Tensors of int64
        Token ids of each prompt.
    judge : callable
        From numbers of prompts and completions, a list of Tensors, to rewards, a Tensor (k,).
    advantages : AdvantageEstimator
        ``ChainAdvantages``, ``TreeAdvantages`` or ``GroupAdvantages``.
    prompts_per_iteration : int, default=8
        Prompts that are completed in a pass.
    max_completion_length : int, default=256
        In tokens. Completions are cut off there.
    batch_size : int, default=64
        Examples in a batch; a completion is one, or an edge of a tree.
    num_iterations : int, default=1
        Times that what was drawn is learned from.
    threshold, whiten, loss_type
        See ``pack``.
    replay : EdgeReplay, optional
        Where examples are kept for later passes. Default: all are learned from in their own.
    reference : callable, optional
        From contexts and responses to log-probabilities of their tokens, as ``TokenPolicy.score``:
        they go into the examples, for the divergence in the loss.
    processes : Processes, optional
        Each draws completions of its share of the prompts, and learns from its share of each batch.
        Default: this process alone.
    log : callable, optional
        Is given the number of the pass, its examples, and what to tell of each.
    budget : Budget, optional
        Is charged ``"generated_tokens"``, ``"verifier_calls"``, ``"trained_tokens"`` and
        ``"optimizer_steps"``.

    Attributes
    ----------
    budget : Budget
    summary : dict of str to float
        Of the last pass: ``reward``, the mean over completions; ``frac_reward_zero_std``, the share
        of prompts whose completions all had the same; ``frac_no_advantage``, the share of the
        completions, or edges, that teach nothing; ``examples`` learned from; ``mask_fraction``, the
        share of their tokens that were; ``segments`` of a completion; ``completion_length`` and
        ``clipped_ratio``, the share that was cut off; and what was spent so far.

    Raises
    ------
    InvalidInputError
        If a number is below one, or there are no prompts.

    Notes
    -----
    Examples without any advantage teach nothing, and are left out of all averages.
    """

    kinds: ClassVar[tuple[str, ...]] = (
        "generated_tokens",
        "verifier_calls",
        "trained_tokens",
        "optimizer_steps",
    )

    def __init__(
        self,
        prompts: Sequence[Tensor],
        judge: Judge,
        advantages: AdvantageEstimator,
        *,
        prompts_per_iteration: int = 8,
        max_completion_length: int = 256,
        batch_size: int = 64,
        num_iterations: int = 1,
        threshold: float | None = None,
        whiten: bool = False,
        loss_type: LossType = "dapo",
        replay: EdgeReplay | None = None,
        reference: Scorer | None = None,
        processes: Processes | None = None,
        log: Log | None = None,
        budget: Budget | None = None,
    ) -> None:
        numbers = {
            "prompts_per_iteration": prompts_per_iteration,
            "max_completion_length": max_completion_length,
            "batch_size": batch_size,
            "num_iterations": num_iterations,
            "the number of prompts": len(prompts),
        }
        check_at_least(1, self, **numbers)
        size = 1 if processes is None else processes.size
        if min(prompts_per_iteration, len(prompts)) < size:
            raise InvalidInputError(
                f"SegmentRollouts: got prompts_per_iteration={prompts_per_iteration} of "
                f"{len(prompts)} prompts for {size} processes, expected at least one each"
            )
        self.prompts = prompts
        self.advantages = advantages
        self.prompts_per_iteration = prompts_per_iteration
        self.max_completion_length = max_completion_length
        self.batch_size = batch_size
        self.num_iterations = num_iterations
        self.threshold = threshold
        self.whiten = whiten
        self.loss_type: LossType = loss_type
        self.replay = replay
        self.reference = reference
        self.processes = Processes() if processes is None else processes
        self.log = log
        self.budget = Budget() if budget is None else budget
        self.summary: dict[str, float] = {}
        self._judge: Judge = self.budget.counted(judge, "verifier_calls")
        self._iteration = 0
        self._waiting = torch.zeros(0, dtype=torch.int64)

    def batches(self, model: nn.Module, generator: torch.Generator) -> Iterator[tuple[Any, ...]]:
        """Draw completions, and yield batches for the ``TokenPolicy`` that is trained."""
        policy = trained_as(self, model, TokenPolicy)
        policy.eval()
        examples = self._collect(policy, generator)
        policy.train()
        tokens = kept = 0
        for _ in range(self.num_iterations):
            order = torch.randperm(len(examples), generator=generator, device=generator.device)
            for rows in torch.split(order, self.batch_size) if len(examples) else ():
                batch, samples = self._pack([examples[i] for i in rows.tolist()], policy.device)
                told = int(batch.mask[:, -batch.width :].sum())
                tokens += told
                kept += int(samples.mask.sum()) if samples.mask is not None else told
                self.budget.charge("trained_tokens", told)
                self.budget.charge("optimizer_steps", 1)
                yield self._share(batch, samples)
        policy.eval()
        self._iteration += 1
        if tokens:
            self.summary["mask_fraction"] = kept / tokens
        self.summary |= spent(self.budget, self.kinds)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next pass depends on, so that a killed run goes on as it was."""
        held = {} if self.replay is None else self.replay.state_dict()
        return {
            "iteration": torch.tensor(self._iteration),
            "waiting": self._waiting,
            "spent": self.budget.spent_on(self.kinds),
            **{f"replay.{k}": v for k, v in held.items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned; what was spent is charged."""
        self._iteration = int(state["iteration"])
        self._waiting = state["waiting"]
        self.budget.charge_all(self.kinds, state["spent"])
        if self.replay is not None:
            self.replay.load_state_dict(part(state, "replay."))

    def _turn(self, generator: torch.Generator) -> list[int]:
        """Return the prompts of this pass."""
        most = min(self.prompts_per_iteration, len(self.prompts))
        if len(self._waiting) < most:
            fresh = torch.randperm(
                len(self.prompts), generator=generator, device=generator.device
            ).cpu()
            # those that are still waiting come first, and are not there twice
            fresh = fresh[~torch.isin(fresh, self._waiting)]
            self._waiting = torch.cat([self._waiting, fresh])
        turn, self._waiting = self._waiting[:most], self._waiting[most:]
        return turn.tolist()

    def _collect(self, policy: TokenPolicy, generator: torch.Generator) -> list[Example]:
        rows = self.processes.own(self._turn(generator))
        drawn = generator
        if self.processes.size > 1:
            # the order of the batches stays common, what is drawn must not be
            seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
            drawn = torch.Generator(generator.device).manual_seed(seed + self.processes.rank)
        before = [self.budget.spent(kind) for kind in self.kinds]
        drawing = Drawing(
            policy,
            self.prompts,
            self._judge,
            self.max_completion_length,
            drawn,
            self.budget,
        )
        own = self._referred(self.advantages.collect(drawing, rows))
        paid = [self.budget.spent(k) - b for k, b in zip(self.kinds, before, strict=True)]
        everything = self.processes.gather((own, paid))
        found = Collected.joined([each for each, _ in everything])
        for rank, (_, others) in enumerate(everything):
            for kind, amount in zip(self.kinds, others, strict=True):
                if rank != self.processes.rank and amount:
                    self.budget.charge(kind, amount)
        if self.log is not None and self.processes.rank == 0:
            self.log(self._iteration + 1, found.examples, found.records)
        examples = [e for e in found.examples if e.advantages.any()]
        idle = 1 - len(examples) / found.total
        if self.replay is not None:
            self.replay.add(examples)
            examples = self.replay.take(generator)
        self._summarize(found, examples, idle)
        return examples

    def _referred(self, found: Collected) -> Collected:
        """Add the log-probabilities under the reference, where there is something to learn."""
        if self.reference is None:
            return found
        at = [i for i, e in enumerate(found.examples) if e.advantages.any()]
        told = [found.examples[i] for i in at]
        scores = self.reference([e.context for e in told], [e.response for e in told])
        for i, example, score in zip(at, told, scores, strict=True):
            found.examples[i] = dataclasses.replace(example, log_prob_ref=score)
        return found

    def _share(self, batch: TokenBatch, samples: WeightedSamples) -> tuple[Any, ...]:
        """Return this process's part of a batch, such that gradients average to that of it."""
        n, size = len(batch), self.processes.size
        if size == 1:
            return batch, samples
        rows = torch.tensor(
            self.processes.own(range(n)), dtype=torch.int64, device=batch.ids.device
        )
        weight = len(rows) * size / n
        if not len(rows):  # a batch is never empty, and counts for nothing here
            rows = rows.new_zeros(1)
        weights = torch.full((len(rows),), weight, device=batch.ids.device)
        return batch.rows(rows), samples.rows(rows), weights

    def _pack(
        self, examples: Sequence[Example], device: torch.device
    ) -> tuple[TokenBatch, WeightedSamples]:
        return pack(
            examples,
            threshold=self.threshold,
            whiten=self.whiten,
            loss_type=self.loss_type,
            max_completion_length=self.max_completion_length,
            device=device,
        )

    def _summarize(self, found: Collected, examples: Sequence[Example], idle: float) -> None:
        flat = torch.cat(found.rewards).double()
        equal = [float((each == each[0]).all()) for each in found.rewards]
        self.summary = {
            "reward": float(flat.mean()),
            "frac_reward_zero_std": sum(equal) / len(equal),
            "examples": float(len(examples)),
            "frac_no_advantage": idle,
            "mask_fraction": 0.0,
            "segments": found.segments,
            "completion_length": float(found.lengths.double().mean()),
            "clipped_ratio": 1 - float(found.finished.double().mean()),
        }
