"""The linear relaxation with a quadratic term, which makes its optimum smooth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, final

from torch import Tensor

from dfl._validation import check_positive
from dfl.layers._relaxed import Relaxed, check_program
from dfl.layers.base import AbstractLayer
from dfl.layers.convex import ConvexLayer
from dfl_solvers.oracle import Oracle


@final
class QuadraticLayer(AbstractLayer):
    r"""Decision of the linear relaxation with quadratic smoothing, with its exact gradient.

    Use it where the oracle has a small matrix form: it needs no solve of the oracle at all. Over
    large sets with few vertices near the decision, ``FrankWolfeLayer`` is faster; it works over the
    hull of the decisions, which may be smaller than the relaxation.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form: a method ``program()``. Integrality is left out; known costs count.
    smoothing : float, default=1.0
        The factor mu of the quadratic term, in units of the costs. The larger, the smoother, and
        the farther from the linear program.

    Raises
    ------
    InvalidInputError
        If ``smoothing`` is not positive.
    UnsupportedError
        If the oracle has no matrix form.

    See Also
    --------
    ConvexLayer : Any quadratic program, with gradients in all its numbers.

    Notes
    -----
    With the program's variables x, decision map M and known costs f::

        x(c) = argmin_x c.(M x) + f.x + mu |x|^2 / 2   over rows and bounds,   output M x(c)

    and the gradient is that of the KKT equations of the constraints that hold with equality. If
    per-instance data are given, each instance has its own program and is solved on its own.

    References
    ----------
    Wilder, Dilkina & Tambe, "Melding the Data-Decisions Pipeline", AAAI 2019, arXiv 1809.05504.
    Amos & Kolter, "OptNet", ICML 2017, arXiv 1703.00443.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import QuadraticLayer
    >>> from dfl_solvers import Simplex
    >>> costs = torch.tensor([[0.0, 0.5, 2.0]], requires_grad=True)
    >>> decisions = QuadraticLayer(Simplex(3))(costs)
    >>> decisions[0, 0].backward()
    >>> decisions.detach(), costs.grad.round(decimals=4)
    (tensor([[0.7500, 0.2500, 0.0000]]), tensor([[-0.5000,  0.5000, -0.0000]]))
    """

    def __init__(self, oracle: Oracle, smoothing: float = 1.0) -> None:
        super().__init__(oracle)
        check_positive(self, smoothing=smoothing)
        check_program(self, self.oracle)
        self.smoothing = smoothing
        self._relaxed = Relaxed(partial(ConvexLayer.from_program, smoothing=smoothing))

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Smoothed decisions (n, d); see ``AbstractLayer``."""
        return self._relaxed(self.oracle, costs, instance)
