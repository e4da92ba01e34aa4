"""Rows with two bounds as equations and inequalities, for solvers that know only those."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.oracle import Array


class Sides(NamedTuple):
    """Which rows are equations, at most their upper and at least their lower bounds."""

    equal: Array
    at_most: Array
    at_least: Array

    @classmethod
    def of(cls, lower: Array, upper: Array) -> Sides:
        """Divide rows by their bounds; one with two bounds is at most and at least."""
        equal = lower == upper
        return cls(
            np.flatnonzero(equal),
            np.flatnonzero(~equal & np.isfinite(upper)),
            np.flatnonzero(~equal & np.isfinite(lower)),
        )

    def agree(self, other: Sides) -> bool:
        """Tell whether the rows are divided alike."""
        return all(np.array_equal(ours, theirs) for ours, theirs in zip(self, other, strict=True))

    @property
    def rows(self) -> Array:
        """The rows, one after another."""
        return np.concatenate(self)

    def right(self, lower: Array, upper: Array) -> Array:
        """Return the right-hand sides of the rows."""
        return np.concatenate([upper[self.equal], upper[self.at_most], lower[self.at_least]])
