"""Configurations: what a run, a study and a suite consist of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, final, get_args

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.config_errors import custom, one_of
from dfl_experiments.design.methods import Elimination, Linear, Reference
from dfl_experiments.design.worlds import (
    LinearCosts,
    LLMAllocation,
    LLMRouting,
    Misspecified,
    ScaleDecoys,
    TabularBall,
)
from dfl_experiments.measures import MEASURES
from dfl_experiments.methods import (
    MINIMUM,
    AbstractMethod,
    Auto,
    DecisionFocused,
    EqualWeight,
    ExpectedCosts,
    Single,
    TwoStage,
)
from dfl_experiments.problems import (
    EnergyProblem,
    EntropyPortfolioProblem,
    KnapsackProblem,
    OrdinalClassesProblem,
    OrdinalDigitsProblem,
    PerfectMatchingProblem,
    PortfolioProblem,
    PortfolioSP500Problem,
    ShortestPathProblem,
    SpanningTreeProblem,
    SyntheticGridProblem,
)

Problem = Annotated[
    ShortestPathProblem
    | KnapsackProblem
    | PortfolioProblem
    | PortfolioSP500Problem
    | EnergyProblem
    | EntropyPortfolioProblem
    | OrdinalClassesProblem
    | OrdinalDigitsProblem
    | SpanningTreeProblem
    | PerfectMatchingProblem
    | SyntheticGridProblem,
    Field(discriminator="kind"),
]
Method = Annotated[
    TwoStage | DecisionFocused | Auto | Single | EqualWeight, Field(discriminator="estimator")
]
DesignProblem = Annotated[
    ScaleDecoys | Misspecified | TabularBall | LinearCosts | LLMAllocation | LLMRouting,
    Field(discriminator="kind"),
]
DesignMethod = Annotated[Elimination | Linear | Reference, Field(discriminator="learner")]


def _tagged(*unions: Any) -> dict[str, type[AbstractModel]]:
    """Return the models of unions by the values of the fields that tell them apart."""
    found = {}
    for union in unions:
        leaves, field = get_args(union)
        for leaf in get_args(leaves):
            for tag in get_args(leaf.model_fields[field.discriminator].annotation):
                found[tag] = leaf
    return found


TAGGED: Mapping[str, type[AbstractModel]] = _tagged(Problem, Method, DesignProblem, DesignMethod)
"""The models by their tags: kinds of problems, estimators and learners."""


class AbstractConfig(AbstractModel):
    """What all runs have."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: Any) -> Any:
        return parse_seeds(value) if isinstance(value, str | int) else value


@final
class RunConfig(AbstractConfig):
    """One problem, some methods, some seeds."""

    problem: Problem
    methods: tuple[Method, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(
        default=("normalized-regret", "normalized-regret-mean"), min_length=1
    )

    @property
    def compared(self) -> list[AbstractMethod]:
        """The methods, and the theoretical minimum where it is known."""
        return [*self.methods, *([ExpectedCosts()] if self.problem.draws_data else [])]

    @field_validator("metrics")
    @classmethod
    def _know_metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in MEASURES:
                raise custom(f"got {name!r}, expected {one_of(name, MEASURES)}")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> RunConfig:
        _check_names([*(method.name for method in self.methods), MINIMUM])
        returns = self.problem.decisions_per_year is not None
        for name in self.metrics:
            if MEASURES[name].needs_returns and not returns:
                raise custom(f"metrics: {name!r} is for problems with dated returns, not for this")
        for method in self.methods:
            if isinstance(method, EqualWeight) and "portfolio" not in self.problem.kind:
                raise custom(
                    f"methods.{method.name}.estimator: got 'equal-weight', which is for "
                    "portfolios; expected 'two-stage' or 'decision-focused'"
                )
        return self


@final
class DesignConfig(AbstractConfig):
    """One world to buy labels in, some ways to choose them, some seeds."""

    problem: DesignProblem
    methods: tuple[DesignMethod, ...] = Field(min_length=1)
    baselines: tuple[str, ...] = ()
    """Methods that others are compared with on the same seeds: see ``baseline``."""

    @property
    def compared(self) -> list[Elimination | Linear | Reference]:
        """The methods."""
        return list(self.methods)

    @model_validator(mode="after")
    def _fit_together(self) -> DesignConfig:
        names = [method.name for method in self.methods]
        _check_names(names)
        for name in self.baselines:
            if name not in names:
                raise custom(f"baselines: got {name!r}, expected {one_of(name, names)}")
        return self

    def baseline(self, method: DesignMethod) -> str | None:
        """Return the baseline of the method's learner and loss, else the first; not itself."""
        families = {other.name: other.family for other in self.methods}
        own = [name for name in self.baselines if families[name] == method.family]
        found = next(iter([*own, *self.baselines]), None)
        return None if found == method.name else found


Config = RunConfig | DesignConfig


@final
class SuiteConfig(AbstractModel):
    """Several recipes, run one after the other."""

    name: str
    description: str = ""
    recipes: tuple[Config, ...] = Field(min_length=1)


def parse_seeds(value: str | int, what: str = "seeds") -> list[int]:
    """Read seeds such as ``"0:10"`` (ten of them), ``"3"`` or ``"1,2,5"``.

    Examples
    --------
    >>> parse_seeds("0:3,7")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in str(value).split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise InvalidInputError(
                f"{what}: got {str(value)!r}, expected seeds such as 0:10 or 1,2,5"
            )
        first = int(match[1])
        found += range(first, first + 1 if match[2] is None else int(match[2]))
    if not found:
        raise InvalidInputError(f"{what}: got {str(value)!r}, which is no seed at all")
    return list(dict.fromkeys(found))


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise custom(f"methods: the name {name!r} is taken, expected one name a method")
