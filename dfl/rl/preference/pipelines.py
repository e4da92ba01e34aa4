"""Pipelines of diffusers, taken apart to be tuned and put together again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.estimators._randomness import private_randomness
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.rl.preference.loading import EXTRA, KINDS
from dfl.rl.preference.rewards import Reward
from dfl.rl.preference.unets import ImageReward, Prompts, TextDenoiser, UNetDenoiser
from dfl_solvers.exceptions import import_optional

# the layers of attention that published code adapts
_ADAPTED = ("to_k", "to_q", "to_v", "to_out.0")


@final
@dataclass(frozen=True)
class TunablePipeline:
    """A pipeline, and its parts as ``StepwisePreferenceTuner`` takes them.

    Attributes
    ----------
    pipeline : diffusers.DDIMPipeline or diffusers.StableDiffusionPipeline
    denoiser : UNetDenoiser or TextDenoiser
        Around the pipeline's own network.
    shape : tuple of int
        Of one sample: an image, or what decodes to one.

    Notes
    -----
    Samples of the tuner are those of the pipeline with the same scheduler, up to where their
    randomness comes from.

    Examples
    --------
    >>> from dfl.rl.preference import StepwisePreferenceTuner, TunablePipeline, load_pipeline
    >>> def tune(folder, reward, prompts):
    ...     tunable = TunablePipeline.of(load_pipeline(folder), lora_rank=4)
    ...     tuner = StepwisePreferenceTuner(
    ...         tunable.denoiser, tunable.scheduler, tunable.reward(reward), tunable.shape
    ...     )
    ...     tuner.fit(tunable.prompts(prompts))
    ...     tunable.install(tuner.denoiser_).save("adapters")
    """

    pipeline: Any
    denoiser: nn.Module
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        pipeline: Any,
        *,
        guidance_scale: float = 5.0,
        lora_rank: int | None = None,
        precision: str | None = None,
        accelerator: Any = None,
        seed: int = 0,
    ) -> TunablePipeline:
        """Take a pipeline apart.

        Parameters
        ----------
        pipeline : diffusers.DDIMPipeline or diffusers.StableDiffusionPipeline
            With a ``DDIMScheduler`` that does not clip, as ``load_pipeline`` makes it.
        guidance_scale : float, default=5.0
            Of a pipeline that takes texts; see ``TextDenoiser``.
        lora_rank : int, optional
            Train low-rank adapters of the attention layers, in single precision, rather than all
            weights: copies share these. A pipeline whose network has adapters goes on with them.
        precision : {"no", "bf16", "fp16"}, optional
            See ``UNetDenoiser``; gradients are not scaled, for which "fp16" may be too coarse.
            Default: that of the accelerator, or "no".
        accelerator : accelerate.Accelerator, optional
            To its device the pipeline is moved. One process: gradients are not exchanged.
        seed : int, default=0
            Seeds the first adapters.

        Returns
        -------
        TunablePipeline

        Raises
        ------
        MissingDependencyError
            If diffusers is not installed, or peft, where adapters are asked for.
        UnsupportedError
            If the pipeline is of another class, its scheduler is no ``DDIMScheduler``, or its
            network takes no adapters.
        InvalidInputError
            If a number is out of its range.
        """
        diffusers = import_optional("diffusers", EXTRA)
        kind = type(pipeline).__name__
        textual = isinstance(pipeline, diffusers.StableDiffusionPipeline)
        if not textual and not isinstance(pipeline, diffusers.DDIMPipeline):
            raise UnsupportedError(f"got a pipeline {kind}, expected one of: {', '.join(KINDS)}")
        if not isinstance(pipeline.scheduler, diffusers.DDIMScheduler):
            raise UnsupportedError(
                f"{kind}: got a {type(pipeline.scheduler).__name__}, expected a DDIMScheduler, "
                "whose steps have densities; load_pipeline makes one, or "
                "DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)"
            )
        if accelerator is not None:
            pipeline.to(accelerator.device)
            precision = precision or accelerator.mixed_precision
        unet = pipeline.unet
        if lora_rank is not None or getattr(unet, "peft_config", None):
            _adapt(pipeline, lora_rank, seed)
        elif unet.dtype in (torch.float16, torch.bfloat16):
            raise InvalidInputError(
                f"{kind}: got weights of type {unet.dtype}, too coarse to be trained; give a "
                "lora_rank, or load them in single precision and give a precision"
            )
        shape = _shape(unet)
        if not textual:
            return cls(pipeline, UNetDenoiser(unet, precision or "no"), shape)
        pipeline.vae.requires_grad_(False).eval()
        pipeline.text_encoder.requires_grad_(False).eval()
        denoiser = TextDenoiser(unet, _encoded(pipeline, [""]), guidance_scale, precision or "no")
        return cls(pipeline, denoiser, shape)

    @property
    def scheduler(self) -> Any:
        """The pipeline's scheduler."""
        return self.pipeline.scheduler

    def prompts(self, texts: Sequence[str]) -> Prompts:
        """Encode texts, once: conditions for ``fit`` and ``decide``."""
        self._needs("text_encoder", "takes no prompts")
        if isinstance(texts, str) or not len(texts):
            raise InvalidInputError(f"got texts={texts!r}, expected a sequence of at least one")
        return Prompts(list(texts), _encoded(self.pipeline, list(texts)))

    def images(self, samples: Tensor) -> Tensor:
        """Return images (n, channels, h, w), about -1 to 1, of samples; gradients pass through."""
        vae = getattr(self.pipeline, "vae", None)
        if vae is None:
            return samples
        dtype = next(vae.parameters()).dtype
        found: Tensor = vae.decode((samples / vae.config.scaling_factor).to(dtype)).sample
        return found.to(samples.dtype)

    def reward(
        self, reward: Callable[[Tensor, Tensor, Any], Tensor], batch_size: int = 16
    ) -> Reward:
        """Return a reward of samples, made of one of images; see ``ImageReward``."""
        return ImageReward(reward, self.images, batch_size)

    def install(self, denoiser: nn.Module) -> TunablePipeline:
        """Put the network of a tuned denoiser into the pipeline, in place of its own.

        Returns
        -------
        TunablePipeline
            The same pipeline, with this denoiser.

        Raises
        ------
        InvalidInputError
            If it is no denoiser of this kind.
        """
        if type(denoiser) is not type(self.denoiser):
            raise InvalidInputError(
                f"got a denoiser {type(denoiser).__name__}, expected a "
                f"{type(self.denoiser).__name__} such as the tuner's denoiser_"
            )
        unet: Any = denoiser.unet
        self.pipeline.register_modules(unet=unet.eval())
        return replace(self, denoiser=denoiser)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the pipeline to a folder; of one with adapters, these alone.

        ``load_pipeline`` reads it, and the pipelines of diffusers do.
        """
        unet = self.pipeline.unet
        if not getattr(unet, "peft_config", None):
            self.pipeline.save_pretrained(path)
            return
        peft = import_optional("peft", EXTRA)
        tools = import_optional("diffusers.utils", EXTRA)
        layers = tools.convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(unet))
        type(self.pipeline).save_lora_weights(Path(path), unet_lora_layers=layers)

    def _needs(self, part: str, otherwise: str) -> None:
        if getattr(self.pipeline, part, None) is None:
            raise UnsupportedError(f"{type(self.pipeline).__name__} {otherwise}")


def _adapt(pipeline: Any, rank: int | None, seed: int) -> None:
    """Train adapters of the network only: those it has, or new ones."""
    peft = import_optional("peft", EXTRA)
    unet = pipeline.unet
    if not hasattr(unet, "add_adapter"):
        raise UnsupportedError(
            f"{type(unet).__name__} takes no adapters: got lora_rank={rank}, expected None"
        )
    unet.requires_grad_(False)
    if not getattr(unet, "peft_config", None):
        if rank is None or rank < 1:
            raise InvalidInputError(f"got lora_rank={rank}, expected at least 1")
        made = peft.LoraConfig(
            r=rank,
            lora_alpha=rank,
            init_lora_weights="gaussian",
            target_modules=list(_ADAPTED),
        )
        with private_randomness(seed, unet.device):
            unet.add_adapter(made)
    for name, parameter in unet.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(True)
            parameter.data = parameter.data.float()


def _shape(unet: Any) -> tuple[int, ...]:
    size = unet.config.sample_size
    if size is None:
        raise InvalidInputError(
            f"{type(unet).__name__}: got sample_size=None, expected the size of its samples in its "
            "configuration: unet.register_to_config(sample_size=...)"
        )
    sides = (size, size) if isinstance(size, int) else tuple(size)
    return (int(unet.config.in_channels), *sides)


@torch.no_grad()
def _encoded(pipeline: Any, texts: list[str]) -> Tensor:
    """Return embeddings (n, length, size) of texts."""
    found: Tensor = pipeline.encode_prompt(texts, pipeline.device, 1, False)[0]
    return found
