"""Handwritten digits: a diffusion model to be tuned, what rewards it, and who judges it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.rl.preference.schedule import NoiseSchedule
from dfl.rl.preference.tasks.digit_judges import DigitJudge, DigitReward, flat, precision
from dfl.rl.preference.tasks.digit_unet import train_digit_denoiser

# digits with a loop
_LOOPS = (0, 6, 8, 9)


@final
@dataclass(frozen=True)
class DigitTask:
    """A diffusion model of digits, what it is to be tuned for, and how to see what comes of it.

    Attributes
    ----------
    denoiser : nn.Module
        From images (n, 1, 8, 8), times (n,) and None to the noise in them.
    scheduler : NoiseSchedule
    reward : DigitReward
        Learned from half of the images.
    judge : DigitJudge
        Learned from the other half.
    images : Tensor of shape (1797, 1, 8, 8)
        All, from -1 to 1; the denoiser is trained on them.
    wanted : tuple of int
        Digits that are rewarded.
    """

    denoiser: nn.Module
    scheduler: NoiseSchedule
    reward: DigitReward
    judge: DigitJudge
    images: Tensor
    wanted: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image."""
        return (1, 8, 8)

    def measures(self, samples: Tensor) -> dict[str, float]:
        """Say how good samples are, and how they differ.

        Parameters
        ----------
        samples : Tensor of shape (n, 1, 8, 8)
            Images to judge.

        Returns
        -------
        dict of str to float
            Mean ``reward``; mean ``judge``, the probability that the forest gives to the wanted
            digits; mean distance of two samples, ``distance``; ``entropy`` of the wanted digits,
            in nats, among what the forest takes for wanted; and ``precision``, the share of samples
            that are as near to a real image as its third neighbor is.

        References
        ----------
        Kynkäänniemi, Karras, Laine, Lehtinen & Aila, "Improved Precision and Recall Metric for
        Assessing Generative Models", NeurIPS 2019, arXiv 1904.06991.
        """
        samples = samples.detach()
        shares = self.judge.probabilities(samples)[:, list(self.wanted)].mean(0)
        shares = shares / shares.sum()
        return {
            "reward": float(self.reward(samples).mean()),
            "judge": float(self.judge(samples).mean()),
            "distance": float(torch.pdist(torch.from_numpy(flat(samples))).mean()),
            "entropy": float(torch.special.entr(shares).sum()),
            "precision": precision(samples, self.images),
        }


def make_digit_task(
    wanted: Sequence[int] = _LOOPS,
    *,
    max_iter: int = 200,
    channels: int = 16,
    random_state: int = 0,
) -> DigitTask:
    """Train a small diffusion model of scikit-learn's digits, a reward, and a judge of both.

    It takes a minute or two on one core; calls with the same arguments share the result, whose
    parts are not to be changed in place.

    Parameters
    ----------
    wanted : sequence of int, default=(0, 6, 8, 9)
        Digits that are rewarded.
    max_iter : int, default=200
        Epochs of training.
    channels : int, default=16
        See ``DigitUNet``.
    random_state : int, default=0
        Seeds the split of the images, and all training.

    Returns
    -------
    DigitTask
        Denoiser, steps, reward and judge.

    Raises
    ------
    InvalidInputError
        If no digit is wanted, or all are, or one is none.

    Examples
    --------
    >>> from dfl.rl.preference.tasks import make_digit_task
    >>> task = make_digit_task((0,), max_iter=1, channels=8)
    >>> sorted(task.measures(task.images))
    ['distance', 'entropy', 'judge', 'precision', 'reward']
    """
    if not 0 < len(set(wanted)) < 10 or not set(wanted) <= set(range(10)):
        raise InvalidInputError(f"got wanted={wanted}, expected some of the digits 0 to 9, not all")
    return _made(tuple(wanted), max_iter, channels, random_state)


@functools.cache
def _made(wanted: tuple[int, ...], max_iter: int, channels: int, random_state: int) -> DigitTask:
    data = load_digits()
    pixels, labels = data.data / 8 - 1, data.target
    order = np.random.default_rng(random_state).permutation(len(pixels))
    first, second = np.array_split(order, 2)
    images = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)
    scheduler = NoiseSchedule.linear()
    return DigitTask(
        train_digit_denoiser(
            images,
            scheduler.alphas_cumprod,
            channels=channels,
            max_iter=max_iter,
            seed=random_state,
        ),
        scheduler,
        DigitReward(pixels[first], labels[first], wanted),
        DigitJudge(pixels[second], labels[second], wanted, random_state),
        images,
        wanted,
    )
