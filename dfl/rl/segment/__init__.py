"""Language models that learn from rewards, with credit for the segments of their completions."""

from dfl.rl.segment.advantages import chain_advantages as chain_advantages
from dfl.rl.segment.advantages import depth_weights as depth_weights
from dfl.rl.segment.advantages import tree_advantages as tree_advantages
from dfl.rl.segment.advantages import tree_values as tree_values
from dfl.rl.segment.chain import ChainAdvantages as ChainAdvantages
from dfl.rl.segment.drawing import AdvantageEstimator as AdvantageEstimator
from dfl.rl.segment.drawing import Collected as Collected
from dfl.rl.segment.drawing import Drawing as Drawing
from dfl.rl.segment.examples import Example as Example
from dfl.rl.segment.examples import pack as pack
from dfl.rl.segment.examples import policy_loss as policy_loss
from dfl.rl.segment.generation import Completions as Completions
from dfl.rl.segment.group import GroupAdvantages as GroupAdvantages
from dfl.rl.segment.optimizer import SegmentPolicyOptimizer as SegmentPolicyOptimizer
from dfl.rl.segment.partition import partition_cutpoints as partition_cutpoints
from dfl.rl.segment.partition import partition_fixed as partition_fixed
from dfl.rl.segment.policy import TokenBatch as TokenBatch
from dfl.rl.segment.policy import TokenPolicy as TokenPolicy
from dfl.rl.segment.processes import Processes as Processes
from dfl.rl.segment.replay import EdgeReplay as EdgeReplay
from dfl.rl.segment.rollouts import SegmentRollouts as SegmentRollouts
from dfl.rl.segment.tabular import TabularLanguageModel as TabularLanguageModel
from dfl.rl.segment.tree import Forest as Forest
from dfl.rl.segment.tree import TreeAdvantages as TreeAdvantages
from dfl.rl.segment.tree import tree_rollout as tree_rollout
from dfl.rl.segment.values import mc_values as mc_values

__all__ = [
    "AdvantageEstimator",
    "ChainAdvantages",
    "Collected",
    "Completions",
    "Drawing",
    "EdgeReplay",
    "Example",
    "Forest",
    "GroupAdvantages",
    "Processes",
    "SegmentPolicyOptimizer",
    "SegmentRollouts",
    "TabularLanguageModel",
    "TokenBatch",
    "TokenPolicy",
    "TreeAdvantages",
    "chain_advantages",
    "depth_weights",
    "mc_values",
    "pack",
    "partition_cutpoints",
    "partition_fixed",
    "policy_loss",
    "tree_advantages",
    "tree_rollout",
    "tree_values",
]
