"""The SPO+ loss."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dfl.losses.base import AbstractLoss
from dfl.losses.closed_form import Truth
from dfl.losses.target import Target
from dfl_solvers.oracle import Array


@final
class SPOPlusLoss(AbstractLoss):
    r"""Convex upper bound of regret: the first choice when true costs are known.

    One solve per sample and step. Its minimizer is the conditional mean of the costs where their
    noise is symmetric; with skewed noise it differs.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.

    Notes
    -----
    For predicted costs p, true costs c and an optimal decision w*(c)::

        l(p, c) = max_w {(c - 2p).w} + 2p.w*(c) - z*(c)
                = (2p - c).(w*(c) - w*(2p - c))

    It is zero at p = c, never below the regret, and convex in p with the subgradient
    ``2 (w*(c) - w*(2p - c))``, which is what plain autograd gives. A known part of the objective
    enters as a constant.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", Management Science 2022,
    arXiv 1710.08005.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("spo+", Simplex(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(7.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """SPO+ loss of each sample, shape (n,)."""
        shifted = 2 * output - target.costs
        spoiled, objectives = self.solve(shifted, target.instance)
        values = torch.linalg.vecdot(shifted, target.decisions - spoiled)
        if self.linear_objective:
            return values
        own = objectives - torch.linalg.vecdot(shifted.detach(), spoiled)
        return values + self.own_part(target) - own

    def value_and_gradient(self, output: Array, truth: Truth) -> tuple[Array, Array]:
        """SPO+ loss (n,) and its subgradient (n, d), in place of the output."""
        run, shift, compare = _compiled()
        n = len(output)
        run(shift, n, output, truth.costs, serial=n + 1)
        solution = self.oracle.solve(output, truth.instance)
        values = np.empty(n, output.dtype)
        if truth.own is not None:
            own = solution.objectives - np.vecdot(output, solution.decisions)
        run(compare, n, output, truth.decisions, solution.decisions, values, serial=n + 1)
        if truth.own is not None:
            values += truth.own - own
        return values, output


@functools.cache  # batches are small, and an import statement notices
def _compiled() -> tuple[Callable[..., None], ...]:
    """Return ``run`` and the kernels: slow to load, and nobody trains while importing."""
    from dfl.losses._spo_plus_kernels import compare, shift
    from dfl_solvers.kernels import run

    return run, shift, compare
