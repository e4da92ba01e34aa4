"""A model file, MPS or LP, as an oracle."""

from __future__ import annotations

import difflib
import gzip
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends.bare_highs import bare_highs
from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    SolverError,
    UnsupportedError,
)
from dfl_solvers.imports._programs import general_oracle, in_sense
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.program import Program

_ENDINGS = (".mps", ".mps.gz", ".lp", ".lp.gz")
_KINDS = {
    highspy.HighsVarType.kSemiContinuous: "semicontinuous",
    highspy.HighsVarType.kSemiInteger: "semi-integer",
}


def from_file(path: str | os.PathLike[str], costs: Sequence[str] | None = None) -> Oracle:
    r"""Make an oracle of a linear or mixed-integer model in an MPS or LP file.

    Any solver and any modeling language writes such a file. HiGHS reads it and solves it, kept hot
    between cost vectors.

    Parameters
    ----------
    path : path-like
        A file that ends in ``.mps``, ``.mps.gz``, ``.lp`` or ``.lp.gz``.
    costs : sequence of str, optional
        Names of the variables whose objective coefficients are predicted, in the order of the cost
        vector. Their coefficients in the file are replaced; those of all other variables are the
        known part of the objective (``fixed_costs``). Default: all variables, in the order of the
        file, so that no coefficient of the file is kept.

    Returns
    -------
    LinearProgram, MixedIntegerProgram or Maximize
        A model that maximizes becomes ``Maximize(...)``: predicted are then values, and the known
        part counts as values as well. ``oracle.program()`` (``oracle.minimizing.program()`` if it
        maximizes) is the matrix form, for example to set a time limit:
        ``MixedIntegerProgram(oracle.program(), time_limit=1.0)``.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or a name of ``costs`` is not in it or is there twice.
    InfeasibleError
        If the linear relaxation has no feasible point. That only the integers make a model
        infeasible shows at the first solve.
    UnsupportedError
        If the model has semicontinuous variables, quadratic terms or special ordered sets.

    Warns
    -----
    UserWarning
        If HiGHS reads the file but ignores a part of it.

    See Also
    --------
    from_gurobi : Keeps solving with Gurobi.

    Notes
    -----
    A constant in the objective is left out: it changes no decision and no regret. Whether an MPS
    file maximizes is read from its section ``OBJSENSE``, or from the comment in the first line by
    which PuLP says it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from dfl_solvers.imports import from_file
    >>> text = "max\n value: 3 a + 2 b - c\nst\n size: a + b - 4 c <= 1\nbin\n a b c\nend"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.lp")
    ...     _ = path.write_text(text)
    ...     oracle = from_file(path, costs=["a", "b"])
    >>> oracle.solve(np.array([[3.0, 2.0], [3.0, 0.5]])).decisions
    array([[1., 1.],
           [1., 0.]])
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError(
            f"from_file: got a path of type {type(path).__name__}, expected the name of a file; "
            "modeling languages write one, as PuLP does by model.writeMPS(name)"
        )
    path = Path(path)
    if not path.name.lower().endswith(_ENDINGS):
        raise InvalidInputError(
            f"from_file: got {path.name!r}, expected a file that ends in {', '.join(_ENDINGS)}"
        )
    if not path.is_file():
        raise InvalidInputError(f"from_file: there is no file {str(path)!r}")
    lp = _read(path)
    names = list(lp.col_names_)
    predicted = np.arange(len(names)) if costs is None else _positions(path.name, names, costs)
    maximize = lp.sense_ == highspy.ObjSense.kMaximize or _commented_maximum(path)
    fixed = -np.array(lp.col_cost_) if maximize else np.array(lp.col_cost_)
    fixed[predicted] = 0.0
    if not np.isfinite(fixed).all():
        wrong = int(np.flatnonzero(~np.isfinite(fixed))[0])
        raise InvalidInputError(
            f"from_file: the objective coefficient of {names[wrong]!r} in {path.name!r} is "
            f"{lp.col_cost_[wrong]}, expected a finite number"
        )
    program = _program(lp, fixed, None if costs is None else predicted)
    try:
        LinearProgram(program.relax()).solve(np.zeros((1, program.n_costs)))
    except InfeasibleError as error:
        raise InfeasibleError(f"from_file: the model in {path.name!r} is infeasible") from error
    except SolverError:
        pass  # then feasibility shows at the first solve
    return in_sense(general_oracle(program), maximize)


def _read(path: Path) -> Any:
    """Return the linear model in a file as HiGHS reads it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        highs = bare_highs({"log_to_console": False, "log_file": str(log)})
        status = highs.readModel(str(path))
        # an empty name closes the file, which some systems ask for before they delete it
        highs.setOptionValue("log_file", "")
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    reasons = [line.partition(":") for line in said.splitlines()]
    errors = [text.strip() for kind, _, text in reasons if kind == "ERROR"]
    errors = [text for text in errors if not text.startswith("Parser error")] or errors
    ignored = [text.strip() for kind, _, text in reasons if kind == "WARNING"]
    if status == highspy.HighsStatus.kError:
        reason = "; ".join(errors) or "HiGHS gives no reason"
        refusal = UnsupportedError if "not supported" in reason else InvalidInputError
        raise refusal(f"from_file: {path.name!r} cannot be read: {reason}")
    if ignored:
        warnings.warn(f"from_file: {path.name!r}: {'; '.join(ignored)}", stacklevel=3)
    if highs.getModel().hessian_.dim_:
        raise UnsupportedError(
            f"from_file: the objective in {path.name!r} is quadratic, but a model file must be "
            "linear; use from_cvxpy or from_gurobi"
        )
    lp = highs.getLp()
    for name, kind in zip(lp.col_names_, lp.integrality_, strict=False):
        if kind in _KINDS:
            raise UnsupportedError(
                f"from_file: variable {name!r} in {path.name!r} is {_KINDS[kind]}, which is not "
                "supported; write it with a binary variable"
            )
    return lp


def _commented_maximum(path: Path) -> bool:
    """Return whether an MPS file begins as PuLP's do that maximize: it says so in a comment."""
    name = path.name.lower()
    if not name.endswith((".mps", ".mps.gz")):
        return False
    with gzip.open(path) if name.endswith(".gz") else open(path, "rb") as file:
        return file.readline(100).strip().upper() == b"*SENSE:MAXIMIZE"


def _positions(file: str, names: list[str], wanted: Sequence[str]) -> Array:
    """Return where in the file the variables with predicted costs are."""
    if isinstance(wanted, str):
        raise InvalidInputError(f"from_file: got costs={wanted!r}, expected a list of names")
    places = {name: j for j, name in enumerate(names)}
    missing = [name for name in wanted if name not in places]
    if missing:
        near = {match for name in missing for match in difflib.get_close_matches(name, names)}
        more = ", ..." if len(names) > 10 else ""
        hint = f"; it has: {', '.join(names[:10])}{more}"
        if near:
            hint = f"; near matches: {', '.join(sorted(near))}"
        shown = ", ".join(map(repr, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise InvalidInputError(f"from_file: {file!r} has no variable {shown}{hint}")
    if not len(wanted):
        raise InvalidInputError("from_file: got no costs, expected at least one name")
    if len(set(wanted)) < len(wanted):
        twice = next(name for j, name in enumerate(wanted) if name in wanted[:j])
        raise InvalidInputError(f"from_file: costs names {twice!r} twice")
    return np.array([places[name] for name in wanted])


def _program(lp: Any, fixed: Array, predicted: Array | None) -> Program:
    """Return the matrix form of a model that HiGHS has read."""
    m, k = lp.num_row_, lp.num_col_
    matrix = lp.a_matrix_
    parts = np.array(matrix.value_), np.array(matrix.index_), np.array(matrix.start_)
    rowwise = matrix.format_ == highspy.MatrixFormat.kRowwise
    A = (sp.csr_array if rowwise else sp.csc_array)(parts, shape=(m, k))
    kinds = list(lp.integrality_) or [highspy.HighsVarType.kContinuous] * k
    decision_map = None
    if predicted is not None:
        d = len(predicted)
        decision_map = sp.csr_array((np.ones(d), (np.arange(d), predicted)), shape=(d, k))
    return Program(
        A,
        lp.row_lower_,
        lp.row_upper_,
        lp.col_lower_,
        lp.col_upper_,
        [kind != highspy.HighsVarType.kContinuous for kind in kinds],
        fixed,
        decision_map,
    )
