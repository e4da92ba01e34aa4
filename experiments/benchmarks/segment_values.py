"""Values at the places between segments: in large batches, against calls of ``generate``.

A Llama of random weights with two layers of 64 and a vocabulary of 20, four prompts of 8 tokens
with three completions of up to 64 each, cut at every third cutpoint; nine completions for each
value. By
``mc_values``; by ``generate`` of transformers for all places in one padded batch; and by a
``generate`` for each place. One thread, in turn within a run; medians of the rounds and of the
ratios within them. Run
``python experiments/benchmarks/segment_values.py [--write docs/_generated/segment_values.md]``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from _common import quietly, report
from torch import Tensor

from dfl.rl.segment import ChainAdvantages, TokenPolicy, mc_values
from dfl.rl.segment.generation import pad_left
from dfl_solvers.exceptions import import_optional

N, LENGTH, ROUNDS, VOCABULARY, END = 9, 64, 3, 20, 2


def model() -> torch.nn.Module:
    """Return a small Llama of random weights."""
    transformers = import_optional("transformers", "llm")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=0,
        initializer_range=0.2,
    )
    made: torch.nn.Module = transformers.LlamaForCausalLM(config).eval()
    return made


def places(policy: TokenPolicy, prompts: list[Tensor]) -> tuple[list[int], list[Tensor]]:
    """Return where values are needed: rows of prompts, and beginnings of completions."""
    generator = torch.Generator().manual_seed(0)
    completions = policy.generate(prompts, [LENGTH] * len(prompts), 3, generator=generator).rows()
    owners = [row for row in range(len(prompts)) for _ in range(3)]
    scores = policy.score([prompts[row] for row in owners], completions)
    cuts = ChainAdvantages(cutpoint_interval=3).cut(scores)
    begun = [
        (owners[i], completions[i][: place + 1]) for i, cut in enumerate(cuts) for place in cut
    ]
    return [row for row, _ in begun], [ids for _, ids in begun]


def rewarded(completions: list[Tensor]) -> Tensor:
    """Reward a token, for something to average."""
    return torch.stack([(ids == 5).float().mean() for ids in completions])


def generated(
    net: torch.nn.Module, texts: list[Tensor], prompts: list[Tensor], room: int
) -> Tensor:
    """Complete texts by one call of ``generate``, and average the rewards."""
    ids, mask = pad_left(texts)
    with torch.no_grad():
        found = net.generate(
            input_ids=ids,
            attention_mask=mask.long(),
            do_sample=True,
            top_k=0,
            num_return_sequences=N,
            max_new_tokens=room,
            eos_token_id=END,
            pad_token_id=0,
        )
    width = ids.shape[1]
    whole = []
    for i, row in enumerate(found):
        text, prompt = texts[i // N], prompts[i // N]
        more = row[width:]
        ended = (more == END).nonzero()
        more = more[: int(ended[0]) + 1] if len(ended) else more
        whole.append(torch.cat([text[len(prompt) :], more]))
    return rewarded(whole).reshape(-1, N).mean(1)


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    net = model()
    policy = TokenPolicy(net, (END,))
    drawn = torch.Generator().manual_seed(1)
    prompts = list(torch.randint(3, VOCABULARY, (4, 8), generator=drawn))
    rows, begun = places(policy, prompts)
    texts = [torch.cat([prompts[row], ids]) for row, ids in zip(rows, begun, strict=True)]
    own = [prompts[row] for row in rows]
    rooms = [LENGTH - len(ids) for ids in begun]

    def batched() -> Tensor:
        return mc_values(
            policy,
            prompts,
            rows,
            begun,
            N,
            lambda _, completions: rewarded(list(completions)),
            max_completion_length=LENGTH,
            generator=drawn,
        )

    def padded() -> Tensor:
        return generated(net, texts, own, max(rooms))

    def one_by_one() -> Tensor:
        return torch.cat(
            [generated(net, [texts[i]], [own[i]], rooms[i]) for i in range(len(texts))]
        )

    ways: dict[str, Callable[[], Tensor]] = {
        "`mc_values`": batched,
        "`generate`, all places in one batch": padded,
        "`generate` for each place": one_by_one,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    means = {}
    with quietly():
        batched()  # warm
        generated(net, texts[:1], own[:1], 4)
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                means[name] = float(way().mean())
                seconds[name].append(time.perf_counter() - start)
    distinct = len({(row, tuple(ids.tolist())) for row, ids in zip(rows, begun, strict=True)})
    lines = [
        f"| {len(rows)} places, {distinct} of them distinct, {N} completions each | seconds | "
        "times slower | mean value |",
        "|---|---|---|---|",
    ]
    first = seconds["`mc_values`"]
    for name, each in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(each, first, strict=True))
        lines.append(
            f"| {name} | {statistics.median(each):.2f} | {ratio:.1f} | {means[name]:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    report(__doc__, table)
