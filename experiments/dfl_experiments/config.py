"""Configurations: YAML and ``--set key=value`` in, checked models out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, final

import yaml
from pydantic import Field, NonNegativeInt, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.design.methods import Elimination, Linear, Reference
from dfl_experiments.design.study import AbstractDesignStudy
from dfl_experiments.design.worlds import (
    LinearCosts,
    LLMAllocation,
    LLMRouting,
    Misspecified,
    ScaleDecoys,
    TabularBall,
)
from dfl_experiments.measures import MEASURES
from dfl_experiments.methods import (
    MINIMUM,
    AbstractMethod,
    DecisionFocused,
    EqualWeight,
    ExpectedCosts,
    TwoStage,
)
from dfl_experiments.problems import (
    EnergyProblem,
    EntropyPortfolioProblem,
    KnapsackProblem,
    OrdinalClassesProblem,
    OrdinalDigitsProblem,
    PortfolioProblem,
    PortfolioSP500Problem,
    ShortestPathProblem,
)
from dfl_experiments.problems.study import AbstractStudy

Problem = Annotated[
    ShortestPathProblem
    | KnapsackProblem
    | PortfolioProblem
    | PortfolioSP500Problem
    | EnergyProblem
    | EntropyPortfolioProblem
    | OrdinalClassesProblem
    | OrdinalDigitsProblem,
    Field(discriminator="kind"),
]
Method = Annotated[TwoStage | DecisionFocused | EqualWeight, Field(discriminator="estimator")]
DesignProblem = Annotated[
    ScaleDecoys | Misspecified | TabularBall | LinearCosts | LLMAllocation | LLMRouting,
    Field(discriminator="kind"),
]
DesignMethod = Annotated[Elimination | Linear | Reference, Field(discriminator="learner")]
# the models behind the tags that pydantic puts into the location of an error
_TAGGED: Mapping[str, type[AbstractModel]] = {
    "shortest-path": ShortestPathProblem,
    "knapsack": KnapsackProblem,
    "portfolio": PortfolioProblem,
    "portfolio-sp500": PortfolioSP500Problem,
    "energy": EnergyProblem,
    "entropy-portfolio": EntropyPortfolioProblem,
    "ordinal-classes": OrdinalClassesProblem,
    "ordinal-digits": OrdinalDigitsProblem,
    "two-stage": TwoStage,
    "decision-focused": DecisionFocused,
    "equal-weight": EqualWeight,
    "scale-decoys": ScaleDecoys,
    "misspecified": Misspecified,
    "tabular-ball": TabularBall,
    "linear-costs": LinearCosts,
    "llm-allocation": LLMAllocation,
    "llm-routing": LLMRouting,
    "elimination": Elimination,
    "linear": Linear,
    "reference": Reference,
}


class AbstractConfig(AbstractModel):
    """What all runs have."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: Any) -> Any:
        return parse_seeds(value) if isinstance(value, str | int) else value


@final
class RunConfig(AbstractConfig):
    """One problem, some methods, some seeds."""

    problem: Problem
    methods: tuple[Method, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(
        default=("normalized-regret", "normalized-regret-mean"), min_length=1
    )

    @property
    def compared(self) -> list[AbstractMethod]:
        """The methods, and the theoretical minimum where it is known."""
        return [*self.methods, *([ExpectedCosts()] if self.problem.draws_data else [])]

    @field_validator("metrics")
    @classmethod
    def _know_metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in MEASURES:
                raise _custom(f"got {name!r}, expected {_one_of(name, MEASURES)}")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> RunConfig:
        _check_names([*(method.name for method in self.methods), MINIMUM])
        returns = self.problem.decisions_per_year is not None
        for name in self.metrics:
            if MEASURES[name].needs_returns and not returns:
                raise _custom(f"metrics: {name!r} is for problems with dated returns, not for this")
        for method in self.methods:
            if isinstance(method, EqualWeight) and "portfolio" not in self.problem.kind:
                raise _custom(
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
        _check_names(names)
        for name in self.baselines:
            if name not in names:
                raise _custom(f"baselines: got {name!r}, expected {_one_of(name, names)}")
        return self

    def baseline(self, method: DesignMethod) -> str | None:
        """Return the baseline of the method's learner and loss, else the first; not itself."""
        families = {other.name: other.family for other in self.methods}
        own = [name for name in self.baselines if families[name] == method.family]
        found = next(iter([*own, *self.baselines]), None)
        return None if found == method.name else found


Config = RunConfig | DesignConfig


@final
class SuiteConfig(AbstractModel):
    """Several recipes, run one after the other."""

    name: str
    description: str = ""
    recipes: tuple[Config, ...] = Field(min_length=1)


def recipes() -> dict[str, str]:
    """Return the shipped recipes: a name and a one-line description each."""
    found = {}
    for path in sorted(_folder().iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            raw = _parse(path.read_text(encoding="utf-8"), path.name)
            found[path.name.removesuffix(".yaml")] = str(raw.get("description", ""))
    return found


def load(
    source: str, settings: Sequence[str] = (), seeds: str | None = None
) -> Config | SuiteConfig:
    """Read a recipe or a file, change it by settings, and check it.

    Parameters
    ----------
    source : str
        Name of a shipped recipe, or path of a YAML file.
    settings : sequence of str
        ``"key=value"``, the key a dotted path; an item of a list is addressed by its name or
        number, and a recipe of a suite by its name.
    seeds : str, optional
        Such as ``"0:10"`` or ``"1,2,5"``; for a suite, the seeds of each recipe that draws data.

    Raises
    ------
    InvalidInputError
        If anything is unknown or has a wrong value; the message names the key and near matches.
    """
    raw = _read(source)
    if "recipes" not in raw:
        for setting in settings:
            _set(raw, *_split(setting))
        if seeds is not None:
            raw["seeds"] = parse_seeds(seeds, "--seeds")
        return _checked_run(raw, source)
    return _load_suite(raw, source, settings, seeds)


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


def _load_suite(
    raw: dict[str, Any], source: str, settings: Sequence[str], seeds: str | None
) -> SuiteConfig:
    for key in raw:
        if key not in SuiteConfig.model_fields:
            raise InvalidInputError(
                f"{source}: {key}: unknown key, expected {_one_of(key, SuiteConfig.model_fields)}"
            )
    names = raw["recipes"]
    if not isinstance(names, list) or not names:
        raise InvalidInputError(f"{source}: recipes: got {names!r}, expected a list of recipes")
    members = {str(name): _read(str(name)) for name in names}
    for setting in settings:
        path, value = _split(setting)
        if path[0] not in members or len(path) < 2:
            raise InvalidInputError(
                f"--set {'.'.join(path)}: this is a suite: the key must begin with the name of a "
                f"recipe, {_one_of(path[0], members)}"
            )
        _set(members[path[0]], path[1:], value)
    checked = []
    for name, member in members.items():
        if "recipes" in member:
            raise InvalidInputError(f"{source}: recipes: {name!r} is a suite itself")
        run = _checked_run(member, name)
        if seeds is not None and run.problem.draws_data:
            run = _checked_run({**member, "seeds": parse_seeds(seeds, "--seeds")}, name)
        checked.append(run)
    return SuiteConfig(
        name=str(raw.get("name", source)),
        description=str(raw.get("description", "")),
        recipes=tuple(checked),
    )


def _folder() -> Any:
    return resources.files("dfl_experiments") / "configs"


def _read(source: str) -> dict[str, Any]:
    if source.endswith((".yaml", ".yml")) or "/" in source or "\\" in source:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{source} is not a text file in UTF-8") from error
        except OSError as error:
            raise InvalidInputError(f"cannot read {source}: {error.strerror}") from error
        return _parse(text, source)
    known = [path.name.removesuffix(".yaml") for path in _folder().iterdir()]
    known = sorted(name for name in known if not name.startswith("_"))
    if source not in known:
        raise InvalidInputError(
            f"unknown recipe {source!r}, expected a .yaml file or {_one_of(source, known)}"
        )
    return _parse((_folder() / f"{source}.yaml").read_text(encoding="utf-8"), source)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        raw = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise InvalidInputError(f"{source}{where}: not valid YAML: {problem}") from error
    if not isinstance(raw, dict):
        raise InvalidInputError(
            f"{source}: got {type(raw).__name__}, expected keys such as problem and methods"
        )
    return raw


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: 1.1 reads 1:10 as the number 70, and 1e-3 as a text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|", "~n"),
    ("bool", r"true|True|false|False", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first, ""] if _tag == "null" else list(_first),
    )


def _split(setting: str) -> tuple[list[str], Any]:
    key, equals, text = setting.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        raise InvalidInputError(f"--set {setting}: expected key=value, such as problem.degree=6")
    try:
        return path, yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"--set {key}: {text!r} is not a YAML value") from error


def _set(raw: dict[str, Any], path: Sequence[str], value: Any) -> None:
    node: Any = raw
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        where = ".".join(path[: depth + 1])
        if isinstance(node, list):
            names = [item.get("name") for item in node if isinstance(item, dict)]
            if part in names:
                index = names.index(part)
            elif part.isdecimal() and int(part) < len(node):
                index = int(part)
            else:
                known = [str(name) for name in names]
                raise InvalidInputError(f"--set {where}: unknown, expected {_one_of(part, known)}")
            if last:
                node[index] = value
            node = node[index]
        elif isinstance(node, dict):
            if last:
                node[part] = value
            node = node.setdefault(part, {})
        else:
            raise InvalidInputError(
                f"--set {where}: {'.'.join(path[:depth])} is a plain value without keys"
            )


def _checked_run(raw: Mapping[str, Any], source: str) -> Config:
    kind = _step(raw.get("problem"), "kind")
    designs = {name for name, leaf in _TAGGED.items() if issubclass(leaf, AbstractDesignStudy)}
    model: type[Config] = DesignConfig if kind in designs else RunConfig
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InvalidInputError(f"{source}: {_explain(error, raw, model)}") from error


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _custom(f"methods: the name {name!r} is taken, expected one name a method")


def _explain(error: ValidationError, raw: Any, model: type[AbstractConfig]) -> str:
    """Say in one line what is wrong first, in the words of the configuration."""
    first = error.errors(include_url=False)[0]
    kind, location = first["type"], first["loc"]
    node, shown = raw, []
    for part in location:
        if isinstance(node, Mapping) and part not in node and part in _TAGGED:
            continue  # the tag that chose the model is no key
        node = _step(node, part)
        named = isinstance(part, int) and isinstance(node, Mapping) and "name" in node
        shown.append(str(node["name"] if named else part))
    key = ".".join(shown)
    if kind == "extra_forbidden":
        owner = next(
            (_TAGGED[p] for p in location[:-1] if isinstance(p, str) and p in _TAGGED), model
        )
        return f"{key}: unknown key, expected {_one_of(str(location[-1]), owner.model_fields)}"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "union_tag_not_found":
        return f"{key}: missing {first['ctx']['discriminator']}, which says what it is"
    if kind == "union_tag_invalid":
        tag, field = first["ctx"]["tag"], first["ctx"]["discriminator"].strip("'")
        tags = re.findall(r"'([^']*)'", first["ctx"]["expected_tags"])
        if field == "kind":
            tags = [name for name, leaf in _TAGGED.items() if issubclass(leaf, AbstractStudy)]
        return f"{key}.{field}: got {tag!r}, expected {_one_of(tag, tags)}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return f"{key}: got {first['input']!r}, expected {_one_of(str(first['input']), choices)}"
    if kind == "config":
        return f"{key}: {first['msg']}" if key else first["msg"]
    return f"{key}: got {_short(first['input'])}, expected {_expected(first['msg'])}"


def _expected(message: str) -> str:
    """Turn a message of pydantic into the end of a sentence, in the words of YAML."""
    text = message.removeprefix("Input should be ").partition(", unable to parse")[0]
    text = text[:1].lower() + text[1:]
    if text.startswith(("greater", "less")):
        return f"a number {text}"
    for theirs, ours in (
        ("tuple", "list"),
        ("a valid dictionary or object to extract fields from", "keys with values"),
        (" after validation, not 0", ""),
    ):
        text = text.replace(theirs, ours)
    return text


def _step(node: Any, part: Any) -> Any:
    try:
        return node[part]
    except (KeyError, IndexError, TypeError):
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _custom(message: str) -> PydanticCustomError:
    return PydanticCustomError("config", "{message}", {"message": message})


def _one_of(got: str, known: Iterable[str]) -> str:
    """List what is known, and what was perhaps meant."""
    known = list(known)
    near = difflib.get_close_matches(got, known, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"one of: {', '.join(known)}{hint}"
