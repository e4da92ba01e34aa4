"""Directional uncertainty of a confidence region, seen as a cone of directions."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl._validation import check_positive
from dfl.design._scoring import check_pool, directions, need_direction, normals_of
from dfl.design.projection import off
from dfl.design.protocols import LinearPosterior
from dfl.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Oracle

# halvings of the interval that holds an eigenvalue, and rows that are halved together
_STEPS, _ROWS = 52, 4096


@final
class ConeDirectionalUncertainty:
    r"""Distance between the two extreme directions of a confidence region.

    The worst case where ``DeltaDirectionalUncertainty`` is an average: noise in one direction
    counts as much as the same noise in all.

    Parameters
    ----------
    radius : float, default=2.0
        Radius of the region in standard deviations.
    project : bool, default=True
        Look at the part of the costs that can change a decision, see ``project_costs``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the radius is not positive or the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model has no posterior, or the objective of the oracle is not ``c.w``
        alone.

    Notes
    -----
    Reconstructed. With half the opening angle :math:`\theta` of the cone,
    :math:`U(x) = 2 \sin\theta` and

    .. math::

        \sin \theta = \rho \, \frac{\sqrt{\lambda_{\max}(P_u \Sigma P_u)}}{\lVert \Pi c \rVert},

    exact for :math:`\Sigma = \sigma^2 I` and else to first order in the radius :math:`\rho`; where
    this exceeds one, U is 2. The eigenvalue is a root of the secular equation of the one
    eigendecomposition that all rows share.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import BayesianLinearRegression, ConeDirectionalUncertainty
    >>> from dfl_solvers import Box
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = BayesianLinearRegression(noise=0.1).fit(X, np.hstack([1 + X, 2 - X]))
    >>> bool(ConeDirectionalUncertainty().score(model, [[1.0]], Box(2))[0] < 1)
    True
    """

    def __init__(self, radius: float = 2.0, project: bool = True) -> None:
        self.radius = radius
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a model with a posterior, (n, p) to (n,), from 0 to 2."""
        check_positive(self, radius=self.radius)
        need_direction(self, oracle)
        if not isinstance(model, LinearPosterior):
            raise UnsupportedError(
                f"ConeDirectionalUncertainty needs a covariance, and {type(model).__name__} has "
                "none (a method posterior(X))"
            )
        posterior = model.posterior(check_pool(pool))
        normal = normals_of(self, oracle, posterior.mean.shape[1], self.project)
        noise = off(off(posterior.noise, normal).T, normal)
        unit, lengths = directions(posterior.mean, normal)
        reach = self.radius * np.sqrt(posterior.leverage * _across(noise, unit))
        sine = reach / np.maximum(lengths, reach + (reach == 0))
        return np.where(lengths > reach, 2 * sine, np.where(reach > 0, 2.0, 0.0))

    def __repr__(self) -> str:
        return f"ConeDirectionalUncertainty(radius={self.radius!r}, project={self.project})"


def _across(noise: Array, unit: Array) -> Array:
    """Return the largest eigenvalue (n,) of the noise (d, d) across unit vectors (n, d)."""
    sizes, basis = np.linalg.eigh((noise + noise.T) / 2)
    if len(sizes) == 1:
        return np.where(np.abs(unit[:, 0]) > 0, 0.0, max(sizes[0], 0.0))
    found = np.empty(len(unit))
    for lo in range(0, len(unit), _ROWS):
        shares = (unit[lo : lo + _ROWS] @ basis) ** 2
        low = np.full(len(shares), sizes[-2])
        high = np.full(len(shares), sizes[-1])
        for _ in range(_STEPS):
            middle = (low + high) / 2
            # the sum of shares / (size - t) rises with t from minus to plus infinity
            gaps = sizes - middle[:, None]
            rising = (shares / np.where(gaps == 0, np.inf, gaps)).sum(axis=1) > 0
            low, high = np.where(rising, low, middle), np.where(rising, middle, high)
        found[lo : lo + _ROWS] = np.maximum(high, 0.0)
    return found
