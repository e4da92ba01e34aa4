"""Displays of sequential designs hold the right numbers and draw them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfl import metrics
from dfl.design import (
    BayesianLinearRegression,
    DeltaDirectionalUncertainty,
    DirectionalUncertainty,
    FiniteHypothesisClass,
    SequentialDesign,
)
from dfl.exceptions import InvalidInputError
from dfl.plotting import LabelCurveDisplay, SurvivorsDisplay, UncertaintyMapDisplay
from dfl_solvers import Simplex


def test_label_curves_draw_means_and_intervals(rng) -> None:
    curves = {"a": rng.uniform(1, 2, size=(8, 3)), "b": rng.uniform(2, 3, size=(8, 3))}
    display = LabelCurveDisplay([5, 10, 20], curves, logarithmic=True).plot(Figure().subplots())
    assert display.intervals["b"][1] == metrics.mean_interval(curves["b"][:, 1])
    for line, name in zip(display.ax_.lines, curves, strict=True):
        np.testing.assert_allclose(line.get_ydata(), curves[name].mean(0))
        np.testing.assert_array_equal(line.get_xdata(), [5, 10, 20])
    assert len(display.ax_.collections) == 2
    assert display.ax_.get_yscale() == "log"
    single = LabelCurveDisplay([1, 2], {"a": [1.0, 2.0]}).plot(Figure().subplots())
    assert not single.ax_.collections  # one seed has no interval
    with pytest.raises(InvalidInputError, match=r"'a' of shape \(1, 3\), expected \(n_seeds, 2\)"):
        LabelCurveDisplay([1, 2], {"a": [1.0, 2.0, 3.0]})
    with pytest.raises(InvalidInputError, match="0 criteria"):
        LabelCurveDisplay([1, 2], {})


def test_survivors_are_those_of_the_design(rng) -> None:
    model = FiniteHypothesisClass(rng.normal(size=(6, 10, 3)), slack="practical")
    design = SequentialDesign(model, DirectionalUncertainty(), Simplex(3), random_state=0)
    for _ in range(4):
        indices, _ = design.ask(np.arange(10), 2)
        design.tell(indices, rng.normal(size=(2, 3)))
    display = SurvivorsDisplay.from_design(design).plot(Figure().subplots())
    (line,) = display.ax_.lines
    np.testing.assert_array_equal(line.get_xdata(), [2, 4, 6, 8])
    assert line.get_ydata()[-1] == len(model.survivors_)
    assert line.get_label() == "DirectionalUncertainty"
    with pytest.raises(InvalidInputError, match="does not know the survivors"):
        SurvivorsDisplay({"linear": [{"labels": 1.0}]})
    with pytest.raises(InvalidInputError, match="no design"):
        SurvivorsDisplay({})


def test_the_map_shows_scores_and_labels(rng) -> None:
    X = rng.normal(size=(40, 2))
    criterion = DeltaDirectionalUncertainty()
    design = SequentialDesign(BayesianLinearRegression(), criterion, Simplex(3), random_state=0)
    indices, _ = design.ask(X, 8)
    design.tell(indices, X[indices] @ rng.normal(size=(2, 3)))
    display = UncertaintyMapDisplay.from_design(design, X).plot(Figure().subplots())
    dots, rings = display.ax_.collections
    np.testing.assert_allclose(dots.get_array(), criterion.score(design.model, X, Simplex(3)))
    np.testing.assert_allclose(rings.get_offsets(), X[indices])
    with pytest.raises(InvalidInputError, match="choose two columns"):
        UncertaintyMapDisplay(np.ones((3, 4)), np.ones(3))
    with pytest.raises(InvalidInputError, match=r"scores of shape \(2,\), expected \(3,\)"):
        UncertaintyMapDisplay(np.ones((3, 2)), np.ones(2))
