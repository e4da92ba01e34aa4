"""What a run of robust control supports, by rules that were set before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dfl.metrics import Interval, mean_interval
from dfl_solvers.oracle import Array

# a difference that counts, as a share of what PPO gains over acting at random
_COUNTS = 0.05

Scores = Mapping[str, Mapping[str, npt.ArrayLike]]
"""For each method and score, a number a seed, in one order of seeds."""


def verdict(scores: Scores, at_random: float) -> list[str]:
    """Return what may be said, a sentence a rule, each with its 95 % interval over seeds.

    Parameters
    ----------
    scores : mapping of str to mapping of str to array-like
        For ``ppo``, ``arpo`` and any of the other configurations.
    at_random : float
        What acting at random earns.
    """
    table = {
        name: {k: np.asarray(v, float) for k, v in own.items()} for name, own in scores.items()
    }
    ppo, arpo = table["ppo"], table["arpo"]
    margin = _COUNTS * (ppo["natural"].mean() - at_random)
    tension = mean_interval(ppo["natural"] - arpo["natural"])
    torn = tension.mean >= margin
    found_one = "so that there is one to resolve" if tension.low > 0 else (
        "but not beyond chance, so that it is open whether there is one"
    )  # fmt: skip
    found = [
        f"Tension: natural return of ppo minus arpo {_text(tension)}; "
        + (
            f"at least the margin of {margin:.1f}, {found_one}."
            if torn
            else f"below the margin of {margin:.1f}: no tension on this task."
        )
    ]
    for name in ("barpo", "barpo+guidance", "barpo-ramp"):
        if name in table:
            found += _compared(name, table[name], ppo, arpo, margin, torn)
    if "random" in ppo:
        sane = mean_interval(ppo["random"] - ppo["worst"])
        strong = "stronger than noise" if sane.low > 0 and sane.mean >= margin else (
            "hardly stronger than noise: read robust returns with care"
        )  # fmt: skip
        found.append(f"Attacks on ppo: noise minus worst {_text(sane)}: {strong}.")
    if "stable-baselines3" in table:
        gap = mean_interval(ppo["natural"] - table["stable-baselines3"]["natural"])
        word = "not worse" if gap.low > -margin else "not shown to be as good"
        found.append(
            f"PPO here minus that of Stable-Baselines3, natural: {_text(gap)}: {word}, at a margin "
            f"of {margin:.1f}."
        )
    for score in ("natural", "worst"):
        means = {n: own[score].mean() for n, own in table.items() if score in own}
        order = sorted(means, key=lambda name: -means[name])
        listed = ", ".join(f"{name} {means[name]:.1f}" for name in order)
        found.append(f"Order by {score} return: {listed}.")
    return found


def _compared(
    name: str,
    own: Mapping[str, Array],
    ppo: Mapping[str, Array],
    arpo: Mapping[str, Array],
    margin: float,
    torn: bool,
) -> list[str]:
    natural = mean_interval(own["natural"] - arpo["natural"])
    worst = mean_interval(own["worst"] - arpo["worst"])
    over = mean_interval(own["worst"] - ppo["worst"])
    lines = []
    if torn:
        word = "supported" if natural.low > 0 else "not supported"
        lines.append(f"{name} has the higher natural return than arpo: {word}, {_text(natural)}.")
    holds = worst.low > -margin and over.low > 0
    lines.append(
        f"{name} is not worse than arpo under the worst attack, and better than ppo: "
        f"{'supported' if holds else 'not supported'}, {_text(worst)} and {_text(over)}."
    )
    both = f"natural {_text(natural)}, worst {_text(worst)}"
    if natural.low > 0 or worst.low > 0:
        lines.append(f"The falsifier, that arpo matches {name}, does not hold: {both}.")
    elif natural.high < margin and worst.high < margin:
        lines.append(
            f"The falsifier holds: arpo matches {name}, which is not ahead by the margin in "
            f"either return; {both}."
        )
    else:
        lines.append(f"The falsifier, that arpo matches {name}, is undecided: {both}.")
    return lines


def _text(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"
