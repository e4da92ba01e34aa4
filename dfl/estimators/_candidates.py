"""The ways to learn that an automatic choice tries: features, a predictor and a loss each."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import has_fit_parameter

from dfl.estimators.base import BaseDecisionRegressor
from dfl.estimators.decision_focused import DecisionFocusedRegressor
from dfl.estimators.predict_then_optimize import PredictThenOptimizeRegressor
from dfl.estimators.spo_plus_linear import SPOPlusLinearRegressor
from dfl.estimators.two_stage_ridge_cv import TwoStageRidgeCV
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Oracle

# what the average of candidates is called
AVERAGE = "average"
# what fits errors of the costs, whatever they do to decisions
_TWO_STAGE = ("squared", "absolute", "huber")
# an exact fit takes time with the cube of the number of coefficients, and with the rows
_EXACT, _EXACT_ROWS = 400, 100_000
# an expansion to more features than this is slow, however many rows there are
_WIDEST = 1000


class Candidate(NamedTuple):
    """A way to learn.

    Attributes
    ----------
    name : str
    estimator : decision estimator, or Pipeline whose last step is one
        Not fitted, and without an oracle.
    """

    name: str
    estimator: Any

    @property
    def model(self) -> BaseDecisionRegressor:
        """The decision estimator, without the steps before it."""
        return self.estimator[-1] if isinstance(self.estimator, Pipeline) else self.estimator

    @property
    def decision_focused(self) -> bool:
        """Whether the training itself knows of decisions, not only the choice of a penalty."""
        if isinstance(self.model, (PredictThenOptimizeRegressor, TwoStageRidgeCV)):
            return False
        return getattr(self.model, "loss", None) not in _TWO_STAGE

    def takes(self, argument: str) -> bool:
        """Say whether ``fit`` of the decision estimator has an argument."""
        return has_fit_parameter(self.model, argument)

    def made_for(self, oracle: Oracle, seed: int) -> Any:
        """Return a new estimator that decides by an oracle, with randomness of its own.

        Parameters
        ----------
        oracle : Oracle
        seed : int
            For each ``random_state`` that is not set.
        """
        estimator = clone(self.estimator)
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        model.set_params(oracle=oracle)
        parameters = estimator.get_params()
        free = [k for k, v in parameters.items() if k.endswith("random_state") and v is None]
        return estimator.set_params(**dict.fromkeys(free, seed))


def default_candidates(
    n_samples: int, n_features: int, n_costs: int, *, long: bool = False
) -> list[tuple[str, Any]]:
    """Return what ``AutoDecisionRegressor`` tries, from the simplest to the most complex.

    Change the list to your liking and give it to ``AutoDecisionRegressor(candidates=...)``.

    Parameters
    ----------
    n_samples : int
        Rows of features. Polynomials with more terms than rows are left out.
    n_features : int
        Features of a row.
    n_costs : int
        Costs of an instance. With many of them or of rows, exact training takes too long and is
        left out.
    long : bool, default=False
        Whether a row is an item, not an instance.

    Returns
    -------
    list of (str, estimator)
        Names, and estimators without an oracle. The order is that of simplicity: by predictor
        (linear, spline, polynomials by degree, neural network, forest), and within a predictor
        least squares before decision-focused losses.

    Examples
    --------
    >>> from dfl.estimators import default_candidates
    >>> [name for name, _ in default_candidates(1000, 5, 40)][:4]
    ['linear, least squares', 'linear, ridge', 'linear, spo+', 'linear, perturbed Fenchel-Young']
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

    def expanded(model: Any, *steps: Any) -> Any:
        return make_pipeline(StandardScaler(), *steps, model)

    def polynomial(degree: int) -> Any:
        return PolynomialFeatures(degree, include_bias=False)

    def exactly(n_terms: int) -> bool:
        size = n_costs * (n_terms + 1)
        return not long and size <= _EXACT and size * n_samples <= _EXACT_ROWS

    def fits(degree: int) -> bool:
        return comb(n_features + degree, degree) <= min(n_samples, _WIDEST)

    spline = SplineTransformer(4, knots="quantile", include_bias=False, extrapolation="linear")
    splines = 6 * n_features <= min(n_samples, _WIDEST)
    fenchel_young = DecisionFocusedRegressor(loss="perturbed-fenchel-young")
    exact = SPOPlusLinearRegressor(penalty="l2", alpha=0.01, tol=1e-3)
    found = [
        ("linear, least squares", PredictThenOptimizeRegressor()),
        ("linear, ridge", TwoStageRidgeCV()),
        ("linear, spo+", DecisionFocusedRegressor()),
        ("linear, perturbed Fenchel-Young", fenchel_young),
    ]
    if exactly(n_features):
        found += [("linear, exact spo+", exact)]
    if splines:
        found += [
            ("spline, ridge", expanded(TwoStageRidgeCV(), spline)),
            ("spline, spo+", expanded(DecisionFocusedRegressor(), spline)),
        ]
    for degree in (2, 3, 4):
        if not fits(degree):
            break
        name = f"polynomial {degree}"
        found += [(f"{name}, ridge", expanded(TwoStageRidgeCV(), polynomial(degree)))]
        found += [(f"{name}, spo+", expanded(DecisionFocusedRegressor(), polynomial(degree)))]
        if degree == 2:
            found += [(f"{name}, perturbed Fenchel-Young",
                       expanded(fenchel_young, polynomial(degree)))]  # fmt: skip
            if exactly(comb(n_features + degree, degree) - 1):
                found += [(f"{name}, exact spo+", expanded(exact, polynomial(degree)))]
    return [
        *found,
        (
            "neural network, squared error",
            DecisionFocusedRegressor(loss="squared", predictor="mlp"),
        ),
        ("neural network, spo+", DecisionFocusedRegressor(predictor="mlp")),
        ("forest", PredictThenOptimizeRegressor(regressor=ExtraTreesRegressor())),
    ]


def as_candidates(candidates: Sequence[Any]) -> list[Candidate]:
    """Check candidates and turn plain regressors of scikit-learn into two-stage estimators.

    Parameters
    ----------
    candidates : sequence of (str, estimator)

    Raises
    ------
    InvalidInputError
        If one is no pair, no estimator of costs, or a name is taken.
    """
    if not isinstance(candidates, Sequence):
        raise InvalidInputError(
            f"got candidates={candidates!r}, expected a list of pairs (name, estimator)"
        )
    found = []
    for pair in candidates:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise InvalidInputError(
                f"got the candidate {pair!r}, expected a pair (name, estimator)"
            )
        name, estimator = pair
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if not isinstance(last, BaseDecisionRegressor):
            if not isinstance(estimator, BaseEstimator) or not is_regressor(estimator):
                raise InvalidInputError(
                    f"candidate {name!r}: got {type(last).__name__}, expected a decision "
                    "estimator, a scikit-learn regressor, or a Pipeline that ends in one"
                )
            estimator = PredictThenOptimizeRegressor(regressor=estimator)
        found.append(Candidate(name, estimator))
    names = [candidate.name for candidate in found]
    for name in names:
        if name == AVERAGE:
            raise InvalidInputError(
                f"got a candidate {name!r}, expected another name: so the average of all is called"
            )
        if names.count(name) > 1:
            raise InvalidInputError(f"the candidate {name!r} is there twice, expected one a name")
    if not found:
        raise InvalidInputError("got no candidate, expected at least one")
    return found
