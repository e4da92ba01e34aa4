"""Credit for segments in the trainer of TRL."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from dfl.estimators._randomness import generator_of
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.rl.segment.advantages import chain_advantages
from dfl.rl.segment.generation import pad_right
from dfl.rl.segment.partition import partition_cutpoints, partition_fixed
from dfl.rl.segment.policy import TokenPolicy
from dfl.rl.segment.rewards import RewardJudge
from dfl.rl.segment.texts import Texts, is_chat
from dfl.rl.segment.values import mc_values
from dfl_solvers.exceptions import import_optional

__all__ = ["segment_grpo_trainer"]


def segment_grpo_trainer(
    partition: Literal["cutpoints", "fixed"] = "cutpoints",
    *,
    cutpoint_interval: float = 5,
    segment_tokens: int | None = None,
    num_mc_rollouts: int = 9,
    prob_mask_threshold: float | None = None,
) -> Any:
    r"""Return a subclass of TRL's ``GRPOTrainer`` that credits segments in place of completions.

    Use it to keep what you have in TRL: data sets, reward functions, configuration and launchers
    stay as they are, and only the advantages change, from one number a completion to one a token.
    ``SegmentPolicyOptimizer`` needs no TRL.

    Parameters
    ----------
    partition : {"cutpoints", "fixed"}, default="cutpoints"
        Begin a segment before every ``cutpoint_interval``-th unlikely token, or every
        ``segment_tokens`` tokens.
    cutpoint_interval : int, default=5
        ``math.inf`` for one segment, from the first unlikely token on.
    segment_tokens : int, optional
        For fixed segments. Default: whole completions, which gives GRPO itself.
    num_mc_rollouts : int, default=9
        Completions by which the value of a place between segments is estimated.
    prob_mask_threshold : float, optional
        Learn only from tokens that had a lower probability, such as 0.9. Default: from all.

    Returns
    -------
    type
        The class; its arguments are those of ``GRPOTrainer``.

    Raises
    ------
    MissingDependencyError
        If TRL is not installed.
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    With rewards R of the group of a completion and values V at the places between its segments,
    a token of the segment from s to s' has the advantage

    .. math::

        \frac{V(s') - V(s)}{\operatorname{std} R + 10^{-4}},

    where V at the end is the completion's own reward and V at the beginning the mean of the group,
    which costs nothing. Advantages along a completion sum to that of GRPO, hence a single segment
    has just that. The divisor is the one that ``scale_rewards`` names. Values are drawn from the
    model itself, on its own device, at the temperature and ``top_p`` of the configuration, also
    where vLLM draws the completions. Parameters must be whole on each process, unlike those of
    DeepSpeed's third stage. Written for TRL 1.16.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.
    Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language
    Models", 2024, arXiv 2402.03300.

    Examples
    --------
    >>> from dfl.rl.segment.trl import segment_grpo_trainer
    >>> Trainer = segment_grpo_trainer(cutpoint_interval=2, prob_mask_threshold=0.9)
    >>> Trainer.__mro__[1].__name__
    'GRPOTrainer'

    and then, as with TRL, ``Trainer(model, reward_funcs, args=GRPOConfig(...),
    train_dataset=...).train()``.
    """
    if partition not in ("cutpoints", "fixed"):
        raise InvalidInputError(
            f"segment_grpo_trainer: got partition={partition!r}, expected 'cutpoints' or 'fixed'"
        )
    if num_mc_rollouts < 1 or (segment_tokens is not None and segment_tokens < 1):
        raise InvalidInputError(
            f"segment_grpo_trainer: got num_mc_rollouts={num_mc_rollouts} and "
            f"segment_tokens={segment_tokens}, expected at least 1"
        )
    if prob_mask_threshold is not None and not 0 < prob_mask_threshold <= 1:
        raise InvalidInputError(
            f"segment_grpo_trainer: got prob_mask_threshold={prob_mask_threshold}, expected a "
            "probability above 0"
        )

    def places_of(log_prob: Tensor, mask: Tensor) -> list[Tensor]:
        if partition == "fixed":
            return partition_fixed(mask, segment_tokens or mask.shape[1])
        threshold = 0.9 if prob_mask_threshold is None else prob_mask_threshold
        return partition_cutpoints(log_prob, mask, threshold, cutpoint_interval)

    base: Any = import_optional("trl", "llm").GRPOTrainer

    class SegmentGRPOTrainer(base):
        """TRL's trainer with an advantage for each token; see ``segment_grpo_trainer``."""

        _segment_rewards: Tensor

        def _segment_generator(self) -> torch.Generator:
            # of the step, so that a run that is resumed draws as it would have
            told = [self.args.seed, self.state.global_step, self.accelerator.process_index]
            return torch.Generator().manual_seed(int(generator_of(told).integers(2**62)))

        def _calculate_rewards(
            self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
        ) -> Any:
            found = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            self._segment_rewards = _total(found, self.reward_weights)
            return found

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            training = self.model.training
            output = super()._generate_and_score_completions(inputs)
            if not training:  # evaluation reports rewards only
                return output
            _refuse(self)
            self.model.eval()
            try:
                return {**output, **self._credit(inputs, output)}
            finally:
                self.model.train()

        def _credit(self, inputs: Sequence[Mapping[str, Any]], output: Any) -> dict[str, Tensor]:
            """Return advantages of tokens (n, l), and which of them are learned from."""
            prompts = _rows(output["prompt_ids"], output["prompt_mask"])
            completions = _rows(output["completion_ids"], output["completion_mask"])
            # completions that were cut off may be left out as a whole
            there = [i for i, tokens in enumerate(completions) if len(tokens)]
            policy = TokenPolicy(
                self.accelerator.unwrap_model(self.model),
                self.eos_token_ids,
                temperature=self.temperature,
                top_p=self.top_p,
            )
            if there:
                scores = policy.score([prompts[i] for i in there], [completions[i] for i in there])
            else:
                scores = [torch.zeros(1)]
            log_prob, mask = pad_right(scores)
            places = places_of(log_prob, mask)
            reward, mean, scale = _grouped(self, len(inputs))
            values = self._values(inputs, prompts, completions, there, places, mean, policy)
            advantages = torch.zeros(output["completion_ids"].shape)
            likely = torch.zeros(advantages.shape, dtype=torch.bool)
            for row, i in enumerate(there):
                length = len(completions[i])
                if prob_mask_threshold is not None:
                    likely[i, :length] = scores[row] >= math.log(prob_mask_threshold)
                if reward[i].isfinite():
                    gains = chain_advantages(places[row], values[row], float(reward[i]), length)
                    advantages[i, :length] = gains / scale[i]
            device = output["completion_ids"].device
            found = {"advantages": advantages.to(device)}
            if prob_mask_threshold is not None:
                found["tool_mask"] = (~likely).long().to(device)
                if "tool_mask" in output:
                    found["tool_mask"] *= output["tool_mask"]
                kept = (found["tool_mask"] * output["completion_mask"]).sum()
                found["num_items_in_batch"] = self.accelerator.gather(kept).sum()
                share = kept / output["completion_mask"].sum().clamp(min=1)
                self._metrics["train"]["segments/kept_tokens"].append(float(share))
            number = sum(map(len, places)) / max(len(there), 1)
            self._metrics["train"]["segments/per_completion"].append(number)
            return found

        def _values(
            self,
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
                num_mc_rollouts,
                _judge(self, inputs),
                max_completion_length=self.max_completion_length,
                generator=self._segment_generator(),
            )
            parts = torch.split(drawn, [len(found) for found in inner])
            return [
                torch.cat([mean[i].repeat(len(found) - len(part)), part])
                for i, found, part in zip(there, places, parts, strict=False)
            ]

    return SegmentGRPOTrainer


def _refuse(trainer: Any) -> None:
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


def _total(rewards: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over reward functions, NaN where none of them gave one."""
    total = (rewards * weights.to(rewards)).nansum(1)
    return total.masked_fill(rewards.isnan().all(1), torch.nan)


def _rows(ids: Tensor, mask: Tensor) -> list[Tensor]:
    return [row[kept.bool()].cpu() for row, kept in zip(ids, mask, strict=True)]
