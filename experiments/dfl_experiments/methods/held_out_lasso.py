"""Linear models whose lasso penalty is chosen by the regret on held-out instances."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat

from dfl.exceptions import UnsupportedError
from dfl_experiments.methods.base import AbstractMethod, Judgement, regret_of
from dfl_experiments.problems.base import Fold

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array, Oracle


@final
class HeldOutLasso(AbstractMethod):
    """Lasso by least squares or by the exact SPO+ risk, as in the paper that introduced SPO+.

    The last instances of the training table are held out: they choose the penalty, by regret. What
    was learned on the others is kept.
    """

    estimator: Literal["held-out-lasso"]
    loss: Literal["squared", "spo+"]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    penalties: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """In the units of the data: of ``risk + penalty * sum |coefficients|``, with half the mean
    squared error or the mean SPO+ loss for a risk."""
    tol: PositiveFloat = 1e-2
    """Relative gap at which the least SPO+ risk is found well enough."""

    def check(self, fold: Fold) -> None:
        """Refuse long data."""
        if fold.train.groups is not None:
            raise UnsupportedError("held-out-lasso is for wide data, not for one row an item")

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Fit a path, choose, decide."""
        del seed
        import numpy as np

        from dfl import metrics
        from dfl_solvers import Counting

        start = time.perf_counter()
        X, costs = np.asarray(fold.train.X, dtype=float), fold.train.y
        cut = len(X) - max(round(self.validation_fraction * len(X)), 1)
        oracle = Counting(fold.training_oracle)
        own = {k: v[cut:] for k, v in (fold.train.instance or {}).items()}
        best = metrics.optimal_objectives(oracle, costs[cut:], instance=own)
        chosen: tuple[float, Any] = (np.inf, None)
        for model in self._path(oracle, fold, cut):
            predicted = X[cut:] @ model[0].T + model[1]
            regret = metrics.regret(oracle, predicted, costs[cut:], instance=own, optimal=best)
            chosen = min(chosen, (float(regret.sum()), model), key=lambda pair: pair[0])
        seconds = time.perf_counter() - start
        coef, intercept = chosen[1]
        predicted = np.asarray(fold.test.X, dtype=float) @ coef.T + intercept
        regret = regret_of(fold, predicted, optimal)
        return Judgement(regret, seconds, solves=oracle.counts.instances)

    def _path(self, oracle: Oracle, fold: Fold, cut: int) -> Iterator[tuple[Array, Array]]:
        """Yield coefficients (d, p) and intercept (d,) for each penalty."""
        import numpy as np

        X, costs = np.asarray(fold.train.X, dtype=float)[:cut], fold.train.y[:cut]
        if self.loss == "squared":
            yield from _least_squares(X, costs, self.penalties)
            return
        from dfl import SPOPlusLinearRegressor

        model = SPOPlusLinearRegressor(oracle, penalty="l1", tol=self.tol)
        own = {name: values[:cut] for name, values in (fold.train.instance or {}).items()}
        path = model.path(X, costs, self.penalties, instance=own)
        yield from zip(path.coefs, path.intercepts, strict=True)


def _least_squares(
    X: Array, costs: Array, penalties: tuple[float, ...]
) -> Iterator[tuple[Array, Array]]:
    import numpy as np
    from sklearn.linear_model import lasso_path

    alphas = np.sort(np.array(penalties))[::-1]
    center, mean = X.mean(axis=0), costs.mean(axis=0)
    coefs = np.stack(
        [lasso_path(X - center, column, alphas=alphas)[1] for column in (costs - mean).T]
    )
    for k in range(len(alphas)):
        yield coefs[:, :, k], mean - coefs[:, :, k] @ center
