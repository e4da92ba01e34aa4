"""Stop when no two hypotheses that are left can decide differently."""

from __future__ import annotations

from typing import Any, final

from dfl._validation import check_above_zero
from dfl.design.directional import DirectionalUncertainty
from dfl.design.protocols import Verdict
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


@final
class DirectionsWithinMargin:
    r"""Stop when the directional uncertainty of every row is below the directional margin (S2).

    All survivors then make the same decision on every row of the pool. It calls no oracle.

    Parameters
    ----------
    margin : float
        Directional margin of the hypotheses on the pool: see ``directional_margin``.
    certified : bool, default=False
        Set it if the margin is known to hold for all hypotheses on all rows, such as the exact
        least one over them; else the verdict calls it assumed.

    Raises
    ------
    InvalidInputError
        By ``assess``, if the margin is not positive or there is no pool.
    UnsupportedError
        By ``assess``, if the model has no members, or the objective of the oracle is not ``c.w``
        alone.

    Notes
    -----
    Directions closer than :math:`\eta \le \nu_S(h(x)) / \lVert h(x) \rVert` have the same optimal
    decision. That all survivors decide alike does not mean that they decide well.

    Examples
    --------
    >>> from dfl.design import DirectionsWithinMargin
    >>> DirectionsWithinMargin(0.01)
    DirectionsWithinMargin(margin=0.01, certified=False)
    """

    def __init__(self, margin: float, certified: bool = False) -> None:
        self.margin = margin
        self.certified = certified

    def assess(
        self,
        model: Any,
        pool: Array | None,
        oracle: Oracle,
        pool_weight: Array | None,
        repeats: bool,
    ) -> Verdict:
        """Score the pool by ``DirectionalUncertainty()``; no label is solved."""
        check_above_zero(self, margin=self.margin)
        rows = need_pool(self, pool)
        value = float(DirectionalUncertainty().score(model, rows, oracle).max())
        given = "known" if self.certified else "assumed"
        statement = (
            f"all survivors make the same decision on every row, with the {given} directional "
            f"margin of {self.margin:g}"
        )
        return Verdict(value < self.margin, value, self.margin, self.certified, statement)

    def __repr__(self) -> str:
        return f"DirectionsWithinMargin(margin={self.margin!r}, certified={self.certified})"


def need_pool(rule: Any, pool: Array | None) -> Array:
    """Return the pool, or say that there is none."""
    if pool is None:
        raise InvalidInputError(
            f"{type(rule).__name__} looks at the pool, and none was asked from yet: pass it to "
            "should_stop(pool)"
        )
    return pool
