"""The table "which loss needs what", made from what the losses require.

``python docs/losses_table.py`` writes it; a test holds the written one equal to it.
"""

from pathlib import Path

from dfl.losses import available, imitating
from dfl.losses.registry import LOSSES

PATH = Path(__file__).parent / "_generated" / "losses.md"


def table() -> str:
    """Return the table in Markdown."""
    rows = [
        "| loss | class | learns from | labels it solves for, once | needs of the oracle |",
        "|---|---|---|---|---|",
    ]
    for name in available():
        needs = LOSSES[name].requires
        cells = (
            f'`"{name}"`',
            f"`{LOSSES[name].__name__}`",
            learns_from(name),
            "optimal decisions" if needs & {"decisions", "objectives"} else "none",
            of_the_oracle(needs),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def learns_from(name: str) -> str:
    if "samples" in LOSSES[name].requires:
        return "weighted samples"
    return "costs, or decisions alone" if name in imitating() else "costs"


def of_the_oracle(needs: frozenset[str]) -> str:
    if "samples" in needs:
        return "it has none"
    if "derivative" in needs:
        return "smooth decisions (`vector_jacobian_product`)"
    if "permutations" in needs:
        return "decisions that are permutations of given numbers (`permuted`)"
    if "variables" in needs:
        return "an objective that is c.w alone, a matrix form (`program`) of the decision itself"
    if "normals" in needs:
        return (
            "an objective that is c.w alone, a matrix form (`program`) of the decision itself, or "
            "its tight constraints (`tight_cuts`)"
        )
    if "program" in needs:
        linear = "an objective that is c.w alone, " if "linear" in needs else ""
        return f"{linear}a matrix form (`program`)"
    return "an objective that is c.w alone" if "linear" in needs else "nothing but `solve`"


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
