"""How much excess regret an excess of surrogate risk can hide: Monte-Carlo estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from dfl import metrics
from dfl._validation import check_above_zero
from dfl.exceptions import InvalidInputError
from dfl.layers.noise import Noise, Normal, noise_by_name
from dfl.losses import AbstractLoss, SPOPlusLoss, Target, make_loss
from dfl.risk._rays import Rays
from dfl_solvers import minimizing
from dfl_solvers.oracle import Array, Oracle

Sampler = Callable[[int, np.random.Generator], Array]

# rows that an oracle is asked for at once, so that memory stays bounded
_BLOCK = 100_000
# losses whose risk is least at the mean of costs that are symmetric about it
_AT_THE_MEAN = ("absolute", "spo+", "squared")


@final
@dataclass(frozen=True, eq=False)
class CalibrationFunction:
    """Upper estimates of a calibration function at k points.

    Attributes
    ----------
    eps : ndarray of shape (k,)
        Excess regret.
    value : ndarray of shape (k,)
        Least excess of surrogate risk that was found for so much excess regret: an upper estimate,
        infinite where no prediction has so much.
    low, high : ndarray of shape (k,)
        Confidence interval of the excess risk of ``predictions``.
    predictions : ndarray of shape (k, d)
        The predictions that were found; NaN where there is none.
    """

    eps: Array
    value: Array
    low: Array
    high: Array
    predictions: Array


def calibration_function(
    loss: str | AbstractLoss,
    oracle: Oracle,
    mean_cost: npt.ArrayLike,
    noise: str | Noise | Sampler,
    eps: npt.ArrayLike,
    *,
    sigma: float = 1.0,
    antithetic: bool = True,
    n_samples: int = 4000,
    n_directions: int = 128,
    n_rounds: int = 4,
    confidence: float = 0.95,
    random_state: Any = None,
) -> CalibrationFunction:
    r"""Estimate how much excess surrogate risk a given excess of regret must have.

    The calibration function of a surrogate says what training buys: a model whose surrogate risk
    is within :math:`\delta(\varepsilon)` of the least has an expected regret within
    :math:`\varepsilon` of the least. A surrogate whose function is zero promises nothing, however
    well it is trained; compare surrogates by it for the costs and the noise at hand.

    Parameters
    ----------
    loss : str or AbstractLoss
        A name of ``dfl.losses.available()``, or a loss object with an oracle of its own, such as
        SPO+ on a smooth stand-in of the feasible set.
    oracle : Oracle
        The problem that decides.
    mean_cost : array-like of shape (d,)
        Expected costs (values, for a maximizing oracle) at some features.
    noise : {"normal", "gumbel", "multiplicative"}, Noise, or callable
        Law of the costs around their mean: one of ``dfl.layers``, or a function of a number n
        and a NumPy Generator that returns n deviations (n, d) of mean zero, such as resampled
        residuals.
    eps : array-like of shape (k,)
        Excess regret, in units of the objective; positive.
    sigma : float, default=1.0
        Size of the noise of a law.
    antithetic : bool, default=True
        Draw costs in pairs ``mean + z, mean - z``. This makes them symmetric about their mean, so
        it is for symmetric laws; it makes residuals symmetric.
    n_samples : int, default=4000
        Number of costs that judge a prediction.
    n_directions : int, default=128
        Number of directions of predictions that are looked at, twice as many at first.
    n_rounds : int, default=4
        How often directions near the best ones are looked at.
    confidence : float, default=0.95
        Share of the intervals that hold the true value.
    random_state : int, Generator or None
        Seeds costs and predictions.

    Returns
    -------
    CalibrationFunction
        Estimates with intervals.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or antithetic draws are asked of a law that is not
        symmetric.
    UnsupportedError
        If loss and oracle do not go together.

    See Also
    --------
    calibration_bound : What theorems say, for comparison.
    excess_risk_bound : From surrogate risk to regret.

    Notes
    -----
    For costs c with mean :math:`\bar c`, a loss :math:`\ell` and excess regret
    :math:`r(p) = \bar c^\top (w^\star(p) - w^\star(\bar c))`,

    .. math::

        \delta(\varepsilon) = \inf_p \{ \mathbb{E}\,\ell(p, c) - \inf_q \mathbb{E}\,\ell(q, c) :
        r(p) \ge \varepsilon \}.

    From the prediction of least risk, each direction is followed to the first prediction with so
    much regret; best directions, by a first sample, are refined; those found are judged by a second
    sample, so that no choice favors the estimate. As they are some predictions and not all, it is
    an upper estimate; the interval is of the sampling alone.

    For SPO+ and antithetic draws the least risk is at the mean, exactly, and the excess is computed
    by an identity that holds draw by draw and never is negative,

    .. math::

        \mathbb{E}\,\ell_+(\bar c + \Delta, c) - \mathbb{E}\,\ell_+(\bar c, c)
        = \mathbb{E}\,(c + 2 \Delta)^\top (w^\star(c) - w^\star(c + 2 \Delta)).

    For the squared error it is at the mean as well, and for the absolute error at symmetric
    costs. For other losses it is searched for by gradient descent; what the search misses makes the
    estimate too small.

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887; Steinwart, "How to compare different loss functions and their risks",
    Constructive Approximation 26, 2007, doi 10.1007/s00365-006-0662-3. The search is a
    reconstruction.

    Examples
    --------
    >>> from dfl.risk import calibration_function
    >>> from dfl_solvers import Box
    >>> found = calibration_function(
    ...     "spo+", Box(1), [0.7], "normal", [0.1, 1.0], sigma=1.3, random_state=0
    ... )
    >>> bool(found.low[0] < 0.2868191 < found.high[0]), float(found.value[1])
    (True, inf)
    """
    held, sign = minimizing(oracle)
    mean = sign * _mean(mean_cost, held)
    points = np.atleast_1d(np.asarray(eps, dtype=float))
    if points.ndim != 1 or not (points > 0).all():
        raise InvalidInputError(f"calibration_function: got eps={eps!r}, expected positive numbers")
    for name, number, least in (("n_samples", n_samples, 8), ("n_directions", n_directions, 1),
                                ("n_rounds", n_rounds, 0)):  # fmt: skip
        if number < least:
            raise InvalidInputError(f"got {name}={number}, expected at least {least}")
    rng = np.random.default_rng(random_state)
    module = make_loss(loss, held) if isinstance(loss, str) else loss
    named = loss if isinstance(loss, str) else None
    if isinstance(module, SPOPlusLoss):
        named = "spo+"
    draw = _sampler(noise, sigma, antithetic, sign * mean, sign)

    def risk(n: int) -> _Risk:
        return _Risk(module, draw(n, rng), mean, antithetic)

    first = risk(max(8, n_samples // 8))
    at_the_mean = named == "squared" or (antithetic and named in _AT_THE_MEAN)
    origin = mean if at_the_mean else first.minimizer()
    rays = Rays(held, mean, origin, points)
    predictions = rays.search(
        lambda predicted: first.excess(predicted, origin).mean(axis=1), n_directions, n_rounds, rng
    )
    known = np.isfinite(predictions).all(axis=1)
    value, low, high = np.full((3, len(points)), np.inf)
    if known.any():
        excess = risk(n_samples).excess(predictions[known], origin)
        found = [metrics.mean_interval(row, confidence=confidence) for row in excess]
        value[known], low[known], high[known] = np.array([(i.mean, i.low, i.high) for i in found]).T
    return CalibrationFunction(points, value, low, high, sign * predictions)


@final
class _Risk:
    """The excess risk of predictions, by a fixed sample of costs."""

    def __init__(self, loss: AbstractLoss, costs: Array, mean: Array, antithetic: bool) -> None:
        self.loss, self.costs, self.mean, self.antithetic = loss, costs, mean, antithetic
        self.identity = isinstance(loss, SPOPlusLoss) and antithetic
        if self.identity:
            self.decisions = loss.oracle.solve(costs).decisions
        else:
            self.target = loss.complete(Target(costs=torch.from_numpy(costs)))

    def excess(self, predicted: Array, origin: Array) -> Array:
        """Excess risk (m, n) of predictions (m, d) over the origin; one number a pair of draws."""
        rows = max(1, _BLOCK // len(self.costs))
        blocks = [predicted[i : i + rows] for i in range(0, len(predicted), rows)]
        values = np.concatenate([self._block(block, origin) for block in blocks])
        if self.antithetic:  # pairs are halves apart, and independent of one another
            half = values.shape[1] // 2
            values = (values[:, :half] + values[:, half:]) / 2
        return values

    def minimizer(self, steps: int = 300) -> Array:
        """Search for the prediction of least risk by gradient descent from the mean."""
        size = float(np.abs(self.costs).mean())
        output = torch.tensor(self.mean[None], requires_grad=True)
        optimizer = torch.optim.Adam([output], lr=0.05 * size)
        best, least = self.mean, np.inf
        for step in range(steps):
            values = self._values(output.expand(len(self.costs), -1))
            if float(values.detach()) < least:
                best, least = output.detach().numpy()[0].copy(), float(values.detach())
            optimizer.param_groups[0]["lr"] = 0.05 * size * (1 - step / steps)
            optimizer.zero_grad()
            values.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return best

    def _values(self, output: torch.Tensor) -> torch.Tensor:
        return self.loss.per_sample(output, self.target).mean()

    def _block(self, predicted: Array, origin: Array) -> Array:
        m, n = len(predicted), len(self.costs)
        if self.identity:
            shifted = (self.costs + 2 * (predicted - self.mean)[:, None]).reshape(m * n, -1)
            oracle = self.loss.oracle
            own = np.tile(self.decisions, (m, 1))
            best = oracle.solve(shifted).decisions
            gap = oracle.evaluate(shifted, own) - oracle.evaluate(shifted, best)
            return np.asarray(gap).reshape(m, n)
        with torch.no_grad():
            here = [self._per_sample(row) for row in (origin, *predicted)]
        return np.stack(here[1:]) - here[0]

    def _per_sample(self, predicted: Array) -> Array:
        output = torch.from_numpy(np.tile(predicted, (len(self.costs), 1)))
        return self.loss.per_sample(output, self.target).numpy()


def _mean(mean_cost: npt.ArrayLike, oracle: Oracle) -> Array:
    mean = np.asarray(mean_cost, dtype=float)
    if mean.ndim != 1 or not np.isfinite(mean).all() or not len(mean):
        raise InvalidInputError(
            f"got mean_cost of shape {mean.shape}, expected (d,) with finite numbers"
        )
    if oracle.n_costs not in (None, len(mean)):
        raise InvalidInputError(
            f"got {len(mean)} mean costs, expected {oracle.n_costs}, the number of costs of "
            f"{oracle!r}"
        )
    return mean


def _sampler(
    noise: str | Noise | Sampler, sigma: float, antithetic: bool, center: Array, sign: int
) -> Sampler:
    """Return a function that draws costs in the sense of minimization, pairs in two halves."""
    law = noise_by_name(noise) if isinstance(noise, str) else noise
    check_above_zero("calibration_function", sigma=sigma)
    if hasattr(law, "perturb"):
        if antithetic and not isinstance(law, Normal):
            raise InvalidInputError(
                f"calibration_function: the law {law!r} is not symmetric about its mean; expected "
                "antithetic=False"
            )
        deviate = _of_law(law, sigma, center)
    else:
        deviate = law

    def draw(n: int, rng: np.random.Generator) -> Array:
        count = (n + 1) // 2 if antithetic else n
        z = np.asarray(deviate(count, rng), dtype=float)
        if z.shape != (count, len(center)) or not np.isfinite(z).all():
            raise InvalidInputError(
                f"calibration_function: got noise of shape {z.shape}, expected finite numbers of "
                f"shape {(count, len(center))}"
            )
        return sign * (center + (np.concatenate([z, -z]) if antithetic else z))

    return draw


def _of_law(law: Any, sigma: float, center: Array) -> Sampler:
    def deviate(n: int, rng: np.random.Generator) -> Array:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        mean = torch.from_numpy(center[None])
        z = law.draw((1, n, len(center)), mean, generator)
        perturbed: Array = law.perturb(mean, z, sigma)[0].numpy()
        return perturbed - center

    return deviate
