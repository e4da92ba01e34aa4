"""What ``StepwisePreferenceTuner`` does before it learns: checks, its parts, a fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from dfl._validation import check_positive
from dfl.estimators._fingerprint import digest
from dfl.exceptions import InvalidInputError
from dfl.rl.fitting import check_trainable, told_parameters
from dfl.rl.preference.candidates import StepwiseCandidates
from dfl.rl.preference.directions import make_direction
from dfl.rl.preference.learner import StepwiseLearner, trained_copy
from dfl.rl.preference.objectives import make_objective
from dfl.rl.preference.time_weight import time_weights
from dfl.rl.preference.transition import DDIMTransition
from dfl.rl.preference.unets import Prompts

if TYPE_CHECKING:
    from dfl.rl.preference.tuner import StepwisePreferenceTuner

# what does not change what is learned
_UNTOLD = ("denoiser", "scheduler", "reward", "checkpoint", "verbose", "random_state")


def checked_denoiser(tuner: StepwisePreferenceTuner) -> nn.Module:
    """Refuse parameters out of their range; return the denoiser."""
    denoiser = tuner.denoiser
    if not isinstance(denoiser, nn.Module):
        raise InvalidInputError(
            f"StepwisePreferenceTuner: got denoiser={denoiser!r}, expected an nn.Module "
            "that takes x, times and conditions"
        )
    check_trainable("StepwisePreferenceTuner", "denoiser", denoiser)
    shape = tuner.shape if isinstance(tuner.shape, Sequence) else ()
    if not shape or not all(isinstance(size, Integral) and int(size) >= 1 for size in shape):
        raise InvalidInputError(
            f"StepwisePreferenceTuner: got shape={tuner.shape}, expected that of one sample, "
            "such as (3, 32, 32)"
        )
    check_positive(tuner, learning_rate=tuner.learning_rate, guidance=tuner.guidance)
    if tuner.divergence_limit is not None and not tuner.divergence_limit > 0:
        raise InvalidInputError(
            f"StepwisePreferenceTuner: got divergence_limit={tuner.divergence_limit}, expected "
            "a positive number of nats, or None"
        )
    if not 0 <= tuner.decay < 1:
        raise InvalidInputError(
            f"StepwisePreferenceTuner: got decay={tuner.decay}, expected 0 up to 1"
        )
    return denoiser


def learner_of(
    tuner: StepwisePreferenceTuner, denoiser: nn.Module, transition: DDIMTransition
) -> StepwiseLearner:
    """Return what is trained: a copy of the denoiser, and what it is held against."""
    weight = tuner.weight or ("spo" if tuner.loss == "spo" else "grad")
    objective = make_objective(
        tuner.loss,
        transition,
        time_weights(weight, transition, tuner.guidance),
        beta=tuner.beta,
        ratio_clip=tuner.ratio_clip,
    )
    return StepwiseLearner(trained_copy(denoiser), transition, objective, tuner.decay)


def source_of(tuner: StepwisePreferenceTuner, conditions: Any) -> StepwiseCandidates:
    """Return where the candidates to learn from come from."""
    return StepwiseCandidates(
        tuner.reward,  # type: ignore[arg-type]  # it is checked there
        tuple(tuner.shape or ()),
        make_direction(tuner.direction, tuner.n_candidates, tuner.threshold),
        n_candidates=tuner.n_candidates,
        n_chains=tuner.n_chains,
        batch_size=tuner.batch_size,
        start_step=tuner.start_step,
        conditions=conditions,
        slow_sampler=tuner.loss != "spo",
    )


def fingerprint(
    tuner: StepwisePreferenceTuner, learner: StepwiseLearner, seed: int, conditions: Any
) -> str:
    """Return what tells a fit from another, for checkpoints."""
    told = told_parameters(tuner, _UNTOLD)
    steps = learner.transition
    arrays = [steps.times, steps.signal, steps.next_signal, *learner.state_dict().values()]
    texts: Any = conditions.texts if isinstance(conditions, Prompts) else None
    if isinstance(conditions, np.ndarray):
        texts = conditions.tolist()
    rows = conditions.embeddings if isinstance(conditions, Prompts) else conditions
    if isinstance(rows, Tensor):
        arrays.append(rows)
    count = None if conditions is None else len(conditions)
    text = repr((seed, told, count, texts, steps.prediction_type, str(learner.denoiser)))
    # NumPy does not know every type of number: their bytes are as telling
    return digest(text, (a.detach().reshape(-1).contiguous().view(torch.uint8) for a in arrays))
