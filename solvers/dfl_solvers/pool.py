"""A pool of known decisions that answers in place of the solver, approximately."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl_solvers._pool_memory import PoolCounts as PoolCounts
from dfl_solvers._pool_memory import PoolMemory
from dfl_solvers._rows import Batch, read_batch, solve_rows
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, Status, minimizing, negated


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
        self._memory = PoolMemory(size, np.random.default_rng(random_state))

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
        return self._memory.counts()

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
            self._memory.count(len(found.objectives), 0)
            return found
        return self._solve(batch)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions (n, d), as of the wrapped oracle."""
        return self.oracle.evaluate(costs, decisions, instance)

    def _readable(self, costs: Array) -> bool:
        width = self._memory.width if self.n_costs is None else self.n_costs
        return width in (None, costs.shape[1]) and bool(np.isfinite(costs).all())

    def _solve(self, batch: Batch) -> Solution:
        costs = batch.costs
        memory = self._memory
        drawn = memory.draw(len(costs), self.solve_ratio)
        rows = np.flatnonzero(drawn)
        solved = solve_rows(self.oracle, batch, rows) if len(rows) else None
        if solved is not None:
            memory.add(solved.decisions, self._own_part(solved.decisions))
            if len(rows) == len(costs):
                memory.count(len(rows), 0)
                return solved
        others = np.flatnonzero(~drawn)
        asked = costs[others]
        answers, own = memory.answer(asked)
        memory.count(len(rows), len(others))
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
