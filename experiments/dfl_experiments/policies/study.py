"""What a study of policies measures, and what a cell of it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final, get_args

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.problems.study import AbstractStudy


@final
@dataclass(frozen=True)
class Score:
    """One of the numbers that a policy is judged by.

    Attributes
    ----------
    label : str
        With its unit, for tables and pictures.
    better : "higher", "lower" or None
        None: neither is better, so that there is no probability of improvement.
    """

    label: str
    better: Literal["higher", "lower"] | None = "higher"


@final
@dataclass(frozen=True)
class PolicyOutcome:
    """What one method came to with one seed.

    Attributes
    ----------
    scores : mapping of str to float
        By the names of the study's ``scores``; a score that does not apply is left out.
    spent : mapping of str to float
        What learning took, by kind, such as the ``counts`` of a ``Budget``; not what judging took.
    seconds : float
        Of learning.
    curve : sequence of mappings of str to float
        Points on the way: each has some of the study's ``axes`` and some of its ``scores``.
    shown : mapping of str to anything that JSON has
        What the study's own ``files`` are made of.
    """

    scores: Mapping[str, float]
    spent: Mapping[str, float]
    seconds: float
    curve: Sequence[Mapping[str, float]] = field(default=())
    shown: Mapping[str, Any] = field(default_factory=dict)


class AbstractPolicyStudy(AbstractStudy):
    """A problem that policies are learned for, and how they are judged.

    A leaf adds ``kind: Literal["..."]``, its fields, and the class attributes.
    """

    scores: ClassVar[Mapping[str, Score]]
    """What is measured, by names such as ``"solved"``."""
    axes: ClassVar[Mapping[str, str]] = {}
    """What curves run over: labels by names, such as ``{"env_steps": "environment steps"}``."""
    chosen_by: ClassVar[str]
    """The score by which settings are chosen, best measured on data that others are not."""
    accepts: ClassVar[tuple[type[AbstractPolicyMethod], ...]]
    """The methods that go with it."""

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Refuse methods of other studies, and what the methods themselves refuse."""
        del seed
        for method in methods:
            if not isinstance(method, self.accepts):
                tags = [
                    get_args(leaf.model_fields["algorithm"].annotation) for leaf in self.accepts
                ]
                names = ", ".join(tag for found in tags for tag in found)
                raise InvalidInputError(
                    f"methods.{method.name}.algorithm: got {method.algorithm!r}, which is not for "
                    f"{self.kind}; expected one of: {names}"  # type: ignore[attr-defined]
                )
            method.check(self)

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Let a method learn, and keep what it came to.

        Raises
        ------
        UnsupportedError
            If a number that it returned is not finite.
        """
        found: PolicyOutcome = method.run(self, seed)
        unknown = [name for name in found.scores if name not in self.scores]
        if unknown:
            raise UnsupportedError(
                f"{method.name}: got scores {unknown}, expected some of: {', '.join(self.scores)}"
            )
        points = [dict(found.scores), dict(found.spent), *map(dict, found.curve)]
        for point in points:
            for name, value in point.items():
                if not math.isfinite(value):
                    raise UnsupportedError(
                        f"{method.name}, seed {seed}: got {name} = {value}, expected a number; it "
                        "has diverged"
                    )
                point[name] = float(value)
        scores, spent, *curve = points
        return {
            "scores": scores,
            "spent": spent,
            "seconds": float(found.seconds),
            "curve": curve,
            "shown": dict(found.shown),
        }

    def files(self, cells: Sequence[tuple[str, int, Mapping[str, Any]]]) -> dict[str, bytes]:
        """Make files of its own, such as pictures, for the folder of a run.

        Parameters
        ----------
        cells : sequence of (str, int, mapping)
            Name of a method, seed, and its ``scores`` and what it had ``shown``, by these names.

        Returns
        -------
        dict of str to bytes
            By the names of the files; none by default.
        """
        del cells
        return {}
