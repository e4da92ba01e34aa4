"""Simulators as pure functions on batches of states: for search, and with exact answers."""

from dfl.rl.envs.assignment import SequentialAssignment as SequentialAssignment
from dfl.rl.envs.cartpole import CartPole as CartPole
from dfl.rl.envs.cube import RubiksCube as RubiksCube
from dfl.rl.envs.gym_collect import GymnasiumCollector as GymnasiumCollector
from dfl.rl.envs.gym_collect import Transitions as Transitions
from dfl.rl.envs.gym_model import GymnasiumModel as GymnasiumModel
from dfl.rl.envs.knapsack import SequentialKnapsack as SequentialKnapsack
from dfl.rl.envs.model import BatchedModel as BatchedModel
from dfl.rl.envs.model import begin_anew as begin_anew
from dfl.rl.envs.model import gather_rows as gather_rows
from dfl.rl.envs.model import random_actions as random_actions
from dfl.rl.envs.model import repeat_rows as repeat_rows
from dfl.rl.envs.model import where_rows as where_rows
from dfl.rl.envs.pendulum import Pendulum as Pendulum
from dfl.rl.envs.play import play as play
from dfl.rl.envs.sokoban import Sokoban as Sokoban
from dfl.rl.envs.tabular import TabularModel as TabularModel
from dfl.rl.envs.tabular import random_model as random_model
from dfl.rl.envs.tabular import two_step_model as two_step_model

__all__ = [
    "BatchedModel",
    "CartPole",
    "GymnasiumCollector",
    "GymnasiumModel",
    "Pendulum",
    "RubiksCube",
    "SequentialAssignment",
    "SequentialKnapsack",
    "Sokoban",
    "TabularModel",
    "Transitions",
    "begin_anew",
    "gather_rows",
    "play",
    "random_actions",
    "random_model",
    "repeat_rows",
    "two_step_model",
    "where_rows",
]
