"""Predictors that are judged on features with noise, trained with and without an adversary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.study import AbstractPolicyStudy, PolicyOutcome, Score

if TYPE_CHECKING:
    from dfl import DecisionFocusedRegressor

_TEST_SEED = 10_000


@final
class FeatureNoiseTraining(AbstractPolicyMethod):
    """A loss of decisions on features that an adversary moves; ``"identity"`` moves none."""

    algorithm: Literal["feature-noise"]
    adversary: Literal["identity", "random", "surrogate"] = "identity"
    loss: str = "spo+"
    predictor: Literal["linear", "mlp"] = "linear"
    radius: NonNegativeFloat = 0.5
    """Of the adversary in training, in standard deviations of the features."""
    window: tuple[float, float] | None = None
    """Shares of training at which the radius begins to grow, and is whole. Default: whole."""
    attack_steps: PositiveInt = 5
    max_iter: PositiveInt = 50
    learning_rate: PositiveFloat = 1e-2

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Train, and judge."""
        from dfl import DecisionFocusedRegressor, make_loss
        from dfl.adversary import WindowStrength, make_adversary
        from dfl.losses import AdversarialLoss

        data = study.data(seed)
        parameters = {"steps": self.attack_steps} if self.adversary == "surrogate" else {}
        loss = AdversarialLoss(
            make_loss(self.loss, data.oracle),
            make_adversary(self.adversary, self.radius, parameters),
            None if self.window is None else WindowStrength(*self.window),
        )
        model = DecisionFocusedRegressor(
            data.oracle,
            loss,
            self.predictor,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            early_stopping=False,
            random_state=seed,
        )
        n = study.n_train
        started = time.perf_counter()
        model.fit(data.X[:n], data.C[:n])
        seconds = time.perf_counter() - started
        spent = {"solves": model.budget_.instances, "epochs": self.max_iter}
        return PolicyOutcome(study.judge(model, data, seed), spent, seconds)


@final
class FeatureNoiseStudy(AbstractPolicyStudy):
    """Shortest paths whose costs are predicted from features that are measured with an error."""

    scores: ClassVar[Mapping[str, Score]] = {
        "clean": Score("normalized regret, exact features", "lower"),
        "random": Score("normalized regret, features with uniform noise", "lower"),
        "worst": Score("normalized regret, worst features found", "lower"),
    }
    chosen_by: ClassVar[str] = "worst"
    accepts = (FeatureNoiseTraining,)

    kind: Literal["noisy-shortest-path"]
    grid: tuple[PositiveInt, PositiveInt] = (5, 5)
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5
    """Half-width of the noise of the costs."""
    n_train: PositiveInt = 200
    n_test: PositiveInt = 500
    radius: PositiveFloat = 0.5
    """Of the noise of each feature when it is judged, in its standard deviations."""
    draws: PositiveInt = 20
    """Of the uniform noise."""

    def data(self, seed: int) -> Any:
        """Draw instances; the first ones are to train on."""
        from dfl.datasets import make_shortest_path

        return make_shortest_path(
            self.n_train + self.n_test,
            self.n_features,
            grid=self.grid,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )

    def judge(self, model: DecisionFocusedRegressor, data: Any, seed: int) -> dict[str, float]:
        """Return regrets in units of the optimal objective.

        The worst features are those with the largest regret, instance by instance, among the exact
        ones, the draws, every corner of the ball (up to 12 features) and two ascents of SPO+.
        """
        import torch

        from dfl import Target, make_loss, metrics
        from dfl.adversary import ExactAdversary, GradientAdversary, RandomAdversary, Victim

        rows = slice(self.n_train, None)
        costs, oracle = data.C[rows], data.oracle
        optimal = metrics.optimal_objectives(oracle, costs)
        mean, scale = data.X[: self.n_train].mean(0), data.X[: self.n_train].std(0)
        exact = torch.from_numpy((data.X[rows] - mean) / scale)
        coefficients = _differentiable(model, mean, scale)

        def regret(features: torch.Tensor) -> torch.Tensor:
            predicted = coefficients(features).detach().double().numpy()
            return torch.from_numpy(metrics.regret(oracle, predicted, costs, optimal=optimal))

        loss, target = make_loss("spo+", oracle), Target(costs=torch.from_numpy(costs))
        smooth = Victim(surrogate=lambda x: loss(coefficients(x), target, reduction="none"))
        generator = torch.Generator().manual_seed(seed + _TEST_SEED)
        noise, climb = RandomAdversary(self.radius), GradientAdversary(self.radius)
        drawn = [regret(noise.perturb(exact, generator=generator)) for _ in range(self.draws)]
        found = [regret(exact), *drawn]
        found += [regret(climb.perturb(exact, smooth, generator)) for _ in range(2)]
        if self.n_features <= 12:
            corners = ExactAdversary(self.radius)
            found.append(regret(corners.perturb(exact, Victim(surrogate=regret))))
        norm = abs(optimal).sum()
        return {
            "clean": float(found[0].sum() / norm),
            "random": float(torch.stack(drawn).mean(0).sum() / norm),
            "worst": float(torch.stack(found).amax(0).sum() / norm),
        }


def _differentiable(model: DecisionFocusedRegressor, mean: Any, scale: Any) -> Any:
    """Return the predictor as a function of standardized features that has a gradient."""
    import torch

    network, scaling = model.predictor_, model._scaling
    dtype = next(network.parameters()).dtype
    # the same up to rounding: both are moments of the rows that were trained on
    ratio, shift = torch.from_numpy(scale / scaling.scale), torch.from_numpy(mean - scaling.mean)
    shift = shift / torch.from_numpy(scaling.scale)

    def predict(features: torch.Tensor) -> torch.Tensor:
        costs: torch.Tensor = network((features * ratio + shift).to(dtype))
        return costs.double() * scaling.cost

    return predict
