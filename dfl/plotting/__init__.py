"""Pictures of results: regret with intervals, learning curves, decisions."""

from dfl.plotting.decision import DecisionDisplay as DecisionDisplay
from dfl.plotting.learning_curve import LearningCurveDisplay as LearningCurveDisplay
from dfl.plotting.regret import RegretDisplay as RegretDisplay

__all__ = ["DecisionDisplay", "LearningCurveDisplay", "RegretDisplay"]
