"""How sure decisions are: calibration, risk bounds, and decisions that know their uncertainty.

The face of the package is lazy: one tool does not load what another needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfl_solvers._lazy import lazy

if TYPE_CHECKING:
    from dfl.risk.bounds import calibration_bound as calibration_bound
    from dfl.risk.bounds import level_set_bound as level_set_bound
    from dfl.risk.bounds import polyhedron_bound as polyhedron_bound
    from dfl.risk.bounds import squared_bound as squared_bound
    from dfl.risk.calibration import CalibrationFunction as CalibrationFunction
    from dfl.risk.calibration import calibration_function as calibration_function
    from dfl.risk.closed_forms import ball_calibration as ball_calibration
    from dfl.risk.closed_forms import box_calibration as box_calibration
    from dfl.risk.closed_forms import interval_calibration as interval_calibration
    from dfl.risk.closed_forms import mean_resultant_length as mean_resultant_length
    from dfl.risk.complexity import RademacherComplexity as RademacherComplexity
    from dfl.risk.complexity import rademacher_complexity as rademacher_complexity
    from dfl.risk.conformal import conformal_quantile as conformal_quantile
    from dfl.risk.conformal_box import ConformalBox as ConformalBox
    from dfl.risk.conformal_ellipsoid import ConformalEllipsoid as ConformalEllipsoid
    from dfl.risk.conformal_regret import ConformalRegret as ConformalRegret
    from dfl.risk.cvar_loss import CVaRLoss as CVaRLoss
    from dfl.risk.cvar_rule import CVaR as CVaR
    from dfl.risk.decision import RiskDecision as RiskDecision
    from dfl.risk.forest_weights import ForestWeights as ForestWeights
    from dfl.risk.gaussian_cvar import GaussianCVaR as GaussianCVaR
    from dfl.risk.geometry import Curvature as Curvature
    from dfl.risk.geometry import SetGeometry as SetGeometry
    from dfl.risk.geometry import set_geometry as set_geometry
    from dfl.risk.kernel_weights import KernelWeights as KernelWeights
    from dfl.risk.margin import Certificate as Certificate
    from dfl.risk.margin import count_certificate as count_certificate
    from dfl.risk.margin import margin_certificate as margin_certificate
    from dfl.risk.margin import margin_loss as margin_loss
    from dfl.risk.neighbor_weights import NeighborWeights as NeighborWeights
    from dfl.risk.rule import AbstractRule as AbstractRule
    from dfl.risk.sample_average import WeightedSampleAverage as WeightedSampleAverage
    from dfl.risk.tail import cvar as cvar
    from dfl.risk.tail import gaussian_cvar_factor as gaussian_cvar_factor
    from dfl.risk.transfer import biconjugate as biconjugate
    from dfl.risk.transfer import excess_risk_bound as excess_risk_bound
    from dfl.risk.transfer import spo_plus_range as spo_plus_range
    from dfl.risk.transfer import surrogate_excess_bound as surrogate_excess_bound
    from dfl.risk.weights import AbstractWeights as AbstractWeights

_HOMES = {
    "AbstractRule": "rule",
    "AbstractWeights": "weights",
    "CVaR": "cvar_rule",
    "CVaRLoss": "cvar_loss",
    "CalibrationFunction": "calibration",
    "Certificate": "margin",
    "ConformalBox": "conformal_box",
    "ConformalEllipsoid": "conformal_ellipsoid",
    "ConformalRegret": "conformal_regret",
    "Curvature": "geometry",
    "ForestWeights": "forest_weights",
    "GaussianCVaR": "gaussian_cvar",
    "KernelWeights": "kernel_weights",
    "NeighborWeights": "neighbor_weights",
    "RademacherComplexity": "complexity",
    "RiskDecision": "decision",
    "SetGeometry": "geometry",
    "WeightedSampleAverage": "sample_average",
    "ball_calibration": "closed_forms",
    "biconjugate": "transfer",
    "box_calibration": "closed_forms",
    "calibration_bound": "bounds",
    "calibration_function": "calibration",
    "conformal_quantile": "conformal",
    "count_certificate": "margin",
    "cvar": "tail",
    "excess_risk_bound": "transfer",
    "gaussian_cvar_factor": "tail",
    "interval_calibration": "closed_forms",
    "level_set_bound": "bounds",
    "margin_certificate": "margin",
    "margin_loss": "margin",
    "mean_resultant_length": "closed_forms",
    "polyhedron_bound": "bounds",
    "rademacher_complexity": "complexity",
    "set_geometry": "geometry",
    "spo_plus_range": "transfer",
    "squared_bound": "bounds",
    "surrogate_excess_bound": "transfer",
}

__all__ = [
    "AbstractRule",
    "AbstractWeights",
    "CVaR",
    "CVaRLoss",
    "CalibrationFunction",
    "Certificate",
    "ConformalBox",
    "ConformalEllipsoid",
    "ConformalRegret",
    "Curvature",
    "ForestWeights",
    "GaussianCVaR",
    "KernelWeights",
    "NeighborWeights",
    "RademacherComplexity",
    "RiskDecision",
    "SetGeometry",
    "WeightedSampleAverage",
    "ball_calibration",
    "biconjugate",
    "box_calibration",
    "calibration_bound",
    "calibration_function",
    "conformal_quantile",
    "count_certificate",
    "cvar",
    "excess_risk_bound",
    "gaussian_cvar_factor",
    "interval_calibration",
    "level_set_bound",
    "margin_certificate",
    "margin_loss",
    "mean_resultant_length",
    "polyhedron_bound",
    "rademacher_complexity",
    "set_geometry",
    "spo_plus_range",
    "squared_bound",
    "surrogate_excess_bound",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
