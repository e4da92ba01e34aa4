"""How much the regret can change with the direction of the prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl.design._scoring import ALIKE, check_pool, unit_blocks
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Oracle, minimizing


@final
@dataclass(frozen=True)
class LipschitzConstant:
    """A constant L with ``|c.(w1 - w2)| <= L |u1 - u2|``, and where it comes from.

    Attributes
    ----------
    value : float
        In units of the costs.
    certified : bool
        False if it was assumed.
    source : str
        For the statements of stopping rules.
    """

    value: float
    certified: bool
    source: str


def directional_lipschitz(
    diameter: float, cost_bound: float, margin: float, certified: bool = False
) -> LipschitzConstant:
    r"""Constant of a polytope: regret moves by at most so much per unit of direction.

    Parameters
    ----------
    diameter : float
        Largest distance between two decisions.
    cost_bound : float
        Bound on the length of the (projected) costs that can be observed.
    margin : float
        Directional margin of all hypotheses on all rows: see ``directional_margin``, which
        estimates it.
    certified : bool, default=False
        Set it if the margin is known to hold for all hypotheses on all rows, such as the exact
        least one over them; else the constant is an assumption.

    Returns
    -------
    LipschitzConstant
        The constant, and what certifies it.

    Raises
    ------
    InvalidInputError
        If an argument is not positive and finite.

    Notes
    -----
    Reconstructed, with our proof: :math:`L = D_S \sup \lVert \Pi c \rVert / \eta`. Directions that
    are closer than the margin have the same decision; others differ by at least
    :math:`\eta`, and their regret by at most :math:`D_S \lVert \Pi c \rVert`.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340, for the margin condition.

    Examples
    --------
    >>> from dfl.design import directional_lipschitz
    >>> directional_lipschitz(diameter=2.0, cost_bound=3.0, margin=0.1).value
    60.0
    """
    for name, value in (("diameter", diameter), ("cost_bound", cost_bound), ("margin", margin)):
        if not 0 < value < math.inf:
            raise InvalidInputError(f"got {name}={value}, expected a positive finite number")
    value = diameter * cost_bound / margin
    return LipschitzConstant(value, certified, "diameter times cost bound over directional margin")


def lipschitz_of_class(
    model: Any, pool: Any, oracle: Oracle, cost_bound: float
) -> LipschitzConstant:
    r"""Constant of a finite class on a finite pool, by comparing all its decisions.

    Smaller than that of ``directional_lipschitz``, since only pairs of hypotheses that exist count,
    and in need of no margin. It solves each row for each hypothesis, once, before the first label.

    Parameters
    ----------
    model : FiniteHypothesisClass
        Hypotheses that predict costs for the pool.
    pool : array-like of shape (n, p)
        Features of the rows to look at.
    oracle : Oracle
        The problem that the costs feed.
    cost_bound : float
        Bound on the length of the (projected) costs that can be observed.

    Returns
    -------
    LipschitzConstant
        Certified for this pool.

    Raises
    ------
    InvalidInputError
        If the bound is not positive, or two hypotheses with equal directions decide differently, as
        in a tie.
    UnsupportedError
        If the model has no members, or the objective of the oracle is not ``c.w`` alone.

    Notes
    -----
    Reconstructed: with decisions w and directions u of the projected predictions,

    .. math::

        L = \sup \lVert \Pi c \rVert
            \max_{x, h, h'} \frac{\lVert w_h(x) - w_{h'}(x) \rVert}{\lVert u_h(x) - u_{h'}(x)
            \rVert}.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass, lipschitz_of_class
    >>> from dfl_solvers import Simplex
    >>> table = np.array([[[1.0, -1.0]], [[-1.0, 1.0]], [[2.0, -2.0]]])
    >>> found = lipschitz_of_class(FiniteHypothesisClass(table), np.arange(1), Simplex(2), 1.0)
    >>> round(found.value, 4)
    0.7071
    """
    if not 0 < cost_bound < math.inf:
        raise InvalidInputError(f"got cost_bound={cost_bound}, expected a positive finite number")
    held, sign = minimizing(oracle)
    pool, worst = check_pool(pool), 0.0
    walk = unit_blocks(lipschitz_of_class, model, pool, oracle, project=True)
    for rows, costs, unit, lost in walk:
        b, m, d = costs.shape
        decisions = held.solve((sign * costs).reshape(b * m, d)).decisions.reshape(b, m, d)
        for i in range(b):
            away = decisions[i][:, None] - decisions[i]
            apart = np.linalg.norm(away, axis=-1)
            turned = np.linalg.norm(unit[i][:, None] - unit[i], axis=-1)
            turned[lost[i]] = turned[:, lost[i]] = 2.0
            differ = np.abs(away).max(axis=-1) > ALIKE
            if (turned[differ] < 1e-9).any():
                raise InvalidInputError(
                    f"row {rows.start + i}: two hypotheses predict the same direction and decide "
                    "differently, which is a tie; no constant exists"
                )
            worst = max(worst, float((apart[differ] / turned[differ]).max(initial=0.0)))
    return LipschitzConstant(cost_bound * worst, True, "all pairs of hypotheses on the pool")
