"""Recourse by a second optimization, the formulation in two stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, solving
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.program import Program
from dfl_solvers.recourse.base import AbstractRecourse

# the second stage of a program, kept ready as long as the oracle of the first
_SECOND: WeakKeyDictionary[Oracle, Oracle] = WeakKeyDictionary()


@final
@dataclass(frozen=True, eq=False)
class Reoptimize(AbstractRecourse):
    r"""Decide again, at a penalty for each change: a second stage.

    Use it where the decision can still be changed after the truth is known: items are returned for
    a fee, late orders cost more.

    Parameters
    ----------
    add, drop : float or array-like of shape (d,), default=0.0
        Penalty for a unit more, or less, of a coordinate than was decided first, in units of the
        absolute value of its cost; not negative. With ``drop=1`` a purchase is not refunded; with
        ``add=0.5`` what is bought late costs half as much again.

    Raises
    ------
    InvalidInputError
        If a penalty is negative or not finite.

    See Also
    --------
    Rescale, Discard : Corrections by a fixed rule.
    dfl.metrics.post_hoc_regret : What predicted constraints cost.

    Notes
    -----
    Of a first decision w it makes ``argmin_{w2 in S} c.w2 + sum_j |c_j| (add_j (w2_j - w_j)_+ +
    drop_j (w_j - w2_j)_+)`` for the true feasible set S. Decisions of zeros and ones are solved by
    the oracle itself: there the penalty is linear in w2. For ``LinearProgram`` and
    ``MixedIntegerProgram`` the positive parts are variables of a second program; other oracles are
    refused.

    References
    ----------
    Hu, Lee & Lee, "Two-Stage Predict+Optimize for Mixed Integer Linear Programs with Unknown
    Parameters in Constraints", NeurIPS 2023, arXiv 2311.08022 (reconstructed from its abstract and
    problem statements).

    Examples
    --------
    Two items were chosen that turn out not to fit. The cheaper way out is to return the second:

    >>> import numpy as np
    >>> from dfl_solvers import Knapsack, Maximize, Reoptimize
    >>> oracle, values = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0])), np.array([[5.0, 4.0, 1.0]])
    >>> settled = Reoptimize(drop=0.5).settle(oracle, np.array([[1.0, 1.0, 0.0]]), values)
    >>> settled.decisions, settled.objectives
    (array([[1., 0., 1.]]), array([4.]))
    """

    def correct(
        self, oracle: Oracle, decisions: Array, costs: Array, instance: Instance | None
    ) -> Array:
        """Solve the second stage; see ``AbstractRecourse``."""
        held: Any = solving(oracle)
        add, drop = np.abs(costs) * self.add, np.abs(costs) * self.drop
        program: Program | None = held.program() if hasattr(held, "program") else None
        if program is not None and _binary(program, instance or {}):
            # of zeros and ones (w2 - w)_+ is w2 where w is zero, (w - w2)_+ is 1 - w2 where w is 1
            changed = costs + np.where(decisions > 0.5, -drop, add)
            return oracle.solve(changed, instance).decisions
        if not isinstance(held, LinearProgram | MixedIntegerProgram):
            raise UnsupportedError(
                f"Reoptimize does not go with {type(held).__name__}: it needs decisions of zeros "
                "and ones in a matrix form, a LinearProgram or a MixedIntegerProgram; Rescale may "
                "do"
            )
        second = _SECOND.get(held)
        if second is None:
            second = _SECOND[held] = _second_stage(held)
        d = costs.shape[1]
        own = dict(instance or {})
        bounds = {}
        for name in ("row_lower", "row_upper"):
            shared = getattr(held.model, name)
            rows = own.get(name, np.broadcast_to(shared, (len(costs), len(shared))))
            bounds[name] = np.hstack([rows, decisions])
        for name, widest in (("lower", 0.0), ("upper", np.inf)):
            if name in own:
                changes = np.full((len(costs), 2 * d), widest)
                bounds[name] = np.hstack([own[name], changes])
        return second.solve(np.hstack([costs, add, drop]), bounds).decisions[:, :d]


def _binary(program: Program, instance: Instance) -> bool:
    """Tell whether decisions are vectors of zeros and ones, within bounds of their own too."""
    lower, upper = (instance.get(name, getattr(program, name)) for name in ("lower", "upper"))
    within = (np.asarray(lower) >= 0).all() and (np.asarray(upper) <= 1).all()
    return bool(within and np.asarray(program.integrality).all() and program.identity)


def _second_stage(oracle: LinearProgram | MixedIntegerProgram) -> Oracle:
    """Make the oracle over (w2, what is added, what is dropped), ``M x - added + dropped = w``."""
    model, d = oracle.model, oracle.model.n_costs
    none, one = sp.csr_array((model.A.shape[0], d)), sp.eye_array(d)
    first = np.zeros(d)  # given with each instance
    program = Program(
        sp.block_array([[model.A, none, none], [model.decision_map, -one, one]]),
        np.concatenate([model.row_lower, first]),
        np.concatenate([model.row_upper, first]),
        np.concatenate([model.lower, np.zeros(2 * d)]),
        np.concatenate([model.upper, np.full(2 * d, np.inf)]),
        np.concatenate([model.integrality, np.zeros(2 * d, dtype=bool)]),
        np.concatenate([model.fixed_costs, np.zeros(2 * d)]),
        sp.block_diag([model.decision_map, sp.eye_array(2 * d)], format="csr"),
    )
    if isinstance(oracle, LinearProgram):
        return LinearProgram(program, "highs")
    return MixedIntegerProgram(program, oracle.time_limit, oracle.gap, oracle.backend)
