"""Surrogates of regret, behind one signature: ``loss(output, target)``."""

from dfl.losses.absolute import AbsoluteLoss as AbsoluteLoss
from dfl.losses.adaptive_imle import AdaptiveIMLELoss as AdaptiveIMLELoss
from dfl.losses.adjacent_vertex import AdjacentVertexLoss as AdjacentVertexLoss
from dfl.losses.adversarial import AdversarialLoss as AdversarialLoss
from dfl.losses.barrier_regret import BarrierRegretLoss as BarrierRegretLoss
from dfl.losses.base import AbstractLoss as AbstractLoss
from dfl.losses.black_box import BlackBoxLoss as BlackBoxLoss
from dfl.losses.cone_aligned import ConeAlignedLoss as ConeAlignedLoss
from dfl.losses.contrastive_map import ContrastiveMAPLoss as ContrastiveMAPLoss
from dfl.losses.cosine import CosineLoss as CosineLoss
from dfl.losses.huber import HuberLoss as HuberLoss
from dfl.losses.identity import IdentityLoss as IdentityLoss
from dfl.losses.imitation import ImitationLoss as ImitationLoss
from dfl.losses.imle import IMLELoss as IMLELoss
from dfl.losses.learned_landscape import LearnedLandscapeLoss as LearnedLandscapeLoss
from dfl.losses.locally_optimized import LocallyOptimizedLoss as LocallyOptimizedLoss
from dfl.losses.neighbors import mix_with_neighbors as mix_with_neighbors
from dfl.losses.noise_contrastive import NoiseContrastiveLoss as NoiseContrastiveLoss
from dfl.losses.optimality_margin import OptimalityMarginLoss as OptimalityMarginLoss
from dfl.losses.permutahedron_regret import PermutahedronRegretLoss as PermutahedronRegretLoss
from dfl.losses.perturbation_gradient import PerturbationGradientLoss as PerturbationGradientLoss
from dfl.losses.perturbed_fenchel_young import (
    PerturbedFenchelYoungLoss as PerturbedFenchelYoungLoss,
)
from dfl.losses.perturbed_regret import PerturbedRegretLoss as PerturbedRegretLoss
from dfl.losses.pool import AbstractPoolLoss as AbstractPoolLoss
from dfl.losses.post_hoc_regret import PostHocRegretLoss as PostHocRegretLoss
from dfl.losses.preference import PreferenceLoss as PreferenceLoss
from dfl.losses.quadratic_regret import QuadraticRegretLoss as QuadraticRegretLoss
from dfl.losses.ranking_listwise import ListwiseRankingLoss as ListwiseRankingLoss
from dfl.losses.ranking_pairwise import PairwiseRankingLoss as PairwiseRankingLoss
from dfl.losses.ranking_pointwise import PointwiseRankingLoss as PointwiseRankingLoss
from dfl.losses.registry import available as available
from dfl.losses.registry import imitating as imitating
from dfl.losses.registry import make_loss as make_loss
from dfl.losses.regularized_fenchel_young import (
    RegularizedFenchelYoungLoss as RegularizedFenchelYoungLoss,
)
from dfl.losses.relaxed_spo_plus import RelaxedSPOPlusLoss as RelaxedSPOPlusLoss
from dfl.losses.score_function import ScoreFunctionLoss as ScoreFunctionLoss
from dfl.losses.smooth_regret import SmoothRegretLoss as SmoothRegretLoss
from dfl.losses.smoothed_spo_plus import SmoothedSPOPlusLoss as SmoothedSPOPlusLoss
from dfl.losses.soft_rank import SoftRankLoss as SoftRankLoss
from dfl.losses.spo_plus import SPOPlusLoss as SPOPlusLoss
from dfl.losses.squared import SquaredLoss as SquaredLoss
from dfl.losses.structured_svm import StructuredSVMLoss as StructuredSVMLoss
from dfl.losses.target import Target as Target
from dfl.losses.weighted_direction import WeightedDirectionLoss as WeightedDirectionLoss
from dfl.losses.weighted_likelihood import WeightedLikelihoodLoss as WeightedLikelihoodLoss
from dfl.losses.weighted_sum import WeightedSumLoss as WeightedSumLoss

__all__ = [
    "AbsoluteLoss",
    "AbstractLoss",
    "AbstractPoolLoss",
    "AdaptiveIMLELoss",
    "AdjacentVertexLoss",
    "AdversarialLoss",
    "BarrierRegretLoss",
    "BlackBoxLoss",
    "ConeAlignedLoss",
    "ContrastiveMAPLoss",
    "CosineLoss",
    "HuberLoss",
    "IMLELoss",
    "IdentityLoss",
    "ImitationLoss",
    "LearnedLandscapeLoss",
    "ListwiseRankingLoss",
    "LocallyOptimizedLoss",
    "NoiseContrastiveLoss",
    "OptimalityMarginLoss",
    "PairwiseRankingLoss",
    "PermutahedronRegretLoss",
    "PerturbationGradientLoss",
    "PerturbedFenchelYoungLoss",
    "PerturbedRegretLoss",
    "PointwiseRankingLoss",
    "PostHocRegretLoss",
    "PreferenceLoss",
    "QuadraticRegretLoss",
    "RegularizedFenchelYoungLoss",
    "RelaxedSPOPlusLoss",
    "SPOPlusLoss",
    "ScoreFunctionLoss",
    "SmoothRegretLoss",
    "SmoothedSPOPlusLoss",
    "SoftRankLoss",
    "SquaredLoss",
    "StructuredSVMLoss",
    "Target",
    "WeightedDirectionLoss",
    "WeightedLikelihoodLoss",
    "WeightedSumLoss",
    "available",
    "imitating",
    "make_loss",
    "mix_with_neighbors",
]
