"""A pool of known decisions that answers in place of the solver, approximately."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers._rows import LOCK, Batch, read_batch, solve_rows
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, Status, minimizing, negated

# numbers in a block of products: 4 MiB
_BLOCK = 1 << 19


@dataclass(frozen=True)
class PoolCounts:
    """What a ``Pool`` has done so far.

    Attributes
    ----------
    solved, answered : int
        Instances that the oracle solved, and instances that the pool answered.
    size : int
        Distinct decisions in the pool.
    """

    solved: int
    answered: int
    size: int


@final
class Pool:
    """Solve a share of the instances; answer the others by the best decision found so far.

    Use it in training when the oracle is slow: losses need good decisions, not the best. Judge the
    result by the oracle itself. The first batch is solved in full, so let it be the training costs.

    Parameters
    ----------
    oracle : Oracle
        The oracle to ask; a maximizing one stays maximizing.
    solve_ratio : float
        Probability, for each instance on its own, that it is solved, from 0 to 1.
    size : int, default=1000
        Most decisions that the pool holds; the one that was useful least recently leaves first.
    random_state : int, default=0
        Seed of the draws.

    Attributes
    ----------
    counts : PoolCounts
        Instances solved and answered, and the size of the pool.
    n_costs : int or None
        Length of a cost vector, or None where any length is accepted.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    See Also
    --------
    Cached : Exact, for costs that come back.

    Notes
    -----
    An answer is ``argmin_w c.w + f(w)`` over the decisions w in the pool, where f is the part of
    the objective that does not depend on the costs (zero for most problems). It takes one matrix
    product, O(size d) an instance. Its status is ``FEASIBLE``: known to be feasible, not proven
    optimal. A decision is useful when it is an answer or a solution. The draws are one an instance,
    not one a batch as usual elsewhere, so that an epoch costs what the ratio says.

    All instances share the pool, hence the feasible set: ``instance=`` data are refused. Copies and
    pickles carry the pool and the state of the draws, and go on by themselves. Safe to call from
    several threads; their order then decides who gets which draw.

    References
    ----------
    M. Mulamba et al. Contrastive losses and solution caching for predict-and-optimize. IJCAI 2021.
    doi:10.24963/ijcai.2021/390

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import TopK
    >>> from dfl_solvers.pool import Pool
    >>> oracle = Pool(TopK(3, 1), solve_ratio=0.0)
    >>> _ = oracle.solve(np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0]]))
    >>> oracle.solve(np.array([[3.0, 2.0, 1.0]])).decisions
    array([[0., 1., 0.]])
    >>> oracle.counts
    PoolCounts(solved=2, answered=1, size=2)
    """

    # all instances share the feasible set
    instance_fields: frozenset[str] = frozenset()

    def __init__(
        self, oracle: Oracle, solve_ratio: float, size: int = 1000, random_state: int = 0
    ) -> None:
        if not 0 <= solve_ratio <= 1:
            raise InvalidInputError(
                f"Pool: got solve_ratio={solve_ratio}, expected a probability from 0 to 1"
            )
        if size < 1 or int(size) != size:
            raise InvalidInputError(f"Pool: got size={size}, expected a whole number from 1 on")
        if not isinstance(random_state, (int, np.integer)) or random_state < 0:
            raise InvalidInputError(
                f"Pool: got random_state={random_state!r}, expected a whole number from 0 on"
            )
        self.oracle = oracle
        self.solve_ratio = solve_ratio
        self.size = size
        self.random_state = random_state
        self._state = _State(size, np.random.default_rng(random_state))

    @property
    def sign(self) -> int:
        """-1 if the wrapped oracle maximizes, else 1."""
        return getattr(self.oracle, "sign", 1)

    @property
    def minimizing(self) -> Pool:
        """The minimizing oracle with the same pool and draws."""
        if self.sign == 1:
            return self
        inner = object.__new__(Pool)
        inner.__dict__.update(self.__dict__)
        inner.oracle = minimizing(self.oracle)[0]
        return inner

    @property
    def n_costs(self) -> int | None:
        """Length of a cost vector, or None where any length is accepted."""
        return self.oracle.n_costs

    @property
    def counts(self) -> PoolCounts:
        """Instances solved and answered so far, and the size of the pool."""
        return self._state.counts()

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name."""
        names = ("oracle", "solve_ratio", "size", "random_state")
        return {name: getattr(self, name) for name in names}

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve the instances that are drawn; answer the others from the pool.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row; finite.
        instance : mapping, optional
            Must be empty.

        Returns
        -------
        Solution
            With status ``FEASIBLE`` where the pool answered.

        Raises
        ------
        UnsupportedError
            If there are instance data.
        InvalidInputError, InfeasibleError, UnboundedError, SolverError
            As the wrapped oracle does.
        """
        if instance:
            raise UnsupportedError(
                f"Pool does not go with instance data (got {', '.join(sorted(instance))}): a mask, "
                "capacities or weights change the feasible set, and a decision in the pool may not "
                "be feasible for another instance; use the oracle without Pool"
            )
        if self.sign == -1:
            found = self.minimizing.solve(negated(costs))
            return Solution(found.decisions, -found.objectives, found.status)
        batch = read_batch(costs, None)
        if batch is None or not self._readable(batch.costs):
            # the oracle says what is wrong; costs of another length may be right, but not for us
            found = self.oracle.solve(costs)
            self._state.count(len(found.objectives), 0)
            return found
        return self._solve(batch)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions (n, d), as of the wrapped oracle."""
        return self.oracle.evaluate(costs, decisions, instance)

    def _readable(self, costs: Array) -> bool:
        width = self._state.width if self.n_costs is None else self.n_costs
        return width in (None, costs.shape[1]) and bool(np.isfinite(costs).all())

    def _solve(self, batch: Batch) -> Solution:
        costs = batch.costs
        state = self._state
        drawn = state.draw(len(costs), self.solve_ratio)
        rows = np.flatnonzero(drawn)
        solved = solve_rows(self.oracle, batch, rows) if len(rows) else None
        if solved is not None:
            state.add(solved.decisions, self._own_part(solved.decisions))
            if len(rows) == len(costs):
                state.count(len(rows), 0)
                return solved
        others = np.flatnonzero(~drawn)
        asked = costs[others]
        answers, own = state.answer(asked)
        state.count(len(rows), len(others))
        kinds = getattr(self.oracle, "dtypes", (np.float64,))
        kind = costs.dtype if costs.dtype.type in kinds else np.dtype(kinds[0])
        decisions = np.empty(costs.shape, kind)
        objectives = np.empty(len(costs), kind if solved is None else solved.objectives.dtype)
        status = np.full(len(costs), int(Status.FEASIBLE), dtype=np.int8)
        decisions[others] = answers
        objectives[others] = np.vecdot(asked, answers) + own
        if solved is not None:
            decisions[rows] = solved.decisions
            objectives[rows] = solved.objectives
            status[rows] = solved.status
        return Solution(decisions, objectives, status)

    def _own_part(self, decisions: Array) -> Array:
        """Part (n,) of the objective that does not depend on the costs."""
        if getattr(self.oracle, "linear_objective", True):
            return np.zeros(len(decisions))
        return self.oracle.evaluate(np.zeros_like(decisions), decisions)

    def __getattr__(self, name: str) -> Any:
        # what the wrapped oracle can do beside solving (program, linear_objective, ...)
        if name in {"oracle", "solve_ratio", "size", "random_state"} or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.oracle, name)

    def __repr__(self) -> str:
        return (
            f"Pool(oracle={self.oracle!r}, solve_ratio={self.solve_ratio!r}, size={self.size!r}, "
            f"random_state={self.random_state!r})"
        )


@final
class _State:
    """The decisions, when each was last useful, and the generator of the draws."""

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self._size = size
        self._generator = generator
        self._decisions = np.empty((0, 0))
        self._own = np.empty(0)
        self._useful = np.empty(0, dtype=np.int64)
        self._slots: dict[bytes, int] = {}
        self._time = 0
        self._solved = self._answered = 0

    @property
    def width(self) -> int | None:
        """Length of the decisions in the pool; None if it is empty."""
        return self._decisions.shape[1] if self._slots else None

    def counts(self) -> PoolCounts:
        with LOCK:
            return PoolCounts(self._solved, self._answered, len(self._slots))

    def count(self, solved: int, answered: int) -> None:
        with LOCK:
            self._solved += solved
            self._answered += answered

    def draw(self, n: int, ratio: float) -> Array:
        """Say which of n instances to solve: all as long as the pool is empty."""
        with LOCK:
            drawn = self._generator.random(n) < ratio
            return drawn if self._slots else np.ones(n, dtype=bool)

    def add(self, decisions: Array, own: Array) -> None:
        """Take in decisions (n, d) with their parts of the objective."""
        rows = np.ascontiguousarray(decisions, dtype=np.float64) + 0.0  # one kind of zero
        with LOCK:
            self._time += 1
            new: dict[bytes, int] = {}
            for i, row in enumerate(rows):
                key = row.tobytes()
                slot = self._slots.get(key)
                if slot is None:
                    new.setdefault(key, i)
                else:
                    self._useful[slot] = self._time
            if not new:
                return
            keys = list(new)[-self._size :]
            taken = np.array([new[key] for key in keys])
            slots = self._room(len(keys), rows.shape[1])
            self._decisions[slots] = rows[taken]
            self._own[slots] = own[taken]
            self._useful[slots] = self._time
            self._slots.update(zip(keys, slots.tolist(), strict=True))

    def answer(self, costs: Array) -> tuple[Array, Array]:
        """Return the best decision (n, d) for each row of costs, and its part of the objective."""
        with LOCK:
            self._time += 1
            n_slots = len(self._slots)
            pool = self._decisions[:n_slots]
            own = self._own[:n_slots]
            best = np.empty(len(costs), dtype=np.intp)
            step = max(1, _BLOCK // n_slots)
            for lo in range(0, len(costs), step):
                values = _products(costs[lo : lo + step], pool, own)
                best[lo : lo + step] = values.argmin(axis=1)
            self._useful[best] = self._time
            return pool[best], own[best]

    def _room(self, n: int, d: int) -> Array:
        """Return n free slots; the decisions that were useful least recently leave."""
        held = len(self._slots)
        capacity = min(self._size, held + n)
        if capacity > len(self._useful):
            self._grow(min(self._size, max(capacity, 2 * len(self._useful))), d)
        fresh = np.arange(held, capacity)
        n_leaving = n - len(fresh)
        if not n_leaving:
            return fresh
        leaving = np.argsort(self._useful[:held], kind="stable")[:n_leaving]
        for row in self._decisions[leaving]:
            del self._slots[row.tobytes()]
        return np.concatenate([fresh, leaving])

    def _grow(self, capacity: int, d: int) -> None:
        held = len(self._slots)
        decisions, own, useful = self._decisions, self._own, self._useful
        self._decisions = np.empty((capacity, d))
        self._own = np.empty(capacity)
        self._useful = np.empty(capacity, dtype=np.int64)
        if held:
            self._decisions[:held] = decisions[:held]
            self._own[:held] = own[:held]
            self._useful[:held] = useful[:held]

    def __getstate__(self) -> dict[str, Any]:
        with LOCK:  # another thread may be adding
            held = len(self._slots)
            return self.__dict__ | {
                "_generator": copy.deepcopy(self._generator),
                "_decisions": self._decisions[:held].copy(),
                "_own": self._own[:held].copy(),
                "_useful": self._useful[:held].copy(),
                "_slots": dict(self._slots),
            }


def _products(costs: Array, pool: Array, own: Array) -> Array:
    """Objective of each decision of the pool for each row of costs, in a unit of its own."""
    costs = np.asarray(costs, dtype=np.float64)
    # by powers of two: exact, and the sums of the largest numbers do not overflow
    exponents = -np.frexp(np.abs(costs).max(axis=1, initial=0.0))[1][:, None]
    if not own.any():
        return np.asarray(np.ldexp(costs, exponents) @ pool.T)
    exponents = np.minimum(exponents, 0)  # the part of its own must not overflow either
    return np.asarray(np.ldexp(costs, exponents) @ pool.T + np.ldexp(own, exponents))
