"""Policies in simulators: learned by search, without search, by imitation, or not at all."""

from dfl_experiments.policies.simulators.cube import CubeStudy as CubeStudy
from dfl_experiments.policies.simulators.imitation import Imitation as Imitation
from dfl_experiments.policies.simulators.knapsack import (
    SequentialKnapsackStudy as SequentialKnapsackStudy,
)
from dfl_experiments.policies.simulators.pendulum import PendulumStudy as PendulumStudy
from dfl_experiments.policies.simulators.search import SMC as SMC
from dfl_experiments.policies.simulators.search import Shooting as Shooting
from dfl_experiments.policies.simulators.search import UniformSearch as UniformSearch
from dfl_experiments.policies.simulators.sokoban import SokobanStudy as SokobanStudy
from dfl_experiments.policies.simulators.unsearched import MPO as MPO
from dfl_experiments.policies.simulators.unsearched import PPO as PPO
from dfl_experiments.policies.simulators.unsearched import VMPO as VMPO
