"""The cells of a sweep: which can run, which are trials, and which follow from those."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_experiments.measures import MEASURES
from dfl_experiments.methods import AbstractMethod, EqualWeight, ExpectedCosts
from dfl_experiments.problems.base import AbstractProblem, Fold
from dfl_experiments.runner import Cell
from dfl_experiments.space import corners
from dfl_experiments.summary import outcome
from dfl_experiments.sweep.config import SweepConfig
from dfl_experiments.sweep.held_out import HeldOut
from dfl_experiments.sweep.tuners import AbstractTuner, GridTuner, OptunaTuner

# trials that may fail before a method is given up on a problem
HOPELESS = 3


@final
@dataclass(frozen=True)
class Trial:
    """A setting of a method, tried on a problem.

    Attributes
    ----------
    number : int
    cell : Cell
        Its part is the problem's name; its method is named for the setting too.
    setting : mapping
    value : float or None
        Normalized regret on the held-out instances; None if it could not be computed.
    """

    number: int
    cell: Cell
    setting: Mapping[str, Any]
    value: float | None


def validation_regret(cell: Cell, content: Mapping[str, Any]) -> float | None:
    """Return what a trial came to; None if it is no number, as where all optima are zero."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        value = MEASURES["normalized-regret"].value(outcome(cell, content))
    return value if math.isfinite(value) else None


@final
@dataclass
class Pair:
    """One method on one problem.

    Attributes
    ----------
    part : str
    problem : AbstractProblem
    method : AbstractMethod
    refused : str
        Why they cannot be put together; empty if they can.
    trials : list of Trial
        Those that have ended.
    """

    part: str
    problem: AbstractProblem
    method: AbstractMethod
    refused: str = ""
    trials: list[Trial] = field(default_factory=list)

    def tuner(self, kind: str) -> AbstractTuner:
        """Return what suggests settings."""
        if kind == "grid":
            return GridTuner(self.method.tune)
        return OptunaTuner(self.method.tune, f"{self.part}, {self.method.name}")

    def trial(self, setting: Mapping[str, Any], seed: int) -> Cell:
        """Return the cell that tries a setting."""
        problem = HeldOut(problem=self.problem)  # type: ignore[arg-type]
        said = " ".join(f"{key}={value}" for key, value in setting.items())
        method = self.method.chosen({**setting, "name": f"{self.method.name} {said}"})
        return Cell(self.part, problem, method, seed)

    @property
    def best(self) -> Trial | None:
        """The trial with the least regret, the first of equals; None if all failed."""
        known = [trial for trial in self.trials if trial.value is not None]
        return min(known, key=lambda trial: trial.value or 0.0, default=None)

    @property
    def hopeless(self) -> bool:
        """Whether its first trials all failed, so that there are no more."""
        return len(self.trials) >= HOPELESS and self.best is None

    def cells(self, seeds: Sequence[int]) -> list[Cell]:
        """Return the cells of the method as it was chosen; none if all its trials failed."""
        method = self.method
        if method.tune:
            if self.best is None:
                return []
            method = method.chosen(self.best.setting)
        return [Cell(self.part, self.problem, method, seed) for seed in seeds]


def pairs(config: SweepConfig) -> list[Pair]:
    """Put each method together with each problem, and note why some cannot be.

    Raises
    ------
    InvalidInputError
        If a method is wrong in itself, as an unknown loss is: it suits none of the problems.
    DFLError
        If data cannot be had.
    """
    found = []
    wrong: dict[str, list[InvalidInputError | None]] = {}
    for part, problem in config.parts():
        fold = next(problem.folds(config.trial_seed))
        known = problem.draws_data and problem.knows_minimum
        for method in [*config.methods, *([ExpectedCosts()] if known else [])]:
            error = _objection(method, problem, fold)
            wrong.setdefault(method.name, []).append(
                error if isinstance(error, InvalidInputError) else None
            )
            found.append(Pair(part, problem, method, " ".join(str(error or "").split())))
    for name, errors in wrong.items():
        if errors[0] is not None and None not in errors:
            raise InvalidInputError(f"methods.{name}: {errors[0]}") from errors[0]
    return found


def _objection(
    method: AbstractMethod, problem: AbstractProblem, fold: Fold
) -> UnsupportedError | InvalidInputError | None:
    """Return what speaks against a method for a fold, with any value that it is tuned over."""
    if method.predicts_constraints != (fold.constraint is not None):
        predicts = ("costs", "constraints")[method.predicts_constraints]
        return UnsupportedError(f"the method predicts {predicts}, which the problem knows")
    if isinstance(method, EqualWeight) and "portfolio" not in problem.kind:  # type: ignore[attr-defined]
        return UnsupportedError("equal weights are for portfolios only")
    try:
        for each in [method.chosen(setting) for setting in corners(method.tune)] or [method]:
            each.check(fold)
    except (UnsupportedError, InvalidInputError) as error:
        return error
    return None
