"""Oracles to files and back, by their parameters: no pickle, no code."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

import dfl_solvers
from dfl_solvers._archive import canonical, hash_array, read_archive, write_archive
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import AbstractOracle, Array, Oracle
from dfl_solvers.program import Program

# beside them, every problem that the package names in its face
_WRAPPERS = {
    "Cached": "cached",
    "Counting": "wrappers",
    "Maximize": "wrappers",
    "Parallel": "parallel",
    "Pool": "pool",
    "WithBackend": "with_backend",
}
_VECTORS = ("row_lower", "row_upper", "lower", "upper", "integrality", "fixed_costs")


def save_oracle(oracle: Oracle, path: str | os.PathLike[str]) -> None:
    """Save an oracle to one file, without pickle.

    Parameters
    ----------
    oracle : Oracle
        A problem of this package, as it is or in ``Maximize``, ``Counting``, ``Cached``,
        ``Parallel``, ``Pool`` or ``WithBackend``. What wrappers have counted, cached or pooled is
        not saved, nor the folder of a cache, which belongs to a machine.
    path : str or Path
        File to write; an old one is replaced in one step.

    Raises
    ------
    UnsupportedError
        If the oracle is a ``FromCallable`` or of a class of your own: code cannot be stored.

    Notes
    -----
    The file is a zip as ``numpy.load`` reads it (``allow_pickle=False``), with the arrays among the
    parameters, sparse matrices in three arrays, and ``oracle.json`` with the class, the other
    parameters, the version of the format and checksums. Equal oracles give equal files.

    Examples
    --------
    >>> import tempfile
    >>> from dfl_solvers import Knapsack
    >>> from dfl_solvers.serialization import load_oracle, save_oracle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_oracle(Knapsack([[3.0, 4.0]], [6.0]), f"{folder}/knapsack.npz")
    ...     load_oracle(f"{folder}/knapsack.npz")
    Knapsack(weights=[[3.0, 4.0]], capacities=[6.0])
    """
    write_archive(path, *oracle_to_dict(oracle))


def load_oracle(path: str | os.PathLike[str]) -> Oracle:
    """Load an oracle that ``save_oracle`` saved.

    Nothing in the file is run: it names a class of this package and gives its parameters. A file
    from elsewhere is safe to open, though it may describe a problem that is too large to solve.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Oracle
        With the same parameters and the same decisions.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidInputError
        If the file is damaged, was changed, is of another kind or of a newer version, or describes
        a problem that cannot be; the message says which.
    """
    content, arrays = read_archive(path)
    try:
        return oracle_from_dict(content, arrays)
    except InvalidInputError as error:
        raise InvalidInputError(f"{os.fspath(path)}: {error}") from error


def oracle_to_dict(oracle: Oracle) -> tuple[dict[str, Any], dict[str, Array]]:
    """Describe an oracle by plain values and arrays, to be stored within a larger file.

    Parameters
    ----------
    oracle : Oracle
        As for ``save_oracle``.

    Returns
    -------
    description : dict
        Class and parameters, fit for JSON; arrays stand there by name.
    arrays : dict of str to ndarray
        The arrays; they are not copied.

    Raises
    ------
    UnsupportedError
        If the oracle is a ``FromCallable`` or of a class of your own.

    Examples
    --------
    >>> from dfl_solvers import TopK
    >>> from dfl_solvers.serialization import oracle_from_dict, oracle_to_dict
    >>> description, arrays = oracle_to_dict(TopK(5, 2))
    >>> description
    {'class': 'TopK', 'parameters': {'n': 5, 'k': 2}}
    >>> oracle_from_dict(description, arrays)
    TopK(n=5, k=2)
    """
    arrays: dict[str, Array] = {}
    return _describe(oracle, "", arrays), arrays


def oracle_from_dict(description: Mapping[str, Any], arrays: Mapping[str, Array]) -> Oracle:
    """Rebuild an oracle from what ``oracle_to_dict`` returned.

    Parameters
    ----------
    description : mapping
        What the oracle is, in values that JSON has.
    arrays : mapping of str to ndarray
        Arrays by the names in the description.

    Returns
    -------
    Oracle
        An equal oracle.

    Raises
    ------
    InvalidInputError
        If the description does not fit a class of this package.
    """
    try:
        return _rebuild(description, arrays)
    except RecursionError as error:
        raise InvalidInputError("the description of the oracle is nested too deep") from error


def fingerprint(oracle: Oracle) -> str:
    """Return a name for an oracle that depends on its class, its parameters and our version.

    Parameters
    ----------
    oracle : Oracle
        As for ``save_oracle``.

    Returns
    -------
    str
        32 hexadecimal digits; the same in every process.
    """
    description, arrays = oracle_to_dict(oracle)
    hashes = {name: hash_array(array) for name, array in arrays.items()}
    content = canonical([dfl_solvers.__version__, description, hashes])
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _find(name: str) -> type[Any] | None:
    """Return the class of that name that may be stored; None if there is none."""
    home = _WRAPPERS.get(name) or dfl_solvers._HOMES.get(name, "")
    if name not in _WRAPPERS and not home.startswith("problems."):
        return None
    found: type[Any] = getattr(importlib.import_module(f"dfl_solvers.{home}"), name)
    return found if name in _WRAPPERS or issubclass(found, AbstractOracle) else None


def _describe(oracle: Oracle, place: str, arrays: dict[str, Array]) -> dict[str, Any]:
    kind = type(oracle)
    if kind is not _find(kind.__name__):
        what = (
            "a function cannot be stored"
            if kind.__name__ == "FromCallable"
            else f"the code of the class {kind.__module__}.{kind.__qualname__} cannot be stored"
        )
        raise UnsupportedError(
            f"{kind.__name__} does not go with a file: {what}; keep it in your code, and hand the "
            "oracle over again when you load what uses it"
        )
    parameters = {}
    for name in inspect.signature(kind).parameters:
        value = getattr(oracle, name)
        if (kind.__name__, name) == ("Cached", "folder"):
            value = None
        parameters[name] = _encode(value, f"{place}{name}", arrays)
    return {"class": kind.__name__, "parameters": parameters}


def _encode(value: Any, place: str, arrays: dict[str, Array]) -> Any:
    """Return a value fit for JSON; arrays go to ``arrays`` under the name of their place."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays[place] = value
        return {"array": place}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]
        return {type(value).__name__: items}
    if isinstance(value, Program):
        return {"program": _encode_program(value, place, arrays)}
    if hasattr(value, "solve"):
        return {"oracle": _describe(value, f"{place}.", arrays)}
    raise UnsupportedError(
        f"the parameter {place} is a {type(value).__name__}, which cannot be stored"
    )


def _encode_program(program: Program, place: str, arrays: dict[str, Array]) -> dict[str, Any]:
    parts = {name: _encode(getattr(program, name), f"{place}.{name}", arrays) for name in _VECTORS}
    for name in ("A", "decision_map"):
        matrix = getattr(program, name)
        if name == "decision_map" and program.identity:
            parts[name] = None
            continue
        csr = [matrix.data, matrix.indices, matrix.indptr]
        encoded = [
            _encode(part, f"{place}.{name}.{what}", arrays)
            for part, what in zip(csr, ("data", "indices", "indptr"), strict=True)
        ]
        parts[name] = {"csr": encoded, "shape": list(matrix.shape)}
    return parts


def _rebuild(description: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(description, Mapping) or description.keys() != {"class", "parameters"}:
        raise InvalidInputError("a description of an oracle needs a class and parameters")
    name, parameters = description["class"], description["parameters"]
    kind = _find(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidInputError(
            f"this version of dfl-opt ({dfl_solvers.__version__}) knows no oracle {name!r}"
        )
    known = list(inspect.signature(kind).parameters)
    if not isinstance(parameters, Mapping) or not parameters.keys() <= set(known):
        raise InvalidInputError(f"{name}: got other parameters than {', '.join(known)}")
    values = {key: _decode(value, arrays) for key, value in parameters.items()}
    if values.get("folder") is not None:
        raise InvalidInputError(f"{name}: a file may not name a folder to write to")
    for key in values.keys() & {"oracle"}:
        if not hasattr(values[key], "solve"):
            raise InvalidInputError(f"{name}: expected an oracle in it")
    try:
        return kind(**values)
    except Exception as error:
        # whatever a constructor makes of parameters that no one has checked
        raise InvalidInputError(f"the parameters make no {name}: {error}") from error


def _decode(value: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(value, Mapping):
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise InvalidInputError(f"got a {type(value).__name__} in the parameters of an oracle")
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "array" and isinstance(content, str) and content in arrays:
            return arrays[content]
        if kind == "float" and content in ("inf", "-inf", "nan"):
            return float(content)
        if kind in ("list", "tuple") and isinstance(content, list):
            items = [_decode(item, arrays) for item in content]
            return items if kind == "list" else tuple(items)
        if kind == "program":
            return _decode_program(content, arrays)
        if kind == "oracle":
            return _rebuild(content, arrays)
    raise InvalidInputError(f"cannot read {str(value)[:60]} among the parameters of an oracle")


def _decode_program(parts: Any, arrays: Mapping[str, Array]) -> Program:
    if not isinstance(parts, Mapping) or parts.keys() != {"A", "decision_map", *_VECTORS}:
        raise InvalidInputError("the parts of a program are missing")
    values = {name: _decode(parts[name], arrays) for name in _VECTORS}
    for name in ("A", "decision_map"):
        value = parts[name]
        if name == "decision_map" and value is None:
            continue
        try:
            data, indices, indptr = (_decode(part, arrays) for part in value["csr"])
            rows, columns = (int(length) for length in value["shape"])
            matrix = sp.csr_array((data, indices, indptr), shape=(rows, columns))
            # indices out of range would reach memory that is not ours
            matrix.check_format(full_check=True)
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidInputError(f"{name} of a program is no sparse matrix: {error}") from error
        values[name] = matrix
    return Program(**values)
