"""The methods a run compares."""

from dfl_experiments.methods.auto import Auto as Auto
from dfl_experiments.methods.auto import Single as Single
from dfl_experiments.methods.base import MINIMUM as MINIMUM
from dfl_experiments.methods.base import AbstractMethod as AbstractMethod
from dfl_experiments.methods.base import Judgement as Judgement
from dfl_experiments.methods.constraints import ConstraintFocused as ConstraintFocused
from dfl_experiments.methods.constraints import TwoStageConstraints as TwoStageConstraints
from dfl_experiments.methods.decision_focused import DecisionFocused as DecisionFocused
from dfl_experiments.methods.held_out_lasso import HeldOutLasso as HeldOutLasso
from dfl_experiments.methods.published_training import PublishedTraining as PublishedTraining
from dfl_experiments.methods.two_stage import TwoStage as TwoStage
from dfl_experiments.methods.unlearned import EqualWeight as EqualWeight
from dfl_experiments.methods.unlearned import ExpectedCosts as ExpectedCosts

__all__ = [
    "MINIMUM",
    "AbstractMethod",
    "Auto",
    "ConstraintFocused",
    "DecisionFocused",
    "EqualWeight",
    "ExpectedCosts",
    "HeldOutLasso",
    "Judgement",
    "PublishedTraining",
    "Single",
    "TwoStage",
    "TwoStageConstraints",
]
