"""Stop when the best hypothesis left is provably good enough."""

from __future__ import annotations

import math
from typing import Any, final

from dfl._validation import check_above_zero
from dfl.design.protocols import Verdict
from dfl.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Oracle


@final
class SlackBelow:
    r"""Stop when the slack of the elimination is at most a tolerance (S1).

    With probability at least ``1 - delta``, the excess risk of the incumbent over the best
    hypothesis of the class is then at most the tolerance. The class itself may be bad: nothing is
    said of that.

    Parameters
    ----------
    tolerance : float
        Excess risk that does not matter, in units of the loss (of costs, for ``loss="spo"``).

    Raises
    ------
    InvalidInputError
        By ``assess``, if the tolerance is not positive.
    UnsupportedError
        By ``assess``, if the model has no slack.

    Notes
    -----
    Certified only with ``loss="spo"``, ``slack="mixture"``, a certified constant L, bounded labels
    and ``repeats=True``; the verdict says what is missing. Reconstructed, with our proof; the
    published theorem on the time of stopping was not read.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340, for the idea of stopping by the bound.

    Examples
    --------
    >>> from dfl.design import SlackBelow
    >>> SlackBelow(0.1)
    SlackBelow(tolerance=0.1)
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance

    def assess(
        self,
        model: Any,
        pool: Array | None,
        oracle: Oracle,
        pool_weight: Array | None,
        repeats: bool,
    ) -> Verdict:
        """Compare the slack of a finite class; the pool is not needed."""
        check_above_zero(self, tolerance=self.tolerance)
        value = getattr(model, "slack_", math.nan)
        if math.isnan(value):
            raise UnsupportedError(
                "SlackBelow needs a FiniteHypothesisClass with slack='mixture' or 'azuma'"
            )
        missing = []
        if model.slack != "mixture":
            missing.append(f"slack={model.slack!r} is a heuristic")
        if not model.lipschitz.certified:
            missing.append(f"L = {model.lipschitz.value:g} is assumed")
        elif model.loss != "spo":
            missing.append(f"L is that of regret, not of loss={model.loss!r}")
        if not repeats:
            missing.append("rows are not drawn again")
        statement = (
            f"excess risk over the best hypothesis at most {self.tolerance:g} with probability "
            f"{1 - model.delta:g}"
        )
        if missing:
            statement += "; not certified: " + ", ".join(missing)
        else:
            statement += f"; certified, for bounded labels; L: {model.lipschitz.source}"
        return Verdict(value <= self.tolerance, value, self.tolerance, not missing, statement)

    def __repr__(self) -> str:
        return f"SlackBelow(tolerance={self.tolerance!r})"
