"""Language models from a folder or a module, with adapters or without, and back from numbers."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.generation import base_of, taken
from dfl_solvers.exceptions import import_optional

# what says where a model is, and hence its tokenizer
_SHARED = ("gguf_file", "revision", "subfolder", "token", "cache_dir", "local_files_only")


def open_model(
    model: Any, tokenizer: Any, init_kwargs: Mapping[str, Any] | None
) -> tuple[nn.Module, Any]:
    """Return a model of one's own to train, and its tokenizer, if there is one."""
    if isinstance(model, nn.Module):
        if init_kwargs:
            raise InvalidInputError(
                "SegmentPolicyOptimizer: got model_init_kwargs for a model that is made already; "
                "they are for a path"
            )
        if "input_ids" not in taken(model):
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got a model of type {type(model).__name__}, expected a "
                "causal language model, which takes input_ids"
            )
        own: nn.Module = copy.deepcopy(model)
    else:
        if not isinstance(model, str) and not hasattr(model, "__fspath__"):
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got model={model!r}, expected a path, a name on the hub, "
                "or a causal language model"
            )
        transformers = import_optional("transformers", "llm")
        # rounded weights do not take small steps
        settings = {"dtype": torch.float32, **(init_kwargs or {})}
        own = transformers.AutoModelForCausalLM.from_pretrained(model, **settings)
        if tokenizer is None:
            try:
                told = {k: v for k, v in settings.items() if k in _SHARED}
                tokenizer = transformers.AutoTokenizer.from_pretrained(model, **told)
            except (OSError, ValueError, KeyError):
                tokenizer = None  # a folder without one: prompts are token ids
    if isinstance(tokenizer, str) or hasattr(tokenizer, "__fspath__"):
        tokenizer = import_optional("transformers", "llm").AutoTokenizer.from_pretrained(tokenizer)
    if tokenizer is not None and not (callable(tokenizer) and hasattr(tokenizer, "decode")):
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got tokenizer={tokenizer!r}, expected a path, a name on the "
            "hub, or a tokenizer of transformers"
        )
    return own, tokenizer


def adapt(model: nn.Module, peft_config: Any) -> nn.Module:
    """Return the model with adapters, which alone are trained, as a ``peft`` configuration says."""
    if peft_config is None:
        return model
    if not hasattr(peft_config, "peft_type"):
        raise InvalidInputError(
            f"SegmentPolicyOptimizer: got peft_config of type {type(peft_config).__name__}, "
            "expected a configuration of peft, such as LoraConfig"
        )
    return _adapted(import_optional("peft", "llm"), model, peft_config)


def prepare(model: nn.Module, *, disable_dropout: bool, gradient_checkpointing: bool) -> None:
    """Set a model up for training."""
    if disable_dropout:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            for name in ("attention_dropout", "attn_dropout", "dropout"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
    if gradient_checkpointing:
        inner = base_of(model)
        # by its name before version 5.24, and after
        names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
        found = [getattr(inner, name) for name in names if hasattr(inner, name)]
        if not found:
            raise InvalidInputError(
                f"gradient_checkpointing needs a model of transformers, got {type(model).__name__}"
            )
        found[0]({"use_reentrant": False})


def description(model: nn.Module) -> dict[str, Any] | None:
    """Return what a model is made from, in JSON, without its weights; None for one of no config."""
    inner = base_of(model)
    if not hasattr(inner, "config") or not hasattr(inner.config, "to_json_string"):
        return None
    found = {"config": json.loads(inner.config.to_json_string(use_diff=False))}
    if inner is not model:
        own: Any = model
        adapters = next(iter(own.peft_config.values())).to_dict()
        found["peft"] = json.loads(json.dumps(adapters, default=_plain))
    return found


def from_description(told: Mapping[str, Any], adapted: bool) -> nn.Module:
    """Make a model from its description, with random weights."""
    transformers = import_optional("transformers", "llm")
    config = dict(told["config"])
    made = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**config)
    )
    if not adapted:
        return made
    peft = import_optional("peft", "llm")
    return _adapted(peft, made, peft.get_peft_config(dict(told["peft"])))


def _adapted(peft: Any, model: nn.Module, config: Any) -> nn.Module:
    with warnings.catch_warnings():
        # it asks transformers by names that are going out of use there
        warnings.simplefilter("ignore", FutureWarning)
        adapted: nn.Module = peft.get_peft_model(model, config)
        return adapted


def _plain(value: Any) -> Any:
    return (
        sorted(value)
        if isinstance(value, (set, frozenset))
        else getattr(value, "value", str(value))
    )
