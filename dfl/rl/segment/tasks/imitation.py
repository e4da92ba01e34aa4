"""A first lesson by imitation: the warm start of a language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import nn

from dfl.estimators._randomness import private_randomness
from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.montecarlo import WeightedSamples
from dfl.rl.seeds import drawn_seed
from dfl.rl.segment.policy import TokenBatch, TokenPolicy
from dfl.training import TrainingResult, train
from dfl.training.train import Callback


def imitate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    max_iter: int = 10,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    callbacks: Sequence[Callback] = (),
    random_state: Any = None,
) -> TrainingResult:
    """Train a language model, in place, to continue prompts as given.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model.
    tokenizer : PreTrainedTokenizerFast
        With a token of the end.
    prompts, completions : sequence of str
        A completion for each prompt; the token of the end is added.
    max_iter : int, default=10
        Number of passes over the texts.
    batch_size : int, default=64
        Texts in a step.
    learning_rate : float, default=2e-3
        Of Adam; it falls along a cosine.
    callbacks : sequence of callables, default=()
        Each is called after each pass with its entry of the history; one that returns True ends
        training, such as one that finds the model good enough.
    random_state : int, Generator, RandomState or None
        Seeds the order.

    Returns
    -------
    TrainingResult
        Its history has the mean negative log-likelihood per text.

    Raises
    ------
    InvalidInputError
        If there is not a completion for each prompt, or no token of the end.
    TrainingError
        If training diverges.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import Sorting, character_tokenizer, imitate, tiny_transformer
    >>> task, tokenizer = Sorting(2), character_tokenizer(Sorting.alphabet)
    >>> model = tiny_transformer(tokenizer, hidden_size=16, n_layers=1, random_state=0)
    >>> lesson = task.draw(256, random_state=0)
    >>> history = imitate(model, tokenizer, lesson.prompts, lesson.traces, random_state=0).history
    >>> history[-1]["loss"] < history[0]["loss"]
    True
    """
    if len(prompts) != len(completions) or not len(prompts):
        raise InvalidInputError(
            f"imitate: got {len(prompts)} prompts and {len(completions)} completions, expected one "
            "completion for each"
        )
    if tokenizer.eos_token_id is None:
        raise InvalidInputError("imitate: got a tokenizer without eos_token, expected one with it")
    source = _Texts(
        [_ids(tokenizer, text) for text in prompts],
        [[*_ids(tokenizer, text), tokenizer.eos_token_id] for text in completions],
        batch_size,
    )
    policy = TokenPolicy(model, (tokenizer.eos_token_id,))
    seed = drawn_seed(random_state)
    with private_randomness(seed, policy.device):
        return train(
            policy,
            WeightedLikelihoodLoss(),
            source,
            max_iter=max_iter,
            learning_rate=learning_rate,
            schedule="cosine",
            callbacks=callbacks,
            seed=seed,
        )


@final
class _Texts:
    """Batches of texts in a random order; every token of a completion weighs the same."""

    def __init__(
        self, prompts: Sequence[list[int]], completions: Sequence[list[int]], batch_size: int
    ) -> None:
        self.prompts = [torch.tensor(ids) for ids in prompts]
        self.completions = [torch.tensor(ids) for ids in completions]
        self.batch_size = batch_size

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[TokenBatch, WeightedSamples]]:
        device = next(model.parameters()).device
        order = torch.randperm(len(self.prompts), generator=generator).tolist()
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = TokenBatch.of(
                [self.prompts[i] for i in rows],
                [self.completions[i] for i in rows],
                device=device,
            )
            ids, mask = (part[:, None, -batch.width :] for part in (batch.ids, batch.mask))
            yield batch, WeightedSamples(ids, mask.float(), mask=mask)


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found
