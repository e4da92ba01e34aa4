"""How well a class of linear models can follow coins: Rademacher complexity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.metrics import Interval, mean_interval


@final
@dataclass(frozen=True)
class RademacherComplexity:
    """Complexity of a class of models on a sample.

    Attributes
    ----------
    empirical : Interval
        Mean over draws of the coins, with its 95 % interval.
    bound : float
        Upper bound in closed form.
    """

    empirical: Interval
    bound: float


def rademacher_complexity(
    X: npt.ArrayLike,
    n_costs: int,
    radius: float,
    *,
    norm: Literal["frobenius", "l1"] = "frobenius",
    n_draws: int = 200,
    random_state: Any = None,
) -> RademacherComplexity:
    r"""Return the multivariate Rademacher complexity of linear models on a sample.

    It is what the bounds of this package need to know of the class of models; it falls with the
    square root of the number of rows.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Features; a column of ones for the intercept, if there is one.
    n_costs : int
        Number of predicted costs d.
    radius : float
        Largest norm r of the matrix B (d, p) of coefficients.
    norm : {"frobenius", "l1"}, default="frobenius"
        Which norm: the root of the sum of squares, as a ridge penalty bounds it, or the sum of
        absolute values, as a lasso penalty does.
    n_draws : int, default=200
        Number of draws of the coins.
    random_state : int, Generator or None
        Seeds the signs.

    Returns
    -------
    RademacherComplexity
        The complexity on this sample, and a bound of it.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or X no table of finite numbers.

    Notes
    -----
    With independent signs :math:`\sigma_{ij}`,

    .. math::

        \mathfrak R_n = \mathbb{E} \sup_{\|B\| \le r} \frac1n \sum_{i,j} \sigma_{ij} (B x_i)_j
        = \frac rn \, \mathbb{E} \Big\| \sum_i \sigma_i x_i^\top \Big\|_*,

    where the dual norm is the Frobenius norm again, or the largest absolute value. The bounds are
    :math:`r \sqrt{d \sum_i \|x_i\|^2} / n` and
    :math:`r \sqrt{2 \log(2 d p)} \max_k \sqrt{\sum_i x_{ik}^2} / n`.

    References
    ----------
    Bartlett & Mendelson, "Rademacher and Gaussian complexities", JMLR 3, 2002. El Balghiti,
    Elmachtoub, Grigas & Tewari, "Generalization bounds in the predict-then-optimize framework",
    NeurIPS 2019, arXiv 1905.11488, for the multivariate version.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.risk import rademacher_complexity
    >>> found = rademacher_complexity(np.ones((100, 1)), 4, 1.0, random_state=0)
    >>> found.bound, bool(found.empirical.high < found.bound)
    (0.2, True)
    """
    rows = np.asarray(X, dtype=float)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise InvalidInputError(
            f"rademacher_complexity: got X of shape {rows.shape}, expected (n, p), finite"
        )
    if n_costs < 1 or not radius >= 0 or n_draws < 2:
        raise InvalidInputError(
            f"rademacher_complexity: got n_costs={n_costs}, radius={radius}, n_draws={n_draws}, "
            "expected at least one cost, a radius of at least zero and at least two draws"
        )
    if norm not in ("frobenius", "l1"):
        raise InvalidInputError(f"got norm={norm!r}, expected 'frobenius' or 'l1'")
    n, p = rows.shape
    rng = np.random.default_rng(random_state)
    values = np.empty(n_draws)
    for draw in range(n_draws):
        signs = rng.integers(2, size=(n_costs, n)) * 2.0 - 1.0
        followed = signs @ rows
        size = np.linalg.norm(followed) if norm == "frobenius" else np.abs(followed).max()
        values[draw] = radius * size / n
    if norm == "frobenius":
        bound = radius * np.sqrt(n_costs * (rows**2).sum()) / n
    else:
        bound = radius * np.sqrt(2 * np.log(2 * n_costs * p) * (rows**2).sum(axis=0).max()) / n
    return RademacherComplexity(mean_interval(values), float(bound))
