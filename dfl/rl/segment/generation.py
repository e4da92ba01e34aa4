"""Drawing tokens from a language model, many texts at once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn


@final
@dataclass(frozen=True)
class Completions:
    """What was drawn after n texts.

    Attributes
    ----------
    tokens : Tensor of int64 of shape (n, l)
        On the CPU; whatever after the length of each.
    lengths : Tensor of int64 of shape (n,)
        The token that ends a text counts.
    finished : Tensor of bool of shape (n,)
        Whether one was drawn; else the limit was reached.
    """

    tokens: Tensor
    lengths: Tensor
    finished: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self) -> list[Tensor]:
        """Return the tokens of each, without what comes after."""
        return [row[:n] for row, n in zip(self.tokens, self.lengths.tolist(), strict=True)]


def pad_left(rows: Sequence[Tensor], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows of unequal length as one tensor (n, l), and a mask that is true at their items.

    They end together, where a model goes on.
    """
    return _padded(rows, fill, left=True)


def pad_right(rows: Sequence[Tensor], fill: float = 0) -> tuple[Tensor, Tensor]:
    """Return rows of unequal length as one tensor (n, l), and a mask; they begin together."""
    return _padded(rows, fill, left=False)


def _padded(rows: Sequence[Tensor], fill: float, *, left: bool) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    places = torch.arange(width)
    mask = places >= (width - lengths)[:, None] if left else places < lengths[:, None]
    table = torch.full((len(rows), width), fill, dtype=rows[0].dtype)
    table[mask] = torch.cat(list(rows))
    return table, mask


def positions_of(mask: Tensor) -> Tensor:
    """Return the place of each token in its own text: models count the padding otherwise."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def base_of(model: Any) -> Any:
    """Return a model without its adapters, if it has some."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def taken(model: nn.Module) -> frozenset[str]:
    """Return the names of what a model is called with."""
    kind: type = type(base_of(model))
    return _taken(kind)


@functools.cache
def _taken(kind: type) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters)  # type: ignore[attr-defined]


def call(model: nn.Module, **arguments: Any) -> Any:
    """Call a language model with those of some arguments that it takes."""
    names = taken(model)
    if "cache" in arguments and "cache" not in names:  # as it was called up to version 5.23
        arguments["past_key_values"] = arguments.pop("cache")
    return model(**{name: value for name, value in arguments.items() if name in names})


def cache_of(output: Any) -> Any:
    """Return what a model keeps of the tokens that it has read."""
    found = getattr(output, "cache", None)
    return output.past_key_values if found is None else found


@torch.no_grad()
def generate(
    model: nn.Module,
    prefixes: Sequence[Tensor],
    n: int,
    limits: Sequence[int],
    *,
    ends: Tensor,
    temperature: float,
    top_p: float,
    generator: torch.Generator | None,
) -> Completions:
    """Draw n completions of each text in one batch; those of a text are next to one another.

    A text is read once, whatever n is, and what the model keeps of it is copied. Rows of texts that
    ended are dropped as soon as they are half of the batch.

    Parameters
    ----------
    model : nn.Module
        A causal language model of transformers, in evaluation mode.
    prefixes : sequence of Tensors of int64
        Texts that are not empty.
    n : int
    limits : sequence of int
        Most tokens to draw after each text.
    ends : Tensor of int64
        Tokens that end a text.
    temperature : float
        0 for the likeliest token.
    top_p : float
        Draw from the likeliest tokens that have this probability together.
    generator : torch.Generator, optional
        Not needed for temperature 0.

    Returns
    -------
    Completions
    """
    device = next(model.parameters()).device
    ids, mask = (part.to(device) for part in pad_left(prefixes))
    m, width, longest = n * len(ids), ids.shape[1], max(limits)
    output = call(
        model,
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions_of(mask),
        use_cache=True,
        logits_to_keep=1,
    )
    logits, cache = output.logits[:, -1].repeat_interleave(n, 0), cache_of(output)
    if n > 1:
        cache.batch_repeat_interleave(n)
    room = torch.ones(m, longest, dtype=torch.long, device=device)
    mask = torch.cat([mask.long().repeat_interleave(n, 0), room], 1)
    position = mask[:, :width].sum(1)
    left = torch.tensor(limits, device=device).repeat_interleave(n)
    ends = ends.to(device)

    tokens = torch.zeros(m, longest, dtype=torch.int64, device=device)
    lengths = torch.zeros(m, dtype=torch.int64, device=device)
    finished = torch.zeros(m, dtype=torch.bool, device=device)
    rows, going = torch.arange(m, device=device), torch.ones(m, dtype=torch.bool, device=device)
    for t in range(longest):
        drawn = draw_tokens(logits, temperature, top_p, generator)
        tokens[rows, t] = drawn
        lengths[rows] += going
        ended = going & torch.isin(drawn, ends)
        finished[rows] |= ended
        going = going & ~ended & (t + 1 < left)
        count = int(going.sum())
        if not count:
            break
        if 2 * count <= len(going):
            kept = going.nonzero().squeeze(1)
            cache.batch_select_indices(kept)
            rows, drawn, mask, position, left = (
                part[kept] for part in (rows, drawn, mask, position, left)
            )
            going = going[kept]
        output = call(
            model,
            input_ids=drawn[:, None],
            attention_mask=mask[:, : width + t + 1],
            position_ids=position[:, None],
            cache=cache,
            use_cache=True,
        )
        logits, cache, position = output.logits[:, -1], cache_of(output), position + 1
    return Completions(tokens.cpu(), lengths.cpu(), finished.cpu())


def draw_tokens(
    logits: Tensor, temperature: float, top_p: float, generator: torch.Generator | None
) -> Tensor:
    """Draw a token for each row of logits, (n,)."""
    if temperature == 0:
        return logits.argmax(1)
    chances = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).softmax(1)
    order = None
    if top_p < 1:
        chances, order = chances.sort(1, descending=True)
        # the token that crosses the threshold is kept
        chances = chances.masked_fill(chances.cumsum(1) - chances >= top_p, 0.0)
    # by the inverse of the distribution, so that the numbers come from the generator, wherever it
    # and the model are
    reached = chances.cumsum(1)
    where = generator.device if generator is not None else logits.device
    uniform = torch.rand(len(logits), 1, generator=generator, device=where).to(reached)
    drawn = torch.searchsorted(reached, uniform * reached[:, -1:], right=True)
    # rounding may lead beyond the last token that has a chance
    last = (chances > 0).long().cumsum(1).argmax(1, keepdim=True)
    drawn = torch.minimum(drawn, last)
    return (drawn if order is None else order.gather(1, drawn)).squeeze(1)
