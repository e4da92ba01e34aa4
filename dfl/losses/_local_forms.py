"""Local losses: functions of the error of an instance, fitted to its regrets at sampled errors.

Errors are in units of the samples' size, regrets are divided by their mean.
The sampled errors (k, d) are the same for all n instances, so that every fit is one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Fitted = Mapping[str, Tensor]

# steps of the fits that are not least squares, and their rate
_STEPS = 200
_RATE = 0.03
# steps from one look at the samples that are left out to the next
_LOOKS = 5
# columns of the factor of a quadratic form, and units of a network
_RANK = 4
_WIDTH = 16


class Form(NamedTuple):
    """How a local loss is fitted, and its values (n,) at errors (n, d)."""

    fit: Callable[[Tensor, Tensor, Tensor], Fitted]
    value: Callable[[Tensor, Fitted], Tensor]


def alike(errors: Tensor) -> Tensor:
    """Features that count errors above and below zero alike: the errors."""
    return errors


def directed(errors: Tensor) -> Tensor:
    """Errors above zero, then those below."""
    return torch.cat([errors.clamp(min=0), errors.clamp(max=0)], -1)


def weighted(features: Callable[[Tensor], Tensor]) -> Form:
    """Return the form ``w.features^2``, its weights by least squares, none of them negative."""

    def fit(errors: Tensor, regrets: Tensor, mask: Tensor) -> Fitted:
        rays = features(errors).T.numpy() ** 2  # (m, k)
        return {"weights": torch.from_numpy(_nonnegative(rays, regrets.numpy(), mask.numpy()))}

    return Form(fit, lambda errors, fitted: (fitted["weights"] * features(errors) ** 2).sum(-1))


def _nonnegative(rays: np.ndarray, points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the weights (n, m) of rays (m, k), not negative, that come nearest to points (n, k).

    That is a projection on the cone that the rays span; ``mask`` (n, d) says which count.
    """
    # imported here: compiled code is slow to load, and nobody trains while importing
    from dfl.losses._cone_kernels import project
    from dfl_solvers.kernels import SLOW, run

    sizes = np.maximum(np.linalg.norm(rays, axis=1), np.finfo(float).tiny)
    rays = rays / sizes[:, None]
    spans = np.ascontiguousarray(np.tile(mask, len(rays) // mask.shape[1]))
    along = np.ascontiguousarray(points @ rays.T)
    weights, done = np.zeros_like(along), np.empty(len(points), dtype=bool)
    # where the search did not end, which rounding may cause, its last weights serve as well
    run(
        project,
        len(points),
        along,
        rays @ rays.T,
        spans,
        min(rays.shape),
        weights,
        done,
        serial=SLOW,
    )
    return weights / sizes


def quadratic(features: Callable[[Tensor], Tensor]) -> Form:
    """Return the form ``w.features^2 + |F'features|^2``, by gradient descent from the weighted."""

    def values(at: Tensor, roots: Tensor, factor: Tensor) -> Tensor:
        return (at**2 @ roots**2)[..., 0] + ((at @ factor) ** 2).sum(-1)

    def fit(errors: Tensor, regrets: Tensor, mask: Tensor) -> Fitted:
        at, seen = features(errors), _seen(regrets)
        start = weighted(features).fit(errors[:seen], regrets[:, :seen], mask)["weights"]
        real = torch.cat([mask] * (at.shape[1] // mask.shape[1]), 1)[:, :, None]
        factor = _noise((at.shape[1], _RANK)) * 0.1 / at.shape[1] ** 0.5 * real
        roots, factor = _descend(
            [start.sqrt()[:, :, None], factor], lambda parts: values(at, *parts), regrets
        )
        return {"roots": roots * real, "factor": factor * real}

    return Form(
        fit,
        lambda errors, fitted: values(features(errors)[:, None], fitted["roots"], fitted["factor"])[
            :, 0
        ],
    )


def dense() -> Form:
    """Return a network of one hidden layer, by gradient descent."""

    def fit(errors: Tensor, regrets: Tensor, mask: Tensor) -> Fitted:
        n, d = mask.shape
        first = (_noise((d, _WIDTH)) / d**0.5).expand(n, -1, -1) * mask[:, :, None]
        starts = [
            first.contiguous(),
            torch.zeros(n, 1, _WIDTH, dtype=errors.dtype),
            (_noise((_WIDTH, 1)) / _WIDTH**0.5).expand(n, -1, -1).contiguous(),
            torch.zeros(n, 1, 1, dtype=errors.dtype),
        ]
        found = _descend(starts, lambda parts: _network(errors, parts), regrets)
        found[0] = found[0] * mask[:, :, None]
        return dict(zip(("first", "offset", "last", "level"), found, strict=True))

    def value(errors: Tensor, fitted: Fitted) -> Tensor:
        parts = [fitted[name] for name in ("first", "offset", "last", "level")]
        return _network(errors[:, None], parts)[:, 0]

    return Form(fit, value)


def _network(errors: Tensor, parts: list[Tensor]) -> Tensor:
    """Values (n, k) of n networks at errors (k, d) or (n, k, d)."""
    first, offset, last, level = parts
    hidden = torch.tanh(errors @ first + offset)
    return torch.nn.functional.softplus(hidden @ last + level)[..., 0]


def _descend(
    starts: list[Tensor], values: Callable[[list[Tensor]], Tensor], regrets: Tensor
) -> list[Tensor]:
    """Fit parts of n instances to regrets (n, k), all at once; steps of one touch no other.

    Each instance keeps the parts that were best for the last quarter of its samples, which the
    steps do not see: there are more numbers to fit than samples.
    """
    parts = [start.requires_grad_() for start in starts]
    optimizer = torch.optim.Adam(parts, lr=_RATE)
    seen = _seen(regrets)
    kept = [part.detach().clone() for part in parts]
    least = torch.full((len(regrets),), torch.inf, dtype=regrets.dtype)
    with torch.enable_grad():
        for step in range(_STEPS + 1):
            errors = (values(parts) - regrets) ** 2
            if step % _LOOKS == 0:
                unseen = errors.detach()[:, seen:].sum(1)
                better = (unseen < least)[:, None, None]
                least = torch.minimum(unseen, least)
                for best, part in zip(kept, parts, strict=True):
                    torch.where(better, part.detach(), best, out=best)
            optimizer.zero_grad()
            errors[:, :seen].mean(1).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return kept


def _seen(regrets: Tensor) -> int:
    """How many samples the steps of a descent see, of regrets (n, k)."""
    return max(1, 3 * regrets.shape[1] // 4)


def _noise(shape: tuple[int, ...]) -> Tensor:
    """First parts, the same for every instance and in every fit."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


FORMS: dict[str, Form] = {
    "weighted": weighted(alike),
    "directed": weighted(directed),
    "quadratic": quadratic(alike),
    "directed-quadratic": quadratic(directed),
    "dense": dense(),
}
