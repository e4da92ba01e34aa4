"""The angle between predicted costs and the cone of costs for which a decision is optimal."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dfl._validation import check_share
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
    cone, not at its boundary. CaVE (exact): ``inner_ratio=0``. CaVE hybrid: ``solve_ratio=0.3``, as
    published with ``heuristic_ratio=0.2``.

    Parameters
    ----------
    oracle : Oracle
        One with an objective of ``c.w`` alone, and a matrix form whose variables are the decision,
        or methods ``core_program`` and ``tight_cuts`` for constraints that are too many to list, as
        the traveling salesman has.
    inner_ratio : float, default=0.5
        How far inside the cone predictions of length one are turned to, along the mean of the tight
        normals.
    solve_ratio : float, default=1.0
        Probability, for each batch, that projections are computed.
    heuristic_ratio : float, default=0.05
        Weight of the mean of the tight normals in what predictions are turned to in batches without
        projections. At 0 these teach nothing.

    Raises
    ------
    InvalidInputError
        If a ratio is not from 0 to 1.
    UnsupportedError
        If the oracle has no matrix form, or one whose variables are not the decision and no tight
        cuts, or an objective with a part of its own.

    Notes
    -----
    With ``x = -p / |p|``, the projection P on the cone of the normals ``a_i`` of constraints
    ``a_i.w <= b_i`` that are tight at w*, the mean A of these normals at length one, and its
    direction ``u = A / |A|``::

        l(p, w*) = 1 - cos(-p, t),  t = r u + P(x - r u)

    with r the inner ratio: t is the point nearest to x in the cone moved inside by r, kept fixed in
    the gradient. Where a batch computes no projection, ``t = (1 - h) x + h A`` with h the heuristic
    ratio. At r = 0 the gradient is the true one, but the loss is one without a gradient where -p is
    at a right or larger angle to the whole cone. The loss is zero where x lies in the cone moved
    inside, so that the linear relaxation has w* as an optimum there; at r = 0, wherever it has. For
    integer programs the cone is that of the relaxation: costs outside it may have w* as their
    optimum too.

    The cone moved inside is a choice of this library. Published code goes inside by stopping an
    interior-point method after three iterations. For round trips of 20 cities both come to the same
    regret, and more weight in batches without projections makes it worse.

    The matrix form is prepared once; with per-instance data, once for each row and step. For tours
    the cone is that of all subtour constraints that are tight, in the space of edges, so that the
    loss is zero wherever the subtour relaxation has the tour as an optimum; the mean A is that of
    the other tight constraints.

    The projection splits off the span of the equations and is exact (Lawson and Hanson's active
    sets, compiled). Those of PyEPO, where they converge, and its batches without projections are
    the same.

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

    def __init__(
        self,
        oracle: Oracle,
        inner_ratio: float = 0.5,
        solve_ratio: float = 1.0,
        heuristic_ratio: float = 0.05,
    ) -> None:
        super().__init__(oracle)
        check_share(
            self, inner_ratio=inner_ratio, solve_ratio=solve_ratio, heuristic_ratio=heuristic_ratio
        )
        self.inner_ratio = inner_ratio
        self.solve_ratio = solve_ratio
        self.heuristic_ratio = heuristic_ratio
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
        if not projects:
            h = self.heuristic_ratio
            return (1 - h) * points + h * cones.average(decisions) if h else points
        inside = self.inner_ratio * _unit(cones.average(decisions))
        near = inside + cones.project(points - inside, decisions)
        contained = np.linalg.norm(points - near, axis=1, keepdims=True) <= _CONTAINED
        return np.where(contained, points, near)

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
