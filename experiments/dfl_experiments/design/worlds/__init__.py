"""Where labels come from, one file a world."""

from dfl_experiments.design.worlds.decoys import Misspecified as Misspecified
from dfl_experiments.design.worlds.decoys import ScaleDecoys as ScaleDecoys
from dfl_experiments.design.worlds.linear import LinearCosts as LinearCosts
from dfl_experiments.design.worlds.llm import LLMAllocation as LLMAllocation
from dfl_experiments.design.worlds.llm import LLMRouting as LLMRouting
from dfl_experiments.design.worlds.tabular import TabularBall as TabularBall

__all__ = [
    "LLMAllocation",
    "LLMRouting",
    "LinearCosts",
    "Misspecified",
    "ScaleDecoys",
    "TabularBall",
]
