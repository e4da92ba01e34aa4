"""The empirical SPO+ risk of a linear model: its value, what lies below it, and how far at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers.oracle import Array, Instance, Oracle, Solution

Penalty = Literal["l1", "l2"] | None
# a lower bound holds for coefficients up to so many times the largest one found
_ROOM = 10.0


class Cuts(NamedTuple):
    """Affine functions below the losses: sample ``rows[j]`` loses at least this at parameters B.

    ``constants[j] + slopes[j].(B x)``, with equality where the cut was made.
    """

    rows: Array
    slopes: Array
    constants: Array

    def join(self, other: Cuts) -> Cuts:
        """Return the cuts of both."""
        return Cuts(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def take(self, keep: Array) -> Cuts:
        """Return some of the cuts."""
        return Cuts(*(part[keep] for part in self))


class Found(NamedTuple):
    """What a solver found: parameters, and the number of its iterations.

    ``bound`` is a lower bound of the penalized risk of all parameters, as ``Risk.least`` puts it.
    """

    parameters: Array
    bound: float
    n_iter: int


@final
@dataclass(frozen=True)
class Risk:
    """The penalized SPO+ risk of parameters B (d, 1 + p).

    ``sum_i weight_i l(B x_i, c_i) + penalty``, with x_i after a one.

    Attributes
    ----------
    inputs : ndarray of shape (n, 1 + p)
        Features, after a column of ones.
    costs : ndarray of shape (n, d)
    weights : ndarray of shape (n,)
        Positive; they sum to one.
    oracle : Oracle
        Minimizing, in the units of the costs.
    instance : mapping of str to ndarray, or None
    decisions, own : ndarray of shape (n, d) and (n,)
        Optimal for the costs, and what their objectives hold beside ``c.w``.
    penalty, alpha
        ``alpha`` times the sum of absolute values, or half the sum of squares, of all entries but
        those of the first column.
    """

    inputs: Array
    costs: Array
    weights: Array
    oracle: Oracle
    instance: Instance | None
    decisions: Array
    own: Array
    penalty: Penalty
    alpha: float

    @classmethod
    def of(
        cls,
        features: Array,
        costs: Array,
        weights: Array,
        oracle: Oracle,
        instance: Instance | None,
        penalty: Penalty = None,
        alpha: float = 0.0,
    ) -> Self:
        """Label the samples and put the risk together."""
        inputs = np.column_stack([np.ones(len(features)), features])
        solution = oracle.solve(costs, instance)
        own = _own_part(oracle, costs, solution)
        decisions = np.asarray(solution.decisions, dtype=float)
        total = weights / weights.sum()
        return cls(inputs, costs, total, oracle, instance, decisions, own, penalty, alpha)

    @property
    def penalized(self) -> Array:
        """Weight (1 + p,) of the columns of B in the penalty."""
        weight = np.full(self.inputs.shape[1], self.alpha if self.penalty else 0.0)
        weight[0] = 0.0
        return weight

    def least_squares(self) -> Array:
        """Return the parameters that fit the costs best: where the search starts."""
        root = np.sqrt(self.weights)[:, None]
        return np.linalg.lstsq(root * self.inputs, root * self.costs, rcond=None)[0].T

    def cuts(self, parameters: Array) -> Cuts:
        """Return a cut for each sample that touches its loss at the parameters: one batch."""
        shifted = 2 * self.inputs @ parameters.T - self.costs
        solution = self.oracle.solve(shifted, self.instance)
        difference = self.decisions - solution.decisions
        own = self.own - _own_part(self.oracle, shifted, solution)
        constants = own - np.vecdot(self.costs, difference)
        return Cuts(np.arange(len(own)), 2 * difference, constants)

    def values(self, cuts: Cuts, parameters: Array) -> Array:
        """Return the values of cuts at parameters."""
        predicted = self.inputs @ parameters.T
        return np.vecdot(predicted[cuts.rows], cuts.slopes) + cuts.constants

    def penalty_of(self, parameters: Array) -> float:
        """Return alpha times the penalty."""
        size = np.abs(parameters) if self.penalty == "l1" else parameters**2 / 2
        return float((size @ self.penalized).sum())

    def value(self, parameters: Array) -> float:
        """Return the penalized risk, as the oracle says."""
        losses = self.values(self.cuts(parameters), parameters)
        return float(self.weights @ losses) + self.penalty_of(parameters)

    def matrix(self, cuts: Cuts) -> sp.csr_array:
        """Return the slopes of cuts in the parameters, row by row of B: shape (N, d (1 + p))."""
        d, q = self.decisions.shape[1], self.inputs.shape[1]
        which, coordinate = np.nonzero(cuts.slopes)
        data = cuts.slopes[which, coordinate, None] * self.inputs[cuts.rows[which]]
        columns = coordinate[:, None] * q + np.arange(q)
        ends = np.bincount(which + 1, minlength=len(cuts.rows) + 1).cumsum() * q
        return sp.csr_array((data.ravel(), columns.ravel(), ends), shape=(len(cuts.rows), d * q))

    def least(self, constant: float, slope: Array, largest: float) -> float:
        """Return the least of ``constant + <slope, B> + penalty``: a lower bound of the risk.

        If what ``constant + <slope, B>`` bounds is the risk without penalty. B is within a box ten
        times as large as the largest entry found, so that a slope that should be zero and is so up
        to rounding does no harm; nothing else is left out.
        """
        radius, weight = _ROOM * largest, self.penalized
        steepness = np.abs(slope)
        if self.penalty == "l1":
            return constant - radius * float(np.maximum(steepness - weight, 0.0).sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.fmin(steepness / weight, radius)  # nan where both are zero
        return constant + float((weight / 2 * at**2 - steepness * at).sum())

    def relative(self, value: float, bound: float, scale: float) -> float:
        """Return the gap in relation to the risk, or to a thousandth of ``scale`` if that is more.

        ``scale`` is the risk of predicting zero; where the fit is perfect the risk is nothing to
        divide by.
        """
        gap, norm = max(value - bound, 0.0), max(value, 1e-3 * scale)
        return gap / norm if norm > 0 else gap


def _own_part(oracle: Oracle, costs: Array, solution: Solution) -> Array:
    if getattr(oracle, "linear_objective", True):
        return np.zeros(len(costs))
    return solution.objectives - np.vecdot(costs, solution.decisions)
