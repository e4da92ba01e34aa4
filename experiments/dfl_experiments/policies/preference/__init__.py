"""Diffusion models tuned to a reward: methods at equal queries of it."""

from dfl_experiments.policies.preference.digits import DigitStudy as DigitStudy
from dfl_experiments.policies.preference.gaussian import GaussianStudy as GaussianStudy
from dfl_experiments.policies.preference.methods import DDPO as DDPO
from dfl_experiments.policies.preference.methods import BestOfN as BestOfN
from dfl_experiments.policies.preference.methods import DiffusionDPO as DiffusionDPO
from dfl_experiments.policies.preference.methods import Guidance as Guidance
from dfl_experiments.policies.preference.methods import Stepwise as Stepwise
from dfl_experiments.policies.preference.methods import Untuned as Untuned
from dfl_experiments.policies.preference.ring import RingStudy as RingStudy
