"""Portfolios."""

from __future__ import annotations

from _oracle_cases.case import Case
from _oracle_cases.peers import clarabel_mean_variance, gurobi_model
from dfl.datasets import make_portfolio
from dfl_solvers import MeanVariancePortfolio
from dfl_solvers.oracle import minimizing


def portfolios() -> list[Case]:
    """Return portfolios with a bound on risk, and with risk in the objective."""
    data = make_portfolio(2048, n_assets=50, degree=4, random_state=0)
    covariance = minimizing(data.oracle)[0].covariance
    mean_variance = MeanVariancePortfolio(covariance, 10.0)
    return [
        Case(
            "portfolio, 50 assets, bound on risk",
            data.oracle,
            data.C,
            lambda: gurobi_model("portfolioModel", 50, covariance),
        ),
        Case(
            "portfolio, 50 assets, mean-variance",
            mean_variance,
            -data.C,
            peers={"Clarabel": (clarabel_mean_variance(covariance, 10.0), 50)},
        ),
    ]
