"""What guides a search: a network that says how to act and what a state is worth."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel, State

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


def uniform_network(model: BatchedModel) -> Network:
    """Return the network of one who knows nothing: every action is as likely, every value zero.

    Parameters
    ----------
    model : BatchedModel

    Returns
    -------
    callable
        From observations (n, ...) to logits (n, n_actions) and values (n,), of zeros.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import two_step_model
    >>> from dfl.rl.smc import uniform_network
    >>> uniform_network(two_step_model())(torch.zeros(1, 4))
    (tensor([[0., 0.]]), tensor([0.]))
    """

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        logits = observations.new_zeros(len(observations), model.n_actions)
        return logits, logits[:, 0]

    return network


def evaluate(network: Network, model: BatchedModel, state: State) -> tuple[Tensor, Tensor]:
    """Return logits (n, n_actions) and values (n,) of n states."""
    observations = model.observe(state)
    logits, value = network(observations)
    n = len(observations)
    if logits.shape != (n, model.n_actions) or value.shape != (n,):
        raise InvalidInputError(
            f"smc_search: the network returned logits of shape {tuple(logits.shape)} and values of "
            f"shape {tuple(value.shape)} for {n} observations, expected ({n}, {model.n_actions}) "
            f"and ({n},)"
        )
    return logits, value


def chances(logits: Tensor, k: int) -> Tensor:
    """Return the probabilities of actions, of k particles for each state side by side."""
    probabilities = logits.softmax(1)
    wrong = probabilities.isnan().any(1)
    if wrong.any():
        raise InvalidInputError(
            f"smc_search: got logits that are NaN, infinite or rule every action out below state "
            f"{int(wrong.nonzero()[0]) // k}, expected at least one finite one"
        )
    return probabilities
