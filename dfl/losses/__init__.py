"""Surrogates of regret, behind one signature: ``loss(output, target)``."""

from dfl.losses.base import AbstractLoss as AbstractLoss
from dfl.losses.perturbed_fenchel_young import (
    PerturbedFenchelYoungLoss as PerturbedFenchelYoungLoss,
)
from dfl.losses.registry import available as available
from dfl.losses.registry import make_loss as make_loss
from dfl.losses.spo_plus import SPOPlusLoss as SPOPlusLoss
from dfl.losses.squared import SquaredLoss as SquaredLoss
from dfl.losses.target import Target as Target

__all__ = [
    "AbstractLoss",
    "PerturbedFenchelYoungLoss",
    "SPOPlusLoss",
    "SquaredLoss",
    "Target",
    "available",
    "make_loss",
]
