"""The unit box."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.program import Program


@final
class Box(AbstractOracle):
    """Choose each of the coordinates of ``[0, 1]^n`` on its own: take what costs less than zero.

    The simplest oracle: d independent yes-or-no decisions, such as whether to accept an offer.

    Parameters
    ----------
    n : int, optional
        Number of coordinates; None if any number is accepted.

    Notes
    -----
    ``w_j = 1{c_j < 0}`` and ``z* = -sum_j max(-c_j, 0)``. SPO+ on a box is a sum of hinge losses.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Box
    >>> Box().solve(np.array([[1.0, -2.0]])).decisions
    array([[0., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int | None = None) -> None:
        if n is not None:
            n = read_size("Box", "n", n)
        self.n = n
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        chosen = costs < 0
        if "mask" in instance:
            chosen &= instance["mask"]
        return chosen.astype(costs.dtype), Status.OPTIMAL

    def program(self, instance: Instance | None = None) -> Program:
        """Return the box in matrix form: bounds and no rows."""
        if self.n is None:
            raise UnsupportedError("Box() has no matrix form: got n=None, expected a number")
        upper = np.ones(self.n)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        none = np.zeros(0)
        return Program(sp.csr_array((0, self.n)), none, none, np.zeros(self.n), upper)
