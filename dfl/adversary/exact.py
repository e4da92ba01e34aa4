"""The adversary that tries every corner of the ball."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.adversary.base import AbstractAdversary, Victim
from dfl.adversary.harm import checked_harm, harm_to
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget

# coordinates of an input whose corners are tried
_WIDEST = 12


@final
@dataclass(frozen=True)
class ExactAdversary(AbstractAdversary):
    """Tries the input and every corner of the ball, and takes what hurts most.

    Exact where the harm is convex in the input, as the divergence of a linear policy is. Otherwise
    what is found is a lower bound on the worst case.

    Parameters
    ----------
    epsilon : float
        Radius of the ball in the largest-coordinate norm.
    harm : {"kl", "value", "surrogate"}, default="surrogate"
        As in ``GradientAdversary``, but it need not have a gradient here.

    Notes
    -----
    ``2^p + 1`` evaluations for each input of p coordinates, at most 12. Of what hurts equally, the
    first one is taken: the input itself comes first.

    Examples
    --------
    >>> import torch
    >>> from dfl.adversary import ExactAdversary, Victim
    >>> victim = Victim(surrogate=lambda x: (x @ torch.tensor([1.0, -3.0]) - 1) ** 2)
    >>> ExactAdversary(0.1).perturb(torch.zeros(1, 2), victim)
    tensor([[-0.1000,  0.1000]])
    """

    epsilon: float
    harm: str = "surrogate"

    def __post_init__(self) -> None:
        """Refuse parameters out of their ranges."""
        super().__post_init__()
        checked_harm(self.harm, "ExactAdversary")

    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        shape = inputs.shape[1:]
        width = math.prod(shape)
        if width > _WIDEST:
            raise InvalidInputError(
                f"ExactAdversary: got inputs of {width} coordinates, expected at most {_WIDEST}; "
                "use GradientAdversary"
            )
        budget.charge("attack_evaluations", (2**width + 1) * len(inputs))
        harm = harm_to(victim, self.harm, inputs)
        with torch.no_grad():
            worst, most = inputs, harm(inputs)
            for signs in itertools.product((-1.0, 1.0), repeat=width):
                moved = inputs + radius * torch.tensor(signs).to(inputs).reshape(shape)
                value = harm(moved)
                better = value > most
                most = value.where(better, most)
                worst = moved.where(better.reshape(-1, *[1] * len(shape)), worst)
        return worst
