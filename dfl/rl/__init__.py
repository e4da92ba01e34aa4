"""Policy methods on simulators that can be copied: optional rooms which nothing else imports."""

from dfl_solvers._lazy import lazy

_ROOMS = ("baselines", "envs", "preference", "robust", "segment", "smc")

__getattr__, __dir__ = lazy(__name__, {}, _ROOMS)
