"""Sequential experimental design: which row to label next, so that decisions get better."""

from dfl.design.a_optimal import AOptimal as AOptimal
from dfl.design.bayesian_linear import BayesianLinearRegression as BayesianLinearRegression
from dfl.design.bootstrap import BootstrapCommittee as BootstrapCommittee
from dfl.design.committee_variance import CommitteeVariance as CommitteeVariance
from dfl.design.cone import ConeDirectionalUncertainty as ConeDirectionalUncertainty
from dfl.design.d_optimal import DOptimal as DOptimal
from dfl.design.delta import DeltaDirectionalUncertainty as DeltaDirectionalUncertainty
from dfl.design.directional import DirectionalUncertainty as DirectionalUncertainty
from dfl.design.finite_class import FiniteHypothesisClass as FiniteHypothesisClass
from dfl.design.i_optimal import IOptimal as IOptimal
from dfl.design.integrated import IntegratedDirectionalDesign as IntegratedDirectionalDesign
from dfl.design.l2 import L2Uncertainty as L2Uncertainty
from dfl.design.lipschitz import LipschitzConstant as LipschitzConstant
from dfl.design.lipschitz import directional_lipschitz as directional_lipschitz
from dfl.design.lipschitz import lipschitz_of_class as lipschitz_of_class
from dfl.design.margin import MarginUncertainty as MarginUncertainty
from dfl.design.margin import directional_margin as directional_margin
from dfl.design.margin_stream import MarginStream as MarginStream
from dfl.design.projection import project_costs as project_costs
from dfl.design.protocols import Labels as Labels
from dfl.design.protocols import Posterior as Posterior
from dfl.design.protocols import Verdict as Verdict
from dfl.design.random_sampling import RandomSampling as RandomSampling
from dfl.design.regret_uncertainty import RegretUncertainty as RegretUncertainty
from dfl.design.resultant import ResultantUncertainty as ResultantUncertainty
from dfl.design.sequential import SequentialDesign as SequentialDesign
from dfl.design.slack import azuma_slack as azuma_slack
from dfl.design.slack import convergence_bound as convergence_bound
from dfl.design.slack import mixture_slack as mixture_slack
from dfl.design.stop_consensus import DecisionConsensus as DecisionConsensus
from dfl.design.stop_margin import DirectionsWithinMargin as DirectionsWithinMargin
from dfl.design.stop_slack import SlackBelow as SlackBelow
from dfl.design.stop_uncertainty import MeanUncertaintyBelow as MeanUncertaintyBelow

__all__ = [
    "AOptimal",
    "BayesianLinearRegression",
    "BootstrapCommittee",
    "CommitteeVariance",
    "ConeDirectionalUncertainty",
    "DOptimal",
    "DecisionConsensus",
    "DeltaDirectionalUncertainty",
    "DirectionalUncertainty",
    "DirectionsWithinMargin",
    "FiniteHypothesisClass",
    "IOptimal",
    "IntegratedDirectionalDesign",
    "L2Uncertainty",
    "Labels",
    "LipschitzConstant",
    "MarginStream",
    "MarginUncertainty",
    "MeanUncertaintyBelow",
    "Posterior",
    "RandomSampling",
    "RegretUncertainty",
    "ResultantUncertainty",
    "SequentialDesign",
    "SlackBelow",
    "Verdict",
    "azuma_slack",
    "convergence_bound",
    "directional_lipschitz",
    "directional_margin",
    "lipschitz_of_class",
    "mixture_slack",
    "project_costs",
]
