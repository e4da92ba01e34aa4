"""The simplex behind a logarithmic barrier."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel, run
from dfl_solvers.oracle import Array, Instance, Status
from dfl_solvers.problems._smooth import AbstractSmoothOracle, spread


@final
class LogBarrierSimplex(AbstractSmoothOracle):
    r"""Minimize costs over weights that sum to one and keep away from zero.

    A smooth stand-in for the simplex: training with it instead of ``Simplex`` gives decisions and
    surrogates that vary smoothly with the costs, as in cost-sensitive classification. Every weight
    stays positive, whatever the costs.

    Parameters
    ----------
    n : int
        Number of weights; at least two.
    level : float, optional
        Largest value of ``-sum(log(w))``, above ``n log(n)``, which only equal weights reach.
        Default: ``2 n log(n)``, as in the published experiment.

    Attributes
    ----------
    n_costs : int
        Number n of weights.

    Raises
    ------
    InvalidInputError
        If n is below two, or the level not above ``n log(n)`` and finite.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad -\sum_i \log w_i \le r, \; 1^\top w = 1,

    with r the level. The minimizer is proportional to ``1 / (c + u)`` where ``u > -min(c)`` makes
    the constraint an equality; u is found by a safeguarded Newton method in its logarithm, in a
    handful of passes over the costs. The decision changes neither with the scale of the costs nor
    with a constant added to all of them. Weights below about 1e-300, which the default allows from
    some 130 weights on, are rounded.

    Where costs are all equal, every point of the set is optimal; the uniform one is returned, and
    ``vector_jacobian_product`` returns zeros. Everywhere else, with :math:`T = \sum_i 1/(c_i + u)`,

    .. math::

        \frac{\partial \, v^\top w^\star}{\partial c} = q - \frac{\sum_i q_i}{\sum_i k_i} k,
        \qquad q_i = -T w_i^2 (v_i - w^\top v), \qquad k_i = w_i (1 - n w_i).

    The set is no polyhedron, so there is no ``program``.

    References
    ----------
    H. Liu, P. Grigas. Risk bounds and calibration for a smart predict-then-optimize method. NeurIPS
    (2021). arXiv:2108.08887

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import LogBarrierSimplex
    >>> LogBarrierSimplex(3).solve(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])).decisions.round(4)
    array([[0.9184, 0.0538, 0.0277],
           [0.3333, 0.3333, 0.3333]])
    """

    n_costs: int

    def __init__(self, n: int, level: float | None = None) -> None:
        n = read_size("LogBarrierSimplex", "n", n, 2)
        least = float(n * np.log(n))
        if level is None:
            level = 2 * least
        if not least < level < np.inf:
            raise InvalidInputError(
                f"LogBarrierSimplex: got level={level}, expected a number above n log(n) = "
                f"{least:.6g}"
            )
        self.n = n
        self.level = level
        self.n_costs = n
        self._excess = float(level) - least

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        decisions = np.empty(costs.shape)
        run(_decide, len(costs), np.ascontiguousarray(costs), self._excess, decisions)
        return decisions, Status.OPTIMAL

    def _pull_back(self, costs: Array, vectors: Array) -> Array:
        gradients = np.empty(costs.shape)
        run(_differentiate, len(costs), costs, vectors, self._excess, gradients)
        return gradients


@kernel
def _logarithm(z: float) -> float:
    """Return log(exp(z) - 1) for z > 0, without overflow."""
    return z + np.log(-np.expm1(-z))


@kernel
def _find(costs: Array, excess: float, x: Array, y: Array, w: Array) -> tuple[float, float, float]:
    """Write the decision to w; return T, and the two numbers that scale it to the costs' units.

    T is zero for costs that are all equal. For scaled costs x in [0, 1], w is proportional to
    1 / (1 + q x), and the barrier above its least value grows with q: like q^2 at first, like
    log(q) at last, as ``bend * log(1 + b q^2)`` does. So Newton's steps are taken on
    log(exp(barrier / bend) - 1) as a function of log(q), which is close to a line.
    """
    n = len(costs)
    largest, span = spread(costs, x)
    if span == 0.0:
        w[:] = 1.0 / n
        return 0.0, largest, span
    mean = 0.0
    n_least = 0
    for j in range(n):
        mean += x[j]
        if x[j] == 0.0:
            n_least += 1
    mean /= n
    square = 0.0
    for j in range(n):
        square += (x[j] - mean) ** 2
    bend = 0.5 * (n - n_least)
    target = _logarithm(excess / bend)
    low, high = -460.0, 460.0  # ends of log(q)
    position = min(max(0.5 * (target - np.log(0.5 * square / bend)), low), high)
    total = 1.0
    change = 0.0
    for _ in range(200):
        q = np.exp(position)
        for j in range(n):
            y[j] = 1.0 + q * x[j]
        np.reciprocal(y, w)
        total = 0.0
        square = 0.0
        product = 1.0
        barrier = 0.0
        for j in range(n):
            total += w[j]
            square += w[j] * w[j]
            product *= y[j]
            if product > 1e100:
                barrier += np.log(product)
                product = 1.0
        barrier += n * np.log(total / n) + np.log(product)
        slope = n * square / total - total
        change = np.inf
        if slope > 0.0 and barrier > 0.0:
            z = barrier / bend
            change = (target - _logarithm(z)) * -np.expm1(-z) * bend / slope
        if abs(change) < 1e-8:
            break
        if change > 0.0:
            low = position
        else:
            high = position
        position += change
        if not low < position < high:
            position = 0.5 * (low + high)
        change = 0.0
        if not low < position < high:
            break
    # the last step is so small that its first-order effect is all there is
    drift = 1.0 - square / total
    for j in range(n):
        w[j] *= (1.0 - change * (1.0 - w[j] - drift)) / total
    return np.exp(position) * total * (1.0 + change * (1.0 - drift)), largest, span


@kernel
def _decide(lo: int, hi: int, costs: Array, excess: float, decisions: Array) -> None:
    x = np.empty(costs.shape[1])
    y = np.empty(costs.shape[1])
    for row in range(lo, hi):
        _find(costs[row], excess, x, y, decisions[row])


@kernel
def _differentiate(
    lo: int, hi: int, costs: Array, vectors: Array, excess: float, gradients: Array
) -> None:
    n = costs.shape[1]
    x = np.empty(n)
    w = np.empty(n)
    k = np.empty(n)
    for row in range(lo, hi):
        total, largest, span = _find(costs[row], excess, x, k, w)
        if total == 0.0:
            gradients[row] = 0.0
            continue
        v = vectors[row]
        q = gradients[row]
        center = 0.0
        for j in range(n):
            center += w[j] * v[j]
        all_q = 0.0
        all_k = 0.0
        for j in range(n):
            q[j] = -total * w[j] * w[j] * (v[j] - center)
            k[j] = w[j] * (1.0 - n * w[j])
            all_q += q[j]
            # sums to the same as k, without cancellation
            all_k -= n * (w[j] - 1.0 / n) ** 2
        if all_k == 0.0:  # a level so low that rounding leaves equal weights only
            gradients[row] = 0.0
            continue
        for j in range(n):
            q[j] = (q[j] - all_q / all_k * k[j]) / span / largest
