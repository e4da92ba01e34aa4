"""Reading, solving, checking and storing a gurobipy model; what ``GurobiOracle`` is built on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends.gurobi import OPTIMAL, environment, gurobi
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Status


class Predicted(NamedTuple):
    """The decision as an affine map of a model's variables: ``matrix @ x + offsets``."""

    matrix: sp.csr_array  # (d, k)
    offsets: Array  # (d,)
    replaced: Array  # positions of the variables whose own coefficients are predicted


def read_costs(model: Any, costs: Sequence[Any]) -> Predicted:
    """Return the affine map of variables and linear expressions that have predicted costs."""
    gp = gurobi()
    flat = _flatten(gp, costs)
    variables = model.getVars()
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    offsets = np.zeros(len(flat))
    replaced = []
    for j, cost in enumerate(flat):
        if isinstance(cost, gp.Var):
            terms, numbers = [cost], [1.0]
            replaced.append(cost)
        else:
            terms = [cost.getVar(i) for i in range(cost.size())]
            numbers = [cost.getCoeff(i) for i in range(cost.size())]
            offsets[j] = cost.getConstant()
        rows += [j] * len(terms)
        columns += [_position(variables, var, j) for var in terms]
        values += numbers
    positions = np.array([var.index for var in replaced], dtype=int)
    if len(set(positions.tolist())) < len(positions):
        raise InvalidInputError("from_gurobi: costs lists a variable twice")
    matrix = sp.csr_array((values, (rows, columns)), shape=(len(flat), len(variables)))
    return Predicted(matrix, offsets, positions)


def _flatten(gp: Any, costs: Any) -> list[Any]:
    """Return variables and expressions one by one, those of matrix objects in row-major order."""
    if isinstance(costs, gp.MVar | gp.MLinExpr):
        return [costs[index].item() for index in np.ndindex(costs.shape)]
    if isinstance(costs, dict):
        costs = list(costs.values())
    if isinstance(costs, gp.Var | gp.LinExpr | str) or not hasattr(costs, "__iter__"):
        raise InvalidInputError(
            f"from_gurobi: got costs of type {type(costs).__name__}, expected a list of variables "
            "or linear expressions"
        )
    flat = []
    for cost in costs:
        if isinstance(cost, gp.MVar | gp.MLinExpr):
            flat += _flatten(gp, cost)
        elif isinstance(cost, gp.Var | gp.LinExpr):
            flat.append(cost)
        else:
            raise InvalidInputError(
                f"from_gurobi: got costs[{len(flat)}] of type {type(cost).__name__}, expected a "
                "variable or a linear expression"
                + ("; model.getVarByName finds one" if isinstance(cost, str) else "")
            )
    if not flat:
        raise InvalidInputError("from_gurobi: got no costs, expected at least one variable")
    return flat


def _position(variables: list[Any], var: Any, cost: int) -> int:
    """Return where a variable is among those of the model."""
    index = int(var.index)
    if not 0 <= index < len(variables) or not variables[index].sameAs(var):
        raise InvalidInputError(
            f"from_gurobi: costs[{cost}] holds a variable that is not in the model"
        )
    return index


def refuse_objective(model: Any) -> None:
    """Refuse objectives that cannot be a known part."""
    if model.NumObj > 1:
        raise UnsupportedError(
            f"from_gurobi: the model has {model.NumObj} objectives, which is not supported; set "
            "model.NumObj = 1 and give it one"
        )
    if model.NumPWLObjVars:
        raise UnsupportedError(
            "from_gurobi: the model has a piecewise-linear objective, which is not supported; "
            "write it with variables and constraints"
        )


def refuse_matrix_form(model: Any, callback: Any) -> None:
    """Refuse a model whose feasible set is no matrix form, by the name of what it has."""
    kinds = set(model.getAttr("VType", model.getVars()))
    lazy = callback is not None and model.Params.LazyConstraints
    found = [
        name
        for name, present in (
            ("quadratic constraints", model.NumQConstrs),
            ("special ordered sets", model.NumSOS),
            ("general constraints", model.NumGenConstrs),
            ("a quadratic objective", model.IsQP or model.NumQNZs),
            ("semicontinuous variables", kinds & {"S", "N"}),
            ("lazy constraints in a callback", lazy),
        )
        if present
    ]
    if found:
        raise UnsupportedError(
            f"GurobiOracle.program: a matrix form is linear, but the model has {', '.join(found)}"
        )


def outcome(model: Any) -> Status:
    """Return how the last solve of the model ended."""
    GRB = gurobi().GRB
    if model.Status == OPTIMAL:
        return Status.OPTIMAL
    if model.Status == GRB.INFEASIBLE:
        return Status.INFEASIBLE
    if model.Status in (GRB.UNBOUNDED, GRB.INF_OR_UNBD):
        # Gurobi's statuses leave open whether there is a feasible point: ask without an objective
        probe = model.copy()
        probe.setObjective(0.0)
        probe.optimize()
        return Status.INFEASIBLE if probe.Status == GRB.INFEASIBLE else Status.UNBOUNDED
    return Status.FEASIBLE if model.SolCount else Status.FAILED


def status_name(model: Any) -> str:
    """Return Gurobi's name of the status of the last solve."""
    codes = gurobi().GRB.Status
    names = [name for name in dir(codes) if getattr(codes, name) == model.Status]
    return names[0] if names else str(model.Status)


def store(model: Any) -> tuple[bytes, bytes]:
    """Return a model and its parameters as the bytes of two files."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "model.mps"), Path(folder, "parameters.prm")
        for file in files:
            model.write(str(file))
        return files[0].read_bytes(), files[1].read_bytes()


def restore(stored: tuple[bytes, bytes]) -> Any:
    """Return a model, in the default environment, from the bytes of two files."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "model.mps"), Path(folder, "parameters.prm")
        for file, content in zip(files, stored, strict=True):
            file.write_bytes(content)
        model = gurobi().read(str(files[0]), env=environment())
        model.read(str(files[1]))
    return model
