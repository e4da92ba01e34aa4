"""What losses, layers and policy methods that sample share: what is made of their draws."""

from dfl.montecarlo.budget import Budget as Budget
from dfl.montecarlo.directions import direction as direction
from dfl.montecarlo.samples import WeightedSamples as WeightedSamples
from dfl.montecarlo.weights import centered as centered
from dfl.montecarlo.weights import leave_one_out as leave_one_out
from dfl.montecarlo.weights import softmax as softmax
from dfl.montecarlo.weights import standardized as standardized

__all__ = [
    "Budget",
    "WeightedSamples",
    "centered",
    "direction",
    "leave_one_out",
    "softmax",
    "standardized",
]
