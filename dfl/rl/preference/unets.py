"""Networks of diffusers as denoisers, what they are told, and rewards of what they draw."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.rl.preference.rewards import one_number_each

_PRECISIONS = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@final
class UNetDenoiser(nn.Module):
    """A ``UNet2DModel`` of diffusers as a denoiser.

    Parameters
    ----------
    unet : diffusers.UNet2DModel
        Or any module whose result has its prediction in ``sample``.
    precision : {"no", "bf16", "fp16"}, default="no"
        In which its layers compute, the weights being as they are; "no": in that of the weights.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import torch
    >>> from dfl.rl.preference import UNetDenoiser
    >>> class Nothing(torch.nn.Linear):
    ...     def forward(self, x, times):
    ...         return SimpleNamespace(sample=0 * x)
    >>> UNetDenoiser(Nothing(1, 1))(torch.ones(2, 1, 8, 8), torch.tensor([1, 951])).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, unet: nn.Module, precision: str = "no") -> None:
        super().__init__()
        self.unet = unet
        self.precision = _checked(precision)

    def forward(self, x: Tensor, times: Tensor, conditions: None = None) -> Tensor:
        """Return what is predicted in x (n, ...) at times (n,)."""
        if conditions is not None:
            raise InvalidInputError(
                f"UNetDenoiser: got conditions of type {type(conditions).__name__}, expected None: "
                "this network takes none"
            )
        with _computing(self.precision, x):
            found: Tensor = self.unet(x.to(_dtype(self.unet)), times).sample
        return found.to(x.dtype)


@final
class Prompts:
    """Texts with what an encoder makes of them: conditions for fit and decide.

    Parameters
    ----------
    texts : sequence of str
        Texts to sample for.
    embeddings : Tensor of shape (n, length, size)
        A row a text.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import Prompts
    >>> prompts = Prompts(["a cat", "a dog"], torch.zeros(2, 77, 8))
    >>> prompts[torch.tensor([1, 1, 0])].texts
    ('a dog', 'a dog', 'a cat')
    """

    def __init__(self, texts: Sequence[str], embeddings: Tensor) -> None:
        if len(texts) != len(embeddings) or embeddings.ndim != 3:
            raise InvalidInputError(
                f"got {len(texts)} texts and embeddings of shape {tuple(embeddings.shape)}, "
                f"expected ({len(texts)}, length, size)"
            )
        self.texts = tuple(texts)
        self.embeddings = embeddings

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Tensor) -> Prompts:
        """Return some of them: a tensor of row numbers."""
        texts = [self.texts[row] for row in rows.tolist()]
        return Prompts(texts, self.embeddings[rows.to(self.embeddings.device)])


@final
class TextDenoiser(nn.Module):
    """A ``UNet2DConditionModel`` as a denoiser, guided by texts, in training as in sampling.

    Parameters
    ----------
    unet : diffusers.UNet2DConditionModel
        What predicts noise, given texts.
    untold : Tensor of shape (1, length, size)
        The embedding of no text.
    guidance_scale : float, default=5.0
        How far predictions are moved from those without a text past those with it; 1 asks the
        network once a step instead of twice.
    precision : {"no", "bf16", "fp16"}, default="no"
        See ``UNetDenoiser``.

    Notes
    -----
    ``e = e(nothing) + guidance_scale (e(text) - e(nothing))``.

    References
    ----------
    Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022, arXiv 2207.12598.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import torch
    >>> from dfl.rl.preference import Prompts, TextDenoiser
    >>> class Told(torch.nn.Linear):
    ...     def forward(self, x, times, told):
    ...         return SimpleNamespace(sample=told.mean((1, 2)).reshape(-1, 1, 1, 1).expand_as(x))
    >>> denoiser = TextDenoiser(Told(1, 1), torch.zeros(1, 7, 2), guidance_scale=5.0)
    >>> prompts = Prompts(["a cat"], torch.ones(1, 7, 2))
    >>> denoiser(torch.zeros(1, 1, 1, 1), torch.tensor([1]), prompts)
    tensor([[[[5.]]]])
    """

    def __init__(
        self,
        unet: nn.Module,
        untold: Tensor,
        guidance_scale: float = 5.0,
        precision: str = "no",
    ) -> None:
        super().__init__()
        if not guidance_scale >= 1:
            raise InvalidInputError(
                f"got guidance_scale={guidance_scale}, expected at least 1: no guidance"
            )
        self.untold: Tensor
        self.unet = unet
        self.guidance_scale = guidance_scale
        self.precision = _checked(precision)
        self.register_buffer("untold", untold)

    def forward(self, x: Tensor, times: Tensor, conditions: Prompts | Tensor) -> Tensor:
        """Return what is predicted in x (n, ...) at times (n,), told n prompts or embeddings."""
        told = conditions.embeddings if isinstance(conditions, Prompts) else conditions
        if not isinstance(told, Tensor) or len(told) != len(x):
            raise InvalidInputError(
                f"TextDenoiser: got conditions of type {type(conditions).__name__}, expected "
                f"{len(x)} Prompts, one a sample"
            )
        dtype = _dtype(self.unet)
        told = told.to(x.device, dtype)
        with _computing(self.precision, x):
            if self.guidance_scale == 1:
                return self.unet(x.to(dtype), times, told).sample.to(x.dtype)
            told = torch.cat([self.untold.to(told).expand_as(told), told])
            twice = torch.cat([x, x]).to(dtype)
            without, having = self.unet(twice, torch.cat([times, times]), told).sample.chunk(2)
        without, having = without.to(x.dtype), having.to(x.dtype)
        found: Tensor = without + self.guidance_scale * (having - without)
        return found


@final
class ImageReward:
    """Judge latents by the images that they decode to.

    Parameters
    ----------
    reward : callable
        From images (n, 3, h, w), about -1 to 1, times (n,) and n texts to what each is worth, (n,).
    decode : callable
        From latents (n, ...) to images.
    batch_size : int, default=16
        So many are decoded and judged at a time.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import ImageReward
    >>> def brightness(images, times, texts):
    ...     return images.flatten(1).mean(1)
    >>> reward = ImageReward(brightness, decode=lambda latents: 2 * latents)
    >>> reward(torch.ones(2, 4, 8, 8), torch.tensor([1, 1]), None)
    tensor([2., 2.])
    """

    def __init__(
        self,
        reward: Callable[[Tensor, Tensor, Any], Tensor],
        decode: Callable[[Tensor], Tensor],
        batch_size: int = 16,
    ) -> None:
        check_at_least(1, self, batch_size=batch_size)
        self.reward = reward
        self.decode = decode
        self.batch_size = batch_size

    def __call__(self, samples: Tensor, times: Tensor, conditions: Any) -> Tensor:
        """Return what n latents are worth, (n,)."""
        texts = conditions.texts if isinstance(conditions, Prompts) else conditions
        values = []
        for start in range(0, len(samples), self.batch_size):
            rows = slice(start, start + self.batch_size)
            part = None if texts is None else texts[rows]
            found = self.reward(self.decode(samples[rows]), times[rows], part)
            values.append(one_number_each(found, len(times[rows])))
        return torch.cat(values)


def _checked(precision: str) -> str:
    if precision not in _PRECISIONS:
        raise InvalidInputError(
            f"got precision={precision!r}, expected one of: {', '.join(map(repr, _PRECISIONS))}"
        )
    return precision


def _computing(precision: str, x: Tensor) -> contextlib.AbstractContextManager[Any]:
    dtype = _PRECISIONS[precision]
    if dtype is None:
        return contextlib.nullcontext()
    # no cache: weights that are trained would be kept as they were when first seen without gradient
    return torch.autocast(x.device.type, dtype, cache_enabled=False)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(p.dtype for p in module.parameters() if p.is_floating_point())
