"""Model files become oracles."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnsupportedError
from dfl_solvers.imports import from_file
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.testing import check_oracle
from dfl_solvers.wrappers import Maximize

LP = """Maximize
 profit: 3 x + 2 y - z + 5
Subject To
 c1: x + y <= 4
 c2: x + 3 y + z <= 6
 c3: x - z >= -2
 c4: x - z <= 9
Bounds
 x <= 3
 -1 <= z <= 2
General
 y
End
"""
MPS = """NAME test
OBJSENSE
    MAX
ROWS
 N profit
 L c1
 L c2
 G c3
COLUMNS
    x profit 3 c1 1
    x c2 1 c3 1
    MARKER 'MARKER' 'INTORG'
    y profit 2 c1 1
    y c2 3
    MARKER 'MARKER' 'INTEND'
    z profit -1 c2 1
    z c3 -1
RHS
    RHS c1 4 c2 6
    RHS c3 -2 profit -5
RANGES
    RNG c3 11
BOUNDS
 UP BND x 3
 PL BND y
 LO BND z -1
 UP BND z 2
ENDATA
"""


def points() -> np.ndarray:
    """Vertices of the model for every integer y, found by hand-written enumeration over a grid."""
    found = []
    for y in (0, 1, 2):
        for x in np.arange(0, 3.01, 0.5):
            for z in np.arange(-1, 2.01, 0.5):
                if x + y <= 4 and x + 3 * y + z <= 6 and -2 <= x - z <= 9:
                    found.append((x, y, z))
    return np.array(found)


@pytest.fixture(params=["model.lp", "model.mps", "model.lp.gz", "model.MPS.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    text = LP if ".lp" in request.param else MPS
    file = tmp_path / request.param
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "wt") as stream:
        stream.write(text)
    return file


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_all_variables_by_default(path: Path, rng: np.random.Generator) -> None:
    oracle = from_file(path)
    assert isinstance(oracle, Maximize)
    assert isinstance(oracle.minimizing, MixedIntegerProgram)
    values = rng.normal(size=(50, 3))
    solution = oracle.solve(values)
    np.testing.assert_allclose(solution.objectives, (values @ points().T).max(axis=1), atol=1e-7)
    check_oracle(oracle)


def test_known_part_of_a_maximization(path: Path, rng: np.random.Generator) -> None:
    oracle = from_file(path, costs=["y", "x"])
    values = rng.normal(size=(50, 2))
    solution = oracle.solve(values)
    grid = points()
    best = values @ grid[:, [1, 0]].T - grid[:, 2]
    np.testing.assert_allclose(solution.objectives, best.max(axis=1), atol=1e-7)
    np.testing.assert_allclose(
        oracle.evaluate(values, solution.decisions), solution.objectives, atol=1e-7
    )
    check_oracle(oracle)


def test_a_minimization_is_a_linear_program(tmp_path: Path) -> None:
    text = "min\n obj: 2 a + b\nst\n c: a + b >= 1\nbounds\n a <= 1\n b <= 1\nend\n"
    oracle = from_file(write(tmp_path, "model.lp", text), costs=["b"])
    assert isinstance(oracle, LinearProgram)
    solution = oracle.solve(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(solution.decisions, [[1.0], [0.0]])
    np.testing.assert_allclose(solution.objectives, [1.0, 2.0])
    np.testing.assert_allclose(oracle.program().fixed_costs, [2.0, 0.0])
    check_oracle(oracle)


def test_missing_names_are_listed_with_near_matches(tmp_path: Path) -> None:
    file = write(tmp_path, "model.lp", LP.replace(" x", " flow_12").replace(" y", " flow_13"))
    with pytest.raises(InvalidInputError, match=r"'flow_21', 'q'; near matches: .*flow_1"):
        from_file(file, costs=["flow_21", "flow_12", "q"])
    with pytest.raises(InvalidInputError, match="names 'z' twice"):
        from_file(file, costs=["z", "flow_12", "z"])
    with pytest.raises(InvalidInputError, match="expected a list of names"):
        from_file(file, costs="z")
    with pytest.raises(InvalidInputError, match="got no costs"):
        from_file(file, costs=[])


def test_an_infeasible_model_is_refused(tmp_path: Path) -> None:
    text = MPS.replace("RHS c3 -2", "RHS c3 100")
    with pytest.raises(InfeasibleError, match=r"'model.mps' is infeasible"):
        from_file(write(tmp_path, "model.mps", text))
    # the relaxation is feasible, the model is not: said at the first solve
    text = "min\n a\nst\n c: 2 a + 2 b = 1\nbin\n a b\nend\n"
    oracle = from_file(write(tmp_path, "integer.lp", text))
    with pytest.raises(InfeasibleError, match="instance 0"):
        oracle.solve(np.ones((2, 2)))


def test_what_is_not_supported_is_refused_by_name(tmp_path: Path) -> None:
    for name, text, match in (
        ("a.lp", LP.replace("General\n y", "Semi-continuous\n x"), "'x' in 'a.lp' is semicont"),
        ("b.lp", LP.replace("+ 5", "+ [ x ^2 ] / 2"), "'b.lp' is quadratic"),
        ("c.lp", LP.replace("c2: x", "c2: [ x ^2 ] + x"), "quadratic constraints"),
        ("d.lp", LP.replace("End", "SOS\n s1: S1:: x:1 y:2\nEnd"), "SOS"),
        ("e.mps", MPS.replace("ENDATA", "SOS\n S1 SOS S1\n    SOS x 1\nENDATA"), "SOS"),
        ("f.mps", MPS.replace("UP BND x 3", "SC BND x 3"), "'x' in 'f.mps' is semicontinuous"),
        ("g.mps", MPS.replace("ENDATA", "QUADOBJ\n    x x 2\nENDATA"), "quadratic"),
    ):
        with pytest.raises(UnsupportedError, match=match):
            from_file(write(tmp_path, name, text))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no file"):
        from_file(tmp_path / "absent.mps")
    with pytest.raises(InvalidInputError, match=r"expected a file that ends in \.mps"):
        from_file(write(tmp_path, "model.txt", LP))
    for name in ("model.mps", "model.lp"):
        with pytest.raises(InvalidInputError, match=f"'{name}' cannot be read"):
            from_file(write(tmp_path, name, "garbage\n"))


def test_what_is_ignored_is_said(tmp_path: Path) -> None:
    file = write(tmp_path, "model.mps", MPS.replace("    x c2 1 c3 1", "    x c2 1 c7 1"))
    with pytest.warns(UserWarning, match='Row name "c7"'):
        from_file(file)
