"""A way to learn a policy, and the settings that it may be tuned over."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator

from dfl_experiments.base import AbstractModel
from dfl_experiments.config_errors import custom

if TYPE_CHECKING:
    from dfl_experiments.policies.study import PolicyOutcome

# what makes a method the one that it is
_FIXED = ("name", "algorithm", "settings", "trial")


class AbstractPolicyMethod(AbstractModel):
    """A method of a study of policies.

    A leaf adds ``algorithm: Literal["..."]``, its parameters as fields with defaults, and ``run``.
    """

    name: str = Field(min_length=1)
    settings: tuple[dict[str, Any], ...] = ()
    """Settings of its own fields to choose from, such as ``[{learning_rate: 0.001}, ...]``. Each is
    tried once, with the recipe's ``trial_seed``; the best by the study's ``chosen_by`` is run with
    all seeds. All methods that are tuned must have as many."""
    trial: dict[str, Any] = Field(default_factory=dict)
    """What differs in trials, such as fewer steps."""

    @field_validator("settings", "trial")
    @classmethod
    def _change_parameters_only(cls, value: Any) -> Any:
        for each in (value,) if isinstance(value, dict) else value:
            for key in _FIXED:
                if key in each:
                    raise custom(f"got {key!r}, expected parameters of the method only")
        return value

    def on_trial(self) -> Self:
        """Return the method with what differs in trials."""
        return self._with(self.trial, "")

    def finalists(self) -> list[Self]:
        """Return what the method may come to: it with each of the settings."""
        return [self.chosen(place) for place in range(len(self.settings))]

    def trials(self) -> list[Self]:
        """Return the methods to try: one for each of the settings, without any of their own."""
        return [self._with({**self.trial, **setting}, str(setting)) for setting in self.settings]

    def chosen(self, place: int) -> Self:
        """Return the method with the settings at a place."""
        return self._with(self.settings[place], "")

    def _with(self, changed: dict[str, Any], note: str) -> Self:
        own = {**self.model_dump(), "settings": (), "trial": {}, **changed}
        return type(self).model_validate({**own, "name": f"{self.name} {note}".strip()})

    def check(self, study: Any) -> None:
        """Refuse, before anything is computed, what cannot work with a study.

        Raises
        ------
        DFLError
        """

    @abstractmethod
    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn with a seed, judge, and say what was spent.

        All randomness follows from the seed. A seed is to give every method the same problems to
        be judged on, so that differences can be paired.
        """
