"""Bipartite matching with shares of two kinds of pairs."""

from __future__ import annotations

import contextlib
from numbers import Real
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.kernels import HARD, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.problems._diverse_search import search
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.program import Program

# nodes of the search; an instance that takes more goes to integer programming
_NODES = 2000


@final
class DiverseMatching(AbstractOracle):
    r"""Match rows with columns, some pairs of the same field and some of different fields.

    Papers that cite each other, reviewers and submissions, mentors and students: each row and each
    column is in one pair at most, and both kinds of pairs have a share of all pairs that are made.
    Costs are negative values: pairs that cost nothing or more may be left out. For values, use
    ``Maximize(DiverseMatching(...))``.

    Parameters
    ----------
    same_field : array-like of bool, shape (rows, cols)
        Which pairs are of the same field.
    same_share, different_share : float, default=0.25
        Least shares of pairs of the same field and of different fields, from 0 to 1; together 1 at
        most. Both zero: a matching without conditions.

    Attributes
    ----------
    n_costs : int
        ``rows * cols``: the matrix of costs, row by row. Decisions are 1 for the pairs that are
        made.

    Raises
    ------
    InvalidInputError
        If ``same_field`` is no matrix of zeros and ones, or the shares are out of range.

    See Also
    --------
    Assignment : Every row with one column, without shares; faster.

    Notes
    -----
    .. math::

        \min_w \sum_{ij} c_{ij} w_{ij} \quad \text{s.t.} \quad
        \sum_j w_{ij} \le 1, \; \sum_i w_{ij} \le 1, \;
        \sum_{ij} (m_{ij} - \rho_1) w_{ij} \ge 0, \; \sum_{ij} (1 - m_{ij} - \rho_2) w_{ij} \ge 0,
        \; w \in \{0, 1\}^{r \times s},

    with m the same field, and the two shares :math:`\rho`. No pairs at all are always feasible.

    Exact. The matching without shares, by compiled augmenting paths, is the answer if it has them.
    If not, branch and bound, compiled: the share that it misses is priced by a Lagrangian
    multiplier; the best multiplier, found in a few matchings, bounds the objective, and matchings
    between the last two, which agree in all but cycles of pairs, mostly meet the share at little
    more. An instance that takes too many nodes, such as one whose shares add up to one and can be
    met by few numbers of pairs only, goes to HiGHS, and may take seconds.

    50 x 50 take a tenth of a millisecond to a millisecond where few pairs decide or costs have
    ties, some ten where a share of a quarter binds and costs are noise, forty to some thousand
    times less than ``MixedIntegerProgram`` on ``program``. The linear relaxation, which the
    literature solves, may split pairs: ``LinearProgram(oracle.program().relax())``.

    Instance data ``same_field`` (n, rows, cols) replaces the parameter. Instances of unequal size
    are padded with pairs that cost nothing.

    References
    ----------
    B. Wilder, B. Dilkina, M. Tambe. Melding the data-decisions pipeline: decision-focused learning
    for combinatorial optimization. AAAI (2019). arXiv:1809.05504

    A. Ferber, B. Wilder, B. Dilkina, M. Tambe. MIPaaL: mixed integer program as a layer. AAAI
    (2020). arXiv:1907.05912

    J. Mandi et al. Decision-focused learning: foundations, state of the art, benchmark and future
    opportunities. Journal of Artificial Intelligence Research 80 (2024). arXiv:2307.13565

    Examples
    --------
    The two best pairs are of different fields, so one of the same field takes the place of one.

    >>> import numpy as np
    >>> from dfl_solvers import DiverseMatching
    >>> oracle = DiverseMatching([[1, 0], [0, 0]], same_share=0.5, different_share=0.0)
    >>> oracle.solve(np.array([[-1.0, -3.0, -3.0, -2.5]])).decisions.reshape(2, 2)
    array([[1., 0.],
           [0., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"same_field"})

    def __init__(
        self, same_field: npt.ArrayLike, same_share: float = 0.25, different_share: float = 0.25
    ) -> None:
        self.same_field = _read(same_field, 2)
        for name, share in (("same_share", same_share), ("different_share", different_share)):
            if not (isinstance(share, Real) and 0 <= share <= 1):
                raise InvalidInputError(
                    f"DiverseMatching: got {name}={share}, expected a number from 0 to 1"
                )
        if same_share + different_share > 1 + 1e-9:
            raise InvalidInputError(
                f"DiverseMatching: got shares of {same_share} and {different_share}, expected a "
                "sum of at most 1"
            )
        self.same_share = same_share
        self.different_share = different_share
        self.n_costs: int = self.same_field.size

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array]:
        n = len(costs)
        same = self.same_field[None]
        if "same_field" in instance:
            same = _read(instance["same_field"], 3)
            if same.shape[1:] != self.same_field.shape:
                raise InvalidInputError(
                    f"DiverseMatching: got instance data 'same_field' of shape {same.shape}, "
                    f"expected {(n, *self.same_field.shape)}"
                )
        # costs of any size, times a power of two so that no sum overflows
        exponent = np.frexp(np.abs(costs).max(axis=1, initial=0.0))[1]
        costs = np.ldexp(costs, -exponent[:, None])
        decisions, status = np.empty(costs.shape), np.empty(n, dtype=np.int8)
        size, shares = same.shape[1:], (float(self.same_share), float(self.different_share))
        run(search, n, *size, costs, same, *shares, _NODES, decisions, status, serial=HARD)
        for i in np.flatnonzero(status == Status.FAILED):
            general = MixedIntegerProgram(self._program(same[i if len(same) > 1 else 0]))
            with contextlib.suppress(SolverError):
                found = general.solve(costs[i : i + 1])
                decisions[i], status[i] = found.decisions[0], found.status[0]
        return decisions, status

    def program(self, instance: Instance | None = None) -> Program:
        """Return the integer program of one instance: rows, columns, then the two shares."""
        same = self.same_field
        if instance and "same_field" in instance:
            same = _read(instance["same_field"], 2)
        return self._program(same)

    def _program(self, same: Array) -> Program:
        rows, cols = same.shape
        kinds = same.ravel()
        sums = sp.vstack(
            [
                sp.kron(sp.eye_array(rows), np.ones((1, cols))),
                sp.kron(np.ones((1, rows)), sp.eye_array(cols)),
                sp.csr_array(np.vstack([kinds - self.same_share, ~kinds - self.different_share])),
            ]
        )
        one, none = np.ones(rows + cols), np.full(rows + cols, -np.inf)
        zeros, ones = np.zeros(kinds.size), np.ones(kinds.size)
        lower, upper = np.append(none, [0.0, 0.0]), np.append(one, [np.inf, np.inf])
        return Program(sums, lower, upper, zeros, ones, ones)


def _read(same_field: npt.ArrayLike, ndim: int) -> Array:
    """Return which pairs are of the same field, as bools."""
    try:
        same = np.asarray(same_field)
        wrong = same.ndim != ndim or not same.size or not np.isin(same, (0, 1)).all()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"DiverseMatching: same_field is no matrix: {error}") from error
    if wrong:
        shape = "(rows, cols)" if ndim == 2 else "(n, rows, cols)"
        raise InvalidInputError(
            f"DiverseMatching: got same_field of shape {same.shape}, expected zeros and ones of "
            f"shape {shape}"
        )
    return np.ascontiguousarray(same, dtype=bool)
