"""Differentiable maps from costs to decisions: a layer of a network that decides."""

from dfl.layers.base import AbstractLayer as AbstractLayer
from dfl.layers.convex import ConvexLayer as ConvexLayer
from dfl.layers.convex import ConvexSolution as ConvexSolution
from dfl.layers.frank_wolfe import FrankWolfeLayer as FrankWolfeLayer
from dfl.layers.identity import IdentityLayer as IdentityLayer
from dfl.layers.implicit_mle import IMLELayer as IMLELayer
from dfl.layers.interpolation import InterpolationLayer as InterpolationLayer
from dfl.layers.perturbed import PerturbedLayer as PerturbedLayer
from dfl.layers.quadratic import QuadraticLayer as QuadraticLayer

__all__ = [
    "AbstractLayer",
    "ConvexLayer",
    "ConvexSolution",
    "FrankWolfeLayer",
    "IMLELayer",
    "IdentityLayer",
    "InterpolationLayer",
    "PerturbedLayer",
    "QuadraticLayer",
]
