"""Regret with its own gradient: exact values, and training that follows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfl import DecisionFocusedRegressor, Target, make_loss
from dfl.exceptions import UnsupportedError
from dfl_solvers import Ball, Ellipsoid, EntropyBall, LogBarrierSimplex, Maximize, Simplex

SMOOTH = [Ball(4), Ellipsoid(np.diag([1.0, 2.0, 3.0, 4.0])), EntropyBall(4), LogBarrierSimplex(4)]


@pytest.mark.parametrize("oracle", SMOOTH, ids=lambda oracle: type(oracle).__name__)
def test_the_gradient_is_that_of_central_differences(oracle, rng: np.random.Generator) -> None:
    loss = make_loss("smooth-regret", oracle)
    output = torch.tensor(rng.normal(size=(5, 4)), requires_grad=True)
    target = Target(costs=torch.tensor(rng.normal(size=(5, 4))))
    loss(output, target, "sum").backward()
    for i, j in np.ndindex(5, 4):
        step = torch.zeros(5, 4, dtype=torch.float64)
        step[i, j] = 1e-6
        ends = [loss(output.detach() + s * step, target, "sum").item() for s in (1, -1)]
        assert output.grad[i, j].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-4)
    # regret is the same for a prediction of any length
    np.testing.assert_allclose((output.grad * output.detach()).sum(1), 0, atol=1e-9)


def test_exact_number_on_the_ball() -> None:
    value = make_loss("smooth-regret", Ball(2))(
        torch.tensor([[4.0, 3.0]]), Target(costs=torch.tensor([[3.0, 4.0]]))
    )
    assert value.item() == pytest.approx(0.2)


def test_a_set_without_derivative_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="needs decisions with a derivative"):
        make_loss("smooth-regret", Simplex(3))


@pytest.mark.parametrize("predictor", ["linear", "mlp"])
@pytest.mark.parametrize("values", [False, True])
def test_it_learns(predictor: str, values: bool, rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 3))
    # a model that is linear points the wrong way where the truth is a cube: regret sees directions
    C = (X @ rng.normal(size=(3, 4))) ** 3 + 0.1 * rng.normal(size=(300, 4))
    oracle = Maximize(Ball(4)) if values else Ball(4)
    model = DecisionFocusedRegressor(oracle, "smooth-regret", predictor, max_iter=30,
                                     random_state=0)  # fmt: skip
    start = DecisionFocusedRegressor(oracle, "squared", predictor, max_iter=1, random_state=0)
    score = model.fit(X[:200], C[:200]).score(X[200:], C[200:])
    assert score > start.fit(X[:200], C[:200]).score(X[200:], C[200:]) + 0.01
    assert score > 0.8
