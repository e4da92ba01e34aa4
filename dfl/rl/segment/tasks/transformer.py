"""A language model small enough to be trained from scratch in a minute."""

from __future__ import annotations

from typing import Any

import torch

from dfl.estimators._randomness import private_randomness
from dfl.rl.seeds import drawn_seed
from dfl_solvers.exceptions import import_optional


def tiny_transformer(
    tokenizer: Any,
    *,
    hidden_size: int = 96,
    n_layers: int = 3,
    n_heads: int = 4,
    max_length: int = 64,
    random_state: Any = None,
) -> Any:
    """Make a language model with random weights, of the architecture of Llama.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Says how many tokens there are, and which are for padding and the end.
    hidden_size : int, default=96
        A multiple of ``2 * n_heads``.
    n_layers, n_heads : int, default=3, 4
        Layers, and heads of attention in each.
    max_length : int, default=64
        Longest text, in tokens.
    random_state : int, Generator, RandomState or None
        Seeds the weights.

    Returns
    -------
    LlamaForCausalLM
        As ``save_pretrained`` and ``AutoModelForCausalLM`` know it: some 280 000 parameters by
        default.

    Raises
    ------
    MissingDependencyError
        If transformers is not installed.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import character_tokenizer, tiny_transformer
    >>> tokenizer = character_tokenizer("0123456789+=")
    >>> model = tiny_transformer(tokenizer, hidden_size=32, n_layers=1, random_state=0)
    >>> sum(p.numel() for p in model.parameters())
    11296
    """
    transformers = import_optional("transformers", "llm")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads,
        max_position_embeddings=max_length,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    seed = drawn_seed(random_state)
    with private_randomness(seed, torch.device("cpu")):
        return transformers.LlamaForCausalLM(config)
