"""Segment credit within TRL's own trainer, which is run as users run it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.rl.segment.tasks import ModularArithmetic, character_tokenizer, tiny_transformer
from dfl.rl.segment.trl import segment_grpo_trainer

# what TRL and transformers tell one another
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TASK = ModularArithmetic(2)


def different(completions: list[str], **others: Any) -> list[float | None]:
    """Reward different characters, so that a random model earns something."""
    del others
    return [len(set(text)) / 5 for text in completions]


def trained(
    trainer: Any,
    folder: Path,
    reward: Callable[..., Any] = different,
    *,
    resume: bool = False,
    **options: Any,
) -> tuple[Any, list[dict[str, Tensor]], list[dict[str, float]]]:
    """Train two steps; return the model, what the loss was given, and the log."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    tokenizer = character_tokenizer(TASK.alphabet)
    problems = TASK.draw(16, random_state=0)
    model = tiny_transformer(tokenizer, hidden_size=32, n_layers=1, random_state=0)
    settings = {
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "seed": 3,
        **options,
    }
    made = trainer(
        model=model,
        reward_funcs=reward,
        args=trl.GRPOConfig(output_dir=str(folder), **settings),
        train_dataset=datasets.Dataset.from_dict({"prompt": problems.prompts, **problems.columns}),
        processing_class=tokenizer,
    )
    seen: list[dict[str, Tensor]] = []
    inner = made._compute_loss

    def watched(model: Any, inputs: dict[str, Any]) -> Any:
        seen.append({k: v.clone() for k, v in inputs.items() if isinstance(v, Tensor)})
        return inner(model, inputs)

    made._compute_loss = watched
    made.train(resume_from_checkpoint=resume or None)
    return model, seen, [entry for entry in made.state.log_history if "loss" in entry]


def grpo() -> Any:
    return pytest.importorskip("trl").GRPOTrainer


@pytest.mark.parametrize("scale", ["group", "batch"])
def test_one_segment_is_grpo(tmp_path: Path, scale: str) -> None:
    """The weights after two steps are the same ones, whatever rewards are divided by."""
    theirs, _, _ = trained(grpo(), tmp_path, scale_rewards=scale)
    ours, seen, _ = trained(segment_grpo_trainer("fixed"), tmp_path, scale_rewards=scale)
    assert seen[0]["advantages"].shape == seen[0]["completion_ids"].shape
    start = tiny_transformer(
        character_tokenizer(TASK.alphabet), hidden_size=32, n_layers=1, random_state=0
    )
    for one, other, first in zip(
        ours.parameters(), theirs.parameters(), start.parameters(), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-6)
        assert not torch.equal(one, first)


def test_advantages_of_tokens_reach_the_loss_and_sum_to_those_of_completions(
    tmp_path: Path,
) -> None:
    """Segments of two tokens share out what GRPO gives to the whole."""
    _, whole, _ = trained(grpo(), tmp_path)
    _, parts, log = trained(segment_grpo_trainer("fixed", segment_tokens=2), tmp_path)
    first, mask = parts[0], parts[0]["completion_mask"].bool()
    assert torch.equal(first["completion_ids"], whole[0]["completion_ids"])
    # a token of each segment
    assert torch.allclose(first["advantages"][:, ::2].sum(1), whole[0]["advantages"], atol=1e-5)
    assert first["advantages"].std(1).max() > 0.1
    assert not first["advantages"][~mask].any()
    # at the first step ratios are one, and the loss is the mean over tokens of minus advantages
    expected = -(first["advantages"] * mask).sum() / mask.sum()
    assert log[0]["loss"] == pytest.approx(float(expected), abs=1e-5)


def test_credit_falls_where_the_reward_is_decided(tmp_path: Path) -> None:
    """With a reward for the first token only, later segments have exactly no advantage."""

    def begins(completions: list[str], **others: Any) -> list[float]:
        del others
        return [float(text[:1].isdigit()) for text in completions]

    trainer = segment_grpo_trainer("fixed", segment_tokens=1, num_mc_rollouts=3)
    _, whole, _ = trained(grpo(), tmp_path, begins)
    _, parts, _ = trained(trainer, tmp_path, begins)
    assert torch.allclose(parts[0]["advantages"][:, 0], whole[0]["advantages"], atol=1e-6)
    assert parts[0]["advantages"][:, 0].abs().max() > 0.1
    assert not parts[0]["advantages"][:, 1:].any()


def test_a_run_that_is_resumed_draws_the_same_values(tmp_path: Path) -> None:
    trainer = segment_grpo_trainer("fixed", segment_tokens=2, num_mc_rollouts=2)
    _, whole, _ = trained(trainer, tmp_path / "a", save_strategy="steps", save_steps=1)
    (tmp_path / "a" / "checkpoint-2").rename(tmp_path / "later")
    _, rest, _ = trained(trainer, tmp_path / "a", resume=True)
    assert len(rest) == 1
    assert torch.equal(rest[0]["completion_ids"], whole[1]["completion_ids"])
    assert torch.equal(rest[0]["advantages"], whole[1]["advantages"])


def test_mask_keeps_unlikely_tokens_and_cutpoints_are_those(tmp_path: Path) -> None:
    """Masked tokens are not learned from, nor counted; segments begin at unlikely tokens."""
    from dfl.rl.segment.policy import TokenPolicy

    threshold = 0.05
    trainer = segment_grpo_trainer(cutpoint_interval=2, prob_mask_threshold=threshold)
    _, seen, log = trained(trainer, tmp_path)
    tokenizer = character_tokenizer(TASK.alphabet)
    model = tiny_transformer(tokenizer, hidden_size=32, n_layers=1, random_state=0)
    given = seen[0]
    rows = [
        [
            row[kept.bool()]
            for row, kept in zip(given[f"{name}_ids"], given[f"{name}_mask"], strict=True)
        ]
        for name in ("prompt", "completion")
    ]
    scores = TokenPolicy(model.eval(), (1,)).score(*rows)
    for i, score in enumerate(scores):
        unlikely = score < math.log(threshold)
        assert torch.equal(given["tool_mask"][i, : len(score)].bool(), unlikely)
        changes = given["advantages"][i, : len(score)].diff().nonzero().flatten() + 1
        assert set(changes.tolist()) <= set(unlikely.nonzero().flatten()[::2].tolist())
    kept = (given["tool_mask"] * given["completion_mask"]).sum()
    assert 0 < kept < given["completion_mask"].sum()
    assert int(given["num_items_in_batch"]) == int(kept)
    assert log[0]["segments/kept_tokens"] == pytest.approx(
        float(kept / given["completion_mask"].sum())
    )


def test_settings_that_would_mean_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="top_k"):
        trained(segment_grpo_trainer(), tmp_path, top_k=5)
    with pytest.raises(UnsupportedError, match="multi_objective"):
        trained(segment_grpo_trainer(), tmp_path, multi_objective_aggregation="normalize_then_sum")
    with pytest.raises(InvalidInputError, match="None as the reward"):
        trained(
            segment_grpo_trainer(cutpoint_interval=1),
            tmp_path,
            lambda completions, **others: (
                [1.0] * len(completions) if len(completions) == 8 else [None] * len(completions)
            ),
        )
    for wrong in (
        {"partition": "sentences"},
        {"num_mc_rollouts": 0},
        {"segment_tokens": 0},
        {"prob_mask_threshold": 1.5},
    ):
        with pytest.raises(InvalidInputError, match="expected"):
            segment_grpo_trainer(**wrong)  # type: ignore[arg-type]
