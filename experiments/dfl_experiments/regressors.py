"""The regressors of two-stage methods, by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from dfl.exceptions import InvalidInputError
from dfl_experiments.config_errors import one_of
from dfl_experiments.problems.base import Fold

Regressor = Literal["linear", "ridge", "random-forest", "random-forest-per-cost", "boosting"]
# costs that each have a model of their own; a random forest of all costs has one set of trees
_PER_COST = ("random-forest-per-cost", "boosting")


def regressor(name: Regressor, parameters: Mapping[str, Any], fold: Fold, seed: int) -> Any:
    """Return an unfitted regressor for the costs of a fold.

    Raises
    ------
    InvalidInputError
        If the regressor does not have a parameter.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    leaf = {
        "linear": LinearRegression,
        "ridge": Ridge,
        "random-forest": RandomForestRegressor,
        "random-forest-per-cost": RandomForestRegressor,
        "boosting": HistGradientBoostingRegressor,
    }[name]
    known = list(inspect.signature(leaf).parameters)
    for key in parameters:
        if key not in known:
            raise InvalidInputError(f"parameters: got {key!r}, expected {one_of(key, known)}")
    seeded = {} if name == "linear" or "random_state" in parameters else {"random_state": seed}
    model = leaf(**{**parameters, **seeded})
    if name == "ridge":
        # a penalty means the same for features of all units
        return make_pipeline(StandardScaler(), model)
    if name in _PER_COST and fold.train.y.ndim > 1:
        return MultiOutputRegressor(model)
    return model
