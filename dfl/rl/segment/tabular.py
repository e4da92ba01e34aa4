"""A language model in a table: everything that training estimates is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.estimators._randomness import generator_of
from dfl.exceptions import InvalidInputError


@final
@dataclass
class TabularOutput:
    """What a ``TabularLanguageModel`` returns: logits, and where the texts stand."""

    logits: Tensor
    cache: Places


@final
class Places:
    """Where texts stand in the table: what the model keeps of what it has read."""

    def __init__(self, codes: Tensor, depths: Tensor) -> None:
        self.codes = codes
        self.depths = depths

    def batch_repeat_interleave(self, n: int) -> None:
        """Make n of each text."""
        self.codes = self.codes.repeat_interleave(n)
        self.depths = self.depths.repeat_interleave(n)

    def batch_select_indices(self, rows: Tensor) -> None:
        """Keep some of the texts."""
        self.codes, self.depths = self.codes[rows], self.depths[rows]


@final
class TabularLanguageModel(nn.Module):
    r"""A language model whose logits after each prefix are entries of a table.

    Texts are a prompt of one token and then ``length`` tokens. It is called as models of
    transformers are, so that what trains those can be held against exact values and gradients.

    Parameters
    ----------
    n_tokens : int
        Number v of tokens; the prompt is one more, with this number.
    length : int
        Number l of tokens in a completion; there are ``v ** l`` of these.
    scale : float, default=1.0
        Standard deviation of the logits at first.
    random_state : int, Generator, RandomState or None
        Seeds the table.

    Attributes
    ----------
    logits : nn.Parameter of shape (m, v)
        In double precision. Row 0 is that after the prompt, row ``v i + 1 + j`` that after row i
        and token j.
    prompt : Tensor of int64 of shape (1,)
    completions : Tensor of int64 of shape (v ** l, l)
        All of them, in lexicographic order: rewards are given in it.

    Raises
    ------
    InvalidInputError
        If there is nothing to choose, or the table would have over ten million entries.

    Examples
    --------
    >>> from dfl.rl.segment import TabularLanguageModel
    >>> model = TabularLanguageModel(n_tokens=2, length=2, random_state=0)
    >>> model.completions.tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> round(model.log_probs().sum(1).exp().sum().item(), 12)
    1.0
    """

    prompt: Tensor
    completions: Tensor

    def __init__(
        self, n_tokens: int, length: int, *, scale: float = 1.0, random_state: Any = None
    ) -> None:
        super().__init__()
        if n_tokens < 2 or length < 1 or n_tokens**length > 10**7:
            raise InvalidInputError(
                f"TabularLanguageModel: got n_tokens={n_tokens} and length={length}, expected at "
                "least 2 tokens, a length of at least 1 and at most ten million completions"
            )
        self.n_tokens = n_tokens
        self.length = length
        n_rows = (n_tokens**length - 1) // (n_tokens - 1)
        drawn = generator_of(random_state).normal(0.0, scale, (n_rows, n_tokens))
        self.logits = nn.Parameter(torch.from_numpy(drawn))
        self.register_buffer("prompt", torch.tensor([n_tokens]), persistent=False)
        every = torch.cartesian_prod(*[torch.arange(n_tokens)] * length)
        self.register_buffer("completions", every.reshape(-1, length), persistent=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        cache: Places | None = None,
        use_cache: bool = True,
    ) -> TabularOutput:
        """Return logits (n, k, v + 1) after each token; the prompt is never drawn."""
        n, k = input_ids.shape
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = mask[:, -k:].bool()
        if cache is None:
            codes, depths = input_ids.new_zeros(n), input_ids.new_zeros(n)
        else:
            codes, depths = cache.codes, cache.depths
        rows = []
        for t in range(k):
            token = input_ids[:, t]
            moves = mask[:, t] & (token < self.n_tokens)
            codes = torch.where(moves, self.n_tokens * codes + 1 + token, codes)
            depths = depths + moves
            rows.append(codes)
        # after the last token of a completion there is nothing more
        at = torch.stack(rows, 1)
        at = torch.where(at < len(self.logits), at, 0)
        prompt = self.logits.new_full((n, k, 1), -torch.inf)
        return TabularOutput(torch.cat([self.logits[at], prompt], 2), Places(codes, depths))

    def rows(self) -> Tensor:
        """Return the row of the table that each token of each completion is drawn from."""
        found = [torch.zeros_like(self.completions[:, 0])]
        for t in range(self.length - 1):
            found.append(self.n_tokens * found[-1] + 1 + self.completions[:, t])
        return torch.stack(found, 1)

    def log_probs(self) -> Tensor:
        """Return log-probabilities of the tokens of all completions, (v ** l, l)."""
        tables = self.logits.log_softmax(1)[self.rows()]
        return tables.gather(2, self.completions[:, :, None]).squeeze(2)

    def probabilities_after(self, beginning: Tensor) -> Tensor:
        """Return the probabilities (v,) of the token after a beginning, which may be empty."""
        row = 0
        for token in beginning.tolist():
            row = self.n_tokens * row + 1 + token
        return self.logits.detach()[row].softmax(0)

    @torch.no_grad()
    def values(self, rewards: Tensor) -> Tensor:
        """Return the expected reward before each token of each completion, and its own at the end.

        Parameters
        ----------
        rewards : Tensor of shape (v ** l,)
            Of each completion, in the order of ``completions``.

        Returns
        -------
        Tensor of shape (v ** l, l + 1)
            Expected rewards; the last column is ``rewards``.
        """
        found = [rewards.to(self.logits)]
        steps = self.log_probs().exp()
        v = self.n_tokens
        for t in range(self.length - 1, -1, -1):
            later = found[0]
            chances = steps[:: v ** (self.length - 1 - t), t]
            found.insert(0, (chances * later).reshape(-1, v).sum(1))
        return torch.stack(
            [values.repeat_interleave(v ** (self.length - t)) for t, values in enumerate(found)], 1
        )

    def gradient(self, rewards: Tensor) -> Tensor:
        """Return the gradient of the expected reward in the logits."""
        expected = (self.log_probs().sum(1).exp() * rewards.to(self.logits)).sum()
        return torch.autograd.grad(expected, self.logits)[0]

    def expected_gradient(self, advantages: Tensor) -> Tensor:
        r"""Return the mean of a policy gradient over all completions.

        Parameters
        ----------
        advantages : Tensor of shape (v ** l, l)
            Of each token, where the completion is drawn; zero for tokens not learned from.

        Returns
        -------
        Tensor of the shape of the logits
            ``E[sum_t A_t grad log p(y_t | y_<t)]``.
        """
        log_probs = self.log_probs()
        chances = log_probs.detach().sum(1, keepdim=True).exp()
        weights = chances * advantages.to(self.logits)
        return torch.autograd.grad((weights * log_probs).sum(), self.logits)[0]

    def segment_advantages(self, rewards: Tensor, boundaries: Sequence[Tensor]) -> Tensor:
        """Return the exact advantage of the segment of each token of each completion.

        Parameters
        ----------
        rewards : Tensor of shape (v ** l,)
            Of each completion, in the order of ``completions``.
        boundaries : sequence of Tensors of int64
            Places between the segments of each completion, as of ``partition_cutpoints``.

        Returns
        -------
        Tensor of shape (v ** l, l)
            Advantage of the segment that each token is in.
        """
        values = torch.nn.functional.pad(self.values(rewards), (0, 1))
        starts, ends = self.segment_ends(boundaries)
        gains = values.gather(1, ends) - values.gather(1, starts)
        return gains.masked_fill(starts > self.length, 0.0)

    def segment_ends(self, boundaries: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return where the segment of each token begins and ends.

        Parameters
        ----------
        boundaries : sequence of Tensors of int64
            As of ``segment_advantages``.

        Returns
        -------
        starts : Tensor of int64 of shape (v ** l, l)
            Numbers of tokens that come before; ``l + 1`` where there is no segment.
        ends : Tensor of int64 of shape (v ** l, l)
            Numbers of tokens up to the end.
        """
        begins = torch.zeros(len(boundaries), self.length, dtype=torch.bool)
        owners = torch.arange(len(boundaries)).repeat_interleave(
            torch.tensor([len(places) for places in boundaries])
        )
        begins[owners, torch.cat(list(boundaries)).cpu() + 1] = True
        begins = begins.to(self.logits.device)
        at = torch.arange(self.length, device=begins.device).expand_as(begins)
        starts = torch.where(begins, at, -1).cummax(1).values
        # the first beginning after a token: from the right
        later = torch.where(begins, at, self.length).flip(1).cummin(1).values.flip(1)
        ends = torch.nn.functional.pad(later[:, 1:], (0, 1), value=self.length)
        return torch.where(starts < 0, self.length + 1, starts), ends
