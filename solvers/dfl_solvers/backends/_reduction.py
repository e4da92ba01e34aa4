"""From a linear program to its dictionary at a feasible vertex."""

from __future__ import annotations

import numpy as np

from dfl_solvers.backends._dictionary import Dictionary, Vertex
from dfl_solvers.backends.highs import feasible_basis
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program

# in the numbers of a dictionary with coefficients near 1: what may be rounding, and by how much the
# whole may miss the program
_ROUNDING = 1e-12
_ACCURACY = 1e-10
# smallest pivot, relative to its row or column
_PIVOT = 1e-9
# by how much bounds of rows are moved in the search, in units of the scaled variables
_MOVE = 1e-9


def reduce(program: Program) -> tuple[Dictionary, Vertex, Array] | None:
    """Write a linear program as a dictionary at one of its vertices.

    Fixed variables, and with them all equations, are eliminated. Free variables and rows that are
    never tight stay in the basis forever, so the search need not look at them.

    Returns
    -------
    dictionary : Dictionary
    vertex : Vertex
        The one of the dictionary.
    lines : ndarray of shape (l, variables)
        Directions along which the feasible set has no end either way.

    None if there is no feasible vertex, or rounding errors spoil its dictionary.
    """
    found = feasible_basis(program)
    if found is None:
        return None
    try:
        basis = _Basis(program, *found)
        basis.expel_fixed()
        basis.admit_free()
        basis.factor()
    except np.linalg.LinAlgError:
        return None
    k = program.n_variables
    endless = np.flatnonzero(basis.free[basis.outer])
    lines = np.zeros((len(endless), len(basis.x)))
    lines[np.arange(len(endless)), basis.outer[endless]] = 1.0
    lines[:, basis.inner] = -basis.table[:, endless].T
    lines *= basis.unit
    lines /= np.abs(lines).max(axis=1, keepdims=True, initial=1e-300)
    return *_scaled(basis, k), lines[:, :k]


class _Basis:
    """Inner and outer variables (structural ones, then each row's) and their dictionary.

    Variables are divided by units that bring the coefficients of the program near 1.
    """

    def __init__(self, program: Program, inner: Array, at_upper: Array) -> None:
        A = program.A.toarray()
        m, k = A.shape
        self.unit = _equilibrate(A)
        A = A * self.unit[:k] / self.unit[k:, None]
        self.matrix = np.hstack([A, -np.eye(m)])
        self.lower = np.concatenate([program.lower, program.row_lower]) / self.unit
        self.upper = np.concatenate([program.upper, program.row_upper]) / self.unit
        self.fixed = self.lower == self.upper
        self.free = np.isinf(self.lower) & np.isinf(self.upper)
        self.inner = np.flatnonzero(inner)
        self.outer = np.flatnonzero(~inner)
        # counted down from the upper bound
        self.down = np.isfinite(self.upper) & (at_upper | np.isinf(self.lower))
        self.origin = np.where(self.down, self.upper, self.lower)
        self.origin[self.free] = 0.0
        self.x = self.origin.copy()
        self.factor()

    def factor(self) -> None:
        """Compute ``inner = -table @ outer`` from the numbers of the program."""
        B, N = self.matrix[:, self.inner], self.matrix[:, self.outer]
        self.table = np.linalg.solve(B, N)
        # what may be rounding counts as rounding: a true zero must not become a pivot
        size = np.abs(self.table)
        self.table[size <= _ROUNDING * np.maximum(1.0, size.max(axis=1, initial=0.0))[:, None]] = (
            0.0
        )
        size = 1.0 + (np.abs(B) @ size).max(axis=1, initial=0.0)
        if not (np.abs(B @ self.table - N) <= _ACCURACY * size[:, None]).all():
            raise np.linalg.LinAlgError("the basis is close to singular")
        self.x[self.inner] = -self.table @ self.x[self.outer]

    def expel_fixed(self) -> None:
        """Take fixed variables out of the basis; they stay where they are, so nothing moves."""
        for r in np.flatnonzero(self.fixed[self.inner]):
            size = np.abs(self.table[r])
            usable = np.where(self.fixed[self.outer], 0.0, size)
            if usable.max(initial=0.0) > _PIVOT * size.max(initial=0.0):
                self.x[self.inner[r]] = self.origin[self.inner[r]]
                self._swap(int(r), int(usable.argmax()))

    def admit_free(self) -> None:
        """Take free variables into the basis, unless nothing stops them: once in, they stay."""
        for q in np.flatnonzero(self.free[self.outer]):
            for rate in (-self.table[:, q], self.table[:, q]):
                bound = np.where(rate > 0, self.upper[self.inner], self.lower[self.inner])
                stops = np.abs(rate) > _PIVOT * np.abs(rate).max(initial=0.0)
                rows = np.flatnonzero(stops & np.isfinite(bound))
                if not len(rows):
                    continue
                steps = np.maximum((bound - self.x[self.inner])[rows] / rate[rows], 0.0)
                r = int(rows[steps.argmin()])
                out = self.inner[r]
                self.x[out] = self.origin[out] = bound[r]
                self.down[out] = rate[r] > 0
                self._swap(r, int(q))
                self.x[self.inner] = -self.table @ self.x[self.outer]
                break

    def _swap(self, r: int, q: int) -> None:
        table = self.table
        row, column = table[r] / table[r, q], table[:, q].copy()
        table -= np.outer(column, row)
        table[:, q] = -column / column[r]
        table[r] = row
        table[r, q] = 1.0 / column[r]
        self.inner[r], self.outer[q] = self.outer[q], self.inner[r]


def _scaled(basis: _Basis, n_structural: int) -> tuple[Dictionary, Vertex]:
    """Write the dictionary in variables that are 0 at a bound and have coefficients near 1."""
    x, inner = basis.x, basis.inner
    kept = ~(basis.fixed | basis.free)[basis.outer]
    outer, table = basis.outer[kept], basis.table[:, kept]
    k = len(outer)
    tight = np.flatnonzero(_can_be_tight(basis, outer, table))
    m = len(tight)
    # of the others, only those that are asked for
    others = np.setdiff1d(np.flatnonzero(inner < n_structural), tight)
    rows = np.concatenate([tight, others])
    variables = np.concatenate([outer, inner[rows]])
    sign = np.where(basis.down[variables], -1.0, 1.0)
    factors = np.ones(len(variables))
    factors[: k + m] = _equilibrate(table[tight])
    spans = (basis.upper - basis.lower)[variables]
    constant = (x - basis.origin)[inner[rows]] * sign[k:]
    terms = np.abs(basis.table[rows]) @ np.abs(x[basis.outer]) + np.abs(basis.origin[inner[rows]])
    constant[np.abs(constant) <= _ROUNDING * terms] = 0.0
    sizes = np.abs(np.concatenate([spans, constant])) / np.concatenate([factors, factors[k:]])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if len(sizes):  # the unit of all variables
        factors *= np.exp2(np.round(np.log2(np.median(sizes))))
    scale = sign * factors
    table = table[rows] * scale[:k] / scale[k:, None]
    spans, constant = spans / factors, constant / factors[k:]
    unit = basis.unit[:n_structural]
    source = np.full(n_structural, -1)
    asked = np.flatnonzero(variables < n_structural)
    source[variables[asked]] = asked
    exact = constant[:m].copy()
    # apart from the numbers that avoid ties, what the vertex of HiGHS misses its bounds by
    apart = _MOVE * np.maximum(1.0, np.abs(exact))
    apart = apart * np.random.default_rng(0).uniform(1.0, 2.0, size=(2, m))
    apart += np.maximum([-exact, exact - spans[k : k + m]], 0.0)
    moved = spans[: k + m].copy()
    moved[k:] += apart.sum(axis=0)
    dictionary = Dictionary(
        np.ascontiguousarray(table),
        np.ascontiguousarray(table.T),
        constant,
        spans,
        moved,
        source,
        np.where(source >= 0, scale[source], 0.0) * unit if len(scale) else unit,
        basis.origin[:n_structural] * unit,
        basis.lower[:n_structural] * unit,
        basis.upper[:n_structural] * unit,
    )
    return dictionary, Vertex(
        np.vstack([table[:m], np.zeros((1, k))]),
        1.0 + (table[:m] ** 2).sum(axis=0),
        exact + apart[0],
        exact,
        np.arange(k, k + m),
        np.arange(k),
        np.zeros(k + m, dtype=bool),
    )


def _can_be_tight(basis: _Basis, outer: Array, table: Array) -> Array:
    """Tell which inner variables some point in the box of the outer ones takes past a bound."""
    inner = basis.inner
    center = basis.x[inner] + table @ basis.x[outer]
    with np.errstate(invalid="ignore"):
        ends = np.where(
            table == 0.0, 0.0, [-table * basis.lower[outer], -table * basis.upper[outer]]
        )
    least = center + ends.min(axis=0).sum(axis=1)
    most = center + ends.max(axis=0).sum(axis=1)
    outside = (least < basis.lower[inner]) | (most > basis.upper[inner])
    return np.asarray(outside & ~basis.fixed[inner])


def _equilibrate(table: Array) -> Array:
    """Return powers of two (k + m,), columns first, that bring the largest entries near 1.

    Entry (i, j) is to be multiplied by number j and divided by number k + i.
    """
    size = np.abs(table)
    columns, rows = np.ones(table.shape[1]), np.ones(table.shape[0])
    for _ in range(5):
        largest = (size * columns).max(axis=1, initial=0.0) / rows
        rows *= np.sqrt(np.where(largest > 0, largest, 1.0))
        largest = (size / rows[:, None]).max(axis=0, initial=0.0) * columns
        columns /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return np.exp2(np.round(np.log2(np.concatenate([columns, rows]))))
