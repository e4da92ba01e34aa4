"""Diffusion models tuned to a reward by comparing the candidates of each step."""

from dfl.rl.preference.best_of import best_of_n as best_of_n
from dfl.rl.preference.candidates import StepwiseCandidates as StepwiseCandidates
from dfl.rl.preference.ddpo import SampledPaths as SampledPaths
from dfl.rl.preference.ddpo import tune_by_ddpo as tune_by_ddpo
from dfl.rl.preference.diffusion_dpo import DenoisingLearner as DenoisingLearner
from dfl.rl.preference.diffusion_dpo import NoisedPairs as NoisedPairs
from dfl.rl.preference.diffusion_dpo import SamplePairs as SamplePairs
from dfl.rl.preference.diffusion_dpo import tune_by_diffusion_dpo as tune_by_diffusion_dpo
from dfl.rl.preference.directions import Direction as Direction
from dfl.rl.preference.directions import make_direction as make_direction
from dfl.rl.preference.directions import winner as winner
from dfl.rl.preference.ema import follow as follow
from dfl.rl.preference.guided import GuidedDenoiser as GuidedDenoiser
from dfl.rl.preference.learner import StepwiseLearner as StepwiseLearner
from dfl.rl.preference.loading import load_pipeline as load_pipeline
from dfl.rl.preference.objectives import GuidancePreference as GuidancePreference
from dfl.rl.preference.objectives import GuidanceRegression as GuidanceRegression
from dfl.rl.preference.objectives import LikelihoodPreference as LikelihoodPreference
from dfl.rl.preference.objectives import StepBatch as StepBatch
from dfl.rl.preference.objectives import make_objective as make_objective
from dfl.rl.preference.pairs import pair_extremes as pair_extremes
from dfl.rl.preference.pipelines import TunablePipeline as TunablePipeline
from dfl.rl.preference.sampling import sample as sample
from dfl.rl.preference.schedule import NoiseSchedule as NoiseSchedule
from dfl.rl.preference.time_weight import time_weights as time_weights
from dfl.rl.preference.transition import DDIMTransition as DDIMTransition
from dfl.rl.preference.tuner import StepwisePreferenceTuner as StepwisePreferenceTuner
from dfl.rl.preference.unets import ImageReward as ImageReward
from dfl.rl.preference.unets import Prompts as Prompts
from dfl.rl.preference.unets import TextDenoiser as TextDenoiser
from dfl.rl.preference.unets import UNetDenoiser as UNetDenoiser

__all__ = [
    "DDIMTransition",
    "DenoisingLearner",
    "Direction",
    "GuidancePreference",
    "GuidanceRegression",
    "GuidedDenoiser",
    "ImageReward",
    "LikelihoodPreference",
    "NoiseSchedule",
    "NoisedPairs",
    "Prompts",
    "SamplePairs",
    "SampledPaths",
    "StepBatch",
    "StepwiseCandidates",
    "StepwiseLearner",
    "StepwisePreferenceTuner",
    "TextDenoiser",
    "TunablePipeline",
    "UNetDenoiser",
    "best_of_n",
    "follow",
    "load_pipeline",
    "make_direction",
    "make_objective",
    "pair_extremes",
    "sample",
    "time_weights",
    "tune_by_ddpo",
    "tune_by_diffusion_dpo",
    "winner",
]
