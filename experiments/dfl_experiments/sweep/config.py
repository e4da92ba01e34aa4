"""What a sweep consists of."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Literal, final

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.catalog import TAGGED, Method, Problem
from dfl_experiments.config import AbstractConfig, Metrics, check_names, parse_seeds
from dfl_experiments.config_errors import custom, explain
from dfl_experiments.config_file import read, set_key, split
from dfl_experiments.measures import MEASURES
from dfl_experiments.methods import MINIMUM, AbstractMethod
from dfl_experiments.problems.base import AbstractProblem
from dfl_experiments.space import Range, corners, n_combinations, ranges
from dfl_experiments.sweep.expand import expand

_TAGS: dict[str, type[AbstractModel]] = {**TAGGED, "range": Range, "choices": Range}


@final
class SweepConfig(AbstractConfig):
    """Problems x methods x seeds, where methods may be tuned for each problem."""

    problems: dict[str, Problem] = Field(min_length=1)
    """By the names they have in the results."""
    methods: tuple[Method, ...] = Field(min_length=1)
    metrics: Metrics = ("normalized-regret",)
    tuner: Literal["grid", "optuna"] = "grid"
    """How ``tune`` of a method is searched: all combinations of its lists, or Optuna's sampler."""
    trials: PositiveInt | None = None
    """Settings that are tried for each method and problem; all combinations, for a grid."""
    trial_seed: NonNegativeInt = 1000
    """Seed of the data and of the training of all trials; none of the seeds."""
    timeout: PositiveFloat | None = None
    """Seconds that a cell may take."""

    @model_validator(mode="after")
    def _fit_together(self) -> SweepConfig:
        check_names([*(method.name for method in self.methods), MINIMUM])
        parts = [name for name, _ in self.parts()]
        for name in parts:
            if parts.count(name) > 1:
                raise custom(f"problems: the name {name!r} is taken, expected one a problem")
        returns = all(problem.decisions_per_year for problem in self.problems.values())
        for name in self.metrics:
            if MEASURES[name].needs_returns and not returns:
                raise custom(f"metrics: {name!r} is for problems with dated returns, not for these")
        if self.trial_seed in self.seeds:
            raise custom(f"trial_seed: got {self.trial_seed}, expected none of the seeds")
        for method in self.tuned:
            for setting in corners(method.tune):
                try:
                    method.chosen(setting)
                except (ValidationError, InvalidInputError) as error:
                    wrong = (
                        explain(error, {}, type(method), _TAGS)
                        if isinstance(error, ValidationError)
                        else error
                    )
                    raise custom(f"methods.{method.name}.tune: {wrong}") from error
        if self.tuner == "grid":
            self._check_grids()
        elif self.tuned and self.trials is None:
            raise custom("trials: missing, expected a number of trials for the tuner 'optuna'")
        return self

    def _check_grids(self) -> None:
        for method in self.tuned:
            for name in ranges(method.tune):
                raise custom(
                    f"methods.{method.name}.tune.{name}: got a range, expected a list, or the "
                    "tuner 'optuna' with a number of trials"
                )
        numbers = {method.name: n_combinations(method.tune) for method in self.tuned}
        if len(set(numbers.values())) > 1:
            raise custom(f"methods: got numbers of trials {numbers}, expected as many for each")
        if self.trials is not None:
            for number in numbers.values():
                if number != self.trials:
                    raise custom(
                        f"trials: got {self.trials}, but the grids have {number} each; leave "
                        "trials out, or take the tuner 'optuna'"
                    )

    @property
    def tuned(self) -> list[AbstractMethod]:
        """The methods of which a setting is chosen."""
        return [method for method in self.methods if method.tune]

    @property
    def n_trials(self) -> int:
        """Trials of each tuned method on each problem; 0 if there is nothing to choose."""
        if not self.tuned:
            return 0
        return n_combinations(self.tuned[0].tune) if self.tuner == "grid" else self.trials or 0

    def parts(self) -> Iterator[tuple[str, AbstractProblem]]:
        """Yield the problems by the names they have in the results."""
        for name, problem in self.problems.items():
            parts = problem.parts()
            for part, leaf in parts.items():
                yield name if len(parts) == 1 else f"{name}: {part}", leaf  # type: ignore[misc]


def load_sweep(
    source: str,
    settings: Sequence[str] = (),
    seeds: str | None = None,
    *,
    tuner: str | None = None,
    trials: int | None = None,
    timeout: float | None = None,
) -> SweepConfig:
    """Read a recipe or a file of a sweep, change it, and check it.

    Parameters
    ----------
    source : str
        Name of a shipped recipe, or path of a YAML file.
    settings : sequence of str
        ``"key=value"``, the key a dotted path, such as ``problems.grid.degree``.
    seeds : str, optional
        Such as ``"0:10"`` or ``"1,2,5"``.
    tuner, trials, timeout : optional
        In place of those of the file.

    Raises
    ------
    InvalidInputError
        If anything is unknown or has a wrong value; the message names the key and near matches.
    """
    raw = read(source)
    if "problems" not in raw:
        near = difflib.get_close_matches("problems", raw.keys() - {"problem"}, n=1)
        if near and "problem" not in raw:
            raise InvalidInputError(
                f"{source}: {near[0]}: unknown key; did you mean 'problems', as a sweep has?"
            )
        raise InvalidInputError(
            f"{source} is no sweep, it has no key 'problems'; run it by: dfl run {source}"
        )
    for setting in settings:
        set_key(raw, *split(setting))
    if seeds is not None:
        raw["seeds"] = parse_seeds(seeds, "--seeds")
    given = {"tuner": tuner, "trials": trials, "timeout": timeout}
    raw.update({key: value for key, value in given.items() if value is not None})
    found = expand(raw, source)
    try:
        return SweepConfig.model_validate(found)
    except ValidationError as error:
        raise InvalidInputError(f"{source}: {explain(error, found, SweepConfig, _TAGS)}") from error
