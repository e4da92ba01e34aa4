"""Credit for segments of completions that the trainer of TRL has drawn."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor

from dfl.exceptions import UnsupportedError
from dfl.rl.seeds import drawn_seed, seeded
from dfl.rl.segment.advantages import chain_advantages
from dfl.rl.segment.generation import pad_right
from dfl.rl.segment.partition import partition_cutpoints, partition_fixed
from dfl.rl.segment.policy import TokenPolicy
from dfl.rl.segment.rewards import RewardJudge
from dfl.rl.segment.texts import Texts, is_chat
from dfl.rl.segment.values import mc_values


@final
@dataclass(frozen=True)
class SegmentCredit:
    """Where segments begin, and how their values are estimated; see ``segment_grpo_trainer``."""

    partition: Literal["cutpoints", "fixed"]
    cutpoint_interval: float
    segment_tokens: int | None
    num_mc_rollouts: int
    threshold: float | None

    def of(
        self, trainer: Any, inputs: Sequence[Mapping[str, Any]], output: Any
    ) -> dict[str, Tensor]:
        """Return advantages of tokens (n, l), and which of them are learned from."""
        prompts = _rows(output["prompt_ids"], output["prompt_mask"])
        completions = _rows(output["completion_ids"], output["completion_mask"])
        # completions that were cut off may be left out as a whole
        there = [i for i, tokens in enumerate(completions) if len(tokens)]
        policy = TokenPolicy(
            trainer.accelerator.unwrap_model(trainer.model),
            trainer.eos_token_ids,
            temperature=trainer.temperature,
            top_p=trainer.top_p,
        )
        if there:
            scores = policy.score([prompts[i] for i in there], [completions[i] for i in there])
        else:
            scores = [torch.zeros(1)]
        log_prob, mask = pad_right(scores)
        places = self._places(log_prob, mask)
        reward, mean, scale = _grouped(trainer, len(inputs))
        values = self._values(trainer, inputs, prompts, completions, there, places, mean, policy)
        advantages = torch.zeros(output["completion_ids"].shape)
        likely = torch.zeros(advantages.shape, dtype=torch.bool)
        for row, i in enumerate(there):
            length = len(completions[i])
            if self.threshold is not None:
                likely[i, :length] = scores[row] >= math.log(self.threshold)
            if reward[i].isfinite():
                gains = chain_advantages(places[row], values[row], float(reward[i]), length)
                advantages[i, :length] = gains / scale[i]
        device = output["completion_ids"].device
        found = {"advantages": advantages.to(device)}
        if self.threshold is not None:
            found["tool_mask"] = (~likely).long().to(device)
            if "tool_mask" in output:
                found["tool_mask"] *= output["tool_mask"]
            kept = (found["tool_mask"] * output["completion_mask"]).sum()
            found["num_items_in_batch"] = trainer.accelerator.gather(kept).sum()
            share = kept / output["completion_mask"].sum().clamp(min=1)
            trainer._metrics["train"]["segments/kept_tokens"].append(float(share))
        number = sum(map(len, places)) / max(len(there), 1)
        trainer._metrics["train"]["segments/per_completion"].append(number)
        return found

    def _values(
        self,
        trainer: Any,
        inputs: Sequence[Mapping[str, Any]],
        prompts: Sequence[Tensor],
        completions: Sequence[Tensor],
        there: Sequence[int],
        places: Sequence[Tensor],
        mean: Tensor,
        policy: TokenPolicy,
    ) -> list[Tensor]:
        """Return values at the places in each completion."""
        inner = [found[found >= 0] for found in places[: len(there)]]
        owners = [i for i, found in zip(there, inner, strict=True) for _ in found]
        begun = [
            completions[i][: place + 1]
            for i, found in zip(there, inner, strict=True)
            for place in found.tolist()
        ]
        drawn = mc_values(
            policy,
            prompts,
            owners,
            begun,
            self.num_mc_rollouts,
            _judge(trainer, inputs),
            max_completion_length=trainer.max_completion_length,
            generator=_generator_of_step(trainer),
        )
        parts = torch.split(drawn, [len(found) for found in inner])
        return [
            torch.cat([mean[i].repeat(len(found) - len(part)), part])
            for i, found, part in zip(there, places, parts, strict=False)
        ]

    def _places(self, log_prob: Tensor, mask: Tensor) -> list[Tensor]:
        if self.partition == "fixed":
            return partition_fixed(mask, self.segment_tokens or mask.shape[1])
        threshold = 0.9 if self.threshold is None else self.threshold
        return partition_cutpoints(log_prob, mask, threshold, self.cutpoint_interval)


def _generator_of_step(trainer: Any) -> torch.Generator:
    # of the step, so that a run that is resumed draws as it would have
    told = [trainer.args.seed, trainer.state.global_step, trainer.accelerator.process_index]
    return seeded(drawn_seed(told))


def check_configuration(trainer: Any) -> None:
    """Refuse configurations under which advantages would mean something else."""
    wanted = {
        "multi_objective_aggregation": (trainer.multi_objective_aggregation, "sum_then_normalize"),
        "tools": (trainer.tools or None, None),
        "environment_factory": (trainer.environments or None, None),
        "top_k": (trainer.top_k or 0, 0),
        "min_p": (trainer.min_p or None, None),
    }
    for name, (got, expected) in wanted.items():
        if got != expected:
            raise UnsupportedError(
                f"SegmentGRPOTrainer does not go with {name}: got {got!r}, expected {expected!r}"
            )
    for function in trainer.reward_funcs:
        if isinstance(function, torch.nn.Module) or not callable(function):
            raise UnsupportedError(
                f"SegmentGRPOTrainer does not go with reward models: got {type(function).__name__},"
                " expected plain functions"
            )


def _grouped(trainer: Any, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the reward of each of n own completions, and mean and divisor of its group."""
    rewards = trainer._segment_rewards
    groups = rewards.view(-1, trainer.num_generations)
    spread = rewards.expand(1, -1) if trainer.scale_rewards == "batch" else groups
    known = spread.isfinite()
    count = known.sum(1, keepdim=True)
    offsets = torch.where(known, spread - spread.nanmean(1, keepdim=True), 0.0)
    deviation = ((offsets**2).sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt() + 1e-4
    if trainer.scale_rewards == "none":
        deviation = torch.ones_like(deviation)
    first = trainer.accelerator.process_index * n
    own = slice(first, first + n)
    scale = deviation.expand_as(spread).reshape(-1)[own].cpu()
    mean = groups.nanmean(1, keepdim=True).expand_as(groups).reshape(-1)[own].cpu()
    return rewards[own].cpu(), mean, scale


def _judge(trainer: Any, inputs: Sequence[Mapping[str, Any]]) -> RewardJudge:
    """Return what judges completions that are drawn for estimates."""
    quiet = [
        functools.partial(
            function,
            trainer_state=trainer.state,
            # what is logged is about the completions that are learned from
            log_extra=lambda name, values: None,
            log_metric=lambda name, value: None,
        )
        for function in trainer.reward_funcs
    ]
    prompts = [row["prompt"] for row in inputs]
    others = [key for key in inputs[0] if key not in ("prompt", "completion", "completion_ids")]
    columns = {key: [row[key] for row in inputs] for key in others}
    texts = Texts(trainer.processing_class, is_chat(prompts[0]))
    return RewardJudge(quiet, trainer.reward_weights.tolist(), prompts, columns, texts.decode)


def total_rewards(rewards: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over reward functions, NaN where none of them gave one."""
    total = (rewards * weights.to(rewards)).nansum(1)
    return total.masked_fill(rewards.isnan().all(1), torch.nan)


def _rows(ids: Tensor, mask: Tensor) -> list[Tensor]:
    return [row[kept.bool()].cpu() for row, kept in zip(ids, mask, strict=True)]
