"""An oracle as a PyEPO model: PyEPO's losses and scripts at the speed of this package."""

from __future__ import annotations

import functools
from typing import Any

# loaded before PyEPO, which loads ortools: HiGHS cannot be loaded after that
import highspy  # noqa: F401
import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError, UnsupportedError, import_optional
from dfl_solvers.imports._programs import general_oracle, in_sense
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.program import Program


def to_pyepo(oracle: Oracle) -> Any:
    """Make a PyEPO model of an oracle: an existing PyEPO script gets its speed from one line.

    PyEPO's data set, losses and metrics then solve each batch in one call, instead of an instance
    at a time.

    Parameters
    ----------
    oracle : Oracle
        Any oracle with a fixed number of costs; ``Maximize(...)`` becomes a model that maximizes.

    Returns
    -------
    pyepo.model.opt.optModel
        With ``setObj``, ``solve``, ``copy``, ``num_cost`` and ``modelSense``; for an oracle with a
        matrix form ``relax`` and ``addConstr`` as well.

    Raises
    ------
    InvalidInputError
        If the oracle takes any number of costs.
    MissingDependencyError
        If PyEPO is not installed.

    See Also
    --------
    from_pyepo : The way back.

    Notes
    -----
    PyEPO solves in batches for the subclasses of one of its model classes, that for the solver
    MPAX. The returned model is such a subclass, without MPAX: ``processes`` above one is ignored,
    with a message in PyEPO's log.

    Where the oracle's objective has a part q of its own, a PyEPO solution has one more entry, q at
    the decision, whose cost is known and one: PyEPO's own way with partly predicted costs. A loss
    that multiplies the known costs by t asks for ``argmin c.w + t q``, which the oracle answers for
    the costs c / t; a t that is not positive is refused.

    Examples
    --------
    >>> import pyepo  # doctest: +SKIP
    >>> from dfl_solvers import GridShortestPath
    >>> from dfl_solvers.imports import to_pyepo
    >>> model = to_pyepo(GridShortestPath(5, 5))  # doctest: +SKIP
    >>> spo_plus = pyepo.func.SPOPlus(model)  # doctest: +SKIP
    """
    if oracle.n_costs is None:
        raise InvalidInputError(
            f"to_pyepo: {oracle!r} takes any number of costs, but a PyEPO model has one: give the "
            "oracle its size"
        )
    return _model_class()(oracle)


class OracleModel:
    """The methods of the PyEPO model; its class also derives from PyEPO's own."""

    def __init__(self, oracle: Oracle, full: Oracle | None = None) -> None:
        # ``full`` takes the place of the oracle where a constraint was added: it solves for costs
        # with the known one at their end, of any sign
        pyepo = import_optional("pyepo", "pyepo")
        self.oracle = oracle
        self.full = full
        self._minimizing, self._sign = minimizing(oracle)
        self._known = not getattr(self._minimizing, "linear_objective", True)
        self.modelSense = pyepo.EPO.MINIMIZE if self._sign > 0 else pyepo.EPO.MAXIMIZE
        self._cost_vars: list[Any] = []
        self._extra_constrs: list[Any] = []
        self._model, self.x = self._getModel()
        self._optimal = _optimal_code()

    def _getModel(self) -> tuple[Oracle, list[int]]:
        return self.oracle, list(range(self.num_cost + self._known))

    def __repr__(self) -> str:
        return f"optModel of {self.oracle!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.oracle, self.full)

    def get_config(self) -> dict[str, Any]:
        """Return what builds this model again."""
        return {"oracle": self.oracle, "full": self.full}

    @property
    def num_cost(self) -> int:
        """Number of predicted costs."""
        return self.oracle.n_costs  # type: ignore[return-value]

    @property
    def c_pred_index(self) -> Array | None:
        """Which entries of a solution have predicted costs; None for all."""
        return np.arange(self.num_cost) if self._known else None

    def _fullCost(self, pred_cost: Any) -> Any:
        """Append the known cost, one, where there is a known part."""
        if not self._known:
            return pred_cost
        shape = (*pred_cost.shape[:-1], len(self.x))
        full = pred_cost.new_ones(shape) if hasattr(pred_cost, "new_ones") else np.ones(shape)
        full[..., : self.num_cost] = pred_cost
        return full

    def setObj(self, c: Any) -> None:
        """Set predicted costs, of one instance or of a batch."""
        self._setFullObj(self._fullCost(c if hasattr(c, "shape") else np.asarray(c)))

    def _setFullObj(self, c: Any) -> None:
        costs = np.asarray(c.detach().cpu() if hasattr(c, "detach") else c, dtype=np.float64)
        if costs.ndim not in (1, 2) or costs.shape[-1] != len(self.x):
            raise InvalidInputError(
                f"to_pyepo: got costs of shape {costs.shape}, expected ({len(self.x)},) or "
                f"(n, {len(self.x)})"
            )
        # as PyEPO holds them: to be minimized
        self.c = self._sign * costs

    def solve(self) -> tuple[Array, float]:
        """Return the solution and the objective for the costs of one instance set last."""
        solutions, objectives, _ = self.batch_optimize(self.c[None])
        return solutions[0], self._sign * float(objectives[0])

    def batch_optimize(self, costs: Array) -> tuple[Array, Array, Array]:
        """Return solutions, minimized objectives and MPAX's status of a batch of minimized costs.

        PyEPO calls it once for each batch.
        """
        done = np.full(len(costs), self._optimal)
        if self.full is not None:
            found = minimizing(self.full)[0].solve(costs)
            return _writable(found.decisions), _writable(found.objectives), done
        if not self._known:
            found = self._minimizing.solve(costs)
            return _writable(found.decisions), _writable(found.objectives), done
        factors = self._sign * costs[:, -1:]
        if (factors <= 0).any():
            row = int(np.argmin(factors))
            raise UnsupportedError(
                f"to_pyepo: instance {row}: the loss asks for a decision with the known part of "
                f"the objective of {self.oracle!r} times {factors[row, 0]}; only positive factors "
                "can be solved"
            )
        scaled = costs[:, :-1] / factors
        found = self._minimizing.solve(scaled)
        known = found.objectives - np.vecdot(scaled, found.decisions)
        solutions = np.hstack([found.decisions, self._sign * known[:, None]])
        return solutions, factors[:, 0] * found.objectives, done

    def copy(self) -> Any:
        """Return another model over the same oracle."""
        other = type(self)(self.oracle, self.full)
        if hasattr(self, "c"):
            other.c = self.c.copy()
        return other

    def relax(self) -> Any:
        """Return the model of the linear relaxation."""
        oracle = in_sense(general_oracle(self._program().relax()), self._sign < 0)
        return type(self)(oracle)

    def addConstr(self, coefs: Any, rhs: float) -> Any:
        """Return a model with one more constraint, ``coefs @ solution <= rhs``."""
        coefs = np.asarray(coefs.detach().cpu() if hasattr(coefs, "detach") else coefs, dtype=float)
        if coefs.shape != (len(self.x),):
            raise InvalidInputError(
                f"to_pyepo: got coefficients of shape {coefs.shape}, expected ({len(self.x)},)"
            )
        program = self._program() if self.full is None else self.full.program()  # type: ignore[attr-defined]
        solution_map = program.decision_map
        if self.full is None and self._known:
            solution_map = sp.vstack([solution_map, self._sign * program.fixed_costs[None]])
        extended = Program(
            sp.vstack([program.A, sp.csr_array((coefs @ solution_map)[None])]),
            np.append(program.row_lower, -np.inf),
            np.append(program.row_upper, float(rhs)),
            program.lower,
            program.upper,
            program.integrality,
            None,
            solution_map,
        )
        return type(self)(self.oracle, general_oracle(extended))

    def _program(self) -> Program:
        program = getattr(self._minimizing, "program", None)
        if program is None:
            raise UnsupportedError(
                f"to_pyepo: {self.oracle!r} has no matrix form, which relax and addConstr need"
            )
        form: Program = program()
        return form


def _rebuild(oracle: Oracle, full: Oracle | None) -> Any:
    return _model_class()(oracle, full)


def _writable(values: Array) -> Array:
    """Return an array that other frameworks can share."""
    return values if values.flags.writeable else values.copy()


@functools.cache
def _model_class() -> type:
    """Return the class of the models, which needs PyEPO."""
    mpax = import_optional("pyepo.model.mpax", "pyepo")
    return type("OracleModel", (OracleModel, mpax.optMpaxModel), {"__doc__": OracleModel.__doc__})


@functools.cache
def _optimal_code() -> int:
    """Return MPAX's code of an optimal solve."""
    module: Any = import_optional("pyepo.model.mpax.mpaxmodel", "pyepo")
    if module._HAS_MPAX:
        return int(module.TerminationStatus.OPTIMAL)
    # without MPAX, PyEPO fails where it looks for a solve to warn of: here there are none
    module._warned_not_optimal = True
    return 0
