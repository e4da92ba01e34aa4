"""Oracles to files and back; and files that are none."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import dfl_solvers
from dfl_solvers import (
    Ball,
    Box,
    Counting,
    DiverseMatching,
    EnergyScheduling,
    FromCallable,
    GridPerfectMatching,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MinimumSpanningTree,
    MixedIntegerProgram,
    Oracle,
    Parallel,
    Portfolio,
    Program,
    Ranking,
    Simplex,
    TopK,
    TravelingSalesman,
    WithBackend,
)
from dfl_solvers._archive import canonical
from dfl_solvers.cached import Cached
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import AbstractOracle
from dfl_solvers.pool import Pool
from dfl_solvers.problems.assignment import Assignment
from dfl_solvers.problems.ellipsoid import Ellipsoid
from dfl_solvers.problems.entropy_ball import EntropyBall
from dfl_solvers.problems.graph_shortest_path import ShortestPath
from dfl_solvers.problems.log_barrier_simplex import LogBarrierSimplex
from dfl_solvers.problems.mean_variance import MeanVariancePortfolio
from dfl_solvers.problems.newsvendor import Newsvendor
from dfl_solvers.problems.node_grid_shortest_path import NodeGridShortestPath
from dfl_solvers.serialization import (
    fingerprint,
    load_oracle,
    oracle_from_dict,
    oracle_to_dict,
    save_oracle,
)

A = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, 1.0]])
MAP = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]])
PLAIN = Program(A, [1, 1], [3, np.inf], np.zeros(4), np.full(4, 2.0))
MAPPED = Program(
    A, [1, 1], [3, 4], np.zeros(4), np.full(4, 2.0), [1, 1, 0, 0], [0.5, -0.2, 0.1, 0.3], MAP
)
FREE = Program(sp.csr_array((0, 3)), [], [], np.zeros(3), np.ones(3))  # no rows at all
FACTORS = np.random.default_rng(0).normal(size=(6, 2))
COVARIANCE = FACTORS @ FACTORS.T + np.eye(6)
JOBS = ([3, 2, 4], [0, 1, 0], [10, 24, 12], [2.0, 3.0, 1.0], [[2.0], [1.0], [2.0]], [[3.0], [2.0]])
WEIGHTS = np.random.default_rng(1).integers(1, 9, (3, 8))

ORACLES: dict[str, Oracle] = {
    "traveling-salesman": TravelingSalesman(5),
    "ball": Ball(5, radius=0.1 + 0.2),
    "ball-any": Ball(),
    "box": Box(5),
    "energy": EnergyScheduling(*JOBS, slot_minutes=60),
    "energy-relaxed": EnergyScheduling(*JOBS, slot_minutes=60, relax=True, time_limit=2.5),
    "grid": GridShortestPath(4, 5),
    "knapsack": Knapsack(WEIGHTS, np.full(3, 14.0)),
    "knapsack-large": Knapsack(np.random.default_rng(2).uniform(size=(2, 400)), [50.0, 60.0]),
    "linear-program": LinearProgram(PLAIN),
    "linear-program-mapped": LinearProgram(MAPPED.relax()),
    "linear-program-free": LinearProgram(FREE),
    "integer-program": MixedIntegerProgram(MAPPED, time_limit=10.0, gap=1e-3),
    "portfolio": Portfolio(COVARIANCE, np.float64(2.25 * COVARIANCE.mean()), budget="at_most"),
    "portfolio-by-column": Portfolio(np.asfortranarray(COVARIANCE), 3.0),
    "simplex": Simplex(4),
    "top-k": TopK(6, np.int64(2)),
    "assignment": Assignment(3),
    "ellipsoid": Ellipsoid(COVARIANCE, 0.7),
    "entropy-ball": EntropyBall(5),
    "log-barrier": LogBarrierSimplex(5, 30.0),
    "mean-variance": MeanVariancePortfolio(COVARIANCE, 2.0),
    "newsvendor": Newsvendor(np.random.default_rng(2).uniform(1, 9, (7, 4)), 3.0, 1.0, 12.0),
    "shortest-path": ShortestPath([[0, 1], [1, 2], [0, 2]], 0, 2, 5),
    "node-grid": NodeGridShortestPath(3, 4),
    "spanning-tree": MinimumSpanningTree(3, [[0, 1], [1, 2], [0, 2]]),
    "ranking": Ranking(4),
    "ranking-weights": Ranking(3, [0.0, 1.0, 0.5]),
    "grid-matching": GridPerfectMatching(2, np.int64(3)),
    "diverse-matching": DiverseMatching([[1, 0], [0, 1]], 0.2, 0.3),
    "maximize": Maximize(TopK(6, 2)),
    "counting": Counting(Maximize(GridShortestPath(3, 3))),
    "cached": Cached(Maximize(Counting(Knapsack(WEIGHTS, np.full(3, 14.0)))), 10_000),
    "pool": Pool(Cached(TopK(6, 2)), 0.3, 20, 5),
    "with-backend": WithBackend(Knapsack(WEIGHTS, np.full(3, 14.0)), "highs", 9.0, 1e-9),
    "with-backend-relaxed": WithBackend(
        MixedIntegerProgram(MAPPED), "clarabel", relaxed=True, fallback="highs"
    ),
    "parallel": Parallel(Maximize(WithBackend(TopK(6, 2))), 2),
}
every = pytest.mark.parametrize("name", ORACLES)


@pytest.fixture(autouse=True)
def _face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every problem of this file in the package's face."""
    for oracle in ORACLES.values():
        home = type(oracle).__module__.removeprefix("dfl_solvers.")
        if home.startswith("problems."):
            monkeypatch.setitem(dfl_solvers._HOMES, type(oracle).__name__, home)


def draw(oracle: Oracle, n: int = 20) -> np.ndarray:
    costs = np.random.default_rng(1).normal(size=(n, oracle.n_costs or 4))
    return np.abs(costs) if isinstance(oracle, NodeGridShortestPath) else costs


def assert_same(a: Oracle, b: Oracle) -> None:
    assert type(a) is type(b)
    costs = draw(a)
    for _ in range(2):
        one, two = a.solve(costs), b.solve(costs)
        np.testing.assert_array_equal(one.decisions, two.decisions)
        np.testing.assert_array_equal(one.objectives, two.objectives)
        np.testing.assert_array_equal(one.status, two.status)


@every
def test_round_trip(name: str, tmp_path: Path) -> None:
    oracle = ORACLES[name]
    assert save_oracle(oracle, tmp_path / "oracle.npz") is None
    loaded = load_oracle(str(tmp_path / "oracle.npz"))
    assert repr(loaded) == repr(oracle)
    # warm states of the general solver start alike in both
    again, _ = load_oracle(tmp_path / "oracle.npz"), oracle.n_costs
    assert_same(loaded, again)
    if "program" not in name and name != "pool":
        assert_same(loaded, oracle)
    costs = draw(oracle)
    np.testing.assert_allclose(
        again.evaluate(costs, oracle.solve(costs).decisions), oracle.solve(costs).objectives
    )
    # the same parameters, the same bytes: nothing is lost the second time either
    save_oracle(loaded, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "oracle.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "oracle.npz"]


@every
def test_descriptions_are_json_and_leave_the_arrays_apart(name: str) -> None:
    oracle = ORACLES[name]
    description, arrays = oracle_to_dict(oracle)
    text = json.dumps(description, allow_nan=False)
    assert len(text) < 2000
    assert all(array.dtype != object for array in arrays.values())
    assert repr(oracle_from_dict(json.loads(text), arrays)) == repr(oracle)


def test_every_problem_of_the_package_is_here() -> None:
    """A problem that is added to the package needs a line in ``ORACLES``."""
    homes = dfl_solvers._HOMES.items()
    problems = {name for name, home in homes if home.startswith("problems.")}
    assert problems <= {type(oracle).__name__ for oracle in ORACLES.values()}


def test_programs_survive_in_every_part(tmp_path: Path) -> None:
    save_oracle(MixedIntegerProgram(MAPPED), tmp_path / "p")
    model = load_oracle(tmp_path / "p").model  # type: ignore[attr-defined]
    for name in ("row_lower", "row_upper", "lower", "upper", "integrality", "fixed_costs"):
        np.testing.assert_array_equal(getattr(model, name), getattr(MAPPED, name), strict=True)
    for name in ("A", "decision_map"):
        a, b = getattr(model, name), getattr(MAPPED, name)
        assert a.shape == b.shape
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(a, part), getattr(b, part), strict=True)
    save_oracle(LinearProgram(PLAIN), tmp_path / "p")
    assert load_oracle(tmp_path / "p").model.identity  # type: ignore[attr-defined]


@settings(deadline=None, max_examples=50)
@given(
    weights=st.lists(
        st.lists(st.floats(0, allow_infinity=False, allow_nan=False), min_size=3, max_size=3),
        min_size=1,
        max_size=3,
    ),
    radius=st.floats(0, exclude_min=True, allow_infinity=False),
)
def test_property_numbers_are_exact(weights: list, radius: float) -> None:
    for oracle in (Knapsack(weights, [1.0] * len(weights)), Ball(None, radius)):
        description, arrays = oracle_to_dict(Maximize(Counting(oracle)))
        rebuilt = oracle_from_dict(json.loads(json.dumps(description)), arrays)
        assert repr(rebuilt) == repr(Maximize(Counting(oracle)))


def test_numpy_reads_the_file_without_pickle(tmp_path: Path) -> None:
    save_oracle(Maximize(Knapsack(WEIGHTS, np.full(3, 14.0))), tmp_path / "oracle.npz")
    with np.load(tmp_path / "oracle.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["oracle.weights"], WEIGHTS)
        assert json.loads(file["oracle.json"])["format"] == "dfl-oracle"


def test_loading_unpickles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, oracle in ORACLES.items():
        save_oracle(oracle, tmp_path / name)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled, or ran code")

    for module, name in ((pickle, "load"), (pickle, "loads"), (builtins, "eval")):
        monkeypatch.setattr(module, name, refuse)
    for name in ORACLES:
        load_oracle(tmp_path / name)


def test_what_wrappers_hold_is_not_saved(tmp_path: Path) -> None:
    oracle = Cached(Counting(TopK(4, 2)), folder=tmp_path / "cache")
    oracle.solve(draw(oracle))
    save_oracle(oracle, tmp_path / "oracle")
    loaded = load_oracle(tmp_path / "oracle")
    assert isinstance(loaded, Cached)
    assert loaded.folder is None
    assert loaded.statistics.entries == 0
    assert loaded.oracle.counts.calls == 0  # type: ignore[attr-defined]


def test_code_is_refused(tmp_path: Path) -> None:
    class Own(AbstractOracle):
        def _solve(self, costs: np.ndarray, instance: object) -> Any:
            raise AssertionError

    class Box(AbstractOracle):  # the name of one of ours
        def _solve(self, costs: np.ndarray, instance: object) -> Any:
            raise AssertionError

    for oracle, message in (
        (FromCallable(np.sign, 2), "FromCallable does not go with a file: a function cannot be"),
        (Maximize(FromCallable(np.sign, 2)), "FromCallable does not go with a file"),
        (Own(), "the code of the class .*Own cannot be stored"),
        (Box(), "the code of the class .*Box cannot be stored"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            save_oracle(oracle, tmp_path / "oracle")
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "oracle"
    save_oracle(Box(2), path)
    old = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_oracle(Box(3), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_fingerprints_tell_oracles_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [fingerprint(oracle) for oracle in ORACLES.values()]
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 for name in names)
    assert fingerprint(Knapsack(WEIGHTS, [1, 2, 3])) == fingerprint(Knapsack(WEIGHTS, [1, 2, 3.0]))
    assert fingerprint(Knapsack(WEIGHTS, [1, 2, 3])) != fingerprint(Knapsack(WEIGHTS, [1, 2, 3.1]))
    before = fingerprint(Box(2))
    monkeypatch.setattr(dfl_solvers, "__version__", "0.0.0.other")
    assert fingerprint(Box(2)) != before


# --- files that are none -------------------------------------------------------------------------


def rewrite(
    path: Path,
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
    sign: bool = True,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Change a file as someone would who knows the format, with the right checksums."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    head = json.loads(parts.pop("oracle.json"))
    change(head, parts)
    if sign:
        head["arrays"] = {
            name: hashlib.blake2b(data, digest_size=32).hexdigest() for name, data in parts.items()
        }
        head.pop("checksum", None)
        head["checksum"] = hashlib.blake2b(canonical(head), digest_size=32).hexdigest()
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("oracle.json", json.dumps(head))
        for name, data in parts.items():
            archive.writestr(name, data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_oracle(Knapsack(np.array([[3.0, 4.0]]), np.array([6.0])), tmp_path / "oracle.npz")
    return tmp_path / "oracle.npz"


def test_the_tool_of_these_tests_makes_good_files(path: Path) -> None:
    rewrite(path, lambda head, parts: None)
    assert repr(load_oracle(path)) == "Knapsack(weights=[[3.0, 4.0]], capacities=[6.0])"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        load_oracle(tmp_path / "none")


def test_every_truncation_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        with pytest.raises(InvalidInputError, match=r"oracle\.npz: .*(damaged|no file of)"):
            load_oracle(path)


def test_every_changed_byte_is_noticed_or_harmless(path: Path) -> None:
    data = path.read_bytes()
    harmless = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= (0x01, 0x80, 0x20)[position % 3]
        path.write_bytes(changed)
        with contextlib.suppress(InvalidInputError):
            assert repr(load_oracle(path)) == "Knapsack(weights=[[3.0, 4.0]], capacities=[6.0])"
            harmless += 1  # dates and the like
    assert harmless < 0.2 * len(data)


@settings(deadline=None, max_examples=200)
@given(noise=st.binary(max_size=200), place=st.integers(0, 2000))
def test_property_noise_is_refused(noise: bytes, place: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(noise)
    with pytest.raises(InvalidInputError, match="damaged, or no file of save_oracle"):
        load_oracle(path)
    save_oracle(Box(2), path)
    data = path.read_bytes()
    place %= len(data)
    path.write_bytes(data[:place] + noise + data[place:])
    with contextlib.suppress(InvalidInputError):
        assert repr(load_oracle(path)) == "Box(n=2)"


def set_head(**parts: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda head, _: head.update(parts)


def set_content(**parts: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda head, _: head["content"].update(parts)


def set_parameter(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    return lambda head, _: head["content"]["parameters"].update({name: value})


def nested(depth: int) -> dict[str, Any]:
    content: dict[str, Any] = {"class": "Box", "parameters": {"n": 2}}
    for _ in range(depth):
        content = {"class": "Counting", "parameters": {"oracle": {"oracle": content}}}
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_head(version=2), "it has version 2 of the format, expected 1; a newer version"),
        (set_head(format="other"), "of another format"),
        (set_head(more=1), "has other parts"),
        (set_head(content=None), "needs a class and parameters"),
        (set_head(content=[1]), "needs a class and parameters"),
        (set_content(**{"class": "Later"}), "knows no oracle 'Later'"),
        (set_content(**{"class": "FromCallable"}), "knows no oracle 'FromCallable'"),
        (set_content(**{"class": "Program"}), "knows no oracle 'Program'"),
        (set_content(**{"class": "os.system"}), "knows no oracle 'os.system'"),
        (set_content(**{"class": ["Box"]}), "knows no oracle"),
        (set_content(parameters=[1]), "other parameters than weights, capacities"),
        (set_parameter("color", 1), "other parameters than weights, capacities"),
        (set_parameter("weights", {"array": "missing"}), "cannot read"),
        (set_parameter("weights", {"array": ["weights"]}), "cannot read"),
        (set_parameter("weights", {"float": "1e5"}), "cannot read"),
        (set_parameter("weights", {"float": ["inf"]}), "cannot read"),
        (set_parameter("weights", {"list": "ab"}), "cannot read"),
        (set_parameter("weights", [1.0]), "got a list in the parameters"),
        (set_parameter("weights", "heavy"), "make no Knapsack"),
        (set_parameter("weights", {"oracle": {"class": "Box", "parameters": {}}}), "make no Knap"),
        (set_parameter("weights", {"program": {}}), "parts of a program are missing"),
        (set_parameter("weights", {"array": "capacities"}), r"Knapsack: got weights of shape"),
        (set_head(content={"class": "TopK", "parameters": {"n": 2, "k": 3}}), "got k=3"),
        (set_head(content={"class": "TopK", "parameters": {"n": 2}}), "make no TopK"),
        (set_head(content={"class": "TopK", "parameters": {"n": "a", "k": 1}}), "make no TopK"),
        (set_head(content={"class": "Maximize", "parameters": {"oracle": 1}}), "expected an or"),
        (
            set_head(content={"class": "LinearProgram", "parameters": {"model": None}}),
            "expected a Program",
        ),
    ],
)  # fmt: skip
def test_wrong_descriptions_with_right_checksums(
    change: Callable[[dict[str, Any], dict[str, bytes]], None], message: str, path: Path
) -> None:
    rewrite(path, change)
    with pytest.raises(InvalidInputError, match=message) as raised:
        load_oracle(path)
    assert str(raised.value).startswith(str(path))


def test_deep_descriptions_are_refused(path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nested too deep"):
        oracle_from_dict(nested(2000), {})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("oracle.json", "[" * 100_000)
    with pytest.raises(InvalidInputError, match="nested too deep"):
        load_oracle(path)


def test_a_file_may_not_name_a_folder(path: Path, tmp_path: Path) -> None:
    inner = {"oracle": {"class": "Box", "parameters": {"n": 2}}}
    target = str(tmp_path / "planted")
    rewrite(
        path,
        set_head(content={"class": "Cached", "parameters": {"oracle": inner, "folder": target}}),
    )
    with pytest.raises(InvalidInputError, match="may not name a folder"):
        load_oracle(path)
    assert not (tmp_path / "planted").exists()


def npy(array: np.ndarray, **header: Any) -> bytes:
    """Write an array, with another header if wanted."""
    buffer = io.BytesIO()
    if not header:
        np.save(buffer, array, allow_pickle=True)
        return buffer.getvalue()
    stated = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    np.lib.format.write_array_header_1_0(buffer, stated)
    return buffer.getvalue() + array.tobytes()


HUGE = npy(np.zeros(1), shape=(10**15,))
NUMBERS = np.array([[3.0, 4.0]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(np.array([[{}, 4.0]], dtype=object)), "is no array of numbers"),
        (npy(NUMBERS.astype(complex)), "is no array of numbers"),
        (npy(np.array([["a", "b"]])), "is no array of numbers"),
        (npy(NUMBERS, descr="|O"), "is no array of numbers"),
        (npy(NUMBERS, shape=(1, 3)), "has 16 bytes for its shape"),
        (npy(NUMBERS, shape=(-1, -2)), "is no array of numbers"),
        (npy(NUMBERS, shape=(True, 2)), "is no array of numbers"),
        (HUGE, "has 8 bytes for its shape"),
        (pickle.dumps([1]), "damaged"),
        (b"", "damaged"),
        (npy(NUMBERS)[:40], "damaged"),
        (npy(NUMBERS).replace(b"\x01\x00", b"\x02\x00", 1), "is no array of numbers"),
        (npy(np.array([[3.0, -4.0]])), "expected finite numbers >= 0"),
    ],
)
def test_wrong_arrays_with_right_checksums(data: bytes, message: str, path: Path) -> None:
    rewrite(path, lambda _, parts: parts.update({"weights.npy": data}))
    with pytest.raises(InvalidInputError, match=message):
        load_oracle(path)


def test_checksums_are_compared(path: Path) -> None:
    rewrite(path, lambda _, parts: parts.update({"weights.npy": npy(NUMBERS + 1)}), sign=False)
    with pytest.raises(InvalidInputError, match=r"checksum of weights\.npy is wrong"):
        load_oracle(path)
    save_oracle(TopK(3, 1), path)
    rewrite(path, set_parameter("k", 2), sign=False)
    with pytest.raises(InvalidInputError, match=r"checksum of oracle\.json is wrong"):
        load_oracle(path)


def test_missing_and_additional_parts(path: Path) -> None:
    rewrite(path, lambda _, parts: parts.update({"more.npy": npy(NUMBERS)}), sign=False)
    with pytest.raises(InvalidInputError, match=r"parts missing or too many: more\.npy$"):
        load_oracle(path)
    rewrite(path, lambda _, parts: [parts.pop(n) for n in list(parts) if n != "capacities.npy"],
            sign=False)  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"parts missing or too many: weights\.npy$"):
        load_oracle(path)
    np.savez(path, weights=NUMBERS)
    with pytest.raises(InvalidInputError, match=r"it holds no oracle\.json"):
        load_oracle(path)


def test_bombs_are_refused_before_they_unfold(path: Path) -> None:
    bomb = npy(np.zeros((1000, 2)))
    rewrite(
        path,
        lambda _, parts: parts.update({"weights.npy": bomb}),
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(InvalidInputError, match="it is compressed, or parts overlap"):
        load_oracle(path)
    # two names for the same bytes
    save_oracle(Knapsack(np.zeros((1, 500)), [6.0]), path)
    with zipfile.ZipFile(path, "a") as archive:
        for i in range(10):
            twin = zipfile.ZipInfo(f"{i}.npy")
            first = archive.getinfo("weights.npy")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(twin, field, getattr(first, field))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
        archive._didModify = True
    with pytest.raises(InvalidInputError, match="it is compressed, or parts overlap"):
        load_oracle(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("oracle.json", b" " * ((1 << 24) + 1))
    with pytest.raises(InvalidInputError, match="16777217 bytes, expected at most 16777216"):
        load_oracle(path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("indices", np.array([0, 1, 3, 1, 2, 99], np.int32)),
        ("indices", np.array([0, 1, 3, 1, 2, -7], np.int32)),
        ("indptr", np.array([0, 3, 5000], np.int32)),
        ("indptr", np.array([0, 6, 3], np.int32)),
        ("indices", np.zeros((2, 3), np.int32)),
        ("data", np.zeros(2)),
    ],
)
def test_matrices_that_would_reach_out_of_memory(part: str, value: np.ndarray, path: Path) -> None:
    save_oracle(LinearProgram(PLAIN), path)
    rewrite(path, lambda _, parts: parts.update({f"model.A.{part}.npy": npy(value)}))
    with pytest.raises(InvalidInputError, match="A of a program is no sparse matrix"):
        load_oracle(path)


@pytest.mark.parametrize(
    "matrix",
    [None, 3, {}, {"csr": 3, "shape": [2, 4]}, {"csr": [1, 2], "shape": [2, 4]},
     {"csr": [{"array": "model.A.data"}] * 3, "shape": [2, 4]},
     {"csr": [{"array": "model.A.data"}] * 3, "shape": ["a", 4]}],
)  # fmt: skip
def test_matrices_that_are_none(matrix: Any, path: Path) -> None:
    save_oracle(LinearProgram(PLAIN), path)

    def change(head: dict[str, Any], _: dict[str, bytes]) -> None:
        head["content"]["parameters"]["model"]["program"]["A"] = matrix

    rewrite(path, change)
    with pytest.raises(InvalidInputError, match="A of a program is no sparse matrix"):
        load_oracle(path)


def test_a_program_that_is_wrong_in_itself(path: Path) -> None:
    save_oracle(LinearProgram(PLAIN), path)
    rewrite(path, lambda _, parts: parts.update({"model.lower.npy": npy(np.full(4, 9.0))}))
    with pytest.raises(InvalidInputError, match=r"variable 0 has lower 9\.0 above upper"):
        load_oracle(path)
