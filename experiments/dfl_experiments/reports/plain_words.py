"""The answer of a comparison in plain words, made from its numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from dfl_experiments.reports.estimates import Metric
from dfl_experiments.reports.page import Entry, Sheet, difference, number
from dfl_experiments.reports.verdict import Verdict

# more names than this are counted instead
_MANY = 8


def answer(found: Sequence[Verdict], metric: Metric, tuning: str) -> str:
    """Say how much of the gain over two-stage survives, where, and where least squares wins.

    Parameters
    ----------
    found : sequence of Verdict
        One a problem.
    metric : Metric
        What regret was measured in.
    tuning : str
        How the two-stage methods were tuned, such as "tuned by regret, 20 trials each".

    Returns
    -------
    str
        A paragraph.
    """
    n, base = len(found), found[0].baseline
    gain = sum(one.gain.mean for one in found) / n
    text = (
        f"On {n} problem{'s' * (n > 1)}, the best decision-focused method has on average "
        f"{_amount(gain, metric)} regret than plain two-stage ({base}): clearly less on "
        f"{_listed([one.problem for one in found if one.gain.low > 0])}, clearly more on "
        f"{_listed([one.problem for one in found if one.gain.high < 0])}."
    )
    if any(one.n_two_stage for one in found):
        left = sum(one.left.mean for one in found) / n
        ahead = [one.problem for one in found if one.left.low > 0]
        behind = [one.problem for one in found if one.left.high < 0]
        text += f" Beside the best two-stage model ({tuning}) it has {_amount(left, metric)} regret"
        # shares problem by problem: one of large regrets would be all of a ratio of means
        shares = [one.left.mean / one.gain.mean for one in found if one.gain.mean > 0]
        if shares:
            median = "in the median over problems, " if len(shares) > 1 else ""
            text += f": {median}{_surviving(statistics.median(shares))} of the gain survives"
        text += (
            f". It is clearly ahead on {len(ahead)} of {n}, with the 95 % interval of the paired "
            f"difference above zero ({_listed(ahead)}), and clearly behind on {_listed(behind)}."
        )
    else:
        text += (
            " No other two-stage model was run, so that this does not tell what is left of the "
            "gain once two-stage models are tuned, too."
        )
    known = [one.closable for one in found if one.closable is not None]
    if known:
        focused, two_stage = (sum(each) / len(known) for each in zip(*known, strict=True))
        text += (
            f" Of the closable regret (100 %: {base}; 0 %: the least possible; known on "
            f"{len(known)}), the best decision-focused method leaves {100 * focused:.0f} % and the "
            f"best two-stage one {100 * two_stage:.0f} %."
        )
    return text


def least_squares_wins(problems: Sequence[str], base: str) -> str:
    """Say where no method has a smaller mean than least squares."""
    if not problems:
        return f"On every problem, some method has less mean regret than {base}."
    return f"The least mean regret of all methods has {base} on {_listed(problems)}."


def by_predictor(found: Sequence[Verdict], metric: Metric) -> str:
    """Say what is left of the gain with each class of predictors; empty where there is but one."""
    left: dict[str, list[float]] = {}
    for one in found:
        if one.predictor is not None:
            left.setdefault(one.predictor, []).append(one.left.mean)
    if not left:
        return ""
    said = "; ".join(
        f"{name}: {_amount(sum(own) / len(own), metric)}" for name, own in left.items()
    )
    return (
        "Above, methods of all classes of predictors compete. With one class, beside the best of "
        f"its two-stage models and least squares, decision-focused methods have on average, {said}."
    )


def how_chosen(n_seeds: int) -> str:
    """Say how the best methods were chosen."""
    if n_seeds < 2:
        return (
            "One seed: the best methods were chosen by the results they are judged by, and nothing "
            "is known of chance."
        )
    return (
        "On each seed, the method counts that is best on the other seeds: the best of many, judged "
        "by the results it was chosen by, would look better than it is. Two-stage: regressors "
        "such as least squares and forests, and the squared, absolute and Huber errors, whatever "
        "tunes them; all other losses count as decision-focused."
    )


def one_data_set(problems: Sequence[str]) -> str:
    """Say what seeds that share their data cannot tell; empty where each draws its own."""
    if not problems:
        return ""
    return (
        f"Seeds share one data set on {_listed(problems)}: above, intervals there are those of "
        "training alone, and the best methods were chosen on the instances that they are judged "
        "by. The tables have the intervals over test instances where the run has left them."
    )


def sheet(found: Sequence[Verdict], metric: Metric) -> Sheet:
    """Make the table behind the answer."""
    crossed = any(one.predictor is not None for one in found)
    columns = ["problem", *(["predictor"] if crossed else []), "best decision-focused",
               "best two-stage", f"gain over plain two-stage, {_points(metric)}",
               f"left beside the best two-stage, {_points(metric)}"]  # fmt: skip
    shares = any(one.closable is not None for one in found)
    columns += ["closable left by decision-focused, %", "by two-stage, %"] if shares else []
    rows = []
    for one in found:
        left: tuple[float | None, ...] = one.closable or (None, None)
        rows.append(
            [
                Entry(one.problem),
                *([Entry(one.predictor or "any")] if crossed else []),
                Entry(one.focused),
                Entry(one.two_stage),
                difference(one.gain, metric.percent, "higher"),
                difference(one.left, metric.percent, "higher"),
                *(number(None if share is None else 100 * share, 0) for share in left if shares),
            ]
        )
    return Sheet("What is left of the gain", columns, rows, "Positive: decision-focused is better.")


def _surviving(share: float) -> str:
    # the best two-stage method, chosen on other seeds, may be worse than the plain one
    if share >= 1:
        return "all"
    return "none" if share <= 0 else f"{100 * share:.0f} %"


def _points(metric: Metric) -> str:
    return "points" if metric.percent else metric.label


def _amount(value: float, metric: Metric) -> str:
    size = f"{abs(100 * value):.2f} points" if metric.percent else f"{abs(value):.4g}"
    return f"{size} {'less' if value >= 0 else 'more'}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _MANY:
        return f"{len(names)} of them (see the table)"
    return "; ".join(names) if names else "none"
