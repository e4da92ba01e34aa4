"""Data of perfect matchings on a grid: synthetic, and cells that show digits."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Bunch

from dfl.datasets._draws import (
    bundle,
    check_sizes,
    generator,
    legacy_generator,
    polynomial_costs,
    read_grid,
)
from dfl_solvers.problems.grid_perfect_matching import GridPerfectMatching


def make_perfect_matching(
    n_samples: int,
    n_features: int = 5,
    *,
    grid: tuple[int, int] = (4, 4),
    degree: int = 1,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make costs of pairs that are polynomials of features, for perfect matchings on a grid.

    As with shortest paths, least squares is well specified at degree 1; the higher the degree, the
    more there is to gain from training for the decision.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    grid : (int, int), default=(4, 4)
        Rows and columns of cells; one of them is even.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise.
    random_state : int, RandomState or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d), ``mean_costs`` (n, d) = E[c | x], ``oracle`` (a
        ``GridPerfectMatching``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, the number of cells is odd or the noise is negative.

    Notes
    -----
    Costs are those of ``make_shortest_path``: ``c_j = (((B x)_j / sqrt(p) + 3)^degree + 1) /
    3.5^degree * e_j`` with B of fair coin flips, x standard normal and e uniform on
    [1 - noise, 1 + noise].

    Examples
    --------
    >>> from dfl.datasets import make_perfect_matching
    >>> data = make_perfect_matching(10, grid=(4, 4), degree=4, noise=0.5, random_state=0)
    >>> data.X.shape, data.C.shape
    ((10, 5), (10, 24))
    """
    oracle = _oracle(
        {"n_samples": n_samples, "n_features": n_features, "degree": degree}, grid, noise
    )
    rng = legacy_generator(random_state)
    drawn = polynomial_costs(rng, n_samples, n_features, oracle.n_costs, degree, noise)
    return bundle(*drawn, oracle)


def make_digit_matching(
    n_samples: int, *, grid: tuple[int, int] = (4, 4), random_state: Any = None
) -> Bunch:
    """Make grids of handwritten digits whose pairs cost the two-digit numbers that they show.

    The benchmark of differentiable optimizers with perfect matchings, for models that read images
    and learn from matchings. The published one has digits of MNIST; here they are the smaller ones
    of ``sklearn.datasets.load_digits``, which come with scikit-learn.

    Parameters
    ----------
    n_samples : int
        Number of grids; their images are drawn with replacement from 1797 ones.
    grid : (int, int), default=(4, 4)
        Rows and columns of cells; one of them is even.
    random_state : int, Generator or None
        Seeds which digits are where.

    Returns
    -------
    Bunch
        ``X`` (n, rows * cols * 64) = gray levels from 0 to 1, image by image, 8 x 8 each; ``C``
        (n, d) = ten times the left or upper digit plus the right or lower one; ``digits``
        (n, rows * cols), ``oracle`` (a ``GridPerfectMatching``), ``feature_names`` and
        ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one or the number of cells is odd.

    References
    ----------
    M. Vlastelica, A. Paulus, V. Musil, G. Martius, M. Rolinek. Differentiation of blackbox
    combinatorial solvers. ICLR (2020), section 4.3. arXiv:1912.02175

    Examples
    --------
    >>> from dfl.datasets import make_digit_matching
    >>> data = make_digit_matching(10, grid=(2, 2), random_state=0)
    >>> data.X.shape, data.digits[0].tolist(), data.C[0].tolist()
    ((10, 256), [2, 5, 3, 3], [25.0, 23.0, 53.0, 33.0])
    """
    from sklearn.datasets import load_digits

    oracle = _oracle({"n_samples": n_samples}, grid, 0.0)
    images = load_digits()
    shown = generator(random_state).integers(
        len(images.target), size=(n_samples, grid[0] * grid[1])
    )
    digits = images.target[shown]
    first, second = oracle.edges().T
    C = (10.0 * digits[:, first] + digits[:, second]).astype(float)
    data = bundle(images.data[shown].reshape(n_samples, -1) / 16, C, C, oracle)
    del data["mean_costs"]  # an image may be read in several ways
    data.digits = digits
    return data


def _oracle(sizes: dict[str, Any], grid: tuple[int, int], noise: float) -> GridPerfectMatching:
    rows, cols = read_grid(grid)
    check_sizes({**sizes, "rows": rows, "cols": cols}, noise)
    return GridPerfectMatching(rows, cols)
