"""The parts that a ``SegmentPolicyOptimizer`` is put together from, as it is told."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from dfl.estimators._fingerprint import digest
from dfl.exceptions import InvalidInputError
from dfl.rl.fitting import told_parameters
from dfl.rl.segment.chain import ChainAdvantages
from dfl.rl.segment.drawing import AdvantageEstimator
from dfl.rl.segment.group import GroupAdvantages
from dfl.rl.segment.log import RolloutLog
from dfl.rl.segment.policy import TokenPolicy
from dfl.rl.segment.processes import Processes
from dfl.rl.segment.replay import EdgeReplay
from dfl.rl.segment.rewards import RewardJudge
from dfl.rl.segment.rollouts import Scorer, SegmentRollouts
from dfl.rl.segment.texts import Texts, ends_of
from dfl.rl.segment.tree import TreeAdvantages

if TYPE_CHECKING:
    from dfl.rl.segment.optimizer import SegmentPolicyOptimizer

# what does not change what is learned
_UNTOLD = (
    "model",
    "tokenizer",
    "reward",
    "checkpoint",
    "rollout_log",
    "verbose",
    "random_state",
    "accelerator",
)


def advantages_of(told: SegmentPolicyOptimizer) -> AdvantageEstimator:
    """Return the estimator of advantages that is asked for."""
    if told.estimator == "chain":
        return ChainAdvantages(
            told.num_generations,
            told.partition,
            told.cutpoint_interval,
            0.9 if told.prob_mask_threshold is None else told.prob_mask_threshold,
            told.segment_tokens,
            told.num_mc_rollouts,
        )
    if told.estimator == "tree":
        return TreeAdvantages(
            tuple(told.tree_structure),
            told.segment_tokens,
            told.advantage_norm,
            told.depth_weighting,
        )
    return GroupAdvantages(
        told.num_generations, "loo" if told.estimator == "rloo" else told.scale_rewards
    )


def policy_of(
    told: SegmentPolicyOptimizer, model: nn.Module, tokenizer: Any, bf16: bool
) -> TokenPolicy:
    """Return what draws from a model."""
    return TokenPolicy(
        model,
        ends_of(model, tokenizer),
        temperature=told.temperature,
        top_p=told.top_p,
        max_rows=told.max_rows,
        bf16=bf16,
    )


def judge_of(
    told: SegmentPolicyOptimizer,
    texts: Texts,
    prompts: Sequence[Any],
    columns: Mapping[str, Sequence[Any]],
) -> RewardJudge:
    """Return what gives completions their rewards."""
    rewards = [told.reward] if callable(told.reward) else list(told.reward or [])
    if not rewards or not all(callable(reward) for reward in rewards):
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got reward={told.reward!r}, expected a function from "
            "completions to numbers, or a list of such"
        )
    weights = [1.0] * len(rewards) if told.reward_weights is None else told.reward_weights
    if len(weights) != len(rewards):
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got {len(weights)} reward_weights for {len(rewards)} "
            "reward functions"
        )
    return RewardJudge(rewards, weights, prompts, columns, texts.decode)


def source_of(
    told: SegmentPolicyOptimizer,
    ids: Sequence[Tensor],
    judge: RewardJudge,
    policy: TokenPolicy,
    processes: Processes,
    log: RolloutLog | None,
) -> SegmentRollouts:
    """Return where the examples to learn from come from."""
    replay = None
    if told.replay_max_age is not None:
        replay = EdgeReplay(told.replay_max_age, told.replay_per_prompt)
    return SegmentRollouts(
        ids,
        judge,
        advantages_of(told),
        prompts_per_iteration=told.prompts_per_iteration,
        max_completion_length=told.max_completion_length,
        batch_size=told.per_device_train_batch_size * told.gradient_accumulation_steps,
        num_iterations=told.num_iterations,
        threshold=told.prob_mask_threshold,
        whiten=told.whiten,
        loss_type=told.loss_type,
        replay=replay,
        reference=None if told.beta == 0 else _reference(policy, told.peft_config is not None),
        processes=processes,
        log=log,
    )


def _reference(policy: TokenPolicy, adapted: bool) -> Scorer:
    """Return what scores by the model as it is now, at the same precision."""
    if adapted:  # without its adapters it is the first model
        own: Any = policy.model

        def scored(contexts: Sequence[Tensor], responses: Sequence[Tensor]) -> list[Tensor]:
            with own.disable_adapter():
                return policy.score(contexts, responses)

        return scored
    return copy.deepcopy(policy).requires_grad_(False).eval().score


def fingerprint(
    told: SegmentPolicyOptimizer,
    model: nn.Module,
    prompts: Sequence[Any],
    columns: Mapping[str, Sequence[Any]],
    seed: int,
) -> str:
    """Return what tells a fit from another, for checkpoints."""
    parameters = told_parameters(told, _UNTOLD)
    parameters["peft_config"] = None  # the module says what it is
    text = repr((seed, parameters, str(model), list(prompts), dict(columns)))
    return digest(text, [p.float() for p in model.state_dict().values()])
