"""What guides a search: a network that says how to act and what a state is worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel, State
from dfl.rl.smc.law import ActionLaw, law_of

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


def uniform_network(model: BatchedModel) -> Network:
    """Return the network of one who knows nothing: every action is as likely, every value zero.

    Parameters
    ----------
    model : BatchedModel
        Continuous actions are drawn around zero.

    Returns
    -------
    callable
        From observations (n, ...) to parameters (n, p) and values (n,), of zeros: ``n_actions``
        logits, or ``2 action_dim`` numbers.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import two_step_model
    >>> from dfl.rl.smc import uniform_network
    >>> uniform_network(two_step_model())(torch.zeros(1, 4))
    (tensor([[0., 0.]]), tensor([0.]))
    """
    size = law_of(model).size

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        parameters = observations.new_zeros(len(observations), size)
        return parameters, parameters[:, 0]

    return network


@final
class PolicyValueNetwork(nn.Module):
    """A multilayer perceptron that says how to act and what a state is worth.

    Any module may be given in its place that takes observations and returns the two.

    Parameters
    ----------
    n_inputs : int
        Numbers in an observation, which is flattened.
    n_parameters : int
        How many say how to act: the number of actions, or twice ``action_dim``.
    hidden : tuple of int, default=(256, 256)
        Sizes of the layers that both share.
    generator : torch.Generator, optional
        Draws the first weights; those of the last layer are small, so that the first policy is
        close to uniform and values are close to zero.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import PolicyValueNetwork
    >>> network = PolicyValueNetwork(4, 3, hidden=(8,))
    >>> parameters, values = network(torch.zeros(5, 2, 2))
    >>> parameters.shape, values.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self,
        n_inputs: int,
        n_parameters: int,
        hidden: tuple[int, ...] = (256, 256),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = (n_inputs, *hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [_linear(n_in, n_out, 1.0, generator), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        # one layer for both: a call less
        self.head = _linear(sizes[-1], n_parameters + 1, 0.1, generator)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return parameters (n, n_parameters) and values (n,)."""
        output = self.head(self.body(observations.to(self.head.weight.dtype)))
        return output[:, :-1], output[:, -1]


def _linear(n_in: int, n_out: int, scale: float, generator: torch.Generator | None) -> nn.Linear:
    # torch's own generator, which would draw weights, is left alone
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(n_in, n_out)
    bound = scale * math.sqrt(3 / max(n_in, 1))
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def seen_by(network: Network | nn.Module, observations: Tensor) -> Tensor:
    """Return observations on the device of a network: simulators may be on another."""
    if isinstance(network, nn.Module):
        for held in itertools.chain(network.parameters(), network.buffers()):
            return observations.to(held.device)
    return observations


def evaluate(
    network: Network, law: ActionLaw, model: BatchedModel, state: State
) -> tuple[Tensor, Tensor]:
    """Return parameters (n, p) and values (n,) of n states, on the device of their observations."""
    observations = model.observe(state)
    found, n = network(seen_by(network, observations)), len(observations)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise InvalidInputError(
            f"the network returned a {type(found).__name__}, expected two tensors: how to act of "
            f"shape ({n}, {law.size}) and values of shape ({n},)"
        )
    parameters, value = found
    if parameters.shape != (n, law.size) or value.shape != (n,):
        raise InvalidInputError(
            f"the network returned how to act of shape {tuple(parameters.shape)} and values of "
            f"shape {tuple(value.shape)} for {n} observations, expected ({n}, {law.size}) and "
            f"({n},)"
        )
    return parameters.to(observations.device), value.to(observations.device)


def drawn(
    law: ActionLaw, parameters: Tensor, k: int, per_state: int, generator: torch.Generator
) -> Tensor:
    """Draw k raw actions for each row of parameters; ``per_state`` rows belong to a state."""
    wrong = law.wrong(parameters)
    if wrong.any():
        raise InvalidInputError(
            "got logits, or means and deviations, that are NaN, infinite or rule every action out "
            f"below state {int(wrong.nonzero()[0]) // per_state}, expected finite ones, or minus "
            "infinity for an action that is ruled out"
        )
    return law.draw(parameters, k, generator)
