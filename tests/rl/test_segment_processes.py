"""Several processes learn what one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dfl.exceptions import InvalidInputError
from dfl.rl.segment import (
    Example,
    GroupAdvantages,
    SegmentPolicyOptimizer,
    SegmentRollouts,
    TabularLanguageModel,
    TokenPolicy,
    pack,
    policy_loss,
)
from dfl.rl.segment.processes import Processes

pytest.importorskip("accelerate")
ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {solvers!r}]
from accelerate import Accelerator, debug_launcher
from safetensors.torch import save_file
from dfl.rl.segment import SegmentPolicyOptimizer, TabularLanguageModel

def reward(completions):
    return [sum(ids) / 3 for ids in completions]

def main():
    accelerator = Accelerator(cpu=True)
    model = TabularLanguageModel(2, 3, random_state=0)
    fitted = SegmentPolicyOptimizer(
        model, reward=reward, accelerator=accelerator, partition="fixed", segment_tokens=1,
        prob_mask_threshold=None, max_completion_length=3, num_mc_rollouts=2, max_iter=8,
        prompts_per_iteration=3, num_generations=5, per_device_train_batch_size=2,
        learning_rate=0.1,
        gradient_accumulation_steps=4, rollout_log={folder!r} + "/log.jsonl", random_state=0,
    ).fit([[2]] * 3)
    rank = accelerator.process_index
    assert accelerator.num_processes == 2
    assert fitted.history_[-1]["reward"] > fitted.history_[0]["reward"]
    tensors = {{"logits": fitted.model_.logits.detach()}}
    spent = {{k: str(v) for k, v in fitted.budget_.items() if k != "seconds"}}
    save_file(tensors, {folder!r} + f"/{{rank}}.safetensors", metadata=spent)

if __name__ == "__main__":
    debug_launcher(main, num_processes=2)
"""


def test_two_processes_have_the_same_weights_and_share_the_work(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(root=str(ROOT), solvers=str(ROOT / "solvers"), folder=str(tmp_path))
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [load_file(tmp_path / f"{rank}.safetensors")["logits"] for rank in (0, 1)]
    assert torch.equal(*found)
    assert not torch.equal(found[0], TabularLanguageModel(2, 3, random_state=0).logits)
    # a line for each completion of all prompts, of either process
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 8 * 3 * 5


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shares_of_a_batch_have_its_gradient_in_the_mean(size: int) -> None:
    model = TabularLanguageModel(2, 3, random_state=0)
    policy = TokenPolicy(model, ())

    def gradient(batch, samples, weights=None) -> torch.Tensor:
        values = policy_loss(0.2)(policy(batch), samples, reduction="none")
        mean = values.mean() if weights is None else (values * weights).mean()
        return torch.autograd.grad(mean, model.logits)[0]

    sources = []
    for rank in range(size):
        processes = Processes()
        processes.size, processes.rank = size, rank
        sources.append(
            SegmentRollouts(
                [model.prompt] * 5,
                lambda rows, completions: torch.stack(list(completions)).sum(1).float(),
                GroupAdvantages(2, "none"),
                processes=processes,
            )
        )
    for n in (1, 4, 7):
        examples = [
            Example(
                0,
                model.prompt,
                torch.tensor([i % 2, 1, 0][: 1 + i % 3]),
                torch.full((1 + i % 3,), 1.0 - i),
                torch.full((1 + i % 3,), -0.7),
            )
            for i in range(n)
        ]
        whole = pack(examples, max_completion_length=3)
        parts = [gradient(*source._share(*whole)) for source in sources]
        torch.testing.assert_close(torch.stack(parts).mean(0), gradient(*whole))


def test_what_processes_cannot_do_is_named() -> None:
    class Half:
        mixed_precision = "fp16"

    with pytest.raises(InvalidInputError, match="mixed_precision='fp16'"):
        Processes(Half())
    two = Processes()
    two.size = 2
    with pytest.raises(InvalidInputError, match="1 prompts for 2 processes"):
        SegmentRollouts(
            [torch.tensor([2])], lambda rows, c: torch.zeros(0), GroupAdvantages(), processes=two
        )


def test_an_accelerator_of_one_process_changes_nothing() -> None:
    from accelerate import Accelerator

    def fitted(accelerator) -> torch.Tensor:
        return (
            SegmentPolicyOptimizer(
                TabularLanguageModel(2, 3, random_state=0),
                reward=lambda completions: [float(sum(ids)) for ids in completions],
                accelerator=accelerator,
                max_completion_length=3,
                max_iter=2,
                learning_rate=0.1,
                random_state=0,
            )
            .fit([[2]])
            .model_.logits
        )

    assert torch.equal(fitted(None), fitted(Accelerator(cpu=True)))
