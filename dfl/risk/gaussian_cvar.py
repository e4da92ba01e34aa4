"""Decisions for the mean of the worst outcomes of normally distributed costs."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from scipy.special import ndtri

from dfl.risk._data import Data
from dfl.risk.conformal_ellipsoid import Shape, decide_in_ellipsoid
from dfl.risk.decision import RiskDecision
from dfl.risk.rule import AbstractRule
from dfl.risk.tail import check_alpha, check_probability, gaussian_cvar_factor
from dfl_solvers.oracle import Array


@final
class GaussianCVaR(AbstractRule):
    r"""Decide for the CVaR of normally distributed costs, in closed form.

    Predicted costs are their means, and the errors on held-out instances their covariance. Faster
    than ``CVaR`` and steadier with few instances, but blind to skewness and heavy tails.

    Parameters
    ----------
    alpha : float, default=0.9
        The worst ``1 - alpha`` of the outcomes count.
    confidence : float, default=0.9
        Probability of a cost within ``low`` and ``high``, if costs are normal.
    calibration_fraction : float, default=0.4
        Share of the instances that ``fit`` holds out for the covariance.
    random_state : int, Generator, RandomState or None
        Divides the instances.

    Attributes
    ----------
    covariance_ : ndarray of shape (d, d)
        Of the errors, shrunk.
    estimator_ : BaseDecisionRegressor
        The estimator that this was calibrated for.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        As for ``ConformalEllipsoid``, which solves the same problem with another radius.

    Notes
    -----
    :math:`\min_{w \in S} \mu^\top w + \kappa_\alpha \sqrt{w^\top \Sigma w}`, with
    ``gaussian_cvar_factor``.

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.risk import GaussianCVaR
    >>> data = make_shortest_path(210, noise=0.5, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:100], data.C[:100])
    >>> risk = GaussianCVaR(0.9).calibrate(model, data.X[100:200], data.C[100:200])
    >>> found = model.decide(data.X[200:], risk=risk)
    >>> bool((found.objective > found.expected).all())
    True
    """

    def __init__(
        self,
        alpha: float = 0.9,
        *,
        confidence: float = 0.9,
        calibration_fraction: float = 0.4,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.confidence = confidence
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        del rng
        check_alpha("GaussianCVaR", self.alpha)
        check_probability("confidence", self.confidence)
        data.refuse_padding("GaussianCVaR")
        shape = Shape(data, None)
        self._factor = shape.factors(data)[0]
        self.covariance_ = self._factor @ self._factor.T

    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        factor = gaussian_cvar_factor(self.alpha)
        factors = np.broadcast_to(factor * self._factor, (len(predicted), *self._factor.shape))
        decisions, expected, more = decide_in_ellipsoid(data, predicted, factors)
        half = ndtri(0.5 + self.confidence / 2) * np.linalg.norm(decisions @ self._factor, axis=1)
        return RiskDecision(decisions, expected, expected - half, expected + half, expected + more)
