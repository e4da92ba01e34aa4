"""Policies that are learned and judged while an adversary moves what they see."""

from dfl.rl.robust.agent import RobustAgent as RobustAgent
from dfl.rl.robust.agent import Seen as Seen
from dfl.rl.robust.ascent import ExactProblem as ExactProblem
from dfl.rl.robust.ascent import RobustObjective as RobustObjective
from dfl.rl.robust.ascent import SoftmaxProblem as SoftmaxProblem
from dfl.rl.robust.ascent import ascend as ascend
from dfl.rl.robust.ascent import objective_by_name as objective_by_name
from dfl.rl.robust.ascent import robust_gradient as robust_gradient
from dfl.rl.robust.attack import AbstractAttack as AbstractAttack
from dfl.rl.robust.attacks import ActionDifferenceAttack as ActionDifferenceAttack
from dfl.rl.robust.attacks import CriticAttack as CriticAttack
from dfl.rl.robust.attacks import RandomAttack as RandomAttack
from dfl.rl.robust.attacks import ValueAttack as ValueAttack
from dfl.rl.robust.attacks import make_attack as make_attack
from dfl.rl.robust.configurations import configuration_by_name as configuration_by_name
from dfl.rl.robust.evaluation import RobustnessReport as RobustnessReport
from dfl.rl.robust.evaluation import evaluate as evaluate
from dfl.rl.robust.intrinsic import intrinsic_neighborhoods as intrinsic_neighborhoods
from dfl.rl.robust.intrinsic import random_intrinsic_models as random_intrinsic_models
from dfl.rl.robust.learned_attack import LearnedAttack as LearnedAttack
from dfl.rl.robust.optimizer import RobustPolicyOptimizer as RobustPolicyOptimizer
from dfl.rl.robust.rollouts import AttackedRollouts as AttackedRollouts
from dfl.rl.robust.scaling import RunningScale as RunningScale
from dfl.rl.robust.sticky import StickyProblem as StickyProblem
from dfl.rl.robust.sticky import sticky_model as sticky_model
from dfl.rl.robust.tabular import ObservedModel as ObservedModel

__all__ = [
    "AbstractAttack",
    "ActionDifferenceAttack",
    "AttackedRollouts",
    "CriticAttack",
    "ExactProblem",
    "LearnedAttack",
    "ObservedModel",
    "RandomAttack",
    "RobustAgent",
    "RobustObjective",
    "RobustPolicyOptimizer",
    "RobustnessReport",
    "RunningScale",
    "Seen",
    "SoftmaxProblem",
    "StickyProblem",
    "ValueAttack",
    "ascend",
    "configuration_by_name",
    "evaluate",
    "intrinsic_neighborhoods",
    "make_attack",
    "objective_by_name",
    "random_intrinsic_models",
    "robust_gradient",
    "sticky_model",
]
