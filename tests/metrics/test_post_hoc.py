"""Post-hoc regret: what its definition promises, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl import metrics
from dfl.datasets import make_staffing
from dfl.exceptions import InvalidInputError
from dfl_solvers import Discard, Knapsack, Maximize, Reoptimize, Rescale

STAFF = make_staffing(12, random_state=0)
RECOURSES = [Reoptimize(0.3, 0.7), Reoptimize(), Discard(drop=0.5), Discard()]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(RECOURSES), st.sampled_from(["weights", "capacities"])
)
def test_it_is_not_negative_and_zero_at_the_truth(seed: int, recourse, predicts: str) -> None:
    rng = np.random.default_rng(seed)
    oracle = Maximize(Knapsack(rng.uniform(1, 3, (2, 6)), [4.0, 5.0]))
    shape = {"weights": (5, 12), "capacities": (5, 2)}[predicts]
    truth, predicted = rng.uniform(0.5, 4, (2, *shape))
    values = rng.uniform(0, 5, (5, 6))

    def found(numbers):
        return metrics.post_hoc_regret(
            oracle, numbers, truth, values, predicts=predicts, recourse=recourse
        )

    assert found(truth).max() == pytest.approx(0, abs=1e-9)
    regret = found(predicted)
    assert regret.min() >= -1e-9
    if isinstance(recourse, Reoptimize) and recourse.add == recourse.drop == 0:
        assert regret.max() == pytest.approx(0, abs=1e-9)  # the first decision did not matter
    # costs of a minimizing oracle are the same problem
    down = metrics.post_hoc_regret(
        oracle.minimizing, predicted, truth, -values, predicts=predicts, recourse=recourse
    )
    np.testing.assert_allclose(down, regret, atol=1e-12)


@pytest.mark.parametrize("recourse", [Reoptimize(1.0, 1.0), Rescale(add=1.0, drop=1.0)])
def test_covering(recourse) -> None:
    def found(predicted):
        return metrics.post_hoc_regret(
            STAFF.oracle, predicted, STAFF.y, STAFF.costs, predicts="row_lower", recourse=recourse
        )

    assert np.abs(found(STAFF.y)).max() < 1e-7
    optimal = metrics.optimal_objectives(
        STAFF.oracle, np.tile(STAFF.costs, (12, 1)), instance={"row_lower": STAFF.y}
    )
    # a tenth too much is paid for and not used; a tenth too little is ordered late, at double price
    np.testing.assert_allclose(found(1.1 * STAFF.y), 0.1 * optimal, atol=1e-6)
    np.testing.assert_allclose(found(0.9 * STAFF.y), 0.1 * optimal, atol=1e-6)


def test_by_hand_in_both_formulations() -> None:
    oracle = Maximize(Knapsack([[1.0, 1.0, 1.0]], [6.0]))
    predicted, truth, values = [[3.0, 3.0, 9.0]], [[3.0, 4.0, 2.0]], [5.0, 4.0, 3.0]

    def found(recourse):
        return metrics.post_hoc_regret(
            oracle, predicted, truth, values, predicts="weights", recourse=recourse
        )[0]

    # items 1 and 2 are chosen and weigh 7; the best are 1 and 3, worth 8
    assert found(Discard(drop=0.5)) == 8 - (5 - 0.5 * 4)
    assert found(Reoptimize(add=0.2, drop=0.5)) == pytest.approx(8 - (8 - 0.5 * 4 - 0.2 * 3))
    assert found(Reoptimize(add=1.0, drop=0.5)) == 8 - (5 - 0.5 * 4)


def test_only_the_predicted_entries_change() -> None:
    oracle = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0]))
    common = {"predicts": "weights", "recourse": Discard(), "positions": [1]}
    found = metrics.post_hoc_regret(oracle, [[3.0]], [[4.0]], [5.0, 4.0, 0.5], **common)
    assert found[0] == 0.5  # 1 and 2 seem to fit; 2 goes; the best are 1 and 3


def test_shapes_are_checked() -> None:
    oracle = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0]))
    common = {"predicts": "weights", "recourse": Discard()}
    with pytest.raises(InvalidInputError, match=r"predicted weights of shape \(1, 2\)"):
        metrics.post_hoc_regret(oracle, [[3.0, 1.0]], [[4.0, 1.0, 1.0]], [5.0, 4.0, 0.5], **common)
    with pytest.raises(InvalidInputError, match=r"got costs of shape \(2, 3\)"):
        metrics.post_hoc_regret(oracle, np.ones((1, 3)), np.ones((1, 3)), np.ones((2, 3)), **common)
    with pytest.raises(InvalidInputError, match=r"weights.* is -1.0 at \(0, 0, 1\)"):
        metrics.post_hoc_regret(oracle, [[1, 1, 1]], [[1, -1, 1]], [1, 1, 1], **common)


def test_what_is_no_recourse_and_no_optimum_is_refused() -> None:
    oracle = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0]))

    discard = Discard()

    def found(recourse=discard, costs=(5.0, 4.0, 0.5), **more):
        return metrics.post_hoc_regret(
            oracle, np.ones((2, 3)), np.ones((2, 3)), costs, predicts="weights",
            recourse=recourse, **more,
        )  # fmt: skip

    for none in (None, Discard):
        with pytest.raises(InvalidInputError, match="post_hoc_regret: got recourse="):
            found(none)
    for optimal in (0.0, np.zeros(3)):  # a number would be taken from each objective
        with pytest.raises(InvalidInputError, match=r"got optimal objectives of shape .*\(2,\)"):
            found(optimal=optimal)
    with pytest.raises(InvalidInputError, match="got costs='abc', expected numbers"):
        found(costs="abc")
    with pytest.raises(InvalidInputError, match="got drop='x', expected a finite number"):
        Discard(drop="x")
