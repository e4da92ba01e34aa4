"""Small tasks on which diffusion models are tuned, with what is known about them."""

from dfl.rl.preference.tasks.digit_judges import DigitJudge as DigitJudge
from dfl.rl.preference.tasks.digit_judges import DigitReward as DigitReward
from dfl.rl.preference.tasks.digit_judges import precision as precision
from dfl.rl.preference.tasks.digit_unet import DigitUNet as DigitUNet
from dfl.rl.preference.tasks.digit_unet import train_digit_denoiser as train_digit_denoiser
from dfl.rl.preference.tasks.digits import DigitTask as DigitTask
from dfl.rl.preference.tasks.digits import make_digit_task as make_digit_task
from dfl.rl.preference.tasks.gaussian import DistanceReward as DistanceReward
from dfl.rl.preference.tasks.gaussian import GaussianDenoiser as GaussianDenoiser
from dfl.rl.preference.tasks.gaussian import gaussian_noise as gaussian_noise
from dfl.rl.preference.tasks.gaussian import tilted_noise as tilted_noise
from dfl.rl.preference.tasks.ring import Ring as Ring
from dfl.rl.preference.tasks.ring import RingDenoiser as RingDenoiser
from dfl.rl.preference.tasks.ring import RingReward as RingReward

__all__ = [
    "DigitJudge",
    "DigitReward",
    "DigitTask",
    "DigitUNet",
    "DistanceReward",
    "GaussianDenoiser",
    "Ring",
    "RingDenoiser",
    "RingReward",
    "gaussian_noise",
    "make_digit_task",
    "precision",
    "tilted_noise",
    "train_digit_denoiser",
]
