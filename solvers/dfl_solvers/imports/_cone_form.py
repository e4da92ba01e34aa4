"""A parametrized CVXPY problem in matrix form, canonicalized once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError, UnsupportedError, import_optional
from dfl_solvers.imports._programs import affine_program
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program


@dataclass(frozen=True)
class ConeData:
    """``min x'Px / 2 + f.x`` over ``A x + b`` in the cones and ``lower <= x <= upper``."""

    P: Any
    f: Array
    A: Any
    b: Array
    lower: Array
    upper: Array


class ConeForm:
    """The matrices of a problem as functions of its predicted parameters.

    Parameters
    ----------
    problem : cvxpy.Problem
    predicted : mapping of str to cvxpy.Parameter
        Costs and instance data.
    costs : str or None
        Which of them are the costs; None for the only one that is linear in the objective.

    Attributes
    ----------
    costs : str
    decision_map : sparse matrix of shape (d, k)
    offsets : ndarray of shape (d,)
        The decision is ``decision_map @ x + offsets``.
    linear : bool
        True for a linear or mixed-integer linear program.
    """

    def __init__(self, problem: Any, predicted: Mapping[str, Any], costs: str | None) -> None:
        cp = import_optional("cvxpy", "cvxpy")
        self._form, self.integrality = _canonicalize(cp, problem)
        self.maximizes = isinstance(problem.objective, cp.Maximize)
        self.linear = self._form.P is None or not self._form.P.nnz
        self.linear = self.linear and not _curved(self._form.cone_dims)
        for name, parameter in predicted.items():
            if parameter.id not in self._form.param_id_to_col:
                raise UnsupportedError(
                    f"from_cvxpy: parameter {name!r} is declared with a pattern, such as "
                    "symmetric or diagonal, which is not supported; declare it by its shape alone"
                )
        self._lock = threading.Lock()
        self._predicted = dict(predicted)
        self.costs = self._cost_name() if costs is None else costs
        self._known_values = {
            p.id: None if p.value is None else _dense(p.value) for p in self._form.parameters
        }
        costs = self.costs
        self._zeros = {predicted[costs].id: np.zeros(predicted[costs].shape)}
        self.decision_map, self.offsets = self._decision()
        # CVXPY's tensors: rows are the entries of the matrices column by column, the vector last
        k, m = self._form.x.size, self._form.constr_size
        matrix = sp.csr_array(self._form.A)
        self._f, self._b = sp.csr_array(self._form.q)[:k], matrix[m * k :]
        varying = [self._columns(p) for name, p in predicted.items() if name != costs]
        columns = np.concatenate([np.zeros(0, dtype=int), *varying])
        changes = [matrix[: m * k], *([] if self._form.P is None else [self._form.P])]
        self._same_matrices = not any(sp.csc_array(t)[:, columns].nnz for t in changes)
        self._matrices: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def n_costs(self) -> int:
        """Number d of costs."""
        return int(self._predicted[self.costs].size)

    @property
    def dims(self) -> Any:
        """CVXPY's summary of the cones."""
        return self._form.cone_dims

    def _columns(self, parameter: Any) -> Array:
        """Return the columns of a parameter in CVXPY's tensors, entries in row-major order."""
        start = self._form.param_id_to_col[parameter.id]
        places = np.arange(start, start + parameter.size)
        return places.reshape(parameter.shape, order="F").ravel()

    def _cost_name(self) -> str:
        """Return which predicted parameter must be the costs."""
        names = list(self._predicted)
        if len(names) > 1:
            q = sp.csc_array(self._form.q)
            names = [name for name in names if q[:, self._columns(self._predicted[name])].nnz]
        if len(names) != 1:
            found = f"{', '.join(names)} all are" if names else "none is"
            raise InvalidInputError(
                f"from_cvxpy: which predicted parameter holds the costs? {found} linear in the "
                "objective; name it, as in costs='c'"
            )
        return names[0]

    def _decision(self) -> tuple[sp.csr_array, Array]:
        """Return what the costs multiply, after checking that they multiply nothing else."""
        form, parameter = self._form, self._predicted[self.costs]
        limits = [kind for kind, value in parameter.attributes.items() if np.any(value)]
        if limits:
            raise UnsupportedError(
                f"from_cvxpy: the costs {self.costs!r} are declared {', '.join(limits)}, but "
                "losses ask for decisions for costs of any kind; declare the parameter by its "
                "shape alone"
            )
        columns = self._columns(parameter)
        for tensor in (form.A, form.P, form.lb_tensor, form.ub_tensor):
            if tensor is not None and sp.csc_array(tensor)[:, columns].nnz:
                raise UnsupportedError(
                    f"from_cvxpy: the costs {self.costs!r} must enter the objective linearly, as "
                    f"in costs @ x, and no constraint; write what else {parameter.name()} stands "
                    "for with another parameter"
                )
        slopes = sp.csr_array(sp.csc_array(form.q)[:, columns].T)
        if self.maximizes:
            slopes = -slopes
        k = form.x.size
        return sp.csr_array(slopes[:, :k]), slopes[:, [k]].toarray()[:, 0]

    def fixed_part(self) -> bool:
        """Return whether there is a known part of the objective, for some instance."""
        if self._form.P is not None and self._form.P.nnz:
            return True
        form = self._form
        others = np.ones(form.q.shape[1], dtype=bool)
        others[self._columns(self._predicted[self.costs])] = False
        return bool(sp.csc_array(form.q)[: form.x.size][:, np.flatnonzero(others)].nnz)

    def values(self, instance: Mapping[str, Array], i: int | None) -> dict[int, Array]:
        """Return the values of all parameters by id, for instance i of a batch or for one alone."""
        values: dict[int, Any] = {**self._known_values, **self._zeros}
        for name, data in instance.items():
            parameter = self._predicted[name]
            value = np.asarray(data if i is None else data[i], dtype=float)
            where = "" if i is None else f" of instance {i}"
            if value.size != parameter.size:
                raise InvalidInputError(
                    f"CvxpyOracle: got {name}{where} of shape {value.shape}, expected "
                    f"{parameter.shape}"
                )
            value = value.reshape(parameter.shape)
            try:
                parameter._validate_value(value)  # its sign, its pattern
            except ValueError as error:
                raise InvalidInputError(f"CvxpyOracle: {name}{where}: {error}") from error
            values[parameter.id] = value
        for parameter in self._form.parameters:
            if values[parameter.id] is None:
                names = [name for name, p in self._predicted.items() if p.id == parameter.id]
                raise InvalidInputError(
                    f"CvxpyOracle: got no instance data {names[0]!r}"
                    if names
                    else f"from_cvxpy: parameter {parameter.name()} has no value and is not "
                    "predicted"
                )
        return values

    def data(self, instance: Mapping[str, Array], i: int | None) -> ConeData:
        """Return the matrices for instance i of a batch, or for one instance alone."""
        values, form, k = self.values(instance, i), self._form, self._form.x.size
        vector = np.ones(form.q.shape[1])
        for parameter in form.parameters:
            start = form.param_id_to_col[parameter.id]
            vector[start : start + parameter.size] = values[parameter.id].ravel(order="F")
        with self._lock:  # CVXPY keeps intermediate results inside
            if self._matrices is None or not self._same_matrices:
                if form.P is None:
                    _, _, A, _ = form.apply_parameters(values)
                    self._matrices = sp.csc_array((k, k)), A
                else:
                    P, _, _, A, _ = form.apply_parameters(values, quad_obj=True)
                    self._matrices = P, A
            P, A = self._matrices
        return ConeData(
            P,
            self._f @ vector,
            A,
            self._b @ vector,
            _bound(form.lower_bounds, form.lb_tensor, vector, np.full(k, -np.inf)),
            _bound(form.upper_bounds, form.ub_tensor, vector, np.full(k, np.inf)),
        )

    def program(self, instance: Mapping[str, Array], i: int | None) -> Program:
        """Return the linear form for instance i of a batch, or for one instance alone."""
        data = self.data(instance, i)
        zero, binary = self._form.cone_dims.zero, self.integrality == 2
        upper = np.full(len(data.b), np.inf)
        upper[:zero] = -data.b[:zero]
        return affine_program(
            data.A,
            -data.b,
            upper,
            np.where(binary, np.maximum(data.lower, 0.0), data.lower),
            np.where(binary, np.minimum(data.upper, 1.0), data.upper),
            self.integrality > 0,
            data.f,
            self.decision_map,
            self.offsets,
        )


def _canonicalize(cp: Any, problem: Any) -> tuple[Any, Array]:
    """Return CVXPY's parametrized cone program, and 1 for integer and 2 for binary variables."""
    if not problem.is_dcp():
        raise UnsupportedError(
            "from_cvxpy: the problem is not convex by CVXPY's rules (DCP); see problem.is_dcp()"
        )
    if not problem.is_dcp(dpp=True):
        raise UnsupportedError(
            "from_cvxpy: the problem is not DPP, so it cannot be canonicalized once for all "
            "values of its parameters; a parameter may multiply a variable, but not another "
            "parameter or a function of one: put the product into a parameter of its own"
        )
    mixed = problem.is_mixed_integer()
    try:
        form, data = _compile(problem, cp.HIGHS if mixed else cp.CLARABEL)
        if not mixed and not _curved(form.cone_dims) and (form.P is None or not form.P.nnz):
            form, data = _compile(problem, cp.HIGHS)  # which takes bounds as bounds
    except cp.SolverError as error:
        kind = "nonlinear and has integer variables" if mixed else "beyond its cones"
        raise UnsupportedError(
            f"from_cvxpy: no solver at hand takes the problem, which is {kind}: {error}"
        ) from error
    integrality = np.zeros(form.x.size, dtype=int)
    integrality[list(data.get("int_vars_idx") or [])] = 1
    integrality[list(data.get("bool_vars_idx") or [])] = 2
    return form, integrality


def _curved(dims: Any) -> bool:
    """Return whether a problem has other cones than equalities and inequalities."""
    return bool(dims.exp or dims.soc or dims.psd or dims.p3d or dims.pnd)


def _compile(problem: Any, solver: str) -> tuple[Any, dict[str, Any]]:
    # parameters without a value would stop CVXPY here, and their values mean nothing yet
    empty = [p for p in problem.parameters() if p.value is None]
    for parameter in empty:
        parameter.project_and_assign(np.ones(parameter.shape))
    try:
        data, _, _ = problem.get_problem_data(solver, enforce_dpp=True)
    finally:
        for parameter in empty:
            parameter.value = None
    return data["param_prob"], data


def _bound(fixed: Array | None, tensor: Any, vector: Array, absent: Array) -> Array:
    """Return bounds of the variables, which may depend on the parameters."""
    if tensor is not None:
        return np.asarray(tensor @ vector).ravel()
    return absent if fixed is None else fixed


def _dense(value: Any) -> Array:
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value, dtype=float)
