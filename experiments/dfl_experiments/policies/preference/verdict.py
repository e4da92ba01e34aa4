"""What a run of tuned diffusion models supports, by rules that were set before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfl_experiments.policies.preference.rules import LEFT, Table, bootstrap, text, word

# gains are in standard deviations of the untuned model's samples
_GAIN = 0.5
_MARGIN = 0.05


def verdict(cells: Sequence[tuple[str, int, Mapping[str, Any]]], limit: float) -> list[str]:
    """Return what may be said, a sentence a rule; rules whose methods are missing are left out.

    Parameters
    ----------
    cells : sequence of (str, int, mapping)
        Name of a method, seed, and ``scores``, among them ``judge``, ``gain``, ``reward``,
        ``divergence``, ``distance`` and ``entropy``.
    limit : float
        Of the divergence, in nats.

    Returns
    -------
    list of str
        With 95 % bootstrap intervals over the seeds that both sides have.

    Examples
    --------
    >>> def cell(name, seed, gain):
    ...     scores = {"judge": gain, "gain": gain, "reward": gain, "divergence": 9.0}
    ...     return name, seed, {"scores": {**scores, "distance": 0.9, "entropy": 1.0}}
    >>> found = verdict([cell("gradspo", seed, 0.6 + seed / 100) for seed in range(5)], 20.0)
    >>> found[0][:44]
    'A1, holds: the judge gains 0.620 [0.608, 0.6'
    """
    table, found = Table(cells), []
    if table.has("gradspo"):
        gain = bootstrap(table.values("gradspo", "gain"))
        found.append(
            f"A1, {word(gain[1] > 0 and gain[0] >= _GAIN)}: the judge gains {text(gain)} "
            f"standard deviations by gradspo; at least {_GAIN} wanted."
        )
    if table.has("gradspo", "spo"):
        gap = bootstrap(table.apart("gradspo", "spo", "gain"))
        found.append(
            f"A2, {word(gap[1] > -_MARGIN)}: gradspo is not worse than spo by {_MARGIN} standard "
            f"deviations: gain of gradspo minus that of spo {text(gap)}."
        )
    if table.has("gradspo", "diffusion-dpo"):
        gap = bootstrap(table.apart("gradspo", "diffusion-dpo", "gain"))
        found.append(f"A3, told and not claimed: gain of gradspo minus diffusion-dpo {text(gap)}.")
    for name in table.tuned:
        far, distance, entropy = (
            float(table.values(name, score).mean())
            for score in ("divergence", "distance", "entropy")
        )
        whole = far <= limit and distance >= LEFT and entropy >= LEFT
        found.append(
            f"A4, {word(whole)} for {name}: {far:.1f} nats of at most {limit:g}; distance "
            f"{distance:.2f} and entropy {entropy:.2f} of the untuned model's, of at least {LEFT}."
        )
    found += table.ranks_alike("reward", "judge", "judge and reward")
    found += table.nothing_learned()
    if table.has("flipped reward"):
        gain = bootstrap(table.values("flipped reward", "gain"))
        found.append(
            f"A6, {word(gain[2] < 0)}: the opposite reward lowers the judge: gain {text(gain)}."
        )
    return found
