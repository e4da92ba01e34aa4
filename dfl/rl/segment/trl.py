"""Credit for segments in the trainer of TRL."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.credit import SegmentCredit, check_configuration, total_rewards
from dfl_solvers.exceptions import import_optional

__all__ = ["segment_grpo_trainer"]


def segment_grpo_trainer(
    partition: Literal["cutpoints", "fixed"] = "cutpoints",
    *,
    cutpoint_interval: float = 5,
    segment_tokens: int | None = None,
    num_mc_rollouts: int = 9,
    prob_mask_threshold: float | None = None,
) -> Any:
    r"""Return a subclass of TRL's ``GRPOTrainer`` that credits segments in place of completions.

    Use it to keep what you have in TRL: data sets, reward functions, configuration and launchers
    stay as they are, and only the advantages change, from one number a completion to one a token.
    ``SegmentPolicyOptimizer`` needs no TRL.

    Parameters
    ----------
    partition : {"cutpoints", "fixed"}, default="cutpoints"
        Begin a segment before every ``cutpoint_interval``-th unlikely token, or every
        ``segment_tokens`` tokens.
    cutpoint_interval : int, default=5
        ``math.inf`` for one segment, from the first unlikely token on.
    segment_tokens : int, optional
        For fixed segments. Default: whole completions, which gives GRPO itself.
    num_mc_rollouts : int, default=9
        Completions by which the value of a place between segments is estimated.
    prob_mask_threshold : float, optional
        Learn only from tokens that had a lower probability, such as 0.9. Default: from all.

    Returns
    -------
    type
        The class; its arguments are those of ``GRPOTrainer``.

    Raises
    ------
    MissingDependencyError
        If TRL is not installed.
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    With rewards R of the group of a completion and values V at the places between its segments,
    a token of the segment from s to s' has the advantage

    .. math::

        \frac{V(s') - V(s)}{\operatorname{std} R + 10^{-4}},

    where V at the end is the completion's own reward and V at the beginning the mean of the group,
    which costs nothing. Advantages along a completion sum to that of GRPO, hence a single segment
    has just that. The divisor is the one that ``scale_rewards`` names. Values are drawn from the
    model itself, on its own device, at the temperature and ``top_p`` of the configuration, also
    where vLLM draws the completions. Parameters must be whole on each process, unlike those of
    DeepSpeed's third stage. Written for TRL 1.16.

    References
    ----------
    Guo et al., "Segment Policy Optimization", NeurIPS 2025, arXiv 2505.23564.
    Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language
    Models", 2024, arXiv 2402.03300.

    Examples
    --------
    >>> from dfl.rl.segment.trl import segment_grpo_trainer
    >>> Trainer = segment_grpo_trainer(cutpoint_interval=2, prob_mask_threshold=0.9)
    >>> Trainer.__mro__[1].__name__
    'GRPOTrainer'

    and then, as with TRL, ``Trainer(model, reward_funcs, args=GRPOConfig(...),
    train_dataset=...).train()``.
    """
    if partition not in ("cutpoints", "fixed"):
        raise InvalidInputError(
            f"segment_grpo_trainer: got partition={partition!r}, expected 'cutpoints' or 'fixed'"
        )
    if num_mc_rollouts < 1 or (segment_tokens is not None and segment_tokens < 1):
        raise InvalidInputError(
            f"segment_grpo_trainer: got num_mc_rollouts={num_mc_rollouts} and "
            f"segment_tokens={segment_tokens}, expected at least 1"
        )
    if prob_mask_threshold is not None and not 0 < prob_mask_threshold <= 1:
        raise InvalidInputError(
            f"segment_grpo_trainer: got prob_mask_threshold={prob_mask_threshold}, expected a "
            "probability above 0"
        )

    credit = SegmentCredit(
        partition, cutpoint_interval, segment_tokens, num_mc_rollouts, prob_mask_threshold
    )
    base: Any = import_optional("trl", "llm").GRPOTrainer

    class SegmentGRPOTrainer(base):
        """TRL's trainer with an advantage for each token; see ``segment_grpo_trainer``."""

        _segment_rewards: Tensor

        def _calculate_rewards(
            self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
        ) -> Any:
            found = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            self._segment_rewards = total_rewards(found, self.reward_weights)
            return found

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            training = self.model.training
            output = super()._generate_and_score_completions(inputs)
            if not training:  # evaluation reports rewards only
                return output
            check_configuration(self)
            self.model.eval()
            try:
                return {**output, **credit.of(self, inputs, output)}
            finally:
                self.model.train()

    return SegmentGRPOTrainer
