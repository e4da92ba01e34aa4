"""What a method may be tuned over: lists and ranges of its own fields."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, final

from pydantic import Discriminator, Field, Tag, model_validator

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.config_errors import custom


@final
class Range(AbstractModel):
    """Numbers between two bounds; whole ones if both bounds are."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether to draw evenly on the scale of logarithms."""

    @model_validator(mode="after")
    def _have_inside(self) -> Range:
        if not self.low < self.high:
            raise custom(f"got low={self.low} and high={self.high}, expected low < high")
        if self.log and self.low <= 0:
            raise custom(f"got low={self.low} with log: true, expected a positive number")
        return self

    @property
    def whole(self) -> bool:
        """Whether it has whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices = Annotated[tuple[Any, ...], Field(min_length=1)]
Axis = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "range" if isinstance(value, dict | Range) else "choices"),
]
"""A list of values, or a range."""
Space = dict[str, Axis]
"""By the names of fields; ``loss_parameters.sigma`` is an item of one that is a mapping."""


def grid(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all combinations of the lists of a space, the last list running fastest.

    Examples
    --------
    >>> grid({"alpha": (1, 2), "features": ("given", "spline")})[1]
    {'alpha': 1, 'features': 'spline'}
    """
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def n_combinations(space: Mapping[str, Any]) -> int:
    """Return how many combinations the lists of a space have, without making them."""
    return math.prod(map(len, space.values()))


def ranges(space: Mapping[str, Any]) -> list[str]:
    """Return the names of what is a range, of which there is no list of all values."""
    return [name for name, axis in space.items() if isinstance(axis, Range)]


def corners(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return settings that have each value of each list and each bound of each range."""
    values = [(a.low, a.high) if isinstance(a, Range) else a for a in space.values()]
    return [
        {name: each[min(place, len(each) - 1)] for name, each in zip(space, values, strict=True)}
        for place in range(max(map(len, values), default=0))
    ]


def merged(fields: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields changed by a setting, whose names may be dotted.

    Raises
    ------
    InvalidInputError
        If there is a dot after the name of a field that is no mapping.

    Examples
    --------
    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 5, "b.c": 4})
    {'a': 5, 'b': {'c': 4, 'd': 3}}
    """
    found = dict(fields)
    for name, value in setting.items():
        field, dot, key = name.partition(".")
        inside = found.get(field) or {}
        if dot and not isinstance(inside, Mapping):
            raise InvalidInputError(f"got {name!r}, expected {field!r}, which has no parts")
        found[field] = {**inside, key: value} if dot else value
    return found
