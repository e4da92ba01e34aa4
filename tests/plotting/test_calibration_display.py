"""The picture of calibration functions draws the numbers that were found."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfl.exceptions import InvalidInputError
from dfl.plotting import CalibrationDisplay
from dfl.risk import CalibrationFunction


def test_it_draws_finite_values_with_their_band_and_bounds() -> None:
    eps = np.array([0.1, 0.2, 0.4])
    value = np.array([1.0, 2.0, np.inf])
    found = CalibrationFunction(eps, value, value / 2, value * 2, np.zeros((3, 2)))
    display = CalibrationDisplay({"a": found}, {"bound": (eps, eps)}).plot(Figure().subplots())
    curve, bound = display.ax_.get_lines()
    np.testing.assert_array_equal(curve.get_xydata(), [[0.1, 1.0], [0.2, 2.0]])
    np.testing.assert_array_equal(bound.get_ydata(), eps)
    band = display.ax_.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.5, 4.0)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "bound"]
    with pytest.raises(InvalidInputError, match="no function"):
        CalibrationDisplay({})
