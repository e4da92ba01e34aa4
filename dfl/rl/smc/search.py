"""Search by particles: act as the policy does in a model, and keep what turns out well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl._validation import check_above_zero, check_at_least
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples, softmax
from dfl.rl.envs.model import BatchedModel, State, acted, gather_rows, repeat_rows, where_rows
from dfl.rl.smc.law import law_of
from dfl.rl.smc.network import Network, drawn, evaluate
from dfl.rl.smc.resampling import effective_sample_size, multinomial

Resample = Callable[[Tensor, torch.Generator], Tensor]


@final
@dataclass(frozen=True)
class SearchResult:
    """What a search from n states with k particles each has found.

    Attributes
    ----------
    actions : Tensor of int64 of shape (n,), or floating point of shape (n, action_dim)
        An action for each state, drawn from the weighted samples.
    samples : WeightedSamples
        First actions (n, k) of the particles, with weights that sum to one: what the policy is to
        learn. Continuous ones (n, k, action_dim) are as they were before tanh put them between -1
        and 1.
    advantages : Tensor of shape (n, k)
        Sums of advantages of the particles as they were first drawn, up to the first resampling:
        what ``softmax_temperature`` is given. Later particles are other ones, so that these do not
        belong to ``samples``.
    effective_sizes : Tensor of shape (n, depth)
        Effective sample size after each step, as a share of k, before any resampling.
    alive : Tensor of shape (n, depth)
        Share of the particles whose episode goes on after each step.
    resampled : Tensor of bool of shape (n, depth)
        True where a step was followed by resampling.
    """

    actions: Tensor
    samples: WeightedSamples
    advantages: Tensor
    effective_sizes: Tensor
    alive: Tensor
    resampled: Tensor


@torch.no_grad()
def smc_search(
    model: BatchedModel,
    network: Network,
    state: State,
    *,
    temperature: float,
    n_particles: int = 16,
    depth: int = 4,
    period: int | None = None,
    least_effective: float | None = None,
    resample_last: bool = False,
    resample: Resample = multinomial,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> SearchResult:
    r"""Search ahead from n states at once, and weigh first actions by what followed.

    Particles act as the policy does. Each weighs the exponential of the sum of its one-step
    advantages. It takes no tree and no backward pass, and its work is depth calls of the model and
    the network on ``n k`` rows.

    Parameters
    ----------
    model : BatchedModel
        Meant for deterministic dynamics: elsewhere luck weighs as merit does.
    network : callable
        From observations (m, ...) to how to act (m, p) and values (m,): ``n_actions`` logits, those
        of minus infinity being never drawn; or, for continuous actions, the means of normals before
        tanh, followed by numbers of which softplus makes their standard deviations.
    state : State
        The n states, whose episodes go on.
    temperature : float
        In units of the rewards: the lower, the more the best particles weigh.
    n_particles : int, default=16
        Number k of particles for each state.
    depth : int, default=4
        Number of steps.
    period : int, optional
        Resample after every so many steps, but not after the last.
    least_effective : float, optional
        Resample where the effective sample size falls below this share of k, but not after the
        last step. Default of both: never.
    resample_last : bool, default=False
        Resample after the last step too, so that weights are equal. Keeping the weights has less
        variance.
    resample : callable, default=multinomial
        From weights (n, k) and a generator to numbers of particles (n, k); or ``systematic``.
    generator : torch.Generator
        All randomness comes from it.
    budget : Budget, optional
        Is charged ``n k`` ``"model_steps"`` for each step; ended particles are stepped and count.

    Returns
    -------
    SearchResult
        Without gradient.

    Raises
    ------
    InvalidInputError
        If a number is out of range, ``period`` and ``least_effective`` are both given, the model,
        the network or ``resample`` return other shapes, or rewards, values or logits are not
        numbers.
    BudgetError
        If the next step would exceed the limit.

    Notes
    -----
    The weight is ``exp(sum_i (r_i + V(s_{i+1}) - V(s_i)) / t)`` since the last resampling, with
    ``V = 0`` after an episode terminated, but not after it was truncated. With many particles the
    weights of first actions tend to ``search_limit``, whatever the values in between; with few,
    they are biased by some 1 / k. All that belongs to a particle is resampled together, and its
    next action drawn after.

    References
    ----------
    Macfarlane, Toledo, Byrne, Duckworth & Laterre, "SPO: Sequential Monte Carlo Policy
    Optimisation", NeurIPS 2024, arXiv 2402.07963. Piché, Thomas, Ibrahim, Bengio & Pal,
    "Probabilistic Planning with Sequential Monte Carlo methods", ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import RubiksCube
    >>> from dfl.rl.smc import smc_search, uniform_network
    >>> cube, generator = RubiksCube(scrambles=1), torch.Generator().manual_seed(0)
    >>> state = cube.reset(200, generator)
    >>> found = smc_search(
    ...     cube, uniform_network(cube), state, temperature=0.1, n_particles=64, depth=1,
    ...     generator=generator,
    ... )
    >>> solved = cube.step(state, found.actions, generator)[2]
    >>> solved.double().mean().item() > 0.9
    True
    """
    _check(temperature, n_particles, depth, period, least_effective)
    k, law = n_particles, law_of(model)
    parameters, value = evaluate(network, law, model, state)
    n = len(value)
    roots = drawn(law, parameters, k, 1, generator)
    actions = roots.flatten(0, 1)
    particles, value = repeat_rows(state, k), value.repeat_interleave(k, 0)
    alive = torch.ones(n * k, dtype=torch.bool, device=value.device)
    score, advantages = value.new_zeros(n, k), value.new_zeros(n, k)
    fresh = torch.ones(n, 1, dtype=torch.bool, device=value.device)
    own = torch.arange(k, device=value.device).expand(n, k)
    base = k * torch.arange(n, device=value.device)[:, None]
    sizes, shares, flags = [], [], []

    for i in range(depth):
        if budget is not None:
            budget.charge("model_steps", n * k)
        moved = acted(model, particles, law.action(actions), generator)
        after, rewards, terminated, truncated = moved
        parameters, worth = evaluate(network, law, model, after)
        worth = worth.masked_fill(terminated, 0.0)
        # an ended particle earns nothing, whatever the model says
        gain = torch.where(alive, rewards.to(value) + worth - value, 0.0).reshape(n, k)
        _refuse_what_is_not_finite(gain, i)
        # and stays where it ended, so that no model is led far beyond the end of an episode
        particles = after if alive.all() else where_rows(alive, after, particles)
        value = worth
        alive = alive & ~(terminated | truncated)
        score = score + gain
        advantages = advantages + gain * fresh
        weights = softmax(score, temperature=temperature)
        size = effective_sample_size(weights)

        last = i == depth - 1
        due = torch.full_like(fresh[:, 0], resample_last if last else _on(period, i))
        if least_effective is not None and not last:
            due = size < least_effective * k
        sizes.append(size / k)
        shares.append(alive.reshape(n, k).to(value).mean(1))
        flags.append(due)
        if due.any():
            # all that belongs to a particle moves with it, before its next action is drawn
            index = torch.where(due[:, None], _resampled(resample, weights, generator), own)
            rows = (base + index).flatten()
            roots = roots.flatten(0, 1)[rows].reshape(roots.shape)
            particles, value, alive = gather_rows(particles, rows), value[rows], alive[rows]
            parameters = parameters[rows]
            score = score.masked_fill(due[:, None], 0.0)
            weights = softmax(score, temperature=temperature)
            fresh = fresh & ~due[:, None]
        if not last:
            # whatever is drawn for an ended particle is not acted upon
            parameters = torch.where(alive[:, None], parameters, 0.0)
            actions = drawn(law, parameters, 1, k, generator).squeeze(1)

    chances = weights.to(generator.device)
    chosen = torch.multinomial(chances, 1, generator=generator).squeeze(1).to(weights.device)
    return SearchResult(
        law.action(roots[base[:, 0] // k, chosen]),
        WeightedSamples(roots, weights),
        advantages,
        torch.stack(sizes, 1),
        torch.stack(shares, 1),
        torch.stack(flags, 1),
    )


def _resampled(resample: Resample, weights: Tensor, generator: torch.Generator) -> Tensor:
    index = resample(weights, generator)
    if index.shape != weights.shape:
        raise InvalidInputError(
            f"smc_search: resample returned shape {tuple(index.shape)}, "
            f"expected {tuple(weights.shape)}"
        )
    return index


def _refuse_what_is_not_finite(gain: Tensor, i: int) -> None:
    wrong = ~gain.isfinite().all(1)
    if wrong.any():
        raise InvalidInputError(
            f"smc_search: got rewards or values that are not finite in step {i} from state "
            f"{int(wrong.nonzero()[0])}, expected numbers from the model and the network"
        )


def _on(period: int | None, i: int) -> bool:
    return period is not None and (i + 1) % period == 0


def _check(
    temperature: float,
    n_particles: int,
    depth: int,
    period: int | None,
    least_effective: float | None,
) -> None:
    check_at_least(1, "smc_search", n_particles=n_particles, depth=depth)
    if period is not None:
        check_at_least(1, "smc_search", period=period)
    check_above_zero("smc_search", temperature=temperature)
    if least_effective is not None and not 0 < least_effective <= 1:
        raise InvalidInputError(
            f"smc_search: got least_effective={least_effective}, expected a share from 0 to 1"
        )
    if period is not None and least_effective is not None:
        raise InvalidInputError(
            f"smc_search: got period={period} and least_effective={least_effective}, "
            "expected one of them"
        )
