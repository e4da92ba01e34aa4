"""The published ways to be robust, and this library's own, as parameters of one optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dfl.exceptions import InvalidInputError

# the radius grows over the first half of training, so that learning rates are not yet small when
# it is whole; in the code of the ancestors it grows over three quarters
_RAMP = (0.0, 0.5)
_GUIDANCE = 1.0

CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ppo": {"adversary": "identity"},
        "arpo": {"adversary": "surrogate", "radius": _RAMP},
        "arpo+guidance": {"adversary": "surrogate", "radius": _RAMP, "kappa": _GUIDANCE},
        "barpo": {"adversary": "kl", "radius": _RAMP},
        "barpo+guidance": {"adversary": "kl", "radius": _RAMP, "kappa": _GUIDANCE},
        "barpo-ramp": {"adversary": "surrogate", "strength": (0.3, 0.8)},
        "sa-ppo": {
            "adversary": "kl",
            "radius": _RAMP,
            "objective": "regularized",
            "kappa": 0.1,
        },
        "car-ppo": {
            "adversary": "surrogate",
            "radius": _RAMP,
            "objective": "weighted",
            "kappa": 0.1,
        },
    }
)


def configuration_by_name(name: str) -> dict[str, Any]:
    """Return the parameters of ``RobustPolicyOptimizer`` that make it a published method, or ours.

    Parameters
    ----------
    name : str
        ``"ppo"`` is the standard objective; ``"arpo"`` the worst case, by descent on the objective
        itself; ``"barpo"`` the bilevel objective whose inner adversary maximizes the divergence of
        the policy; ``"arpo+guidance"`` and ``"barpo+guidance"`` add the standard objective. They
        are reconstructed: the code of BARPO is not public. ``"barpo-ramp"`` is a proposal of this
        library, the adversary of ``"arpo"`` with a share of the policy that grows late in training;
        its results are not those of ``"barpo"``. ``"sa-ppo"`` and ``"car-ppo"`` are the losses of
        the two ancestors. In all of them steps are taken without the adversary.

    Returns
    -------
    dict of str to object
        All others keep their defaults.

    Raises
    ------
    InvalidInputError
        If the name is unknown.

    References
    ----------
    Li et al., "On the Tension Between Optimality and Adversarial Robustness in Policy
    Optimization", 2025, arXiv 2512.01228.

    Examples
    --------
    >>> from dfl.rl.robust import configuration_by_name
    >>> configuration_by_name("barpo")
    {'adversary': 'kl', 'radius': (0.0, 0.5)}
    """
    if name not in CONFIGURATIONS:
        raise InvalidInputError(
            f"got configuration {name!r}, expected one of: {', '.join(CONFIGURATIONS)}"
        )
    return dict(CONFIGURATIONS[name])
