"""What losses and layers that sample share: laws of noise, and what is made of the draws."""

from dfl.montecarlo.budget import Budget as Budget
from dfl.montecarlo.directions import direction as direction
from dfl.montecarlo.noise import Gumbel as Gumbel
from dfl.montecarlo.noise import LogNormal as LogNormal
from dfl.montecarlo.noise import Noise as Noise
from dfl.montecarlo.noise import Normal as Normal
from dfl.montecarlo.noise import SumOfGamma as SumOfGamma
from dfl.montecarlo.noise import noise_by_name as noise_by_name
from dfl.montecarlo.samples import WeightedSamples as WeightedSamples
from dfl.montecarlo.weights import centered as centered
from dfl.montecarlo.weights import leave_one_out as leave_one_out
from dfl.montecarlo.weights import pair_extremes as pair_extremes
from dfl.montecarlo.weights import soft_infinity as soft_infinity
from dfl.montecarlo.weights import softmax as softmax
from dfl.montecarlo.weights import softmax_temperature as softmax_temperature
from dfl.montecarlo.weights import standardized as standardized

__all__ = [
    "Budget",
    "Gumbel",
    "LogNormal",
    "Noise",
    "Normal",
    "SumOfGamma",
    "WeightedSamples",
    "centered",
    "direction",
    "leave_one_out",
    "noise_by_name",
    "pair_extremes",
    "soft_infinity",
    "softmax",
    "softmax_temperature",
    "standardized",
]
