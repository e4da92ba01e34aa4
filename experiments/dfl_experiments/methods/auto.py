"""The candidates of ``dfl.AutoDecisionRegressor``: the choice of one, or a certain one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat

from dfl.exceptions import InvalidInputError
from dfl_experiments.methods.base import AbstractMethod, Judgement, judged
from dfl_experiments.problems.base import Fold

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


@final
class Auto(AbstractMethod):
    """Choose features, predictor and loss by held-out regret; see ``dfl.AutoDecisionRegressor``."""

    estimator: Literal["auto"]
    cv: Annotated[int, Field(ge=2)] = 5
    average: bool = True
    time_budget: PositiveFloat | None = None
    candidates: tuple[str, ...] | None = None
    """Names of the default candidates to try; None for all that suit the size of the data."""

    def check(self, fold: Fold) -> None:
        """Refuse a name that there is not."""
        for name in self.candidates or ():
            _named(_candidates(fold), name)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Search, and fit what was chosen."""
        from dfl import AutoDecisionRegressor

        chosen = None
        if self.candidates is not None:
            known = _candidates(fold)
            chosen = [(name, _named(known, name)) for name in self.candidates]
        model = AutoDecisionRegressor(
            fold.training_oracle,
            chosen,
            cv=self.cv,
            average=self.average,
            time_budget=self.time_budget,
            random_state=seed,
        )
        return judged(model, fold, optimal)


@final
class Single(AbstractMethod):
    """One of the candidates of ``dfl.AutoDecisionRegressor``, without a choice."""

    estimator: Literal["candidate"]
    candidate: str
    """Its name; see ``dfl.estimators.default_candidates``."""

    def check(self, fold: Fold) -> None:
        """Refuse a name that there is not."""
        _named(_candidates(fold), self.candidate)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Expand the features, and fit it."""
        from sklearn.pipeline import Pipeline

        model = _named(_candidates(fold), self.candidate)
        if isinstance(model, Pipeline):
            train = replace(fold.train, X=model[:-1].fit_transform(fold.train.X))
            test = replace(fold.test, X=model[:-1].transform(fold.test.X))
            fold, model = replace(fold, train=train, test=test), model[-1]
        seeds = [name for name in model.get_params() if name.endswith("random_state")]
        model.set_params(oracle=fold.training_oracle, **dict.fromkeys(seeds, seed))
        return judged(model, fold, optimal)


def _candidates(fold: Fold) -> dict[str, Any]:
    """Return the default candidates for the size of a fold."""
    from dfl.estimators import default_candidates

    train = fold.train
    n_samples, n_features = train.X.shape
    n_costs = train.wide(train.y).shape[1]
    long = train.groups is not None
    return dict(default_candidates(n_samples, n_features, n_costs, long=long))


def _named(known: dict[str, Any], name: str) -> Any:
    if name not in known:
        raise InvalidInputError(
            f"got the candidate {name!r}, expected one for this size of data: {', '.join(known)}"
        )
    return known[name]
