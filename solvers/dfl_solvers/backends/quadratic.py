"""Batches of small strictly convex quadratic programs, with derivatives, in compiled code."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.backends._quadratic_adjoint import pull_back_all
from dfl_solvers.backends._quadratic_search import NOT_CONVEX, solve_all
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, SolverError
from dfl_solvers.kernels import HARD, SLOW, run
from dfl_solvers.oracle import Array, Status

# steps for each constraint, and in any case, before the search counts as failed
_STEPS = 20, 200
# variables and constraints above which an instance takes some hundred microseconds
_LARGE = 60
# far below the root of the largest float
_LARGEST = 1e150
# linear terms so many times as large as the quadratic ones leave eight digits after refinement
_STEEPEST = 1e24


class Data(NamedTuple):
    """The numbers of quadratic programs, each with a leading 1 or n."""

    Q: Array
    p: Array
    A: Array
    b: Array
    G: Array
    h: Array


@dataclass(frozen=True, eq=False)
class QuadraticSolution:
    """Optima of n quadratic programs.

    Attributes
    ----------
    x : ndarray of shape (n, k)
    multipliers : ndarray of shape (n, e + m)
        Of the equalities, of any sign, then of the inequalities, at least 0:
        ``Q x + p + A' multipliers[:e] + G' multipliers[e:] = 0``.
    held : ndarray of shape (n, k)
        Which constraints, counted in this order, determine x; the first ``n_held`` numbers of a row
        count.
    n_held : ndarray of shape (n,)
    factors : tuple of ndarray
        What ``pull_back`` needs; of no rows unless asked for.
    """

    x: Array
    multipliers: Array
    held: Array
    n_held: Array
    factors: tuple[Array, Array]


@final
class QuadraticPrograms:
    """Minimize ``x'Qx / 2 + p.x`` subject to ``A x = b`` and ``G x <= h``, n instances at once.

    Each array is shared, or has a leading n: one for each instance.

    Parameters
    ----------
    Q : array-like of shape (k, k) or (n, k, k)
        Positive definite. Only its symmetric part counts.
    p : array-like of shape (k,) or (n, k)
    A : array-like of shape (e, k) or (n, e, k)
        Rows that depend on others are allowed, if ``b`` agrees.
    b : array-like of shape (e,) or (n, e)
    G : array-like of shape (m, k) or (n, m, k)
    h : array-like of shape (m,) or (n, m)
        Infinite where there is no bound.

    Attributes
    ----------
    n : int
        Number of instances; 1 where every array is shared.

    Raises
    ------
    InvalidInputError
        If shapes disagree, a number is NaN, infinite or above 1e150, or p is more than 1e24 times
        as large as Q.

    Notes
    -----
    The dual active-set method starts at the optimum without inequalities and admits violated ones,
    the farthest in the metric of Q first. It holds a triangular factor of the KKT matrix, which one
    step updates in O(k^2). At the end the KKT equations are solved again for the constraints held,
    with a step of iterative refinement, and all signs and rows are checked. The derivative uses the
    same factor. Where Q, A and G are shared, they are factored once.

    References
    ----------
    D. Goldfarb, A. Idnani. A numerically stable dual method for solving strictly convex quadratic
    programs. Mathematical Programming 27 (1983). doi:10.1007/BF02591962

    B. Amos, J. Z. Kolter. OptNet: differentiable optimization as a layer in neural networks
    (2017). arXiv:1703.00443

    Examples
    --------
    The projection of two points on the simplex:

    >>> import numpy as np
    >>> points = np.array([[0.6, 0.6], [3.0, 0.0]])
    >>> programs = QuadraticPrograms(
    ...     np.eye(2), -points, np.ones((1, 2)), [1.0], -np.eye(2), [0.0, 0.0]
    ... )
    >>> programs.solve().x
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    def __init__(
        self,
        Q: npt.ArrayLike,
        p: npt.ArrayLike,
        A: npt.ArrayLike,
        b: npt.ArrayLike,
        G: npt.ArrayLike,
        h: npt.ArrayLike,
    ) -> None:
        given = {"Q": Q, "p": p, "A": A, "b": b, "G": G, "h": h}
        arrays = {name: _read(name, value) for name, value in given.items()}
        self.shared = {name: arrays[name].ndim == 1 + (name in "QAG") for name in arrays}
        # shared arrays get an n of 1
        self.data = Data(
            **{name: arrays[name][None] if self.shared[name] else arrays[name] for name in arrays}
        )
        self.n = _check_shapes(self.data, self.shared)
        steep, curved = np.abs(self.data.p).max(initial=0.0), np.abs(self.data.Q).max(initial=0.0)
        if steep > _STEEPEST * curved > 0:
            raise InvalidInputError(
                f"quadratic program: got p of size {steep:.3g} and Q of size {curved:.3g}: "
                f"rounding hides the solution where p is {_STEEPEST:g} times as large; use other "
                "units"
            )

    def solve(self, derivatives: bool = False) -> QuadraticSolution:
        """Solve all instances.

        Parameters
        ----------
        derivatives : bool, default=False
            Keep what ``pull_back`` needs: 2 k^2 numbers an instance.

        Returns
        -------
        QuadraticSolution

        Raises
        ------
        InvalidInputError
            If an instance has a Q that is not positive definite.
        InfeasibleError
            If no point satisfies the constraints of an instance.
        SolverError
            If rounding errors leave an instance without a certified optimum.
        """
        data, n = self.data, self.n
        k, m = data.p.shape[1], data.b.shape[1] + data.h.shape[1]
        x, multipliers = np.empty((n, k)), np.zeros((n, m))
        kept = n if derivatives else 0
        factors = np.empty((kept, k, k)), np.empty((kept, k, k))
        held, n_held = np.empty((n, k), np.int64), np.empty(n, np.int64)
        status = np.empty(n, np.int8)
        limit = _STEPS[0] * m + _STEPS[1]
        run(
            solve_all,
            n,
            *data,
            limit,
            x,
            multipliers,
            *factors,
            held,
            n_held,
            status,
            serial=self._serial,
        )
        if status.any():
            _raise(status)
        return QuadraticSolution(x, multipliers, held, n_held, factors)

    def pull_back(
        self,
        solution: QuadraticSolution,
        x_grad: Array,
        multipliers_grad: Array | None = None,
        wanted: Collection[str] = Data._fields,
    ) -> dict[str, Array]:
        r"""Return the gradients of a loss in all numbers, given those in x and the multipliers.

        Parameters
        ----------
        solution : QuadraticSolution
            From ``solve(derivatives=True)``.
        x_grad : ndarray of shape (n, k)
        multipliers_grad : ndarray of shape (n, e + m), optional
            Default: zero.
        wanted : collection of str
            Names of the arrays whose gradients are asked for.

        Returns
        -------
        dict of str to ndarray
            Gradients, shaped as the arrays were given; those of shared arrays are summed over the
            instances.

        Notes
        -----
        With N the normals of the constraints that are held, and their multipliers l, the loss
        changes by ``-u.(dQ x + dp + dN' l) + v.(dd - dN x)`` where

        .. math::

            \begin{pmatrix} Q & N^\top \\ N & 0 \end{pmatrix}
            \begin{pmatrix} u \\ v \end{pmatrix} =
            \begin{pmatrix} g_x \\ g_l \end{pmatrix}.

        An inequality that is met with multiplier zero is held or not, as the search left it: the
        derivative is then that of one of the smooth pieces that meet there.
        """
        data, n = self.data, self.n
        k, e, m = data.p.shape[1], data.b.shape[1], data.h.shape[1]
        own = {name: n if name in wanted and not self.shared[name] else 0 for name in "QAG"}
        u, v = np.empty((n, k)), np.zeros((n, e + m))
        matrices = {
            "Q": np.empty((own["Q"], k, k)),
            "A": np.empty((own["A"], e, k)),
            "G": np.empty((own["G"], m, k)),
        }
        x, multipliers = solution.x, solution.multipliers
        if multipliers_grad is None:
            multipliers_grad = np.empty((0, e + m))
        run(
            pull_back_all,
            n,
            data.Q,
            data.A,
            data.G,
            *solution.factors,
            solution.held,
            solution.n_held,
            x,
            multipliers,
            x_grad,
            multipliers_grad,
            u,
            v,
            *matrices.values(),
            serial=self._serial,
        )
        found: dict[str, Array] = {**matrices, "p": -u, "b": v[:, :e], "h": v[:, e:]}
        for name in wanted:
            if self.shared[name]:
                if name == "Q":
                    product = u.T @ x
                    found[name] = -0.5 * (product + product.T)
                elif name in "AG":
                    rows = slice(0, e) if name == "A" else slice(e, None)
                    found[name] = -(multipliers[:, rows].T @ u + v[:, rows].T @ x)
                else:
                    found[name] = found[name].sum(axis=0)
        return {name: found[name] for name in wanted}

    @property
    def _serial(self) -> int:
        _, m, k = self.data.G.shape
        return HARD if k + m > _LARGE else SLOW


def _read(name: str, value: npt.ArrayLike) -> Array:
    """Return finite float64 numbers, with or without an axis of instances."""
    try:
        array = np.ascontiguousarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"quadratic program: {name} holds no numbers: {error}") from error
    n_axes = 1 + (name in "QAG")
    if array.ndim not in (n_axes, n_axes + 1):
        raise InvalidInputError(
            f"quadratic program: got {name} of shape {array.shape}, expected {n_axes} axes, or "
            f"{n_axes + 1} with one for the instances"
        )
    # a sum is faster than a look at every number
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(array, array).sum()
    if not np.isfinite(squares):
        wrong = ~np.isfinite(array) & ~((array == np.inf) & (name == "h"))
        for place in np.argwhere(wrong)[:1]:
            where = f"instance {place[0]}: " if array.ndim > n_axes else ""
            raise InvalidInputError(
                f"quadratic program: {where}{name} holds NaN or an infinite number"
            )
        # steps of the method are products of two numbers, which would be infinite
        for place in np.argwhere(np.isfinite(array) & (np.abs(array) > _LARGEST))[:1]:
            where = f"instance {place[0]}: " if array.ndim > n_axes else ""
            raise InvalidInputError(
                f"quadratic program: {where}{name} holds {array[tuple(place)]:.3g}, expected "
                f"numbers up to {_LARGEST:g}, whose squares are finite; use other units"
            )
    return array


def _check_shapes(data: Data, shared: dict[str, bool]) -> int:
    """Return the number of instances."""
    k = data.p.shape[-1]
    e, m = data.b.shape[-1], data.h.shape[-1]
    expected = {"Q": (k, k), "p": (k,), "A": (e, k), "b": (e,), "G": (m, k), "h": (m,)}
    sizes = {name: len(getattr(data, name)) for name in shared if not shared[name]}
    n = next(iter(sizes.values()), 1)
    for name, shape in expected.items():
        found = getattr(data, name).shape
        if found[1:] != shape:
            raise InvalidInputError(
                f"quadratic program: got {name} of shape {found[1:]} an instance, expected "
                f"{shape}: p has {k} numbers, b has {e} and h has {m}"
            )
        if sizes.get(name, n) != n:
            raise InvalidInputError(
                f"quadratic program: got {name} for {sizes[name]} instances, expected {n} as for "
                f"{next(iter(sizes))}"
            )
    if k == 0:
        raise InvalidInputError("quadratic program: got no variables, expected at least one")
    return n


def _raise(status: Array) -> None:
    """Raise for the first instance without an optimum."""
    i = np.flatnonzero(status)[0]
    where = f"quadratic program of instance {i}"
    if status[i] == NOT_CONVEX:
        raise InvalidInputError(
            f"{where}: Q is not positive definite; if it is positive semidefinite, add a small "
            "multiple of the identity"
        )
    if status[i] == Status.INFEASIBLE:
        raise InfeasibleError(f"{where}: no point satisfies all constraints")
    raise SolverError(
        f"{where}: no optimum was certified; its numbers may be too far apart for double precision"
    )
