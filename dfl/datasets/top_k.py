"""Synthetic data of a choice among items whose values no line can follow."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_sizes, generator
from dfl.exceptions import InvalidInputError
from dfl_solvers.problems.top_k import TopK
from dfl_solvers.wrappers import Maximize


def make_cubic_top_k(
    n_samples: int, *, n_items: int = 50, k: int = 1, random_state: Any = None
) -> Bunch:
    """Make values of items that are a cubic of one feature each, for the choice of the best k.

    The smallest example where a model that is best by squares decides badly: the line of least
    squares falls, but the best items are those on the right.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_items : int, default=50
        Number d of items.
    k : int, default=1
        Number of items to choose.
    random_state : int, Generator or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, n_items), one feature an item, ``C`` = ``mean_costs`` (n, n_items) values,
        ``oracle`` (a maximizing ``TopK``), ``feature_names`` and ``cost_names``. For one model of
        all items pass ``X.reshape(-1, 1)``, ``C.ravel()`` and
        ``groups=numpy.repeat(range(n), n_items)`` to an estimator.

    Raises
    ------
    InvalidInputError
        If a size is below one or k above ``n_items``.

    Notes
    -----
    ``c = 10 x^3 - 6.5 x`` with x uniform on [-1, 1].

    References
    ----------
    S. Shah, K. Wang, B. Wilder, A. Perrault, M. Tambe. Decision-focused learning without
    differentiable optimization: learning locally optimized decision losses. NeurIPS (2022).
    arXiv:2203.16067

    Examples
    --------
    >>> from dfl.datasets import make_cubic_top_k
    >>> data = make_cubic_top_k(400, random_state=0)
    >>> data.X.shape, data.oracle
    ((400, 50), Maximize(oracle=TopK(n=50, k=1)))
    """
    check_sizes({"n_samples": n_samples, "n_items": n_items, "k": k}, 0.0)
    if k > n_items:
        raise InvalidInputError(f"got k={k}, expected at most n_items={n_items}")
    X = generator(random_state).uniform(-1, 1, (n_samples, n_items))
    values = 10 * X**3 - 6.5 * X
    return bundle(X, values, values.copy(), Maximize(TopK(n_items, k)))
