"""Soft top-k, soft ranks and soft sorting: projections on permutahedra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl._validation import check_positive
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.layers.base import AbstractLayer
from dfl_solvers.oracle import Oracle


@final
class PermutahedronLayer(AbstractLayer):
    r"""Soft top-k or soft ranks: a smoothed decision where decisions are permutations of numbers.

    Use it with ``TopK``, ``Simplex`` or ``Ranking``: it is ``FrankWolfeLayer`` over these sets, at
    the price of a sort.

    Parameters
    ----------
    oracle : Oracle
        One whose decisions are all permutations of the same numbers: a method ``permuted(d)``.
    strength : float, default=1.0
        The factor rho of the quadratic regularizer, in units of the costs. The larger, the more
        decisions are averaged.

    Raises
    ------
    InvalidInputError
        If ``strength`` is not positive.
    UnsupportedError
        If the decisions are no permutations.

    Notes
    -----
    The output for costs c is ``argmin c.w + rho |w|^2 / 2`` over the hull of the permutations, the
    projection of -c / rho, exact by one sort and an isotonic regression in O(d log d) operations.
    The gradient is exact as well; where two costs meet, it is that of one of the smooth pieces.

    References
    ----------
    Blondel, Teboul, Berthet & Djolonga, "Fast Differentiable Sorting and Ranking", ICML 2020,
    arXiv 2002.08871.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import PermutahedronLayer
    >>> from dfl_solvers import TopK
    >>> costs = torch.tensor([[0.0, 0.2, 0.5, 3.0]], requires_grad=True)
    >>> decisions = PermutahedronLayer(TopK(4, 2))(costs)
    >>> decisions.detach().round(decimals=4)
    tensor([[0.9000, 0.7000, 0.4000, 0.0000]])
    """

    def __init__(self, oracle: Oracle, strength: float = 1.0) -> None:
        super().__init__(oracle)
        check_positive(self, strength=strength)
        if not hasattr(self.oracle, "permuted"):
            raise UnsupportedError(
                f"PermutahedronLayer does not go with {type(self.oracle).__name__}: its decisions "
                "are no permutations of given numbers (a method permuted()); FrankWolfeLayer goes "
                "with any"
            )
        self.strength = strength

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Soft decisions (n, d); see ``AbstractLayer``."""
        weights = self.oracle.permuted(costs.shape[1])  # type: ignore[attr-defined]
        weights = torch.from_numpy(np.sort(weights)[::-1].copy()).to(costs)
        mask = None if instance is None else instance.get("mask")
        result: Tensor = _Project.apply(-costs / self.strength, weights[None], mask)  # type: ignore[no-untyped-call]
        return result


def soft_rank(values: Tensor, strength: float = 1.0, mask: Any = None) -> Tensor:
    """Return differentiable ranks: 1 for the smallest value, d for the largest.

    Parameters
    ----------
    values : Tensor of shape (n, d)
        One row is ranked at a time.
    strength : float, default=1.0
        In units of the values. Values that differ by more than it have exact ranks; the larger it
        is, the nearer all ranks are to their mean.
    mask : array-like of bool of shape (n, d), optional
        Which entries are ranked; the others have rank zero. Default: all.

    Returns
    -------
    Tensor of shape (n, d)
        Their sum is that of 1, ..., d.

    Raises
    ------
    InvalidInputError
        If ``values`` is no batch of numbers, ``mask`` has another shape, or ``strength`` is not
        positive.

    Notes
    -----
    The projection of ``values / strength`` on the permutahedron of 1, ..., d.

    References
    ----------
    Blondel, Teboul, Berthet & Djolonga, "Fast Differentiable Sorting and Ranking", ICML 2020,
    arXiv 2002.08871.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import soft_rank
    >>> soft_rank(torch.tensor([[0.3, 9.0, 0.5]]), strength=1.0)
    tensor([[1.4000, 3.0000, 1.6000]])
    """
    _check("soft_rank", values, strength)
    d = values.shape[1]
    ranks = torch.arange(d, 0, -1, dtype=values.dtype, device=values.device)
    if mask is not None:  # m entries have the ranks 1, ..., m, whatever d is
        real = torch.as_tensor(mask, device=values.device)
        if real.shape != values.shape:
            raise InvalidInputError(
                f"soft_rank: got a mask of shape {tuple(real.shape)}, expected "
                f"{tuple(values.shape)}, the shape of the values"
            )
        counts = real.sum(1, keepdim=True)
        ranks = (counts - torch.arange(d, device=values.device)).clamp(min=0).to(values)
    ranks = ranks if ranks.ndim == 2 else ranks[None]
    result: Tensor = _Project.apply(values / strength, ranks, mask)  # type: ignore[no-untyped-call]
    return result


def soft_sort(values: Tensor, strength: float = 1.0) -> Tensor:
    """Return differentiable sorted values, ascending.

    Parameters
    ----------
    values : Tensor of shape (n, d)
        One row is sorted at a time.
    strength : float, default=1.0
        In one over the units of the values. Where all sorted neighbors differ by less than
        ``1 / strength``, the result is exact; the larger it is, the nearer all are to their mean.

    Returns
    -------
    Tensor of shape (n, d)
        Ascending, with the sum of the values.

    Raises
    ------
    InvalidInputError
        If ``values`` is no batch of numbers, or ``strength`` is not positive.

    Notes
    -----
    The projection of ``(1, ..., d) / strength`` on the permutahedron of the values.

    References
    ----------
    Blondel, Teboul, Berthet & Djolonga, "Fast Differentiable Sorting and Ranking", ICML 2020,
    arXiv 2002.08871.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import soft_sort
    >>> soft_sort(torch.tensor([[0.3, 9.0, 0.5]]), strength=1.0)
    tensor([[2.2667, 3.2667, 4.2667]])
    >>> soft_sort(torch.tensor([[0.3, 9.0, 0.5]]), strength=0.1)
    tensor([[0.3000, 0.5000, 9.0000]])
    """
    _check("soft_sort", values, strength)
    n, d = values.shape
    places = torch.arange(d, 0, -1, dtype=values.dtype, device=values.device)
    descending = values.sort(dim=1, descending=True).values
    points = (places / strength).expand(n, d)
    result: Tensor = _Project.apply(points, descending, None)  # type: ignore[no-untyped-call]
    return result.flip(1)


def _check(name: str, values: Tensor, strength: float) -> None:
    if values.ndim != 2 or not values.is_floating_point():
        raise InvalidInputError(
            f"{name}: got values of shape {tuple(values.shape)} and type {values.dtype}, expected "
            "floating-point numbers of shape (n, d)"
        )
    check_positive(name, strength=strength)


class _Project(torch.autograd.Function):
    """Project points (n, d) on the permutahedra of descending weights (1 or n, d)."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, weights: Tensor, mask: Any) -> Tensor:
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl.layers._isotonic import project
        from dfl_solvers.kernels import run

        at, numbers = _array(points), _array(weights)
        real = np.ones(at.shape, bool) if mask is None else np.asarray(mask, bool)
        found = np.empty_like(at)
        order, first = np.empty(at.shape, np.int64), np.empty(at.shape, np.int64)
        run(project, len(at), at, numbers, np.ascontiguousarray(real), found, order, first)
        ctx.order, ctx.first, ctx.real, ctx.shared = order, first, real, len(weights) == 1
        return torch.from_numpy(found).to(points)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, Tensor | None, None]:
        from dfl.layers._isotonic import average
        from dfl_solvers.kernels import run

        given = np.where(ctx.real, _array(incoming), 0.0)
        mean = np.empty_like(given)
        run(average, len(given), given, ctx.order, ctx.first, mean)
        points = torch.from_numpy(given - mean).to(incoming)
        if not ctx.needs_input_grad[1]:
            return points, None, None
        weights = np.take_along_axis(mean, ctx.order, axis=1)
        weights = weights.sum(0, keepdims=True) if ctx.shared else weights
        return points, torch.from_numpy(weights).to(incoming), None


def _array(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().double().numpy())
