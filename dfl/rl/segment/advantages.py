"""What segments are worth: differences of values, along a chain or in a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import centered, leave_one_out, standardized

Norm = Literal["none", "std", "loo"]
DepthWeighting = Literal["count", "uniform"]
_RULES = {"none": centered, "std": standardized, "loo": leave_one_out}


def chain_advantages(boundaries: Tensor, values: Tensor, reward: float, length: int) -> Tensor:
    r"""Return the advantage of each token of a completion that is cut into segments.

    Parameters
    ----------
    boundaries : Tensor of int64 of shape (s,)
        Places between segments, increasing, as of ``partition_cutpoints``: -1 is before the first
        token.
    values : Tensor of shape (s,)
        Expected rewards when going on from there.
    reward : float
        Of the whole completion: the value of its end.
    length : int
        Number l of tokens.

    Returns
    -------
    Tensor of shape (l,)
        Zero before the first place.

    Raises
    ------
    InvalidInputError
        If shapes differ, or places do not increase or are none of the completion.

    Notes
    -----
    Each token has the advantage of its segment, the difference of the values at its ends, so that
    those of the segments sum to the reward less the value at the first place.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import chain_advantages
    >>> places, values = torch.tensor([0, 4, 7]), torch.tensor([0.2, 0.5, 0.4])
    >>> chain_advantages(places, values, 1.0, 10)
    tensor([ 0.0000,  0.3000,  0.3000,  0.3000,  0.3000, -0.1000, -0.1000, -0.1000,
             0.6000,  0.6000])
    """
    if boundaries.shape != values.shape or boundaries.ndim != 1:
        raise InvalidInputError(
            f"chain_advantages: got boundaries of shape {tuple(boundaries.shape)} and values of "
            f"shape {tuple(values.shape)}, expected the same (s,)"
        )
    if not len(boundaries):
        return values.new_zeros(length)
    ends = torch.cat([boundaries, boundaries.new_tensor([length - 1])])
    sizes = ends.diff()
    if boundaries[0] < -1 or (sizes <= 0).any():
        raise InvalidInputError(
            f"chain_advantages: got boundaries {boundaries.tolist()}, expected increasing places "
            f"from -1 to below {length - 1}, before the last of {length} tokens"
        )
    gains = torch.cat([values, values.new_tensor([reward])]).diff()
    first = int(boundaries[0]) + 1
    return torch.cat([values.new_zeros(first), gains.repeat_interleave(sizes.to(gains.device))])


def tree_values(parents: Tensor, leaf_values: Tensor) -> Tensor:
    """Return the value of each node of some trees: the mean over its children.

    Parameters
    ----------
    parents : Tensor of int64 of shape (n,)
        The parent of each node, which comes before it; -1 for a root.
    leaf_values : Tensor of shape (n,)
        Values of the leaves, such as rewards; those of other nodes are not looked at.

    Returns
    -------
    Tensor of shape (n,)
        Value of each node.

    Raises
    ------
    InvalidInputError
        If shapes differ, or a parent comes after its child.

    Notes
    -----
    The mean over children is not that over leaves, which is biased where some branches end early.

    Examples
    --------
    A root with a leaf of value 0 and a node with two leaves of value 1:

    >>> import torch
    >>> from dfl.rl.segment import tree_values
    >>> parents = torch.tensor([-1, 0, 0, 2, 2])
    >>> tree_values(parents, torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]))
    tensor([0.5000, 0.0000, 1.0000, 1.0000, 1.0000])
    """
    _check_parents(parents, leaf_values)
    values = leaf_values.clone()
    # a level at a time, from the deepest: by then the values of the children are known
    levels = _depths(parents)
    for depth in range(int(levels.max()) if len(parents) else 0, 0, -1):
        at = (levels == depth).nonzero().squeeze(1)
        above = parents[at]
        total = torch.zeros_like(values).index_add(0, above, values[at])
        count = torch.zeros_like(values).index_add(0, above, torch.ones_like(values[at]))
        values = torch.where(count > 0, total / count.clamp(min=1), values)
    return values


def tree_advantages(parents: Tensor, values: Tensor, norm: Norm = "none") -> Tensor:
    r"""Return the advantage of each node of some trees over its siblings.

    Parameters
    ----------
    parents : Tensor of int64 of shape (n,)
        The parent of each node, which comes before it; -1 for a root, whose advantage is zero.
    values : Tensor of shape (n,)
        See ``tree_values``.
    norm : {"none", "std", "loo"}, default="none"
        Value less that of the parent; divided by the standard deviation of the siblings; or less
        the mean of the *other* siblings, which is unbiased and ``k / (k - 1)`` times the first.

    Returns
    -------
    Tensor of shape (n,)
        Advantage of each node.

    Raises
    ------
    InvalidInputError
        If the norm is unknown, shapes differ, or a parent comes after its child.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import tree_advantages, tree_values
    >>> parents = torch.tensor([-1, 0, 0, 1, 1, 2, 2])
    >>> values = tree_values(parents, torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]))
    >>> tree_advantages(parents, values)
    tensor([ 0.0000,  0.2500, -0.2500,  0.0000,  0.0000,  0.5000, -0.5000])
    """
    if norm not in _RULES:
        raise InvalidInputError(
            f"tree_advantages: got norm={norm!r}, expected one of: {', '.join(_RULES)}"
        )
    _check_parents(parents, values)
    children = (parents >= 0).nonzero().squeeze(1)
    if not len(children):
        return torch.zeros_like(values)
    # siblings as rows of a table, so that the rules for groups apply
    _, group, sizes = torch.unique(parents[children], return_inverse=True, return_counts=True)
    order = group.argsort(stable=True)
    starts = sizes.cumsum(0) - sizes
    place = torch.arange(len(children), device=parents.device) - starts[group[order]]
    table = values.new_zeros(len(sizes), int(sizes.max()))
    mask = torch.zeros_like(table, dtype=torch.bool)
    table[group[order], place] = values[children[order]]
    mask[group[order], place] = True
    found = torch.zeros_like(values)
    found[children[order]] = _RULES[norm](table, mask)[group[order], place]
    return found


def depth_weights(structure: Sequence[int], depths: Tensor, weighting: DepthWeighting) -> Tensor:
    r"""Return what nodes of trees count in the gradient, by their depth.

    Parameters
    ----------
    structure : sequence of int
        Children of a node at each level.
    depths : Tensor of int64 of shape (n,)
        From 1, for the children of a root.
    weighting : {"count", "uniform"}
        Every node the same, as published, so that late segments, of which there are more, count
        for more; or every depth the same, which is the policy gradient.

    Returns
    -------
    Tensor of float64 of shape (n,)
        Whose mean over all nodes of a full tree is one.

    Raises
    ------
    InvalidInputError
        If the weighting is unknown.

    Notes
    -----
    A node at depth d is reached by one in ``n_d = k_1 ... k_d`` paths, and "uniform" weighs it in
    proportion to ``1 / n_d``, wherever other branches ended.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import depth_weights
    >>> depth_weights((2, 2), torch.tensor([1, 2]), "uniform")
    tensor([1.5000, 0.7500], dtype=torch.float64)
    """
    if weighting == "count":
        return torch.ones(len(depths), dtype=torch.float64, device=depths.device)
    if weighting != "uniform":
        raise InvalidInputError(
            f"got depth_weighting={weighting!r}, expected one of: count, uniform"
        )
    nodes = torch.tensor(structure, dtype=torch.float64, device=depths.device).cumprod(0)
    return (nodes.sum() / len(nodes) / nodes)[depths - 1]


def _depths(parents: Tensor) -> Tensor:
    found: list[int] = []
    for parent in parents.tolist():
        found.append(0 if parent < 0 else found[parent] + 1)
    return torch.tensor(found, dtype=torch.int64, device=parents.device)


def _check_parents(parents: Tensor, values: Tensor) -> None:
    if parents.shape != values.shape or parents.ndim != 1:
        raise InvalidInputError(
            f"got parents of shape {tuple(parents.shape)} and values of shape "
            f"{tuple(values.shape)}, expected the same (n,)"
        )
    own = torch.arange(len(parents), device=parents.device)
    wrong = (parents >= own) | (parents < -1)
    if wrong.any():
        i = int(wrong.nonzero()[0])
        raise InvalidInputError(
            f"got parent {int(parents[i])} of node {i}, expected one that comes before it, or -1"
        )
