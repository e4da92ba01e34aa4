"""Decisions for the worst costs of a calibrated ellipsoid."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import scipy.linalg
from sklearn.base import RegressorMixin

from dfl.risk._data import Data
from dfl.risk.conformal import Spread, conformal_quantile, own_part
from dfl.risk.decision import RiskDecision
from dfl.risk.rule import AbstractRule
from dfl_solvers._worst_case import ellipsoid, minimize_worst
from dfl_solvers.oracle import Array


@final
class Shape:
    """The shape of errors: their sizes, and how they go together.

    Parameters
    ----------
    data : Data
        Instances that the estimator has not seen.
    regressor : scikit-learn regressor or None
        Of the sizes; see ``Spread``.
    """

    def __init__(self, data: Data, regressor: RegressorMixin | None) -> None:
        from sklearn.covariance import LedoitWolf  # slow to import

        self.spread = Spread(data, regressor, 0.68)
        errors = data.costs() - data.predicted()
        scaled = errors / self.spread.of(data, errors.shape)
        # shrunk, since there may be fewer instances than coordinates
        correlation = LedoitWolf(assume_centered=True).fit(scaled).covariance_
        self.factor = np.linalg.cholesky(correlation)

    def scores(self, data: Data) -> Array:
        """Return how far (n,) true costs are from predicted ones, in units of the ellipsoid."""
        errors = data.costs() - data.predicted()
        scaled = errors / self.spread.of(data, errors.shape)
        return np.linalg.norm(
            scipy.linalg.solve_triangular(self.factor, scaled.T, lower=True), axis=0
        )

    def factors(self, data: Data) -> Array:
        """Return factors (n, d, d) of the matrices of the ellipsoids."""
        return self.spread.of(data, (data.n, len(self.factor)))[:, :, None] * self.factor


def decide_in_ellipsoid(data: Data, predicted: Array, factors: Array) -> tuple[Array, Array, Array]:
    """Return decisions (n, d) for the worst costs, their expected cost and what is added to it."""
    data.refuse_padding("an ellipsoid of costs")
    sets = [ellipsoid(*pair) for pair in zip(predicted, factors, strict=True)]
    decisions = minimize_worst(data.oracle, sets, data.oracle_instance)
    expected = np.vecdot(predicted, decisions) + own_part(data, decisions)
    return decisions, expected, np.linalg.norm(np.einsum("nij,ni->nj", factors, decisions), axis=1)


@final
class ConformalEllipsoid(AbstractRule):
    r"""Predict, then calibrate: decide for the worst costs of an ellipsoid.

    As ``ConformalBox``, with errors that go together: costs are not all at their worst at once,
    and a decision that spreads over coordinates is less at risk.

    Parameters
    ----------
    alpha : float, default=0.1
        Probability that the costs are outside the ellipsoid.
    spread : scikit-learn regressor, optional
        Learns how large errors are from the features; cloned. Default: a quantile of the errors in
        each coordinate, the same for all instances.
    calibration_fraction : float, default=0.4
        Share of the instances that ``fit`` holds out. Half of them give the shape of the ellipsoid,
        the other half its size.
    random_state : int, Generator, RandomState or None
        Divides the instances.

    Attributes
    ----------
    radius_ : float
        Size of the ellipsoid.
    estimator_ : BaseDecisionRegressor
        The estimator that this was calibrated for.

    Raises
    ------
    InvalidInputError
        By ``fit`` and ``calibrate``, if there are fewer than ``1 / alpha - 1`` instances to
        calibrate with.
    UnsupportedError
        When deciding, if decisions are integers, or the feasible set is not known to be convex; for
        long data with padding.

    Notes
    -----
    With predictions :math:`\hat f`, the matrix :math:`\hat\Sigma` of the errors (their sizes times
    their shrunk correlation) and the conformal quantile :math:`\eta` of the Mahalanobis norm,

    .. math::

        \min_{w \in S} \hat f^\top w + \eta \sqrt{w^\top \hat\Sigma w} .

    An oracle with ``program()`` becomes a second-order cone program. Where the vertices of its set
    are integral, as of paths, the decision mixes several of them: read it as a probability of each.
    For the curved sets of ``Ball``, ``Ellipsoid``, ``EntropyBall``, ``LogBarrierSimplex`` and
    ``Portfolio``, decisions of the oracle for costs in the ellipsoid are mixed until none of them
    asks for a better one.

    References
    ----------
    C. Sun, L. Liu, X. Li. Predict-then-Calibrate: A New Perspective of Robust Contextual LP.
    NeurIPS 2023. arXiv:2305.15686

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.risk import ConformalBox, ConformalEllipsoid
    >>> data = make_shortest_path(420, noise=0.5, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:200], data.C[:200])
    >>> X, C = data.X[200:400], data.C[200:400]
    >>> box = ConformalBox(random_state=0).calibrate(model, X, C)
    >>> ellipsoid = ConformalEllipsoid(random_state=0).calibrate(model, X, C)
    >>> high = [model.decide(data.X[400:], risk=rule).high for rule in (box, ellipsoid)]
    >>> bool((high[1] < high[0]).all())
    True
    """

    def __init__(
        self,
        alpha: float = 0.1,
        spread: RegressorMixin | None = None,
        *,
        calibration_fraction: float = 0.4,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.spread = spread
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        data.refuse_padding("ConformalEllipsoid")
        learning, rest = data.divide(0.5, rng)
        shape = Shape(learning, self.spread)
        self.radius_ = conformal_quantile(shape.scores(rest), self.alpha)
        self._shape = shape

    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        factors = self.radius_ * self._shape.factors(data)
        decisions, expected, half = decide_in_ellipsoid(data, predicted, factors)
        return RiskDecision(decisions, expected, expected - half, expected + half, expected + half)

    def contains(self, X: Any, y: Any, *, groups: Any = None, instance: Any = None) -> Array:
        """Say whether true costs are in the ellipsoid, to measure its coverage.

        Parameters
        ----------
        X, y, groups, instance
            As in ``fit``, of other instances.

        Returns
        -------
        ndarray of shape (n,) of bool
            True where the costs of an instance are in the ellipsoid.
        """
        data = Data(self.estimator_, X, y, groups, instance)
        return self._shape.scores(data) <= self.radius_
