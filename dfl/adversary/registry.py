"""Adversaries by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dfl.adversary.base import AbstractAdversary
from dfl.adversary.exact import ExactAdversary
from dfl.adversary.gradient import GradientAdversary
from dfl.adversary.identity import IdentityAdversary
from dfl.adversary.learned import LearnedAdversary
from dfl.adversary.random import RandomAdversary
from dfl.exceptions import InvalidInputError

ADVERSARIES: dict[str, Callable[..., AbstractAdversary]] = {
    "identity": IdentityAdversary,
    "random": RandomAdversary,
    "kl": partial(GradientAdversary, harm="kl"),
    "value": partial(GradientAdversary, harm="value"),
    "surrogate": partial(GradientAdversary, harm="surrogate"),
    "learned": LearnedAdversary,
    "exact": ExactAdversary,
}


def make_adversary(
    kind: str, epsilon: float, parameters: Mapping[str, Any] | None = None
) -> AbstractAdversary:
    """Make an adversary by its name, so that a string selects it.

    Parameters
    ----------
    kind : {"identity", "random", "kl", "value", "surrogate", "learned", "exact"}
        ``"kl"``, ``"value"`` and ``"surrogate"`` are a ``GradientAdversary`` with that harm;
        ``"learned"`` needs a ``network``.
    epsilon : float
        Radius of the ball in the largest-coordinate norm.
    parameters : mapping, optional
        The adversary's own parameters, such as ``{"steps": 5}``.

    Returns
    -------
    AbstractAdversary
        The adversary, of the strength that was asked for.

    Raises
    ------
    InvalidInputError
        If the name, a parameter or its value is unknown.

    Examples
    --------
    >>> from dfl.adversary import make_adversary
    >>> make_adversary("kl", 0.1, {"steps": 5})
    GradientAdversary(epsilon=0.1, harm='kl', steps=5, method=None, temperature=1e-05)
    """
    if kind not in ADVERSARIES:
        raise InvalidInputError(
            f"got adversary {kind!r}, expected one of: {', '.join(ADVERSARIES)}"
        )
    try:
        return ADVERSARIES[kind](epsilon, **dict(parameters or {}))
    except TypeError as error:
        raise InvalidInputError(
            f"adversary {kind!r}: got the parameters {dict(parameters or {})}: {error}"
        ) from error
