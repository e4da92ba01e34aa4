"""Pipelines of diffusers, read from a folder or from the hub."""

from __future__ import annotations

import os
from typing import Any

import torch

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.exceptions import import_optional

EXTRA = "diffusion"
KINDS = ("DDIMPipeline", "StableDiffusionPipeline")


def load_pipeline(
    source: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    lora: str | os.PathLike[str] | None = None,
    scheduler: bool = True,
) -> Any:
    """Load a pipeline that can be tuned, from a folder or from the hub.

    Parameters
    ----------
    source : path or str
        A folder that ``save_pretrained`` wrote, or an id on the hub. It holds a ``DDIMPipeline`` or
        a ``StableDiffusionPipeline``.
    dtype : torch.dtype, optional
        Of all weights, such as ``torch.float16``. Default: single precision.
    lora : path or str, optional
        Of low-rank adapters, which ``TunablePipeline.save`` wrote.
    scheduler : bool, default=True
        Replace its scheduler by the ``DDIMScheduler`` of the same noise that does not clip.

    Returns
    -------
    diffusers.DiffusionPipeline
        Without a safety checker.

    Raises
    ------
    MissingDependencyError
        If diffusers is not installed.
    InvalidInputError
        If there is no pipeline in the folder, or none of that name on the hub.
    UnsupportedError
        If it is a pipeline of another class.

    See Also
    --------
    TunablePipeline.of : What to do with it next.
    """
    diffusers = import_optional("diffusers", EXTRA)
    name = os.fspath(source)
    try:
        kind = diffusers.DiffusionPipeline.load_config(name).get("_class_name")
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"got {name!r}, expected the folder of a pipeline (with model_index.json) or an id on "
            f"the hub: {error}"
        ) from error
    if kind not in KINDS:
        raise UnsupportedError(f"{name} holds a {kind}, expected one of: {', '.join(KINDS)}")
    unwanted = {} if kind == "DDIMPipeline" else {"safety_checker": None}
    pipeline = getattr(diffusers, kind).from_pretrained(name, **unwanted)
    pipeline.to(dtype or torch.float32)
    if lora is not None:
        if kind == "DDIMPipeline":
            raise UnsupportedError(f"{name} holds a {kind}, which takes no adapters: got {lora=}")
        import_optional("peft", EXTRA)
        pipeline.load_lora_weights(os.fspath(lora))
    if scheduler:
        pipeline.register_modules(
            scheduler=diffusers.DDIMScheduler.from_config(
                pipeline.scheduler.config, clip_sample=False, thresholding=False
            )
        )
    return pipeline
