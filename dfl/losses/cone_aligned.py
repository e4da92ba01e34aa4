"""The angle between predicted costs and the cone of costs for which a decision is optimal."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses._cones import NormalCones
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Array, Oracle

# least distance, of a vector of length one, from a cone that it is not in
_CONTAINED = 1e-7


@final
class ConeAlignedLoss(AbstractLoss):
    r"""Turn predicted costs into the cone of costs for which the good decision is optimal (CaVE).

    No oracle is called in training: a projection on the constraints that are tight at the good
    decision takes its place. Use it where integer programs are slow and their matrix form is
    tight, or where only good decisions were recorded. Predicted costs have no unit.

    The published variants are settings of this one loss. CaVE+ is the default: it aims inside the
    cone, not at its boundary. CaVE (exact): ``inner_ratio=0``. CaVE hybrid: ``solve_ratio=0.3``.

    Parameters
    ----------
    oracle : Oracle
        One with an objective of ``c.w`` alone, and a matrix form whose variables are the decision,
        or methods ``core_program`` and ``tight_cuts`` for constraints that are too many to list, as
        the traveling salesman has.
    inner_ratio : float, default=0.2
        Weight of the mean of the tight normals in what predictions are turned to.
    solve_ratio : float, default=1.0
        Probability, for each batch, that projections are computed; otherwise the prediction itself
        takes the place of its projection.

    Raises
    ------
    InvalidInputError
        If a ratio is not from 0 to 1.
    UnsupportedError
        If the oracle has no matrix form, or one whose variables are not the decision and no tight
        cuts, or an objective with a part of its own.

    Notes
    -----
    With ``x = -p / |p|``, the projection P(x) on the cone of the normals ``a_i`` of constraints
    ``a_i.w <= b_i`` that are tight at w*, and the mean A of these normals at length one::

        l(p, w*) = 1 - cos(-p, t),  t = x                              if x is in the cone
                                    t = (1 - r) P(x) / |P(x)| + r A    otherwise

    with r the inner ratio, and t kept fixed in the gradient. Where a batch computes no projection,
    x takes its place: ``t = (1 - r) x + r A``. At r = 0 the gradient is the true one, but the loss
    is one without a gradient where -p is at a right or larger angle to the whole cone. The loss is
    zero where the linear relaxation has w* as an optimum for p, and only there if r < 1. For
    integer programs the cone is that of the relaxation: costs outside it may have w* as their
    optimum too.

    The matrix form is prepared once; with per-instance data, once for each row and step. For tours
    the cone is that of all subtour constraints that are tight, in the space of edges, so that the
    loss is zero wherever the subtour relaxation has the tour as an optimum; the mean A is that of
    the other tight constraints.

    The projection splits off the span of the equations and is exact (Lawson and Hanson's active
    sets, compiled). PyEPO's CaVE+ instead stops an interior-point method after three iterations to
    stay inside the cone, so its values are others; its projections, where they converge, and its
    heuristic branch are the same.

    References
    ----------
    Tang & Khalil, "CaVE: A Cone-Aligned Approach for Fast Predict-then-optimize with Binary Linear
    Programs", CPAIOR 2024, arXiv 2312.07718.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("cave", Box(2), {"inner_ratio": 0.0})
    >>> good = Target(decisions=torch.tensor([[1.0, 0.0]]))  # for costs (negative, positive)
    >>> loss(torch.tensor([[-3.0, 4.0]]), good), loss(torch.tensor([[3.0, 4.0]]), good)
    (tensor(0.), tensor(0.2000))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions", "linear", "program", "normals"})

    def __init__(self, oracle: Oracle, inner_ratio: float = 0.2, solve_ratio: float = 1.0) -> None:
        super().__init__(oracle)
        for name, value in (("inner_ratio", inner_ratio), ("solve_ratio", solve_ratio)):
            if not 0 <= value <= 1:
                raise InvalidInputError(
                    f"ConeAlignedLoss: got {name}={value}, expected a number from 0 to 1"
                )
        self.inner_ratio = inner_ratio
        self.solve_ratio = solve_ratio
        self.generator = torch.Generator().manual_seed(0)
        self._shared: tuple[Oracle, NormalCones] | None = None

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """One minus the cosine to the aim of each sample, shape (n,)."""
        mask = target.mask()
        opposite = -output
        if mask is not None:  # padding has no cone
            opposite = opposite * mask.to(output.device)
        points = opposite.detach().cpu().numpy().astype(float)
        aims = torch.from_numpy(self._aims(points, target)).to(output)
        return 1 - torch.cosine_similarity(opposite, aims, dim=1)

    def _aims(self, points: Array, target: Target) -> Array:
        """Return what to turn points (n, d) to, (n, d)."""
        decisions = target.decisions.detach().cpu().numpy().astype(float)
        points = _unit(points)
        aims = np.empty_like(points)
        projects = self._projects()
        for rows, cones in self._cones(len(points), target):
            aims[rows] = self._aim(points[rows], decisions[rows], cones, projects)
        return aims

    def _aim(self, points: Array, decisions: Array, cones: NormalCones, projects: bool) -> Array:
        near = points
        if projects:
            near = cones.project(points, decisions)
            contained = np.linalg.norm(points - near, axis=1, keepdims=True) <= _CONTAINED
            near = _unit(near)
        if self.inner_ratio:
            average = cones.average(decisions)
            near = (1 - self.inner_ratio) * near + self.inner_ratio * average
        return np.where(contained, points, near) if projects else near

    def _projects(self) -> bool:
        if self.solve_ratio == 1:
            return True
        return bool(torch.rand((), generator=self.generator) < self.solve_ratio)

    def _cones(self, n: int, target: Target) -> list[tuple[slice, NormalCones]]:
        oracle: Any = self.oracle
        if target.instance:
            return [
                (
                    slice(i, i + 1),
                    NormalCones(oracle.program({k: v[i] for k, v in target.instance.items()})),
                )
                for i in range(n)
            ]
        if self._shared is None or self._shared[0] is not oracle:  # an estimator sets its own
            cuts = getattr(oracle, "tight_cuts", None)
            program = oracle.program() if cuts is None else oracle.core_program()
            self._shared = oracle, NormalCones(program, cuts)
        return [(slice(0, n), self._shared[1])]


def _unit(vectors: Array) -> Array:
    """Return vectors (n, d) at length one; zero where they are."""
    sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(sizes, np.finfo(float).tiny)
