"""Fitted estimators to folders and back, without pickle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from torch import nn

import dfl.estimators
from dfl.estimators._model_folder import read_folder, write_folder
from dfl.estimators._reader import Reader
from dfl.estimators._writer import Writer
from dfl.exceptions import InvalidInputError

Estimator = TypeVar("Estimator")


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save a fitted estimator; see ``BaseDecisionEstimator.save``."""
    writer = Writer(getattr(estimator, "oracle", None))
    content = {"class": type(estimator).__name__, "state": writer.state(estimator, "")}
    write_folder(path, content, writer.parts)


def load(path: str | os.PathLike[str], predictor: nn.Module | None = None) -> Any:
    """Load an estimator that its method ``save`` saved.

    Nothing in the folder is run: it names classes of this package and of scikit-learn, and holds
    numbers. Folders from elsewhere are safe to open.

    Parameters
    ----------
    path : path
        The folder.
    predictor : nn.Module, optional
        Where the estimator was given a module of your own: one of the same architecture. It is
        copied, and the saved weights are put into the copy.

    Returns
    -------
    Estimator
        With the same parameters, predictions and decisions.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InvalidInputError
        If the folder is of another kind or of a newer version, a file is missing or was changed,
        or the predictor is missing or has another architecture.

    Examples
    --------
    >>> import tempfile
    >>> import dfl
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(100, random_state=0)
    >>> model = dfl.PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model")
    ...     again = dfl.load(f"{folder}/model")
    >>> bool((again.predict(data.X) == model.predict(data.X)).all())
    True
    """
    return load_as(path, _leaf, predictor)


def load_as(
    path: str | os.PathLike[str], leaf_of: Callable[[str], Any], module: nn.Module | None
) -> Any:
    """Load an estimator of the class that a function finds for its name; see ``load``."""
    content = read_folder(path)
    try:
        leaf = leaf_of(content["class"])
        estimator = Reader(Path(path), module, _leaf).estimator(leaf, content["state"])
    except InvalidInputError as error:
        raise InvalidInputError(f"{os.fspath(path)}: {error}") from error
    except (KeyError, TypeError, AttributeError, SafetensorError, ValueError) as error:
        raise InvalidInputError(
            f"{os.fspath(path)} does not describe an estimator of this version: "
            f"{type(error).__name__}: {error}"
        ) from error
    return estimator


def load_of(
    leaf: type[Estimator],
    path: str | os.PathLike[str],
    module: nn.Module | None,
    environment: str | None = None,
) -> Estimator:
    """Load an estimator of this very class, which need not be one of ``dfl.estimators``.

    Of an attribute that held an environment, whose code is not stored, nothing is left.
    """

    def leaf_of(name: str) -> type[Estimator]:
        if name != leaf.__name__:
            raise InvalidInputError(
                f"got an estimator of class {name!r}, expected {leaf.__name__!r}"
            )
        return leaf

    estimator: Estimator = load_as(path, leaf_of, module)
    if environment is not None:  # a description of it, unless it was loaded without one
        vars(estimator).pop(environment, None)
    return estimator


def _leaf(name: str) -> type:
    leaf = getattr(dfl.estimators, name) if name in dfl.estimators.__all__ else None
    if not isinstance(leaf, type) or not issubclass(leaf, dfl.estimators.BaseDecisionEstimator):
        raise InvalidInputError(
            f"got an estimator of class {name!r}, expected one of dfl.estimators; others are "
            f"loaded by their own class: {name}.load(path)"
        )
    return leaf
