"""Certificates of regret on new rows, from the margins of the rows that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from dfl import metrics
from dfl._validation import check_above_zero
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk.geometry import set_geometry
from dfl.risk.tail import check_probability
from dfl_solvers import degeneracy_distance, minimizing, solving
from dfl_solvers.oracle import Array, Oracle


@final
@dataclass(frozen=True)
class Certificate:
    """An upper bound on expected regret, by its parts.

    Attributes
    ----------
    empirical : float
        Mean loss of the rows that are known: regret, or the margin loss.
    complexity : float
        What the class of models may have fitted by chance.
    deviation : float
        What chance may do to any one model.
    ceiling : float
        The most regret there can be: a bound above it says nothing.
    """

    empirical: float
    complexity: float
    deviation: float
    ceiling: float

    @property
    def bound(self) -> float:
        """The sum of the parts."""
        return self.empirical + self.complexity + self.deviation

    @property
    def informative(self) -> bool:
        """Whether the bound is below the ceiling."""
        return self.bound < self.ceiling


def margin_loss(
    oracle: Oracle, predicted: npt.ArrayLike, costs: npt.ArrayLike, gamma: float
) -> Array:
    r"""Return regret that counts predictions near a tie as if they had decided badly.

    Regret jumps where a decision changes; this loss does not on a strongly convex set, and it is
    never smaller.

    Parameters
    ----------
    oracle : Oracle
        One that ``dfl_solvers.degeneracy_distance`` knows.
    predicted, costs : array-like of shape (n, d)
        Predicted and true costs (values, for a maximizing oracle).
    gamma : float
        The margin, in units of the predictions; positive.

    Returns
    -------
    ndarray of shape (n,)
        Loss of each row.

    Raises
    ------
    InvalidInputError
        If the margin is not positive, shapes differ or an entry is not finite.
    UnsupportedError
        If distances to ties are not known for this oracle.

    Notes
    -----
    With the distance to a tie :math:`\nu_S(p)` and the range
    :math:`\omega_S(c) = \max_w c^\top w - \min_w c^\top w`,

    .. math::

        \ell^\gamma(p, c) = s \, \ell(p, c) + (1 - s) \, \omega_S(c), \qquad
        s = \min\{\nu_S(p) / \gamma, 1\}.

    Where only a lower bound of the distance is known, it is taken: the loss is then larger.

    References
    ----------
    El Balghiti, Elmachtoub, Grigas & Tewari, "Generalization bounds in the predict-then-optimize
    framework", NeurIPS 2019, arXiv 1905.11488.

    Examples
    --------
    >>> from dfl_solvers import Ball
    >>> margin_loss(Ball(2), [[2.0, 0.0], [0.5, 0.0]], [[1.0, 0.0], [1.0, 0.0]], 1.0)
    array([0., 1.])
    """
    check_above_zero("margin_loss", gamma=gamma)
    regret = metrics.regret(oracle, predicted, costs)
    near = np.minimum(degeneracy_distance(oracle, predicted).distance / gamma, 1.0)
    held, _ = minimizing(oracle)
    rows = np.asarray(costs, dtype=float)
    ranges = -held.solve(-rows).objectives - held.solve(rows).objectives
    return np.asarray(near * regret + (1 - near) * ranges)


def margin_certificate(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    costs: npt.ArrayLike,
    gamma: float,
    *,
    complexity: float,
    cost_radius: float,
    confidence: float = 0.95,
) -> Certificate:
    r"""Bound the expected regret of a model on new rows, on a strongly convex set.

    Parameters
    ----------
    oracle : Oracle
        A strongly convex set: ``Ball``, ``Ellipsoid``, ``EntropyBall`` or ``LogBarrierSimplex``.
    predicted, costs : array-like of shape (n, d)
        Predicted and true costs of the rows that the model was trained on.
    gamma : float
        The margin, in units of the predictions; to be chosen before looking at the rows.
    complexity : float
        Rademacher complexity of the class of models; see ``rademacher_complexity``.
    cost_radius : float
        Largest length of a cost vector.
    confidence : float, default=0.95
        Probability :math:`1 - \delta` with which the bound holds.

    Returns
    -------
    Certificate
        The bound, and its parts.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    UnsupportedError
        If the set is not known to be strongly convex.

    See Also
    --------
    count_certificate : For sets with finitely many decisions.

    Notes
    -----
    With :math:`\omega = D \cdot` ``cost_radius``, where D is the diameter of the set,

    .. math::

        R \le \hat R^\gamma + \frac{10 \sqrt 2 \, \omega}{\gamma} \mathfrak R_n
        + \omega \sqrt{\frac{\log(1/\delta)}{2n}}.

    The constants are reconstructed.

    References
    ----------
    El Balghiti, Elmachtoub, Grigas & Tewari, "Generalization bounds in the predict-then-optimize
    framework", NeurIPS 2019, arXiv 1905.11488.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Ball
    >>> costs = np.tile([[1.0, 0.0]], (10_000, 1))
    >>> margin_certificate(
    ...     Ball(2), costs, costs, 1.0, complexity=0.01, cost_radius=1.0
    ... ).informative
    True
    """
    check_probability("confidence", confidence)
    rows = np.asarray(costs, dtype=float)
    values = margin_loss(oracle, predicted, costs, gamma)
    geometry = set_geometry(oracle, n_costs=rows.shape[1])
    if geometry.curvature is None:
        raise UnsupportedError(
            f"margin_certificate: {type(solving(oracle)).__name__} is not known to be "
            "strongly convex; count_certificate is for sets with finitely many decisions"
        )
    _check_costs("margin_certificate", rows, complexity, cost_radius)
    ceiling = geometry.diameter * cost_radius
    return Certificate(
        float(values.mean()),
        float(10 * np.sqrt(2) * ceiling / gamma * complexity),
        _deviation(ceiling, len(rows), confidence),
        ceiling,
    )


def count_certificate(
    oracle: Oracle,
    predicted: npt.ArrayLike,
    costs: npt.ArrayLike,
    *,
    n_parameters: int,
    n_decisions: float,
    cost_radius: float,
    confidence: float = 0.95,
) -> Certificate:
    r"""Bound the expected regret of a linear model on new rows, for finitely many decisions.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predictions feed.
    predicted, costs : array-like of shape (n, d)
        Predicted and true costs of the rows that the model was trained on.
    n_parameters : int
        Number of coefficients of the model, ``d * p``.
    n_decisions : float
        Number of vertices of the feasible set, or an upper bound.
    cost_radius : float
        Largest length of a cost vector.
    confidence : float, default=0.95
        Probability :math:`1 - \delta` with which the bound holds.

    Returns
    -------
    Certificate
        The bound, and its parts.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    See Also
    --------
    margin_certificate : For strongly convex sets.

    Notes
    -----
    With N coefficients, V decisions, and :math:`\omega = D \cdot` ``cost_radius``,

    .. math::

        R \le \hat R + 2 \omega \sqrt{\frac{2 N \log(n V^2)}{n}}
        + \omega \sqrt{\frac{\log(1/\delta)}{2n}},

    as the Natarajan dimension of linear models is at most N. The constants are reconstructed.

    References
    ----------
    El Balghiti, Elmachtoub, Grigas & Tewari, "Generalization bounds in the predict-then-optimize
    framework", NeurIPS 2019, arXiv 1905.11488.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Simplex
    >>> costs = np.tile([[1.0, 0.0]], (100_000, 1))
    >>> found = count_certificate(
    ...     Simplex(2), costs, costs, n_parameters=4, n_decisions=2, cost_radius=1.0
    ... )
    >>> found.informative, found.empirical
    (True, 0.0)
    """
    check_probability("confidence", confidence)
    rows = np.asarray(costs, dtype=float)
    regret = metrics.regret(oracle, predicted, costs)
    _check_costs("count_certificate", rows, 0.0, cost_radius)
    if n_parameters < 1 or not n_decisions >= 1:
        raise InvalidInputError(
            f"count_certificate: got n_parameters={n_parameters}, n_decisions={n_decisions}, "
            "expected at least one of each"
        )
    n = len(rows)
    ceiling = set_geometry(oracle, n_costs=rows.shape[1]).diameter * cost_radius
    logarithm = np.log(n) + 2 * np.log(n_decisions)
    return Certificate(
        float(regret.mean()),
        float(2 * ceiling * np.sqrt(2 * n_parameters * logarithm / n)),
        _deviation(ceiling, n, confidence),
        ceiling,
    )


def _deviation(ceiling: float, n: int, confidence: float) -> float:
    return float(ceiling * np.sqrt(np.log(1 / (1 - confidence)) / (2 * n)))


def _check_costs(name: str, costs: Array, complexity: float, cost_radius: float) -> None:
    if not len(costs):
        raise InvalidInputError(f"{name}: got no rows, expected at least one")
    if not complexity >= 0:
        raise InvalidInputError(f"{name}: got complexity={complexity}, expected at least zero")
    longest = float(np.linalg.norm(costs, axis=1).max())
    if not cost_radius >= longest:
        raise InvalidInputError(
            f"{name}: got cost_radius={cost_radius}, expected at least {longest:.6g}, the length "
            "of a cost vector that was given"
        )
