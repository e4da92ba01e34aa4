"""GridPerfectMatching against all tilings, scipy and linear programming."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from dfl_solvers import (
    GridPerfectMatching,
    GridShortestPath,
    LinearProgram,
    Maximize,
    check_oracle,
)
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.kernels import set_threads

KINDS = ("uniform", "normal", "ties", "heavy tails", "potentials")


def draw(kind: str, n: int, oracle: GridPerfectMatching, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = n, oracle.n_costs
    if kind == "uniform":
        return rng.random(shape)
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "ties":
        return rng.integers(-2, 3, shape).astype(float)
    if kind == "heavy tails":
        return np.exp(8 * rng.normal(size=shape)) * rng.choice([-1.0, 1.0], shape)
    # every matching costs the same, but for little
    cells = 100 * rng.normal(size=(n, oracle.rows * oracle.cols))
    return cells[:, oracle.edges()].sum(2) + rng.random(shape)


def tilings(oracle: GridPerfectMatching) -> np.ndarray:
    """Enumerate the perfect matchings: the first cell that is free has a pair right or below."""
    pairs = oracle.edges()

    def place(free: frozenset, chosen: tuple) -> list[np.ndarray]:
        if not free:
            return [np.isin(np.arange(len(pairs)), chosen).astype(float)]
        first = min(free)
        found = []
        for e in np.flatnonzero(pairs[:, 0] == first):
            if pairs[e, 1] in free:
                found += place(free - set(pairs[e].tolist()), (*chosen, e))
        return found

    return np.array(place(frozenset(range(oracle.rows * oracle.cols)), ()))


@pytest.mark.parametrize(
    ("rows", "cols", "count"),
    [(1, 2, 1), (2, 1, 1), (2, 2, 2), (2, 3, 3), (3, 4, 11), (5, 4, 95), (4, 4, 36), (1, 6, 1),
     (6, 3, 41)],
)  # fmt: skip
def test_no_tiling_is_cheaper(rows: int, cols: int, count: int) -> None:
    oracle = GridPerfectMatching(rows, cols)
    every = tilings(oracle)
    assert len(every) == count  # the numbers of domino tilings
    for kind in KINDS:
        for dtype in (np.float64, np.float32):
            costs = draw(kind, 40, oracle).astype(dtype)
            found = oracle.solve(costs)
            assert found.decisions.dtype == dtype
            assert all((every == w).all(1).any() for w in found.decisions)
            values = np.vecdot(costs.astype(float), found.decisions)
            best = (costs.astype(float) @ every.T).min(1)
            assert (values - best <= 1e-9 * np.abs(costs).max(1)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "cols"), [(6, 7), (12, 12), (20, 3)])
def test_as_scipy(rows: int, cols: int, kind: str) -> None:
    oracle = GridPerfectMatching(rows, cols)
    costs = draw(kind, 5, oracle, seed=1)
    found = oracle.solve(costs)
    pairs = oracle.edges()
    color = (pairs // cols + pairs % cols) % 2
    ends = pairs[color == 0] // 2, pairs[color == 1] // 2
    n = rows * cols // 2
    for row, decision in zip(costs, found.decisions, strict=True):
        assert (np.bincount(pairs[decision == 1].ravel(), minlength=2 * n) == 1).all()
        shift = row.min() - 1.0  # scipy takes a cost of zero for no edge
        graph = sp.csr_array((row - shift, ends), (n, n))
        i, j = min_weight_full_bipartite_matching(graph)
        best = graph.toarray()[i, j].sum() + n * shift
        assert abs(decision @ row - best) <= 1e-9 * np.abs(row).max() * n


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_masks_close_pairs(data: st.DataObject) -> None:
    oracle = GridPerfectMatching(2, 4)
    costs = data.draw(arrays(float, (1, 10), elements=st.integers(-2, 2).map(float)))
    mask = data.draw(arrays(bool, (1, 10), elements=st.booleans()))
    every = tilings(oracle)
    every = every[~every[:, ~mask[0]].any(1)]
    if not len(every):
        with pytest.raises(InfeasibleError, match="GridPerfectMatching: instance 0"):
            oracle.solve(costs, {"mask": mask})
        return
    found = oracle.solve(costs, {"mask": mask})
    assert found.objectives[0] == (every @ costs[0]).min()
    assert (every == found.decisions[0]).all(1).any()
    general = LinearProgram(oracle.program({"mask": mask[0]})).solve(costs)
    assert general.objectives[0] == pytest.approx(found.objectives[0], abs=1e-9)


def test_pairs_are_in_the_order_of_the_grid_and_values_maximize() -> None:
    np.testing.assert_array_equal(GridPerfectMatching(3, 4).edges(), GridShortestPath(3, 4).edges())
    found = Maximize(GridPerfectMatching(2, 2)).solve(np.array([[1.0, 2.0, 2.5, 3.0]]))
    np.testing.assert_array_equal(found.decisions, [[0, 1, 1, 0]])


def test_scale_batches_and_threads_do_not_matter() -> None:
    oracle = GridPerfectMatching(4, 5)
    costs = draw("normal", 400, oracle)
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    for exponent in (-1000, 900, 1020):  # a power of two changes no comparison
        scaled = oracle.solve(np.ldexp(costs[:50], exponent)).decisions
        np.testing.assert_array_equal(scaled, one[:50])
    np.testing.assert_array_equal(oracle.solve(costs[7:8]).decisions[0], one[7])


@pytest.mark.parametrize(("rows", "cols"), [(1, 2), (3, 2), (4, 4)])
def test_the_contract(rows: int, cols: int) -> None:
    check_oracle(GridPerfectMatching(rows, cols))


@pytest.mark.parametrize(
    ("rows", "cols", "words"),
    [(3, 3, "a grid of 3 x 3, expected an even number of cells"), (1, 1, "a grid of 1 x 1"),
     (0, 2, "rows=0"), (2, 2.0, r"cols=2\.0, expected an integer of at least 1")],
)  # fmt: skip
def test_bad_sizes_are_named(rows, cols, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"GridPerfectMatching: got {words}"):
        GridPerfectMatching(rows, cols)
