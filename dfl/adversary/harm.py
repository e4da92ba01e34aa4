"""What adversaries make large."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from dfl.adversary.base import Map, Victim
from dfl.exceptions import InvalidInputError

Harm = Literal["kl", "value", "surrogate"]


def divergence(reference: Distribution, law: Distribution) -> Tensor:
    r"""Divergence of each row of a reference from another law.

    Parameters
    ----------
    reference, law : torch.distributions.Distribution
        Of one family, with n rows; where each row is several independent numbers, they are summed.

    Returns
    -------
    Tensor of shape (n,)
        One number a row, never negative.

    Notes
    -----
    ``KL(reference || law)``; for normal laws of equal deviations, half the squared distance of the
    means in units of the deviations.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Normal
    >>> from dfl.adversary import divergence
    >>> divergence(Normal(torch.zeros(1, 2), 0.5), Normal(torch.full((1, 2), 0.2), 0.5))
    tensor([0.1600])
    """
    values = kl_divergence(reference, law)
    return values.flatten(1).sum(1) if values.ndim > 1 else values


def checked_harm(harm: str, owner: str) -> None:
    """Refuse an unknown harm."""
    if harm not in get_args(Harm):
        raise InvalidInputError(
            f"{owner}: got harm={harm!r}, expected one of: {', '.join(get_args(Harm))}"
        )


def harm_to(victim: Victim, harm: str, inputs: Tensor) -> Map:
    """Return what moving from the inputs does to a victim, as a function to (n,)."""
    missing = "law" if harm == "kl" else harm
    function = getattr(victim, missing)
    if function is None:
        raise InvalidInputError(
            f"an adversary that attacks {harm!r} needs a Victim with {missing}, got none"
        )
    if harm == "kl":
        with torch.no_grad():
            reference = function(inputs)
        return lambda moved: divergence(reference, function(moved))
    if harm == "value":
        return lambda moved: -function(moved)
    return lambda moved: function(moved)
