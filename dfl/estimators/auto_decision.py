"""The regressor that chooses how to learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import astuple
from numbers import Real
from typing import Any, Self, final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl import metrics
from dfl.estimators._candidates import AVERAGE, as_candidates, default_candidates
from dfl.estimators._folds import folds
from dfl.estimators._instance import InstanceData
from dfl.estimators._race import Clock, Race, Runner, learn
from dfl.estimators._randomness import generator_of
from dfl.estimators._reading import read
from dfl.estimators._report import leaderboard, verdict
from dfl.estimators._stacking import stacked
from dfl.estimators._table import Table
from dfl.estimators._verdict import simplest
from dfl.estimators.base import BaseDecisionRegressor
from dfl.estimators.leaderboard import LeaderboardRow, Verdict
from dfl.exceptions import InvalidInputError, TrainingError
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counting, Counts


@final
class AutoDecisionRegressor(BaseDecisionRegressor):
    """Choose features, predictor and loss by held-out regret, and learn with what was chosen.

    Use it where you want good decisions without knowing the field: it tries least squares as well
    as decision-focused training, on the features as they are and on expansions of them, and says
    by ``is_worth_it_`` whether the latter pays here. Where you know what suits, one estimator
    alone takes a small part of the time.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    candidates : sequence of (str, estimator), optional
        What to try, from the simplest to the most complex: decision estimators, scikit-learn's
        regressors (two-stage), or a ``Pipeline`` that ends in one. Oracles and seeds are set here.
        Default: ``dfl.estimators.default_candidates`` for the size of the data.
    cv : int or scikit-learn splitter, default=5
        Folds on which candidates are judged. A number makes random folds; with labels of groups, no
        group is on both sides; with dates, what is judged on comes after what is trained on.
    average : bool, default=True
        Whether an average of the costs that the best candidates predict competes as well.
    time_budget : float, optional
        Seconds. What is done by then decides; it is exceeded by no more than one fit.
    n_jobs : int, optional
        Processes that fit candidates side by side, -1 for as many as there are cores; the oracle is
        sent to them.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the folds, and all candidates that take a seed.

    Attributes
    ----------
    best_name_ : str
        The chosen candidate, or ``"average"``.
    models_ : list of estimators
        The fitted candidates whose predictions are used; one, unless the average was chosen.
    weights_ : ndarray of shape (n_models,)
        What their predicted costs are multiplied by before they are added up.
    leaderboard_ : list of LeaderboardRow
        All candidates: the chosen one first, then by the number of folds and by regret.
    is_worth_it_ : Verdict or None
        The test whether the best decision-focused candidate beats the best two-stage one; true if
        p < 0.05. None where there is nothing to compare.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    See Also
    --------
    dfl.plotting.LeaderboardDisplay : Draws the leaderboard.

    Notes
    -----
    **Search.** Candidates are judged fold by fold, all on the same held-out instances, whose
    optimal objectives are solved once. After each fold of the first half, three at most, half of
    them drop out, but nobody before being judged on 100 instances. Those within one standard error
    of the best stay, four at least, the first of the list, and the best of either kind.

    **Choice.** The simplest candidate, in the order of the list, whose regret exceeds the least by
    no more than one standard error of the paired difference. The average is the most complex. It
    is judged with weights that other folds have chosen. All chosen models are then fitted on all
    instances.

    **Test.** On each fold that had no say in who dropped out, the two that are compared are those
    of least regret on all other folds; so none is judged by what it was chosen by. The standard
    error allows for training rows in common (Nadeau & Bengio), and for groups. The regret
    of the chosen one in ``leaderboard_`` is a little too good, as the least of many is.

    References
    ----------
    Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
    AISTATS 2016, arXiv 1502.07943 (successive halving); Breiman et al., "Classification and
    Regression Trees", 1984 (one standard error); Caruana et al., "Ensemble Selection from Libraries
    of Models", ICML 2004, doi 10.1145/1015330.1015432; Nadeau & Bengio, "Inference for the
    Generalization Error", Machine Learning 52, 2003, doi 10.1023/A:1024068626366.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from dfl import AutoDecisionRegressor, DecisionFocusedRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(400, degree=6, random_state=0)
    >>> tried = [("least squares", LinearRegression()),
    ...          ("spo+", DecisionFocusedRegressor(max_iter=30))]
    >>> model = AutoDecisionRegressor(data.oracle, tried, random_state=0).fit(data.X, data.C)
    >>> model.best_name_, bool(model.is_worth_it_)
    ('spo+', True)
    """

    leaderboard_: list[LeaderboardRow]
    is_worth_it_: Verdict | None
    budget_: Counts

    def __init__(
        self,
        oracle: Oracle | None = None,
        candidates: Sequence[tuple[str, Any]] | None = None,
        *,
        cv: Any = 5,
        average: bool = True,
        time_budget: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.candidates = candidates
        self.cv = cv
        self.average = average
        self.time_budget = time_budget
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Judge the candidates, choose, and learn from all instances.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features. A data frame with a date index is split in time.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each instance counts, for the candidates, which must take weights, and in the
            choice. One per instance for long data too, in the order of ``instance``.
        groups : array-like of shape (n,) or (n_rows,), optional
            With 1-d y: long data, and the instance each row belongs to. With 2-d y: instances with
            the same label fall into the same fold. Dates are split in time.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, a candidate is none, or the folds cannot be made.
        InfeasibleError, UnboundedError
            If an instance has no optimal decision; it is named.
        TrainingError
            If no candidate can be fitted.
        """
        budget = self.time_budget
        if budget is not None and not (isinstance(budget, Real) and budget > 0):
            raise InvalidInputError(
                f"got time_budget={budget!r}, expected a positive number of seconds"
            )
        clock, oracle = Clock(budget), Counting(self._checked_oracle())
        table = read(self, X, y, sample_weight=sample_weight, groups=groups, instance=instance)
        rng = generator_of(self.random_state)
        runners = [
            Runner(candidate, int(rng.integers(2**31)))
            for candidate in as_candidates(self._candidates(table))
        ]
        parts = folds(table, self.cv, rng)
        optimal = metrics.optimal_objectives(oracle, table.truth, instance=table.instance)
        race = Race(oracle.oracle, table, parts, optimal, clock, self.n_jobs, self.verbose)
        last = race.run(runners)
        if not last:
            problems = [f"{r.candidate.name}: {r.problem}" for r in runners if r.problem]
            raise TrainingError(f"no candidate could be fitted; {'; '.join(problems)}")
        count = min(len(runner.trials) for runner in last)
        stack = stacked(race, oracle, last, count) if self.average else None
        trials = [runner.trials for runner in last] + ([stack.trials] if stack else [])
        place = simplest(race.judged, trials, count)
        chosen = None if place == len(last) else last[place]
        self.best_name_ = chosen.candidate.name if chosen else AVERAGE
        self.leaderboard_ = leaderboard(race, runners, chosen, stack, trials[place])
        self.is_worth_it_ = verdict(race, last, count)
        members = [(chosen, 1.0)] if chosen else stack.members if stack else []
        self.weights_ = np.array([weight for _, weight in members])
        self.models_ = [self._refitted(race, oracle, runner) for runner, _ in members]
        spent = [astuple(trial.budget) for runner in runners for trial in runner.trials]
        spent.append(astuple(oracle.counts))
        self.budget_ = Counts(*(sum(column) for column in zip(*spent, strict=True)))
        return self

    def predict(self, X: Any) -> Array:
        """Predict costs.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            Costs in the units of those given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return sum(
            weight * model.predict(X)
            for weight, model in zip(self.weights_, self.models_, strict=True)
        )

    def _candidates(self, table: Table) -> Sequence[Any]:
        if self.candidates is not None:
            return self.candidates
        shape = table.inputs.shape
        n_samples = shape[0] * (shape[1] if table.long else 1)
        return default_candidates(n_samples, shape[-1], table.truth.shape[1], long=table.long)

    def _refitted(self, race: Race, oracle: Counting, runner: Runner) -> Any:
        """Return a candidate fitted on all instances; on a part of them, if time is over."""
        n = len(race.table.inputs)
        if race.clock.left > race.whole(runner):
            estimator = runner.candidate.made_for(oracle, runner.seed)
            learn(runner.candidate, estimator, race.table, np.arange(n))
        else:
            trained = len(race.folds[len(runner.trials) - 1][0])
            estimator = runner.trials[-1].model
            warnings.warn(
                f"time_budget={self.time_budget} is spent: {runner.candidate.name!r} has learned "
                f"from {trained} of {n} instances, those of its last fold",
                ConvergenceWarning,
                stacklevel=3,
            )
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        model.set_params(oracle=self.oracle)  # without the counter
        return estimator
