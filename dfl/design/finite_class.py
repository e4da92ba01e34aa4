"""A finite class of hypotheses, from which labels eliminate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from dfl.design._hypotheses import Hypotheses, losses_of
from dfl.design.directional import DirectionalUncertainty
from dfl.design.l2 import L2Uncertainty
from dfl.design.lipschitz import LipschitzConstant
from dfl.design.protocols import Criterion, Labels
from dfl.design.slack import azuma_slack, mixture_slack
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle

_LOSSES = ("spo", "spo+", "squared")
_SLACKS = ("mixture", "azuma", "practical", "none")
# with the practical slack, nothing is eliminated before the fifth label
_FIRST = 5


@final
class FiniteHypothesisClass:
    r"""Hypotheses fixed in advance; those that labels contradict are eliminated.

    Use it when you can write down (or fit on other data) some hundred candidates for how costs
    depend on features. After each label the hypotheses whose weighted empirical risk exceeds the
    least one by more than the slack are gone, for good. Do not refit them on the labels of the
    design: the guarantee is for a class that is fixed before the first label.

    Parameters
    ----------
    hypotheses : sequence of predictors, or array-like of shape (M, N, d)
        Fitted estimators with ``predict(X) -> (n, d)``; or a table of what M hypotheses predict for
        N designs, whose pool then is ``np.arange(N)``.
    loss : {"spo", "spo+", "squared"}, default="spo"
        What is compared. ``"spo"`` is regret, for which decisions of all survivors are solved at
        each labeled row: put a slow oracle in ``Cached``. Where a hypothesis predicts costs well,
        ``"squared"`` eliminates much faster; where none does, it keeps the wrong ones.
    slack : {"mixture", "azuma", "practical", "none"}, default="mixture"
        ``"mixture"`` is rigorous at all times. ``"azuma"`` is a heuristic unless all ranges are
        at their maximum. ``"practical"`` eliminates early, without any guarantee: a hypothesis goes
        when its mean excess is above ``0.6 sqrt(2 log(2 M t / delta))`` standard errors. ``"none"``
        eliminates nothing.
    lipschitz : float or LipschitzConstant, default=1.0
        Constant L of the slack. A number is an assumption; ``lipschitz_of_class`` and
        ``directional_lipschitz`` certify one for ``"spo"``, by unit of direction, in units of the
        costs; for the others by unit of predicted cost: ``"spo+"`` twice the diameter of the
        feasible set, ``"squared"`` the largest length of ``h + h' - 2c``.
    delta : float, default=0.1
        Probability of eliminating the best hypothesis that is allowed.
    planned_labels : int, default=100
        Labels, at an uncertainty of one, for which the mixture is tightest.

    Attributes
    ----------
    survivors_ : ndarray of int
        Numbers of the hypotheses that are left.
    incumbent_ : int
        The survivor of least empirical risk.
    slack_ : float
        The present slack, in units of the loss; infinite before the first label and without
        elimination, NaN for ``"practical"``.
    risks_ : ndarray of shape (M,)
        Weighted empirical risk of each hypothesis, up to a constant that all have in common; NaN
        for those that are gone.
    n_labels_ : int

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range, or hypotheses predict costs that do not fit.

    See Also
    --------
    SlackBelow : Stop when the slack is small.

    Notes
    -----
    Reconstructed, with our proofs. With importance weights a, the risk of h is
    :math:`\hat R_t(h) = \frac 1 t \sum_s a_s \ell(h(x_s), c_s)` and h survives if
    :math:`\hat R_t(h) - \hat R_t(h_t) \le \mathrm{slack}_t`. With probability at least
    :math:`1 - \delta` the best hypothesis is never eliminated and the excess risk of
    :math:`h_t` is at most the slack, if labels are bounded, L holds, designs may be measured
    again (``repeats=True``), and the slack is the mixture. One label costs O(M^2).

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass
    >>> table = np.array([[[1.0, 2.0]], [[2.0, 1.0]]])
    >>> model = FiniteHypothesisClass(table)
    >>> model.members(np.array([[0.0]])).shape, model.survivors_
    ((1, 2, 2), array([0, 1]))
    """

    ready = True

    def __init__(
        self,
        hypotheses: Sequence[Any] | npt.ArrayLike,
        loss: Literal["spo", "spo+", "squared"] = "spo",
        slack: Literal["mixture", "azuma", "practical", "none"] = "mixture",
        lipschitz: float | LipschitzConstant = 1.0,
        delta: float = 0.1,
        planned_labels: int = 100,
    ) -> None:
        if loss not in _LOSSES or slack not in _SLACKS:
            raise InvalidInputError(
                f"FiniteHypothesisClass: got loss={loss!r} and slack={slack!r}, expected one of "
                f"{', '.join(_LOSSES)} and one of {', '.join(_SLACKS)}"
            )
        if not 0 < delta < 1 or planned_labels < 1:
            raise InvalidInputError(
                f"FiniteHypothesisClass: got delta={delta} and planned_labels={planned_labels}, "
                "expected a probability and at least 1"
            )
        if not isinstance(lipschitz, LipschitzConstant):
            lipschitz = LipschitzConstant(float(lipschitz), False, "a number that was given")
        if not 0 <= lipschitz.value < math.inf:
            raise InvalidInputError(
                f"FiniteHypothesisClass: got lipschitz={lipschitz.value}, expected a number of at "
                "least zero"
            )
        self.hypotheses = hypotheses
        self.loss = loss
        self.slack = slack
        self.lipschitz = lipschitz
        self.delta = delta
        self.planned_labels = planned_labels
        self._hypotheses = Hypotheses(hypotheses)
        self.n_hypotheses = len(self._hypotheses)
        if not self.n_hypotheses:
            raise InvalidInputError("FiniteHypothesisClass: got no hypothesis, expected at least 1")
        m = self.n_hypotheses
        self._alive = np.ones(m, dtype=bool)
        self._sums = np.zeros(m)
        # sums of products of weighted losses, for standard errors of all differences
        self._products = np.zeros((m, m) if slack == "practical" else (0, 0))
        self._squares = 0.0
        self.n_labels_ = 0

    @property
    def survivors_(self) -> Array:
        """Numbers of the hypotheses that are left."""
        return np.flatnonzero(self._alive)

    @property
    def incumbent_(self) -> int:
        """The survivor of least empirical risk; the first one of equals."""
        return int(np.where(self._alive, self._sums, np.inf).argmin())

    @property
    def slack_(self) -> float:
        """The present slack; infinite before the first label."""
        if self.slack == "practical":
            return math.nan
        if not self.n_labels_ or self.slack == "none":
            return math.inf
        given = self.lipschitz.value, self._squares, self.n_labels_, self.n_hypotheses, self.delta
        if self.slack == "azuma":
            return azuma_slack(*given)
        return mixture_slack(*given, planned_squares=self.planned_labels)

    @property
    def risks_(self) -> Array:
        """Weighted empirical risk (M,) up to a common constant; NaN for those that are gone."""
        return np.where(self._alive, self._sums / max(1, self.n_labels_), np.nan)

    @property
    def range_criterion(self) -> Criterion | None:
        """The uncertainty that bounds differences of the loss; None if the slack needs none."""
        if self.slack in ("practical", "none"):
            return None
        return DirectionalUncertainty() if self.loss == "spo" else L2Uncertainty()

    def members(self, X: Array) -> Array:
        """Return costs that each survivor predicts, (n, p) to (n, M, d)."""
        return self._hypotheses.predict(X, self.survivors_)

    def predict(self, X: Array) -> Array:
        """Return costs that the incumbent predicts, (n, p) to (n, d)."""
        return self._hypotheses.predict(X, np.array([self.incumbent_]))[:, 0]

    def eliminate(self, numbers: npt.ArrayLike) -> None:
        """Rule out hypotheses for reasons of your own.

        Parameters
        ----------
        numbers : array-like of int
            Positions of the hypotheses that are ruled out.

        Raises
        ------
        InvalidInputError
            If a number does not exist, or none would be left; nothing is changed then.
        """
        alive = self._alive.copy()
        numbers = np.atleast_1d(np.asarray(numbers, dtype=int))
        wrong = numbers[(numbers < 0) | (numbers >= self.n_hypotheses)]
        if len(wrong):
            raise InvalidInputError(
                f"got hypothesis {wrong[0]}, expected a number below {self.n_hypotheses}"
            )
        alive[numbers] = False
        if not alive.any():
            raise InvalidInputError(
                "that would eliminate all hypotheses; nothing was changed. The class does not fit "
                "the labels: start again with a larger one"
            )
        self._alive = alive

    def update(self, labels: Labels, oracle: Oracle) -> None:
        """Weigh in labels, then eliminate; see ``SequentialDesign.tell``.

        Raises
        ------
        InvalidInputError
            If widths do not fit; nothing is changed then.
        """
        alive = self.survivors_
        losses = np.zeros((len(labels.X), self.n_hypotheses))
        predicted = self._hypotheses.predict(labels.X, alive)
        losses[:, alive] = losses_of(self.loss, predicted, labels.C, oracle)
        weighted = labels.weights[:, None] * losses
        if not np.isfinite(weighted).all():
            raise InvalidInputError(
                "a hypothesis has a loss that is not finite; nothing was changed. Do all predict "
                "finite numbers?"
            )
        self._sums = self._sums + weighted.sum(axis=0)
        if self.range_criterion is not None:
            self._squares += float((labels.ranges**2).sum())
        self.n_labels_ += len(weighted)
        if self.slack == "practical":
            # what all have in common cancels anyway, and costs digits
            centered = np.where(self._alive, weighted - weighted[:, alive].mean(1)[:, None], 0.0)
            self._products = self._products + centered.T @ centered
        rounding = 1e-12 * float(np.abs(self._sums).max()) / self.n_labels_
        self._alive = self._alive & (self._excess() <= self._allowed() + rounding)

    def summary(self) -> dict[str, float]:
        """Return the number of survivors, the incumbent and the slack."""
        return {
            "survivors": float(self._alive.sum()),
            "incumbent": float(self.incumbent_),
            "slack": self.slack_,
        }

    def get_state(self) -> dict[str, Array]:
        """Return what was learned; not the hypotheses themselves."""
        return {
            "alive": self._alive,
            "sums": self._sums,
            "products": self._products,
            "totals": np.array([self._squares, float(self.n_labels_)]),
        }

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what ``get_state`` returned."""
        alive = np.asarray(state["alive"], dtype=bool)
        if alive.shape != self._alive.shape or state["products"].shape != self._products.shape:
            raise InvalidInputError(
                f"the state is that of {len(alive)} hypotheses, or of another slack; got "
                f"{self.n_hypotheses} and slack={self.slack!r}"
            )
        self._alive = alive
        self._sums = np.asarray(state["sums"], dtype=float)
        self._products = np.asarray(state["products"], dtype=float)
        self._squares, self.n_labels_ = float(state["totals"][0]), int(state["totals"][1])

    def __repr__(self) -> str:
        return (
            f"FiniteHypothesisClass(<{self.n_hypotheses} hypotheses>, loss={self.loss!r}, "
            f"slack={self.slack!r}, lipschitz={self.lipschitz.value!r}, delta={self.delta!r}, "
            f"planned_labels={self.planned_labels!r})"
        )

    def _excess(self) -> Array:
        return np.asarray((self._sums - self._sums[self.incumbent_]) / self.n_labels_)

    def _allowed(self) -> float | Array:
        if self.slack != "practical":
            return self.slack_
        t, best = self.n_labels_, self.incumbent_
        if t < _FIRST:
            return math.inf
        own = np.diag(self._products)
        squares = own - 2 * self._products[best] + own[best]
        variance = np.maximum(squares / t - self._excess() ** 2, 0.0) * t / (t - 1)
        quantile = 0.6 * math.sqrt(2 * math.log(2 * self.n_hypotheses * t / self.delta))
        return quantile * np.sqrt(variance / t)
