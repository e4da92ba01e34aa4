"""Configurations: what a run, a study and a suite consist of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, final

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.catalog import (
    DesignMethod,
    DesignProblem,
    Method,
    PolicyMethod,
    PolicyProblem,
    Problem,
)
from dfl_experiments.config_errors import custom, explain, one_of
from dfl_experiments.design.methods import Elimination, Linear, Reference
from dfl_experiments.measures import MEASURES
from dfl_experiments.methods import MINIMUM, AbstractMethod, EqualWeight, ExpectedCosts
from dfl_experiments.policies.method import AbstractPolicyMethod


def _known_metrics(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in MEASURES:
            raise custom(f"got {name!r}, expected {one_of(name, MEASURES)}")
    return tuple(dict.fromkeys(value))


Metrics = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known_metrics)]
"""What is measured, by names; each once."""


class AbstractConfig(AbstractModel):
    """What all runs have."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: Any) -> Any:
        return parse_seeds(value) if isinstance(value, str | int) else value

    @field_validator("seeds")
    @classmethod
    def _once_each(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(value))


@final
class RunConfig(AbstractConfig):
    """One problem, some methods, some seeds."""

    problem: Problem
    methods: tuple[Method, ...] = Field(min_length=1)
    metrics: Metrics = ("normalized-regret", "normalized-regret-mean")

    @property
    def compared(self) -> list[AbstractMethod]:
        """The methods, and the theoretical minimum where it is known."""
        known = self.problem.draws_data and self.problem.knows_minimum
        return [*self.methods, *([ExpectedCosts()] if known else [])]

    @model_validator(mode="after")
    def _fit_together(self) -> RunConfig:
        check_names([*(method.name for method in self.methods), MINIMUM])
        returns = self.problem.decisions_per_year is not None
        for name in self.metrics:
            if MEASURES[name].needs_returns and not returns:
                raise custom(f"metrics: {name!r} is for problems with dated returns, not for this")
        for method in self.methods:
            if method.tune:
                raise custom(f"methods.{method.name}.tune: this is for a sweep: dfl sweep")
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
        check_names(names)
        _check_baselines(self.baselines, names)
        return self

    def baseline(self, method: DesignMethod) -> str | None:
        """Return the baseline of the method's learner and loss, else the first; not itself."""
        families = {other.name: other.family for other in self.methods}
        own = [name for name in self.baselines if families[name] == method.family]
        found = next(iter([*own, *self.baselines]), None)
        return None if found == method.name else found


@final
class PolicyConfig(AbstractConfig):
    """One problem to learn policies for, some ways to learn them, some seeds."""

    problem: PolicyProblem
    methods: tuple[PolicyMethod, ...] = Field(min_length=1)
    baselines: tuple[str, ...] = ()
    """Methods that all others are compared with on the same seeds."""
    trial_seed: NonNegativeInt = 1000
    """Seed of the trials of methods with ``settings``; none of the seeds."""

    @property
    def compared(self) -> list[AbstractPolicyMethod]:
        """The methods."""
        return list(self.methods)

    @model_validator(mode="after")
    def _fit_together(self) -> PolicyConfig:
        names = [method.name for method in self.methods]
        check_names(names)
        _check_baselines(self.baselines, names)
        if self.trial_seed in self.seeds:
            raise custom(f"trial_seed: got {self.trial_seed}, expected none of the seeds")
        numbers = {method.name: len(method.settings) for method in self.methods if method.settings}
        if len(set(numbers.values())) > 1:
            raise custom(f"methods: got numbers of settings {numbers}, expected as many for each")
        for method in self.methods:
            for what, read in (("trial", method.on_trial), ("settings", method.finalists)):
                try:
                    read()
                except ValidationError as error:
                    wrong = explain(error, {}, type(method), {})
                    raise custom(f"methods.{method.name}.{what}: {wrong}") from error
        return self


Config = RunConfig | DesignConfig | PolicyConfig


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


def _check_baselines(baselines: Sequence[str], names: Sequence[str]) -> None:
    for name in baselines:
        if name not in names:
            raise custom(f"baselines: got {name!r}, expected {one_of(name, names)}")


def check_names(names: Sequence[str]) -> None:
    """Refuse two methods of one name."""
    for name in names:
        if names.count(name) > 1:
            raise custom(f"methods: the name {name!r} is taken, expected one name a method")
