"""Parallel: the serial answers, errors named in the whole batch, and processes that die."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dfl_solvers import (
    Cached,
    Counting,
    EnergyScheduling,
    FromCallable,
    Maximize,
    MixedIntegerProgram,
    Parallel,
    Pool,
    TopK,
    load_oracle,
    save_oracle,
)
from dfl_solvers._dealing import Times, keys_of, parts
from dfl_solvers._rows import Batch
from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    SolverError,
    UnsupportedError,
)
from dfl_solvers.oracle import Status, minimizing

# what the first cost of an instance tells the function below to do
SOLVE, SLEEP, INFEASIBLE, BUG, DIE_ONCE, DIE, WHO, THREADS = range(8)


def obedient(folder: Path) -> FromCallable:
    """Return an oracle of three costs that does what the first one says."""

    def function(c):
        from dfl_solvers.exceptions import InfeasibleError
        from dfl_solvers.kernels import n_threads

        order = int(c[0])
        if order == SLEEP:
            time.sleep(0.2)
        if order == INFEASIBLE:
            raise InfeasibleError(f"instance 0: no room for {c[1]:g}")
        if order == BUG:
            raise ZeroDivisionError("division by nothing")
        if order == DIE or (order == DIE_ONCE and not (folder / "died").exists()):
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if order == WHO:
            time.sleep(0.05)
            return np.array([os.getpid(), os.getppid(), 0.0])
        if order == THREADS:
            return np.array([n_threads(), int(os.environ["OMP_NUM_THREADS"]), 0.0])
        return np.eye(3)[1 + c[1:].argmin()]

    return FromCallable(function, n_costs=3)


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return obedient(tmp_path_factory.mktemp("parallel"))


@pytest.fixture(scope="module")
def parallel(serial):
    return Parallel(serial, n_jobs=2)


def batch(orders, seed=0):
    costs = np.random.default_rng(seed).normal(size=(len(orders), 3))
    costs[:, 0] = orders
    return costs


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_answers_are_the_serial_ones_in_order(serial, parallel, n):
    costs = batch([SOLVE] * n, seed=n)
    costs[::7, 0] = SLEEP
    found, expected = parallel.solve(costs), serial.solve(costs)
    np.testing.assert_array_equal(found.decisions, expected.decisions)
    np.testing.assert_array_equal(found.objectives, expected.objectives)
    np.testing.assert_array_equal(found.status, expected.status)
    assert found.decisions.dtype == expected.decisions.dtype
    np.testing.assert_array_equal(parallel.evaluate(costs, found.decisions), found.objectives)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 10_000])
@pytest.mark.parametrize("n_jobs", [1, 2, 8])
def test_parts_are_the_batch_and_become_smaller(n, n_jobs):
    dealt = parts(np.ones(n), n_jobs)
    assert np.concatenate(dealt).tolist() == list(range(n))
    sizes = [len(part) for part in dealt]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert len(dealt) < 10 * n_jobs * (1 + np.log(n))


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_what_takes_long_is_dealt_out_first_and_alone(n_jobs):
    rng = np.random.default_rng(0)
    for _ in range(50):
        seconds = rng.lognormal(sigma=2, size=rng.integers(1, 60))
        dealt = parts(seconds, n_jobs)
        np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.arange(len(seconds)))
        assert all((np.diff(part) > 0).all() for part in dealt)
        assert dealt[0][0] == seconds.argmax()
        least = [seconds[part].min() for part in dealt]
        assert least == sorted(least, reverse=True)
        # as processes take one part after another, none of them waits for long
        free = np.zeros(n_jobs)
        for part in dealt:
            free[free.argmin()] += seconds[part].sum()
        ideal = max(seconds.sum() / n_jobs, seconds.max())
        assert free.max() <= 1.25 * ideal


def test_what_takes_no_time_is_sent_together():
    seconds = 2.0 ** np.repeat([-4, -13], [2, 30])
    assert [len(part) for part in parts(seconds, 2)] == [1, 1, 4, 4, 4, 4, 4, 4, 4, 2]


def test_times_go_with_the_data_of_an_instance():
    times, numbers = Times(), np.arange(6.0)
    keys = keys_of(Batch(np.zeros((6, 3)), {"a": numbers // 2, "b": np.zeros((6, 2))}))
    assert keys[0] == keys[1] != keys[2] == keys[3]
    np.testing.assert_array_equal(times.expected(keys), 1.0)
    times.learn(keys[:1], 4.0)
    times.learn(keys[2:4], 1.0)
    # what is new is as the others are
    np.testing.assert_allclose(times.expected(keys), [4, 4, 0.5, 0.5, 2.25, 2.25])
    times.learn(keys[:1], 0.0)
    assert 2.0 < times.expected(keys)[0] < 4.0  # a day that was hard may be so again
    assert len(set(keys_of(Batch(np.zeros((6, 3)), {})))) == 1


def test_slow_instances_come_first_when_they_are_met_again(tmp_path):
    def slow(c, seconds):
        with open(tmp_path / "began", "a") as file:
            file.write(f"{seconds}\n")
        time.sleep(seconds)
        return np.eye(3)[c.argmin()]

    oracle = Parallel(FromCallable(slow, 3, fields=("seconds",)))
    rng = np.random.default_rng(0)
    seconds = np.array([0.01] * 6 + [0.2] + [0.01] * 3 + [0.1, 0.4])
    for _ in range(3):
        (tmp_path / "began").unlink(missing_ok=True)
        costs, order = rng.normal(size=(12, 3)), rng.permutation(12)
        start = time.perf_counter()
        found = oracle.solve(costs, {"seconds": seconds[order]})
        taken = time.perf_counter() - start
        np.testing.assert_array_equal(found.decisions.argmax(axis=1), costs.argmin(axis=1))
    began = [float(line) for line in (tmp_path / "began").read_text().split()]
    assert set(began[:2]) == {0.4, 0.2}
    assert taken < 0.7  # one process has the longest, the other one the rest: 0.4


def test_two_processes_of_one_thread_that_stay(parallel):
    who = [parallel.solve(batch([WHO] * 12)).decisions for _ in range(3)]
    processes = {int(pid) for found in who for pid in found[:, 0]}
    assert len(processes) == 2
    assert os.getpid() not in processes
    np.testing.assert_array_equal(parallel.solve(batch([THREADS] * 6)).decisions[:, :2], 1)


def test_garbage_collection_leaves_out_what_is_loaded_once():
    """Else each process would stop for a tenth of a second or two, every second."""

    def frozen(c):
        import gc

        return np.array([float(os.getpid()), float(gc.get_freeze_count()), 0.0])

    oracle = Parallel(FromCallable(frozen, 3))
    found = np.concatenate([oracle.solve(np.ones((8, 3))).decisions for _ in range(3)])
    for pid in np.unique(found[:, 0]):
        assert found[found[:, 0] == pid, 1].max() > 10_000


def test_a_single_instance_and_one_job_stay_here(serial, parallel):
    alone = Parallel(serial, n_jobs=1)
    for found in (parallel.solve(batch([WHO])), alone.solve(batch([WHO, WHO]))):
        assert (found.decisions[:, 0] == os.getpid()).all()


def test_the_oracle_is_sent_once_to_each_process(tmp_path):
    class Heavy(FromCallable):  # type: ignore[misc]
        def __setstate__(self, state):
            self.__dict__.update(state)
            with open(tmp_path / "built", "a") as file:
                file.write(f"{os.getpid()}\n")

    oracle = Parallel(Heavy(lambda c: np.eye(3)[c.argmin()], 3))
    for seed in range(5):
        oracle.solve(np.random.default_rng(seed).normal(size=(20, 3)))
    built = (tmp_path / "built").read_text().split()
    assert 1 <= len(built) <= 2
    assert len(set(built)) == len(built)


def test_errors_name_the_first_such_instance_of_the_whole_batch(parallel):
    orders = np.full(40, SOLVE)
    orders[[23, 31, 39]] = INFEASIBLE
    costs = batch(orders)
    costs[[23, 31, 39], 1] = [23, 31, 39]
    for _ in range(3):
        with pytest.raises(InfeasibleError, match=r"^instance 23: no room for 23$"):
            parallel.solve(costs)
    # an earlier one that fails later, since it sleeps behind others, is still the first
    orders[[3, 4, 5]] = SLEEP
    orders[6] = BUG
    with pytest.raises(ZeroDivisionError, match="division by nothing") as caught:
        parallel.solve(batch(orders))
    notes = "\n".join(caught.value.__notes__)
    assert "instance 6 of the batch" in notes
    assert "instance 0 of the batch" not in notes
    assert "raise ZeroDivisionError" in notes
    assert parallel.solve(batch([SOLVE] * 4)).status.tolist() == [Status.OPTIMAL] * 4


def test_what_is_wrong_with_the_input_is_told_as_by_the_oracle(serial, parallel):
    costs = batch([SOLVE] * 20)
    costs[17, 2] = np.nan
    for bad in (costs, costs[:, :2], costs[0], "costs"):
        with pytest.raises(InvalidInputError) as expected:
            serial.solve(bad)
        with pytest.raises(InvalidInputError) as found:
            parallel.solve(bad)
        assert str(found.value) == str(expected.value)
    with pytest.raises(InvalidInputError, match="instance data size"):
        parallel.solve(costs[:5], {"size": np.ones(5)})


def test_a_process_that_dies_loses_nothing(serial, parallel):
    orders = np.full(30, SOLVE)
    orders[11] = DIE_ONCE
    costs = batch(orders)
    found = parallel.solve(costs)
    costs[11, 0] = SOLVE
    expected = serial.solve(costs).decisions
    np.testing.assert_array_equal(found.decisions, expected)


def test_what_kills_twice_is_named_and_the_next_batch_goes_on(parallel):
    orders = np.full(30, SLEEP)
    orders[13] = DIE
    with pytest.raises(SolverError, match=r"died.*instances .*\b13\b.* n_jobs=1") as caught:
        parallel.solve(batch(orders))
    # beside it only what was in work at the same time
    named = str(caught.value).split("instances ")[1].split(" were")[0].split(", ")
    assert len(named) <= 2
    assert len(set(parallel.solve(batch([WHO] * 12)).decisions[:, 0])) == 2


def test_processes_killed_between_batches_are_replaced(parallel):
    before = set(parallel.solve(batch([WHO] * 12)).decisions[:, 0])
    for pid in before:
        os.kill(int(pid), signal.SIGKILL)
    after = set(parallel.solve(batch([WHO] * 12)).decisions[:, 0])
    assert not before & after


def test_several_threads_share_the_processes(serial, parallel):
    answers = {}

    def work(seed):
        answers[seed] = parallel.solve(batch([SOLVE] * 20, seed)).decisions

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, found in answers.items():
        np.testing.assert_array_equal(found, serial.solve(batch([SOLVE] * 20, seed)).decisions)
    assert len(answers) == 4


def test_values_and_instance_data(rng):
    def within(c, most):  # no more than so many of the cheapest
        chosen = np.argsort(c, kind="stable")[: int(most)]
        w = np.zeros(len(c))
        w[chosen[c[chosen] < 0]] = 1
        return w

    oracle = FromCallable(within, n_costs=6, fields=("most",))
    values = rng.normal(size=(20, 6))
    instance = {"most": rng.integers(1, 5, 20)}
    expected = Maximize(oracle).solve(values, instance)
    inside = Parallel(Maximize(oracle))
    held, sign = minimizing(inside)
    assert isinstance(held, Parallel)
    assert sign == -1
    for other in (inside, Maximize(held), Counting(inside)):
        found = other.solve(values, instance)
        np.testing.assert_array_equal(found.decisions, expected.decisions)
        np.testing.assert_array_equal(found.objectives, expected.objectives)
    np.testing.assert_array_equal(held.solve(-values, instance).objectives, -expected.objectives)
    assert held.instance_fields == {"most"}
    assert not hasattr(held, "program")


def test_copies_pickles_and_files(tmp_path):
    inside = Parallel(Maximize(TopK(4, 2)), n_jobs=3)
    held = minimizing(inside)[0]
    assert held.program().n_variables == 4
    shared = copy.deepcopy(inside)
    assert shared._workers is inside._workers is held._workers
    apart = pickle.loads(pickle.dumps(inside))  # noqa: S301
    assert apart._workers is not inside._workers
    save_oracle(inside, tmp_path / "oracle.npz")
    names = {"Parallel": Parallel, "Maximize": Maximize, "TopK": TopK}
    rebuilt = eval(repr(inside), names)  # noqa: S307
    for again in (apart, load_oracle(tmp_path / "oracle.npz"), rebuilt):
        assert repr(again) == "Parallel(oracle=Maximize(oracle=TopK(n=4, k=2)), n_jobs=3)"
        assert again.sign == -1


def test_status_and_relaxation_come_through(rng):
    n = 40
    tasks = {
        "durations": rng.integers(3, 9, n),
        "earliest": np.zeros(n),
        "latest": np.full(n, 48),
        "powers": rng.uniform(10, 500, n),
        "usage": rng.integers(20, 80, (n, 1)),
        "capacities": np.full((3, 1), 130),
    }
    oracle = Parallel(EnergyScheduling(**tasks, time_limit=0.02))
    counting = Counting(oracle)
    found = counting.solve(rng.normal(50, 20, (4, 48)))
    assert found.status.tolist() == [Status.FEASIBLE] * 4
    assert (counting.counts.instances, counting.counts.interrupted) == (4, 4)
    program = TopK(4, 2).program()
    relaxed = Parallel(MixedIntegerProgram(program)).relax()
    assert not relaxed.program().integrality.any()


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, "2", None])
def test_bad_numbers_of_jobs(n_jobs):
    with pytest.raises(InvalidInputError, match=f"n_jobs={n_jobs!r}, expected a positive"):
        Parallel(TopK(3, 1), n_jobs=n_jobs)


def test_what_remembers_goes_around_it():
    held = TopK(3, 1)
    for inner in (Counting(held), Cached(held), Pool(held, 0.5), Maximize(Counting(held))):
        with pytest.raises(UnsupportedError, match=r"use (Counting|Cached|Pool)\(Parallel\(oracle"):
            Parallel(inner)
    with pytest.raises(UnsupportedError, match="n_jobs once"):
        Parallel(Parallel(held))
    assert Counting(Parallel(held)).n_costs == 3


def test_what_cannot_be_sent_is_refused_by_name():
    lock = threading.Lock()
    oracle = Parallel(FromCallable(lambda c: c * lock.locked(), n_costs=3))
    with pytest.raises(UnsupportedError, match="FromCallable cannot be sent to another process"):
        oracle.solve(np.ones((2, 3)))


def test_in_a_worker_of_someone_else_all_is_solved_there():
    from joblib import Parallel as Jobs
    from joblib import delayed

    def solve(seed):
        oracle = Parallel(TopK(4, 2))
        decisions = oracle.solve(np.random.default_rng(seed).normal(size=(5, 4))).decisions
        return decisions, oracle._workers._executor is None

    for seed, (decisions, here) in enumerate(Jobs(n_jobs=2)(delayed(solve)(i) for i in range(2))):
        costs = np.random.default_rng(seed).normal(size=(5, 4))
        np.testing.assert_array_equal(decisions, TopK(4, 2).solve(costs).decisions)
        assert here


ENDLESS = """
import os, pathlib, time
import numpy as np
from dfl_solvers import FromCallable, Parallel
def endless(c):
    while True:
        pathlib.Path({folder!r}, str(os.getpid())).write_text(str(time.time()))
        time.sleep(0.05)
Parallel(FromCallable(endless, 3)).solve(np.eye(3))
"""


def _at_work(folder: Path) -> int:
    """Count the processes that have written into a folder within the last second."""
    return sum(time.time() - file.stat().st_mtime < 1 for file in folder.iterdir())


def _wait_for(n: int, folder: Path) -> None:
    limit = time.monotonic() + 60
    while _at_work(folder) != n and time.monotonic() < limit:
        time.sleep(0.05)
    assert _at_work(folder) == n


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups on this system")
@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_the_processes_end_with_their_parent_within_a_solve(tmp_path, how):
    folder, script = tmp_path / "at work", tmp_path / "script.py"
    folder.mkdir()
    script.write_text(ENDLESS.format(folder=str(folder)))
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            [sys.executable, script],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stderr=said,
            start_new_session=True,
        )
    try:
        _wait_for(2, folder)
        if how == "interrupt":
            os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        else:
            run.kill()
        assert run.wait(timeout=20) != 0
        assert ("KeyboardInterrupt" in (tmp_path / "said").read_text()) == (how == "interrupt")
        _wait_for(0, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to a thread here")
@pytest.mark.parametrize("wakes", [True, False])  # not where it comes just before the wait
def test_an_interrupted_notebook_goes_on(tmp_path, wakes):
    def endless(c):
        while c[0] == SLEEP:
            (tmp_path / str(os.getpid())).write_text(str(time.time()))
            time.sleep(0.05)
        return np.eye(3)[c.argmin()]

    def interrupt():
        _wait_for(2, tmp_path)
        signal.pthread_kill((threading.main_thread() if wakes else thread).ident, signal.SIGINT)

    oracle = Parallel(FromCallable(endless, 3))
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        oracle.solve(batch([SLEEP] * 8))
    thread.join()
    for file in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):  # a zombie would still be there
            os.kill(int(file.name), 0)
    np.testing.assert_array_equal(oracle.solve(batch([SOLVE] * 8)).status, Status.OPTIMAL)


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once_and_ends_clean(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from dfl_solvers import FromCallable, Parallel\n"
        "print('begin')\n"
        "def cheapest(c):\n"
        "    return np.eye(len(c))[c.argmin()]\n"
        "oracle = Parallel(FromCallable(cheapest, 3))\n"
        "print(oracle.solve(np.eye(3)[::-1] + 1).decisions.argmax(1))\n"
    )
    paths = [path for path in sys.path if path]
    run = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout == "begin\n[0 0 1]\n"
    assert (run.returncode, run.stderr) == (0, "")
