"""Weekly portfolios of twenty large American stocks, walking forward in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dfl_experiments.problems.base import AbstractProblem, Fold, Table
from dfl_solvers.exceptions import import_optional

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


@final
class PortfolioSP500Problem(AbstractProblem):
    """Learn on all weeks before a year, be judged on that year; then the next one."""

    draws_data: ClassVar[bool] = False
    decisions_per_year: ClassVar[int | None] = 52

    kind: Literal["portfolio-sp500"]
    first_test_year: Annotated[int, Field(ge=1995, le=2022)] = 2008
    last_test_year: Annotated[int, Field(ge=1995, le=2022)] = 2022
    years_between_refits: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _check_years(self) -> PortfolioSP500Problem:
        if self.last_test_year < self.first_test_year:
            raise PydanticCustomError(
                "config",
                "problem.last_test_year: got {last}, expected at least {first}, the first",
                {"last": self.last_test_year, "first": self.first_test_year},
            )
        return self

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read and split in time; the seed plays no part in it.

        The last week to train on ends at the close at which the first test decision is made.
        """
        del seed
        import numpy as np

        from dfl.datasets import load_sp500_weekly

        pandas = import_optional("pandas", "experiments")
        data = load_sp500_weekly()
        years = data.dates.astype("datetime64[Y]").astype(int) + 1970

        def table(rows: Array) -> Table:
            # the dates in the index tell the estimators not to shuffle across time
            X = pandas.DataFrame(
                data.X[rows],
                index=pandas.DatetimeIndex(data.dates[rows]),
                columns=data.feature_names,
            )
            instance = {name: values[rows] for name, values in data.instance.items()}
            return Table(X, data.C[rows], instance=instance)

        for first in range(
            self.first_test_year, self.last_test_year + 1, self.years_between_refits
        ):
            last = min(first + self.years_between_refits - 1, self.last_test_year)
            test = np.flatnonzero((years >= first) & (years <= last))
            yield Fold(
                table(np.flatnonzero(years < first)),
                table(test),
                oracle=data.oracle,
                training_oracle=data.oracle,
            )
