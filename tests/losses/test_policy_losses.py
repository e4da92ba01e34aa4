"""The losses of policies: exact values, and what they share with the losses of decisions."""

from __future__ import annotations

import math

import pytest
import torch

from dfl import Target, make_loss
from dfl.exceptions import InvalidInputError
from dfl.losses import PreferenceLoss, WeightedLikelihoodLoss
from dfl.montecarlo import WeightedSamples, direction, softmax, standardized
from dfl.rl.preference import pair_extremes
from dfl.training import TableSource, train
from dfl_solvers import FromCallable, GridShortestPath, Simplex

VERTICES = torch.eye(3, dtype=torch.float64)
TRUE = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
PREDICTED = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64)
ACTIONS = torch.zeros(1, 1)


def one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def pool_policy(costs: torch.Tensor, decisions: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the decisions of a pool under the policy that costs define."""
    return torch.log_softmax(-costs @ decisions.T, 1)


@pytest.mark.parametrize(
    ("ratio", "weight", "value", "gradient"),
    [(1.5, 1, -1.2, 0), (0.5, -1, 0.8, 0), (1.5, -1, 1.5, 1.5), (0.5, 1, -0.5, -0.5)],
)
def test_the_clip_has_its_exact_values(
    ratio: float, weight: float, value: float, gradient: float
) -> None:
    log_prob = one(math.log(ratio)).requires_grad_()
    samples = WeightedSamples(ACTIONS, one(weight), log_prob_old=one(0.0))
    found = make_loss("weighted-likelihood", None, {"clip": 0.2})(log_prob, samples)
    found.backward()
    assert found.item() == pytest.approx(value, abs=1e-12)
    assert log_prob.grad.item() == pytest.approx(gradient, abs=1e-12)


@pytest.mark.parametrize("clip", [None, 0.2])
def test_the_weighted_likelihood_scales_with_its_weights(clip: float | None) -> None:
    draw = torch.Generator().manual_seed(0)
    log_prob, old, weights = torch.randn(3, 4, 5, 6, generator=draw, dtype=torch.float64)
    mask = torch.rand(4, 5, 6, generator=draw) < 0.5
    loss = WeightedLikelihoodLoss(clip=clip)

    def value(factor: float) -> torch.Tensor:
        samples = WeightedSamples(ACTIONS, factor * weights, old, mask)
        return loss(log_prob, samples, reduction="none")

    assert value(1.0).shape == (4,)
    torch.testing.assert_close(value(3.0), 3 * value(1.0), rtol=0, atol=1e-12)


def test_a_mask_hides_values_and_gradients() -> None:
    mask = torch.tensor([[True, False], [False, False]])
    weights = torch.tensor([[1.0, math.nan], [math.nan, math.nan]])
    old = torch.tensor([[0.5, math.inf], [math.nan, 0.0]])
    for loss in (WeightedLikelihoodLoss(), WeightedLikelihoodLoss(clip=0.2), PreferenceLoss()):
        log_prob = torch.tensor([[0.25, math.nan], [math.nan, -math.inf]]).requires_grad_()
        values = loss(log_prob, WeightedSamples(ACTIONS, weights, old, mask), reduction="none")
        values.sum().backward()
        assert values.isfinite().all()
        assert values[1] == 0
        assert (log_prob.grad[~mask] == 0).all()


def test_a_further_term_is_added() -> None:
    def k3(log_prob: torch.Tensor, samples: WeightedSamples) -> torch.Tensor:
        difference = samples.log_prob_old - log_prob
        return (difference.exp() - difference - 1).sum(1)

    loss = WeightedLikelihoodLoss(kl=k3)
    samples = WeightedSamples(ACTIONS, torch.zeros(2, 1), torch.tensor([[0.1], [-0.1]]))
    values = loss(torch.zeros(2, 1), samples, reduction="none")
    torch.testing.assert_close(values, torch.tensor([0.00517092, 0.00483742]), rtol=0, atol=1e-7)


def test_the_preference_has_its_exact_values() -> None:
    pair = pair_extremes(torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    reference = torch.zeros(1, 2, dtype=torch.float64)
    log_prob = reference.clone().requires_grad_()
    samples = WeightedSamples(ACTIONS, pair, reference)
    value = make_loss("preference", None, {"beta": 10.0, "ratio_clip": 0.1})(log_prob, samples)
    value.backward()
    assert value.item() == pytest.approx(math.log(2), abs=1e-12)
    torch.testing.assert_close(log_prob.grad, torch.tensor([[-5.0, 5.0]], dtype=torch.float64))
    # outside the trust region a side has no gradient
    log_prob = torch.tensor([[0.2, 0.0]], dtype=torch.float64).requires_grad_()
    value = PreferenceLoss(beta=10.0, ratio_clip=0.1)(log_prob, samples)
    value.backward()
    assert value.item() == pytest.approx(math.log1p(math.exp(-10 * math.log(1.1))), abs=1e-12)
    assert log_prob.grad[0, 0] == 0
    assert log_prob.grad[0, 1] > 0


def test_listwise_ranking_is_the_weighted_likelihood_of_softmax_weights() -> None:
    for temperature, value in ((1.0, 2.0778714502), (0.5, 3.8963310712), (2.0, 1.3925685381)):
        output = PREDICTED.clone().requires_grad_()
        ranking = make_loss(
            "ranking-listwise", Simplex(3), {"temperature": temperature, "solve_ratio": 0.0}
        )
        found = ranking(output, Target(costs=TRUE, pool=VERTICES))
        found.backward()
        assert found.item() == pytest.approx(value, abs=1e-9)

        again = PREDICTED.clone().requires_grad_()
        likelihood = make_loss("weighted-likelihood", None, {"log_prob": pool_policy})
        # any baseline of the values cancels
        weights = softmax(5.0 - TRUE @ VERTICES.T, temperature=temperature)
        shared = likelihood(again / temperature, WeightedSamples(VERTICES, weights))
        shared.backward()
        assert found.item() == pytest.approx(shared.item(), abs=1e-12)
        torch.testing.assert_close(output.grad, again.grad, rtol=0, atol=1e-12)
        if temperature == 1:
            expected = [[0.615353940, 0.014767989, -0.630121929]]
            torch.testing.assert_close(
                output.grad, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9
            )
            least = ranking(TRUE, Target(costs=TRUE, pool=VERTICES))
            assert least.item() == pytest.approx(0.7138657580, abs=1e-9)


def test_logistic_pairwise_ranking_is_the_preference_loss() -> None:
    ranking = make_loss("ranking-pairwise", Simplex(3), {"link": "logistic", "solve_ratio": 0.0})
    preference = make_loss("preference", None, {"log_prob": pool_policy})
    uniform = torch.full((1, 2), -math.log(2), dtype=torch.float64)
    values = []
    for loser in (1, 2):
        pool = VERTICES[[0, loser]]
        output, again = (PREDICTED.clone().requires_grad_() for _ in range(2))
        found = ranking(output, Target(costs=TRUE, pool=pool))
        shared = preference(again, WeightedSamples(pool, pair_extremes(-TRUE @ pool.T), uniform))
        found.backward()
        shared.backward()
        assert found.item() == pytest.approx(shared.item(), abs=1e-12)
        torch.testing.assert_close(output.grad, again.grad, rtol=0, atol=1e-12)
        values.append(found.item())
    assert values == pytest.approx([1.3132616875, 2.1269280110], abs=1e-9)
    sigma = 0.8807970780
    torch.testing.assert_close(
        output.grad, sigma * torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64),
        rtol=0, atol=1e-9,
    )  # fmt: skip
    whole = ranking(PREDICTED, Target(costs=TRUE, pool=VERTICES)).item()
    assert whole == pytest.approx(sum(values) / 2, abs=1e-12)
    # a reference that prefers the loser
    reference = torch.log_softmax(
        -torch.tensor([[1.0, 1.0, 3.0]], dtype=torch.float64) @ VERTICES[[0, 2]].T, 1
    )
    pair = pair_extremes(-TRUE @ VERTICES[[0, 2]].T)
    samples = WeightedSamples(VERTICES[[0, 2]], pair, reference)
    assert preference(PREDICTED, samples).item() == pytest.approx(4.0181499279, abs=1e-9)


class Fixed:
    """A generator's stand-in, for noise that is known beforehand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, noise: torch.Tensor) -> None:
        from dfl.losses import _score

        class Law(_score.Normal):
            def draw(self, shape, like, generator):
                assert shape == noise.shape
                return noise

        monkeypatch.setattr(_score, "Normal", Law)


def test_the_score_function_is_the_group_relative_policy_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = torch.tensor([[[-3.0, 0, 0], [0, -2, 0], [0, 0, 0], [-3, 1, 1]]], dtype=torch.float64)
    Fixed(monkeypatch, noise)
    loss = make_loss(
        "score-function", Simplex(3), {"n_samples": 4, "baseline": "standardized", "sigma": 1.0}
    )
    output = PREDICTED.clone().requires_grad_()
    value, decisions = loss(output, Target(costs=TRUE), return_decisions=True)
    value.backward()
    assert decisions[0].argmax(1).tolist() == [0, 1, 2, 0]
    assert value.item() == pytest.approx(1.0, abs=1e-12)  # mean of the regrets 0, 1, 3, 0
    torch.testing.assert_close(
        output.grad,
        torch.tensor([[1.2247448714, -0.2041241452, -0.2041241452]], dtype=torch.float64),
        rtol=0, atol=1e-7,
    )  # fmt: skip

    # group-relative policy optimization of sequences of length one, at the sampling policy
    rewards = -torch.tensor([[0.0, 1.0, 3.0, 0.0]], dtype=torch.float64)
    advantages = standardized(rewards)
    actions = PREDICTED[:, None] + noise
    old = -((actions - PREDICTED[:, None]) ** 2).sum(-1) / 2
    mean = PREDICTED.clone().requires_grad_()
    ratio = (-((actions - mean[:, None]) ** 2).sum(-1) / 2 - old).exp()
    surrogate = torch.minimum(advantages * ratio, advantages * ratio.clamp(0.8, 1.2))
    (-surrogate.mean()).backward()
    torch.testing.assert_close(output.grad, mean.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.grad, -direction(noise, advantages / 4), rtol=0, atol=1e-12)
    # the same through the shared loss, with its clip
    again = PREDICTED.clone().requires_grad_()
    clipped = WeightedLikelihoodLoss(log_prob=loss.score.log_density, clip=0.2)
    clipped(again, WeightedSamples(actions, advantages / 4, old)).backward()
    torch.testing.assert_close(output.grad, again.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("baseline", ["leave-one-out", "mean", "standardized"])
def test_the_score_function_estimates_expected_regret(baseline: str) -> None:
    # on two points, regret is |c1 - c2| with a normal probability that falls with the difference
    n, sigma = 4000, 0.7
    loss = make_loss(
        "score-function", Simplex(2), {"sigma": sigma, "n_samples": 20, "baseline": baseline}
    )
    output = torch.tensor([[0.3, 0.0]], dtype=torch.float64).expand(n, 2).clone().requires_grad_()
    costs = torch.tensor([[0.0, 2.0]], dtype=torch.float64).expand(n, 2)
    values = loss(output, Target(costs=costs), reduction="none")
    values.sum().backward()
    spread = sigma * 2**0.5
    normal = torch.distributions.Normal(0.0, 1.0)
    at = torch.tensor(0.3 / spread)
    error = values.std() / n**0.5
    assert values.mean().item() == pytest.approx(2 * normal.cdf(at).item(), abs=4 * error.item())
    if baseline != "standardized":
        shortened = 1.0 if baseline == "leave-one-out" else 19 / 20
        slope = shortened * 2 * normal.log_prob(at).exp().item() / spread
        for j, expected in ((0, slope), (1, -slope)):
            error = output.grad[:, j].std() / n**0.5
            found = output.grad[:, j].mean().item()
            assert found == pytest.approx(expected, abs=4 * error.item())


def test_policy_losses_train_with_the_one_loop() -> None:
    # a policy over three actions learns what the weights prefer
    inputs = torch.ones(32, 1)
    samples = WeightedSamples(
        torch.arange(3).expand(32, 3), softmax(torch.tensor([[0.0, 3.0, 0.0]])).expand(32, 3)
    )
    model = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.LogSoftmax(1))
    train(
        model,
        make_loss("weighted-likelihood", None),
        TableSource(inputs, samples),
        learning_rate=0.1,
    )  # type: ignore[arg-type]
    torch.testing.assert_close(model(inputs)[0].exp(), samples.weights[0], rtol=0, atol=0.01)


def test_policy_losses_say_what_is_wrong() -> None:
    samples = WeightedSamples(ACTIONS, one(1.0))
    with pytest.raises(InvalidInputError, match="WeightedLikelihoodLoss holds no oracle"):
        make_loss("weighted-likelihood", Simplex(3))
    with pytest.raises(InvalidInputError, match="target of type Target, expected WeightedSamples"):
        PreferenceLoss()(one(0.0), Target(costs=one(0.0)))
    with pytest.raises(InvalidInputError, match="target of type WeightedSamples, expected Target"):
        make_loss("spo+", Simplex(1))(one(0.0), samples)
    with pytest.raises(InvalidInputError, match=r"PreferenceLoss compares .* log_prob_old=None"):
        PreferenceLoss()(one(0.0), samples)
    with pytest.raises(InvalidInputError, match=r"shape \(1, 2\), expected \(1, 1\)"):
        WeightedLikelihoodLoss()(torch.zeros(1, 2), samples)
    with pytest.raises(InvalidInputError, match="no decisions to return"):
        WeightedLikelihoodLoss()(one(0.0), samples, return_decisions=True)
    for name, parameters in (
        ("weighted-likelihood", {"clip": 1.0}),
        ("preference", {"beta": 0.0}),
        ("preference", {"ratio_clip": 1.0}),
    ):
        with pytest.raises(InvalidInputError, match=f"got {next(iter(parameters))}="):
            make_loss(name, None, parameters)
    for parameters in ({"sigma": 0}, {"n_samples": 1}, {"baseline": "none"}):
        with pytest.raises(InvalidInputError, match=f"got {next(iter(parameters))}="):
            make_loss("score-function", GridShortestPath(2, 2), parameters)


def test_the_score_function_needs_nothing_but_decisions() -> None:
    def two_best(costs):
        decision = torch.zeros(len(costs), dtype=torch.float64)
        decision[torch.from_numpy(costs).argsort()[:2]] = 1
        return decision.numpy()

    loss = make_loss("score-function", FromCallable(two_best, n_costs=3), {"sigma": 1e-3})
    values = loss(PREDICTED, Target(costs=TRUE), reduction="none")
    assert values.tolist() == [3.0]
