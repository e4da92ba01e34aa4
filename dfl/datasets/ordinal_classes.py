"""Classes in an order, where a class far from the right one costs more."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_noise, check_sizes, generator
from dfl_solvers import Simplex
from dfl_solvers.oracle import Array


def make_ordinal_classes(
    n_samples: int,
    n_features: int = 5,
    *,
    n_classes: int = 10,
    degree: int = 1,
    noise: float = 0.5,
    random_state: Any = None,
) -> Bunch:
    """Make instances of ordered classes with the costs of deciding for each class.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_classes : int, default=10
        Number d of classes.
    degree : int, default=1
        How bent the score of an instance is.
    noise : float, default=0.5
        Half-width of the uniform noise that multiplies the score; at most 1.
    random_state : int, Generator or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d) = one plus the distance of each class to the right one,
        ``mean_costs`` (n, d) = E[c | x], ``classes`` (n,) = the right ones, ``oracle`` (a
        ``Simplex``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, the noise not between 0 and 1, or the random state none.

    Notes
    -----
    ``s = b.x`` with b of zeros and ones (not all zero), ``y = sign(s) |s|^degree e`` with e uniform
    on ``[1 - noise, 1 + noise]``, and the class is ``min(floor(d / (1 + exp(y))), d - 1)``.

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887; reconstructed.

    Examples
    --------
    >>> from dfl.datasets import make_ordinal_classes
    >>> data = make_ordinal_classes(100, random_state=0)
    >>> bool((data.C.argmin(axis=1) == data.classes).all()), data.C.min(), data.C.shape
    (True, np.float64(1.0), (100, 10))
    """
    from scipy.special import expit

    sizes = {"n_samples": n_samples, "n_features": n_features, "degree": degree}
    check_sizes({**sizes, "n_classes": n_classes}, noise)
    check_noise(noise, most=1)
    rng = generator(random_state)
    b = rng.integers(2, size=n_features)
    b[rng.integers(n_features)] = 1
    X = rng.normal(size=(n_samples, n_features))
    score = X @ b
    score = np.sign(score) * np.abs(score) ** degree
    drawn = score * rng.uniform(1 - noise, 1 + noise, size=n_samples)
    classes = np.minimum((n_classes * expit(-drawn)).astype(int), n_classes - 1)
    shares = _shares(score, n_classes, noise)
    costs = ordinal_costs(np.arange(n_classes), n_classes)
    data = bundle(X, costs[classes], shares @ costs, Simplex(n_classes))
    data.classes = classes
    return data


def load_ordinal_digits() -> Bunch:
    """Load handwritten digits with the costs of reading them as another digit.

    For amounts and postcodes of which a digit nearby does less harm: the data of
    ``sklearn.datasets.load_digits``, which come with scikit-learn, and ordinal costs.

    Returns
    -------
    Bunch
        ``X`` (1797, 64) = gray levels from 0 to 1, ``C`` (1797, 10) = one plus the distance of each
        digit to the right one, ``classes`` (1797,), ``oracle`` (a ``Simplex``), ``feature_names``
        and ``cost_names``.

    Examples
    --------
    >>> from dfl.datasets import load_ordinal_digits
    >>> data = load_ordinal_digits()
    >>> int(data.classes[3]), data.C[3, :5].tolist()
    (3, [4.0, 3.0, 2.0, 1.0, 2.0])
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    C = ordinal_costs(raw.target, 10)
    data = bundle(raw.data / 16, C, C, Simplex(10))
    del data["mean_costs"]  # not known: each image is seen once
    data.classes = raw.target
    data.feature_names = list(raw.feature_names)
    return data


def ordinal_costs(classes: npt.ArrayLike, n_classes: int) -> Array:
    """Return the costs (n, d) of each decision: one plus its distance to the right class (n,)."""
    right = np.asarray(classes)
    return np.abs(right[:, None] - np.arange(n_classes)) + 1.0


def _shares(score: Array, n_classes: int, noise: float) -> Array:
    """Return the probability (n, d) of each class: the class falls where the score rises."""
    inner = np.arange(1, n_classes) / n_classes
    # the class is below k if the score is above this
    limits = np.log(1 / inner - 1)
    t = score[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = limits / t  # where the noise crosses the limit
        above = (ratio - (1 - noise)) / (2 * noise) if noise else (ratio > 1).astype(float)
    crossed = np.clip(above, 0.0, 1.0)
    # P(t e > limit); of a score of zero, whether zero is above the limit
    below = np.where(t > 0, 1 - crossed, np.where(t < 0, crossed, (limits < 0).astype(float)))
    edges = np.zeros((len(score), 1))
    return np.diff(np.concatenate([edges, below, edges + 1], axis=1), axis=1)
