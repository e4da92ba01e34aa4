"""Ask and tell: fair weights, clear errors, and a state that nothing harms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from dfl.design import (
    BayesianLinearRegression,
    BootstrapCommittee,
    DirectionalUncertainty,
    DOptimal,
    FiniteHypothesisClass,
    IntegratedDirectionalDesign,
    L2Uncertainty,
    MarginUncertainty,
    RandomSampling,
    RegretUncertainty,
    SequentialDesign,
    SlackBelow,
)
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import Assignment, Box, Counting, Maximize, Simplex


class Fixed:
    """A criterion whose scores are given."""

    def __init__(self, scores) -> None:
        self.scores = np.asarray(scores, dtype=float)

    def score(self, model, pool, oracle=None, pool_weight=None):
        return self.scores

    def __repr__(self) -> str:
        return "Fixed()"


def small_class(rng, n=20, m=6, **options):
    return FiniteHypothesisClass(rng.normal(size=(m, n, 9)), **options)


def finite(rng, **options):
    model = small_class(rng, slack="practical")
    return SequentialDesign(model, DirectionalUncertainty(), Assignment(3), **options)


@pytest.fixture
def world(rng):
    X = rng.normal(size=(60, 3))
    B = rng.normal(size=(3, 4))
    return X, lambda i: X[i] @ B + 0.1 * np.sin(np.arange(4) + np.asarray(i)[:, None])


def test_rows_are_drawn_by_the_law_and_weigh_what_undoes_it(rng) -> None:
    scores, law = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.1, 0.4, 0.3, 0.2])
    design = SequentialDesign(
        FiniteHypothesisClass(np.ones((2, 4, 2)), slack="none"),
        Fixed(scores),
        Box(2),
        floor=0.1,
        random_state=0,
        repeats=True,
    )
    indices, weights = design.ask(np.arange(4), 200_000, pool_weight=7 * law)
    q = 0.9 * law * scores / (law @ scores) + 0.1 * law
    shares = np.bincount(indices, minlength=4) / 200_000
    np.testing.assert_allclose(shares, q, atol=5 * np.sqrt(0.25 / 200_000))
    np.testing.assert_allclose(weights, (law / q)[indices])
    # the weighted mean of anything is its mean under the law of the pool
    values = np.array([3.0, -1.0, 2.0, 5.0])
    spread = (weights * values[indices]).std() / np.sqrt(200_000)
    assert abs((weights * values[indices]).mean() - law @ values) < 4 * spread
    assert weights.max() <= 1 / 0.1


def test_without_floor_a_row_of_no_uncertainty_is_never_drawn(rng) -> None:
    model = FiniteHypothesisClass(np.ones((2, 3, 2)), slack="none")
    design = SequentialDesign(
        model, Fixed([0, 1, 2]), Box(2), floor=0, random_state=0, repeats=True
    )
    indices, _ = design.ask(np.arange(3), 1000)
    assert set(indices) == {1, 2}
    # where nothing is uncertain, rows come by the law of the pool, and the design may stop
    even = SequentialDesign(model, Fixed([0, 0, 0]), Box(2), floor=0, random_state=0)
    assert not even.should_stop()
    _, weights = even.ask(np.arange(3), 2)
    np.testing.assert_allclose(weights, 1)
    assert even.should_stop()


def test_without_repeats_each_draw_is_fair_among_the_rows_that_are_left(rng) -> None:
    """The weight of the second draw, given the first, averages values of the others."""
    scores, values = np.array([1.0, 2.0, 5.0]), np.array([1.0, 10.0, 100.0])
    model = FiniteHypothesisClass(np.ones((2, 3, 2)), slack="none")
    found: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for seed in range(4000):
        design = SequentialDesign(model, Fixed(scores), Box(2), random_state=seed)
        (first, second), (_, weight) = design.ask(np.arange(3), 2)
        found[int(first)].append(weight * values[second])
    for first, numbers in found.items():
        rest = np.delete(values, first).mean()
        assert abs(np.mean(numbers) - rest) < 5 * np.std(numbers) / np.sqrt(len(numbers))


def test_the_range_is_the_largest_weighted_uncertainty(rng) -> None:
    model, pool, oracle = small_class(rng), np.arange(20), Assignment(3)
    scores = DirectionalUncertainty().score(model, pool, oracle)
    for criterion, floor in (
        (DirectionalUncertainty(), 0.0),
        (DirectionalUncertainty(), 0.1),
        (L2Uncertainty(), 0.1),
        (RandomSampling(), 0.1),
    ):
        design = SequentialDesign(
            model, criterion, oracle, floor=floor, random_state=0, repeats=True
        )
        design.ask(pool)
        mass = criterion.score(model, pool, oracle)
        q = (1 - floor) * mass / mass.sum() + floor / 20
        reach = design._record.pending[0].draw.range
        assert reach == pytest.approx((scores / 20 / q).max())
        # no law has a smaller range than the mean uncertainty, which its own law attains
        assert reach >= scores.mean() - 1e-12
        if isinstance(criterion, DirectionalUncertainty):
            assert reach <= scores.mean() / (1 - floor) + 1e-12


def test_the_same_seed_gives_the_same_design(rng) -> None:
    table = rng.normal(size=(6, 20, 9))
    runs = []
    for _ in range(2):
        model = FiniteHypothesisClass(table, slack="practical")
        design = SequentialDesign(model, DirectionalUncertainty(), Assignment(3), random_state=3)
        for _ in range(4):
            indices, _ = design.ask(np.arange(20), 3)
            design.tell(indices, table[0, indices])
        runs.append(design)
    np.testing.assert_array_equal(runs[0].indices_, runs[1].indices_)
    np.testing.assert_array_equal(runs[0].weights_, runs[1].weights_)
    assert runs[0].history_ == runs[1].history_
    assert len(set(runs[0].indices_)) == 12
    np.testing.assert_array_equal(runs[0].X_[:, 0], runs[0].indices_)
    np.testing.assert_array_equal(runs[0].C_, table[0, runs[0].indices_])


def test_asking_calls_no_oracle(rng) -> None:
    """C8, for a whole ask."""
    oracle = Counting(Assignment(3))
    design = SequentialDesign(
        small_class(rng), DirectionalUncertainty(), oracle, random_state=0, repeats=True
    )
    design.ask(np.arange(20), 5)
    assert oracle.counts.calls == 0


def test_a_maximizing_oracle_learns_the_same_from_values(rng) -> None:
    table, runs = rng.normal(size=(6, 20, 9)), []
    for sign, oracle in ((1, Assignment(3)), (-1, Maximize(Assignment(3)))):
        model = FiniteHypothesisClass(sign * table, slack="practical")
        design = SequentialDesign(
            model, DirectionalUncertainty(), oracle, random_state=0, repeats=True
        )
        for _ in range(30):
            indices, _ = design.ask(np.arange(20))
            design.tell(indices, sign * table[2, indices])
        runs.append(design)
    np.testing.assert_array_equal(runs[0].indices_, runs[1].indices_)
    np.testing.assert_array_equal(runs[0].model.survivors_, runs[1].model.survivors_)
    assert runs[0].model.incumbent_ == 2


def test_parts_of_a_batch_may_be_told_in_any_order(rng) -> None:
    design = finite(rng, random_state=0)
    indices, _ = design.ask(np.arange(20), 4)
    design.tell(indices[[2, 0]], rng.normal(size=(2, 9)))
    assert [index for index, _ in design.pending_] == [indices[1], indices[3]]
    more, _ = design.ask(np.arange(20), 2)
    assert not set(more) & set(indices)
    design.tell([indices[3], more[0]], rng.normal(size=(2, 9)))
    assert list(design.indices_) == [indices[2], indices[0], indices[3], more[0]]
    assert design.history_[-1]["labels"] == 4


def test_a_repeated_row_is_told_as_often_as_it_was_asked(rng) -> None:
    design = finite(rng, random_state=0, repeats=True)
    weights = np.r_[1.0, np.zeros(19)]
    indices, _ = design.ask(np.arange(20), 3, pool_weight=weights)
    assert list(indices) == [0, 0, 0]
    design.tell([0, 0], rng.normal(size=(2, 9)))
    with pytest.raises(InvalidInputError, match="got 2 labels, and 1 are pending"):
        design.tell([0, 0], rng.normal(size=(2, 9)))
    design.tell([0], rng.normal(size=(1, 9)))
    assert not design.pending_


def snapshot(design):
    arrays = [array.tobytes() for array in design.model.get_state().values()]
    return (
        arrays,
        design.pending_,
        list(design.indices_),
        design.history_,
        str(design._rng.bit_generator.state),
    )


def test_bad_input_is_refused_and_harms_nothing(rng) -> None:
    design = finite(rng, random_state=0)
    indices, _ = design.ask(np.arange(20), 3)
    design.tell(indices[:1], rng.normal(size=(1, 9)))
    costs, other = rng.normal(size=(1, 9)), next(i for i in range(20) if i not in indices)
    before = snapshot(design)
    for call, message in (
        (lambda: design.ask(np.zeros((0, 1))), "empty pool"),
        (lambda: design.ask([np.nan] * 20), "nan in row 0"),
        (lambda: design.ask(np.arange(19)), "pool of 19 rows, expected 20"),
        (lambda: design.ask(np.arange(20)[::-1]), "not the ones that were asked for"),
        (lambda: design.ask(np.ones((20, 2))), "not the ones that were asked for"),
        (lambda: design.ask(np.arange(20), 18), "n=18, but 17 of 20 rows are left"),
        (lambda: design.ask(np.arange(20), 0), "n=0"),
        (lambda: design.ask(np.arange(20), pool_weight=np.zeros(20)), "sum zero"),
        (lambda: design.ask(np.arange(20), pool_weight=[1.0]), r"shape \(1,\)"),
        (lambda: design.ask([["a"]]), "cannot be read as numbers"),
        (lambda: design.tell(indices[:1], costs), f"row {indices[0]} is labeled already"),
        (lambda: design.tell(indices[[1, 1]], np.ones((2, 9))), "given twice"),
        (lambda: design.tell([other], costs), f"row {other} was never asked for"),
        (lambda: design.tell([99], costs), "row 99 was never asked for"),
        (lambda: design.tell(indices[1:2], costs * np.nan), f"nan for row {indices[1]}"),
        (lambda: design.tell(indices[1:2], costs[:, :8]), r"shape \(1, 8\), expected \(1, 9\)"),
        (lambda: design.tell(indices[1:], costs), r"expected \(2, 9\)"),
        (lambda: design.tell([0.5], costs), "whole number"),
        (lambda: design.tell([], np.zeros((0, 9))), "at least one"),
        (lambda: design.tell(indices[1:2], [["x"] * 9]), "cannot be read as numbers"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
        assert snapshot(design) == before


def test_a_model_that_fails_leaves_the_labels_pending(rng, world) -> None:
    X, truth = world
    model = BayesianLinearRegression()
    design = SequentialDesign(model, DOptimal(), Box(4), random_state=0)
    indices, _ = design.ask(np.vstack([X, 1e200 * X[:1]]), 61)
    good = indices[indices < 60]
    design.tell(good, truth(good))
    before = snapshot(design)
    with pytest.raises(InvalidInputError, match="singular"):
        design.tell([60], np.ones((1, 4)))
    assert snapshot(design) == before
    assert design.pending_[0][0] == 60


def test_wrong_parts_are_refused(rng) -> None:
    model = small_class(rng)
    with pytest.raises(InvalidInputError, match="floor=2"):
        SequentialDesign(model, DirectionalUncertainty(), Assignment(3), floor=2)
    with pytest.raises(InvalidInputError, match="selection='best'"):
        SequentialDesign(model, DirectionalUncertainty(), Assignment(3), selection="best")
    with pytest.raises(UnsupportedError, match="is a bad guide"):
        SequentialDesign(model, DirectionalUncertainty(), Assignment(3), selection="max")
    with pytest.raises(InvalidInputError, match="random_state='x'"):
        SequentialDesign(model, DirectionalUncertainty(), Assignment(3), random_state="x")
    negative = SequentialDesign(model, Fixed([-1.0] * 20), Assignment(3))
    with pytest.raises(InvalidInputError, match=r"gives row 0 the score -1\.0"):
        negative.ask(np.arange(20))


def test_largest_scores_are_taken_but_for_the_floor(world) -> None:
    X, truth = world
    model = BayesianLinearRegression().fit(X[:3], truth(range(3)))
    design = SequentialDesign(
        model, IntegratedDirectionalDesign(), Simplex(4), floor=0, selection="max"
    )
    expected = IntegratedDirectionalDesign().score(model, X, Simplex(4)).argmax()
    indices, weights = design.ask(X, 4)
    assert indices[0] == expected
    assert len(set(indices)) == 4
    np.testing.assert_array_equal(weights, 1)
    by_chance = SequentialDesign(
        model, DOptimal(), Simplex(4), floor=1.0, selection="max", random_state=0, repeats=True
    )
    chosen, _ = by_chance.ask(X, 3000)
    assert len(set(chosen)) == 60


def test_learning_from_the_best_rows_beats_random_ones(rng) -> None:
    """A linear world, 40 labels: the mean squared error of the fit, over seeds."""
    errors = {"d": [], "random": []}
    for seed in range(12):
        own = np.random.default_rng(seed)
        X = own.normal(size=(300, 8)) * np.exp(0.8 * own.normal(size=(300, 1)))
        B = own.normal(size=(8, 5))
        C = X @ B + own.normal(size=(300, 5))
        for name, criterion, selection in (
            ("d", DOptimal(), "max"),
            ("random", RandomSampling(), "sample"),
        ):
            model = BayesianLinearRegression(ridge=0.01)
            design = SequentialDesign(
                model, criterion, Simplex(5), random_state=seed, selection=selection
            )
            for _ in range(8):
                indices, _ = design.ask(X, 5)
                design.tell(indices, C[indices])
            errors[name].append(((model.predict(X) - X @ B) ** 2).mean())
    assert np.mean(errors["d"]) < 0.6 * np.mean(errors["random"])


CASES = {
    "finite": lambda: (
        FiniteHypothesisClass(np.random.default_rng(1).normal(size=(5, 60, 4)), lipschitz=0.3),
        DirectionalUncertainty(),
        {"repeats": True},
    ),
    "practical": lambda: (
        FiniteHypothesisClass(
            np.random.default_rng(1).normal(size=(5, 60, 4)), loss="squared", slack="practical"
        ),
        MarginUncertainty(),
        {},
    ),
    "linear": lambda: (
        BayesianLinearRegression(),
        IntegratedDirectionalDesign("regret"),
        {"selection": "max"},
    ),
    "sampled": lambda: (BayesianLinearRegression(n_draws=5), DirectionalUncertainty(), {}),
    "committee": lambda: (
        BootstrapCommittee(Ridge(), n_members=4, min_labels=6),
        RegretUncertainty(),
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_design_is_the_uninterrupted_one(case, tmp_path, world) -> None:
    X, truth = world
    pool = np.arange(60) if case in ("finite", "practical") else X

    def build(state=None, seed=5):
        model, criterion, options = CASES[case]()
        return SequentialDesign(
            model, criterion, Simplex(4), random_state=seed, state=state, **options
        )

    whole = build()
    for _ in range(8):
        indices, _ = whole.ask(pool, 2)
        whole.tell(indices[:1], truth(indices[:1]))
        whole.tell(indices[1:], truth(indices[1:]))
    for step in range(8):  # a new process for each ask and each tell, later ones of another seed
        asked, weights = build(tmp_path, seed=5 + step).ask(pool, 2)
        second = build(tmp_path)
        assert second.pending_ == list(zip(asked, weights, strict=True))
        second.tell(asked[:1], truth(asked[:1]))
        build(tmp_path).tell(asked[1:], truth(asked[1:]))
    resumed = build(tmp_path)
    np.testing.assert_array_equal(resumed.indices_, whole.indices_)
    np.testing.assert_array_equal(resumed.weights_, whole.weights_)
    np.testing.assert_array_equal(resumed.C_, whole.C_)
    np.testing.assert_array_equal(resumed.model.predict(pool), whole.model.predict(pool))
    assert repr(resumed.history_) == repr(whole.history_)
    assert len(resumed.history_) == 16


@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded_designs_go_on_alike(case, tmp_path, world) -> None:
    X, truth = world
    pool = np.arange(60) if case in ("finite", "practical") else X

    def build():
        model, criterion, options = CASES[case]()
        return SequentialDesign(model, criterion, Simplex(4), random_state=5, **options)

    first = build()
    for _ in range(4):
        indices, _ = first.ask(pool, 3)
        first.tell(indices, truth(indices))
    first.save(tmp_path)
    second = build().load(tmp_path)
    assert repr(second.history_) == repr(first.history_)
    for _ in range(3):
        indices, weights = first.ask(pool, 2)
        again, same = second.ask(pool, 2)
        np.testing.assert_array_equal(indices, again)
        np.testing.assert_array_equal(weights, same)
        first.tell(indices, truth(indices))
        second.tell(indices, truth(indices))
    np.testing.assert_array_equal(first.model.predict(pool), second.model.predict(pool))
    assert repr(second.history_) == repr(first.history_)


def test_a_process_killed_between_ask_and_tell_loses_nothing(tmp_path, rng) -> None:
    table = rng.normal(size=(6, 20, 9))

    def build():
        model = FiniteHypothesisClass(table, slack="practical")
        return SequentialDesign(
            model, DirectionalUncertainty(), Assignment(3), random_state=0, state=tmp_path
        )

    asked, weights = build().ask(np.arange(20), 3)  # and the object is gone
    design = build()
    assert design.pending_ == list(zip(asked, weights, strict=True))
    design.tell(asked, table[0, asked])
    assert [entry["labels"] for entry in build().history_] == [3]


def test_a_write_that_fails_changes_neither_file_nor_design(tmp_path, rng, monkeypatch) -> None:
    from dfl.design import _files

    design = finite(rng, random_state=0, state=tmp_path)
    indices, _ = design.ask(np.arange(20), 2)
    before, data = snapshot(design), (tmp_path / "design.npz").read_bytes()

    def full(*arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_files, "write_archive", full)
        with pytest.raises(InvalidInputError, match="cannot be written: no space left"):
            design.tell(indices, rng.normal(size=(2, 9)))
        with pytest.raises(InvalidInputError, match="cannot be written"):
            design.ask(np.arange(20))
    assert snapshot(design) == before
    assert (tmp_path / "design.npz").read_bytes() == data
    design.tell(indices, rng.normal(size=(2, 9)))


def test_damaged_and_foreign_states_are_refused_and_left_alone(tmp_path) -> None:
    def build(**options):
        model = small_class(np.random.default_rng(7), slack="practical")
        return SequentialDesign(
            model, DirectionalUncertainty(), Assignment(3), random_state=0, **options
        )

    build(state=tmp_path).ask(np.arange(20))
    path = tmp_path / "design.npz"
    data = path.read_bytes()
    for damaged in (data[:-40], b"", b"hello", data.replace(b'"pending": 1', b'"pending": 0')):
        path.write_bytes(damaged)
        with pytest.raises(InvalidInputError, match="is damaged, or no state of a design"):
            build(state=tmp_path)
        assert path.read_bytes() == damaged
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"its floor is 0\.05, that of this design 0\.1"):
        build(state=tmp_path, floor=0.1)
    with pytest.raises(InvalidInputError, match="its repeats is False"):
        build(state=tmp_path, repeats=True)
    other = SequentialDesign(
        BayesianLinearRegression(), DirectionalUncertainty(), Assignment(3), random_state=0
    )
    with pytest.raises(InvalidInputError, match="its model is FiniteHypothesisClass"):
        other.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        other.load(tmp_path / "nowhere")
    from dfl_solvers import save_oracle

    save_oracle(Assignment(3), path)
    with pytest.raises(InvalidInputError, match="is no state of a design"):
        build(state=tmp_path)


def test_two_processes_do_not_overwrite_each_other(tmp_path) -> None:
    def build():
        model = small_class(np.random.default_rng(7), slack="practical")
        return SequentialDesign(
            model, DirectionalUncertainty(), Assignment(3), random_state=0, state=tmp_path
        )

    first, second = build(), build()
    first.ask(np.arange(20))
    with pytest.raises(InvalidInputError, match="changed or removed by others"):
        second.ask(np.arange(20))
    assert build().pending_ == first.pending_
    second.load(tmp_path).ask(np.arange(20))
    assert len(build().pending_) == 2


def test_every_row_labeled_is_the_end(rng) -> None:
    design = finite(rng, random_state=0, stopping=None)
    indices, _ = design.ask(np.arange(20), 20)
    assert not design.should_stop()
    design.tell(indices, rng.normal(size=(20, 9)))
    assert design.should_stop()
    assert "every row is labeled" in design.verdict_.statement
    model = small_class(rng)
    other = SequentialDesign(model, DirectionalUncertainty(), Assignment(3), SlackBelow(0.1))
    assert not other.should_stop()
