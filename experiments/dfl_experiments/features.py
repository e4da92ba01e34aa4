"""Features made of those given, so that a linear model can follow curves."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from dfl_experiments.problems.base import Fold

Features = Literal["given", "polynomial", "spline"]
"""As they are; products of at most two; or a spline of each feature with five knots."""


def expanded(fold: Fold, features: Features) -> Fold:
    """Return the fold with features made of its own, standardized first; fitted on training."""
    if features == "given":
        return fold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

    maker = (
        PolynomialFeatures(2, include_bias=False)
        if features == "polynomial"
        # one column a feature less: they sum to one
        else SplineTransformer(extrapolation="linear", include_bias=False)
    )
    steps = make_pipeline(StandardScaler(), maker)
    train = replace(fold.train, X=steps.fit_transform(fold.train.X))
    return replace(fold, train=train, test=replace(fold.test, X=steps.transform(fold.test.X)))
