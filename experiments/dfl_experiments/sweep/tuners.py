"""Ways to suggest settings: each suggestion follows from the study and its earlier results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from dfl_experiments.cells import digest
from dfl_experiments.space import Range, grid
from dfl_solvers.exceptions import import_optional

# suggestions that are drawn at random before the sampler looks at results
_AT_RANDOM = 4


class AbstractTuner(ABC):
    """Suggests settings of one method on one problem, one after the other.

    Nothing but the space, the name of the study and what it was told determines a suggestion: a
    sweep that was killed comes to the same settings again.
    """

    @abstractmethod
    def ask(self) -> dict[str, Any]:
        """Suggest a setting; each is answered by ``tell`` before the next is asked for."""

    @abstractmethod
    def tell(self, value: float | None) -> None:
        """Say what the setting came to, less being better; None if it failed."""


@final
class GridTuner(AbstractTuner):
    """All combinations, in the order in which they are written.

    Parameters
    ----------
    space : mapping
        Names of fields with lists.
    """

    def __init__(self, space: Mapping[str, Any]) -> None:
        self._left = iter(grid(space))

    def ask(self) -> dict[str, Any]:
        """Return the next combination."""
        return next(self._left)

    def tell(self, value: float | None) -> None:
        """Nothing follows from it."""


@final
class OptunaTuner(AbstractTuner):
    """Optuna's tree-structured Parzen estimator.

    Parameters
    ----------
    space : mapping
        Names of fields with lists or ranges.
    study : str
        What tells this study from others; its hash seeds the sampler.

    Raises
    ------
    MissingDependencyError
        If Optuna is not installed.
    """

    def __init__(self, space: Mapping[str, Any], study: str) -> None:
        optuna: Any = import_optional("optuna", "sweep")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=_AT_RANDOM, seed=int(digest(study)[:8], 16)
        )
        self._space = dict(space)
        self._study = optuna.create_study(sampler=sampler)
        self._failed = optuna.trial.TrialState.FAIL

    def ask(self) -> dict[str, Any]:
        """Return the sampler's suggestion."""
        self._trial = self._study.ask()
        return {name: self._suggest(name, axis) for name, axis in self._space.items()}

    def tell(self, value: float | None) -> None:
        """Let the sampler know."""
        if value is None:
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, value)

    def _suggest(self, name: str, axis: Any) -> Any:
        if not isinstance(axis, Range):
            # by its place: the sampler takes no lists as values
            return axis[self._trial.suggest_categorical(name, range(len(axis)))]
        if axis.whole:
            return self._trial.suggest_int(name, axis.low, axis.high, log=axis.log)
        return self._trial.suggest_float(name, axis.low, axis.high, log=axis.log)
