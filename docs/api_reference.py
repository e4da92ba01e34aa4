"""The public names of every package, by section; the pages of the reference are made from it.

A test holds it equal to the packages' ``__all__``: a public name that is not here fails.
"""

API: dict[str, dict[str, list[str]]] = {
    "dfl": {
        "Estimators": ["DecisionFocusedRegressor", "PredictThenOptimizeRegressor"],
        "Losses": ["Target", "make_loss"],
        "Version": ["__version__"],
    },
    "dfl.estimators": {
        "Estimators": ["DecisionFocusedRegressor", "PredictThenOptimizeRegressor"],
        "Base": ["BaseDecisionEstimator"],
    },
    "dfl.losses": {
        "By name": ["make_loss", "available"],
        "Losses": ["SPOPlusLoss", "PerturbedFenchelYoungLoss", "SquaredLoss"],
        "Base": ["AbstractLoss", "Target"],
    },
    "dfl.metrics": {
        "Regret": ["regret", "decision_regret", "unambiguous_regret", "optimal_objectives"],
        "Normalized": ["normalized_regret", "normalize"],
        "Statistics": ["paired_bootstrap", "PairedComparison", "mean_interval", "Interval"],
    },
    "dfl.datasets": {
        "Synthetic": [
            "make_shortest_path",
            "make_knapsack",
            "make_portfolio",
            "make_traveling_salesman",
        ],
        "Real": [
            "fetch_energy_prices",
            "fetch_scheduling_instance",
            "load_sp500",
            "load_sp500_weekly",
        ],
    },
    "dfl.training": {
        "The loop": ["train", "TrainingResult", "Checkpoint"],
        "Batches": ["Source", "TableSource"],
    },
    "dfl.plotting": {
        "Displays": ["RegretDisplay", "LearningCurveDisplay", "DecisionDisplay"],
    },
    "dfl.exceptions": {
        "Exceptions": [
            "DFLError",
            "InvalidInputError",
            "InfeasibleError",
            "UnboundedError",
            "SolverError",
            "UnsupportedError",
            "MissingDependencyError",
            "OracleContractError",
            "TrainingError",
            "BudgetError",
        ],
    },
    "dfl_solvers": {
        "Problems": [
            "Box",
            "Simplex",
            "TopK",
            "GridShortestPath",
            "NodeGridShortestPath",
            "ShortestPath",
            "Knapsack",
            "Assignment",
            "TravelingSalesman",
            "Portfolio",
            "MeanVariancePortfolio",
            "Newsvendor",
            "Ball",
            "Ellipsoid",
            "EntropyBall",
            "LogBarrierSimplex",
            "EnergyScheduling",
        ],
        "Your own model": ["LinearProgram", "MixedIntegerProgram", "Program", "FromCallable"],
        "Around an oracle": [
            "Maximize",
            "Counting",
            "Counts",
            "Cached",
            "CacheStatistics",
            "Pool",
            "PoolCounts",
            "minimizing",
        ],
        "Files": ["save_oracle", "load_oracle", "oracle_to_dict", "oracle_from_dict"],
        "Ties": ["degeneracy_distance", "Degeneracy", "all_optima"],
        "The protocol": ["Oracle", "AbstractOracle", "Solution", "Status", "check_oracle"],
        "Version": ["__version__"],
    },
    "dfl_solvers.imports": {
        "From a model": ["from_file", "from_gurobi", "from_cvxpy", "from_pyepo"],
        "To a model": ["to_pyepo"],
        "Oracles": ["GurobiOracle", "BuiltGurobiOracle", "CvxpyOracle", "PyepoOracle"],
    },
}
