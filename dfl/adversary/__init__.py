"""Perturbations of inputs within a ball that hurt most, and how strong they are when."""

from dfl.adversary.base import AbstractAdversary as AbstractAdversary
from dfl.adversary.base import Victim as Victim
from dfl.adversary.exact import ExactAdversary as ExactAdversary
from dfl.adversary.gradient import GradientAdversary as GradientAdversary
from dfl.adversary.harm import divergence as divergence
from dfl.adversary.identity import IdentityAdversary as IdentityAdversary
from dfl.adversary.learned import LearnedAdversary as LearnedAdversary
from dfl.adversary.random import RandomAdversary as RandomAdversary
from dfl.adversary.registry import make_adversary as make_adversary
from dfl.adversary.strength import AbstractStrength as AbstractStrength
from dfl.adversary.strength import AdaptiveStrength as AdaptiveStrength
from dfl.adversary.strength import ConstantStrength as ConstantStrength
from dfl.adversary.strength import WindowStrength as WindowStrength

__all__ = [
    "AbstractAdversary",
    "AbstractStrength",
    "AdaptiveStrength",
    "ConstantStrength",
    "ExactAdversary",
    "GradientAdversary",
    "IdentityAdversary",
    "LearnedAdversary",
    "RandomAdversary",
    "Victim",
    "WindowStrength",
    "divergence",
    "make_adversary",
]
