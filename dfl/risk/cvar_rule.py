"""Decisions for the mean of the worst outcomes over scenarios."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk._data import Data
from dfl.risk.conformal import own_part
from dfl.risk.decision import RiskDecision
from dfl.risk.rule import AbstractRule
from dfl.risk.tail import check_alpha, check_probability, summarize
from dfl.risk.weights import AbstractWeights
from dfl_solvers._worst_case import minimize_worst, tail
from dfl_solvers.oracle import Array


@final
class CVaR(AbstractRule):
    r"""Decide for the mean of the worst outcomes instead of that of all.

    Use it where bad days hurt more than good days please. Outcomes are scenarios: the predicted
    costs plus the errors that were made on held-out instances; or, with ``weights``, costs of the
    past, weighted by how similar their features are (sample average approximation).

    Parameters
    ----------
    alpha : float, default=0.9
        The worst ``1 - alpha`` of the outcomes count; 0 takes them all, hence their mean.
    weights : AbstractWeights, optional
        ``NeighborWeights``, ``KernelWeights`` or ``ForestWeights``, which are copied. Default: the
        estimator's errors as scenarios.
    confidence : float, default=0.9
        Share of the outcomes within ``low`` and ``high``, which cut off as many on either side.
    n_scenarios : int, default=500
        Largest number of scenarios, drawn at random from those held out.
    calibration_fraction : float, default=0.4
        Share of the instances that ``fit`` holds out for scenarios.
    random_state : int, Generator, RandomState or None
        Divides the instances and draws the scenarios.

    Attributes
    ----------
    scenarios_ : ndarray of shape (K, d)
        Errors, or costs, of held-out instances, to be minimized.
    estimator_ : BaseDecisionRegressor
        The estimator that this was calibrated for.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        When deciding, if the oracle has no matrix form and its feasible set is not known to be
        convex; for long data with padding, or with ``weights``.

    See Also
    --------
    CVaRLoss : Trains a predictor for the worst of its losses.

    Notes
    -----
    With scenarios :math:`\xi_k` of probability :math:`p_k`,

    .. math::

        \min_{w \in S, \, t} \; t + \frac{1}{1 - \alpha} \sum_k p_k (\xi_k^\top w - t)_+ .

    With ``program()`` this is a linear program, or a mixed-integer one. For ``Ball``,
    ``Ellipsoid``, ``EntropyBall``, ``LogBarrierSimplex`` and ``Portfolio``, decisions of the oracle
    are mixed by a linear program until no other one is better.

    References
    ----------
    R. T. Rockafellar, S. Uryasev. Optimization of conditional value-at-risk. Journal of Risk 2
    (2000). doi:10.21314/JOR.2000.038

    D. Bertsimas, N. Kallus. From Predictive to Prescriptive Analytics. Management Science 66
    (2020). arXiv:1402.5481

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.risk import CVaR
    >>> data = make_shortest_path(210, noise=0.5, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:100], data.C[:100])
    >>> careful, neutral = (
    ...     CVaR(alpha).calibrate(model, data.X[100:200], data.C[100:200]) for alpha in (0.9, 0.0)
    ... )
    >>> bad = model.decide(data.X[200:], risk=careful)
    >>> bool((bad.objective > bad.expected).all())
    True
    >>> bool((bad.expected >= model.decide(data.X[200:], risk=neutral).expected - 1e-9).all())
    True
    """

    def __init__(
        self,
        alpha: float = 0.9,
        weights: AbstractWeights | None = None,
        *,
        confidence: float = 0.9,
        n_scenarios: int = 500,
        calibration_fraction: float = 0.4,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.weights = weights
        self.confidence = confidence
        self.n_scenarios = n_scenarios
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        check_alpha("CVaR", self.alpha)
        check_probability("confidence", self.confidence)
        if self.n_scenarios < 1:
            raise InvalidInputError(
                f"CVaR: got n_scenarios={self.n_scenarios!r}, expected a positive number"
            )
        data.refuse_padding("CVaR")
        if self.weights is not None and data.layout is not None:
            raise UnsupportedError(
                "CVaR: weights need a row of features an instance; got long data"
            )
        if data.n > self.n_scenarios:
            data = data.take(np.sort(rng.choice(data.n, self.n_scenarios, replace=False)))
        costs = data.costs()
        self._fitted = None
        if self.weights is not None:
            self._fitted = self.weights.copy().fit(data.X, costs)
        self.scenarios_ = costs - data.predicted() if self._fitted is None else costs

    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        data.refuse_padding("CVaR")
        n, K = len(predicted), len(self.scenarios_)
        if self._fitted is None:
            weights = np.full((n, K), 1 / K)
            scenarios = predicted[:, None] + self.scenarios_
        else:
            weights = self._fitted.weights(data.X)
            scenarios = np.broadcast_to(self.scenarios_, (n, *self.scenarios_.shape))
        if self.alpha == 0:
            means = np.einsum("nk,nkd->nd", weights, scenarios)
            decisions = data.oracle.solve(means, data.oracle_instance).decisions
        else:
            sets = [
                tail(own[p > 0], p[p > 0], self.alpha)
                for own, p in zip(scenarios, weights, strict=True)
            ]
            decisions = minimize_worst(data.oracle, sets, data.oracle_instance)
        outcomes = np.einsum("nkd,nd->nk", scenarios, decisions)
        outcomes += own_part(data, decisions)[:, None]
        return summarize(decisions, outcomes, weights, self.alpha, self.confidence)
