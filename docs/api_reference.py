"""The public names, by package and topic; the pages of the reference are made from this."""

API: dict[str, dict[str, list[str]]] = {
    "dfl": {
        "Estimators": ["DecisionFocusedRegressor", "PredictThenOptimizeRegressor"],
        "Losses": ["make_loss", "Target"],
    },
    "dfl.losses": {
        "By name": ["make_loss", "available"],
        "Losses": ["SPOPlusLoss", "PerturbedFenchelYoungLoss", "SquaredLoss"],
        "To write your own": ["AbstractLoss", "Target"],
    },
    "dfl.training": {
        "The loop": ["train", "TrainingResult"],
        "Batches": ["Source", "TableSource"],
        "State on disk": ["Checkpoint"],
    },
    "dfl.estimators": {
        "Regressors": ["DecisionFocusedRegressor", "PredictThenOptimizeRegressor"],
        "Base": ["BaseDecisionEstimator"],
    },
    "dfl.metrics": {
        "Regret": [
            "regret",
            "decision_regret",
            "unambiguous_regret",
            "normalized_regret",
            "normalize",
            "optimal_objectives",
        ],
        "Statistics": ["mean_interval", "Interval", "paired_bootstrap", "PairedComparison"],
    },
    "dfl.datasets": {
        "Synthetic": ["make_shortest_path", "make_knapsack", "make_portfolio"],
        "Real": [
            "fetch_energy_prices",
            "fetch_scheduling_instance",
            "load_sp500",
            "load_sp500_weekly",
        ],
    },
    "dfl.exceptions": {
        "Exceptions": [
            "DFLError",
            "InvalidInputError",
            "InfeasibleError",
            "UnboundedError",
            "SolverError",
            "UnsupportedError",
            "TrainingError",
            "OracleContractError",
            "MissingDependencyError",
        ],
    },
    "dfl_solvers": {
        "Protocol": ["Oracle", "Solution", "Status", "Program", "minimizing"],
        "Closed form": ["Box", "Simplex", "Ball", "TopK"],
        "Compiled": ["GridShortestPath", "Knapsack", "Portfolio", "EnergyScheduling"],
        "General": ["LinearProgram", "MixedIntegerProgram"],
        "Around an oracle": ["Maximize", "Counting", "Counts", "FromCallable"],
        "To write your own": ["AbstractOracle", "check_oracle"],
    },
}
