"""What a ``SegmentPolicyOptimizer`` is told, checked, and the estimator that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from dfl._validation import check_at_least, check_positive
from dfl.exceptions import InvalidInputError


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
    check_positive(told, temperature=told.temperature, learning_rate=told.learning_rate)
    for name in ("top_p", "prob_mask_threshold"):
        value = getattr(told, name)
        if value is not None and not 0 < value <= 1:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got {name}={value}, expected a probability above 0"
            )
    check_at_least(0, told, beta=told.beta, weight_decay=told.weight_decay)
