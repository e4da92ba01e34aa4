"""What the parts of a design ask of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dfl_solvers.oracle import Array, Oracle


@dataclass(frozen=True, eq=False)
class Posterior:
    """Uncertain costs ``c(x) ~ (mean, leverage * noise)`` of n rows.

    Attributes
    ----------
    mean : ndarray of shape (n, d)
        Expected costs.
    leverage : ndarray of shape (n,)
        How uncertain a row is, without unit: for a linear model ``x' A^-1 x``.
    noise : ndarray of shape (d, d)
        Covariance of the costs at leverage one, in squared units of the costs.
    """

    mean: Array
    leverage: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels that a model learns from, in the order in which they were asked for.

    Attributes
    ----------
    X : ndarray of shape (m, p)
    C : ndarray of shape (m, d)
        Observed costs, in the oracle's own sense.
    weights : ndarray of shape (m,)
        Importance weights ``p(x) / q(x)`` at the time of asking.
    ranges : ndarray of shape (m,)
        ``max_x p(x) U(x) / q(x)`` at the time of asking, with the uncertainty U that the model
        names as its ``range_criterion``; NaN if it names none.
    """

    X: Array
    C: Array
    weights: Array
    ranges: Array


class Model(Protocol):
    """What every model with uncertainty can do; its parameters are its attributes."""

    @property
    def ready(self) -> bool:
        """False while there are too few labels to tell one row from another."""
        ...

    def predict(self, X: Array) -> Array:
        """Return the expected costs, (n, p) to (n, d)."""
        ...

    def update(self, labels: Labels, oracle: Oracle) -> None:
        """Learn from labels: wholly, or, if it raises, not at all."""
        ...

    def summary(self) -> dict[str, float]:
        """Return a few numbers for the history."""
        ...

    def get_state(self) -> dict[str, Array]:
        """Everything that was learned, as arrays."""
        ...

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what ``get_state`` returned."""
        ...


@runtime_checkable
class Committee(Protocol):
    """A model that knows several candidates for the truth."""

    def members(self, X: Array) -> Array:
        """Costs that each of M members predicts, (n, p) to (n, M, d)."""
        ...


@runtime_checkable
class LinearPosterior(Protocol):
    """A model whose uncertainty is a covariance."""

    def posterior(self, X: Array) -> Posterior:
        """Mean, leverage and noise of n rows."""
        ...


@runtime_checkable
class LinearDesign(LinearPosterior, Protocol):
    """A linear model, whose uncertainty follows from the features of its labels alone."""

    @property
    def inverse_(self) -> Array:
        """Inverse (q, q) of the regularized sum of the features' products."""
        ...

    def features(self, X: Array) -> Array:
        """Return what the model is linear in, (n, p) to (n, q)."""
        ...


class Criterion(Protocol):
    """How much is to be learned from a label of each row."""

    def score(
        self,
        model: Any,
        pool: Array,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Score (n,) of the rows of a pool (n, p), at least zero; higher means label sooner."""
        ...


@runtime_checkable
class GreedyCriterion(Protocol):
    """A criterion whose largest score is a sound choice, and that knows how to choose several."""

    def select(
        self,
        model: Any,
        pool: Array,
        n: int,
        allowed: Array,
        repeats: bool,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Numbers (n,) of rows chosen among the allowed (N,), each in view of those before."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What a stopping rule found.

    Attributes
    ----------
    stop : bool
    value, threshold : float
        What was compared.
    certified : bool
        True if a stop is proven to be safe under the stated assumptions, and every constant in the
        proof is known rather than assumed.
    statement : str
        What a stop means, in words.
    """

    stop: bool
    value: float
    threshold: float
    certified: bool
    statement: str


class StoppingRule(Protocol):
    """When to stop labeling."""

    def assess(
        self,
        model: Any,
        pool: Array | None,
        oracle: Oracle,
        pool_weight: Array | None,
        repeats: bool,
    ) -> Verdict:
        """Look at the model, and at the pool of the last ``ask``."""
        ...
