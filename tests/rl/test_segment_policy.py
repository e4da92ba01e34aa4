"""Language models of transformers as policies: padding, caches, drawing and limits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfl.rl.segment import TabularLanguageModel, TokenBatch, TokenPolicy
from dfl.rl.segment.generation import draw_tokens

transformers = pytest.importorskip("transformers")

V, EOS = 17, 2


def tiny(kind: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    shared = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": EOS, "pad_token_id": 0}
    if kind == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.3,
            **shared,
        )
    else:
        config = transformers.GPT2Config(
            n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3, **shared
        )
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def texts(sizes: list[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, V, (n,), generator=generator) for n in sizes]


kinds = pytest.mark.parametrize("kind", ["llama", "gpt2"])


@kinds
def test_padding_and_other_texts_change_no_score(kind: str) -> None:
    policy = TokenPolicy(tiny(kind), (EOS,), temperature=0.7)
    contexts, responses = texts([3, 11, 1, 7]), texts([5, 2, 9, 1], seed=1)
    together = policy.score(contexts, responses)
    for context, response, scores in zip(contexts, responses, together, strict=True):
        (alone,) = policy.score([context], [response])
        torch.testing.assert_close(scores, alone, atol=2e-5, rtol=0)
        assert len(scores) == len(response)
        # and by hand, without any padding
        whole = torch.cat([context, response])[None]
        logits = policy.model(input_ids=whole).logits[0] / 0.7
        by_hand = logits.log_softmax(1)[len(context) - 1 : -1].gather(1, response[:, None])
        torch.testing.assert_close(alone, by_hand[:, 0].detach(), atol=2e-5, rtol=0)
    # pieces of a batch, which are cut to their own width, are those of the whole
    batch = TokenBatch.of(contexts, responses, torch.zeros(4, 9))
    pieces = torch.cat([policy(batch.rows(slice(i, i + 1))) for i in range(4)])
    mask = batch.mask[:, None, -9:]
    whole = policy(batch)
    torch.testing.assert_close(pieces[:, :1][mask], whole[:, :1][mask], atol=2e-5, rtol=0)
    assert whole.shape == pieces.shape == (4, 2, 9)


def test_positions_matter_to_models_that_learn_them() -> None:
    model = tiny("gpt2")
    batch = TokenBatch.of(texts([3, 11]), texts([4, 4], seed=1))
    told = TokenPolicy(model, ())(batch)[0]
    logits = model(input_ids=batch.ids, attention_mask=batch.mask.long()).logits[:, -5:-1]
    blind = logits.log_softmax(2).gather(2, batch.ids[:, -4:, None]).squeeze(2)[0]
    assert (told - blind).abs().max().item() > 1e-2


@kinds
def test_the_likeliest_tokens_are_those_of_generate(kind: str) -> None:
    model = tiny(kind)
    policy = TokenPolicy(model, (EOS,), max_rows=3)
    prompts, limits = texts([3, 9, 1, 6, 2]), [8, 20, 3, 12, 20]
    drawn = policy.generate(prompts, limits, temperature=0)
    ended = 0
    for i, (prompt, limit, row) in enumerate(zip(prompts, limits, drawn.rows(), strict=True)):
        expected = model.generate(
            input_ids=prompt[None],
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=EOS,
            pad_token_id=0,
        )[0, len(prompt) :]
        assert row.tolist() == expected.tolist()
        assert bool(drawn.finished[i]) == (int(row[-1]) == EOS)
        ended += int(drawn.finished[i])
        assert len(row) == limit or drawn.finished[i]
    twice = policy.generate(prompts, limits, 2, temperature=0).rows()
    assert [r.tolist() for r in twice[::2]] == [r.tolist() for r in drawn.rows()]
    assert [r.tolist() for r in twice[1::2]] == [r.tolist() for r in drawn.rows()]


@kinds
def test_texts_that_ended_and_were_dropped_change_nothing(kind: str) -> None:
    model = tiny(kind)
    # every second token ends a text: rows are dropped all the time
    policy = TokenPolicy(model, tuple(range(2, V, 2)))
    prompts = texts([4, 8, 2, 5, 5, 3, 9, 1] * 4)
    generator = torch.Generator().manual_seed(0)
    drawn = policy.generate(prompts, [16] * 32, 3, generator=generator)
    assert drawn.finished.sum() > 80
    assert len({len(row) for row in drawn.rows()}) > 3
    for row, done in zip(drawn.rows(), drawn.finished.tolist(), strict=True):
        inner = row[:-1] if done else row
        assert (inner % 2 == 1).all() or (inner < 2).any()
    # nothing random is left: the same tokens, whatever rows are there
    sharp = policy.generate(prompts, [16] * 32, temperature=0).rows()
    for i in (0, 5, 17):
        (alone,) = policy.generate([prompts[i]], [16], temperature=0).rows()
        assert sharp[i].tolist() == alone.tolist()


def test_tokens_are_drawn_with_their_probabilities() -> None:
    model = TabularLanguageModel(3, 2, random_state=0)
    n = 20_000
    for temperature in (1.0, 0.5):
        policy = TokenPolicy(model, (), temperature=temperature, max_rows=10**6)
        generator = torch.Generator().manual_seed(0)
        drawn = policy.generate([model.prompt], [2], n, generator=generator).tokens
        for t, rows in enumerate((drawn[:, 0], drawn[drawn[:, 0] == 1, 1])):
            logits = model.logits[0 if t == 0 else 2].detach() / temperature
            found = torch.bincount(rows, minlength=3) / len(rows)
            error = 4 * (0.25 / len(rows)) ** 0.5
            torch.testing.assert_close(found.double(), logits.softmax(0), atol=error, rtol=0)
        (scores,) = policy.score([model.prompt], [torch.tensor([2, 1])])
        expected = model.logits.detach()[0] / temperature
        assert scores[0].item() == pytest.approx(expected.log_softmax(0)[2].item(), abs=1e-9)
    again = policy.generate([model.prompt], [2], n, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.tokens, drawn)


def test_top_p_keeps_the_likeliest_and_the_one_that_crosses() -> None:
    logits = torch.tensor([[0.15, 0.5, 0.3, 0.05]]).log().expand(20_000, 4)
    generator = torch.Generator().manual_seed(0)
    for top_p, expected in (
        (0.4, [0.0, 1.0, 0.0, 0.0]),
        (0.6, [0, 0.625, 0.375, 0]),
        (0.9, [0.15 / 0.95, 0.5 / 0.95, 0.3 / 0.95, 0]),
        (1.0, [0.15, 0.5, 0.3, 0.05]),
    ):
        drawn = draw_tokens(logits, 1.0, top_p, generator)
        found = torch.bincount(drawn, minlength=4) / 20_000
        torch.testing.assert_close(found, torch.tensor(expected), atol=0.015, rtol=0)
        assert all(f == 0 for f, e in zip(found.tolist(), expected, strict=True) if e == 0)
