"""MinimumSpanningTree against enumeration, scipy, exchanges and integer programming."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from dfl_solvers import (
    LinearProgram,
    Maximize,
    MinimumSpanningTree,
    MixedIntegerProgram,
    all_optima,
    check_oracle,
    degeneracy_distance,
)
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.kernels import set_threads


def complete(n: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(n), 2))


def lattice(rows: int, cols: int) -> list[tuple[int, int]]:
    cells = np.arange(rows * cols).reshape(rows, cols)
    across = zip(cells[:, :-1].ravel(), cells[:, 1:].ravel(), strict=True)
    return [*across, *zip(cells[1:].ravel(), cells[:-1].ravel(), strict=True)]


def is_tree(n: int, edges: np.ndarray, decision: np.ndarray) -> bool:
    chosen = edges[decision == 1]
    links = sp.csr_array((np.ones(len(chosen)), tuple(chosen.T)), (n, n))
    return len(chosen) == n - 1 and connected_components(links, directed=False)[0] == 1


def trees(n: int, edges: np.ndarray) -> np.ndarray:
    """Enumerate all spanning trees."""
    d = len(edges)
    chosen = [np.isin(np.arange(d), c) for c in itertools.combinations(range(d), n - 1)]
    return np.array([c.astype(float) for c in chosen if is_tree(n, edges, c)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("n", "edges", "count"),
    [(2, [(1, 0)], 1), (3, complete(3), 3), (5, complete(5), 125), (6, lattice(2, 3), 15)],
)
def test_no_tree_is_cheaper(n: int, edges: list, count: int, dtype: type) -> None:
    oracle = MinimumSpanningTree(n, edges)
    every = trees(n, oracle.edges)
    assert len(every) == count  # Cayley's formula, n^(n - 2), for complete graphs
    rng = np.random.default_rng(0)
    for costs in (rng.normal(size=(50, len(edges))), rng.integers(-2, 3, (50, len(edges)))):
        found = oracle.solve(costs.astype(dtype))
        assert found.decisions.dtype == dtype
        best = (costs.astype(dtype).astype(float) @ every.T).min(1)
        np.testing.assert_allclose(found.objectives, best, atol=1e-5)
        assert all((every == w).all(1).any() for w in found.decisions)


def test_as_kruskal_with_ties_to_the_first() -> None:
    rng = np.random.default_rng(1)
    for n, edges in ((20, complete(20)), (42, lattice(6, 7))):
        oracle = MinimumSpanningTree(n, edges)
        costs = rng.integers(-3, 4, (20, len(edges))).astype(float)
        found = oracle.solve(costs).decisions
        for row, decision in zip(costs, found, strict=True):
            part, expected = np.arange(n), np.zeros(len(edges))
            for e in np.argsort(row, kind="stable"):
                a, b = part[oracle.edges[e]]
                if a != b:
                    part[part == a] = b
                    expected[e] = 1
            np.testing.assert_array_equal(decision, expected)


def test_as_scipy_on_larger_graphs() -> None:
    rng = np.random.default_rng(2)
    for n, edges in ((60, complete(60)), (400, lattice(20, 20))):
        oracle = MinimumSpanningTree(n, edges)
        costs = rng.uniform(1, 2, (5, len(edges)))  # scipy takes a cost of zero for no edge
        found = oracle.solve(costs - 5)
        for i, row in enumerate(costs):
            graph = sp.csr_array((row, tuple(oracle.edges.T)), (n, n))
            expected = minimum_spanning_tree(graph).sum() - 5 * (n - 1)
            assert found.objectives[i] == pytest.approx(expected, abs=1e-9)
            assert is_tree(n, oracle.edges, found.decisions[i])


def test_parallel_edges_and_loops() -> None:
    oracle = MinimumSpanningTree(3, [(0, 0), (0, 1), (1, 0), (1, 2), (2, 2)])
    costs = np.array([[-9.0, 3.0, 2.0, 5.0, -9.0], [-9.0, 2.0, 2.0, -5.0, -9.0]])
    expected = [[0, 0, 1, 1, 0], [0, 1, 0, 1, 0]]
    np.testing.assert_array_equal(oracle.solve(costs).decisions, expected)
    general = MixedIntegerProgram(oracle.program()).solve(costs)
    np.testing.assert_allclose(general.objectives, [7.0, -3.0])
    check_oracle(oracle)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_masks_close_edges(data: st.DataObject) -> None:
    oracle = MinimumSpanningTree(4, complete(4))
    costs = data.draw(arrays(float, (1, 6), elements=st.integers(-2, 2).map(float)))
    mask = data.draw(arrays(bool, (1, 6), elements=st.booleans()))
    every = trees(4, oracle.edges)
    every = every[~every[:, ~mask[0]].any(1)]
    if not len(every):
        with pytest.raises(InfeasibleError, match="MinimumSpanningTree: instance 0"):
            oracle.solve(costs, {"mask": mask})
        return
    found = oracle.solve(costs, {"mask": mask})
    values = every @ costs[0]
    assert found.objectives[0] == values.min()
    program = oracle.program({"mask": mask[0]})
    assert MixedIntegerProgram(program).solve(costs).objectives[0] == pytest.approx(values.min())
    tied = all_optima(oracle, costs, {"mask": mask})[0]
    assert {tuple(w) for w in tied} == {tuple(w) for w in every[values == values.min()]}
    distance = degeneracy_distance(oracle, costs, {"mask": mask}).distance[0]
    assert np.isinf(distance) if len(every) == 1 else (distance == 0) == (len(tied) > 1)


def test_the_program_has_no_integrality_gap() -> None:
    oracle = MinimumSpanningTree(6, complete(6))
    costs = np.random.default_rng(3).normal(size=(10, 15))
    relaxed = LinearProgram(oracle.program().relax(), backend="highs").solve(costs)
    np.testing.assert_allclose(relaxed.objectives, oracle.solve(costs).objectives, atol=1e-7)


def test_extreme_costs_threads_and_values() -> None:
    oracle = MinimumSpanningTree(12, complete(12))
    costs = np.random.default_rng(4).normal(size=(1200, 66))
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    for scale in (1e-300, 1e300):
        np.testing.assert_array_equal(oracle.solve(costs[:50] * scale).decisions, one[:50])
    best = Maximize(oracle).solve(costs[:50])
    np.testing.assert_array_equal(best.objectives, -oracle.solve(-costs[:50]).objectives)


@pytest.mark.parametrize(
    ("n_nodes", "edges", "words"),
    [
        (1, [(0, 0)], "n_nodes=1, expected an integer of at least 2"),
        (3.0, complete(3), r"n_nodes=3\.0"),
        (4, complete(3), "no edges lead from node 0 to node 3, expected a connected graph"),
        (3, [(0, 1), (1, 3)], r"edge 1 is \(1, 3\), expected node numbers from 0 to 2"),
        (3, [(0, 1), (-1, 2)], r"edge 1 is \(-1, 2\)"),
        (2, [(0, 0.5)], r"edges is 0\.5 at \(0, 1\), expected whole numbers"),
        (2, [0, 1], r"edges of shape \(2,\), expected \(d, 2\)"),
        (2, [], r"edges of shape \(0,\)"),
        (2, [("a", "b")], "edges of type"),
        (2, [(0, 1 + 0j)], "edges of type complex128, expected whole numbers"),
        (2, [(0, 1), (1,)], "edges are no pairs"),
    ],
)
def test_bad_parameters_are_named(n_nodes, edges, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"MinimumSpanningTree: .*{words}"):
        MinimumSpanningTree(n_nodes, edges)
