"""How policies act: distributions against torch's own, and searches with continuous actions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from dfl.exceptions import InvalidInputError
from dfl.rl.envs import Pendulum, repeat_rows, two_step_model
from dfl.rl.smc import smc_search, uniform_network
from dfl.rl.smc.categorical import Categorical
from dfl.rl.smc.law import law_of
from dfl.rl.smc.tanh_normal import TanhNormal


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normals(parameters: Tensor) -> td.Normal:
    mean, raw = parameters.chunk(2, 1)
    return td.Normal(mean, torch.nn.functional.softplus(raw) + 1e-3)


def test_actions_are_drawn_as_often_as_their_probabilities_say() -> None:
    logits = torch.randn(3, 5, generator=seeded()) * 2
    logits[0, -1] = logits[1, 0] = logits[2, 2] = -torch.inf
    law, n = Categorical(5), 100_000
    found = law.draw(logits, n, seeded(1))
    assert found.shape == (3, n)
    share = torch.nn.functional.one_hot(found, 5).double().mean(1)
    exact = logits.double().softmax(1)
    assert ((share - exact).abs() < 5 * (exact * (1 - exact) / n).sqrt() + 1e-12).all()
    assert law.best(logits).tolist() == exact.argmax(1).tolist()
    assert torch.equal(law.action(found), found)
    assert law.wrong(logits).tolist() == [False] * 3
    broken = torch.tensor([[0.0, torch.nan], [torch.inf, 0], [-torch.inf, -torch.inf], [0, 1]])
    assert Categorical(2).wrong(broken).tolist() == [True, True, True, False]


def test_categorical_likelihoods_and_divergences_are_those_of_torch() -> None:
    old, new = torch.randn(2, 6, 4, generator=seeded(), dtype=torch.float64)
    law = Categorical(4)
    raw = torch.arange(4).expand(6, 4)
    assert torch.allclose(law.log_prob(new, old, raw), td.Categorical(logits=new).logits)
    exact = td.kl_divergence(td.Categorical(logits=old), td.Categorical(logits=new))
    assert torch.allclose(law.divergences(old, new)[:, 0], exact)
    # of what both rule out nothing is left, and no gradient
    old[:, 1], new[:, 1] = -torch.inf, -torch.inf
    new = new.requires_grad_()
    apart = law.divergences(old, new).sum()
    apart.backward()
    assert torch.isfinite(apart)
    assert torch.isfinite(new.grad).all()
    assert (law.divergences(old, old) == 0).all()


def test_continuous_likelihoods_move_means_and_deviations_apart() -> None:
    old, new = torch.randn(2, 7, 6, generator=seeded(), dtype=torch.float64)
    law = TanhNormal(3)
    assert (law.size, law.budgets) == (6, (0.05,) * 3 + (0.0005,) * 3)
    raw = law.draw(old, 9, seeded(1))
    assert raw.shape == (7, 9, 3)
    actions = law.action(raw)
    assert (actions.abs() < 1).all()
    means, deviations = normals(new).mean, normals(new).stddev
    first = td.Normal(means[:, None], normals(old).stddev[:, None]).log_prob(raw).sum(2)
    second = td.Normal(normals(old).mean[:, None], deviations[:, None]).log_prob(raw).sum(2)
    assert torch.allclose(law.log_prob(new, old, raw), first + second)
    # the squeeze changes no difference of likelihoods
    squeezed = [
        td.TransformedDistribution(td.Normal(m[:, None], s[:, None]), td.TanhTransform())
        for m, s in ((means, normals(old).stddev), (normals(old).mean, normals(old).stddev))
    ]
    likelier = squeezed[0].log_prob(actions).sum(2) - squeezed[1].log_prob(actions).sum(2)
    plain = first - normals(old).log_prob(raw.transpose(0, 1)).sum(2).T
    assert torch.allclose(likelier, plain, atol=1e-6)
    assert torch.allclose(law.best(new), means)
    assert law.wrong(new.index_fill(0, torch.tensor([2]), torch.inf)).tolist() == [
        i == 2 for i in range(7)
    ]


def test_continuous_divergences_are_those_of_normals_part_by_part() -> None:
    old, new = torch.randn(2, 7, 6, generator=seeded(3), dtype=torch.float64)
    law = TanhNormal(3)
    parts = law.divergences(old, new)
    assert parts.shape == (7, 6)
    moved = torch.cat([new[:, :3], old[:, 3:]], 1)
    narrowed = torch.cat([old[:, :3], new[:, 3:]], 1)
    for changed, part in ((moved, parts[:, :3]), (narrowed, parts[:, 3:])):
        assert torch.allclose(td.kl_divergence(normals(old), normals(changed)), part)
    # of the same deviation: half the squared distance in its units
    gap = (normals(old).mean - normals(new).mean) / normals(old).stddev
    assert torch.allclose(parts[:, :3], gap**2 / 2)


def test_draws_have_their_means_and_deviations() -> None:
    parameters = torch.randn(3, 4, generator=seeded(), dtype=torch.float64)
    n = 40_000
    raw = TanhNormal(2).draw(parameters, n, seeded(1))
    law = normals(parameters)
    assert ((raw.mean(1) - law.mean).abs() < 5 * law.stddev / math.sqrt(n)).all()
    assert ((raw.std(1) / law.stddev - 1).abs() < 5 / math.sqrt(2 * n)).all()


class Parabola:
    """One step: what is left of the distance of the raw action to its target is paid."""

    n_actions = None
    action_dim = 1
    target = 0.7

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"over": torch.zeros(n, dtype=torch.float64)}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return state["over"][:, None]

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        raw = actions.squeeze(1).atanh()
        over = torch.ones(len(actions), dtype=torch.bool)
        return {"over": over.double()}, -((raw - self.target) ** 2), over, ~over


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize(("depth", "period"), [(1, None), (2, None), (2, 1)])
def test_a_continuous_search_tends_to_its_limit(
    temperature: float, depth: int, period: int | None
) -> None:
    model, k = Parabola(), 4000
    mean, raw = -0.3, 0.2
    deviation = math.log1p(math.exp(raw)) + 1e-3

    def network(observations: Tensor) -> tuple[Tensor, Tensor]:
        n = len(observations)
        parameters = torch.tensor([[mean, raw]], dtype=torch.float64).expand(n, 2)
        return parameters, torch.zeros(n, dtype=torch.float64)

    found = smc_search(
        model,
        network,
        model.reset(200, seeded()),
        temperature=temperature,
        n_particles=k,
        depth=depth,
        period=period,
        generator=seeded(1),
    )
    # a normal times the exponential of a parabola is a normal
    precision = 1 / deviation**2 + 2 / temperature
    exact = (mean / deviation**2 + 2 * model.target / temperature) / precision
    weights, actions = found.samples.weights, found.samples.actions[:, :, 0]
    assert found.samples.actions.shape == (200, k, 1)
    means = (weights * actions).sum(1)
    error = 5 * means.std().item() / math.sqrt(200) + 3 / k
    assert means.mean().item() == pytest.approx(exact, abs=error)
    assert error < 0.1 * abs(exact - mean)
    spread = ((weights * actions**2).sum(1) - means**2).mean().item()
    assert spread == pytest.approx(1 / precision, rel=0.02)
    # what is acted upon is one of the first actions, squeezed
    assert found.actions.shape == (200, 1)
    gaps = (found.actions - found.samples.actions.squeeze(2).tanh()).abs().amin(1)
    assert (gaps < 1e-12).all()


def test_continuous_particles_are_resampled_with_their_first_actions() -> None:
    model = Pendulum()
    state = repeat_rows(model.reset(4, seeded()), 5)
    found = smc_search(
        model,
        uniform_network(model),
        state,
        temperature=0.05,
        n_particles=32,
        depth=3,
        period=1,
        generator=seeded(1),
    )
    assert found.samples.actions.shape == (20, 32, 1)
    distinct = [len(set(row.flatten().tolist())) for row in found.samples.actions]
    assert max(distinct) < 32  # copies of a few
    assert min(distinct) >= 1
    assert (found.actions.abs() < 1).all()


def test_a_model_says_what_its_actions_are() -> None:
    assert law_of(two_step_model()) == Categorical(2)
    assert law_of(Pendulum()) == TanhNormal(1)

    class Nothing(Parabola):
        action_dim = None  # type: ignore[assignment]

    with pytest.raises(InvalidInputError, match="neither n_actions nor action_dim"):
        law_of(Nothing())
    with pytest.raises(InvalidInputError, match="below state 3"):
        smc_search(
            Pendulum(),
            lambda observations: (
                torch.zeros(len(observations), 2).index_fill(0, torch.tensor([3]), torch.nan),
                torch.zeros(len(observations)),
            ),
            Pendulum().reset(5, seeded()),
            temperature=1.0,
            generator=seeded(),
        )
