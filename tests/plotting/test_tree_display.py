"""The drawn tree has the questions and the leaves of the fitted one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError

from dfl import SPOForestRegressor, SPOTreeRegressor
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.plotting import TreeDisplay
from dfl_solvers import Simplex


def test_nodes_stand_where_the_tree_has_them() -> None:
    data = make_shortest_path(200, grid=(3, 3), degree=4, noise=0.5, random_state=0)
    frame = pd.DataFrame(data.X, columns=list("abcde"))
    model = SPOTreeRegressor(data.oracle, max_depth=3, ccp_alpha=0.0).fit(frame, data.C)
    display = TreeDisplay.from_estimator(model).plot(Figure().subplots())
    tree = model.tree_
    np.testing.assert_array_equal(display.leaves, tree.leaves)
    np.testing.assert_array_equal(-display.places[:, 1], tree.depths())
    # leaves side by side, in the order of the written tree
    order = np.argsort(display.places[tree.leaves, 0])
    np.testing.assert_array_equal(display.places[tree.leaves, 0][order], np.arange(len(order)))
    written = [line for line in model.export_text().splitlines() if "decide" in line]
    for node, line in zip(np.flatnonzero(tree.leaves)[order], written, strict=True):
        assert line.endswith(display.texts[node].replace("\n", ", "))
    # a parent stands between its children, and asks by the name of the feature
    for node in np.flatnonzero(~tree.leaves):
        left, right = (display.places[child[node], 0] for child in (tree.left, tree.right))
        assert left < display.places[node, 0] < right
        assert display.texts[node].startswith(f"{'abcde'[tree.feature[node]]} <= ")
    assert len(display.edges) == len(display.ax_.lines) == len(tree.feature) - 1
    assert len(display.ax_.texts) == len(tree.feature)


def test_errors() -> None:
    with pytest.raises(NotFittedError):
        TreeDisplay.from_estimator(SPOTreeRegressor())
    forest = SPOForestRegressor(Simplex(2), n_estimators=1).fit([[0.0], [1.0]], np.eye(2))
    with pytest.raises(InvalidInputError, match="got a SPOForestRegressor, expected an SPOTree"):
        TreeDisplay.from_estimator(forest)
    with pytest.raises(InvalidInputError, match="got 2 places, 1 texts and 2 marks"):
        TreeDisplay([[0, 0], [1, -1]], [[0, 1]], ["one"], [False, True])
