"""Predictions with given regret and little risk: along rays from the one of least risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from dfl_solvers.oracle import Array, Oracle

# lengths of a ray in units of the mean cost, before the first length with enough regret is refined
_LENGTHS = 2.0 ** np.arange(-14, 8)
_BISECTIONS = 30
# how much regret is taken for enough, relatively
_CLOSE = 1e-9


@final
class Rays:
    """Where rays of predictions first have each of k amounts of regret.

    Along a ray from the mean cost regret grows, and so does the excess of a convex risk that is
    least there: the first prediction with enough regret is then the best of its ray.
    """

    def __init__(self, oracle: Oracle, mean: Array, origin: Array, eps: Array) -> None:
        self.oracle, self.mean, self.origin, self.eps = oracle, mean, origin, eps
        found = oracle.solve(mean[None])
        self.decision, self.least = found.decisions[0], found.objectives[0]
        self.unit = float(np.linalg.norm(mean)) or 1.0

    def regret(self, predicted: Array) -> Array:
        """Excess regret (m,) of predictions (m, d)."""
        rows = np.broadcast_to(self.mean, predicted.shape)
        return self.oracle.evaluate(rows, self.oracle.solve(predicted).decisions) - self.least

    def search(
        self, risk: Callable[[Array], Array], n: int, n_rounds: int, rng: np.random.Generator
    ) -> Array:
        """Return the prediction (k, d) of least risk (m,) found for each amount of regret."""
        best = np.full((len(self.eps), len(self.mean)), np.nan)
        least = np.full(len(self.eps), np.inf)
        directions = self._directions(n, rng)
        for round_ in range(n_rounds + 1):
            if round_:
                known = np.isfinite(least)
                if not known.any() or len(self.mean) == 1:
                    break
                directions = self._near(best[known] - self.origin, n, 0.5**round_, rng)
            self._improve(best, least, self._first(directions), risk)
        return best

    def _improve(
        self, best: Array, least: Array, predicted: Array, risk: Callable[[Array], Array]
    ) -> None:
        """Take over what has less risk: a prediction serves every smaller amount of regret."""
        regret = self.regret(predicted)
        values = risk(predicted) if len(predicted) else np.zeros(0)
        for i, eps in enumerate(self.eps):
            enough = np.flatnonzero(regret >= eps * (1 - _CLOSE))
            if len(enough):
                j = enough[values[enough].argmin()]
                if values[j] < least[i]:
                    best[i], least[i] = predicted[j], values[j]

    def _directions(self, n: int, rng: np.random.Generator) -> Array:
        """Directions that suit common sets, and random ones."""
        d, mean = len(self.mean), self.mean
        masks = rng.random((n, d)) < rng.random((n, 1))  # some coordinates against their means
        random = rng.normal(size=(n, d))
        raw = np.concatenate(
            [-mean[None], np.eye(d), -np.eye(d), -mean * np.eye(d), -mean * masks, random]
        )
        reached = self.oracle.solve(self.origin + self.unit * 1e3 * _unit(random)).decisions
        toward = _unit(self.decision - np.unique(reached, axis=0)[:n])  # straight to a decision
        return _unit(np.concatenate([raw, toward]))

    def _near(self, ways: Array, n: int, spread: float, rng: np.random.Generator) -> Array:
        """Directions near those that were best, one amount of regret after the other."""
        ways = _unit(np.unique(ways, axis=0))
        rows = ways[np.arange(max(n, len(ways))) % len(ways)]
        noise = rng.normal(size=rows.shape) / np.sqrt(rows.shape[1])
        # many scales, since a good direction at a corner is a narrow one
        return _unit(rows + spread * rng.random((len(rows), 1)) ** 3 * noise)

    def _first(self, directions: Array) -> Array:
        """Return the first predictions (m, d) with enough regret, of all rays and amounts."""
        lengths = self.unit * _LENGTHS
        grid = self.origin + lengths[:, None, None] * directions
        regret = self.regret(grid.reshape(-1, len(self.mean))).reshape(grid.shape[:2])
        enough = regret[None] >= self.eps[:, None, None] * (1 - _CLOSE)
        at, ray = np.nonzero(enough.any(axis=1))
        place = enough.argmax(axis=1)[at, ray]
        high = lengths[place]
        low = np.where(place > 0, lengths[place - 1], 0.0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            reached = self.regret(self.origin + middle[:, None] * directions[ray])
            good = reached >= self.eps[at] * (1 - _CLOSE)
            low, high = np.where(good, low, middle), np.where(good, middle, high)
        return np.unique(self.origin + high[:, None] * directions[ray], axis=0)


def _unit(rows: Array) -> Array:
    """Return the rows that are not zero, at length one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    kept = norms[:, 0] > 0
    return rows[kept] / norms[kept]
