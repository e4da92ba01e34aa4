"""What the search and the two steps of learning are exactly, for models in tables."""

from __future__ import annotations

import torch
from torch import Tensor

from dfl._validation import check_above_zero, check_at_least
from dfl.montecarlo import softmax
from dfl.rl.envs.tabular import TabularModel


def expectation_step(policy: Tensor, advantages: Tensor, temperature: float) -> Tensor:
    r"""Return the distributions that gain most for their divergence from a policy.

    Parameters
    ----------
    policy : Tensor of shape (S, A)
        Probabilities of the actions in each state.
    advantages : Tensor of shape (S, A)
        A baseline that depends on the state only changes nothing.
    temperature : float
        What a nat of divergence costs, in units of the advantages.

    Returns
    -------
    Tensor of shape (S, A)
        Chances of actions in each state.

    Raises
    ------
    InvalidInputError
        If the temperature is not positive.

    Notes
    -----
    ``q(a|s)`` in proportion to ``pi(a|s) exp(A(s, a) / t)`` maximizes ``E_q A - t KL(q | pi)``.

    References
    ----------
    Macfarlane, Toledo, Byrne, Duckworth & Laterre, "SPO: Sequential Monte Carlo Policy
    Optimisation", NeurIPS 2024, arXiv 2402.07963.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import expectation_step
    >>> policy, advantages = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[1.0, 0.0, -1.0]])
    >>> expectation_step(policy, advantages, temperature=1.0)
    tensor([[0.7844, 0.1731, 0.0425]])
    """
    return softmax(advantages, temperature=temperature, log_prior=policy.log())


def maximization_step(target: Tensor, policy: Tensor, multiplier: float = 0.0) -> Tensor:
    r"""Return the policy likeliest to act as a target does, held near the present policy.

    Parameters
    ----------
    target : Tensor of shape (S, A)
        What the expectation step returned.
    policy : Tensor of shape (S, A)
        The present policy.
    multiplier : float, default=0.0
        What a nat of divergence from the present policy costs. 0 returns the target.

    Returns
    -------
    Tensor of shape (S, A)
        Chances of actions in each state.

    Raises
    ------
    InvalidInputError
        If the multiplier is negative.

    Notes
    -----
    The maximum of ``E_q log p - m KL(pi | p)`` over policies p is ``(q + m pi) / (1 + m)``; by the
    gradient of ``WeightedLikelihoodLoss`` networks approach it.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import maximization_step
    >>> maximization_step(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]), multiplier=1.0)
    tensor([[0.7500, 0.2500]])
    """
    check_at_least(0, "maximization_step", multiplier=multiplier)
    return (target + multiplier * policy) / (1 + multiplier)


def search_limit(
    model: TabularModel, policy: Tensor, values: Tensor, depth: int, temperature: float
) -> Tensor:
    r"""Return the distribution of first actions that ``smc_search`` tends to with more particles.

    Parameters
    ----------
    model : TabularModel
        Not truncated within ``depth`` steps: its ``max_steps`` is not looked at.
    policy : Tensor of shape (S, A)
        Probabilities of the actions in each state.
    values : Tensor of shape (S,)
        What the search takes the states at its horizon to be worth, right or wrong.
    depth : int
        Number of steps.
    temperature : float
        In units of the rewards.

    Returns
    -------
    Tensor of shape (S, A)
        A row for each state that is searched from; at terminal states it is the policy.

    Raises
    ------
    InvalidInputError
        If the depth is below one or the temperature not positive.

    Notes
    -----
    The advantages of a path telescope, so that values in between and resampling do not matter::

        q(a|s) in proportion to pi(a|s) E_pi[exp((sum_{i<h} r_i + V(s_h)) / t) | s, a]

    This is ``expectation_step`` with the soft advantage of h steps. It is that of the policy's own
    advantage for depth 1, deterministic dynamics and exact values; beyond, it prefers actions
    whose outcome varies, and where dynamics are random it takes luck for merit.

    Examples
    --------
    With one reward among four paths, looking two steps ahead prefers its side more than the exact
    advantage does, 0.62:

    >>> import torch
    >>> from dfl.rl.smc import search_limit
    >>> from dfl.rl.envs import two_step_model
    >>> uniform = torch.full((4, 2), 0.5, dtype=torch.float64)
    >>> search_limit(two_step_model(), uniform, torch.zeros(4).double(), 2, 1.0)[0]
    tensor([0.3498, 0.6502], dtype=torch.float64)
    """
    check_at_least(1, "search_limit", depth=depth)
    check_above_zero("search_limit", temperature=temperature)
    log_moves, log_policy = model.transitions.log(), policy.log()
    terminal = model.terminal
    # logarithms of expectations of the exponential: of what is still to come, and with an action
    to_come = (values / temperature).masked_fill(terminal, 0.0)
    for _ in range(depth):
        acting = model.rewards / temperature + torch.logsumexp(log_moves + to_come, 2)
        to_come = torch.logsumexp(log_policy + acting, 1).masked_fill(terminal, 0.0)
    return softmax(acting.masked_fill(terminal[:, None], 0.0), log_prior=log_policy)
