"""What papers have published for the problems of recipes, and what a replication must hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isfinite
from statistics import median
from typing import Annotated, Literal, final

import yaml
from pydantic import Field

from dfl_experiments.base import AbstractModel


@final
class Number(AbstractModel):
    """A published number, in percent."""

    value: float
    spread: float | None = None
    """Standard deviation over repetitions, where it is published."""

    def __str__(self) -> str:
        return f"{self.value:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f}")


@final
class Criterion(AbstractModel):
    """A range that a median over seeds must lie in.

    Ranges are wider than those in which 99 % of the medians of ten of the published runs lie.
    """

    name: str
    problem: str
    method: str
    relative_to: str | None = None
    """Ratio to this method, seed by seed; None for percent."""
    low: float = float("-inf")
    high: float = float("inf")
    above: float = float("-inf")
    """Not met by the bound itself, as ``low`` is: a tie is no win."""
    model_config = AbstractModel.model_config | {"allow_inf_nan": True}


@final
class Published(AbstractModel):
    """What one paper says about the problems of some recipes."""

    source: str
    statistic: Literal["mean", "median"]
    """Over repetitions; a spread is that of a mean."""
    metric: str
    differences: Annotated[tuple[str, ...], Field(min_length=1)]
    """How the recipes differ from the paper."""
    numbers: Mapping[str, Mapping[str, Number]]
    """By problem, as recipes call it, and method; none where a paper only draws them."""
    criteria: tuple[Criterion, ...] = ()


@final
@dataclass(frozen=True)
class Verdict:
    """Whether a median over seeds lies where a criterion wants it.

    Attributes
    ----------
    criterion : Criterion
    median : float
        In percent, or a ratio.
    n_seeds : int
        Seeds that it is the median of.
    """

    criterion: Criterion
    median: float
    n_seeds: int

    @property
    def met(self) -> bool:
        """Whether it does."""
        wanted = self.criterion
        return wanted.low <= self.median <= wanted.high and self.median > wanted.above

    def __str__(self) -> str:
        wanted = self.criterion
        what = f"median regret of {wanted.method}, %"
        if wanted.relative_to is not None:
            what = f"median ratio of {wanted.method} to {wanted.relative_to}"
        bounds = [f"at least {wanted.low:g}"] if isfinite(wanted.low) else []
        bounds += [f"above {wanted.above:g}"] if isfinite(wanted.above) else []
        bounds += [f"at most {wanted.high:g}"] if isfinite(wanted.high) else []
        return (
            f"{'met' if self.met else 'MISSED'}: {wanted.name}, {wanted.problem}: {what}: "
            f"{self.median:.3f} over {self.n_seeds} seeds, expected {' and '.join(bounds)}"
        )


def judge(
    criteria: Sequence[Criterion], regrets: Mapping[tuple[str, str], Mapping[int, float]]
) -> list[Verdict]:
    """Hold a replication against its criteria.

    Parameters
    ----------
    criteria : sequence of Criterion
        What the publication says.
    regrets : mapping
        By problem and method: the normalized regret of each seed.

    Returns
    -------
    list of Verdict
        In the order of the criteria; those of problems that were not run are left out.

    Examples
    --------
    >>> from dfl_experiments.published import Criterion, judge
    >>> wanted = Criterion(name="a wins", problem="p", method="a", relative_to="b", high=0.9)
    >>> print(*judge([wanted], {("p", "a"): {0: 0.1, 1: 0.2}, ("p", "b"): {0: 0.2, 1: 0.2}}))
    met: a wins, p: median ratio of a to b: 0.750 over 2 seeds, expected at most 0.9
    """
    found = []
    for wanted in criteria:
        own = regrets.get((wanted.problem, wanted.method), {})
        values = [100 * value for value in own.values()]
        if wanted.relative_to is not None:
            other = regrets.get((wanted.problem, wanted.relative_to), {})
            values = [value / other[seed] for seed, value in own.items() if seed in other]
        if values:
            found.append(Verdict(wanted, median(values), len(values)))
    return found


def paper_of(recipe: str) -> Published | None:
    """Return what is published for a recipe, or for the suite that it belongs to."""
    for name, paper in published().items():
        if recipe == name or recipe.startswith(f"{name}-"):
            return paper
    return None


def numbers_of(recipe: str, metric: str) -> Published | None:
    """Return what is published for a recipe if it is in this metric."""
    paper = paper_of(recipe)
    return paper if paper is not None and paper.metric == metric else None


@cache
def published() -> Mapping[str, Published]:
    """Read what is published, by the name of the recipe or suite.

    Examples
    --------
    >>> from dfl_experiments.published import published
    >>> str(published()["pyepo-tsp"].numbers["traveling-salesman, n 1000, degree 4, noise 0.5"]
    ...     ["spo+"])
    '6.82 ± 0.31'
    """
    text = resources.files("dfl_experiments").joinpath("published.yaml").read_text("utf-8")
    found = {}
    for name, raw in yaml.safe_load(text).items():
        raw["numbers"] = {
            problem: {
                method: {"value": pair} if isinstance(pair, float | int)
                else {"value": pair[0], "spread": pair[1]}
                for method, pair in methods.items()
            }
            for problem, methods in raw["numbers"].items()
        }  # fmt: skip
        found[name] = Published.model_validate(raw)
    return found
