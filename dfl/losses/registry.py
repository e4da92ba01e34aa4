"""Losses by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from dfl.exceptions import InvalidInputError
from dfl.losses.absolute import AbsoluteLoss
from dfl.losses.adaptive_imle import AdaptiveIMLELoss
from dfl.losses.adjacent_vertex import AdjacentVertexLoss
from dfl.losses.barrier_regret import BarrierRegretLoss
from dfl.losses.base import AbstractLoss
from dfl.losses.black_box import BlackBoxLoss
from dfl.losses.cone_aligned import ConeAlignedLoss
from dfl.losses.contrastive_map import ContrastiveMAPLoss
from dfl.losses.cosine import CosineLoss
from dfl.losses.huber import HuberLoss
from dfl.losses.identity import IdentityLoss
from dfl.losses.imitation import ImitationLoss
from dfl.losses.imle import IMLELoss
from dfl.losses.learned_landscape import LearnedLandscapeLoss
from dfl.losses.locally_optimized import LocallyOptimizedLoss
from dfl.losses.noise_contrastive import NoiseContrastiveLoss
from dfl.losses.optimality_margin import OptimalityMarginLoss
from dfl.losses.permutahedron_regret import PermutahedronRegretLoss
from dfl.losses.perturbation_gradient import PerturbationGradientLoss
from dfl.losses.perturbed_fenchel_young import PerturbedFenchelYoungLoss
from dfl.losses.perturbed_regret import PerturbedRegretLoss
from dfl.losses.preference import PreferenceLoss
from dfl.losses.quadratic_regret import QuadraticRegretLoss
from dfl.losses.ranking_listwise import ListwiseRankingLoss
from dfl.losses.ranking_pairwise import PairwiseRankingLoss
from dfl.losses.ranking_pointwise import PointwiseRankingLoss
from dfl.losses.regularized_fenchel_young import RegularizedFenchelYoungLoss
from dfl.losses.relaxed_spo_plus import RelaxedSPOPlusLoss
from dfl.losses.score_function import ScoreFunctionLoss
from dfl.losses.smooth_regret import SmoothRegretLoss
from dfl.losses.smoothed_spo_plus import SmoothedSPOPlusLoss
from dfl.losses.soft_rank import SoftRankLoss
from dfl.losses.spo_plus import SPOPlusLoss
from dfl.losses.squared import SquaredLoss
from dfl.losses.structured_svm import StructuredSVMLoss
from dfl.losses.weighted_direction import WeightedDirectionLoss
from dfl.losses.weighted_likelihood import WeightedLikelihoodLoss
from dfl_solvers.oracle import Oracle

LOSSES: dict[str, type[AbstractLoss]] = {
    "absolute": AbsoluteLoss,
    "adaptive-imle": AdaptiveIMLELoss,
    "adjacent-vertex": AdjacentVertexLoss,
    "black-box": BlackBoxLoss,
    "cave": ConeAlignedLoss,
    "contrastive-map": ContrastiveMAPLoss,
    "cosine": CosineLoss,
    "huber": HuberLoss,
    "identity": IdentityLoss,
    "imitation": ImitationLoss,
    "imle": IMLELoss,
    "intopt": BarrierRegretLoss,
    "lancer": LearnedLandscapeLoss,
    "lodl": LocallyOptimizedLoss,
    "nce": NoiseContrastiveLoss,
    "optimality-margin": OptimalityMarginLoss,
    "permutahedron": PermutahedronRegretLoss,
    "perturbation-gradient": PerturbationGradientLoss,
    "perturbed-fenchel-young": PerturbedFenchelYoungLoss,
    "perturbed-regret": PerturbedRegretLoss,
    "preference": PreferenceLoss,
    "qptl": QuadraticRegretLoss,
    "ranking-listwise": ListwiseRankingLoss,
    "ranking-pairwise": PairwiseRankingLoss,
    "ranking-pointwise": PointwiseRankingLoss,
    "regularized-fenchel-young": RegularizedFenchelYoungLoss,
    "relaxed-spo+": RelaxedSPOPlusLoss,
    "score-function": ScoreFunctionLoss,
    "smooth-regret": SmoothRegretLoss,
    "smoothed-spo+": SmoothedSPOPlusLoss,
    "soft-rank": SoftRankLoss,
    "spo+": SPOPlusLoss,
    "squared": SquaredLoss,
    "structured-svm": StructuredSVMLoss,
    "weighted-direction": WeightedDirectionLoss,
    "weighted-likelihood": WeightedLikelihoodLoss,
}


def available() -> tuple[str, ...]:
    """Return the names that ``make_loss`` knows.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> from dfl.losses import available
    >>> "spo+" in available()
    True
    """
    return tuple(sorted(LOSSES))


def imitating() -> tuple[str, ...]:
    """Return the names of the losses that learn from good decisions alone, without their costs.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> from dfl.losses import imitating
    >>> "contrastive-map" in imitating(), "spo+" in imitating()
    (True, False)
    """
    return tuple(
        name
        for name in available()
        if "decisions" in LOSSES[name].requires
        and not LOSSES[name].requires & {"costs", "objectives"}
    )


def make_loss(
    name: str, oracle: Oracle | None, parameters: Mapping[str, Any] | None = None
) -> AbstractLoss:
    """Make a loss by its name, so that a string selects the method.

    Parameters
    ----------
    name : str
        One of ``available()``.
    oracle : Oracle or None
        The oracle the loss holds; None for the losses of policies, which hold none.
    parameters : mapping, optional
        The loss's own parameters, such as ``{"sigma": 0.5}``.

    Returns
    -------
    AbstractLoss
        A module to call as ``loss(output, target)``.

    Raises
    ------
    InvalidInputError
        If the name or a parameter is unknown; near matches are named.
    UnsupportedError
        If loss and oracle do not go together.

    Examples
    --------
    >>> from dfl import make_loss
    >>> from dfl_solvers import Box
    >>> make_loss("spo", Box())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dfl_solvers.exceptions.InvalidInputError: got loss 'spo', expected one of: ...; did you mean \
'spo+'?
    """
    if name not in LOSSES:
        spelled = str(name).lower().replace("_", "-").replace("plus", "+")
        near = difflib.get_close_matches(spelled, LOSSES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(
            f"got loss {name!r}, expected one of: {', '.join(available())}{hint}"
        )
    leaf = LOSSES[name]
    known = [key for key in inspect.signature(leaf).parameters if key != "oracle"]
    for key in parameters or {}:
        if key not in known:
            raise InvalidInputError(
                f"loss {name!r}: got parameter {key!r}, "
                f"expected one of: {', '.join(known) or 'none, it has no parameters'}"
            )
    return leaf(oracle, **dict(parameters or {}))
