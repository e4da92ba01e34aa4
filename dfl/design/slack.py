"""How much worse than the best hypothesis another one may look, by chance."""

from __future__ import annotations

import math

from dfl._validation import check_positive
from dfl.exceptions import InvalidInputError


def azuma_slack(
    lipschitz: float, squares: float, n_labels: int, n_hypotheses: int, delta: float
) -> float:
    r"""Slack of the elimination by the inequality of Hoeffding and Azuma.

    Parameters
    ----------
    lipschitz : float
        Constant L of the loss in the direction, in units of the costs.
    squares : float
        Sum of the squared ranges of all labels; at most ``4 n_labels``.
    n_labels : int
        Number t of labels so far.
    n_hypotheses : int
        Number of hypotheses at the start.
    delta : float
        Probability that is allowed to fail, over all times together.

    Returns
    -------
    float
        In units of the costs.

    Raises
    ------
    InvalidInputError
        If an argument is out of its range.

    Notes
    -----
    Reconstructed, with our proof:

    .. math::

        \frac L t \sqrt{2 \sum_{s \le t} \bar U_s^2 \log \frac{2 |H| t (t + 1)}{\delta}}.

    The inequality needs ranges fixed in advance. It is a proof with :math:`\bar U_s = 2`; with the
    realized ranges, which depend on earlier labels, it is a heuristic. Use ``mixture_slack`` there.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340, for the algorithm.

    Examples
    --------
    >>> from dfl.design import azuma_slack
    >>> round(azuma_slack(1.0, squares=100.0, n_labels=100, n_hypotheses=50, delta=0.1), 4)
    0.5679
    """
    _check(lipschitz, squares, n_labels, n_hypotheses, delta)
    log = math.log(2 * n_hypotheses * n_labels * (n_labels + 1) / delta)
    return lipschitz * math.sqrt(2 * squares * log) / n_labels


def mixture_slack(
    lipschitz: float,
    squares: float,
    n_labels: int,
    n_hypotheses: int,
    delta: float,
    planned_squares: float,
) -> float:
    r"""Slack of the elimination by a normal mixture: holds at all times, whatever the ranges.

    Parameters
    ----------
    lipschitz, squares, n_labels, n_hypotheses, delta
        As in ``azuma_slack``.
    planned_squares : float
        The sum of squares at which the slack is to be smallest. Any positive number, fixed before
        the first label, gives a valid slack.

    Returns
    -------
    float
        In units of the costs.

    Raises
    ------
    InvalidInputError
        If an argument is out of its range.

    Notes
    -----
    Reconstructed, with our proof. With :math:`V_t = L^2 \sum_{s \le t} \bar U_s^2` and
    :math:`\rho = L^2` ``planned_squares``,

    .. math::

        \frac 1 t \sqrt{(V_t + \rho) \log \frac{(V_t + \rho) |H|^2}{\rho \delta^2}}.

    For each multiplier, :math:`\exp(\lambda S_t - \lambda^2 V_t / 2)` is a supermartingale; its
    mixture over normal multipliers exceeds :math:`|H| / \delta` with probability at most
    :math:`\delta / |H|` (Ville's inequality).

    References
    ----------
    Howard, Ramdas, McAuliffe & Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
    sequences", Annals of Statistics 2021, arXiv 1810.08240, for the mixture.

    Examples
    --------
    >>> from dfl.design import mixture_slack
    >>> round(mixture_slack(1.0, 100.0, 100, 50, 0.1, planned_squares=100.0), 4)
    0.5123
    """
    _check(lipschitz, squares, n_labels, n_hypotheses, delta)
    check_positive("mixture_slack", planned_squares=planned_squares)
    total = squares + planned_squares
    log = math.log(total / planned_squares) + 2 * math.log(n_hypotheses / delta)
    return lipschitz * math.sqrt(total * log) / n_labels


def convergence_bound(lipschitz: float, n_labels: int, n_hypotheses: int, delta: float) -> float:
    r"""Return the published bound on the excess regret of the design by directional uncertainty.

    Use it to see how many labels the theory asks for; measured regret is far below it.

    Parameters
    ----------
    lipschitz, n_labels, n_hypotheses, delta
        As in ``azuma_slack``.

    Returns
    -------
    float
        In units of the costs.

    Raises
    ------
    InvalidInputError
        If an argument is out of its range.

    Notes
    -----
    :math:`4 L \sqrt{\log(2 T |H| / \delta) / T}`, with probability :math:`1 - \delta` for all T.
    The statement is that of the authors' poster; we have not read their proof, nor their theorem on
    the time of stopping.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340.

    Examples
    --------
    >>> from dfl.design import convergence_bound
    >>> round(convergence_bound(1.0, n_labels=100, n_hypotheses=50, delta=0.1), 6)
    1.357228
    """
    _check(lipschitz, 0.0, n_labels, n_hypotheses, delta)
    return 4 * lipschitz * math.sqrt(math.log(2 * n_labels * n_hypotheses / delta) / n_labels)


def _check(
    lipschitz: float, squares: float, n_labels: int, n_hypotheses: int, delta: float
) -> None:
    for name, value, fine in (
        ("lipschitz", lipschitz, 0 <= lipschitz < math.inf),
        ("squares", squares, 0 <= squares < math.inf),
        ("n_labels", n_labels, n_labels >= 1),
        ("n_hypotheses", n_hypotheses, n_hypotheses >= 1),
        ("delta", delta, 0 < delta < 1),
    ):
        if not fine:
            raise InvalidInputError(f"got {name}={value}, which is out of its range")
