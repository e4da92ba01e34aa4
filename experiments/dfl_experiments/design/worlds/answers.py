"""Bundles of real prompts, a kind of job each, to be given to models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dfl_experiments.design.allocation import allocation
from dfl_experiments.design.worlds.base import World
from dfl_solvers.oracle import Array

if TYPE_CHECKING:
    from dfl_experiments.design.worlds.base import Predict

# shares of the prompts that hypotheses are fitted on, and that decisions are judged on
_WARM_UP, _TEST = 0.3, 0.3


@dataclass(frozen=True, eq=False)
class Answers:
    """What models did with prompts.

    Attributes
    ----------
    features : ndarray of shape (n, p)
        Of the prompts.
    kinds : ndarray of shape (n,)
        Kind of job of each, from 0.
    costs : ndarray of shape (n, k)
        Cost of each model's answer: what was paid for it, less what it is worth.
    """

    features: Array
    kinds: Array
    costs: Array


def bundles(
    answers: Answers,
    capacities: Sequence[int],
    n_pool: int,
    n_test: int,
    n_hypotheses: int,
    seed: int,
) -> World:
    """Make a world of bundles: a prompt of each kind, which models with capacities share.

    One label is the costs of all models on all prompts of a bundle, as they were. Prompts are split
    at random by the seed: hypotheses are fitted on the first part, labels are bought in the second,
    decisions are judged on the third.

    Regret is that of the bundles for test against the best decisions in hindsight, as a share of
    the sum of their objectives. Part of it is chance that no prompt tells of in advance.
    """
    rng = np.random.default_rng(seed)
    kinds = int(answers.kinds.max()) + 1
    parts: tuple[list[Array], ...] = ([], [], [])
    for kind in range(kinds):
        own = rng.permutation(np.flatnonzero(answers.kinds == kind))
        cuts = np.round(len(own) * np.cumsum([_WARM_UP, 1 - _WARM_UP - _TEST])).astype(int)
        for part, rows in zip(parts, np.split(own, cuts), strict=True):
            part.append(rows)
    warm_up, pool, test = parts
    bought, judged = _draw(pool, n_pool, rng), _draw(test, n_test, rng)
    oracle = allocation(kinds, capacities)

    def costs(members: Array) -> Array:
        return np.asarray(answers.costs[members].reshape(len(members), -1))

    truth = costs(judged)
    best = oracle.solve(truth).objectives
    table = _hypotheses(answers, np.concatenate(warm_up), n_hypotheses, rng)
    found = np.array([_regret(oracle, of[judged].reshape(n_test, -1), truth, best) for of in table])
    X = answers.features[bought].reshape(n_pool, -1)
    X_test = answers.features[judged].reshape(n_test, -1)
    labels = costs(bought)

    def label(rows: Array, rng: np.random.Generator) -> Array:
        del rng  # answers are what they are
        return np.asarray(labels[rows])

    def regret(predict: Predict) -> float:
        return _regret(oracle, predict(X_test), truth, best)

    hypotheses = table[:, bought].reshape(n_hypotheses, n_pool, -1)
    return World(oracle, X, label, False, regret, hypotheses, found)


def _draw(parts: Sequence[Array], n: int, rng: np.random.Generator) -> Array:
    """Draw n bundles (n, kinds); a prompt comes again only once all of its kind have come."""
    columns = []
    for rows in parts:
        turns = -(-n // len(rows))
        columns.append(np.concatenate([rng.permutation(rows) for _ in range(turns)])[:n])
    return np.column_stack(columns)


def _regret(oracle: Any, predicted: Array, truth: Array, best: Array) -> float:
    decisions = oracle.solve(predicted).decisions
    return float((np.vecdot(decisions, truth) - best).sum() / np.abs(best).sum())


def _hypotheses(answers: Answers, rows: Array, n: int, rng: np.random.Generator) -> Array:
    """Fit n predictors on bootstrap samples; return what they predict for all prompts, (n, N, k).

    A third each are linear, nearest neighbors and trees, with parameters drawn at random. They see
    the kind of a prompt beside its features.
    """
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.tree import DecisionTreeRegressor

    X = np.hstack([answers.features, 2.0 * np.eye(int(answers.kinds.max()) + 1)[answers.kinds]])
    table = np.empty((n, *answers.costs.shape))
    for i in range(n):
        size = int(rng.integers(20, max(21, min(len(rows), 200))))
        own = rng.choice(rows, size=size)
        if i % 3 == 0:
            model: Any = Ridge(alpha=float(10 ** rng.uniform(0, 3)))
        elif i % 3 == 1:
            model = KNeighborsRegressor(n_neighbors=int(rng.integers(2, 16)))
        else:
            model = DecisionTreeRegressor(
                max_depth=int(rng.integers(1, 6)), min_samples_leaf=3, random_state=i
            )
        table[i] = model.fit(X[own], answers.costs[own]).predict(X)
    return table
