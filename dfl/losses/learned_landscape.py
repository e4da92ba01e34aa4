"""A network that learns regret while the predictor is trained on it."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl import _bridge
from dfl._validation import check_at_least
from dfl.exceptions import UnsupportedError
from dfl.losses.base import AbstractLoss, name_of_problem
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle

# Adam's averages, and the rate of the surrogate
_MEAN, _SQUARE, _RATE = 0.1, 1e-3, 3e-3


@final
class LearnedLandscapeLoss(AbstractLoss):
    r"""A surrogate of regret that is learned in alternation with the predictor (LANCER).

    Each training batch is solved once for its predictions. The regrets join a memory, a small
    network takes some steps to fit them, and what it says of the predictions is the loss. Use it
    where nothing but the cost of a decision is known, as with oracles that are simulators; where
    SPO+ applies, expect SPO+ to be better and cheaper.

    Parameters
    ----------
    oracle : Oracle
        Any with a fixed number of costs.
    n_steps : int, default=5
        Steps of the network a batch, each on as many rows as the batch has, from the memory.
    memory : int, default=2000
        Most pairs of prediction and truth that are kept: the latest.
    width : int, default=64
        Hidden units in each of two layers.

    Attributes
    ----------
    weights : Tensor
        Of the network. They are state, as the memory is: checkpoints of training keep both.

    Raises
    ------
    InvalidInputError
        If a number is below one.
    UnsupportedError
        If the oracle takes any number of costs, which no network does.

    Notes
    -----
    The loss is ``M(p, c) = softplus(network of p - c and c)``, for the fixed weights of the moment;
    its gradient is that of the network in p. The weights minimize the mean of
    ``(M(p_k, c_k) - regret(p_k, c_k))^2`` over the memory by Adam at a rate of 0.003. Without a
    gradient, as in evaluation, nothing is solved and nothing learned. Of the data of instances, the
    network sees the padding mask alone.

    The authors alternate long phases and take decisions' costs in place of regrets, which differ
    by what no prediction changes.

    References
    ----------
    Zharmagambetov, Amos, Ferber, Huang, Dilkina & Tian, "Landscape Surrogate: Learning Decision
    Losses for Mathematical Optimization Under Partial Information", NeurIPS 2023, arXiv 2307.08964.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("lancer", Simplex(2))
    >>> output = torch.tensor([[1.0, 0.0]], requires_grad=True)
    >>> for _ in range(100):
    ...     value = loss(output, Target(costs=torch.tensor([[1.0, 3.0]])))
    >>> round(value.item(), 2)  # the regret is 2
    2.0
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives"})
    generator: torch.Generator
    weights: Tensor
    average: Tensor
    average_square: Tensor
    pairs: Tensor
    regrets: Tensor
    n_steps_taken: Tensor
    n_seen: Tensor

    def __init__(
        self, oracle: Oracle, n_steps: int = 5, memory: int = 2000, width: int = 64
    ) -> None:
        super().__init__(oracle)
        check_at_least(1, self, n_steps=n_steps, memory=memory, width=width)
        d = self.oracle.n_costs
        if d is None:
            raise UnsupportedError(
                f"LearnedLandscapeLoss does not go with {name_of_problem(self.oracle)} of any "
                "number of costs: it needs an oracle with a fixed one"
            )
        self.n_steps = n_steps
        self.memory = memory
        self.width = width
        self.generator = torch.Generator().manual_seed(0)
        self._sizes = [(2 * d, width), (width, width), (width, 1)]
        layers = []
        for rows, columns in self._sizes:  # weights, then offsets
            drawn = torch.randn(rows, columns, generator=self.generator, dtype=torch.float64)
            layers += [drawn.ravel() / rows**0.5, torch.zeros(columns, dtype=torch.float64)]
        state = torch.cat(layers)
        self.register_buffer("weights", state)
        self.register_buffer("average", torch.zeros_like(state))
        self.register_buffer("average_square", torch.zeros_like(state))
        # of one size, so that a checkpoint can be read
        self.register_buffer("pairs", torch.zeros(memory, 2 * d, dtype=torch.float64))
        self.register_buffer("regrets", torch.zeros(memory, dtype=torch.float64))
        self.register_buffer("n_steps_taken", torch.zeros((), dtype=torch.int64))
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.int64))

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of each sample as the network sees it, shape (n,)."""
        costs = target.costs
        if torch.is_grad_enabled() and output.requires_grad and len(output):
            decisions, _ = self.solve(output, target.instance)
            worth = _bridge.evaluate(self.oracle, costs, decisions, target.instance)
            pairs = _pairs(output.detach(), target)
            self._remember(pairs, (worth - target.objectives).double())
            for _ in range(self.n_steps):
                self._step(len(output))
        return self._network(_pairs(output, target), self.weights).to(output)

    def _remember(self, pairs: Tensor, regrets: Tensor) -> None:
        """Write rows to the memory, over the oldest."""
        kept = min(len(pairs), self.memory)
        places = (int(self.n_seen) + torch.arange(kept)) % self.memory
        self.pairs[places] = pairs[-kept:].to(self.pairs)
        self.regrets[places] = regrets[-kept:].to(self.regrets)
        self.n_seen += kept

    def _step(self, n: int) -> None:
        """Take a step of Adam on n rows of the memory."""
        known = min(int(self.n_seen), self.memory)
        rows = torch.randint(known, (n,), generator=self.generator)
        weights = self.weights.clone().requires_grad_()
        with torch.enable_grad():
            errors = self._network(self.pairs[rows], weights) - self.regrets[rows]
            (slope,) = torch.autograd.grad((errors**2).mean(), weights)
        self.n_steps_taken += 1
        self.average.lerp_(slope, _MEAN)
        self.average_square.lerp_(slope**2, _SQUARE)
        k = int(self.n_steps_taken)
        mean = self.average / (1 - (1 - _MEAN) ** k)
        square = self.average_square / (1 - (1 - _SQUARE) ** k)
        self.weights = self.weights - _RATE * mean / (square.sqrt() + 1e-8)

    def _network(self, pairs: Tensor, weights: Tensor) -> Tensor:
        values, start = pairs.to(weights), 0
        for i, (rows, columns) in enumerate(self._sizes):
            stop = start + rows * columns
            matrix = weights[start:stop].reshape(rows, columns)
            values = values @ matrix + weights[stop : stop + columns]
            start = stop + columns
            values = torch.tanh(values) if i < 2 else torch.nn.functional.softplus(values)
        return values[:, 0]


def _pairs(output: Tensor, target: Target) -> Tensor:
    """Return what the network reads of predictions (n, d), as (n, 2 d): zero for padding."""
    pairs = torch.cat([output - target.costs, target.costs], 1).double().cpu()
    mask = target.mask()
    if mask is None:
        return pairs
    return torch.where(torch.cat([mask, mask], 1), pairs, torch.zeros_like(pairs))
