"""A language model as a policy: drawing completions, and scoring them, on token ids."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.rl.segment.generation import (
    Completions,
    call,
    generate,
    pad_left,
    pad_right,
    positions_of,
)


@final
@dataclass(frozen=True)
class TokenBatch:
    """Input of a ``TokenPolicy``: n texts whose last parts are scored.

    Attributes
    ----------
    ids : Tensor of int64 of shape (n, p + l)
        Contexts padded on the left to p tokens, then responses padded on the right to l tokens.
    mask : Tensor of bool of shape (n, p + l)
        True for the tokens that are there.
    width : int
        The l of the responses.
    log_prob_ref : Tensor of shape (n, l), optional
        Log-probabilities of the responses under a reference, which the output passes on.
    """

    ids: Tensor
    mask: Tensor
    width: int
    log_prob_ref: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor | slice) -> TokenBatch:
        """Return some of the texts, padded as they are."""
        ref = self.log_prob_ref
        return TokenBatch(
            self.ids[index], self.mask[index], self.width, None if ref is None else ref[index]
        )

    @classmethod
    def of(
        cls,
        contexts: Sequence[Tensor],
        responses: Sequence[Tensor],
        log_prob_ref: Tensor | None = None,
        device: torch.device | None = None,
    ) -> TokenBatch:
        """Put contexts and responses together; both are tensors (l_i,) of int64."""
        before, seen = pad_left(contexts)
        after, told = pad_right(responses)
        ids, mask = torch.cat([before, after], 1), torch.cat([seen, told], 1)
        if log_prob_ref is not None:
            log_prob_ref = log_prob_ref.to(device)
        return cls(ids.to(device), mask.to(device), after.shape[1], log_prob_ref)


@final
class TokenPolicy(nn.Module):
    """A causal language model that draws completions and scores them, and that ``train`` trains.

    Parameters
    ----------
    model : nn.Module
        Of transformers, or called as its models are.
    ends : sequence of int
        Tokens that end a completion.
    temperature : float, default=1.0
        Logits are divided by it, in drawing and in scoring.
    top_p : float, default=1.0
        Draw from the likeliest tokens that have this probability together. Scores are those of all
        tokens.
    max_rows : int, default=512
        Most completions that are drawn at a time; texts are scored by a quarter as many.
    bf16 : bool, default=False
        Compute in bfloat16 where that is safe; weights and their updates keep their precision.

    Notes
    -----
    Nothing is decoded: prompts and completions are tensors of token ids. Positions are given to the
    model explicitly, so that padding changes no score.
    """

    def __init__(
        self,
        model: nn.Module,
        ends: Sequence[int],
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_rows: int = 512,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.ends = tuple(ends)
        self.temperature = temperature
        self.top_p = top_p
        self.max_rows = max_rows
        self.bf16 = bf16

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def forward(self, batch: TokenBatch) -> Tensor:
        """Return log-probabilities of the responses, (n, 1, l), or (n, 2, l) with the reference's.

        Outside the mask they are of no token.
        """
        # padding that all texts have in common is not computed
        there = batch.mask.any(0).nonzero().squeeze(1)
        first, last = int(there[0]), int(there[-1]) + 1
        ids, mask = batch.ids[:, first:last], batch.mask[:, first:last]
        spare = batch.mask.shape[1] - last
        width = batch.width - spare
        with self._precision():
            # the token before the first of the response says what it is
            output = call(
                self.model,
                input_ids=ids,
                attention_mask=mask.long(),
                position_ids=positions_of(mask),
                use_cache=False,
                logits_to_keep=width + 1,
            )
        logits = output.logits[:, -width - 1 : -1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        chosen = logits.gather(2, ids[:, -width:, None]).squeeze(2)
        log_prob = nn.functional.pad(chosen - logits.logsumexp(2), (0, spare))[:, None]
        if batch.log_prob_ref is None:
            return log_prob
        return torch.cat([log_prob, batch.log_prob_ref[:, None].to(log_prob)], 1)

    @torch.no_grad()
    def score(self, contexts: Sequence[Tensor], responses: Sequence[Tensor]) -> list[Tensor]:
        """Return log-probabilities of the tokens of each response, on the CPU.

        Parameters
        ----------
        contexts, responses : sequence of Tensors of int64
            None of them empty.
        """
        sizes = [len(c) + len(r) for c, r in zip(contexts, responses, strict=True)]
        found: list[Tensor] = [torch.empty(0)] * len(sizes)
        for rows in _groups(sizes, max(self.max_rows // 4, 1)):
            batch = TokenBatch.of(
                [contexts[i] for i in rows], [responses[i] for i in rows], device=self.device
            )
            for i, scores in zip(rows, self(batch)[:, 0].cpu(), strict=True):
                found[i] = scores[: len(responses[i])]
        return found

    def generate(
        self,
        prefixes: Sequence[Tensor],
        limits: Sequence[int],
        n: int = 1,
        *,
        generator: torch.Generator | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
    ) -> Completions:
        """Draw n completions of each text.

        Parameters
        ----------
        prefixes : sequence of Tensors of int64
            None of them empty.
        limits : sequence of int
            Most tokens to draw after each, at least 1.
        n : int, default=1
            Completions of each text.
        generator : torch.Generator, optional
            Needed unless the temperature is 0.
        temperature, top_p : float, optional
            Default: those of the policy. Temperature 0 takes the likeliest tokens.

        Returns
        -------
        Completions
            Those of a text are next to one another.
        """
        parts: list[Completions] = []
        order: list[int] = []
        sizes = [len(prefix) for prefix in prefixes]
        for rows in _groups(sizes, max(self.max_rows // n, 1)):
            order += rows
            with self._precision():
                part = generate(
                    self.model,
                    [prefixes[i] for i in rows],
                    n,
                    [limits[i] for i in rows],
                    ends=torch.tensor(self.ends, dtype=torch.int64),
                    temperature=self.temperature if temperature is None else temperature,
                    top_p=self.top_p if top_p is None else top_p,
                    generator=generator,
                )
            parts.append(part)
        longest = max(part.tokens.shape[1] for part in parts)
        tokens = [
            nn.functional.pad(part.tokens, (0, longest - part.tokens.shape[1])) for part in parts
        ]
        back = torch.tensor(order).argsort()
        rows_back = (n * back[:, None] + torch.arange(n)).flatten()
        return Completions(
            torch.cat(tokens)[rows_back],
            torch.cat([part.lengths for part in parts])[rows_back],
            torch.cat([part.finished for part in parts])[rows_back],
        )

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def _groups(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Return rows in groups of nearly the same size, so that little is padded."""
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    return [order[start : start + most] for start in range(0, len(order), most)]
