"""What the policy can expect from where a text stands, by going on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.segment.policy import TokenPolicy

Judge = Callable[[Sequence[int], Sequence[Tensor]], Tensor]


def mc_values(
    policy: TokenPolicy,
    prompts: Sequence[Tensor],
    rows: Sequence[int],
    beginnings: Sequence[Tensor],
    n: int,
    judge: Judge,
    *,
    max_completion_length: int,
    generator: torch.Generator,
    dedupe: bool = True,
    budget: Budget | None = None,
) -> Tensor:
    """Estimate the expected reward of going on from m unfinished completions.

    Each is completed n times, and the rewards are averaged. All are drawn in large batches; what
    the model keeps of a text is computed once and copied.

    Parameters
    ----------
    policy : TokenPolicy
        In evaluation mode.
    prompts : sequence of Tensors of int64
        Token ids of each prompt.
    rows : sequence of m int
        The prompt of each completion.
    beginnings : sequence of m Tensors of int64
        What there is of each completion, possibly nothing, but shorter than
        ``max_completion_length``.
    n : int
        Completions to average over.
    judge : callable
        From prompts' numbers and whole completions to rewards, a Tensor (k,).
    max_completion_length : int
        Completions are cut off there.
    generator : torch.Generator
        Draws the completions.
    dedupe : bool, default=True
        Complete equal beginnings of a prompt once, and share the estimate.
    budget : Budget, optional
        Is charged ``"generated_tokens"``.

    Returns
    -------
    Tensor of shape (m,)
        Means of n rewards, independent unless shared. Their variance is that of the reward over n,
        at most 1 / (4 n) for rewards of 0 and 1.

    Raises
    ------
    InvalidInputError
        If n is below one, or a beginning leaves no room.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import TabularLanguageModel, TokenPolicy, mc_values
    >>> model = TabularLanguageModel(n_tokens=2, length=3, random_state=0)
    >>> policy, ones = TokenPolicy(model, ends=()), torch.tensor([1, 1])
    >>> found = mc_values(
    ...     policy, [model.prompt], [0], [ones], 5000,
    ...     lambda rows, completions: torch.stack(completions)[:, 2].float(),
    ...     max_completion_length=3, generator=torch.Generator().manual_seed(0),
    ... )
    >>> abs(found.item() - model.probabilities_after(ones)[1].item()) < 0.03
    True
    """
    if n < 1:
        raise InvalidInputError(f"mc_values: got n={n}, expected at least 1 completion")
    places: dict[tuple[int, int, tuple[int, ...]], int] = {}
    index = []
    for i, (row, begun) in enumerate(zip(rows, beginnings, strict=True)):
        if len(begun) >= max_completion_length:
            raise InvalidInputError(
                f"mc_values: got a beginning of {len(begun)} tokens at {i}, expected less than "
                f"max_completion_length={max_completion_length}"
            )
        key = (row, 0 if dedupe else i, tuple(begun.tolist()))
        index.append(places.setdefault(key, len(places)))
    if not index:
        return torch.zeros(0)
    distinct = [(row, torch.tensor(ids, dtype=torch.int64)) for row, _, ids in places]
    drawn = policy.generate(
        [torch.cat([prompts[row], begun]) for row, begun in distinct],
        [max_completion_length - len(begun) for _, begun in distinct],
        n,
        generator=generator,
    )
    if budget is not None:
        budget.charge("generated_tokens", int(drawn.lengths.sum()))
    owners = [row for row, _ in distinct for _ in range(n)]
    completions = [torch.cat([distinct[i // n][1], more]) for i, more in enumerate(drawn.rows())]
    values = judge(owners, completions).reshape(len(distinct), n).mean(1)
    return values[torch.tensor(index)]
