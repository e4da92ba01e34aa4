"""A committee of any estimator, each fitted on other labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from dfl.design.protocols import Labels
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


@final
class BootstrapCommittee:
    """Members of one kind, each fitted on labels drawn with replacement.

    Use it where you have an estimator you trust and no posterior: trees, neighbors, networks,
    decision-focused estimators. All members are fitted again after each ``tell``.

    Parameters
    ----------
    estimator : scikit-learn regressor
        With ``fit(X, C)`` and ``predict(X)``; it is cloned, never fitted itself.
    n_members : int, default=20
        Number of members, each a fitted copy.
    min_labels : int, default=5
        Labels before the first fit; until then rows are drawn by the law of the pool.
    random_state : int, default=0
        Seed of the resampling, and of members that have a ``random_state``.

    Attributes
    ----------
    members_ : list of fitted estimators
    n_labels_ : int

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range, or a member predicts costs of a wrong shape.

    Notes
    -----
    A label is drawn with a probability in proportion to its importance weight, so that members are
    fitted to the law of the pool, whatever the criterion asked for.

    References
    ----------
    Efron & Tibshirani, "An Introduction to the Bootstrap", 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from dfl.design import BootstrapCommittee, RandomSampling, SequentialDesign
    >>> from dfl_solvers import Box
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> model = BootstrapCommittee(Ridge(), n_members=3)
    >>> design = SequentialDesign(model, RandomSampling(), Box(2), random_state=0)
    >>> indices, _ = design.ask(X, 10)
    >>> _ = design.tell(indices, X[indices] @ np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> model.members(X).shape
    (30, 3, 2)
    """

    def __init__(
        self, estimator: Any, n_members: int = 20, min_labels: int = 5, random_state: int = 0
    ) -> None:
        if n_members < 2 or min_labels < 1:
            raise InvalidInputError(
                f"BootstrapCommittee: got n_members={n_members} and min_labels={min_labels}, "
                "expected at least 2 and 1"
            )
        self.estimator = estimator
        self.n_members = n_members
        self.min_labels = min_labels
        self.random_state = random_state
        self._labels = Labels(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0))
        self._members: list[Any] | None = None

    @property
    def n_labels_(self) -> int:
        """Number of labels so far."""
        return len(self._labels.X)

    @property
    def ready(self) -> bool:
        """True once there are ``min_labels`` labels."""
        return self.n_labels_ >= self.min_labels

    @property
    def members_(self) -> list[Any]:
        """The fitted members."""
        if not self.ready:
            raise InvalidInputError(
                f"BootstrapCommittee has {self.n_labels_} labels, expected {self.min_labels} for "
                "the first fit"
            )
        if self._members is None:
            self._members = self._fit(self._labels)
        return self._members

    def members(self, X: Array) -> Array:
        """Return costs that each member predicts, (n, p) to (n, n_members, d)."""
        rows = np.asarray(X, dtype=float)
        shape = len(rows), self._labels.C.shape[1]
        found = [np.asarray(member.predict(rows), dtype=float) for member in self.members_]
        if any(one.size != shape[0] * shape[1] for one in found):
            raise InvalidInputError(
                f"a member of the committee predicts costs of shape {found[0].shape}, expected "
                f"{shape}"
            )
        return np.stack([one.reshape(shape) for one in found], axis=1)

    def predict(self, X: Array) -> Array:
        """Mean of the costs that members predict, (n, p) to (n, d)."""
        return np.asarray(self.members(X).mean(axis=1))

    def update(self, labels: Labels, oracle: Oracle) -> None:
        """Learn from labels: fit all members again; see ``SequentialDesign.tell``."""
        joined = labels
        if self.n_labels_:
            old = self._labels
            if labels.C.shape[1] != old.C.shape[1] or labels.X.shape[1] != old.X.shape[1]:
                raise InvalidInputError(
                    f"got labels of {labels.X.shape[1]} features and {labels.C.shape[1]} costs, "
                    f"expected {old.X.shape[1]} and {old.C.shape[1]} as before"
                )
            joined = Labels(
                np.vstack([old.X, labels.X]),
                np.vstack([old.C, labels.C]),
                np.append(old.weights, labels.weights),
                np.append(old.ranges, labels.ranges),
            )
        members = self._fit(joined) if len(joined.X) >= self.min_labels else None
        self._labels, self._members = joined, members

    def summary(self) -> dict[str, float]:
        """Effective number of labels: what their weights leave of them."""
        weights = self._labels.weights
        return {"effective_labels": float(weights.sum() ** 2 / (weights @ weights))}

    def get_state(self) -> dict[str, Array]:
        """Return the labels; from them the same members are fitted again."""
        own = self._labels
        return {"X": own.X, "C": own.C, "weights": own.weights, "ranges": own.ranges}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what ``get_state`` returned."""
        self._labels = Labels(state["X"], state["C"], state["weights"], state["ranges"])
        self._members = None

    def __repr__(self) -> str:
        return (
            f"BootstrapCommittee({self.estimator!r}, n_members={self.n_members!r}, "
            f"min_labels={self.min_labels!r}, random_state={self.random_state!r})"
        )

    def _fit(self, labels: Labels) -> list[Any]:
        from sklearn.base import clone

        n = len(labels.X)
        costs = labels.C[:, 0] if labels.C.shape[1] == 1 else labels.C
        chance, members = labels.weights / labels.weights.sum(), []
        for m in range(self.n_members):
            rng = np.random.default_rng([self.random_state, n, m])
            rows = rng.choice(n, n, p=chance)
            member = clone(self.estimator)
            if "random_state" in member.get_params(deep=False):
                member.set_params(random_state=int(rng.integers(2**31)))
            members.append(member.fit(labels.X[rows], costs[rows]))
        return members
