"""A proximal bundle method with one model a sample: any oracle, and a proof of how good it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import clarabel
import numpy as np
import scipy.sparse as sp

from dfl.estimators._spo_plus_risk import Cuts, Found, Risk
from dfl_solvers.oracle import Array

# the weight of the proximal term falls by this factor, and to no less than this part of the first
_FALL, _FLOOR = 0.3, 1e-7
# and rises by as much after more null steps in a row
_NULL_STEPS = 2
# a cut that had no part in the last so many steps is dropped
_PATIENCE = 4


class Bundle(NamedTuple):
    """Cuts to start from, and how many steps each has been idle."""

    cuts: Cuts
    idle: Array


def minimize(
    risk: Risk, start: Array, tol: float, max_iter: int, bundle: Bundle | None = None
) -> tuple[Found, Bundle]:
    """Minimize the penalized risk to a relative gap of ``tol``.

    Each step minimizes ``sum_i weight_i max_j cut_ij(B) + penalty(B) + mu/2 |B - center|^2``, asks
    the oracle for cuts there, and moves the center where the risk has fallen. The dual solution of
    the step is a convex combination of the cuts of each sample, hence a function below the risk:
    its minimum is the lower bound. The samples have cuts of their own, not one for their sum, and
    a few of them lie on each loss at the optimum: it takes about ten steps.

    Parameters
    ----------
    risk : Risk
    start : ndarray of shape (d, 1 + p)
    tol : float
        Relative gap at which to stop.
    max_iter : int
        Largest number of batches that the oracle solves.
    bundle : Bundle, optional
        Of the same samples, with another penalty.
    """
    center, fresh = start, risk.cuts(start)
    losses = risk.values(fresh, center)
    value = float(risk.weights @ losses) + risk.penalty_of(center)
    n, zero = len(losses), np.zeros_like(start)
    scale = float(risk.weights @ risk.cuts(zero).constants)
    n_iter, idle_steps, bound = 1, 0, 0.0  # no loss is negative
    if bundle is None:
        nothing = Cuts(fresh.rows, np.zeros_like(fresh.slopes), np.zeros(n))
        bundle = Bundle(nothing, np.zeros(n, dtype=int))
    bundle = _extended(risk, bundle, fresh, losses, center)
    # the term has the size of the risk where predictions have moved by the size of the costs
    size = float(risk.weights @ np.vecdot(risk.costs, risk.costs))
    mu = first = 2 * value / size if size > 0 else 1.0
    while n_iter < max_iter and risk.relative(value, bound, scale) > tol:
        candidate, shares = _step(risk, center, losses, mu, bundle.cuts)
        n_iter += 1
        if candidate is None:  # numerical trouble: a shorter step is easier
            mu *= 100
            if mu > 1e6 * first:
                break
            continue
        bound = max(bound, _bound(risk, bundle.cuts, shares, candidate))
        fresh = risk.cuts(candidate)
        found = risk.values(fresh, candidate)
        new = float(risk.weights @ found) + risk.penalty_of(candidate)
        below = _model(risk, bundle.cuts, candidate)
        expected = float(risk.weights @ below) + risk.penalty_of(candidate)
        serious = new <= value - 0.1 * (value - expected)
        known = len(bundle.cuts.rows)
        idle = np.where(shares > 1e-9 * risk.weights[bundle.cuts.rows], 0, bundle.idle + serious)
        bundle = _extended(risk, Bundle(bundle.cuts, idle), fresh, found, candidate, below)
        if serious or len(bundle.cuts.rows) == known:
            if mu == _FLOOR * first and not new < value:
                break  # the next step would be the same
            mu, idle_steps = max(_FALL * mu, _FLOOR * first), 0
        else:
            idle_steps += 1
            if idle_steps > _NULL_STEPS:
                mu /= _FALL
        active = bundle.idle < _PATIENCE
        bundle = Bundle(bundle.cuts.take(active), bundle.idle[active])
        if new < value:
            center, losses, value = candidate, found, new
    return Found(center, bound, n_iter), bundle


def _extended(
    risk: Risk,
    bundle: Bundle,
    fresh: Cuts,
    losses: Array,
    parameters: Array,
    below: Array | None = None,
) -> Bundle:
    """Add the cuts that say more at the parameters than those that are there."""
    if below is None:
        below = _model(risk, bundle.cuts, parameters)
    more = losses > below + 1e-10 * (1 + np.abs(losses))
    idle = np.concatenate([bundle.idle, np.zeros(np.count_nonzero(more), dtype=int)])
    return Bundle(bundle.cuts.join(fresh.take(more)), idle)


def _model(risk: Risk, cuts: Cuts, parameters: Array) -> Array:
    """Return the largest cut of each sample at parameters, (n,)."""
    largest = np.full(len(risk.weights), -np.inf)
    np.maximum.at(largest, cuts.rows, risk.values(cuts, parameters))
    return largest


def _bound(risk: Risk, cuts: Cuts, shares: Array, candidate: Array) -> float:
    slope = (shares @ risk.matrix(cuts)).reshape(candidate.shape)
    return risk.least(float(shares @ cuts.constants), slope, float(np.abs(candidate).max()))


def _step(
    risk: Risk, center: Array, losses: Array, mu: float, cuts: Cuts
) -> tuple[Array | None, Array]:
    """Minimize the model around the center; return the minimizer and the shares of the cuts.

    Variables are the step (and with the penalty l1 the sizes of the entries), then how much the
    loss of each sample rises; n times the risk is minimized, so that numbers are near one.
    """
    n, (d, q) = len(losses), center.shape
    slopes, at = risk.matrix(cuts), center.ravel()
    weight = np.tile(risk.penalized, d)
    above = losses[cuts.rows] - (slopes @ at + cuts.constants)
    rise = sp.csr_array(
        (np.ones(len(cuts.rows)), (np.arange(len(cuts.rows)), cuts.rows)), shape=(len(above), n)
    )
    quadratic, linear = np.full(d * q, n * mu), np.zeros(d * q)
    rows: list[list[Any]] = [[slopes, -rise]]
    right = [above]
    if risk.penalty == "l1" and risk.alpha > 0:
        sized = np.flatnonzero(weight)
        pick = sp.eye_array(d * q, format="csr")[sized]
        size = sp.eye_array(len(sized))
        rows = [[slopes, None, -rise], [pick, -size, None], [-pick, -size, None]]
        right += [-at[sized], at[sized]]
        quadratic = np.append(quadratic, np.zeros(len(sized)))
        linear = np.append(linear, n * weight[sized])
    else:
        quadratic += n * weight
        linear += n * weight * at
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    # as exact as it can be, which is where it stops: what is left of the slope widens the gap
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    matrix = sp.csc_matrix(sp.block_array(rows))
    solution = clarabel.DefaultSolver(
        sp.csc_matrix(sp.diags_array(np.append(quadratic, np.zeros(n)))),
        np.concatenate([linear, n * risk.weights]),
        matrix,
        np.concatenate(right),
        [clarabel.NonnegativeConeT(matrix.shape[0])],
        settings,
    ).solve()
    step = np.array(solution.x[: d * q])
    shares = np.maximum(np.array(solution.z[: len(above)]), 0.0)
    total = np.bincount(cuts.rows, shares, n)
    if not (np.isfinite(step).all() and (total > 0).all() and np.isfinite(total).all()):
        return None, shares
    return center + step.reshape(d, q), shares * (risk.weights / total)[cuts.rows]
