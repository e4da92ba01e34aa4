"""Differentiable maps from costs to decisions: a layer of a network that decides."""

from dfl.layers.barrier import BarrierLayer as BarrierLayer
from dfl.layers.base import AbstractLayer as AbstractLayer
from dfl.layers.convex import ConvexLayer as ConvexLayer
from dfl.layers.convex import ConvexSolution as ConvexSolution
from dfl.layers.frank_wolfe import FrankWolfeLayer as FrankWolfeLayer
from dfl.layers.identity import IdentityLayer as IdentityLayer
from dfl.layers.implicit_mle import IMLELayer as IMLELayer
from dfl.layers.interpolation import InterpolationLayer as InterpolationLayer
from dfl.layers.noise import Gumbel as Gumbel
from dfl.layers.noise import LogNormal as LogNormal
from dfl.layers.noise import Noise as Noise
from dfl.layers.noise import Normal as Normal
from dfl.layers.noise import SumOfGamma as SumOfGamma
from dfl.layers.noise import noise_by_name as noise_by_name
from dfl.layers.permutahedron import PermutahedronLayer as PermutahedronLayer
from dfl.layers.permutahedron import soft_rank as soft_rank
from dfl.layers.permutahedron import soft_sort as soft_sort
from dfl.layers.perturbed import PerturbedLayer as PerturbedLayer
from dfl.layers.quadratic import QuadraticLayer as QuadraticLayer

__all__ = [
    "AbstractLayer",
    "BarrierLayer",
    "ConvexLayer",
    "ConvexSolution",
    "FrankWolfeLayer",
    "Gumbel",
    "IMLELayer",
    "IdentityLayer",
    "InterpolationLayer",
    "LogNormal",
    "Noise",
    "Normal",
    "PermutahedronLayer",
    "PerturbedLayer",
    "QuadraticLayer",
    "SumOfGamma",
    "noise_by_name",
    "soft_rank",
    "soft_sort",
]
