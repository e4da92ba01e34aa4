"""How far gradients are from the exact one, by how finely completions are cut.

Models in tables over ten binary tokens, whose logits are normal with a standard deviation of 3,
so that two thirds of the tokens are cutpoints at most; a completion is rewarded if a sum of random
weights of its tokens, one for each place, is among the best tenth. All 1024 completions are
enumerated: bias and variance of the estimators are exact. Eight completions of the prompt are
trained on, and each value is a mean over nine further ones, drawn anew for each of the eight.
Medians over instances. Run ``python experiments/benchmarks/segment_gradients.py
[--write docs/_generated/segment_gradients.md]``.
"""

from __future__ import annotations

import math
import statistics

import torch
from _common import report
from torch import Tensor

from dfl.rl.segment import TabularLanguageModel, partition_cutpoints, partition_fixed

LENGTH, INSTANCES, TRAJECTORIES, ROLLOUTS, THRESHOLD = 10, 20, 8, 9, 0.9
INTERVALS = (1, 2, 5, 10, math.inf)


def instance(seed: int) -> tuple[TabularLanguageModel, Tensor]:
    """Return a model and the rewards of its completions."""
    model = TabularLanguageModel(2, LENGTH, scale=3.0, random_state=seed)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(LENGTH, generator=generator, dtype=torch.float64)
    sums = model.completions.double() @ weights
    return model, (sums > sums.quantile(0.9)).double()


def error(
    model: TabularLanguageModel,
    rewards: Tensor,
    boundaries: list[Tensor],
    kept: Tensor,
    rollouts: float,
) -> tuple[float, float, float]:
    """Return bias and mean squared error relative to the exact gradient, and the cosine.

    The gradients of tokens after different beginnings are of different entries of the table, so
    that the square of a sum over a completion is the sum of the squares.
    """
    exact = model.gradient(rewards)
    advantages = model.segment_advantages(rewards, boundaries)
    mean = model.expected_gradient(advantages * kept)
    values = model.values(rewards)
    # the variance of an estimate of a value at each place, zero at the end: the reward is known
    noise = values * (1 - values) / rollouts
    noise[:, -1] = 0
    starts, ends = model.segment_ends(boundaries)
    inside = starts <= LENGTH
    spread = noise.gather(1, ends) + noise.gather(1, starts.clamp(max=LENGTH))
    spread = spread * inside
    log_probs = model.log_probs().detach()
    # the squared norm of the gradient of log p in the logits of two tokens
    squares = 2 * (1 - log_probs.exp()) ** 2
    chances = log_probs.sum(1).exp()
    second = (chances[:, None] * (advantages**2 + spread) * squares * kept).sum()
    size = exact.square().sum()
    bias = (mean - exact).square().sum()
    squared = bias + (second - mean.square().sum()) / TRAJECTORIES
    cosine = torch.nn.functional.cosine_similarity(mean.flatten(), exact.flatten(), dim=0)
    return math.sqrt(float(bias / size)), float(squared / size), float(cosine)


def table() -> str:
    """Compute, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    found: dict[tuple[str, bool], list[tuple[float, float, float]]] = {}
    segments: dict[str, list[float]] = {}
    for seed in range(INSTANCES):
        model, rewards = instance(seed)
        old = model.log_probs().detach()
        everything = torch.ones_like(old, dtype=torch.bool)
        low = old < math.log(THRESHOLD)
        chances = old.sum(1).exp()
        cuts = {
            f"every {interval} cutpoints" if interval < math.inf else "one segment": (
                partition_cutpoints(old, everything, THRESHOLD, interval)
            )
            for interval in INTERVALS
        }
        cuts["every 2 tokens"] = partition_fixed(everything, 2)
        cuts["whole completions, 7 rollouts"] = partition_fixed(everything, LENGTH)
        for name, boundaries in cuts.items():
            counts = torch.tensor([float(len(places)) for places in boundaries])
            segments.setdefault(name, []).append(float(chances @ counts.double()))
            # as many as RLOO has others to compare with
            rollouts = TRAJECTORIES - 1 if "whole" in name else ROLLOUTS
            for mask in (False, True):
                kept = low if mask else everything
                found.setdefault((name, mask), []).append(
                    error(model, rewards, boundaries, kept, rollouts)
                )
    lines = [
        "| cut | segments | bias | with mask | cosine | with mask | squared error | with mask |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, counts in segments.items():
        cells = [f"{statistics.median(counts):.1f}"]
        for part, form in ((0, ".3f"), (2, ".3f"), (1, ".2f")):
            for mask in (False, True):
                values = [each[part] for each in found[name, mask]]
                cells.append(format(statistics.median(values), form))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("every 1 cutpoints", "every cutpoint")


if __name__ == "__main__":
    report(__doc__, table)
