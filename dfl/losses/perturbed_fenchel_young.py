"""The perturbed Fenchel-Young loss."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dfl import _bridge
from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PerturbedFenchelYoungLoss(AbstractLoss):
    r"""Imitate decisions under Gaussian noise on the costs; true costs are not needed.

    Use it when only good decisions were recorded, or when SPO+ is noisy. Each step costs
    ``n_samples`` solves a sample.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    sigma : float, default=1.0
        Standard deviation of the noise, in units of the costs it is added to (estimators scale
        costs to a mean absolute value of one first).
    n_samples : int, default=1
        Number of noise draws per sample and step. The gradient is unbiased for any number.

    Raises
    ------
    InvalidInputError
        If ``sigma`` is not positive or ``n_samples`` is below one.

    Notes
    -----
    With ``F(p) = E[min_w (p + sigma Z).w]`` and an observed decision w*::

        l(p, w*) = p.w* - F(p)  =  E[(p + sigma Z).(w* - w*(p + sigma Z))]

    up to the constant Omega(w*) of the Fenchel-Young loss; the right-hand form, which is what is
    computed, is never negative in any draw. The gradient is ``w* - E[w*(p + sigma Z)]``. What the
    problem itself adds to the objective counts on both sides.

    References
    ----------
    Berthet et al., "Learning with Differentiable Perturbed Optimizers", NeurIPS 2020,
    arXiv 2002.08676.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("perturbed-fenchel-young", Simplex(3), {"sigma": 0.1})
    >>> good = Target(decisions=torch.tensor([[0.0, 0.0, 1.0]]))
    >>> loss(torch.tensor([[9.0, 9.0, 1.0]]), good)
    tensor(0.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions"})

    def __init__(self, oracle: Oracle, sigma: float = 1.0, n_samples: int = 1) -> None:
        super().__init__(oracle)
        if not sigma > 0:
            raise InvalidInputError(
                f"PerturbedFenchelYoungLoss: got sigma={sigma}, expected a positive number"
            )
        if n_samples < 1:
            raise InvalidInputError(
                f"PerturbedFenchelYoungLoss: got n_samples={n_samples}, expected at least 1"
            )
        self.sigma = sigma
        self.n_samples = n_samples
        self.generator = torch.Generator().manual_seed(0)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss of each sample, shape (n,)."""
        n, d = output.shape
        k = self.n_samples
        noise = torch.randn((n, k, d), generator=self.generator, dtype=output.dtype)
        perturbed = (output[:, None] + self.sigma * noise.to(output.device)).reshape(n * k, d)
        instance = target.instance
        if instance is not None:
            instance = {name: np.repeat(value, k, axis=0) for name, value in instance.items()}
        spoiled, objectives = _bridge.solve(self.oracle, perturbed, instance)
        target_decisions = target.decisions.repeat_interleave(k, dim=0)
        values = torch.linalg.vecdot(perturbed, target_decisions - spoiled)
        if not self.linear_objective:
            own = objectives - torch.linalg.vecdot(perturbed.detach(), spoiled)
            values = values + self.own_part(target).repeat_interleave(k) - own
        return values.reshape(n, k).mean(1)
