"""Sequential Monte Carlo search in a model, and policies that learn from it."""

from dfl.rl.advantages import generalized_advantages as generalized_advantages
from dfl.rl.smc.exact import expectation_step as expectation_step
from dfl.rl.smc.exact import maximization_step as maximization_step
from dfl.rl.smc.exact import search_limit as search_limit
from dfl.rl.smc.learner import Learner as Learner
from dfl.rl.smc.learner import Steps as Steps
from dfl.rl.smc.network import PolicyValueNetwork as PolicyValueNetwork
from dfl.rl.smc.network import uniform_network as uniform_network
from dfl.rl.smc.optimizer import SMCPolicyOptimizer as SMCPolicyOptimizer
from dfl.rl.smc.resampling import effective_sample_size as effective_sample_size
from dfl.rl.smc.resampling import multinomial as multinomial
from dfl.rl.smc.resampling import systematic as systematic
from dfl.rl.smc.rollouts import SMCRollouts as SMCRollouts
from dfl.rl.smc.search import SearchResult as SearchResult
from dfl.rl.smc.search import smc_search as smc_search
from dfl.rl.smc.temperature import softmax_temperature as softmax_temperature

__all__ = [
    "Learner",
    "PolicyValueNetwork",
    "SMCPolicyOptimizer",
    "SMCRollouts",
    "SearchResult",
    "Steps",
    "effective_sample_size",
    "expectation_step",
    "generalized_advantages",
    "maximization_step",
    "multinomial",
    "search_limit",
    "smc_search",
    "softmax_temperature",
    "systematic",
    "uniform_network",
]
