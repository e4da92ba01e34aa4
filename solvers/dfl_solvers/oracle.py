"""The oracle protocol: a batch of cost vectors in, a batch of optimal decisions out."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import numpy as np

from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    SolverError,
    UnboundedError,
)
from dfl_solvers.solution import Array as Array
from dfl_solvers.solution import Solution as Solution
from dfl_solvers.solution import Status as Status

Instance = Mapping[str, Array]

_ERRORS: dict[Status, type[Exception]] = {
    Status.INFEASIBLE: InfeasibleError,
    Status.UNBOUNDED: UnboundedError,
    Status.FAILED: SolverError,
}

_NOTHING: Instance = {}
# length up to which BLAS computes a dot product on one thread; its others would wait for ours
_UNTHREADED = 10_000


@runtime_checkable
class Oracle(Protocol):
    """Anything that solves ``argmin_{w in S} c.w`` for a batch of cost vectors."""

    @property
    def n_costs(self) -> int | None:
        """Length of a cost vector; None where any length is accepted."""
        ...

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch: costs of shape (n, d) give decisions of shape (n, d)."""
        ...

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective of given decisions, shape (n,)."""
        ...


class AbstractOracle(ABC):
    """Base of every oracle of this package; a leaf writes ``_solve`` and nothing else.

    Validation, status handling and raising live here, once. A leaf stores its constructor's
    arguments under their own names, so that ``repr`` rebuilds it.

    Attributes
    ----------
    n_costs : int or None
        Length d of a cost vector; None where any length is accepted.
    instance_fields : frozenset of str
        Names of the per-instance data this oracle understands, each an array with leading n.
    dtypes : tuple of dtype
        Floating-point types that ``_solve`` accepts; others are converted to the first.
    linear_objective : bool
        True if the objective is exactly ``c.w``; False if the problem adds a part of its own.
    marks_nonfinite : bool
        True if ``_solve`` accepts any numbers and returns a Solution whose status is ``FAILED``
        where a cost is not finite. It spares another pass over the costs.
    """

    n_costs: int | None = None
    sign: ClassVar[int] = 1
    instance_fields: ClassVar[frozenset[str]] = frozenset()
    dtypes: ClassVar[tuple[type, ...]] = (np.float64,)
    linear_objective: bool = True
    marks_nonfinite: ClassVar[bool] = False

    @abstractmethod
    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array | Status] | Solution:
        """Solve checked costs (n, d), n >= 1; return decisions (n, d) and status (n,) or one.

        A leaf that knows the objectives better than ``_objective`` returns a whole Solution.
        """

    @final
    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch of instances to optimality.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row; finite.
        instance : mapping of str to ndarray, optional
            Per-instance data, each array with leading n; see ``instance_fields``.

        Returns
        -------
        Solution
            Decisions (n, d), objectives (n,) and status (n,). Never modifies ``costs``.

        Raises
        ------
        InvalidInputError
            If a shape is wrong, a value is not finite or an instance field is unknown.
        InfeasibleError, UnboundedError, SolverError
            If an instance has no optimal decision; the message names the first such row.
        """
        costs = self._check_shape(costs)
        if not self.marks_nonfinite:
            self._check_finite(costs)
        instance = self._check_instance(instance, costs) if instance else _NOTHING
        n = len(costs)
        if n == 0:
            return Solution(np.zeros_like(costs), np.zeros(0), np.zeros(0, dtype=np.int8))
        solved = self._solve(costs, instance)
        if isinstance(solved, Solution):
            if np.count_nonzero(solved.status):  # seldom, and by far the fastest question
                if self.marks_nonfinite:
                    self._check_finite(costs)
                self._raise_for(solved.status)
            return solved
        decisions, status = solved
        if isinstance(status, Status):
            status = np.full(n, status, np.int8) if status else np.zeros(n, np.int8)
        elif np.count_nonzero(status):
            self._raise_for(status)
        return Solution(decisions, self._objective(costs, decisions, instance), status)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective of given decisions: ``c.w``, plus the problem's own part if it has one.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row.
        decisions : ndarray of shape (n, d)
            One decision a row.
        instance : mapping of str to ndarray, optional
            Per-instance data, as in ``solve``.

        Returns
        -------
        ndarray of shape (n,)
            Objective of each decision.

        Raises
        ------
        InvalidInputError
            If the two shapes differ or a cost is not finite.
        """
        costs = self._check_costs(costs)
        decisions = np.asarray(decisions)
        if decisions.shape != costs.shape:
            raise InvalidInputError(
                f"{type(self).__name__}.evaluate: got decisions of shape {decisions.shape}, "
                f"expected {costs.shape}, the shape of the costs"
            )
        return self._objective(costs, decisions, self._check_instance(instance, costs))

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        """Objective (n,) of checked input; a leaf with a part of its own extends this."""
        return np.vecdot(costs, decisions)

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, as the attributes hold them now."""
        names = list(inspect.signature(type(self)).parameters)
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        arguments = [f"{name}={_show(value)}" for name, value in self.parameters().items()]
        return f"{type(self).__name__}({', '.join(arguments)})"

    def _check_costs(self, costs: Array) -> Array:
        costs = self._check_shape(costs)
        self._check_finite(costs)
        return costs

    def _check_shape(self, costs: Array) -> Array:
        try:
            costs = np.asarray(costs)
            if costs.dtype.type not in self.dtypes:
                costs = costs.astype(self.dtypes[0])
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"{type(self).__name__}: costs cannot be read as an array of numbers: {error}"
            ) from error
        if costs.ndim != 2:
            hint = "; pass one cost vector c as c[None]" if costs.ndim == 1 else ""
            raise InvalidInputError(
                f"{type(self).__name__}: got costs of shape {costs.shape}, expected (n, d){hint}"
            )
        d = costs.shape[1]
        if self.n_costs != d and self.n_costs is not None:
            raise InvalidInputError(
                f"{type(self).__name__}: got {d} costs per instance, expected {self.n_costs}"
            )
        return _plain(costs)

    def _check_finite(self, costs: Array) -> None:
        # the sum of squares is not finite whenever an entry is not, and far cheaper than asking all
        if costs.size <= _UNTHREADED:
            squares = np.vdot(costs, costs)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                squares = np.vecdot(costs, costs).sum()
        if not math.isfinite(squares) and not np.isfinite(costs).all():
            row, column = np.argwhere(~np.isfinite(costs))[0]
            raise InvalidInputError(
                f"{type(self).__name__}: got cost {costs[row, column]} at instance {row}, "
                f"coordinate {column}; expected finite numbers"
            )

    def _check_instance(self, instance: Instance | None, costs: Array) -> Instance:
        if not instance:
            return {}
        name = type(self).__name__
        unknown = sorted(set(instance) - self.instance_fields)
        if unknown:
            known = ", ".join(sorted(self.instance_fields)) or "none"
            raise InvalidInputError(
                f"{name}: got instance data {', '.join(unknown)}, but this oracle knows: {known}"
            )
        checked = {}
        for field, value in instance.items():
            array = np.asarray(value)
            if array.ndim == 0 or len(array) != len(costs):
                raise InvalidInputError(
                    f"{name}: got instance data {field!r} of shape {array.shape}, "
                    f"expected a leading dimension of {len(costs)}, one entry per instance"
                )
            if field == "mask":
                array = array.astype(bool)
                if array.shape != costs.shape:
                    raise InvalidInputError(
                        f"{name}: got a mask of shape {array.shape}, expected {costs.shape}"
                    )
            elif array.dtype.kind not in "biuf":
                raise InvalidInputError(
                    f"{name}: got instance data {field!r} of type {array.dtype}, expected numbers"
                )
            elif not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise InvalidInputError(
                    f"{name}: instance data {field!r} is not finite at instance {row}"
                )
            checked[field] = _plain(array)
        return checked

    def _raise_for(self, status: Array) -> None:
        bad = np.flatnonzero(status > Status.FEASIBLE)
        if len(bad):
            first = Status(int(status[bad[0]]))
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise _ERRORS[first](f"{type(self).__name__}: instance {bad[0]}{more}: {first.message}")


def _plain(array: Array) -> Array:
    """Return an array for which kernels are compiled already: native, contiguous, to be written."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # others are other types to Numba, which would compile each kernel again, for seconds
    return array if array.flags.carray else np.array(array, order="C")


def negated(costs: Any) -> Array:
    """Return minus the costs; whole numbers as floats, since those without a sign would wrap."""
    costs = np.asarray(costs)
    if costs.dtype.kind in "bui":
        costs = costs.astype(float)
    return -costs if costs.dtype.kind == "f" else costs  # the oracle says what is wrong with others


def _show(value: Any) -> str:
    """Write a parameter so that evaluating it gives it back; large arrays only by their shape."""
    if isinstance(value, np.ndarray):
        if value.size > 200:
            return f"<array of shape {value.shape}>"
        return repr(value.tolist())
    if isinstance(value, np.generic):
        return repr(value.item())
    if hasattr(value, "nnz"):
        return f"<sparse matrix of shape {value.shape}>"
    return repr(value)


def minimizing(oracle: Oracle) -> tuple[Oracle, int]:
    """Return the oracle that minimizes, and the sign that carries values to its costs.

    Parameters
    ----------
    oracle : Oracle
        Any oracle, ``Maximize(...)`` included.

    Returns
    -------
    oracle : Oracle
        The wrapped minimizing oracle, or ``oracle`` itself.
    sign : int
        -1 if ``oracle`` maximizes, else 1: ``sign * values`` are costs to be minimized.
    """
    return getattr(oracle, "minimizing", oracle), getattr(oracle, "sign", 1)


def solving(oracle: Oracle) -> Oracle:
    """Return the oracle that solves, without the wrappers that hand costs on to it.

    Use it to ask what is known of a feasible set; to solve, ask the wrappers, which count,
    remember or divide the work.

    Parameters
    ----------
    oracle : Oracle
        As it is or in ``Maximize``, ``Counting``, ``Cached``, ``Parallel`` or ``Pool``.

    Returns
    -------
    Oracle
        It minimizes. ``WithBackend`` solves by itself, perhaps a relaxation, and stays.

    Examples
    --------
    >>> from dfl_solvers import Counting, Maximize, TopK, solving
    >>> solving(Counting(Maximize(TopK(3, 1))))
    TopK(n=3, k=1)
    """
    # imported here, since they are built on this module
    from dfl_solvers.cached import Cached
    from dfl_solvers.parallel import Parallel
    from dfl_solvers.pool import Pool
    from dfl_solvers.wrappers import Counting

    held = minimizing(oracle)[0]
    while isinstance(held, (Cached, Counting, Parallel, Pool)):
        held = minimizing(held.oracle)[0]
    return held
