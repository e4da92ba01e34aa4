"""The perturbed Fenchel-Young loss."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from dfl._validation import check_at_least, check_positive
from dfl.layers.noise import noise_by_name
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PerturbedFenchelYoungLoss(AbstractLoss):
    r"""Imitate decisions under noise on the costs; true costs are not needed.

    Use it when only good decisions were recorded, or when SPO+ is noisy. Each step costs
    ``n_samples`` solves a sample, in one call.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    sigma : float, default=1.0
        Size (for normal noise, the standard deviation) of the noise, in units of the costs it is
        added to (estimators scale costs to a mean absolute value of one first); for multiplicative
        noise, of their logarithm.
    n_samples : int, default=1
        Number of noise draws per sample and step. The gradient is unbiased for any number.
    noise : {"normal", "gumbel", "multiplicative"}, default="normal"
        The law of the noise. ``"multiplicative"`` keeps the signs of the costs, for oracles that
        need them; with ``"gumbel"`` the loss on a simplex is cross-entropy. See ``dfl.layers``.

    Raises
    ------
    InvalidInputError
        If ``sigma`` is not positive, ``n_samples`` is below one or the noise has no such law.

    Notes
    -----
    For perturbed costs C, which have the mean p, with ``F(p) = E[min_w C.w]`` and an observed
    decision w*::

        l(p, w*) = p.w* - F(p)  =  E[C.(w* - w*(C))]

    up to the constant Omega(w*) of the Fenchel-Young loss; the right-hand form, which is what is
    computed, is never negative in any draw. For ``C = p + sigma Z`` the gradient is
    ``w* - E[w*(C)]``; for ``C = p f``, with random factors f, it is ``E[f (w* - w*(C))]``. What the
    problem itself adds to the objective counts on both sides.

    References
    ----------
    Berthet et al., "Learning with Differentiable Perturbed Optimizers", NeurIPS 2020,
    arXiv 2002.08676. Dalle et al., "Learning with Combinatorial Optimization Layers: a
    Probabilistic Approach", 2022, arXiv 2207.13513, for multiplicative noise.

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
    generator: torch.Generator

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 1,
        noise: Literal["normal", "gumbel", "multiplicative"] = "normal",
    ) -> None:
        super().__init__(oracle)
        check_positive(self, sigma=sigma)
        check_at_least(1, self, n_samples=n_samples)
        self.sigma = sigma
        self.n_samples = n_samples
        self.noise = noise
        self.law = noise_by_name(noise)
        self.generator = torch.Generator().manual_seed(0)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss of each sample, shape (n,)."""
        n, d = output.shape
        noise = self.law.draw((n, self.n_samples, d), output, self.generator)
        perturbed = self.law.perturb(output, noise, self.sigma)
        spoiled, objectives = self.solve(perturbed, target.instance)
        values = torch.linalg.vecdot(perturbed, target.decisions[:, None] - spoiled)
        if not self.linear_objective:
            own = objectives - torch.linalg.vecdot(perturbed.detach(), spoiled)
            values = values + self.own_part(target)[:, None] - own
        return values.mean(1)
