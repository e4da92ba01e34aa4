"""Decisions for what happened to similar instances of the past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk.decision import RiskDecision
from dfl.risk.forest_weights import ForestWeights
from dfl.risk.tail import check_probability, summarize
from dfl.risk.weights import AbstractWeights
from dfl_solvers.oracle import Array, Oracle, minimizing

# numbers held at once
_BLOCK = 4_000_000


@final
class WeightedSampleAverage(BaseEstimator):
    r"""Minimize the weighted average of objectives over instances of the past.

    Use it where the objective is not linear in what is uncertain, so that a forecast of one number
    is not enough: a newsvendor who orders the expected demand ignores that being short costs more
    than having some left. No model of the uncertainty is needed beside the weights.

    Parameters
    ----------
    oracle : Oracle
        The problem that the costs feed.
    weights : AbstractWeights, optional
        How similar instances are; copied. Default: ``ForestWeights()``.
    uncertain : str, default="costs"
        What happens: the oracle's costs, or the name of its instance data, such as ``"demand"`` of
        ``Newsvendor``, in scenarios with a ``"likelihood"``.
    confidence : float, default=0.9
        Share of the weighted outcomes within ``low`` and ``high``, which cut off as much on either
        side.

    Attributes
    ----------
    weights_ : AbstractWeights
        Fitted.
    outcomes_ : ndarray of shape (n, d)
        What happened.

    Raises
    ------
    UnsupportedError
        By ``fit``, if the oracle takes no scenarios of what is uncertain.

    See Also
    --------
    CVaR : With ``weights``, the worst of the weighted outcomes instead of their average.

    Notes
    -----
    :math:`\min_{w \in S} \sum_i w_i(x) F(w, y_i)` for new features x. If costs are uncertain, that
    is the oracle's answer to their weighted mean; for a newsvendor without capacity, the weighted
    critical quantile of each item.

    References
    ----------
    D. Bertsimas, N. Kallus. From Predictive to Prescriptive Analytics. Management Science 66
    (2020). arXiv:1402.5481

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.risk import NeighborWeights, WeightedSampleAverage
    >>> from dfl_solvers import Newsvendor
    >>> oracle = Newsvendor([[0.0]], shortage=9.0, holding=1.0)
    >>> x, demand = np.arange(20.0)[:, None], np.tile([1.0, 2.0, 3.0, 10.0], 5)[:, None]
    >>> model = WeightedSampleAverage(oracle, NeighborWeights(8), "demand").fit(x, demand)
    >>> found = model.decide([[9.0]], costs=[0.0])
    >>> found.decisions, found.expected  # the 90 % quantile
    (array([[10.]]), array([6.]))
    """

    def __init__(
        self,
        oracle: Oracle,
        weights: AbstractWeights | None = None,
        uncertain: str = "costs",
        *,
        confidence: float = 0.9,
    ) -> None:
        self.oracle = oracle
        self.weights = weights
        self.uncertain = uncertain
        self.confidence = confidence

    def fit(self, X: Any, y: Any) -> Self:
        """Remember what happened.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, d)
            Costs (values, for a maximizing oracle), or what else is uncertain.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        InvalidInputError
            If the confidence is out of its range, lengths differ, or y has another width than the
            oracle's costs.
        UnsupportedError
            If the oracle takes no scenarios of what is uncertain.
        """
        check_probability("confidence", self.confidence)
        inner, _ = minimizing(self.oracle)
        fields: frozenset[str] = getattr(inner, "instance_fields", frozenset())
        if self.uncertain != "costs" and not {self.uncertain, "likelihood"} <= set(fields):
            raise UnsupportedError(
                f"{type(inner).__name__} takes no scenarios of {self.uncertain!r}: expected an "
                "oracle whose instance data hold them and their 'likelihood', such as Newsvendor"
            )
        outcomes = np.asarray(y, dtype=float)
        if outcomes.ndim != 2 or self.oracle.n_costs not in (None, outcomes.shape[1]):
            raise InvalidInputError(
                f"WeightedSampleAverage: got y of shape {outcomes.shape}, expected "
                f"(n, {self.oracle.n_costs or 'd'})"
            )
        self.weights_ = (self.weights or ForestWeights()).copy().fit(X, outcomes)
        self.outcomes_ = outcomes
        return self

    def decide(
        self, X: Any, *, costs: Any = None, instance: Mapping[str, Array] | None = None
    ) -> RiskDecision:
        """Decide for new features.

        Parameters
        ----------
        X : array-like of shape (m, p)
            Features of the instances to decide.
        costs : array-like of shape (d,) or (m, d), optional
            Known costs, where something else is uncertain.
        instance : mapping of str to ndarray, optional
            Per-instance data of the oracle, each array with leading m.

        Returns
        -------
        RiskDecision
            Whose ``objective`` is the weighted average, as is ``expected``; the interval is that of
            the weighted outcomes.

        Raises
        ------
        NotFittedError
            If it was not fitted.
        InvalidInputError
            If known costs are missing, or given where they are uncertain.
        """
        check_is_fitted(self)
        if (costs is None) != (self.uncertain == "costs"):
            raise InvalidInputError(
                f"WeightedSampleAverage: got costs={costs!r} where {self.uncertain} are uncertain, "
                "expected known costs if and only if something else is"
            )
        weights = self.weights_.weights(X)
        m, d = len(weights), self.outcomes_.shape[1]
        known = None if costs is None else np.broadcast_to(np.asarray(costs, dtype=float), (m, d))
        step = max(1, _BLOCK // self.outcomes_.size)
        parts = []
        for lo in range(0, m, step):
            rows = slice(lo, lo + step)
            own = {name: np.asarray(value)[rows] for name, value in (instance or {}).items()}
            parts.append(self._block(weights[rows], None if known is None else known[rows], own))
        decisions, outcomes = (np.concatenate(part) for part in zip(*parts, strict=True))
        sign = minimizing(self.oracle)[1]
        found = summarize(decisions, sign * outcomes, weights, 0.0, self.confidence)
        if sign == 1:
            return found
        return RiskDecision(decisions, -found.expected, -found.high, -found.low, -found.objective)

    def _block(
        self, weights: Array, known: Array | None, instance: Mapping[str, Array]
    ) -> tuple[Array, Array]:
        """Return decisions (m, d), and their objectives (m, n) for all outcomes."""
        m, (n, d) = len(weights), self.outcomes_.shape
        every = np.broadcast_to(self.outcomes_, (m, n, d))
        repeated = {name: np.repeat(value, n, axis=0) for name, value in instance.items()}
        if known is None:
            decisions = self.oracle.solve(weights @ self.outcomes_, instance).decisions
            costs = every.reshape(-1, d)
        else:
            scenarios = {**instance, self.uncertain: every, "likelihood": weights}
            decisions = self.oracle.solve(known, scenarios).decisions
            costs = np.repeat(known, n, axis=0)
            repeated[self.uncertain] = every.reshape(-1, 1, d)
        objectives = self.oracle.evaluate(costs, np.repeat(decisions, n, axis=0), repeated)
        return decisions, objectives.reshape(m, n)
