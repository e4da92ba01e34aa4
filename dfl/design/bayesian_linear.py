"""Bayesian linear regression of several costs, one label at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self, final

import numpy as np
import numpy.typing as npt

from dfl.design._linear_design import label
from dfl.design.protocols import Labels, Posterior
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


@final
class BayesianLinearRegression:
    r"""Linear costs with a posterior over their parameters and the covariance of their noise.

    Use it when costs are about linear in features you have, and labels are few. A label costs
    O(p^2), whatever the number of labels before. Standardize the features: the ridge penalizes all
    alike.

    Parameters
    ----------
    ridge : float, default=1.0
        Precision of the parameters before the first label, relative to that of the noise.
    noise : float, default=1.0
        Guess of the standard deviation of the noise, in units of the costs. It counts as much as
        one label.
    fit_intercept : bool, default=True
        A constant is added to the features; the ridge penalizes it as well.
    weighted : bool, default=False
        Whether labels count by their importance weights. Where the linear model is right they add
        noise only; where it is not, they aim the fit at the law of the pool.
    n_draws : int, default=50
        Draws of ``members``, for criteria that compare a committee.
    random_state : int, default=0
        Seed of the draws.

    Attributes
    ----------
    mean_ : ndarray of shape (q, d)
        Posterior mean of the parameters; q is p, and one more with an intercept.
    inverse_ : ndarray of shape (q, q)
        Inverse of ``A = sum z z' + ridge I``.
    noise_ : ndarray of shape (d, d)
        Posterior mean of the covariance of the noise.
    n_labels_ : int

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range, widths change, or the design is singular: features so
        large, or a ridge so small, that the inverse is lost in rounding.

    Notes
    -----
    Costs are :math:`c = B^\top z + \varepsilon` with noise :math:`N(0, \Omega)`. Before, B is
    matrix normal with row covariance :math:`I / \lambda` and :math:`\Omega` inverse-Wishart with
    :math:`d + 2` degrees of freedom and mean :math:`\sigma^2 I`; both stay of their kind. A label
    changes :math:`A^{-1}` by the formula of Sherman and Morrison, the mean by
    :math:`A^{-1} z (c - B^\top z)^\top`, and adds :math:`r r^\top / (1 + z^\top A^{-1} z)` of the
    residual r to the scatter. The covariance of the expected costs at x is
    :math:`z^\top A^{-1} z \, \Omega`.

    References
    ----------
    Rowe, "Multivariate Bayesian Statistics", 2002, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import BayesianLinearRegression
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = BayesianLinearRegression(ridge=1e-6).fit(X, np.hstack([1 + X, 2 * X]))
    >>> model.predict([[3.0]]).round(3)
    array([[4., 6.]])
    """

    inverse_: Array
    mean_: Array

    def __init__(
        self,
        ridge: float = 1.0,
        noise: float = 1.0,
        fit_intercept: bool = True,
        weighted: bool = False,
        n_draws: int = 50,
        random_state: int = 0,
    ) -> None:
        if not 0 < ridge < math.inf:
            raise InvalidInputError(
                f"BayesianLinearRegression: got ridge={ridge}, expected a positive number: "
                "without, the design is singular before the first labels"
            )
        if not 0 < noise < math.inf or n_draws < 1:
            raise InvalidInputError(
                f"BayesianLinearRegression: got noise={noise} and n_draws={n_draws}, expected a "
                "positive number and at least 1"
            )
        self.ridge = ridge
        self.noise = noise
        self.fit_intercept = fit_intercept
        self.weighted = weighted
        self.n_draws = n_draws
        self.random_state = random_state
        self.n_labels_ = 0
        self._scatter = np.zeros((0, 0))
        self._draws: tuple[int, Array] | None = None

    @property
    def ready(self) -> bool:
        """True from the first label on; before, not even the number of costs is known."""
        return self.n_labels_ > 0

    @property
    def noise_(self) -> Array:
        """Posterior mean (d, d) of the covariance of the noise."""
        return np.asarray(self._scatter / (1 + self.n_labels_))

    def fit(self, X: npt.ArrayLike, C: npt.ArrayLike) -> Self:
        """Learn from labels that are there already, of weight one.

        Parameters
        ----------
        X : array-like of shape (m, p)
            Features of the rows that are labeled.
        C : array-like of shape (m, d)
            Their costs.

        Returns
        -------
        self
            The model itself.
        """
        rows, costs = np.asarray(X, dtype=float), np.asarray(C, dtype=float)
        if rows.ndim != 2 or costs.ndim != 2 or len(rows) != len(costs) or not len(rows):
            raise InvalidInputError(
                f"got X of shape {rows.shape} and C of shape {costs.shape}, expected (m, p) and "
                "(m, d), m at least 1"
            )
        if not (np.isfinite(rows).all() and np.isfinite(costs).all()):
            raise InvalidInputError("X or C hold NaN or infinite numbers")
        self._learn(Labels(rows, costs, np.ones(len(rows)), np.full(len(rows), np.nan)))
        return self

    def update(self, labels: Labels, oracle: Oracle) -> None:
        """Learn from labels; see ``SequentialDesign.tell``."""
        self._learn(labels)

    def features(self, X: npt.ArrayLike) -> Array:
        """Return what the model is linear in, (n, p) to (n, q)."""
        rows = np.asarray(X, dtype=float)
        if self.fit_intercept:
            rows = np.hstack([rows, np.ones((len(rows), 1))])
        if self.ready and rows.shape[1] != len(self.inverse_):
            raise InvalidInputError(
                f"got {rows.shape[1] - self.fit_intercept} features, expected "
                f"{len(self.inverse_) - self.fit_intercept} as before"
            )
        return rows

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the expected costs, (n, p) to (n, d)."""
        self._check_ready()
        return np.asarray(self.features(X) @ self.mean_)

    def posterior(self, X: npt.ArrayLike) -> Posterior:
        """Mean, leverage and noise of the expected costs of n rows."""
        self._check_ready()
        features = self.features(X)
        leverage = np.maximum(np.vecdot(features @ self.inverse_, features), 0.0)
        return Posterior(features @ self.mean_, leverage, self.noise_)

    def members(self, X: npt.ArrayLike) -> Array:
        """Return the costs expected under posterior draws, (n, p) to (n, n_draws, d)."""
        self._check_ready()
        features = self.features(X)
        q, m, d = self._parameters().shape
        return np.asarray(features @ self._parameters().reshape(q, m * d)).reshape(-1, m, d)

    def summary(self) -> dict[str, float]:
        """Total leverage left, and the mean variance of the noise."""
        return {
            "trace_inverse": float(np.trace(self.inverse_)),
            "noise_variance": float(np.trace(self.noise_) / len(self._scatter)),
        }

    def get_state(self) -> dict[str, Array]:
        """Everything that was learned."""
        if not self.ready:
            return {"n_labels": np.array([0])}
        return {
            "n_labels": np.array([self.n_labels_]),
            "inverse": self.inverse_,
            "mean": self.mean_,
            "scatter": self._scatter,
        }

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what ``get_state`` returned."""
        n = int(state["n_labels"][0])
        if n:
            inverse, mean, scatter = state["inverse"], state["mean"], state["scatter"]
            self.inverse_, self.mean_, self._scatter = inverse, mean, scatter
        self.n_labels_, self._draws = n, None

    def __repr__(self) -> str:
        return (
            f"BayesianLinearRegression(ridge={self.ridge!r}, noise={self.noise!r}, "
            f"fit_intercept={self.fit_intercept!r}, weighted={self.weighted!r}, "
            f"n_draws={self.n_draws!r}, random_state={self.random_state!r})"
        )

    def _learn(self, labels: Labels) -> None:
        features = self.features(labels.X)
        q, d = features.shape[1], labels.C.shape[1]
        if self.ready:
            inverse, mean, scatter = self.inverse_, self.mean_, self._scatter
        else:
            inverse, mean = np.eye(q) / self.ridge, np.zeros((q, d))
            scatter = self.noise**2 * np.eye(d)
        if mean.shape[1] != d:
            raise InvalidInputError(f"got {d} costs a row, expected {mean.shape[1]} as before")
        with np.errstate(over="ignore", invalid="ignore"):
            for row, costs, weight in zip(features, labels.C, labels.weights, strict=True):
                # a weight is that many labels at once
                root = math.sqrt(weight) if self.weighted else 1.0
                scaled, residual = root * row, root * (costs - row @ mean)
                turned = inverse @ scaled
                grown = 1 + turned @ scaled
                mean = mean + np.outer(turned, residual) / grown
                scatter = scatter + np.outer(residual, residual) / grown
                inverse = label(inverse, scaled)
        sane = np.isfinite(inverse).all() and np.isfinite(mean).all() and np.isfinite(scatter).all()
        if not sane or (np.diag(inverse) <= 0).any():
            raise InvalidInputError(
                "the design is singular in floating-point numbers: features are too large for a "
                f"ridge of {self.ridge}. Nothing was learned; standardize the features, or choose "
                "a larger ridge"
            )
        self.inverse_, self.mean_, self._scatter = (inverse + inverse.T) / 2, mean, scatter
        self.n_labels_ += len(features)
        self._draws = None

    def _check_ready(self) -> None:
        if not self.ready:
            raise InvalidInputError(
                "BayesianLinearRegression has no label yet, and does not know the number of costs"
            )

    def _parameters(self) -> Array:
        """Draws (q, n_draws, d) of the parameters, the same until the next label."""
        if self._draws is None or self._draws[0] != self.n_labels_:
            rng = np.random.default_rng([self.random_state, self.n_labels_])
            q, d = self.mean_.shape
            rows, scatter = _root(self.inverse_), _root(self._scatter)
            degrees = d + 2 + self.n_labels_
            draws = np.empty((q, self.n_draws, d))
            for m in range(self.n_draws):
                # Bartlett: the root of a Wishart matrix is triangular
                root = np.tril(rng.standard_normal((d, d)), -1)
                root[np.diag_indices(d)] = np.sqrt(rng.chisquare(degrees - np.arange(d)))
                noise = np.linalg.solve(root, scatter.T)
                draws[:, m] = self.mean_ + rows @ rng.standard_normal((q, d)) @ noise
            self._draws = self.n_labels_, draws
        return self._draws[1]


def _root(matrix: Array) -> Array:
    """Return R with ``R R' = matrix``."""
    sizes, basis = np.linalg.eigh(matrix)
    return np.asarray(basis * np.sqrt(np.maximum(sizes, 0.0)))
