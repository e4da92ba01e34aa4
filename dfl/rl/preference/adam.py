"""How methods without a slow copy are trained: by Adam, from one generator."""

from __future__ import annotations

import torch
from torch import nn

from dfl._validation import check_positive
from dfl.estimators._randomness import private_randomness
from dfl.losses import AbstractLoss
from dfl.rl.fitting import check_trainable
from dfl.rl.preference.sampling import precision_of
from dfl.training import Source, train


def trained_part(
    learner: nn.Module,
    denoiser: nn.Module,
    loss: AbstractLoss,
    source: Source,
    *,
    max_iter: int,
    learning_rate: float,
    generator: torch.Generator,
) -> nn.Module:
    """Train what of a learner's denoiser requires a gradient; return it, evaluated.

    Parameters
    ----------
    learner : nn.Module
    denoiser : nn.Module
        Part of the learner.
    loss : AbstractLoss
    source : Source
    max_iter : int
    learning_rate : float
    generator : torch.Generator
        On the CPU. What modules draw by themselves, such as dropout, is seeded by it too, and the
        caller's own generators stay as they are.

    Returns
    -------
    nn.Module

    Raises
    ------
    InvalidInputError
        If nothing is to be trained, or a number is out of its range.
    """
    check_trainable("", "denoiser", denoiser)
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    check_positive("", learning_rate=learning_rate)
    seed = int(torch.randint(2**62, (), generator=generator))
    with private_randomness(seed, precision_of(denoiser)[0]):
        train(
            learner,
            loss,
            source,
            max_iter=max_iter,
            optimizer=torch.optim.Adam(trained, lr=learning_rate),
            seed=seed,
        )
    return denoiser
