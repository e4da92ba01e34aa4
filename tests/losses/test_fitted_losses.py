"""Losses that are fitted to regret: local ones, before training, and a learned landscape."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from dfl import DecisionFocusedRegressor, Target, make_loss, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.losses._local_forms import FORMS
from dfl_solvers import (
    Counting,
    GridShortestPath,
    Knapsack,
    Maximize,
    MeanVariancePortfolio,
    Simplex,
    TopK,
)

LINEAR = ["weighted", "directed"]


def tensor(rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def features(form: str, errors: np.ndarray) -> np.ndarray:
    if form == "weighted":
        return errors**2
    return np.hstack([np.maximum(errors, 0) ** 2, np.minimum(errors, 0) ** 2])


@pytest.mark.parametrize("form", LINEAR)
@pytest.mark.parametrize(
    "oracle",
    [GridShortestPath(3, 3), Maximize(TopK(5, 2)), MeanVariancePortfolio(np.eye(3), 1.0)],
    ids=["grid", "top-k", "mean-variance"],
)
def test_weights_are_nonnegative_least_squares_of_regrets(
    form: str, oracle, rng: np.random.Generator
) -> None:
    d, k, sigma = oracle.n_costs, 60, 0.8
    true, predicted = rng.normal(size=(2, 4, d))
    loss = make_loss("lodl", oracle, {"form": form, "n_samples": k, "sigma": sigma})
    found = loss(tensor(predicted), Target(costs=tensor(true)), "none")
    # the same errors, in the sense of minimization
    sign = getattr(oracle, "sign", 1)
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(k, d, generator=generator, dtype=torch.float64).numpy()
    for i in range(4):
        sampled = true[i] + sign * sigma * errors
        regrets = metrics.regret(oracle, sampled, np.tile(true[i], (k, 1)))
        floor = 1e-3 * np.abs(true[i]).mean()
        weights, _ = nnls(features(form, errors), regrets - floor * (errors**2).sum(1))
        at = sign * (predicted[i] - true[i])[None] / sigma
        expected = features(form, at)[0] @ weights + floor * (at**2).sum()
        assert found[i].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_fits_predict_regrets_that_they_have_not_seen(form: str, rng: np.random.Generator) -> None:
    oracle = Simplex(3)
    true = rng.normal(size=(30, 3))
    loss = make_loss("lodl", oracle, {"form": form, "n_samples": 300, "sigma": 1.0})
    target = loss.complete(Target(costs=tensor(true)))
    predicted = true + rng.normal(size=(50, 30, 3))
    regrets = metrics.regret(oracle, predicted.reshape(-1, 3), np.tile(true, (50, 1)))
    found = np.concatenate([loss(tensor(row), target, "none").numpy() for row in predicted])
    # squared errors, at their best scale, know nothing of decisions
    squares = ((predicted - true) ** 2).sum(2).ravel()
    plain = squares * (squares @ regrets) / (squares @ squares)
    errors = [((value - regrets) ** 2).mean() for value in (found, plain)]
    assert errors[0] < 0.98 * errors[1]


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_does_not_depend_on_what_it_is_fitted_with(
    form: str, rng: np.random.Generator
) -> None:
    oracle = GridShortestPath(2, 3)
    true, predicted = (tensor(draw) for draw in rng.uniform(1, 2, size=(2, 9, 7)))
    parameters = {"form": form, "n_samples": 20}
    whole = make_loss("lodl", oracle, parameters).complete(Target(costs=true))
    parted = make_loss("lodl", oracle, parameters)
    first = parted.complete(Target(costs=true[:4]))
    second = parted.complete(Target(costs=true[4:]))
    joined = first.join(second)
    for target in (joined, whole.rows(torch.arange(9)), whole.to(torch.float64)):
        np.testing.assert_allclose(
            parted(predicted, target, "none"), parted(predicted, whole, "none"), atol=1e-6
        )
    assert parted.complete(joined) is joined
    assert joined.negated().fitted is joined.fitted


def test_all_solves_are_in_one_batch_before_training(rng: np.random.Generator) -> None:
    counting = Counting(GridShortestPath(3, 3))
    costs = tensor(rng.uniform(1, 2, size=(10, 12)))
    loss = make_loss("lodl", counting, {"n_samples": 25})
    target = loss.complete(Target(costs=costs))
    # the labels, then all samples of all rows
    assert (counting.counts.calls, counting.counts.instances) == (2, 10 + 250)
    output = (costs + 0.1).requires_grad_()
    for _ in range(3):
        loss(output, target).backward()
    assert counting.counts.calls == 2
    model = DecisionFocusedRegressor(
        counting.oracle, "lodl", loss_parameters={"n_samples": 25}, max_iter=3, random_state=0
    ).fit(rng.normal(size=(50, 2)), rng.uniform(1, 2, size=(50, 12)))
    # 40 rows train, 10 validate: labels, samples, and judgments before and after three epochs
    assert model.budget_.instances == 40 * 26 + 10 + 4 * 10


@pytest.mark.parametrize("form", FORMS)
def test_padding_and_capacities_are_those_of_the_instance(
    form: str, rng: np.random.Generator
) -> None:
    mask = np.array([[True, True, True, False]])
    padded = Target(costs=tensor([[1.0, 2.0, 3.0, 0.0]]), instance={"mask": mask})
    loss = make_loss("lodl", TopK(None, 1), {"form": form, "n_samples": 40})
    target = loss.complete(padded)
    values = [loss(tensor([[2.0, 1.0, 3.0, hidden]]), target).item() for hidden in (0.0, 7.0, -7.0)]
    assert values[0] == values[1] == values[2] > 0
    if form != "weighted":
        return
    knapsack = Knapsack(np.array([[3.0, 4.0, 5.0, 6.0]]), np.array([9.0]))
    costs = -rng.uniform(1, 2, size=(1, 4))
    for capacity in (4.0, 100.0):
        own = Target(costs=tensor(costs), instance={"capacities": np.array([[capacity]])})
        fitted = make_loss("lodl", knapsack).complete(own).fitted
        alone = Knapsack(knapsack.weights, np.array([capacity]))
        expected = make_loss("lodl", alone, {}).complete(Target(costs=tensor(costs))).fitted
        for name, value in expected.items():
            np.testing.assert_allclose(fitted[name], value, atol=1e-12)


def test_the_seed_draws_the_samples() -> None:
    data = make_shortest_path(60, grid=(3, 3), random_state=0)
    coefficients = [
        DecisionFocusedRegressor(
            data.oracle, "lodl", loss_parameters={"n_samples": 10}, max_iter=5,
            early_stopping=False, random_state=seed,
        ).fit(data.X, data.C).coef_
        for seed in (0, 0, 1)
    ]  # fmt: skip
    np.testing.assert_array_equal(coefficients[0], coefficients[1])
    assert not np.array_equal(coefficients[0], coefficients[2])


def test_local_losses_refuse_what_they_cannot_do() -> None:
    with pytest.raises(InvalidInputError, match="form='cubic', expected one of weighted, directed"):
        make_loss("lodl", Simplex(3), {"form": "cubic"})
    with pytest.raises(InvalidInputError, match="n_samples=0"):
        make_loss("lodl", Simplex(3), {"n_samples": 0})
    with pytest.raises(InvalidInputError, match="sigma=0"):
        make_loss("lodl", Simplex(3), {"sigma": 0.0})


def test_the_landscape_is_learned_and_solves_once_a_row(rng: np.random.Generator) -> None:
    oracle = Simplex(3)
    counting = Counting(oracle)
    loss = make_loss("lancer", counting, {"n_steps": 5, "memory": 500})
    fresh = copy.deepcopy(loss)
    for _ in range(150):
        true, predicted = (tensor(draw) for draw in rng.normal(size=(2, 32, 3)))
        target = loss.complete(Target(costs=true))
        before = counting.counts.instances
        loss(predicted.requires_grad_(), target).backward()
        assert counting.counts.instances == before + 32
    true, predicted = rng.normal(size=(2, 500, 3))
    before = counting.counts.instances, loss.weights.clone()
    regrets = metrics.regret(oracle, predicted, true)
    errors = []
    for each in (loss, fresh):
        target = Target(costs=tensor(true), objectives=tensor(oracle.solve(true).objectives))
        values = each(tensor(predicted), target, "none").numpy()
        errors.append(((values - regrets) ** 2).mean() / regrets.var())
    assert errors[0] < 0.4 < errors[1]
    # to judge is not to learn
    assert counting.counts.instances == before[0]
    assert torch.equal(loss.weights, before[1])
    assert int(loss.n_steps_taken) == 750


def test_the_memory_of_the_landscape_keeps_the_latest(rng: np.random.Generator) -> None:
    loss = make_loss("lancer", Simplex(2), {"memory": 5})
    seen = rng.normal(size=(4, 3, 2))
    for row in seen:
        loss(tensor(row).requires_grad_(), Target(costs=tensor(row) + 1))
    latest = seen.reshape(12, 2)[-5:] + 1
    kept = loss.pairs[:, 2:].numpy()
    np.testing.assert_allclose(np.sort(kept, 0), np.sort(latest, 0))


def test_the_landscape_s_gradient_is_the_network_s(rng: np.random.Generator) -> None:
    loss = make_loss("lancer", Simplex(3))
    true, predicted = (tensor(draw) for draw in rng.normal(size=(2, 4, 3)))
    target = loss.complete(Target(costs=true))
    output = predicted.clone().requires_grad_()
    loss(output, target, "sum").backward()  # it learns first, then says
    for i, j in np.ndindex(4, 3):
        step = torch.zeros_like(predicted)
        step[i, j] = 1e-6
        ends = [loss(predicted + sign * step, target, "sum").item() for sign in (1, -1)]
        assert output.grad[i, j].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_the_landscape_refuses_costs_of_any_number() -> None:
    with pytest.raises(UnsupportedError, match="does not go with Simplex of any number of costs"):
        make_loss("lancer", Simplex())
    for name in ("n_steps", "memory", "width"):
        with pytest.raises(InvalidInputError, match=f"{name}=0"):
            make_loss("lancer", Simplex(2), {name: 0})


@pytest.mark.parametrize(
    ("name", "parameters", "rate", "size", "rows"),
    [
        ("lodl", {"form": "directed"}, 0.01, 5, 400),
        ("lancer", {"n_steps": 2}, 0.003, 4, 1000),
    ],
)
def test_they_learn(
    name: str, parameters: dict[str, object], rate: float, size: int, rows: int
) -> None:
    data = make_shortest_path(rows + 1000, grid=(size, size), degree=6, noise=0.5, random_state=0)
    scores = [
        DecisionFocusedRegressor(
            data.oracle, loss, loss_parameters=held, max_iter=20, learning_rate=step,
            random_state=0,
        )
        .fit(data.X[:rows], data.C[:rows])
        .score(data.X[rows:], data.C[rows:])
        for loss, held, step in (("squared", None, 0.01), (name, parameters, rate))
    ]  # fmt: skip
    assert scores[1] > scores[0] + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_second_phase_keeps_what_the_first_found(seed: int) -> None:
    data = make_shortest_path(250, degree=8, noise=0.5, random_state=seed)
    held = data.X[150:], data.C[150:]
    scores = {}
    for first in ("squared", "spo+"):
        model = DecisionFocusedRegressor(
            data.oracle, first, max_iter=10, warm_start=True, random_state=0
        )
        scores[first] = model.fit(data.X[:150], data.C[:150], validation=held).score(*held)
        model.set_params(loss="perturbation-gradient", loss_parameters={"step": 0.5})
        both = model.fit(data.X[:150], data.C[:150], validation=held).score(*held)
        assert both >= scores[first] - 1e-9
        scores[f"{first}, then"] = both
    # it is the start that counts
    assert scores["spo+, then"] > scores["squared, then"]


def test_a_target_holds_the_fits_of_several_losses(rng: np.random.Generator) -> None:
    oracle = GridShortestPath(2, 3)
    true, predicted = (tensor(draw) for draw in rng.uniform(1, 2, size=(2, 4, 7)))
    target = Target(costs=true)
    for parameters in ({"sigma": 1.0}, {"sigma": 0.1}, {"sigma": 0.1, "n_samples": 7}):
        loss = make_loss("lodl", oracle, parameters)
        target = loss.complete(target)
        alone = loss(predicted, Target(costs=true), "none")
        np.testing.assert_array_equal(loss(predicted, target, "none"), alone)


def test_a_loss_object_that_was_used_before_gives_the_same_model() -> None:
    data = make_shortest_path(40, grid=(3, 3), random_state=0)
    loss = make_loss("lodl", data.oracle, {"n_samples": 10})
    model = DecisionFocusedRegressor(
        data.oracle, loss, max_iter=2, early_stopping=False, random_state=5
    )
    first = model.fit(data.X, data.C).coef_
    loss.complete(Target(costs=tensor(data.C)))
    np.testing.assert_array_equal(model.fit(data.X, data.C).coef_, first)


@pytest.mark.parametrize("name", ["lancer", *(f"lodl {form}" for form in FORMS)])
def test_batches_of_nothing_have_a_loss_of_nothing(name: str) -> None:
    name, _, form = name.partition(" ")
    loss = make_loss(name, Simplex(3), {"form": form} if form else {})
    output = tensor(np.zeros((0, 3))).requires_grad_()
    value = loss(output, Target(costs=tensor(np.zeros((0, 3)))), "sum")
    value.backward()
    assert (value.item(), output.grad.shape) == (0.0, (0, 3))


def test_the_landscape_may_be_in_single_precision(rng: np.random.Generator) -> None:
    true, predicted = (tensor(draw) for draw in rng.normal(size=(2, 4, 3)))
    values = [
        loss(predicted.clone().requires_grad_(), Target(costs=true), "none").detach()
        for loss in (make_loss("lancer", Simplex(3)), make_loss("lancer", Simplex(3)).float())
    ]
    np.testing.assert_allclose(values[1], values[0], atol=1e-4)


def test_fits_of_values_are_made_in_the_sense_of_minimization(rng: np.random.Generator) -> None:
    true, predicted = (tensor(draw) for draw in rng.normal(size=(2, 4, 5)))
    loss = make_loss("lodl", Maximize(TopK(5, 2)), {"n_samples": 20})
    known = loss.complete(Target(costs=true).negated()).negated()
    values = [loss(predicted, target, "none") for target in (known, Target(costs=true))]
    np.testing.assert_allclose(*values, atol=1e-12)
