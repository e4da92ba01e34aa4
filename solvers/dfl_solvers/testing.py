"""The contract of an oracle as callable checks, for users' own oracles too."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np

from dfl_solvers.exceptions import InvalidInputError, OracleContractError, UnsupportedError
from dfl_solvers.oracle import Array, Oracle, Solution, minimizing
from dfl_solvers.wrappers import FromCallable

# relative to the size of the numbers compared; the accuracy of a general solver
_TOLERANCE = 1e-6


def check_oracle(
    oracle: Oracle,
    costs: Array | None = None,
    *,
    n_instances: int = 20,
    random_state: int = 0,
) -> None:
    """Check that an oracle keeps the contract that losses, metrics and estimators rely on.

    Run it in the tests of an oracle of your own. Decisions are compared with one another, with the
    answer of a general solver where the oracle has a matrix form, and with those for the same
    costs in other shapes, scales and orders.

    Parameters
    ----------
    oracle : Oracle
        What is checked.
    costs : ndarray of shape (n, d), optional
        Costs the oracle can take. Default: standard normal numbers.
    n_instances : int, default=20
        Number of instances to draw, without ``costs``.
    random_state : int, default=0
        Seed of the draw.

    Raises
    ------
    OracleContractError
        If a check fails; the message names it, the instance and the numbers.
    InvalidInputError
        If it is no oracle, or neither it nor ``costs`` says how many costs there are.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import FromCallable, check_oracle
    >>> check_oracle(FromCallable(lambda c: np.eye(3)[c.argmin()], n_costs=3))
    >>> check_oracle(FromCallable(lambda c: np.eye(3)[c.argmax()], n_costs=3))
    Traceback (most recent call last):
        ...
    dfl_solvers.exceptions.OracleContractError: decisions are optimal: instance 2 has objective \
1.3040000451301372, but the decision of instance 0 gives -0.7037352358069926
    """
    if isinstance(oracle, type) or not hasattr(oracle, "solve"):
        raise InvalidInputError(
            f"check_oracle: got {oracle!r}, expected an oracle; FromCallable makes one of a "
            "function"
        )
    if costs is None:
        if oracle.n_costs is None:
            raise InvalidInputError(
                f"check_oracle: {oracle!r} takes any number of costs; pass costs of shape (n, d)"
            )
        costs = np.random.default_rng(random_state).normal(size=(n_instances, oracle.n_costs))
    costs = np.array(costs, dtype=float)
    _check_input_untouched(oracle, costs)
    found = oracle.solve(costs)
    _check_shapes(found, costs)
    _check_objectives(oracle, found, costs)
    _check_program(oracle, found, costs)
    _check_optimal(oracle, found, costs)
    _check_same(oracle, found, costs)
    _check_small_batches(oracle, costs)
    _check_refusals(oracle, costs)
    if not isinstance(oracle, FromCallable):  # a user's function need not be picklable
        copy = pickle.loads(pickle.dumps(oracle))  # noqa: S301  (our own bytes)
        _expect_close("a pickled copy agrees", copy.solve(costs).objectives, found.objectives)


def _check_shapes(found: Solution, costs: Array) -> None:
    n = len(costs)
    for name, value, shape in (
        ("decisions", found.decisions, costs.shape),
        ("objectives", found.objectives, (n,)),
        ("status", found.status, (n,)),
    ):
        if np.shape(value) != shape:
            raise OracleContractError(f"{name} have shape {np.shape(value)}, expected {shape}")
    if not np.isfinite(found.decisions).all():
        row = int(np.argwhere(~np.isfinite(found.decisions))[0][0])
        raise OracleContractError(f"decisions are finite: instance {row} is not")


def _check_input_untouched(oracle: Oracle, costs: Array) -> None:
    given = np.array(costs, order="C")
    oracle.solve(given)
    if not np.array_equal(given, costs):
        row = int(np.argwhere(given != costs)[0][0])
        raise OracleContractError(f"costs are left untouched: those of instance {row} are not")
    given.setflags(write=False)
    oracle.solve(given)


def _check_objectives(oracle: Oracle, found: Solution, costs: Array) -> None:
    again = oracle.evaluate(costs, found.decisions)
    _expect_close("objectives are those of evaluate", found.objectives, again)


def _check_optimal(oracle: Oracle, found: Solution, costs: Array) -> None:
    """No decision of the batch may beat an instance's own: all are feasible for all."""
    _, sign = minimizing(oracle)
    for j in range(len(costs)):
        other = np.broadcast_to(found.decisions[j], costs.shape)
        gain = sign * (found.objectives - oracle.evaluate(costs, other))
        i = int(gain.argmax())
        if gain[i] > _slack(found.objectives[i]):
            raise OracleContractError(
                f"decisions are optimal: instance {i} has objective {found.objectives[i]}, but the "
                f"decision of instance {j} gives {found.objectives[i] - sign * gain[i]}"
            )


def _check_program(oracle: Oracle, found: Solution, costs: Array) -> None:
    """Compare with a general solver on the oracle's matrix form, if it has one."""
    held, sign = minimizing(oracle)
    program = getattr(held, "program", None)
    if program is None:
        return
    from dfl_solvers.problems.linear_program import LinearProgram
    from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram

    try:
        model = program()
    except UnsupportedError:  # this one has none, such as a box of any size
        return
    general = (
        MixedIntegerProgram(model)
        if model.integrality.any()
        else LinearProgram(model, backend="highs")
    )
    best = general.solve(sign * costs).objectives
    _expect_close("objectives are those of a general solver", sign * found.objectives, best)
    if model.identity:
        violation = model.violation(found.decisions)
        if violation > _slack(np.abs(found.decisions).max(initial=1.0)):
            raise OracleContractError(
                f"decisions are feasible: a row or bound is violated by {violation}"
            )


def _check_same(oracle: Oracle, found: Solution, costs: Array) -> None:
    """Solve the same costs again, one by one and in other units."""
    again = oracle.solve(costs)
    if not np.array_equal(again.decisions, found.decisions):
        raise OracleContractError("decisions are deterministic: a second call differs")
    for i in range(len(costs)):
        alone = oracle.solve(costs[i : i + 1]).objectives
        _expect_close(f"instance {i} alone is as in the batch", alone, found.objectives[i : i + 1])
    if getattr(minimizing(oracle)[0], "linear_objective", True):
        for factor in (1e-3, 1e3):
            scaled = oracle.solve(factor * costs).decisions
            _expect_close(
                f"costs times {factor} have the same optimum",
                oracle.evaluate(costs, scaled),
                found.objectives,
            )


def _check_small_batches(oracle: Oracle, costs: Array) -> None:
    empty = oracle.solve(costs[:0])
    if empty.decisions.shape != (0, costs.shape[1]) or empty.objectives.shape != (0,):
        raise OracleContractError(
            f"a batch of none gives none: got decisions of shape {empty.decisions.shape}"
        )


def _check_refusals(oracle: Oracle, costs: Array) -> None:
    bad = costs.copy()
    bad[-1, -1] = np.nan
    _expect_refusal("NaN costs are refused", lambda: oracle.solve(bad))
    _expect_refusal("a single cost vector is refused", lambda: oracle.solve(costs[0]))
    if oracle.n_costs is not None:
        wide = np.hstack([costs, costs[:, :1]])
        _expect_refusal("costs of another width are refused", lambda: oracle.solve(wide))


def _expect_refusal(check: str, call: Callable[[], object]) -> None:
    try:
        call()
    except InvalidInputError:
        return
    except Exception as error:
        raise OracleContractError(
            f"{check}: got {type(error).__name__}: {error}, expected InvalidInputError"
        ) from error
    raise OracleContractError(f"{check}: got an answer, expected InvalidInputError")


def _expect_close(check: str, found: Array, expected: Array) -> None:
    gap = np.abs(found - expected)
    wrong = np.flatnonzero(~(gap <= _slack(expected)))
    if len(wrong):
        i = int(wrong[0])
        raise OracleContractError(f"{check}: instance {i}: got {found[i]}, expected {expected[i]}")


def _slack(size: Array) -> Array:
    return _TOLERANCE * (1.0 + np.abs(size))
