"""What a ``SegmentPolicyOptimizer`` is told, checked, and the estimator that it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.chain import ChainAdvantages
from dfl.rl.segment.drawing import AdvantageEstimator
from dfl.rl.segment.group import GroupAdvantages
from dfl.rl.segment.tree import TreeAdvantages


def check_settings(told: Any) -> None:
    """Refuse settings out of their range; what other parts check is left to them."""
    choices: dict[str, tuple[Any, ...]] = {
        "estimator": ("chain", "tree", "grpo", "rloo"),
        "partition": ("cutpoints", "fixed"),
        "scale_rewards": ("group", "none"),
        "loss_type": ("dapo", "grpo", "dr_grpo"),
        "lr_scheduler_type": ("constant", "cosine"),
        "advantage_norm": ("none", "std", "loo"),
        "depth_weighting": ("count", "uniform"),
    }
    for name, known in choices.items():
        if getattr(told, name) not in known:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={getattr(told, name)!r}, expected one of: "
                f"{', '.join(map(str, known))}"
            )
    for name in (
        "max_iter",
        "prompts_per_iteration",
        "num_generations",
        "max_completion_length",
        "num_iterations",
        "num_mc_rollouts",
        "segment_tokens",
        "max_rows",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
    ):
        value = getattr(told, name)
        if not isinstance(value, Integral) or value < 1:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={value!r}, expected a whole number, at least 1"
            )
    structure = told.tree_structure
    listed = isinstance(structure, Sequence) and not isinstance(structure, str) and len(structure)
    if not listed or not all(isinstance(n, Integral) and int(n) >= 1 for n in structure):
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got tree_structure={structure!r}, expected at least one "
            "level, with at least one child each"
        )
    if told.estimator in ("grpo", "rloo") and told.num_generations < 2:
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got num_generations={told.num_generations}, expected at "
            f"least 2 with estimator={told.estimator!r}, which compares completions of a prompt"
        )
    for name in ("temperature", "learning_rate"):
        value = getattr(told, name)
        if not 0 < value < math.inf:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={value}, expected a positive number"
            )
    for name in ("top_p", "prob_mask_threshold"):
        value = getattr(told, name)
        if value is not None and not 0 < value <= 1:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={value}, expected a probability above 0"
            )
    for name in ("beta", "weight_decay"):
        if not getattr(told, name) >= 0:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={getattr(told, name)}, expected at least 0"
            )


def advantages_of(told: Any) -> AdvantageEstimator:
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
