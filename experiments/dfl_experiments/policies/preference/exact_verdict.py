"""What a run of tuned diffusions of a normal law supports, by rules that were set before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfl_experiments.policies.preference.rules import LEFT, Table, bootstrap, text, word

# in units of the reward: without noise, and with
_MARGIN, _NOISY_MARGIN = 0.02, 0.01
_ALL = "gradspo, all candidates"


def verdict(
    cells: Sequence[tuple[str, int, Mapping[str, Any]]], limit: float, noisy: bool
) -> list[str]:
    """Return what may be said, a sentence a rule; rules whose methods are missing are left out.

    Parameters
    ----------
    cells : sequence of (str, int, mapping)
        Name of a method, seed, and ``scores``: ``reward``, ``told``, ``divergence``, ``distance``.
    limit : float
        Of the divergence, in nats.
    noisy : bool
        Rewards were told with noise, for which there are rules of their own.

    Returns
    -------
    list of str
        With 95 % bootstrap intervals of differences that are paired by seed.

    Examples
    --------
    >>> def cell(name, seed, reward):
    ...     scores = {"reward": reward, "told": reward, "divergence": 9.0, "distance": 0.9}
    ...     return name, seed, {"scores": scores}
    >>> base = [cell("untuned", seed, -1.0) for seed in range(5)]
    >>> found = verdict(base + [cell("gradspo", s, -0.8 + s / 100) for s in range(5)], 20.0, False)
    >>> found[0]
    'A1, holds: gradspo adds 0.220 [0.208, 0.232] to the reward.'
    """
    table, found = Table(cells), []

    def gap(name: str, other: str) -> tuple[float, float, float]:
        return bootstrap(table.apart(name, other, "reward"))

    if table.has("gradspo", "untuned"):
        gain = gap("gradspo", "untuned")
        found.append(f"A1, {word(gain[1] > 0)}: gradspo adds {text(gain)} to the reward.")
    if table.has("gradspo", "spo"):
        margin, less = _NOISY_MARGIN if noisy else _MARGIN, gap("gradspo", "spo")
        found.append(
            f"A2, {word(less[1] > -margin)}: gradspo is not worse than spo by {margin}: its reward "
            f"minus that of spo {text(less)}."
        )
    if noisy and table.has(_ALL, "spo"):
        more = gap(_ALL, "spo")
        found.append(
            f"A2, {word(more[1] > 0)}: with noise, all candidates are better than spo: reward "
            f"minus that of spo {text(more)}."
        )
    if table.has("gradspo", "diffusion-dpo"):
        found.append(
            "A3, told and not claimed: reward of gradspo minus diffusion-dpo "
            f"{text(gap('gradspo', 'diffusion-dpo'))}."
        )
    for name in table.tuned:
        far, distance = (
            float(table.values(name, score).mean()) for score in ("divergence", "distance")
        )
        found.append(
            f"A4, {word(far <= limit and distance >= LEFT)} for {name}: {far:.1f} nats of at "
            f"most {limit:g}; distance {distance:.2f} of the untuned model's, of at least {LEFT}."
        )
    found += table.ranks_alike("told", "reward", "reward as it is told and without noise")
    found += table.nothing_learned()
    if table.has("flipped reward", "untuned"):
        less = gap("flipped reward", "untuned")
        found.append(
            f"A6, {word(less[2] < 0)}: the opposite reward lowers the reward: by {text(less)}."
        )
    return found
