"""Pictures of results: regret with intervals, learning curves, decisions, calibration, designs."""

from dfl.plotting.calibration import CalibrationDisplay as CalibrationDisplay
from dfl.plotting.cost_interval import CostIntervalDisplay as CostIntervalDisplay
from dfl.plotting.critical_difference import (
    CriticalDifferenceDisplay as CriticalDifferenceDisplay,
)
from dfl.plotting.decision import DecisionDisplay as DecisionDisplay
from dfl.plotting.label_curve import LabelCurveDisplay as LabelCurveDisplay
from dfl.plotting.leaderboard import LeaderboardDisplay as LeaderboardDisplay
from dfl.plotting.learning_curve import LearningCurveDisplay as LearningCurveDisplay
from dfl.plotting.regret import RegretDisplay as RegretDisplay
from dfl.plotting.survivors import SurvivorsDisplay as SurvivorsDisplay
from dfl.plotting.tail import TailDisplay as TailDisplay
from dfl.plotting.training_time import TrainingTimeDisplay as TrainingTimeDisplay
from dfl.plotting.tree import TreeDisplay as TreeDisplay
from dfl.plotting.uncertainty_map import UncertaintyMapDisplay as UncertaintyMapDisplay

__all__ = [
    "CalibrationDisplay",
    "CostIntervalDisplay",
    "CriticalDifferenceDisplay",
    "DecisionDisplay",
    "LabelCurveDisplay",
    "LeaderboardDisplay",
    "LearningCurveDisplay",
    "RegretDisplay",
    "SurvivorsDisplay",
    "TailDisplay",
    "TrainingTimeDisplay",
    "TreeDisplay",
    "UncertaintyMapDisplay",
]
