"""The worst losses of a batch instead of their mean."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, Target
from dfl_solvers.oracle import Oracle


@final
class CVaRLoss(AbstractLoss):
    r"""Train for the mean of the worst ``1 - alpha`` of the losses, whatever the loss.

    Use it where rare, large regrets matter more than the average. Take larger batches than usual,
    since only few of their instances have a gradient, and ``early_stopping=False`` or a criterion
    of your own: an estimator's validation looks at mean regret.

    Parameters
    ----------
    loss : AbstractLoss
        The loss of a sample, such as ``make_loss("spo+", oracle)``.
    alpha : float, default=0.9
        0 is the mean.
    window : int, default=1000
        The threshold t is the alpha-quantile of that many latest losses, those of the batch
        included: about an epoch of them makes it steady in small batches. 0 takes the batch alone.

    Raises
    ------
    InvalidInputError
        If ``alpha`` or ``window`` is out of its range, or the loss is that of a policy.

    Notes
    -----
    .. math::

        \min_{\theta, t} \; t + \frac{1}{(1 - \alpha) n} \sum_i (\ell_i(\theta) - t)_+ .

    For given losses the best t is their alpha-quantile, so that t needs no step size of its own.
    Sample weights count in the mean, not in t. With SPO+ the objective is convex in the parameters
    of a linear model.

    References
    ----------
    R. T. Rockafellar, S. Uryasev. Optimization of conditional value-at-risk. Journal of Risk 2
    (2000). doi:10.21314/JOR.2000.038

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl.risk import CVaRLoss
    >>> from dfl_solvers import Simplex
    >>> loss = CVaRLoss(make_loss("absolute", Simplex(1)), alpha=0.5)
    >>> truth = Target(costs=torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    >>> loss(torch.zeros(4, 1), truth)
    tensor(3.5000)
    """

    recent: Tensor

    def __init__(self, loss: AbstractLoss, alpha: float = 0.9, window: int = 1000) -> None:
        if not 0 <= alpha < 1 or window < 0:
            raise InvalidInputError(
                f"CVaRLoss: got alpha={alpha!r} and window={window!r}, expected 0 <= alpha < 1 and "
                "window >= 0"
            )
        if "samples" in loss.requires:
            raise InvalidInputError(
                f"CVaRLoss: got {type(loss).__name__}, the loss of a policy, expected one of costs"
            )
        nn.Module.__init__(self)
        self.requires = loss.requires  # type: ignore[misc]
        self.loss = loss
        self.alpha = alpha
        self.window = window
        self.sign = loss.sign
        self.generator = loss.generator
        # NaN where there is none yet: of one size, so that a checkpoint can be read
        self.register_buffer("recent", torch.full((window,), torch.nan, dtype=torch.float64))

    @property
    def oracle(self) -> Oracle:
        """The oracle of the loss."""
        return self.loss.oracle

    @oracle.setter
    def oracle(self, oracle: Oracle) -> None:
        self.loss.oracle = oracle

    def complete(self, target: Target) -> Target:
        """Fill in what the loss needs and the target lacks."""
        return self.loss.complete(target)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Return numbers (n,) whose mean is the CVaR of the losses."""
        values = self.loss.per_sample(output, target)
        level = self._level(values.detach())
        return level + torch.relu(values - level) / (1 - self.alpha)

    def _level(self, values: Tensor) -> Tensor:
        """Return the alpha-quantile of the latest losses; only training adds to them."""
        latest = torch.cat([self.recent.to(values.device), values.double()])
        if torch.is_grad_enabled():
            self.recent = latest[len(values) :]
        latest = latest[-max(self.window, len(values)) :]
        level = torch.nanquantile(latest, self.alpha, interpolation="higher")
        return level.to(values.dtype)
