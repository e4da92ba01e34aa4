"""EnergyScheduling against scipy.optimize.milp, HiGHS, enumeration and the separable bound."""

from __future__ import annotations

import copy
import itertools
import pickle
import zipfile

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, SolverError
from dfl_solvers.oracle import Solution, Status
from dfl_solvers.problems import _schedule_clock as clock
from dfl_solvers.problems import _schedule_heuristic as heuristic
from dfl_solvers.problems import _schedule_search as search
from dfl_solvers.problems import energy_scheduling as module
from dfl_solvers.problems._load_file import stack
from dfl_solvers.problems.energy_scheduling import EnergyScheduling


def random_problem(rng, n_tasks=6, n_machines=2, n_resources=1, slot_minutes=120, **options):
    """Tight enough that tasks often stand in each other's way; feasible or not."""
    d = 1440 // slot_minutes
    durations = rng.integers(1, 5, n_tasks)
    earliest = rng.integers(0, 4, n_tasks)
    latest = np.minimum(d, earliest + durations + rng.integers(1, 7, n_tasks))
    return EnergyScheduling(
        durations,
        earliest,
        latest,
        rng.uniform(50, 500, n_tasks),
        rng.integers(3, 9, (n_tasks, n_resources)),
        rng.integers(8, 11, (n_machines, n_resources)),
        slot_minutes,
        **options,
    )


def by_scipy(oracle, costs):
    """Build the problem anew, variable by variable as it is stated, and solve it by scipy."""
    d = oracle.n_costs
    n_machines, n_resources = oracle.capacities.shape
    cells = [
        (f, m, t)
        for f in range(len(oracle.durations))
        for m in range(n_machines)
        for t in range(d)
        if oracle.earliest[f] <= t <= oracle.latest[f] - oracle.durations[f]
    ]
    objective = np.zeros(len(cells))
    once = np.zeros((len(oracle.durations), len(cells)))
    room = np.zeros((n_machines, n_resources, d, len(cells)))
    for j, (f, m, t) in enumerate(cells):
        once[f, j] = 1
        for k in range(t, t + oracle.durations[f]):
            objective[j] += oracle.powers[f] * oracle.slot_minutes / 60 * costs[k]
            room[m, :, k, j] += oracle.usage[f]
    limits = np.broadcast_to(oracle.capacities[..., None], room.shape[:3]).ravel()
    room = room.reshape(-1, len(cells))
    if oracle.relax:
        return linprog(objective, room, limits, once, np.ones(len(once)), (0, 1))
    return milp(
        objective,
        constraints=[LinearConstraint(once, 1, 1), LinearConstraint(room, ub=limits)],
        bounds=Bounds(0, 1),
        integrality=np.ones(len(cells)),
        options={"mip_rel_gap": 0},
    )


def separable(oracle, costs):
    """Each task at its own cheapest start: a bound without any capacity."""
    sums = np.r_[0, np.cumsum(costs)]
    total = 0.0
    for f, duration in enumerate(oracle.durations):
        t = np.arange(oracle.earliest[f], oracle.latest[f] - duration + 1)
        cheapest = (sums[t + duration] - sums[t]).min()
        total += oracle.powers[f] * oracle.slot_minutes / 60 * cheapest
    return total


@pytest.mark.parametrize("relax", [False, True])
@pytest.mark.parametrize("n_resources", [1, 2])
def test_agrees_with_scipy(relax, n_resources):
    rng = np.random.default_rng(n_resources)
    compared = bound_tight = infeasible = 0
    for _ in range(25):
        oracle = random_problem(rng, n_resources=n_resources, relax=relax)
        for c in rng.normal(1, 2, (2, 12)):
            expected = by_scipy(oracle, c)
            if expected.status == 2:
                infeasible += 1
                with pytest.raises(InfeasibleError, match="instance 0"):
                    oracle.solve(c[None])
                continue
            assert expected.status == 0
            objective = oracle.solve(c[None]).objectives[0]
            assert objective == pytest.approx(expected.fun, rel=1e-7, abs=1e-6)
            bound = separable(oracle, c)
            assert objective >= bound - 1e-7 * abs(bound)
            bound_tight += objective <= bound + 1e-7 * abs(bound)
            compared += 1
    # the cases are of every kind
    assert compared >= 15
    assert 0 < bound_tight < compared
    assert relax or infeasible > 0


def test_agrees_with_enumeration(rng):
    """Four tasks on two different machines, every start and assignment tried."""
    oracle = EnergyScheduling(
        [3, 2, 2, 1],
        [0, 0, 1, 2],
        [6, 5, 6, 6],
        [1, 2, 3, 4],
        [[4], [3], [3], [2]],
        [[5], [4]],
        240,
    )
    schedules = []
    options = [
        [(m, t) for m in range(2) for t in range(e, end - duration + 1)]
        for duration, e, end in zip(oracle.durations, oracle.earliest, oracle.latest, strict=True)
    ]
    for placed in itertools.product(*options):
        used, energy = np.zeros((2, 6)), np.zeros(6)
        for f, (m, t) in enumerate(placed):
            used[m, t : t + oracle.durations[f]] += oracle.usage[f, 0]
            energy[t : t + oracle.durations[f]] += 4 * oracle.powers[f]
        if (used <= oracle.capacities).all():
            schedules.append(energy)
    schedules = np.unique(schedules, axis=0)
    costs = rng.normal(size=(200, 6))
    solution = oracle.solve(costs)
    np.testing.assert_allclose(solution.objectives, (costs @ schedules.T).min(axis=1), atol=1e-9)
    # every decision is one of the possible energies
    gaps = np.abs(solution.decisions[:, None] - schedules[None]).max(axis=2).min(axis=1)
    assert gaps.max() < 1e-12


def test_program_is_the_problem(rng):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        exact = random_problem(rng, n_resources=2)
        relaxed = EnergyScheduling(**{**exact.parameters(), "relax": True})
        costs = rng.normal(1, 1, (6, 12))
        assert exact.program().integrality.all()
        assert not relaxed.program().integrality.any()
        assert exact.program().n_costs == 12
        for oracle in (exact, relaxed):
            direct = HotProgram(oracle.program()).solve(costs)
            if direct.status.max() == Status.OPTIMAL:
                solution = oracle.solve(costs)
                np.testing.assert_allclose(solution.objectives, direct.objectives, rtol=1e-7)
                np.testing.assert_allclose(
                    oracle.evaluate(costs, solution.decisions), solution.objectives
                )
                # the schedule exists: variables of the program give its energy
                HotProgram(oracle.program()).fixed_part(solution.decisions, "schedule")


def test_only_possible_variables_are_made():
    oracle = EnergyScheduling([2, 1], [0, 3], [4, 5], [1, 1], [[3], [6]], [[5], [7]], 240)
    # task 0: starts 0, 1, 2 on both machines; task 1: starts 3, 4 on the second only
    program = oracle.program()
    assert program.n_variables == 8
    energy = program.decision_map.toarray()
    np.testing.assert_array_equal(energy[:, 1], [0, 4, 4, 0, 0, 0])
    np.testing.assert_array_equal(energy[:, 7], [0, 0, 0, 0, 4, 0])


def test_negative_zero_and_equal_prices():
    oracle = EnergyScheduling([2, 2], [0, 0], [6, 6], [10, 20], [[3], [3]], [[5]], 240)
    costs = np.array([np.zeros(6), np.ones(6), [0, 0, 0, -1, -3, -2], [1, -1, 0, 0, 0, 0]])
    solution = oracle.solve(costs)
    # the larger task takes the slots 4 and 5; the smaller one stops before
    np.testing.assert_allclose(solution.objectives, [0, 240, -80 * 5 - 40 * 1, -80], atol=1e-9)


def test_large_prices_do_not_disturb_the_choice():
    oracle = EnergyScheduling([1], [0], [6], [60], [[1]], [[1]], 240)
    costs = np.array([[1e15, 3, 2, 4, 5, 6], [1e-9, 3e-9, 2e-9, 1e-9, 5e-10, 1]])
    assert oracle.solve(costs).decisions.argmax(axis=1).tolist() == [2, 4]


def test_too_hard_instances_go_to_the_general_solver(rng, monkeypatch):
    monkeypatch.setattr(clock, "_NODE_LIMIT", 3)
    feasible = infeasible = 0
    for _ in range(12):
        oracle = random_problem(rng)
        costs = rng.normal(1, 2, (1, 12))
        expected = by_scipy(oracle, costs[0])
        if expected.status == 2:
            infeasible += 1
            with pytest.raises(InfeasibleError):
                oracle.solve(costs)
        else:
            feasible += 1
            solution = oracle.solve(costs)
            assert solution.status[0] == Status.OPTIMAL
            np.testing.assert_allclose(solution.objectives, expected.fun, rtol=1e-7)
    assert feasible > 0
    assert infeasible > 0


def hard_problem(**options):
    """Forty tasks on three machines: nothing proves a schedule optimal in seconds."""
    rng = np.random.default_rng(1)
    n = 40
    oracle = EnergyScheduling(
        rng.integers(3, 9, n),
        np.zeros(n),
        np.full(n, 48),
        rng.uniform(10, 500, n),
        rng.integers(20, 80, (n, 1)),
        np.full((3, 1), 130),
        **options,
    )
    return oracle, rng.normal(50, 20, (3, 48))


def test_at_the_time_limit_there_is_a_feasible_schedule():
    oracle, costs = hard_problem(time_limit=0.05)
    solution = oracle.solve(costs)
    assert solution.status.tolist() == [Status.FEASIBLE] * 3
    np.testing.assert_allclose(oracle.evaluate(costs, solution.decisions), solution.objectives)
    for c, objective in zip(costs, solution.objectives, strict=True):
        # good, not only feasible
        bound = separable(oracle, c)
        assert bound <= objective <= bound + 0.2 * abs(bound)


def test_the_heuristic_keeps_to_windows_and_capacities(monkeypatch):
    """Inserting is feasible wherever it says so, and improving never loses.

    Run uncompiled: to compile the parts by themselves takes longer.
    """
    monkeypatch.setattr(heuristic, "_STEPS", 200)
    made = improved = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        oracle = random_problem(rng, n_tasks=9, n_machines=3, n_resources=1 + seed % 2)
        day, costs = oracle._day, rng.normal(1, 2, 12)
        n_starts = day.latest - day.durations - day.earliest + 1
        price, starts = np.zeros((9, 12)), np.zeros((9, 12), np.int64)
        free = np.zeros((*day.capacities.shape, 12))
        search._prepare.py_func(
            costs, day.durations, day.earliest, day.energy, n_starts, day.capacities,
            price, starts, free,
        )  # fmt: skip
        at, on = np.zeros(9, np.int64), np.zeros(9, np.int64)
        slack = 1e-9 * day.capacities
        data = starts, n_starts, day.durations, day.usage, day.capacities, slack, day.order

        def cost(at=at, on=on, day=day, costs=costs):
            used, total = np.zeros((3, day.usage.shape[1], 12)), 0.0
            for f, (t, m) in enumerate(zip(at, on, strict=True)):
                end = t + day.durations[f]
                assert day.earliest[f] <= t
                assert end <= day.latest[f]
                used[m, :, t:end] += day.usage[f][:, None]
                total += day.energy[f] * costs[t:end].sum()
            assert (used <= day.capacities[..., None]).all()
            return total

        if not heuristic.insert_all.py_func(*data, free, at, on):
            continue
        made += 1
        before = cost()
        after = heuristic.improve.py_func(price, *data, free, at, on)
        assert after == pytest.approx(cost(), abs=1e-9)
        assert after <= before + 1e-9
        improved += after < before - 1e-9
        optimum = oracle.solve(costs[None]).objectives[0]
        assert after >= optimum - 1e-9
    assert made > 10
    assert improved > 3


def test_a_later_limit_is_not_worse(monkeypatch):
    """The clock is a counter here, so that the search does the same in every run."""
    ticks = itertools.count()

    class Clock:
        @staticmethod
        def perf_counter():
            return next(ticks) * 0.01

    monkeypatch.setattr(clock, "time", Clock)
    monkeypatch.setattr(clock, "_WORTHWHILE", np.inf)
    objectives = []
    for limit in (0.01, 0.1, 1.0):
        oracle, costs = hard_problem(time_limit=limit)
        objectives.append(oracle.solve(costs).objectives)
    assert (np.diff(objectives, axis=0) <= 1e-9).all()


def test_easy_rows_take_nothing_from_the_time_of_a_hard_one(monkeypatch):
    """The first search of a batch lasts a second here; a hard row has used its own nodes of it."""
    oracle, costs = hard_problem(time_limit=9.0)
    n = 8000
    durations, latest = np.zeros((n, 40)), np.zeros((n, 40))
    durations[:, 0], latest[:, 0] = 3, 48  # one task, which takes a node or two
    durations[-1], latest[-1] = oracle.durations, oracle.latest
    used = []

    class Clock:
        def __init__(self):
            self.now = -1

        def perf_counter(self):
            self.now += 1
            return self.now

    def go_on(costs, day, row, deadline, solution):
        used.append(clock.time.now + 9.0 - deadline)
        solution.status[row] = Status.FEASIBLE

    monkeypatch.setattr(clock, "_go_on", go_on)
    for batch, instance in (
        (costs[:1], None),
        (np.repeat(costs[:1], n, axis=0), {"durations": durations, "latest": latest}),
    ):
        monkeypatch.setattr(clock, "time", Clock())
        assert oracle.solve(batch, instance).status.tolist() == [0] * (len(batch) - 1) + [1]
    alone, beside = used
    assert alone == 1.0
    assert 0.2 < beside < 0.6


def test_the_clock_ends_with_the_proof(monkeypatch):
    """A search in slices comes to the same optimum as one in one piece."""
    monkeypatch.setattr(clock, "EASY_NODES", 2)
    monkeypatch.setattr(clock, "_SLICE", 7)
    rng = np.random.default_rng(3)
    sliced = 0
    for _ in range(12):
        oracle = random_problem(rng, time_limit=1000.0)
        free = EnergyScheduling(**{**oracle.parameters(), "time_limit": None})
        costs = rng.normal(1, 2, (2, 12))
        try:
            expected = free.solve(costs)
        except InfeasibleError:
            with pytest.raises(InfeasibleError, match="instance 0"):
                oracle.solve(costs)
            continue
        found = oracle.solve(costs)
        assert found.status.tolist() == [Status.OPTIMAL] * 2
        np.testing.assert_allclose(found.objectives, expected.objectives, rtol=1e-9)
        sliced += 1
    assert sliced > 4


def test_general_solver_gets_the_time_that_is_left(monkeypatch):
    """It may find less than there is already, or nothing, and then that is what counts."""
    oracle, costs = hard_problem(time_limit=30.0)
    monkeypatch.setattr(clock, "_NODE_LIMIT", 6000)
    limits = []

    class Highs:
        answer = np.inf, Status.FAILED

        def __init__(self, program, time_limit):
            assert program.integrality.all()
            limits.append(time_limit)

        def solve(self, costs):
            objective, status = Highs.answer
            return Solution(np.ones_like(costs), np.array([objective]), np.array([status]))

    monkeypatch.setattr(clock, "HotProgram", Highs)
    before = oracle.solve(costs)
    assert before.status.tolist() == [Status.FEASIBLE] * 3
    assert all(20 < limit < 30 for limit in limits)
    assert len(limits) == 3
    Highs.answer = 1e9, Status.FEASIBLE
    np.testing.assert_array_equal(oracle.solve(costs).decisions, before.decisions)
    Highs.answer = -1e9, Status.OPTIMAL
    better = oracle.solve(costs)
    assert better.status.tolist() == [Status.OPTIMAL] * 3
    np.testing.assert_array_equal(better.decisions, 1)


def test_without_any_schedule_the_limit_is_named():
    """Two tasks of 6 and of 4 fit two machines of 10 in one way, and 30 tasks hide that."""
    n = 30
    usage = np.random.default_rng(5).uniform(1, 9, (n, 1))
    capacity = usage.sum() / 6 * 1.0001
    oracle = EnergyScheduling(
        np.full(n, 3), np.zeros(n), np.full(n, 3), np.ones(n), usage,
        np.full((6, 1), capacity), 480, time_limit=0.05,
    )  # fmt: skip
    with pytest.raises(SolverError, match=r"instance 0: no feasible decision .* time_limit=0.05"):
        oracle.solve(np.ones((1, 3)))


def many_days(rng, n, **sizes):
    """Feasible days of different numbers of tasks and machines, and their costs."""
    days, costs = [], []
    while len(days) < n:
        size = {"n_tasks": rng.integers(1, 7), "n_machines": rng.integers(1, 4)} | sizes
        day, c = random_problem(rng, **size), rng.normal(1, 2, 12)
        if by_scipy(day, c).status == 0:
            days.append(day)
            costs.append(c)
    return days, np.array(costs)


FIELDS = ("durations", "earliest", "latest", "powers", "usage", "capacities")


def stacked(days):
    return {name: stack([getattr(day, name) for day in days]) for name in FIELDS}


@pytest.mark.parametrize("relax", [False, True])
@pytest.mark.parametrize("n_resources", [1, 2])
def test_every_instance_has_a_day_of_its_own(rng, relax, n_resources):
    days, costs = many_days(rng, 12, n_resources=n_resources)
    rows = rng.integers(0, 12, 30)
    instance = {name: values[rows] for name, values in stacked(days).items()}
    oracle = EnergyScheduling(**{**days[0].parameters(), "relax": relax})
    found = oracle.solve(costs[rows], instance)
    for i, row in enumerate(rows):
        own = EnergyScheduling(**{**days[row].parameters(), "relax": relax})
        np.testing.assert_array_equal(found.decisions[i], own.solve(costs[[row]]).decisions[0])
        assert found.objectives[i] == pytest.approx(by_scipy(own, costs[row]).fun, abs=1e-6)
        program = oracle.program({name: values[i] for name, values in instance.items()})
        assert (program.A != own.program().A).nnz == 0
        assert (program.integrality != relax).all()
    # by itself it is still the first day
    np.testing.assert_array_equal(
        oracle.solve(costs[:1]).decisions, oracle.solve(costs[:1], stacked(days[:1])).decisions
    )


def test_days_that_are_too_hard_go_to_the_general_solver(rng, monkeypatch):
    monkeypatch.setattr(clock, "_NODE_LIMIT", 3)
    days, costs = many_days(rng, 8, n_tasks=6)
    found = days[0].solve(costs, stacked(days))
    assert (found.status == Status.OPTIMAL).all()
    expected = [by_scipy(day, c).fun for day, c in zip(days, costs, strict=True)]
    np.testing.assert_allclose(found.objectives, expected, rtol=1e-7)


def test_part_of_a_day_may_differ(rng):
    oracle = EnergyScheduling.from_text(TEXT)
    costs = rng.normal(5, 2, (4, 12))
    powers = rng.uniform(1, 9, (4, 2))
    found = oracle.solve(costs, {"powers": powers})
    for i in range(4):
        own = EnergyScheduling(**{**oracle.parameters(), "powers": powers[i]})
        np.testing.assert_array_equal(found.decisions[i], own.solve(costs[i : i + 1]).decisions[0])


def test_more_days_than_are_kept(rng, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 3)
    oracle = EnergyScheduling.from_text(TEXT)
    costs, powers = rng.normal(5, 2, (20, 12)), rng.uniform(1, 9, (20, 2))
    first = oracle.solve(costs, {"powers": powers}).decisions
    assert len(oracle._days) == 3
    np.testing.assert_array_equal(oracle.solve(costs, {"powers": powers}).decisions, first)
    copied = pickle.loads(pickle.dumps(oracle))  # noqa: S301
    np.testing.assert_array_equal(copied.solve(costs, {"powers": powers}).decisions, first)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("durations", [2, 10], InfeasibleError, "instance 1: task 1 runs 10 slots, but its"),
        ("durations", [0, 0], InvalidInputError, "instance 1: expected at least one task"),
        ("durations", [2, 2.5], InvalidInputError, r"instance 1: got durations 2.5 of task 1"),
        ("latest", [8, 13], InvalidInputError, "instance 1: task 1: got a window from 0 to 13"),
        ("powers", [1, -1], InvalidInputError, r"instance 1: got powers -1.0 at \[1\]"),
        ("usage", [[3], [7]], InfeasibleError, r"instance 1: task 1 uses \[7.0\], more than any"),
    ],
)
def test_bad_days_are_named(name, value, error, message):
    oracle = EnergyScheduling.from_text(TEXT)
    good = np.asarray(getattr(oracle, name), dtype=float)
    with pytest.raises(error, match=message):
        oracle.solve(np.ones((2, 12)), {name: np.array([good, value])})


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("durations", (2,), r"instance 0: got durations of shape \(\), expected \(n,\)"),
        ("powers", (2, 3), r"instance 0: got powers of shape \(3,\), expected \(2,\)"),
        ("usage", (2, 2), r"instance 0: got usage of shape \(2,\), expected"),
        ("capacities", (2, 2, 2), "instance 0: got usage of 1 resources, expected 2"),
        ("capacities", (2, 2), r"instance 0: got capacities of shape \(2,\)"),
        ("capacities", (3, 2, 1), "leading dimension of 2"),
        ("tasks", (2, 2), "got instance data tasks, but this oracle knows: capacities"),
    ],
)
def test_bad_shapes_of_days(name, shape, message):
    oracle = EnergyScheduling.from_text(TEXT)
    with pytest.raises(InvalidInputError, match=message):
        oracle.solve(np.ones((2, 12)), {name: np.ones(shape)})


TEXT = """120
1
2
0 190 0.1 0.0
5
1 170 0.1 0.1
6
2
0 2 1 8 471.40
3
1 3 0 9 426.43
4
"""


def test_from_text_and_file(tmp_path):
    oracle = EnergyScheduling.from_text(TEXT)
    assert repr(oracle) == (
        "EnergyScheduling(durations=[2, 3], earliest=[1, 0], latest=[8, 9], "
        "powers=[471.4, 426.43], usage=[[3.0], [4.0]], capacities=[[5.0], [6.0]], "
        "slot_minutes=120, relax=False, time_limit=None)"
    )
    path = tmp_path / "load.txt"
    path.write_text(TEXT + "\n\n")
    again = EnergyScheduling.from_file(path, relax=True, time_limit=2.0)
    assert (again.relax, again.time_limit) == (True, 2.0)
    np.testing.assert_array_equal(again.usage, oracle.usage)


def test_from_files(tmp_path, rng):
    smaller = TEXT.splitlines()
    smaller = [*smaller[:2], "1", *smaller[3:5], "1", *smaller[8:10]]
    texts = [TEXT, "\n".join(smaller), TEXT.replace("471.40", "10")]
    paths = [tmp_path / f"day{i}.txt" for i in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    oracle, instance = EnergyScheduling.from_files(paths, time_limit=9.0)
    assert oracle.time_limit == 9.0
    assert instance["durations"].tolist() == [[2, 3], [2, 0], [2, 3]]
    assert instance["capacities"].tolist() == [[[5], [6]], [[5], [0]], [[5], [6]]]
    assert instance["powers"].tolist() == [[471.4, 426.43], [471.4, 0], [10, 426.43]]
    costs = rng.normal(5, 2, (3, 12))
    found = oracle.solve(costs, instance)
    for i, path in enumerate(paths):
        own = EnergyScheduling.from_file(path).solve(costs[i : i + 1])
        np.testing.assert_array_equal(found.decisions[i], own.decisions[0])

    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        for i, text in enumerate(texts):
            archive.writestr(f"load/day{i}.txt", text)
    with zipfile.ZipFile(tmp_path / "days.zip") as archive:
        files = [zipfile.Path(archive, f"load/day{i}.txt") for i in range(3)]
        _, again = EnergyScheduling.from_files(files)
    for name, values in instance.items():
        np.testing.assert_array_equal(again[name], values)

    paths[1].write_text(TEXT.replace("120", "60", 1))
    with pytest.raises(InvalidInputError, match=r"day1.txt: got slots of 60 minutes, expected 120"):
        EnergyScheduling.from_files(paths)
    paths[1].write_text(TEXT.replace("0 2 1 8", "0 9 1 8"))
    with pytest.raises(InfeasibleError, match=r"day1.txt: EnergyScheduling: task 0 runs 9 slots"):
        EnergyScheduling.from_files(paths)
    with pytest.raises(InvalidInputError, match="got no file"):
        EnergyScheduling.from_files([])


@pytest.mark.parametrize(
    ("line", "content", "message"),
    [
        (1, "x", "line 1: minutes of a slot: could not convert"),
        (1, "7", "slot_minutes 7, expected a divisor"),
        (2, "0", "line 2: got 0, expected the number of resources"),
        (3, "1.5", "line 3: got 1.5"),
        (4, "0 190 0.1", "line 4: got 3 numbers, expected 4: a machine"),
        (5, "5 6", "line 5: got 2 numbers, expected 1: the capacities"),
        (8, "3", "line 13: the text ends, expected a task"),
        (8, "1", "line 11: unexpected '1 3 0 9 426.43'"),
        (9, "0 2 1 8", "line 9: got 4 numbers, expected 5: a task"),
        (9, "0 2.5 1 8 471.4", "durations 2.5 of task 0, expected a whole number"),
        (9, "0 2 1 8 -4", "powers -4.0 at"),
        (9, "0 2 1 8 nan", "powers nan at"),
        (9, "0 0 1 8 4", "task 0: got duration 0"),
        (9, "0 2 1 13 4", "task 0: got a window from 1 to 13, expected one within the 12 slots"),
        (10, "-1", "usage -1.0 at"),
    ],
)
def test_bad_files_name_the_line(tmp_path, line, content, message):
    lines = TEXT.splitlines()
    lines[line - 1] = content
    path = tmp_path / "load.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(InvalidInputError, match=message) as caught:
        EnergyScheduling.from_file(path)
    assert str(path) in str(caught.value)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "load.txt"
    path.write_bytes(b"\x80\x81\x82")
    with pytest.raises(InvalidInputError, match="not a text file"):
        EnergyScheduling.from_file(path)


def test_impossible_tasks_are_named():
    with pytest.raises(
        InfeasibleError, match="task 1 runs 4 slots, but its window from 2 to 5 has 3"
    ):
        EnergyScheduling([1, 4], [0, 2], [6, 5], [1, 1], [[1], [1]], [[2]], 240)
    with pytest.raises(InfeasibleError, match=r"task 1 uses \[3.0\], more than any machine has"):
        EnergyScheduling([1, 4], [0, 1], [6, 5], [1, 1], [[1], [3]], [[2]], 240)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"powers": [1.0]}, r"powers of shape \(1,\), expected \(2,\)"),
        ({"usage": [1.0, 1.0]}, r"usage of shape \(2,\), expected \(2, n_resources\)"),
        ({"usage": [[1.0, 1.0]] * 2}, "usage of 2 resources, expected 1"),
        ({"capacities": np.zeros((0, 1))}, "at least one task and one machine"),
        ({"slot_minutes": 0}, "slot_minutes=0"),
        ({"time_limit": 0}, "time_limit 0"),
        ({"durations": ["a", "b"]}, "durations are no numbers"),
    ],
)
def test_bad_parameters(change, message):
    good = {
        "durations": [1, 2],
        "earliest": [0, 0],
        "latest": [6, 6],
        "powers": [1, 1],
        "usage": [[1], [1]],
        "capacities": [[2]],
        "slot_minutes": 240,
    }
    with pytest.raises(InvalidInputError, match=message):
        EnergyScheduling(**{**good, **change})


def test_wrong_width_names_both():
    oracle = EnergyScheduling.from_text(TEXT)
    with pytest.raises(InvalidInputError, match="got 48 costs per instance, expected 12"):
        oracle.solve(np.ones((1, 48)))


@pytest.mark.parametrize("relax", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])  # noqa: S301
def test_copies_after_use_solve_alike(rng, duplicate, relax):
    oracle = random_problem(np.random.default_rng(7), relax=relax)
    costs = rng.normal(size=(6, 12))
    expected = oracle.solve(costs)
    oracle.program()
    again = duplicate(oracle).solve(costs)
    np.testing.assert_allclose(again.objectives, expected.objectives, atol=1e-9)


@pytest.mark.data
@pytest.mark.parametrize(("number", "tasks", "machines"), [(1, 10, 3), (2, 15, 3), (3, 20, 5)])
def test_real_instances_on_real_prices(data_folder, number, tasks, machines):
    with zipfile.ZipFile(data_folder / "icon_energy.zip") as archive:
        lines = archive.read("data/prices2013.dat").decode().splitlines()[1:]
    prices = np.array([float(line.split()[-1]) for line in lines]).reshape(-1, 48)
    prices = prices[np.isfinite(prices).all(axis=1)]
    path = data_folder / "predopt_scheduling" / f"load{number}.txt"
    exact, relaxed = (EnergyScheduling.from_file(path, relax=relax) for relax in (False, True))
    assert exact.usage.shape == (tasks, 1)
    assert exact.capacities.shape == (machines, 1)

    every = exact.solve(prices)
    bound = np.array([separable(exact, c) for c in prices])
    linear = relaxed.solve(prices).objectives
    assert (every.status == Status.OPTIMAL).all()
    assert (every.objectives >= linear - 1e-6).all()
    assert (linear >= bound - 1e-6).all()
    assert np.mean(every.objectives <= bound + 1e-6) > 0.8

    # the days that the bound does not settle, against a general solver
    days = np.flatnonzero(every.objectives > bound + 1e-6)[:3].tolist() or [0, 100]
    for day in days:
        for oracle, found in ((exact, every.objectives[day]), (relaxed, linear[day])):
            assert found == pytest.approx(by_scipy(oracle, prices[day]).fun, rel=1e-7)
