"""Settings are tried with a seed of their own, each in a cell; the best goes on to all seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from dfl_experiments.config import PolicyConfig
from dfl_experiments.runner import Cell
from dfl_experiments.summary import Results


@final
@dataclass(frozen=True)
class Trial:
    """One of the settings of a method, tried.

    Attributes
    ----------
    method : str
    setting : dict
    value : float or None
        The score that settings are chosen by; None where the trial failed.
    seconds : float
    chosen : bool
    """

    method: str
    setting: dict[str, Any]
    value: float | None
    seconds: float
    chosen: bool


def trial_cells(config: PolicyConfig) -> list[Cell]:
    """List the trials of a run."""
    return [
        Cell(part, problem, trial, config.trial_seed)
        for part, problem in config.problem.parts().items()
        for method in config.methods
        for trial in method.trials()
    ]


def check_candidates(config: PolicyConfig) -> None:
    """Refuse, before anything is tried, settings with which a method could not be run in full.

    Raises
    ------
    DFLError
    """
    candidates = [each for method in config.methods for each in method.finalists()]
    for problem in config.problem.parts().values():
        problem.check(candidates, config.trial_seed)


def choose(config: PolicyConfig, results: Results) -> tuple[PolicyConfig, list[Trial]]:
    """Return the run with the best settings, and what was tried.

    Of equal settings the first is taken. A method of which all trials failed is left out.
    """
    found = {cell.key: content for cell, content in results}
    keys = iter([cell.key for cell in trial_cells(config)])
    by = config.problem.chosen_by
    sign = -1.0 if config.problem.scores[by].better == "lower" else 1.0
    methods, trials = [], []
    for method in config.methods:
        contents = [found.get(next(keys)) for _ in method.settings]
        values = [None if each is None else each["scores"].get(by) for each in contents]
        known = [place for place, value in enumerate(values) if value is not None]
        if method.settings and not known:
            continue
        best = max(known, key=lambda place: sign * (values[place] or 0.0), default=None)
        methods.append(method if best is None else method.chosen(best))
        for place, (setting, value, each) in enumerate(
            zip(method.settings, values, contents, strict=True)
        ):
            seconds = 0.0 if each is None else float(each["seconds"])
            trials.append(Trial(method.name, setting, value, seconds, place == best))
    return config.model_copy(update={"methods": tuple(methods)}), trials
