"""A mixed-integer program in matrix form, with the map from its variables to the decision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


@dataclass(frozen=True, eq=False)
class Program:
    """The feasible set ``{M x : row_lower <= A x <= row_upper, lower <= x <= upper}``.

    The objective for predicted costs c is ``c.(M x) + fixed_costs.x``, so that predicted costs may
    multiply linear expressions of the variables, as prices do in scheduling.

    Parameters
    ----------
    A : sparse matrix of shape (m, k)
        Constraint matrix over the k variables; anything ``scipy.sparse.csr_array`` takes.
    row_lower, row_upper : array-like of shape (m,)
        Bounds of ``A x``; infinite where there is none.
    lower, upper : array-like of shape (k,)
        Bounds of the variables; infinite where there is none.
    integrality : array-like of shape (k,), optional
        True where a variable must be an integer. Default: none.
    fixed_costs : array-like of shape (k,), optional
        The known part of the objective. Default: zero.
    decision_map : sparse matrix of shape (d, k), optional
        The decision is ``decision_map @ x``. Default: the identity.

    Raises
    ------
    InvalidInputError
        If shapes disagree, a number is NaN or a lower bound exceeds its upper bound.

    Examples
    --------
    >>> program = Program([[1.0, 1.0]], [1.0], [1.0], [0.0, 0.0], [1.0, 1.0])
    >>> program.n_variables, program.n_costs
    (2, 2)
    """

    # given as anything array-like, held as csr_array and float64 vectors
    A: Any
    row_lower: Any
    row_upper: Any
    lower: Any
    upper: Any
    integrality: Any = None
    fixed_costs: Any = None
    decision_map: Any = None

    def __post_init__(self) -> None:
        A = self._matrix("A", self.A)
        m, k = A.shape
        self._set("A", A)
        for name, length in (("row_lower", m), ("row_upper", m), ("lower", k), ("upper", k)):
            self._set(name, self._vector(name, getattr(self, name), length))
        integrality = np.zeros(k, dtype=bool) if self.integrality is None else self.integrality
        self._set("integrality", self._vector("integrality", integrality, k).astype(bool))
        fixed = np.zeros(k) if self.fixed_costs is None else self.fixed_costs
        self._set("fixed_costs", self._vector("fixed_costs", fixed, k))
        if self.decision_map is None:
            self._set("decision_map", sp.eye_array(k, format="csr"))
        else:
            decision_map = self._matrix("decision_map", self.decision_map)
            if decision_map.shape[1] != k:
                raise InvalidInputError(
                    f"Program: got a decision_map with {decision_map.shape[1]} columns, "
                    f"expected {k}, one per variable"
                )
            self._set("decision_map", decision_map)
        for low, high, what in (("row_lower", "row_upper", "row"), ("lower", "upper", "variable")):
            crossed = np.flatnonzero(getattr(self, low) > getattr(self, high))
            if len(crossed):
                i = crossed[0]
                raise InvalidInputError(
                    f"Program: {what} {i} has {low} {getattr(self, low)[i]} "
                    f"above {high} {getattr(self, high)[i]}"
                )

    def __repr__(self) -> str:
        integers = np.count_nonzero(self.integrality)
        return (
            f"<Program: {len(self.row_lower)} rows, {self.n_variables} variables, "
            f"{integers} of them integer>"
        )

    @property
    def n_variables(self) -> int:
        """Number k of variables."""
        return int(self.A.shape[1])

    @property
    def n_costs(self) -> int:
        """Number d of decision coordinates, hence of predicted costs."""
        return int(self.decision_map.shape[0])

    @property
    def identity(self) -> bool:
        """True if the decision is the vector of variables itself."""
        decision_map: Any = self.decision_map
        d, k = decision_map.shape
        return bool(d == k and (decision_map != sp.eye_array(k)).nnz == 0)

    def objective(self, costs: Array) -> Array:
        """Return ``costs @ decision_map + fixed_costs``, the costs of the variables (n, k)."""
        return np.asarray(costs @ self.decision_map) + self.fixed_costs

    def relax(self) -> Program:
        """Return the same program without integrality: its linear relaxation."""
        return dataclasses.replace(self, integrality=np.zeros(self.n_variables, dtype=bool))

    def violation(self, x: Array) -> float:
        """Largest violation of a bound, a row or integrality by variables x of shape (n, k)."""
        x = np.atleast_2d(x)
        rows = x @ self.A.T
        worst = [
            self.row_lower - rows,
            rows - self.row_upper,
            self.lower - x,
            x - self.upper,
            np.abs(x - np.round(x))[:, self.integrality],
        ]
        return float(max((part.max() for part in worst if part.size), default=0.0))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the one way to normalize a frozen dataclass

    @staticmethod
    def _matrix(name: str, value: Any) -> sp.csr_array:
        try:
            matrix = sp.csr_array(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"Program: {name} is no matrix of numbers: {error}") from error
        if matrix.ndim != 2:
            raise InvalidInputError(
                f"Program: got {name} of shape {matrix.shape}, expected two axes"
            )
        if not np.isfinite(matrix.data).all():
            raise InvalidInputError(f"Program: {name} holds NaN or infinite numbers")
        return matrix

    @staticmethod
    def _vector(name: str, value: Any, length: int) -> Array:
        try:
            vector = np.asarray(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"Program: {name} is no vector of numbers: {error}") from error
        if vector.shape != (length,):
            raise InvalidInputError(
                f"Program: got {name} of shape {vector.shape}, expected ({length},)"
            )
        if np.isnan(vector).any():
            raise InvalidInputError(
                f"Program: {name} is NaN at {np.flatnonzero(np.isnan(vector))[0]}"
            )
        return vector
