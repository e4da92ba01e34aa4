"""Quadratic programs as a layer of a network."""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dfl._validation import check_positive
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program

_NAMES = ("Q", "p", "A", "b", "G", "h")


class ConvexSolution(NamedTuple):
    """Optima of a ``ConvexLayer`` and their multipliers, all with gradients.

    Attributes
    ----------
    z : Tensor of shape (n, k)
        Optima.
    equality_multipliers : Tensor of shape (n, e)
        Of any sign.
    inequality_multipliers : Tensor of shape (n, m)
        At least 0.
    """

    z: Tensor
    equality_multipliers: Tensor
    inequality_multipliers: Tensor


@final
class ConvexLayer(nn.Module):
    r"""The optimum of a strictly convex quadratic program, with gradients in all its numbers.

    Put it where a network's output decides through an optimization problem with a smooth answer: a
    portfolio at a price on variance, a projection on a polytope, a linear program with quadratic
    smoothing (``from_program``). Made for small dense problems, up to some hundred variables, in
    batches; everything is solved in float64 on the CPU.

    Parameters
    ----------
    Q, p, A, b, G, h : Tensor or array-like, optional
        The parts that stay: an ``nn.Parameter`` is learned, anything else is a constant. What is
        not given here is given in each call; A, b, G and h may be absent altogether.

    Raises
    ------
    InvalidInputError
        If a part holds no numbers.

    Notes
    -----
    .. math::

        z = \arg\min_z \tfrac12 z^\top Q z + p^\top z
        \quad \text{s.t.} \quad A z = b, \; G z \le h.

    Shapes of one instance: Q (k, k), p (k,), A (e, k), b (e,), G (m, k), h (m,). A part of this
    shape is shared by the batch, and its gradient is summed over it; others have a leading n.
    Where Q, A and G are shared they are factored once, so that only p, b and h cost time.

    Q must be positive definite; only its symmetric part counts, and so its gradient is symmetric.
    Rows of A that depend on others are allowed if b agrees; they get no gradient. Entries of h may
    be infinite.

    The optimum is that of a dual active-set method; the KKT equations of the constraints it ends
    with are solved with iterative refinement, and their factor gives the derivative. Both are
    exact to rounding. Where a constraint is met with multiplier zero, z has a kink: the gradient is
    then that of one of the smooth pieces that meet there, finite and the same in each run.

    References
    ----------
    B. Amos, J. Z. Kolter. OptNet: differentiable optimization as a layer in neural networks
    (2017). arXiv:1703.00443

    D. Goldfarb, A. Idnani. A numerically stable dual method for solving strictly convex quadratic
    programs. Mathematical Programming 27 (1983). doi:10.1007/BF02591962

    Examples
    --------
    The projection on the simplex, of a batch of points:

    >>> import torch
    >>> from dfl.layers import ConvexLayer
    >>> project = ConvexLayer(
    ...     Q=torch.eye(3), A=torch.ones(1, 3), b=torch.ones(1), G=-torch.eye(3), h=torch.zeros(3)
    ... )
    >>> points = torch.tensor([[0.5, 0.7, -1.0], [0.0, 0.0, 2.0]], requires_grad=True)
    >>> z = project(p=-points)
    >>> z.detach()
    tensor([[0.4000, 0.6000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    >>> z[:, 0].sum().backward()
    >>> points.grad.round(decimals=6)
    tensor([[ 0.5000, -0.5000,  0.0000],
            [ 0.0000,  0.0000,  0.0000]])
    """

    def __init__(
        self,
        Q: Any = None,
        p: Any = None,
        A: Any = None,
        b: Any = None,
        G: Any = None,
        h: Any = None,
    ) -> None:
        super().__init__()
        for name, part in zip(_NAMES, (Q, p, A, b, G, h), strict=True):
            if isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                self.register_buffer(name, None if part is None else _tensor(name, part))

    def forward(
        self,
        p: Tensor | None = None,
        *,
        Q: Tensor | None = None,
        A: Tensor | None = None,
        b: Tensor | None = None,
        G: Tensor | None = None,
        h: Tensor | None = None,
    ) -> Tensor:
        """Solve a batch.

        Parameters
        ----------
        p, Q, A, b, G, h : Tensor, optional
            The parts of this batch, each shared or with a leading n; default: those of the layer.

        Returns
        -------
        Tensor of shape (n, k)
            The optima, in the type and on the device of p; n is 1 if every part is shared.

        Raises
        ------
        InvalidInputError
            If a part is missing, has a wrong shape, or holds NaN; or a Q is not positive definite.
        InfeasibleError
            If no point satisfies the constraints of an instance; the message names it.
        SolverError
            If rounding errors leave an instance without a certified optimum.
        """
        return self.solve(p, Q=Q, A=A, b=b, G=G, h=h).z

    def solve(
        self,
        p: Tensor | None = None,
        *,
        Q: Tensor | None = None,
        A: Tensor | None = None,
        b: Tensor | None = None,
        G: Tensor | None = None,
        h: Tensor | None = None,
    ) -> ConvexSolution:
        """Solve a batch, as ``forward`` does, and return the multipliers as well.

        Returns
        -------
        ConvexSolution
            ``z`` (n, k) and the multipliers of equalities (n, e) and inequalities (n, m):
            ``Q z + p + A'equality_multipliers + G'inequality_multipliers = 0``.
        """
        parts = dict(zip(_NAMES, (Q, p, A, b, G, h), strict=True))
        for name, part in parts.items():
            parts[name] = getattr(self, name) if part is None else _tensor(name, part)
        like = parts["p"]
        if like is None or parts["Q"] is None:
            raise InvalidInputError(
                f"ConvexLayer: got no {'p' if like is None else 'Q'}, expected one, given to the "
                "layer or to the call"
            )
        for matrix, vector in (("A", "b"), ("G", "h")):
            if (parts[matrix] is None) != (parts[vector] is None):
                raise InvalidInputError(
                    f"ConvexLayer: expected both {matrix} and {vector}, got one"
                )
            if parts[matrix] is None:
                parts[matrix] = like.new_zeros((0, like.shape[-1]))
                parts[vector] = like.new_zeros(0)
        solve: Any = _Solve.apply
        return ConvexSolution(*solve(*parts.values()))

    @classmethod
    def from_program(cls, program: Program, smoothing: float) -> ConvexLayer:
        r"""Return the linear relaxation of a program with quadratic smoothing.

        Parameters
        ----------
        program : Program
            The feasible set; integrality is left out. An oracle gives it as ``oracle.program()``.
        smoothing : float
            The factor mu of the quadratic term, in units of cost per square of a variable;
            positive. The larger, the smoother, and the farther from the linear program.

        Returns
        -------
        ConvexLayer
            Takes costs p (n, k) of the program's variables x and returns x. Where the program has
            fixed costs f or a decision map M: ``p = costs @ M + f`` and the decision is ``M x``.

        Raises
        ------
        InvalidInputError
            If ``smoothing`` is not positive.

        Notes
        -----
        .. math::

            x = \arg\min_x p^\top x + \tfrac \mu 2 \|x\|^2 \quad \text{s.t.} \quad
            \text{rows and bounds of the program}.

        References
        ----------
        B. Wilder, B. Dilkina, M. Tambe. Melding the data-decisions pipeline: decision-focused
        learning for combinatorial optimization (2019). arXiv:1809.05504

        Examples
        --------
        >>> import torch
        >>> from dfl.layers import ConvexLayer
        >>> from dfl_solvers import GridShortestPath
        >>> layer = ConvexLayer.from_program(GridShortestPath(2, 2).program(), smoothing=1.0)
        >>> layer(torch.tensor([[1.0, 1.5, 1.0, 1.0]]))
        tensor([[0.6250, 0.3750, 0.6250, 0.3750]])
        """
        check_positive("ConvexLayer.from_program", smoothing=smoothing)
        equal, at_most = _rows(program)
        Q = smoothing * np.eye(program.n_variables)
        return cls(Q, None, *map(torch.from_numpy, (*equal, *at_most)))


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # imported here, since most users of this package never need it
        from dfl_solvers.backends.quadratic import QuadraticPrograms

        programs = QuadraticPrograms(*map(_array, parts))
        solution = programs.solve(derivatives=any(ctx.needs_input_grad))
        ctx.programs, ctx.solution = programs, solution
        # the programs may share memory with these, so torch must see whether they change
        ctx.save_for_backward(*parts[::2])
        ctx.like = [(part.dtype, part.device) for part in parts]
        like, n_equal = parts[1], programs.data.b.shape[1]
        values = solution.x, solution.multipliers[:, :n_equal], solution.multipliers[:, n_equal:]
        # copies, since the derivative needs them as they are
        z, equal, at_most = (
            torch.from_numpy(value).to(like.device, like.dtype, copy=True) for value in values
        )
        ctx.set_materialize_grads(False)
        return z, equal, at_most

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        programs, solution, _ = ctx.programs, ctx.solution, ctx.saved_tensors
        x_grad, *of_multipliers = (None if grad is None else _array(grad) for grad in grads)
        if x_grad is None:
            x_grad = np.zeros_like(solution.x)
        multipliers_grad = None
        if any(grad is not None for grad in of_multipliers):
            sizes = programs.data.b.shape[1], programs.data.h.shape[1]
            multipliers_grad = np.hstack(
                [
                    np.zeros((programs.n, size)) if grad is None else grad
                    for grad, size in zip(of_multipliers, sizes, strict=True)
                ]
            )
        wanted = [name for name, needed in zip(_NAMES, ctx.needs_input_grad, strict=True) if needed]
        found = programs.pull_back(solution, x_grad, multipliers_grad, wanted)
        return tuple(
            torch.from_numpy(found[name]).to(device, dtype) if name in found else None
            for name, (dtype, device) in zip(_NAMES, ctx.like, strict=True)
        )


def _tensor(name: str, part: Any) -> Tensor:
    """Return a part as a tensor of floating-point numbers."""
    try:
        tensor = torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"ConvexLayer: {name} holds no numbers: {error}") from error
    if not tensor.is_floating_point():
        raise InvalidInputError(
            f"ConvexLayer: got {name} of type {tensor.dtype}, expected floating-point numbers"
        )
    return tensor


def _array(part: Tensor) -> Array:
    return part.detach().to("cpu", torch.float64).contiguous().numpy()


def _rows(program: Program) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return rows and bounds of a program as (A, b) of equalities and (G, h) of inequalities."""
    k = program.n_variables
    matrix = np.vstack([program.A.toarray(), np.eye(k)])
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    equal = lower == upper
    below, above = ~equal & np.isfinite(lower), ~equal & np.isfinite(upper)
    return (matrix[equal], lower[equal]), (
        np.vstack([-matrix[below], matrix[above]]),
        np.concatenate([-lower[below], upper[above]]),
    )
