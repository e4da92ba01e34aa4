"""Portfolios and mixtures of at least some entropy."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel, run
from dfl_solvers.oracle import Array, Instance, Status
from dfl_solvers.problems._smooth import AbstractSmoothOracle, spread


@final
class EntropyBall(AbstractSmoothOracle):
    r"""Minimize costs over weights that sum to one and keep at least some entropy.

    A portfolio that has to stay diversified, or a mixture near the uniform one: the set holds the
    weights whose divergence from equal weights is at most the level. Small levels keep all weights
    positive, and decisions then vary smoothly with the costs.

    Parameters
    ----------
    n : int
        Number of weights; at least two.
    level : float, optional
        Largest divergence from equal weights, ``log(n) + sum w log w``: between zero (only equal
        weights) and ``log(n)`` (the whole simplex). Default: ``log(n) - log(n - 0.9)``, as in the
        published experiment.

    Attributes
    ----------
    n_costs : int
        Number n of weights.

    Raises
    ------
    InvalidInputError
        If n is below two, or the level not between zero and ``log(n)``.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad \sum_i w_i \log w_i \le r - \log n, \;
        1^\top w = 1, \; w \ge 0,

    with r the level. The minimizer is ``softmax(-a c)`` where a > 0 makes the constraint an
    equality; a is found by a safeguarded Newton method on the root of the divergence, which is
    close to linear in a, in a handful of passes over the costs. The decision changes neither with
    the scale of the costs nor with a constant added to all of them.

    Below ``log(n) - log(n - 1)`` the set lies strictly inside the simplex. Beyond that, equal
    weights on the k cheapest belong to the set as soon as ``level >= log(n) - log(k)``; where k
    costs tie for the least, these are returned, the point of most entropy among the optimal ones.
    For costs that are all equal this is the uniform point.

    Decisions jump at such ties; ``vector_jacobian_product`` returns zeros there. Elsewhere, with
    :math:`\bar c = w^\top c` and :math:`\bar v = w^\top v`,

    .. math::

        \frac{\partial \, v^\top w^\star}{\partial c_i} =
        -a w_i \, [(v_i - \bar v) - t \, (c_i - \bar c)], \qquad
        t = \frac{\sum_i w_i (c_i - \bar c)(v_i - \bar v)}{\sum_i w_i (c_i - \bar c)^2}.

    The set is no polyhedron, so there is no ``program``.

    References
    ----------
    H. Liu, P. Grigas. Risk bounds and calibration for a smart predict-then-optimize method. NeurIPS
    (2021). arXiv:2108.08887

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import EntropyBall
    >>> oracle = EntropyBall(3, level=0.35667494)
    >>> oracle.solve(np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])).decisions.round(4)
    array([[0.6889, 0.2698, 0.0414],
           [0.3333, 0.3333, 0.3333]])
    """

    n_costs: int

    def __init__(self, n: int, level: float | None = None) -> None:
        n = read_size("EntropyBall", "n", n, 2)
        if level is None:
            level = float(np.log(n) - np.log(n - 0.9))
        if not 0 < level < np.log(n):
            raise InvalidInputError(
                f"EntropyBall: got level={level}, expected a number between 0 and log(n) = "
                f"{np.log(n):.6g}"
            )
        self.n = n
        self.level = level
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        decisions = np.empty(costs.shape)
        run(_decide, len(costs), np.ascontiguousarray(costs), float(self.level), decisions)
        return decisions, Status.OPTIMAL

    def _pull_back(self, costs: Array, vectors: Array) -> Array:
        gradients = np.empty(costs.shape)
        run(_differentiate, len(costs), costs, vectors, float(self.level), gradients)
        return gradients


@kernel
def _exponentials(a: float, x: Array, w: Array) -> None:
    """Write exp(-a x) to w, for a x >= 0, in a form that runs on vector units.

    With exp(y) = 2^k exp(r), the power of two is put together from its bits; the series of the rest
    ends below half an ulp.
    """
    for j in range(len(x)):
        y = -a * x[j]
        y = y if y > -700.0 else -700.0
        # adding 1.5 * 2^52 rounds to an integer, and leaves it in the lowest bits
        shifted = y * 1.4426950408889634 + 6755399441055744.0
        k = shifted - 6755399441055744.0
        r = (y - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
        series = 1.0 / 479001600.0
        series = series * r + 1.0 / 39916800.0
        series = series * r + 1.0 / 3628800.0
        series = series * r + 1.0 / 362880.0
        series = series * r + 1.0 / 40320.0
        series = series * r + 1.0 / 5040.0
        series = series * r + 1.0 / 720.0
        series = series * r + 1.0 / 120.0
        series = series * r + 1.0 / 24.0
        series = series * r + 1.0 / 6.0
        series = series * r + 0.5
        series = series * r + 1.0
        series = series * r + 1.0
        bits = (np.float64(shifted).view(np.int64) << 52) + (1023 << 52)
        w[j] = series * np.int64(bits).view(np.float64)


@kernel
def _guess(level: float, x: Array) -> float:
    """Return a from the first two terms of the divergence's series in a."""
    n = len(x)
    mean = 0.0
    for j in range(n):
        mean += x[j]
    mean /= n
    square = 0.0
    cube = 0.0
    for j in range(n):
        part = (x[j] - mean) * (x[j] - mean)
        square += part
        cube += part * (x[j] - mean)
    a = np.sqrt(level) * np.sqrt(2.0 * n / square)
    return a * (1.0 + min(max(a * cube / (3.0 * square), -0.3), 0.5))


@kernel
def _find(costs: Array, level: float, x: Array, w: Array) -> tuple[float, float, float]:
    """Write the decision to w and scaled costs to x; return a in their units, and these.

    a is zero where the decision is not differentiable.
    """
    n = len(costs)
    largest, span = spread(costs, x)
    if span == 0.0:
        w[:] = 1.0 / n
        return 0.0, largest, span
    n_least = 0
    for j in range(n):
        if x[j] == 0.0:
            n_least += 1
    most = np.log(n) - np.log(n_least)
    if level >= most:
        for j in range(n):
            w[j] = 1.0 / n_least if x[j] == 0.0 else 0.0
        return 0.0, largest, span
    near_most = level > 0.5 * most
    low, high = 0.0, np.inf
    a = _guess(level, x)
    total = 1.0
    mean = 0.0
    change = 0.0
    for _ in range(200):
        _exponentials(a, x, w)
        total = 0.0
        mean = 0.0
        square = 0.0
        for j in range(n):
            part = w[j] * x[j]
            total += w[j]
            mean += part
            square += part * x[j]
        mean /= total
        slope = a * (square / total - mean * mean)
        divergence = np.log(n) - np.log(total) - a * mean
        if divergence < level:
            low = a
        else:
            high = a
        # Newton's step: the root of the divergence is close to linear in a, and where it nears
        # its limit the logarithm of what is missing
        change = np.inf
        if slope > 0.0 and near_most and divergence < most:
            missing = most - divergence
            change = np.log(missing / (most - level)) * missing / slope
        elif slope > 0.0 and divergence > 0.0:
            root = np.sqrt(divergence)
            change = (np.sqrt(level) - root) * 2.0 * root / slope
        if abs(change) < 1e-8:
            break
        following = min(a + change, 8.0 * a)
        if not low < following < high:
            following = np.sqrt(low) * np.sqrt(high) if low > 0.0 else high / 8.0
        change = 0.0
        if following <= low or following >= high or following > 1e300:
            break
        a = following
    # the last step is so small that its first-order effect is all there is
    for j in range(n):
        w[j] *= (1.0 - change * (x[j] - mean)) / total
    return a + change, largest, span


@kernel
def _decide(lo: int, hi: int, costs: Array, level: float, decisions: Array) -> None:
    x = np.empty(costs.shape[1])
    for row in range(lo, hi):
        _find(costs[row], level, x, decisions[row])


@kernel
def _differentiate(
    lo: int, hi: int, costs: Array, vectors: Array, level: float, gradients: Array
) -> None:
    n = costs.shape[1]
    x = np.empty(n)
    w = np.empty(n)
    for row in range(lo, hi):
        a, largest, span = _find(costs[row], level, x, w)
        v = vectors[row]
        mean = 0.0
        center = 0.0
        for j in range(n):
            mean += w[j] * x[j]
            center += w[j] * v[j]
        variance = 0.0
        covariance = 0.0
        for j in range(n):
            part = w[j] * (x[j] - mean)
            variance += part * (x[j] - mean)
            covariance += part * (v[j] - center)
        if a == 0.0 or variance == 0.0:
            gradients[row] = 0.0
            continue
        slope = covariance / variance
        for j in range(n):
            part = (v[j] - center) - slope * (x[j] - mean)
            gradients[row, j] = -a * w[j] * part / span / largest
