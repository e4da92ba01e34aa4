"""Regret in every published definition, and paired statistics on it."""

from dfl.metrics.post_hoc import post_hoc_regret as post_hoc_regret
from dfl.metrics.ranks import RankComparison as RankComparison
from dfl.metrics.ranks import closable_regret as closable_regret
from dfl.metrics.ranks import compare_ranks as compare_ranks
from dfl.metrics.regret import decision_regret as decision_regret
from dfl.metrics.regret import normalize as normalize
from dfl.metrics.regret import optimal_objectives as optimal_objectives
from dfl.metrics.regret import regret as regret
from dfl.metrics.runs import interquartile_mean as interquartile_mean
from dfl.metrics.runs import probability_of_improvement as probability_of_improvement
from dfl.metrics.statistics import Interval as Interval
from dfl.metrics.statistics import PairedComparison as PairedComparison
from dfl.metrics.statistics import mean_interval as mean_interval
from dfl.metrics.statistics import paired_bootstrap as paired_bootstrap
from dfl.metrics.unambiguous import normalized_regret as normalized_regret
from dfl.metrics.unambiguous import unambiguous_regret as unambiguous_regret

__all__ = [
    "Interval",
    "PairedComparison",
    "RankComparison",
    "closable_regret",
    "compare_ranks",
    "decision_regret",
    "interquartile_mean",
    "mean_interval",
    "normalize",
    "normalized_regret",
    "optimal_objectives",
    "paired_bootstrap",
    "post_hoc_regret",
    "probability_of_improvement",
    "regret",
    "unambiguous_regret",
]
