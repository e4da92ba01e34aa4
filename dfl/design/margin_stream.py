"""Margin-based active learning on a stream of rows."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
import numpy.typing as npt

from dfl.design._scoring import check_pool
from dfl.design.protocols import Labels
from dfl.exceptions import InvalidInputError
from dfl_solvers.degeneracy import degeneracy_distance
from dfl_solvers.oracle import Oracle


@final
class MarginStream:
    r"""Rows come one at a time; ask for a label where the prediction is near another decision.

    Use it where there is no pool to choose from: each row is shown once, and is labeled or not. A
    row whose predicted costs are far from a tie is decided with confidence, and rejected.

    Parameters
    ----------
    model : model
        That predicts and learns, such as ``FiniteHypothesisClass(..., slack="none")`` or
        ``BayesianLinearRegression(weighted=True)``. A class with a slack that needs ranges
        ("mixture", "azuma") is refused: the rows that were rejected would be missing from it.
    oracle : Oracle
        Whose distance to degeneracy is known; see ``dfl_solvers.degeneracy_distance``.
    scale : float, default=1.0
        Size of the threshold b, in units of the costs. A larger one asks for more labels.
    probability : float, default=0
        Of labeling a confident row all the same. 0 is hard rejection: few labels, but the labels
        are no fair sample of the stream. Above, rejection is soft: these labels weigh
        ``1 / probability``, and weighted losses are unbiased, for at least that share of labels.
    confidence : float, optional
        For hard rejection with a surrogate other than SPO+: hypotheses whose risk exceeds the least
        one by more than ``confidence / sqrt(t) + (2 L / t) sum b`` are eliminated, with the
        constant L of the model. It needs a ``FiniteHypothesisClass``.
    random_state : int, Generator or None
        Seeds which of the rows that are far from a tie are labeled all the same.

    Attributes
    ----------
    n_rows_, n_labels_ : int
        Rows offered and labels told so far.
    threshold_ : float
        Margin below which the next row is labeled.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range, the slack of the model needs ranges, a row is offered
        while the last one waits for its label, or a label is told that was not asked for.

    Notes
    -----
    With :math:`b_t = \text{scale} \cdot t^{-1/4} \sqrt{\log(1 + t)}`, row t is labeled if
    :math:`\nu_S(h_{t-1}(x_t)) < b_t`. The schedule is that of the paper but for constants; the
    lines of the algorithm are reconstructed in part. Under low noise of exponent :math:`\kappa`,
    the published rates are excess regret :math:`\tilde O(T^{-\kappa / 4})` at
    :math:`\tilde O(T^{1 - \kappa / 4})` labels. While the model knows nothing, every row is
    labeled.

    References
    ----------
    M. Liu, P. Grigas, H. Liu, Z.-J. M. Shen. Active learning in the predict-then-optimize
    framework: a margin-based approach (2023). arXiv 2305.06584

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import BayesianLinearRegression, MarginStream
    >>> from dfl_solvers import Box
    >>> rng = np.random.default_rng(0)
    >>> stream = MarginStream(BayesianLinearRegression(), Box(1), scale=0.5)
    >>> for x in rng.normal(size=(200, 1)):
    ...     wanted, _ = stream.offer(x)
    ...     if wanted:
    ...         _ = stream.tell(3 * x)
    >>> stream.n_labels_ < stream.n_rows_ / 2
    True
    """

    def __init__(
        self,
        model: Any,
        oracle: Oracle,
        scale: float = 1.0,
        probability: float = 0.0,
        confidence: float | None = None,
        random_state: Any = None,
    ) -> None:
        if not 0 < scale < math.inf or not 0 <= probability <= 1:
            raise InvalidInputError(
                f"MarginStream: got scale={scale} and probability={probability}, expected a "
                "positive number and 0 to 1"
            )
        if confidence is not None and (confidence <= 0 or not hasattr(model, "eliminate")):
            raise InvalidInputError(
                f"MarginStream: got confidence={confidence} with {type(model).__name__}, expected "
                "a positive number with a FiniteHypothesisClass"
            )
        if getattr(model, "range_criterion", None) is not None:
            raise InvalidInputError(
                f"MarginStream: got a model with slack={model.slack!r}, which is no bound on a "
                "stream; expected slack='none' or 'practical'"
            )
        self.model = model
        self.oracle = oracle
        self.scale = scale
        self.probability = probability
        self.confidence = confidence
        self.random_state = random_state
        self._rng = np.random.default_rng(random_state)
        self._waiting: tuple[npt.NDArray[Any], float] | None = None
        self._thresholds = 0.0
        self.n_rows_ = 0
        self.n_labels_ = 0

    @property
    def threshold_(self) -> float:
        """Margin below which the next row is labeled."""
        t = self.n_rows_ + 1
        return self.scale * t**-0.25 * math.log(1 + t) ** 0.5

    def offer(self, x: npt.ArrayLike) -> tuple[bool, float]:
        """Show a row, and hear whether its label is wanted.

        Parameters
        ----------
        x : array-like of shape (p,)
            Features of the row.

        Returns
        -------
        wanted : bool
            If true, ``tell`` its label before the next row.
        weight : float
            Of the label: 1, or ``1 / probability``; 0 if none is wanted.
        """
        if self._waiting is not None:
            raise InvalidInputError(
                "MarginStream: the last row waits for its label; tell it before the next row"
            )
        row = check_pool(np.asarray(x, dtype=float).reshape(1, -1))
        near = True
        if self.model.ready:
            margin = degeneracy_distance(self.oracle, self.model.predict(row)).distance[0]
            near = bool(margin < self.threshold_)
        weight = 1.0
        if not near:
            chosen = self.probability > 0 and self._rng.random() < self.probability
            weight = 1 / self.probability if chosen else 0.0
        self._thresholds += self.threshold_
        self.n_rows_ += 1
        if weight:
            self._waiting = row, weight
        return weight > 0, weight

    def tell(self, c: npt.ArrayLike) -> MarginStream:
        """Learn the label of the last row.

        Parameters
        ----------
        c : array-like of shape (d,)
            Its costs.

        Returns
        -------
        self
            The stream itself.
        """
        if self._waiting is None:
            raise InvalidInputError("MarginStream: got a label, but none was asked for")
        costs = np.asarray(c, dtype=float).reshape(1, -1)
        if not np.isfinite(costs).all():
            raise InvalidInputError(
                "MarginStream: got a cost that is not finite; nothing was learned"
            )
        row, weight = self._waiting
        self.model.update(Labels(row, costs, np.array([weight]), np.array([np.nan])), self.oracle)
        self._waiting = None
        self.n_labels_ += 1
        if self.confidence is not None:
            self._narrow(self.confidence)
        return self

    def _narrow(self, confidence: float) -> None:
        t = self.n_rows_
        allowed = confidence / math.sqrt(t)
        allowed += 2 * self.model.lipschitz.value * self._thresholds / t
        risks = self.model.risks_ * (self.model.n_labels_ / t)
        worse = np.flatnonzero(risks - np.nanmin(risks) > allowed)
        if len(worse):
            self.model.eliminate(worse)
