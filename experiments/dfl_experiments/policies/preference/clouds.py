"""Pictures of where samples are in the plane, before and after tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# samples of a method that are kept, and drawn
_SHOWN = 300
_COLUMNS = 4


def points(samples: Tensor) -> dict[str, Any]:
    """Keep the first two coordinates of some samples, to three digits."""
    found = samples[:_SHOWN, :2].tolist()
    return {"points": [[round(value, 3) for value in point] for point in found]}


def clouds(
    cells: Sequence[tuple[str, int, Mapping[str, Any]]], centers: Sequence[Sequence[float]]
) -> bytes:
    """Draw the samples of each method from the same noise, of the first seed, and what is wanted.

    Parameters
    ----------
    cells : sequence of (str, int, mapping)
        As ``AbstractPolicyStudy.files`` is given them; ``shown`` is what ``points`` kept.
    centers : sequence of (float, float)
        What is wanted.

    Returns
    -------
    bytes
        A PNG file.
    """
    from dfl_experiments.report import new_figure, png_bytes

    first = min(seed for _, seed, _ in cells)
    drawn = {name: each["shown"]["points"] for name, seed, each in cells if seed == first}
    figure, panels = new_figure(-(-len(drawn) // _COLUMNS), _COLUMNS, 2.2, 2.3)
    every = [value for own in drawn.values() for point in own for value in point]
    limit = 1.05 * max(map(abs, every))
    for panel in panels.flat:
        panel.set_axis_off()
    for panel, (name, own) in zip(panels.flat, drawn.items(), strict=False):
        panel.set_axis_on()
        panel.plot(*zip(*own, strict=True), ".", markersize=2, alpha=0.6)
        panel.plot(*zip(*centers, strict=True), "x", color="black", markersize=6)
        panel.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        panel.set_title(name, fontsize="small")
    return png_bytes(figure)
