"""How strong an adversary is in the course of training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError


class AbstractStrength(ABC):
    """A strength from 0 to 1: the share of the adversary in the objective, or of its radius."""

    @abstractmethod
    def at(self, progress: float) -> float:
        """Return the strength when a share ``progress`` from 0 to 1 of training is done."""

    @property
    def observes(self) -> bool:
        """Whether it asks for scores."""
        return type(self).observe is not AbstractStrength.observe

    def observe(self, score: float) -> None:
        """Be told how the model does without an adversary, higher is better; most do not ask."""
        del score

    def state_dict(self) -> dict[str, Tensor]:
        """Return what the strength depends on beside progress."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        del state


@final
@dataclass(frozen=True)
class ConstantStrength(AbstractStrength):
    """The same strength throughout.

    Parameters
    ----------
    value : float, default=1.0
        0 is no adversary, 1 the whole one.

    Examples
    --------
    >>> from dfl.adversary import ConstantStrength
    >>> ConstantStrength(0.3).at(0.5)
    0.3
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no strength."""
        _check("ConstantStrength", value=self.value)

    def at(self, progress: float) -> float:
        """Return the strength."""
        del progress
        return self.value


@final
@dataclass(frozen=True)
class WindowStrength(AbstractStrength):
    """No adversary at first, the whole one at last, and a line in between.

    Parameters
    ----------
    start, stop : float, default=0.3, 0.8
        Shares of training at which it begins to rise, and is at its highest.
    highest : float, default=1.0
        The strength from the end of the window on.

    Examples
    --------
    >>> from dfl.adversary import WindowStrength
    >>> [WindowStrength(0.25, 0.75).at(progress) for progress in (0.0, 0.5, 1.0)]
    [0.0, 0.5, 1.0]
    """

    start: float = 0.3
    stop: float = 0.8
    highest: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no window."""
        _check("WindowStrength", start=self.start, stop=self.stop, highest=self.highest)
        if not self.start < self.stop:
            raise InvalidInputError(
                f"WindowStrength: got start={self.start} and stop={self.stop}, expected a start "
                "below the stop"
            )

    def at(self, progress: float) -> float:
        """Return the strength."""
        risen = (progress - self.start) / (self.stop - self.start)
        return self.highest * min(1.0, max(0.0, risen))


@final
class AdaptiveStrength(AbstractStrength):
    """Rises once the model without an adversary stops improving, and falls where that is lost.

    Progress does not matter; ``observe`` has to be called with the score from time to time.

    Parameters
    ----------
    step : float, default=0.05
        What the strength changes by.
    stall : float, default=0.01
        The strength rises if the score improved by no more than this over the last ``patience``
        observations, in units of the range from the first score to the best.
    patience : int, default=20
        Calls without a better score after which the strength rises.
    tolerance : float, default=0.1
        The strength falls if the score is further than this below the best, in the same units.

    Raises
    ------
    InvalidInputError
        If a share is not between 0 and 1, ``step`` is 0, or ``patience`` is below 1.

    Notes
    -----
    A proposal, measured on small exact models only: see the user guide.

    Examples
    --------
    >>> from dfl.adversary import AdaptiveStrength
    >>> strength, found = AdaptiveStrength(step=0.5, patience=1), []
    >>> for score in (0.0, 0.5, 1.0, 1.0, 1.0, 0.2):
    ...     strength.observe(score)
    ...     found.append(strength.at(0.0))
    >>> found
    [0.0, 0.0, 0.0, 0.5, 1.0, 0.5]
    """

    def __init__(
        self, step: float = 0.05, stall: float = 0.01, patience: int = 20, tolerance: float = 0.1
    ) -> None:
        _check("AdaptiveStrength", step=step, stall=stall, tolerance=tolerance)
        if step == 0 or patience < 1:
            raise InvalidInputError(
                f"AdaptiveStrength: got step={step} and patience={patience}, expected a positive "
                "number and at least 1"
            )
        self.step = step
        self.stall = stall
        self.patience = patience
        self.tolerance = tolerance
        self._strength = 0.0
        self._range: tuple[float, float] | None = None
        self._recent: list[float] = []

    def __repr__(self) -> str:
        return (
            f"AdaptiveStrength(step={self.step}, stall={self.stall}, patience={self.patience}, "
            f"tolerance={self.tolerance})"
        )

    def at(self, progress: float) -> float:
        """Return the strength, whatever the progress."""
        del progress
        return self._strength

    def observe(self, score: float) -> None:
        """Be told how the model does without an adversary; higher is better."""
        first, best = self._range or (score, score)
        best = max(best, score)
        scale = best - first
        stalled = len(self._recent) >= self.patience and scale > 0
        if score < best - self.tolerance * scale:
            self._strength = max(0.0, self._strength - self.step)
        elif stalled and score - self._recent[-self.patience] <= self.stall * scale:
            self._strength = min(1.0, self._strength + self.step)
        self._range = first, best
        self._recent = [*self._recent, score][-self.patience :]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the strength, the first and the best score, and the last ones."""
        if self._range is None:
            return {}
        state = [self._strength, *self._range, *self._recent]
        return {"strength": torch.tensor(state, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        self._strength, self._range, self._recent = 0.0, None, []
        if "strength" in state:
            self._strength, first, best, *self._recent = state["strength"].tolist()
            self._range = first, best


def _check(owner: str, **shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InvalidInputError(f"{owner}: got {name}={value}, expected a number from 0 to 1")
