"""A tokenizer of single characters."""

from __future__ import annotations

from typing import Any

from dfl.exceptions import InvalidInputError
from dfl_solvers.exceptions import import_optional


def character_tokenizer(alphabet: str) -> Any:
    """Make a tokenizer whose tokens are characters, for small models made from scratch.

    Parameters
    ----------
    alphabet : str
        Different characters; a text with others has unknown tokens.

    Returns
    -------
    PreTrainedTokenizerFast
        With tokens for padding (on the left, as generation wants it), the end of a text, and the
        unknown, before those of the alphabet. It saves itself by ``save_pretrained`` and is loaded
        by ``AutoTokenizer.from_pretrained`` without a network.

    Raises
    ------
    InvalidInputError
        If a character is there twice, or none is.
    MissingDependencyError
        If transformers is not installed.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import character_tokenizer
    >>> tokenizer = character_tokenizer("0123456789+=")
    >>> tokenizer("1+2=")["input_ids"]
    [4, 13, 5, 14]
    >>> tokenizer.decode([4, 13, 5, 14, tokenizer.eos_token_id], skip_special_tokens=True)
    '1+2='
    """
    if not alphabet or len(set(alphabet)) < len(alphabet):
        raise InvalidInputError(
            f"character_tokenizer: got alphabet={alphabet!r}, expected different characters"
        )
    transformers = import_optional("transformers", "llm")
    tokenizers = import_optional("tokenizers", "llm")
    special = ["<pad>", "<eos>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
