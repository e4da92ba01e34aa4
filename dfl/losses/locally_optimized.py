"""A loss of its own for each instance, fitted to the regret of predictions near its costs."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from dfl import _bridge
from dfl._validation import check_at_least, check_positive
from dfl.exceptions import InvalidInputError
from dfl.losses._local_forms import FORMS
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle

# least weight of a square, in units of the mean of the absolute costs
_FLOOR = 1e-3
# numbers that are solved for at a time
_MOST = 1 << 22


@final
class LocallyOptimizedLoss(AbstractLoss):
    r"""A function of the error, fitted for each instance to regrets sampled near its costs (LODL).

    All solves happen before training, ``n_samples`` an instance; training itself solves nothing.
    Use it where solves are dear and many epochs or models are to be trained on the same instances.
    A fit knows only what it has seen: predictions that err by more than ``sigma`` are judged by
    extrapolation, so that a start at least squares matters.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    form : str, default="directed"
        What is fitted: ``"weighted"``, ``"directed"``, ``"quadratic"``, ``"directed-quadratic"`` or
        ``"dense"``; see Notes. The first two are fitted exactly, and fast.
    n_samples : int, default=100
        Sampled predictions, the same number for each instance.
    sigma : float, default=1.0
        Standard deviation of their normal errors, in units of the costs (estimators scale costs to
        a mean absolute value of one first).

    Raises
    ------
    InvalidInputError
        If ``form`` is unknown or a number is out of its range.

    Notes
    -----
    Errors ``e_k`` are drawn once, for all instances alike. Instance i has the regrets ``r_ik`` of
    the decisions for ``c_i + e_k``, and the loss ``l_i(p - c_i)`` that fits them by least squares::

        weighted            l(e) = sum_j w_j e_j^2                        w >= 0
        directed            l(e) = sum_j w_j max(e_j, 0)^2 + v_j min(e_j, 0)^2     w, v >= 0
        quadratic           weighted + |F'e|^2                            four columns in F
        directed-quadratic  directed + |F'max(e, 0) + G'min(e, 0)|^2      likewise
        dense               a network of e with 16 hidden units

    All but the last are zero at the truth, and all but the last two convex. All but the network
    have ``0.001 mean|c_i| |e / sigma|^2`` added, which keeps the truth the only minimum. The first
    two are nonnegative least squares. The others are fitted by 200 steps of Adam, all instances in
    one batch, to three quarters of the samples; each instance keeps what was best for the rest.

    Fits are made by ``complete`` and kept in ``Target.fitted``; an estimator completes its whole
    training table once. A batch that nobody has completed is fitted on the spot, in each step.

    The authors' networks have several layers, and their samples perturb each instance on its own.

    References
    ----------
    Shah, Wang, Wilder, Perrault & Tambe, "Decision-Focused Learning without Decision-Making:
    Learning Locally Optimized Decision Losses", NeurIPS 2022, arXiv 2203.16067.

    Examples
    --------
    Only the gap between the first two costs can matter here:

    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("lodl", Simplex(3), {"form": "weighted"})
    >>> target = loss.complete(Target(costs=torch.tensor([[0.0, 1.0, 9.0]])))
    >>> first, last = torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[0.0, 1.0, 8.0]])
    >>> loss(first, target) > loss(last, target)
    tensor(True)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives"})
    generator: torch.Generator

    def __init__(
        self,
        oracle: Oracle,
        form: Literal[
            "weighted", "directed", "quadratic", "directed-quadratic", "dense"
        ] = "directed",
        n_samples: int = 100,
        sigma: float = 1.0,
    ) -> None:
        super().__init__(oracle)
        if form not in FORMS:
            raise InvalidInputError(
                f"LocallyOptimizedLoss: got form={form!r}, expected one of {', '.join(FORMS)}"
            )
        check_at_least(1, self, n_samples=n_samples)
        check_positive(self, sigma=sigma)
        self.form = form
        self.n_samples = n_samples
        self.sigma = sigma
        self.generator = torch.Generator().manual_seed(0)

    def complete(self, target: Target) -> Target:
        """Fill in what is missing, the fits included; see ``AbstractLoss.complete``."""
        target = super().complete(target)
        known = target.fitted or {}
        if target.costs is None or self._name("scale") in known:
            return target
        n, d = target.costs.shape
        rows = max(1, _MOST // (self.n_samples * d))
        parts = [self._fit(target.rows(slice(lo, lo + rows))) for lo in range(0, max(n, 1), rows)]
        fitted = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return replace(target, fitted={**known, **fitted})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Fitted loss of each sample, shape (n,)."""
        errors = (output - target.costs) / self.sigma
        mask = target.mask()
        if mask is not None:
            errors = torch.where(mask.to(errors.device), errors, torch.zeros_like(errors))
        known = target.fitted or {}
        prefix = self._name("")
        fitted = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
        values = fitted["scale"] * FORMS[self.form].value(errors, fitted)
        if self.form == "dense":
            return values
        return values + _FLOOR * target.mean(target.costs.abs()) * (errors**2).sum(1)

    def _fit(self, target: Target) -> dict[str, Tensor]:
        """Return what is fitted to some instances."""
        costs = target.costs.detach().cpu().double()
        errors = self._drawn(costs.shape[1])
        mask = target.mask()
        mask = torch.ones(costs.shape, dtype=torch.bool) if mask is None else mask
        sampled = costs[:, None] + self.sigma * errors
        decisions, _ = _bridge.solve(self.oracle, sampled, target.instance)
        worth = _bridge.evaluate(self.oracle, costs, decisions, target.instance)
        regrets = (worth - target.objectives.cpu().double()[:, None]).clamp(min=0)
        if self.form != "dense":
            real = torch.where(mask[:, None], errors**2, torch.zeros_like(errors)).sum(2)
            floor = _FLOOR * target.mean(target.costs.abs()).cpu().double()
            regrets = regrets - floor[:, None] * real
        scale = regrets.clamp(min=0).mean(1, keepdim=True)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        fitted = {"scale": scale[:, 0], **FORMS[self.form].fit(errors, regrets / scale, mask)}
        return {self._name(key): value.to(target.costs) for key, value in fitted.items()}

    def _drawn(self, d: int) -> Tensor:
        """Errors (n_samples, d) of size one, of the seed alone: parts of a table share them."""
        generator = torch.Generator().manual_seed(self.generator.initial_seed())
        return torch.randn(self.n_samples, d, generator=generator, dtype=torch.float64)

    def _name(self, part: str) -> str:
        # fits of other samples are others: a target may hold those of several losses
        return f"lodl {self.form} {self.n_samples} {self.sigma!r} {part}"
