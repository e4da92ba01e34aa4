"""Elimination keeps its promise, and stopping rules say what they certify."""

from __future__ import annotations

import numpy as np
import pytest

from dfl import metrics
from dfl.design import (
    DecisionConsensus,
    DirectionalUncertainty,
    DirectionsWithinMargin,
    FiniteHypothesisClass,
    L2Uncertainty,
    MeanUncertaintyBelow,
    RandomSampling,
    SequentialDesign,
    SlackBelow,
    azuma_slack,
    convergence_bound,
    directional_lipschitz,
    directional_margin,
    lipschitz_of_class,
    mixture_slack,
    project_costs,
)
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import (
    Assignment,
    Box,
    Counting,
    FromCallable,
    MeanVariancePortfolio,
    Simplex,
)


def two_sided(seed, n_designs=4, m=12):
    """Hypotheses on which of two alternatives is cheaper, and labels of +1 or -1.

    The constant of the class is exactly one, and ranges are attained: nothing is left to spare.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-0.7, 0.7, n_designs)
    sides = rng.choice([-1.0, 1.0], size=(m, n_designs)) * rng.uniform(0.1, 9, (m, n_designs))
    table = np.stack([sides, -sides], axis=-1)
    truth = np.column_stack([mean, -mean])
    risk = np.array([metrics.regret(Simplex(2), h, truth).mean() for h in table])

    def label(numbers, own):
        first = np.where(own.random(len(numbers)) < (1 + mean[numbers]) / 2, 1.0, -1.0)
        return np.column_stack([first, -first])

    return table, risk, label


def noisy(seed, m=20, n_designs=6, d=4):
    """The truth as hypothesis 7 of 20, and labels of the truth plus or minus a vector."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, size=(n_designs, d))
    table = truth + rng.uniform(0.3, 1.5, size=(m, 1, 1)) * rng.normal(size=(m, n_designs, d))
    table *= np.exp(rng.normal(size=(m, n_designs, 1)))
    table[7] = truth
    noise = rng.normal(size=(n_designs, d))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    risk = np.array([metrics.regret(Simplex(d), h, truth).mean() for h in table])

    def label(numbers, own):
        return truth[numbers] + noise[numbers] * own.choice([-1.0, 1.0], size=(len(numbers), 1))

    return table, risk, label


def run(table, label, seed, batches, n, criterion=None, **options):
    """Return the model and the incumbent after each batch of n labels."""
    _, n_designs, d = table.shape
    model = FiniteHypothesisClass(table, planned_labels=batches * n, **options)
    design = SequentialDesign(
        model,
        criterion or DirectionalUncertainty(),
        Simplex(d),
        random_state=seed,
        repeats=True,
    )
    own, incumbents = np.random.default_rng(seed + 10_000), []
    for _ in range(batches):
        indices, _ = design.ask(np.arange(n_designs), n)
        design.tell(indices, label(indices, own))
        incumbents.append(model.incumbent_)
    return model, incumbents


def test_slacks_have_their_exact_numbers() -> None:
    assert convergence_bound(1.0, 100, 50, 0.1) == pytest.approx(1.357228, abs=5e-7)
    assert azuma_slack(1.0, 100.0, 100, 50, 0.1) == pytest.approx(0.5679, abs=5e-5)
    assert mixture_slack(1.0, 100.0, 100, 50, 0.1, 100.0) == pytest.approx(0.5123, abs=5e-5)
    # both scale with L and fall with the number of labels
    assert azuma_slack(2.0, 100.0, 100, 50, 0.1) == 2 * azuma_slack(1.0, 100.0, 100, 50, 0.1)
    assert mixture_slack(1.0, 400.0, 400, 50, 0.1, 100.0) < 0.5123
    for wrong in ({"delta": 1.0}, {"n_labels": 0}, {"squares": -1.0}, {"lipschitz": np.inf}):
        given = {"lipschitz": 1.0, "squares": 1.0, "n_labels": 1, "n_hypotheses": 1, "delta": 0.1}
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            azuma_slack(**{**given, **wrong})
    with pytest.raises(InvalidInputError, match="planned_squares"):
        mixture_slack(1.0, 1.0, 1, 1, 0.1, 0.0)


def test_the_mixture_holds_at_all_times_for_ranges_that_depend_on_the_past() -> None:
    """A walk whose steps grow after bad luck crosses the slack with probability at most delta."""
    crossed, n, m, delta = 0, 400, 2, 0.2
    for seed in range(500):
        steps, total, squares = np.random.default_rng(seed).choice([-1.0, 1.0], n), 0.0, 0.0
        for t, step in enumerate(steps, 1):
            reach = 1.0 if total > 0 else 0.3
            total, squares = total + reach * step, squares + reach**2
            if total / t > mixture_slack(1.0, squares, t, m, delta, 50.0):
                crossed += 1
                break
    # the slack is for m hypotheses at once: each has delta / m
    assert crossed / 500 <= delta / m
    assert crossed > 0  # it is not so wide that nothing could be learned


@pytest.mark.parametrize("slack", ["mixture", "azuma"])
def test_the_best_hypothesis_is_eliminated_with_probability_at_most_delta(slack) -> None:
    """C6: 200 runs with bounded labels and the constant of the class, which is attained."""
    lost, excess, left, delta = 0, 0, [], 0.2
    for seed in range(200):
        table, risk, label = two_sided(seed)
        model, incumbents = run(table, label, seed, 6, 150, slack=slack, delta=delta)
        lost += not np.isin(np.flatnonzero(risk == risk.min()), model.survivors_).any()
        excess += risk[incumbents[-1]] - risk.min() > model.slack_
        left.append(len(model.survivors_))
    assert lost / 200 <= delta
    assert excess / 200 <= delta
    assert np.mean(left) < 9  # of 12: it does eliminate


def test_a_constant_that_is_too_small_breaks_the_promise() -> None:
    """The test above can fail: a fifth of the constant loses the best one too often."""
    lost = 0
    for seed in range(200):
        table, risk, label = two_sided(seed)
        model, _ = run(table, label, seed, 20, 3, lipschitz=0.2, delta=0.2)
        lost += not np.isin(np.flatnonzero(risk == risk.min()), model.survivors_).any()
    assert lost / 200 > 0.2


def test_the_constant_of_the_two_sided_class_is_one() -> None:
    table, _, _ = two_sided(0)
    model = FiniteHypothesisClass(table)
    # projected labels (1, -1) have length sqrt(2)
    found = lipschitz_of_class(model, np.arange(4), Simplex(2), np.sqrt(2))
    assert found.value == pytest.approx(1.0)


def test_the_incumbent_becomes_the_truth_in_the_end() -> None:
    """Well specified: h_t is h* eventually, whatever the criterion."""
    for criterion in (DirectionalUncertainty(), L2Uncertainty(), RandomSampling()):
        tried = 0
        for seed in range(40):
            table, risk, label = noisy(seed)
            if np.sort(risk)[1] < 0.03 or tried == 4:
                continue  # the second best is as good, for as many labels as this
            tried += 1
            model, found = run(table, label, seed, 20, 100, criterion, lipschitz=0.3)
            assert set(found[-5:]) == {7}
            assert len(model.survivors_) < 10
        assert tried == 4


def test_directional_design_has_the_smallest_slack_for_the_same_survivors(rng) -> None:
    """Before any elimination: its ranges are the least of all laws."""
    table = rng.normal(size=(10, 30, 9)) * np.exp(rng.normal(size=(10, 30, 1)))
    found = {}
    for criterion in (DirectionalUncertainty(), L2Uncertainty(), RandomSampling()):
        model = FiniteHypothesisClass(table, lipschitz=10.0)
        design = SequentialDesign(
            model, criterion, Assignment(3), floor=0, random_state=0, repeats=True
        )
        indices, _ = design.ask(np.arange(30), 20)
        design.tell(indices, table[0, indices])
        assert len(model.survivors_) == 10
        found[type(criterion).__name__] = model.slack_
    assert found["DirectionalUncertainty"] < found["L2Uncertainty"]
    assert found["DirectionalUncertainty"] < found["RandomSampling"]


def test_regret_moves_by_at_most_the_constant_times_the_direction(rng) -> None:
    """The lemma, on pairs that satisfy the margin condition."""
    oracle, d = Simplex(4), 4
    unit = project_costs(oracle, rng.normal(size=(4000, d)))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    from dfl_solvers import degeneracy_distance

    unit = unit[degeneracy_distance(oracle, unit).distance >= 0.2]
    first, second = unit[: len(unit) // 2], unit[len(unit) // 2 : 2 * (len(unit) // 2)]
    costs = project_costs(oracle, rng.normal(size=first.shape))
    costs /= np.linalg.norm(costs, axis=1, keepdims=True)
    constant = directional_lipschitz(np.sqrt(2), 1.0, 0.2).value
    gap = np.vecdot(costs, oracle.solve(first).decisions - oracle.solve(second).decisions)
    assert (np.abs(gap) <= constant * np.linalg.norm(first - second, axis=1) + 1e-12).all()
    assert np.abs(gap).max() > 0.5
    with pytest.raises(InvalidInputError, match="margin=0"):
        directional_lipschitz(1.0, 1.0, 0)


def test_slack_rule_says_what_is_certified(rng) -> None:
    table, pool = rng.normal(size=(4, 5, 3)), np.arange(5)
    oracle = Simplex(3)
    known = lipschitz_of_class(FiniteHypothesisClass(table), pool, oracle, 1.0)
    for options, repeats, certified, words in (
        ({"lipschitz": known}, True, True, "all pairs of hypotheses"),
        ({"lipschitz": 0.7}, True, False, "L = 0.7 is assumed"),
        ({"lipschitz": known, "slack": "azuma"}, True, False, "slack='azuma' is a heuristic"),
        ({"lipschitz": known}, False, False, "rows are not drawn again"),
    ):
        model = FiniteHypothesisClass(table, **options)
        design = SequentialDesign(
            model, DirectionalUncertainty(), oracle, SlackBelow(1e6), random_state=0,
            repeats=repeats,
        )  # fmt: skip
        assert not design.should_stop()  # no label, no bound
        indices, _ = design.ask(pool)
        design.tell(indices, table[0, indices])
        assert design.should_stop()
        assert design.verdict_.certified is certified
        assert words in design.verdict_.statement
        assert design.verdict_.value == model.slack_
    practical = FiniteHypothesisClass(table, slack="practical")
    with pytest.raises(UnsupportedError, match="slack='mixture'"):
        SlackBelow(1.0).assess(practical, None, oracle, None, True)
    with pytest.raises(InvalidInputError, match="tolerance=0"):
        SlackBelow(0).assess(FiniteHypothesisClass(table), None, oracle, None, True)


def test_within_the_margin_all_survivors_decide_alike(rng) -> None:
    oracle = Counting(Assignment(3))
    center = rng.normal(size=(1, 8, 9))
    table = center * rng.uniform(0.5, 2, size=(6, 8, 1)) + 0.003 * rng.normal(size=(6, 8, 9))
    margin = directional_margin(oracle, table.reshape(-1, 9))
    model, pool = FiniteHypothesisClass(table), np.arange(8)
    before = oracle.counts.calls
    verdict = DirectionsWithinMargin(margin, certified=True).assess(model, pool, oracle, None, True)
    assert oracle.counts.calls == before
    assert verdict.stop
    assert verdict.certified
    assert DecisionConsensus().assess(model, pool, oracle, None, True).stop
    narrow = DirectionsWithinMargin(verdict.value).assess(model, pool, oracle, None, True)
    assert not narrow.stop
    assert "assumed" in narrow.statement
    with pytest.raises(InvalidInputError, match="pass it to should_stop"):
        DirectionsWithinMargin(0.1).assess(model, None, oracle, None, True)
    with pytest.raises(InvalidInputError, match="margin=0"):
        DirectionsWithinMargin(0).assess(model, pool, oracle, None, True)


def test_consensus_stops_at_the_first_row_of_disagreement() -> None:
    oracle = Counting(Box(2))
    table = np.ones((3, 5, 2))
    agree = FiniteHypothesisClass(table)
    assert DecisionConsensus().assess(agree, np.arange(5)[:, None], oracle, None, True).value == 1
    other = table.copy()
    other[1, 0, 1] = -1
    model, before = FiniteHypothesisClass(other), oracle.counts.instances
    verdict = DecisionConsensus().assess(model, np.arange(5)[:, None], oracle, None, True)
    assert not verdict.stop
    assert oracle.counts.instances - before == 3


def test_mean_uncertainty_rule_is_a_heuristic_by_the_law_of_the_pool(rng) -> None:
    table = np.array([[[1.0, 1.0], [1.0, 0.0]], [[2.0, 2.0], [0.0, 1.0]]])
    model, pool, oracle = FiniteHypothesisClass(table), np.arange(2), Box(2)
    weights = np.array([0.75, 0.25])
    verdict = MeanUncertaintyBelow(0.4).assess(model, pool, oracle, weights, True)
    assert verdict.value == pytest.approx(np.sqrt(2) / 4)
    assert verdict.stop
    assert not verdict.certified
    assert not MeanUncertaintyBelow(0.3).assess(model, pool, oracle, weights, True).stop
    l2 = MeanUncertaintyBelow(2.0, L2Uncertainty()).assess(model, pool, oracle, None, True)
    assert l2.value == pytest.approx(np.sqrt(2))
    with pytest.raises(InvalidInputError, match="threshold=-1"):
        MeanUncertaintyBelow(-1).assess(model, pool, oracle, None, True)


def test_the_margin_rule_refuses_decisions_that_depend_on_the_scale() -> None:
    costs = np.array([[-1.0, -2.0]])
    model, pool = FiniteHypothesisClass(np.stack([costs, 9 * costs])), np.arange(1)
    oracle = MeanVariancePortfolio(np.diag([1.0, 4.0]), 1.0)
    assert not DecisionConsensus().assess(model, pool, oracle, None, True).stop
    with pytest.raises(UnsupportedError, match="scale of the costs"):
        DirectionsWithinMargin(0.1, True).assess(model, pool, oracle, None, True)
    with pytest.raises(UnsupportedError, match="lipschitz_of_class: MeanVariancePortfolio"):
        lipschitz_of_class(model, pool, oracle, 1.0)


def test_a_constant_from_a_margin_is_as_certain_as_the_margin() -> None:
    assert not directional_lipschitz(2.0, 3.0, 0.1).certified
    assert directional_lipschitz(2.0, 3.0, 0.1, certified=True).certified


@pytest.mark.parametrize("loss", ["spo+", "squared"])
def test_a_constant_of_regret_certifies_no_other_loss(loss, rng) -> None:
    table, pool, oracle = rng.normal(size=(4, 5, 3)), np.arange(5), Simplex(3)
    known = lipschitz_of_class(FiniteHypothesisClass(table), pool, oracle, 1.0)
    model = FiniteHypothesisClass(table, loss, lipschitz=known)
    verdict = SlackBelow(1.0).assess(model, pool, oracle, None, True)
    assert not verdict.certified
    assert f"not of loss={loss!r}" in verdict.statement


def test_hypotheses_that_decide_alike_have_a_constant_of_zero(rng) -> None:
    """Decisions that differ by rounding are the same, and directions that are equal no tie."""

    def nearly(c):
        decision = np.eye(3)[c.argmin()]
        return decision + 1e-13 * c

    base = np.array([[[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]])
    model, pool = FiniteHypothesisClass(base * np.array([[[1.0]], [[4.0]]])), np.arange(2)
    for oracle in (FromCallable(nearly, 3), Simplex(3)):
        found = lipschitz_of_class(model, pool, oracle, 1.0)
        assert (found.value, found.certified) == (0.0, True)
    with pytest.raises(InvalidInputError, match="lipschitz=-1"):
        FiniteHypothesisClass(base, lipschitz=-1.0)
    known = FiniteHypothesisClass(model.hypotheses, lipschitz=found)
    design = SequentialDesign(
        known, DirectionalUncertainty(), oracle, SlackBelow(0.01), random_state=0, repeats=True
    )
    indices, _ = design.ask(pool)
    design.tell(indices, rng.normal(size=(len(indices), 3)))
    assert design.should_stop()
    assert design.verdict_.certified
    assert known.slack_ == 0
    assert list(known.survivors_) == [0, 1]


def test_the_constant_of_a_class_predicts_each_row_once_and_names_itself(rng) -> None:
    class Counted:
        ready = True

        def __init__(self, table) -> None:
            self.table, self.rows = table, 0

        def members(self, X):
            self.rows += len(X)
            return self.table[X[:, 0].astype(int)]

    model = Counted(rng.normal(size=(7, 4, 3)))
    lipschitz_of_class(model, np.arange(7), Simplex(3), 1.0)
    assert model.rows == 7
    with pytest.raises(UnsupportedError, match="lipschitz_of_class compares the members"):
        lipschitz_of_class(object(), np.arange(7), Simplex(3), 1.0)
