"""Advantages of segments that branch: trees of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.advantages import (
    DepthWeighting,
    Norm,
    depth_weights,
    tree_advantages,
    tree_values,
)
from dfl.rl.segment.drawing import Collected, Drawing
from dfl.rl.segment.examples import Example


@final
@dataclass(frozen=True)
class Forest:
    """Trees of completions, one for each of some prompts, their nodes in order of depth.

    Attributes
    ----------
    rows : list of n int
        The prompt of each node.
    parents : Tensor of int64 of shape (n,)
        -1 for roots.
    depths : Tensor of int64 of shape (n,)
    begun : list of n Tensors of int64
        The completion up to the segment of a node.
    segments : list of n Tensors of int64
        What the node adds; nothing for a root.
    leaves : Tensor of bool of shape (n,)
    finished : Tensor of bool of shape (n,)
        Leaves that ended by themselves.
    values : Tensor of shape (n,)
        Rewards of leaves, means over children elsewhere.
    """

    rows: list[int]
    parents: Tensor
    depths: Tensor
    begun: list[Tensor]
    segments: list[Tensor]
    leaves: Tensor
    finished: Tensor
    values: Tensor


def tree_rollout(
    drawing: Drawing, rows: Sequence[int], structure: Sequence[int], segment_tokens: int
) -> Forest:
    """Grow a tree of completions from each of some prompts, a level of all trees at a time.

    Parameters
    ----------
    drawing : Drawing
        What draws completions and judges them.
    rows : sequence of int
        Numbers of the prompts.
    structure : sequence of int
        Children of each node, level by level; those of the last level go on to their end.
    segment_tokens : int
        Most tokens of a node at other levels. One that ends early is a leaf.

    Returns
    -------
    Forest
        All trees, node by node.

    Raises
    ------
    InvalidInputError
        If a number is below one.
    """
    if not structure or min(structure) < 1 or segment_tokens < 1:
        raise InvalidInputError(
            f"tree_rollout: got structure={tuple(structure)} and segment_tokens={segment_tokens}, "
            "expected at least one level, with at least one child and one token each"
        )
    nothing = torch.zeros(0, dtype=torch.int64)
    owners, parents, depths = list(rows), [-1] * len(rows), [0] * len(rows)
    begun, segments = [nothing] * len(rows), [nothing] * len(rows)
    leaves, finished = [False] * len(rows), [False] * len(rows)
    open_nodes = list(range(len(rows)))
    for level, n in enumerate(structure):
        last = level == len(structure) - 1
        texts = [torch.cat([begun[i], segments[i]]) for i in open_nodes]
        drawn = drawing.go_on(
            [owners[i] for i in open_nodes], n, texts, None if last else segment_tokens
        )
        grown = []
        for j, (segment, ended) in enumerate(
            zip(drawn.rows(), drawn.finished.tolist(), strict=True)
        ):
            parent, text = open_nodes[j // n], texts[j // n]
            full = len(text) + len(segment) >= drawing.max_completion_length
            if not (last or ended or full):
                grown.append(len(owners))
            owners.append(owners[parent])
            parents.append(parent)
            depths.append(level + 1)
            begun.append(text)
            segments.append(segment)
            leaves.append(last or ended or full)
            finished.append(ended)
        open_nodes = grown
        if not open_nodes:
            break
    at = [i for i, leaf in enumerate(leaves) if leaf]
    whole = [torch.cat([begun[i], segments[i]]) for i in at]
    rewards = drawing.judge([owners[i] for i in at], whole)
    values = torch.zeros(len(owners), dtype=rewards.dtype)
    values[torch.tensor(at)] = rewards
    above = torch.tensor(parents)
    return Forest(
        owners,
        above,
        torch.tensor(depths),
        begun,
        segments,
        torch.tensor(leaves),
        torch.tensor(finished),
        tree_values(above, values),
    )


@final
@dataclass(frozen=True)
class TreeAdvantages:
    """Each node's advantage is its value over that of its siblings.

    Parameters
    ----------
    structure : sequence of int, default=(6, 6, 6)
        Children of a node at each level.
    segment_tokens : int, default=30
        Most tokens of a node above the last level.
    norm : {"none", "std", "loo"}, default="none"
        See ``tree_advantages``.
    depth_weighting : {"count", "uniform"}, default="count"
        See ``depth_weights``.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.
    """

    structure: Sequence[int] = (6, 6, 6)
    segment_tokens: int = 30
    norm: Norm = "none"
    depth_weighting: DepthWeighting = "count"

    def collect(self, drawing: Drawing, rows: Sequence[int]) -> Collected:
        """Grow a tree from each of the prompts with these numbers."""
        forest = tree_rollout(drawing, rows, self.structure, self.segment_tokens)
        advantages = tree_advantages(forest.parents, forest.values, self.norm)
        edges = (advantages != 0).nonzero().squeeze(1).tolist()
        contexts = [torch.cat([drawing.prompts[forest.rows[i]], forest.begun[i]]) for i in edges]
        responses = [forest.segments[i] for i in edges]
        log_probs = drawing.policy.score(contexts, responses)
        weights = depth_weights(self.structure, forest.depths[edges], self.depth_weighting).tolist()
        examples, records = [], []
        for j, i in enumerate(edges):
            own = torch.full_like(log_probs[j], advantages[i].item())
            examples.append(
                Example(
                    forest.rows[i],
                    contexts[j],
                    responses[j],
                    own,
                    log_probs[j],
                    weight=weights[j],
                )
            )
            value = forest.values[i].item()
            leaf = bool(forest.leaves[i])
            records.append({"depth": int(forest.depths[i]), "value": value, "leaf": leaf})
        at = forest.leaves.nonzero().squeeze(1).tolist()
        own_rewards: dict[int, list[Tensor]] = {row: [] for row in rows}
        for i in at:
            own_rewards[forest.rows[i]].append(forest.values[i])
        return Collected(
            examples,
            len(forest.rows) - len(rows),
            [torch.stack(each) for each in own_rewards.values()],
            torch.tensor([len(forest.begun[i]) + len(forest.segments[i]) for i in at]),
            forest.finished[at],
            records,
            float(forest.depths[at].double().mean()),
        )
