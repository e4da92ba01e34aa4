"""What verdicts of all tasks share: a table of scores, intervals, and rules that are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

from dfl_solvers.oracle import Array

# shares of the untuned model's that are to be left
LEFT = 0.7
_RANKS = 0.7
_NOTHING = 0.05

# those that are no way to tune
_CONTROLS = ("untuned", "constant reward", "flipped reward")


@final
class Table:
    """Scores by method and seed.

    Parameters
    ----------
    cells : sequence of (str, int, mapping)
        Name of a method, seed, and ``scores``.

    Examples
    --------
    >>> table = Table([("gradspo", seed, {"scores": {"reward": 0.5 + seed}}) for seed in range(3)])
    >>> table.values("gradspo", "reward").tolist(), table.has("gradspo", "spo")
    ([0.5, 1.5, 2.5], False)
    """

    def __init__(self, cells: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        self._scores: dict[str, dict[int, Mapping[str, float]]] = {}
        for name, seed, content in cells:
            self._scores.setdefault(name, {})[seed] = content["scores"]

    def has(self, *names: str) -> bool:
        """Return whether there are all of these methods."""
        return set(names) <= set(self._scores)

    @property
    def tuned(self) -> list[str]:
        """Methods that are no controls."""
        return [name for name in self._scores if name not in _CONTROLS]

    def values(self, name: str, score: str) -> Array:
        """Return a score of a method, seed by seed."""
        import numpy as np

        own = self._scores[name]
        return np.array([own[seed][score] for seed in sorted(own)], float)

    def apart(self, name: str, other: str, score: str) -> Array:
        """Return how far a score of a method is above another's, by seeds that both have."""
        import numpy as np

        own, theirs = self._scores[name], self._scores[other]
        seeds = sorted(set(own) & set(theirs))
        return np.array([own[seed][score] - theirs[seed][score] for seed in seeds], float)

    def ranks_alike(self, first: str, second: str, words: str) -> list[str]:
        """Return what is said of two scores that are to rank methods alike, if three are there.

        Parameters
        ----------
        first, second : str
            Scores.
        words : str
            What they are.
        """
        import numpy as np
        from scipy.stats import spearmanr

        tuned = self.tuned
        seeds = set.intersection(*(set(self._scores[name]) for name in tuned)) if tuned else set()
        if len(tuned) < 3 or not seeds:
            return []

        def column(seed: int, score: str) -> list[float]:
            return [self._scores[name][seed][score] for name in tuned]

        ranks = [
            spearmanr(column(seed, first), column(seed, second)).statistic for seed in sorted(seeds)
        ]
        mean = float(np.mean(ranks))
        return [
            f"A5, {word(mean > _RANKS)}: {words} rank {len(tuned)} methods alike, with a mean rank "
            f"correlation of {mean:.2f} over seeds; above {_RANKS} wanted."
        ]

    def nothing_learned(self) -> list[str]:
        """Return what is said of a constant reward, from which nothing is to be learned."""
        if not self.has("constant reward", "untuned"):
            return []
        change = self.apart("constant reward", "untuned", "reward")
        error = 2 * float(change.std(ddof=1)) / math.sqrt(len(change)) if len(change) > 1 else 0.0
        far = float(self.values("constant reward", "divergence").mean())
        nothing = abs(float(change.mean())) <= error and far < _NOTHING
        return [
            f"A6, {word(nothing)}: a constant reward changes the reward by {change.mean():.4f} "
            f"(two standard errors: {error:.4f}) and the path by {far:.4f} nats, of at most "
            f"{_NOTHING}."
        ]


def bootstrap(values: Array) -> tuple[float, float, float]:
    """Return the mean with its 95 % bootstrap interval."""
    from dfl.metrics import paired_bootstrap

    found = paired_bootstrap(values, 0 * values, random_state=0)
    return found.difference, found.low, found.high


def word(holds: bool) -> str:
    """Say whether a rule holds."""
    return "holds" if holds else "does not hold"


def text(interval: tuple[float, float, float]) -> str:
    """Write a mean with its interval."""
    mean, low, high = interval
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
