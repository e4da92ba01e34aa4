"""The design of the least directional uncertainty over a whole pool."""

from __future__ import annotations

from typing import Any, Literal, final

import numpy as np

from dfl.design._linear_design import check, gains, greedy, moments
from dfl.design._scoring import check_pool, lateral_noise
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


@final
class IntegratedDirectionalDesign:
    r"""How much a label lowers the mean squared directional uncertainty of the pool.

    What a label teaches about all rows, not how uncertain its own row is. For linear models, with
    ``selection="max"`` and in batches. On linear models with equal noise it was no better than
    ``DOptimal`` in our measurements; it differs where rows differ in the size of their costs.

    Parameters
    ----------
    weight : {"direction", "regret"}, default="direction"
        ``"direction"`` weighs a row by its squared directional uncertainty, ``"regret"`` by the
        regret that comes of it: rows with large costs count more.
    project : bool, default=True
        Look at the part of the costs that can change a decision, see ``project_costs``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the weight is unknown or the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model is not linear, or the objective of
        the oracle is not ``c.w`` alone.

    Notes
    -----
    Reconstructed. With noise :math:`\Omega` and leverage :math:`z^\top A^{-1} z`, the uncertainty
    of a row is its leverage times a factor

    .. math::

        \varphi(x) = \frac{\operatorname{tr}(P_u \Omega)}{\lVert \Pi c \rVert^2}
        \quad \text{or, for regret,} \quad
        \varphi(x) = \frac{\operatorname{tr}(P_u \Omega)}{2 \lVert \Pi c \rVert},

    cut as in ``DeltaDirectionalUncertainty`` and ``RegretUncertainty``, and a label of z lowers the
    mean over the pool by

    .. math::

        g(z) = \frac{z^\top A^{-1} M_\varphi A^{-1} z}{1 + z^\top A^{-1} z}, \qquad
        M_\varphi = \sum_x p(x) \varphi(x) z(x) z(x)^\top.

    Batches are greedy, with an update of rank one of :math:`A^{-1}` after each row. Where all
    factors are zero, as between two decisions, rows count alike, as in ``IOptimal``.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import BayesianLinearRegression, IntegratedDirectionalDesign
    >>> from dfl_solvers import Box
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20, 3))
    >>> model = BayesianLinearRegression().fit(X, X @ rng.normal(size=(3, 2)))
    >>> IntegratedDirectionalDesign().score(model, X, Box(2)).shape
    (20,)
    """

    def __init__(
        self, weight: Literal["direction", "regret"] = "direction", project: bool = True
    ) -> None:
        self.weight = weight
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a linear model, (n, p) to (n,)."""
        features, matrix = self._prepare(model, pool, oracle, pool_weight)
        return gains(features, model.inverse_, matrix)

    def select(
        self,
        model: Any,
        pool: Any,
        n: int,
        allowed: Array,
        repeats: bool,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Choose n of the allowed rows, each in view of those before."""
        features, matrix = self._prepare(model, pool, oracle, pool_weight)
        return greedy(features, model.inverse_, matrix, n, allowed, repeats)

    def __repr__(self) -> str:
        return f"IntegratedDirectionalDesign(weight={self.weight!r}, project={self.project})"

    def _prepare(
        self, model: Any, pool: Any, oracle: Oracle | None, law: Array | None
    ) -> tuple[Array, Array]:
        if self.weight not in ("direction", "regret"):
            raise InvalidInputError(f"got weight={self.weight!r}, expected 'direction' or 'regret'")
        check(self, model)
        rows = check_pool(pool)
        posterior = model.posterior(rows)
        lengths, noise = lateral_noise(self, posterior, oracle, self.project)
        # uncertainty is cut where the mean costs vanish against it; see the two pointwise criteria
        deviation = np.sqrt(noise * posterior.leverage)
        none = deviation == 0
        if self.weight == "direction":
            factor = noise / np.maximum(lengths, deviation / 2 + none) ** 2
        else:
            factor = noise / np.maximum(2 * lengths, deviation + none)
        if not factor.any():  # a sum of zeros would choose rows by their order
            factor = np.ones(len(rows))
        features = model.features(rows)
        return features, moments(features, factor, law)
