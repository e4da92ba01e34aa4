"""The cache: exact, bounded, safe with threads and processes, and honest about a bad folder."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dfl_solvers
from dfl_solvers import (
    Ball,
    Box,
    Counting,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Oracle,
    Program,
    TopK,
    check_oracle,
    minimizing,
)
from dfl_solvers.cached import Cached
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Solution, Status
from dfl_solvers.pool import Pool
from dfl_solvers.serialization import fingerprint

WEIGHTS = np.random.default_rng(1).integers(1, 9, (3, 8))
PROGRAM = Program(
    [[1.0, 2.0, 0.0, 1.0]], [1], [3], np.zeros(4), np.full(4, 2.0), [1, 1, 0, 0], [0.5, 0, 0, 0.3]
)
ORACLES: dict[str, Oracle] = {
    "ball": Ball(5, radius=2.0),
    "box": Box(5),
    "grid": GridShortestPath(4, 5),
    "knapsack": Knapsack(WEIGHTS, np.full(3, 14.0)),
    "linear-program": LinearProgram(PROGRAM.relax()),
    "integer-program": MixedIntegerProgram(PROGRAM),
    "maximize": Maximize(TopK(6, 2)),
    "counting": Counting(Maximize(GridShortestPath(3, 3))),
}
every = pytest.mark.parametrize("name", ORACLES)


def draw(oracle: Oracle, n: int = 20, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, oracle.n_costs))


def assert_same(found: Solution, expected: Solution) -> None:
    for field in dataclasses.fields(Solution):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(a, b, strict=field.name != "status")


def entry_bytes(oracle: Oracle) -> int:
    """Size of one entry of a cache around an oracle."""
    cached = Cached(oracle)
    cached.solve(draw(oracle, 1))
    return cached.statistics.bytes


# --- exact ---------------------------------------------------------------------------------------


@every
def test_the_contract(name: str) -> None:
    check_oracle(Cached(ORACLES[name]))


@every
@pytest.mark.parametrize("max_bytes", [0, 2_000, 2**28])
def test_answers_are_the_oracles_in_any_order(name: str, max_bytes: int) -> None:
    oracle = ORACLES[name]
    cached = Cached(oracle, max_bytes)
    pool = draw(oracle, 30)
    rng = np.random.default_rng(0)
    expected = oracle.solve(pool)
    for _ in range(12):
        rows = rng.integers(0, 30, rng.integers(1, 40))
        found = cached.solve(pool[rows])
        np.testing.assert_allclose(found.objectives, expected.objectives[rows], rtol=1e-12)
        if "program" not in name:  # a warm general solver may choose another of tied optima
            assert_same(found, oracle.solve(pool[rows]))


@settings(deadline=None)
@given(
    batches=st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), max_size=8),
            st.sampled_from(["<f8", "<f4", ">f8", "<i8", "i1"]),
            st.sampled_from([None, "mask", "zeros"]),
            st.booleans(),
        ),
        max_size=8,
    ),
    entries=st.integers(0, 8),
)
def test_property_exact_by_content(batches: list, entries: int) -> None:
    """Any sequence of batches of integers, of any dtype and layout, under any bound."""
    oracle = TopK(3, 1)
    cached = Cached(oracle, max_bytes=entries * 330)
    table = np.random.default_rng(3).integers(-2, 3, (6, 3))
    for rows, kind, data, by_column in batches:
        costs = np.asarray(table[rows], kind, order="F" if by_column else "C").reshape(-1, 3)
        mask = np.ones(costs.shape, bool)
        if data == "zeros":
            mask[:, 0] = False
        instance = None if data is None else {"mask": mask}
        before = costs.copy()
        assert_same(cached.solve(costs, instance), oracle.solve(costs, instance))
        np.testing.assert_array_equal(costs, before)
        assert cached.statistics.bytes <= entries * 330


def test_each_distinct_row_is_solved_once_and_in_one_batch() -> None:
    inner = Counting(Knapsack(WEIGHTS, np.full(3, 14.0)))
    cached = Cached(inner)
    a, b, c = draw(inner, 3)
    cached.solve(np.array([a, b, a, a]))
    assert (inner.counts.calls, inner.counts.instances) == (1, 2)
    found = cached.solve(np.array([c, b, c, a]))
    assert (inner.counts.calls, inner.counts.instances) == (2, 3)
    assert_same(found, inner.oracle.solve(np.array([c, b, c, a])))
    statistics = cached.statistics
    assert (statistics.hits, statistics.misses, statistics.entries) == (5, 3, 3)
    assert (statistics.read, statistics.damaged) == (0, 0)


def test_instance_data_are_part_of_the_key() -> None:
    oracle = Knapsack(WEIGHTS, np.full(3, 14.0))
    inner = Counting(oracle)
    cached = Cached(inner)
    costs = -np.abs(draw(oracle, 6))
    rng = np.random.default_rng(5)
    masks = rng.random(costs.shape) < 0.7
    capacities = rng.uniform(5, 20, (6, 3))
    data = [
        None,
        {},
        {"mask": masks},
        {"mask": ~masks},
        {"capacities": capacities},
        {"mask": masks, "capacities": capacities},
        {"capacities": capacities, "mask": masks},  # in another order: the same
        {"capacities": capacities.tolist(), "mask": masks},
    ]
    for instance in data * 2:
        assert_same(cached.solve(costs, instance), oracle.solve(costs, instance))
    assert inner.counts.instances == 5 * len(costs)
    # rows move with their data
    order = rng.permutation(6)
    found = cached.solve(costs[order], {"mask": masks[order]})
    assert_same(found, oracle.solve(costs[order], {"mask": masks[order]}))
    assert inner.counts.instances == 5 * len(costs)


def test_equal_bytes_of_another_kind_are_another_row() -> None:
    cached = Cached(Box())
    two = np.array([[1.0, -2.0]])
    four = two.view(np.float32)  # the same bytes
    assert_same(cached.solve(two), Box().solve(two))
    assert_same(cached.solve(four), Box().solve(four))
    assert_same(cached.solve(two.view(np.int64)), Box().solve(two.view(np.int64)))
    assert_same(cached.solve(two), Box().solve(two))
    assert cached.statistics.misses == 3


def test_answers_belong_to_the_caller() -> None:
    cached = Cached(Box(3))
    costs = np.array([[1.0, -1.0, 2.0]])
    for _ in range(3):  # solved, then answered
        found = cached.solve(costs)
        np.testing.assert_array_equal(found.decisions, [[0.0, 1.0, 0.0]])
        found.decisions[:] = found.objectives[:] = 7.0
        found.status[:] = 3
    costs[:] = 5.0  # the key is a copy as well
    np.testing.assert_array_equal(cached.solve(costs).decisions, np.zeros((1, 3)))


def test_statuses_are_kept() -> None:
    class Hurried:
        n_costs = 2

        def solve(self, costs: np.ndarray, instance: object = None) -> Solution:
            status = np.where(costs[:, 0] > 0, Status.FEASIBLE, Status.OPTIMAL)
            return Solution(np.sign(costs), costs.sum(1), status)

        def evaluate(self, costs: np.ndarray, decisions: np.ndarray, instance: object) -> None:
            raise AssertionError

    cached = Cached(Hurried())
    costs = np.array([[1.0, 2.0], [-1.0, 0.0]])
    for rows in ([0, 1], [1, 0], [0, 0]):
        assert_same(cached.solve(costs[rows]), Hurried().solve(costs[rows]))


def test_an_oracle_whose_answers_change_their_dtype_is_asked_anew() -> None:
    class Fickle:
        n_costs = 2
        kind: type = np.float64

        def solve(self, costs: np.ndarray, instance: object = None) -> Solution:
            return Solution(
                costs.astype(self.kind), costs.sum(1), np.zeros(len(costs), dtype=np.int8)
            )

    oracle = Fickle()
    cached = Cached(oracle)
    costs = np.arange(8.0).reshape(4, 2)
    cached.solve(costs[:2])
    oracle.kind = np.float32
    assert_same(cached.solve(costs), oracle.solve(costs))


# --- errors --------------------------------------------------------------------------------------


def test_errors_name_the_row_of_the_batch_and_store_nothing() -> None:
    cached = Cached(TopK(3, 2))
    costs = draw(cached, 6)
    cached.solve(costs[:3])
    bad = costs.copy()
    bad[4, 1] = np.nan
    with pytest.raises(InvalidInputError, match="instance 4, coordinate 1"):
        cached.solve(bad)
    mask = np.ones(costs.shape, bool)
    cached.solve(costs[:3], {"mask": mask[:3]})
    mask[5, :2] = False
    with pytest.raises(InfeasibleError, match=r"TopK: instance 5: the feasible set is empty"):
        cached.solve(costs, {"mask": mask})
    assert cached.statistics.entries == 6


@pytest.mark.parametrize(
    ("costs", "instance", "message"),
    [
        (np.zeros(3), None, r"costs of shape \(3,\)"),
        (np.zeros((2, 4)), None, "4 costs per instance, expected 3"),
        ([["a", "b", "c"]], None, "cannot be read as an array of numbers"),
        ([[1.0, 2.0], [1.0]], None, "cannot be read as an array of numbers"),
        (np.zeros((2, 3)), {"color": np.zeros(2)}, "instance data color"),
        (np.zeros((2, 3)), {"mask": np.ones((3, 3))}, "leading dimension of 2"),
        (np.zeros((2, 3)), {"mask": 1.0}, "leading dimension of 2"),
    ],
)
def test_what_is_no_batch_is_for_the_oracle_to_refuse(
    costs: np.ndarray, instance: dict, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Cached(TopK(3, 1)).solve(costs, instance)


def test_parameters_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="got max_bytes=-1, expected at least 0"):
        Cached(Box(2), max_bytes=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match=r"the folder .*file/cache cannot be written"):
        Cached(Box(2), folder=tmp_path / "file" / "cache")
    for pool in (Pool(Box(2), 0.5), Counting(Pool(Box(2), 0.5)), Maximize(Pool(Box(2), 0.5))):
        with pytest.raises(UnsupportedError, match="use Pool"):
            Cached(pool)
    with pytest.raises(UnsupportedError, match=r"leave out folder=.*a function cannot be stored"):
        Cached(FromCallable(np.sign, 2), folder=tmp_path)


# --- what the wrapped oracle is ------------------------------------------------------------------


def test_a_maximizing_oracle_stays_one_and_shares_the_cache() -> None:
    oracle = Maximize(Counting(TopK(4, 2)))
    cached = Cached(oracle)
    assert minimizing(cached)[1] == cached.sign == -1
    values = draw(oracle)
    assert_same(cached.solve(values), oracle.solve(values))
    solved = oracle.oracle.counts.instances
    assert_same(cached.minimizing.solve(-values), oracle.oracle.solve(-values))
    assert oracle.oracle.counts.instances == solved + len(values)  # those of the line above
    assert cached.statistics.hits == len(values)
    assert cached.minimizing.minimizing is not None
    assert cached.minimizing.sign == 1
    held = Cached(Maximize(TopK(4, 2))).minimizing
    assert held.program().n_costs == 4
    np.testing.assert_array_equal(
        cached.evaluate(values, oracle.solve(values).decisions), oracle.solve(values).objectives
    )
    with pytest.raises(InvalidInputError, match="maximizes already"):
        Maximize(cached)


def test_it_can_do_what_the_oracle_can() -> None:
    cached = Cached(Ball(3))
    costs = draw(cached)
    np.testing.assert_array_equal(
        cached.vector_jacobian_product(costs, costs), Ball(3).vector_jacobian_product(costs, costs)
    )
    assert Cached(TopK(3, 1)).instance_fields == {"mask"}
    assert Cached(Counting(TopK(3, 1))).program().n_variables == 3
    assert not Cached(LinearProgram(PROGRAM.relax())).linear_objective
    with pytest.raises(AttributeError, match="nothing"):
        _ = cached.nothing
    assert repr(cached) == f"Cached(oracle={Ball(3)!r}, max_bytes=268435456, folder=None)"
    assert cached.parameters() == {
        "oracle": cached.oracle, "max_bytes": 2**28, "folder": None,
    }  # fmt: skip


def test_copies_share_the_memory_and_pickles_start_with_none() -> None:
    inner = Counting(TopK(4, 2))
    cached = Cached(inner)
    costs = draw(inner)
    found = cached.solve(costs)
    copied = copy.deepcopy(cached)
    assert_same(copied.solve(costs), found)
    assert copied.oracle is not inner
    assert copied.statistics == cached.statistics
    assert copied.statistics.hits == len(costs)
    sent = pickle.loads(pickle.dumps(cached))  # noqa: S301
    assert len(pickle.dumps(cached)) < 1000
    assert sent.statistics.entries == 0
    assert_same(sent.solve(costs), found)
    assert sent.statistics.misses == len(costs)


# --- bounded -------------------------------------------------------------------------------------


def test_the_least_recently_used_row_leaves() -> None:
    inner = Counting(TopK(4, 2))
    cached = Cached(inner, max_bytes=3 * entry_bytes(inner))
    a, b, c, d, e = (row[None] for row in draw(inner, 5))

    def solved(row: np.ndarray) -> bool:
        before = inner.counts.instances
        cached.solve(row)
        return inner.counts.instances > before

    assert all(solved(row) for row in (a, b, c))
    assert not solved(a)  # order of use is now b, c, a
    assert solved(d)  # b leaves
    assert not solved(c)
    assert not solved(a)
    assert not solved(d)
    assert solved(b)  # c leaves
    assert solved(e)  # a leaves
    assert not solved(d)
    assert solved(c)  # b leaves
    assert not solved(e)
    assert not solved(d)
    assert cached.statistics.entries == 3


def test_a_batch_beyond_the_bound_is_answered_and_its_end_is_kept() -> None:
    inner = Counting(TopK(4, 2))
    size = entry_bytes(inner)
    cached = Cached(inner, max_bytes=5 * size + size // 2)
    costs = draw(inner, 50)
    assert_same(cached.solve(costs), inner.oracle.solve(costs))
    assert (cached.statistics.entries, cached.statistics.bytes) == (5, 5 * size)
    before = inner.counts.instances
    cached.solve(costs[-5:])
    assert inner.counts.instances == before
    # hits that leave while the rest of their batch is solved are answered all the same
    assert_same(cached.solve(costs[::-1]), inner.oracle.solve(costs[::-1]))


def test_the_bound_is_one_on_real_memory() -> None:
    rng = np.random.default_rng(0)
    for d in (2, 40):
        cached = Cached(Box(d), max_bytes=1 << 20)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(20):
                cached.solve(rng.normal(size=(1000, d)))
            used = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert 0.5 * cached.statistics.bytes < used < 1.1 * 2**20


# --- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [False, True])
def test_four_threads(folder: bool, tmp_path: Path) -> None:
    oracle = Knapsack(WEIGHTS, np.full(3, 14.0))
    size = entry_bytes(oracle)
    cached = Cached(oracle, 20 * size, tmp_path if folder else None)
    costs = draw(oracle, 60)
    expected = oracle.solve(costs).decisions
    wrong: list[object] = []
    rounds, width = (20 if folder else 150), 12

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(rounds):
                rows = rng.integers(0, len(costs), width)
                if not np.array_equal(cached.solve(costs[rows]).decisions, expected[rows]):
                    wrong.append(rows)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    statistics = cached.statistics
    assert statistics.hits + statistics.misses == 4 * rounds * width
    assert statistics.entries == 20
    assert statistics.bytes == 20 * size
    assert statistics.damaged == 0


def test_a_fork_while_threads_use_it_does_not_hang() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    done = run(
        """
import os, threading
import numpy as np
from dfl_solvers import Box
from dfl_solvers.cached import Cached
from dfl_solvers.pool import Pool
cached, pool = Cached(Box(30)), Pool(Box(30), 0.5)
stop = threading.Event()
def work():
    rng = np.random.default_rng(0)
    while not stop.is_set():
        cached.solve(rng.normal(size=(50, 30)))
        pool.solve(rng.normal(size=(50, 30)))
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]
for i in range(20):
    child = os.fork()
    if child == 0:
        cached.solve(np.random.default_rng(1).normal(size=(50, 30)))
        pool.solve(np.random.default_rng(1).normal(size=(50, 30)))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
[t.join() for t in threads]
print("[]")
"""
    )
    assert finish(done) == []


# --- the folder ----------------------------------------------------------------------------------


def run(script: str, *arguments: object) -> subprocess.Popen:
    """Start a new interpreter."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> object:
    """Wait for an interpreter and return what it printed."""
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return json.loads(out)


def answers(folder: Path) -> list[Path]:
    """All answers in a folder."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.parent.name != "unfinished")


def fresh(oracle: Oracle, folder: Path) -> tuple[Cached, Counting]:
    """Return a cache with an empty memory, and the counter within it."""
    counting = Counting(oracle)
    return Cached(counting, folder=folder), counting


@every
def test_a_folder_answers_in_the_next_run(name: str, tmp_path: Path) -> None:
    oracle = ORACLES[name]
    costs = draw(oracle)
    first, _ = fresh(oracle, tmp_path)
    found = first.solve(costs)
    second, counting = fresh(oracle, tmp_path)
    assert_same(second.solve(costs[::-1]), Solution(*(a[::-1] for a in vars(found).values())))
    assert counting.counts.calls == 0
    statistics = second.statistics
    assert (statistics.hits, statistics.misses, statistics.read) == (20, 0, 20)
    second.solve(costs)  # now from memory
    assert second.statistics.read == 20
    assert len(answers(tmp_path)) == 20
    assert not list(tmp_path.glob("*/unfinished/*"))


def test_a_folder_knows_instance_data_dtypes_and_parameters(tmp_path: Path) -> None:
    costs = np.random.default_rng(0).integers(-5, 5, (10, 4)).astype(float)
    mask = np.random.default_rng(1).random((10, 4)) < 0.8
    mask[:, :2] = True
    for _ in range(2):
        for k in (1, 2):
            oracle = TopK(4, k)
            for kind in ("<f8", "<f4", "i1"):
                for instance in (None, {"mask": mask}):
                    cached = Cached(oracle, folder=tmp_path)
                    given_costs = costs.astype(kind)
                    assert_same(
                        cached.solve(given_costs, instance), oracle.solve(given_costs, instance)
                    )
        assert len(list(tmp_path.iterdir())) == 2
    assert cached.statistics.misses == 0


def test_another_version_solves_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = draw(TopK(4, 2))
    Cached(TopK(4, 2), folder=tmp_path).solve(costs)
    monkeypatch.setattr(dfl_solvers, "__version__", "0.0.0.other")
    cached = Cached(TopK(4, 2), folder=tmp_path)
    cached.solve(costs)
    assert cached.statistics.misses == len(costs)


def test_the_folder_outlives_eviction(tmp_path: Path) -> None:
    inner = Counting(TopK(4, 2))
    cached = Cached(inner, max_bytes=0, folder=tmp_path)
    costs = draw(inner)
    for _ in range(3):
        assert_same(cached.solve(costs), inner.oracle.solve(costs))
    assert inner.counts.instances == len(costs)
    assert cached.statistics.read == 2 * len(costs)


def test_wrappers_do_not_matter_to_the_folder(tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    values = draw(oracle)
    Cached(Maximize(Cached(Counting(oracle))), folder=tmp_path).solve(values)
    cached = Cached(oracle, folder=tmp_path)
    cached.solve(-values)
    assert cached.statistics.misses == 0


def spoil(path: Path, how: str, other: Path) -> None:
    """Damage an answer."""
    data = bytearray(path.read_bytes())
    if how == "empty":
        data = bytearray()
    elif how == "short":
        data = data[:-5]
    elif how == "long":
        data += b"x"
    elif how == "zeros":
        data = bytearray(len(data))
    elif how == "pickle":
        data = bytearray(pickle.dumps({"decisions": [1]}))
    elif how == "other":
        data = bytearray(other.read_bytes())
    elif how == "folder":
        path.unlink()
        path.mkdir()
        return
    else:
        data[int(how) : int(how) + 1] = b"?"
    path.write_bytes(data)


LENGTH = 8 + 8 + len('[["<f8", 4]]') + 32 + 16 + 32 + 8 + 1 + 16


@pytest.mark.parametrize("how", ["empty", "short", "long", "zeros", "pickle", "other"])
def test_a_damaged_or_foreign_answer_is_noticed_and_rewritten(how: str, tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    costs = draw(oracle, 8)
    expected = Cached(oracle, folder=tmp_path).solve(costs)
    files = answers(tmp_path)
    contents = [path.read_bytes() for path in files]
    for i in (0, 3):
        spoil(files[i], how, files[i + 1])
    cached, counting = fresh(oracle, tmp_path)
    assert_same(cached.solve(costs), expected)
    assert counting.counts.instances == 2
    assert (cached.statistics.damaged, cached.statistics.read) == (2, 6)
    assert [path.read_bytes() for path in files] == contents
    again, counting = fresh(oracle, tmp_path)
    again.solve(costs)
    assert counting.counts.instances == 0


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    costs = draw(oracle, 1)
    expected = Cached(oracle, folder=tmp_path).solve(costs)
    (path,) = answers(tmp_path)
    assert len(path.read_bytes()) == LENGTH
    cached = Cached(oracle, max_bytes=0, folder=tmp_path)
    for position in range(LENGTH):
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)
        assert_same(cached.solve(costs), expected)
        assert cached.statistics.damaged == position + 1


def test_an_unreadable_answer_is_solved_and_a_failing_write_warns_once(tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    costs = draw(oracle, 8)
    expected = Cached(oracle, folder=tmp_path).solve(costs)
    for path in answers(tmp_path)[:2]:
        spoil(path, "folder", path)
    cached, counting = fresh(oracle, tmp_path)
    with pytest.warns(RuntimeWarning, match="kept in memory only") as warned:
        assert_same(cached.solve(costs), expected)
    assert len(warned) == 1
    assert counting.counts.instances == 2
    assert_same(cached.solve(costs), expected)


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    cached = Cached(oracle, folder=tmp_path / "a")
    cached.solve(draw(oracle, 5))
    os.rename(tmp_path / "a", tmp_path / "b")
    cached.solve(draw(oracle, 5, seed=2))
    assert len(answers(tmp_path / "a")) == 5


def test_a_full_disk_gives_one_warning_and_nothing_is_lost(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    process = run(
        """
import json, resource, signal, sys, warnings
import numpy as np
from dfl_solvers import TopK
from dfl_solvers.cached import Cached
oracle = TopK(4, 2)
cached = Cached(oracle, folder=sys.argv[1])
costs = np.random.default_rng(0).normal(size=(20, 4))
cached.solve(costs[:5])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))  # no file grows beyond 50 bytes
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for batch in (costs[5:10], costs[10:], costs):
        assert np.array_equal(cached.solve(batch).decisions, oracle.solve(batch).decisions)
print(json.dumps([[w.category.__name__, str(w.message)] for w in caught]))
s = cached.statistics
assert (s.hits, s.misses) == (20, 20), s
""",
        tmp_path,
    )
    ((category, message),) = finish(process)  # type: ignore[misc]
    assert category == "RuntimeWarning"
    assert "File too large" in message
    assert "memory only" in message
    assert len(answers(tmp_path)) == 5
    assert not list(tmp_path.glob("*/unfinished/*"))


def test_a_pickled_cache_finds_its_folder_or_says_so(tmp_path: Path) -> None:
    oracle = TopK(4, 2)
    costs = draw(oracle)
    cached = Cached(oracle, folder=tmp_path / "cache")
    found = cached.solve(costs)
    data = pickle.dumps(cached)
    sent = pickle.loads(data)  # noqa: S301
    assert_same(sent.solve(costs), found)
    assert sent.statistics.misses == 0
    os.rename(tmp_path / "cache", tmp_path / "gone")
    (tmp_path / "cache").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="cannot be written.*going on in memory"):
        sent = pickle.loads(data)  # noqa: S301
    assert_same(sent.solve(costs), found)


def test_unfinished_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    Cached(TopK(4, 2), folder=tmp_path)
    home = tmp_path / fingerprint(TopK(4, 2)) / "unfinished"
    for name, age in (("old", 200_000), ("young", 60)):
        (home / name).write_bytes(b"part")
        then = (home / name).stat().st_mtime - age
        os.utime(home / name, (then, then))
    Cached(TopK(4, 2), folder=tmp_path)
    assert [path.name for path in home.iterdir()] == ["young"]


HAMMER = """
import json, sys
import numpy as np
from dfl_solvers import Counting, Knapsack
from dfl_solvers.cached import Cached
folder, seed = sys.argv[1], int(sys.argv[2])
weights = np.random.default_rng(1).integers(1, 9, (3, 8))
oracle = Knapsack(weights, np.full(3, 14.0))
costs = np.random.default_rng(1).normal(size=(150, 8))
expected = oracle.solve(costs)
rng = np.random.default_rng(seed)
sys.stdin.read()  # both start at once
solved = 0
for _ in range(40):
    cached = Cached(Counting(oracle), max_bytes=3000, folder=folder)
    rows = rng.integers(0, 150, 40)
    found = cached.solve(costs[rows])
    assert np.array_equal(found.decisions, expected.decisions[rows])
    assert np.array_equal(found.objectives, expected.objectives[rows])
    solved += cached.statistics.misses
print(json.dumps(solved))
"""


def test_two_processes_hammer_one_folder_while_files_are_damaged(tmp_path: Path) -> None:
    oracle = Knapsack(WEIGHTS, np.full(3, 14.0))
    costs = draw(oracle, 150)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), str(seed)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    for process in processes:
        process.stdin.close()  # type: ignore[union-attr]
        process.stdin = None
    rng = np.random.default_rng(0)
    kinds = ["empty", "short", "zeros", "pickle", "30"]
    while any(process.poll() is None for process in processes):
        time.sleep(0.01)
        files = answers(tmp_path)
        if len(files) > 1:
            path = files[rng.integers(len(files))]
            spoil(path, kinds[rng.integers(len(kinds))], path)
    solved = [finish(process) for process in processes]
    assert all(0 < count < 40 * 40 for count in solved)  # type: ignore[operator]
    # what is left answers everything, and nothing but answers is left
    for _ in range(2):
        cached = Cached(oracle, folder=tmp_path)
        assert_same(cached.solve(costs), oracle.solve(costs))
    assert (cached.statistics.misses, cached.statistics.damaged) == (0, 0)
    assert not list(tmp_path.glob("*/unfinished/*"))


def test_nothing_warns_in_ordinary_use(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached = Cached(Box(2), folder=str(tmp_path))
        cached.solve(np.array([[1.0, -1.0]]))
        assert cached.folder == str(tmp_path)
