"""What there is: the problems and methods that a configuration may name, each by its tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import Field

from dfl_experiments.base import AbstractModel
from dfl_experiments.design.methods import Elimination, Linear, Reference
from dfl_experiments.design.worlds import (
    LinearCosts,
    LLMAllocation,
    LLMRouting,
    Misspecified,
    ScaleDecoys,
    TabularBall,
)
from dfl_experiments.methods import (
    Auto,
    ConstraintFocused,
    DecisionFocused,
    EqualWeight,
    HeldOutLasso,
    PublishedTraining,
    Single,
    TwoStage,
    TwoStageConstraints,
)
from dfl_experiments.policies.preference import (
    DDPO,
    BestOfN,
    DiffusionDPO,
    DigitStudy,
    GaussianStudy,
    Guidance,
    RingStudy,
    Stepwise,
    Untuned,
)
from dfl_experiments.policies.robust_control import PeerPPO, Robust, RobustControlStudy
from dfl_experiments.policies.robust_exact import ExactRobust, IntrinsicStudy, StickyStudy
from dfl_experiments.policies.robust_features import FeatureNoiseStudy, FeatureNoiseTraining
from dfl_experiments.policies.segment import (
    Credit,
    Segment,
    SegmentArithmeticStudy,
    SegmentCreditStudy,
)
from dfl_experiments.policies.simulators import (
    MPO,
    PPO,
    SMC,
    VMPO,
    CubeStudy,
    Imitation,
    PendulumStudy,
    SequentialKnapsackStudy,
    Shooting,
    SokobanStudy,
    UniformSearch,
)
from dfl_experiments.problems import (
    CoraMatchingProblem,
    CubicTopKProblem,
    EnergyProblem,
    EntropyPortfolioProblem,
    KnapsackProblem,
    KnapsackWeightsProblem,
    OrdinalClassesProblem,
    OrdinalDigitsProblem,
    PerfectMatchingProblem,
    PortfolioProblem,
    PortfolioSP500Problem,
    PriceKnapsackProblem,
    ShortestPathProblem,
    ShuffledEnergyProblem,
    SpanningTreeProblem,
    SPOPortfolioProblem,
    SPOShortestPathProblem,
    StaffingProblem,
    SyntheticGridProblem,
    TerrainProblem,
    TravelingSalesmanProblem,
)

Problem = Annotated[
    ShortestPathProblem
    | KnapsackProblem
    | PortfolioProblem
    | PortfolioSP500Problem
    | EnergyProblem
    | EntropyPortfolioProblem
    | OrdinalClassesProblem
    | OrdinalDigitsProblem
    | SpanningTreeProblem
    | PerfectMatchingProblem
    | SyntheticGridProblem
    | TerrainProblem
    | TravelingSalesmanProblem
    | PriceKnapsackProblem
    | ShuffledEnergyProblem
    | CoraMatchingProblem
    | CubicTopKProblem
    | SPOShortestPathProblem
    | SPOPortfolioProblem
    | KnapsackWeightsProblem
    | StaffingProblem,
    Field(discriminator="kind"),
]
Method = Annotated[
    TwoStage
    | DecisionFocused
    | Auto
    | Single
    | EqualWeight
    | PublishedTraining
    | HeldOutLasso
    | TwoStageConstraints
    | ConstraintFocused,
    Field(discriminator="estimator"),
]
DesignProblem = Annotated[
    ScaleDecoys | Misspecified | TabularBall | LinearCosts | LLMAllocation | LLMRouting,
    Field(discriminator="kind"),
]
DesignMethod = Annotated[Elimination | Linear | Reference, Field(discriminator="learner")]
PolicyProblem = Annotated[
    CubeStudy
    | SegmentArithmeticStudy
    | SegmentCreditStudy
    | PendulumStudy
    | SokobanStudy
    | SequentialKnapsackStudy
    | RobustControlStudy
    | DigitStudy
    | GaussianStudy
    | RingStudy
    | StickyStudy
    | IntrinsicStudy
    | FeatureNoiseStudy,
    Field(discriminator="kind"),
]
PolicyMethod = Annotated[
    SMC
    | Segment
    | Credit
    | PPO
    | MPO
    | VMPO
    | Shooting
    | UniformSearch
    | Imitation
    | Robust
    | PeerPPO
    | Untuned
    | Stepwise
    | DiffusionDPO
    | DDPO
    | BestOfN
    | Guidance
    | ExactRobust
    | FeatureNoiseTraining,
    Field(discriminator="algorithm"),
]


def _tagged(*unions: Any) -> dict[str, type[AbstractModel]]:
    """Return the models of unions by the values of the fields that tell them apart."""
    found = {}
    for union in unions:
        leaves, field = get_args(union)
        for leaf in get_args(leaves):
            for tag in get_args(leaf.model_fields[field.discriminator].annotation):
                found[tag] = leaf
    return found


TAGGED: Mapping[str, type[AbstractModel]] = _tagged(
    Problem, Method, DesignProblem, DesignMethod, PolicyProblem, PolicyMethod
)
"""The models by their tags: kinds of problems, estimators, learners and algorithms."""
