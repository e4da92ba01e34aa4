"""Prompts in, completions out: the only place where texts and token ids meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.rewards import OWN
from dfl_solvers.exceptions import import_optional


@final
class Texts:
    """Turn prompts into token ids, and completions into what users see.

    Parameters
    ----------
    tokenizer : object, optional
        Of transformers. Without one, prompts and completions are lists of token ids.
    chat : bool, default=False
        Completions are those of a chat: a list with a message of the assistant.
    """

    def __init__(self, tokenizer: Any = None, chat: bool = False) -> None:
        self.tokenizer = tokenizer
        self.chat = chat

    def encode(self, prompt: Any, row: int) -> Tensor:
        """Return the token ids of a prompt: a text, messages of a chat, or ids."""
        if isinstance(prompt, str) or is_chat(prompt):
            if self.tokenizer is None:
                raise InvalidInputError(
                    f"got a prompt of text at {row}, and there is no tokenizer; pass one, or token "
                    "ids"
                )
            if isinstance(prompt, str):
                ids = self.tokenizer(prompt)["input_ids"]
            else:
                text = self.tokenizer.apply_chat_template(
                    prompt, add_generation_prompt=True, tokenize=False
                )
                ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = prompt
        try:
            found = torch.as_tensor(ids)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidInputError(
                f"got {type(prompt).__name__} as prompt {row}, expected a text, messages, or token "
                "ids"
            ) from error
        if found.ndim != 1 or not len(found) or found.is_floating_point():
            raise InvalidInputError(
                f"prompt {row} gives token ids of shape {tuple(found.shape)} and type "
                f"{found.dtype}, expected a list of at least one whole number"
            )
        return found.long().cpu()

    def decode(self, ids: list[int]) -> Any:
        """Return a completion as users see it."""
        if self.tokenizer is None:
            return ids
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return [{"role": "assistant", "content": text}] if self.chat else text


def is_chat(prompt: Any) -> bool:
    """Tell whether a prompt is a list of messages."""
    listed = isinstance(prompt, Sequence) and not isinstance(prompt, str) and len(prompt) > 0
    return listed and isinstance(prompt[0], Mapping)


def read_prompts(
    prompts: Any, columns: Mapping[str, Sequence[Any]] | None, tokenizer: Any
) -> tuple[list[Tensor], Texts, list[Any], dict[str, list[Any]]]:
    """Return token ids, a translator, the prompts as a list, and checked columns."""
    if isinstance(prompts, (str, Mapping)) or not hasattr(prompts, "__len__"):
        raise InvalidInputError(
            f"got prompts of type {type(prompts).__name__}, expected a list of texts, messages, or "
            "token ids"
        )
    listed = list(prompts)
    if not listed:
        raise InvalidInputError("got no prompts, expected at least one")
    chats = [is_chat(prompt) for prompt in listed]
    if len(set(chats)) > 1:
        i = chats.index(not chats[0])
        raise InvalidInputError(
            f"prompt {i} {'is' if chats[i] else 'is not'} a list of messages, unlike prompt 0; "
            "expected all or none"
        )
    texts = Texts(tokenizer, chats[0])
    if columns is not None and not hasattr(columns, "items"):
        raise InvalidInputError(
            f"got columns of type {type(columns).__name__}, expected a mapping from names to lists"
        )
    known: dict[str, list[Any]] = {}
    for name, values in (columns or {}).items():
        if isinstance(values, (str, Mapping)) or not hasattr(values, "__len__"):
            raise InvalidInputError(
                f"got {type(values).__name__} as column {name!r}, expected a list with an entry "
                "for each prompt"
            )
        known[name] = list(values)
        if len(values) != len(listed):
            raise InvalidInputError(
                f"got {len(values)} entries of column {name!r}, expected {len(listed)}, one for "
                "each prompt"
            )
        if name in OWN:
            raise InvalidInputError(
                f"got a column {name!r}: reward functions are given that anyway"
            )
    return [texts.encode(p, i) for i, p in enumerate(listed)], texts, listed, known


def check_context(model: nn.Module, prompts: Sequence[Tensor], room: int) -> None:
    """Refuse prompts that are no tokens of the model, or leave too little of its context."""
    config = getattr(model, "config", None)
    context = getattr(config, "max_position_embeddings", None)
    size = getattr(config, "vocab_size", None)
    for i, ids in enumerate(prompts):
        if context is not None and len(ids) + room > context:
            raise InvalidInputError(
                f"prompt {i} has {len(ids)} tokens, and with max_completion_length={room} exceeds "
                f"the {context} that the model can read; shorten it, or the completions"
            )
        if size is not None and not (int(ids.min()) >= 0 and int(ids.max()) < size):
            raise InvalidInputError(
                f"prompt {i} has tokens from {int(ids.min())} to {int(ids.max())}, expected those "
                f"of the model, below {size}; does the tokenizer belong to it?"
            )


def ends_of(model: nn.Module, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a text."""
    found: set[int | None] = set()
    for holder in (getattr(model, "generation_config", None), getattr(model, "config", None)):
        token = getattr(holder, "eos_token_id", None)
        found |= set(token if isinstance(token, (list, tuple)) else [token])
    if tokenizer is not None and tokenizer.eos_token_id is not None:
        found.add(tokenizer.eos_token_id)
    return tuple(sorted(token for token in found if token is not None))


def tokenizer_files(tokenizer: Any) -> dict[str, str]:
    """Return the files that a tokenizer saves itself in, by name."""
    if tokenizer is None:
        return {}
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(Path(folder).iterdir())
            if path.suffix in (".json", ".txt", ".jinja")
        }


def tokenizer_from(files: Mapping[str, str]) -> Any:
    """Make a tokenizer from the files that it saved itself in."""
    if not files:
        return None
    transformers = import_optional("transformers", "llm")
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
        return transformers.AutoTokenizer.from_pretrained(folder)
