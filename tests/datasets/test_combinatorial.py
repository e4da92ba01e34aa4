"""Data of spanning trees, perfect matchings and choices: exact expectations and what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from dfl.datasets import (
    make_cubic_top_k,
    make_digit_matching,
    make_perfect_matching,
    make_shortest_path,
    make_spanning_tree,
)
from dfl.exceptions import InvalidInputError


def test_costs_are_those_of_shortest_paths() -> None:
    # the same generator, of as many costs
    paths = make_shortest_path(30, grid=(4, 4), degree=4, noise=0.5, random_state=3)
    pairs = make_perfect_matching(30, grid=(4, 4), degree=4, noise=0.5, random_state=3)
    for name in ("X", "C", "mean_costs"):
        np.testing.assert_array_equal(pairs[name], paths[name])
    links = make_spanning_tree(30, n_nodes=5, degree=4, noise=0.5, random_state=3)
    assert links.C.shape == (30, 10)
    assert (np.abs(links.C / links.mean_costs - 1) <= 0.5).all()
    quiet = make_spanning_tree(30, n_nodes=5, degree=4, random_state=3)
    np.testing.assert_array_equal(quiet.C, links.mean_costs)


def test_data_fit_their_oracle() -> None:
    links = make_spanning_tree(20, n_nodes=7, degree=2, noise=0.3, random_state=0)
    assert (links.oracle.solve(links.C).decisions.sum(axis=1) == 6).all()
    pairs = make_perfect_matching(20, grid=(2, 5), random_state=0)
    assert (pairs.oracle.solve(pairs.C).decisions.sum(axis=1) == 5).all()


def test_digits_are_read_right_and_down() -> None:
    data = make_digit_matching(40, grid=(2, 3), random_state=0)
    a, b, c, d, e, f = data.digits.T
    pairs = [(a, b), (b, c), (a, d), (b, e), (c, f), (d, e), (e, f)]
    np.testing.assert_array_equal(data.C, np.column_stack([10 * x + y for x, y in pairs]))
    # the images show the digits: a nearest neighbor among other images finds most of them
    from sklearn.neighbors import KNeighborsClassifier

    images, digits = data.X.reshape(-1, 64), data.digits.ravel()
    other = make_digit_matching(200, grid=(2, 3), random_state=1)
    reader = KNeighborsClassifier(1).fit(other.X.reshape(-1, 64), other.digits.ravel())
    assert reader.score(images, digits) > 0.95
    assert data.oracle.solve(data.C).decisions.shape == (40, 7)


def test_the_line_of_least_squares_chooses_the_wrong_end() -> None:
    data = make_cubic_top_k(400, n_items=50, k=1, random_state=0)
    slope = np.polyfit(data.X.ravel(), data.C.ravel(), 1)[0]
    assert slope < 0
    best = data.oracle.solve(data.C).objectives.mean()
    falling = data.oracle.evaluate(data.C, data.oracle.solve(-data.X).decisions).mean()
    rising = data.oracle.evaluate(data.C, data.oracle.solve(data.X).decisions).mean()
    assert falling < 0 < rising
    assert rising > 0.8 * best
    np.testing.assert_allclose(data.C, data.X * (10 * data.X**2 - 6.5))


def test_seeds_repeat() -> None:
    for make in (make_spanning_tree, make_perfect_matching, make_digit_matching, make_cubic_top_k):
        one, two, other = make(5, random_state=1), make(5, random_state=1), make(5, random_state=2)
        np.testing.assert_array_equal(one.C, two.C)
        np.testing.assert_array_equal(one.X, two.X)
        assert (one.C != other.C).any()
        assert len(one.feature_names) == one.X.shape[1]
        assert len(one.cost_names) == one.C.shape[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_spanning_tree(0), "n_samples=0"),
        (lambda: make_spanning_tree(5, n_nodes=1), "n_nodes=1, expected an integer of at least 2"),
        (lambda: make_perfect_matching(5, grid=(3, 3)), "an even number of cells"),
        (lambda: make_perfect_matching(5, grid=(2.0, 3)), "rows=2.0"),
        (lambda: make_perfect_matching(5, noise=-1), "noise=-1"),
        (lambda: make_digit_matching(0), "n_samples=0"),
        (lambda: make_spanning_tree(True), "n_samples=True"),
        (lambda: make_spanning_tree(5, noise="a"), "noise='a', expected a finite number"),
        (lambda: make_spanning_tree(5, noise=np.inf), "noise=inf"),
        (lambda: make_perfect_matching(5, grid=4), "grid=4, expected two numbers: rows, cols"),
        (lambda: make_shortest_path(5, grid=(2, 2, 2)), r"grid=\(2, 2, 2\)"),
        (lambda: make_cubic_top_k(5, n_items=3, k=4), "k=4, expected at most n_items=3"),
    ],
)
def test_wrong_sizes_are_refused(call, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()
