"""Language models that learn from rewards, segment by segment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, final

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dfl._validation import check_at_least
from dfl.estimators._randomness import private_randomness
from dfl.estimators.base import BaseDecisionEstimator
from dfl.estimators.files import load_of
from dfl.exceptions import InvalidInputError
from dfl.rl.fitting import checkpoint_at, spent
from dfl.rl.seeds import drawn_seed, later_seed, seeded
from dfl.rl.segment.advantages import DepthWeighting, Norm
from dfl.rl.segment.examples import LossType, policy_loss
from dfl.rl.segment.language_model import (
    adapt,
    description,
    from_description,
    open_model,
    prepare,
)
from dfl.rl.segment.log import RolloutLog
from dfl.rl.segment.parts import fingerprint, judge_of, policy_of, source_of
from dfl.rl.segment.processes import Processes
from dfl.rl.segment.rewards import Reward
from dfl.rl.segment.settings import check_settings
from dfl.rl.segment.texts import (
    check_context,
    read_prompts,
    tokenizer_files,
    tokenizer_from,
)
from dfl.training import train
from dfl.training.train import Callback

Estimator = Literal["chain", "tree", "grpo", "rloo"]


@final
class SegmentPolicyOptimizer(BaseDecisionEstimator):
    r"""Train a language model by rewards of its completions, with credit for their segments.

    Use it where completions can be checked (mathematics, code, puzzles) but nothing says which part
    of a completion was right. Completions are cut into segments; each is credited with the change
    of the expected reward over it, which is estimated by completing the text from there many times.
    GRPO and RLOO, which credit all tokens of a completion alike, are in the same class, to compare
    with.

    Parameters
    ----------
    model : str, path or nn.Module
        A folder, a name on the hub, or a causal language model of transformers, which is copied.
    tokenizer : str, path or object, optional
        Default: that of the folder. Without one, prompts and completions are lists of token ids.
    reward : callable or list of callables
        Of the signature of TRL: called with ``prompts``, ``completions``, ``completion_ids`` and
        the columns by name, as far as it takes them, and returns a list of numbers. Of several, the
        sum counts, and each may return None for what does not concern it.
    partition : {"cutpoints", "fixed"}, default="cutpoints"
        For ``"chain"``: cut before every so manyth token that the policy was not sure of, or after
        so many tokens.
    estimator : {"chain", "tree", "grpo", "rloo"}, default="chain"
        See ``ChainAdvantages``, ``TreeAdvantages`` and ``GroupAdvantages``.

    reward_weights : sequence of float, optional
        Of the functions in the sum. Default: one each.
    max_iter : int, default=100
        Iterations: in each, completions of some prompts are drawn and learned from.
    prompts_per_iteration : int, default=8
        Prompts that are completed in an iteration.
    num_generations : int, default=8
        Completions of each prompt; of a tree, ``tree_structure`` says how many.
    max_completion_length : int, default=256
        In tokens. Completions are cut off there.
    temperature, top_p : float, default=1.0, 1.0
        Of drawing. Probabilities are at this temperature everywhere.
    max_rows : int, default=512
        Most completions that are drawn at a time.

    cutpoint_interval : int, default=5
        Cutpoints in a segment; ``math.inf`` for a single segment.
    segment_tokens : int, default=30
        Tokens in a segment of fixed size, and of a tree.
    num_mc_rollouts : int, default=9
        Completions that each value is the mean reward of.
    tree_structure : tuple of int, default=(6, 6, 6)
        Children of a node at each level.
    advantage_norm : {"none", "std", "loo"}, default="none"
        Of siblings in a tree; see ``tree_advantages``.
    depth_weighting : {"count", "uniform"}, default="count"
        Of nodes of a tree; see ``depth_weights``.
    scale_rewards : {"group", "none"}, default="group"
        For ``"grpo"``: divide by the standard deviation of the group.
    prob_mask_threshold : float or None, default=0.9
        Learn from tokens of a lower probability only, and cut there. None: from all, and cut at
        those below 0.9.
    whiten : bool, default=False
        Give the advantages in a batch mean zero and variance one; the published runs did.
    replay_max_age : int, optional
        For ``"tree"``: keep edges for so many iterations; see ``EdgeReplay``. The published runs
        had 8. Default: all are learned from at once.
    replay_per_prompt : int, default=32
        Edges of a prompt in an iteration.

    learning_rate : float, default=1e-6
        Of AdamW.
    weight_decay : float, default=0.0
        Of AdamW.
    lr_scheduler_type : {"constant", "cosine"}, default="constant"
    max_grad_norm : float or None, default=1.0
        Longer gradients are cut to this length.
    per_device_train_batch_size : int, default=8
        Examples that pass through the model at a time.
    gradient_accumulation_steps : int, default=8
        So many of these make a step. Averages are over all of them.
    num_iterations : int, default=1
        Times that what was drawn is learned from.
    epsilon : float, default=0.2
        Ratios to the policy that drew count from 1 - epsilon to 1 + epsilon.
    beta : float, default=0.0
        What the divergence from the first model costs.
    loss_type : {"dapo", "grpo", "dr_grpo"}, default="dapo"
        What the loss averages over; see ``pack``.

    model_init_kwargs : mapping, optional
        For ``from_pretrained``, such as ``{"device_map": "auto"}``, which Accelerate carries out.
        Weights are loaded in single precision unless it says otherwise.
    accelerator : accelerate.Accelerator, optional
        The model goes to its device and computes in its mixed precision ("no" or "bf16"). Where it
        has several processes, all call ``fit``: each draws completions of its share of the prompts
        of an iteration and learns from its share of each batch, and gradients are averaged.
    peft_config : peft.LoraConfig, optional
        Train adapters only.
    bf16 : bool, default=False
        Compute in bfloat16 where that is safe.
    gradient_checkpointing : bool, default=False
        Compute again in place of keeping: less memory, more time.
    disable_dropout : bool, default=True
        Otherwise ratios differ from one before the first step.
    checkpoint : path, optional
        File that keeps the state of ``fit``; a killed fit continues from it to the same weights.
    rollout_log : path, optional
        File to which each example of an iteration is appended as a line of JSON.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the order of the prompts and everything that is drawn.

    Attributes
    ----------
    model_ : nn.Module
        The trained model.
    tokenizer_ : object or None
    history_ : list of dict
        Per iteration: ``loss``, what ``SegmentRollouts`` sums up, ``learning_rate`` and
        ``seconds``. Where ``frac_reward_zero_std`` is near one, prompts are too easy or too hard
        and little is learned.
    budget_ : dict of str to float
        What ``fit`` spent: ``generated_tokens``, ``verifier_calls``, ``trained_tokens``,
        ``optimizer_steps`` and ``seconds``.

    Notes
    -----
    The loss is a ``WeightedLikelihoodLoss`` of token ids, which are never decoded and encoded
    again. Per token that is trained on, segments give gradients of less variance than whole
    completions do. Per token that is *generated* they need not: each value takes
    ``num_mc_rollouts`` further completions. Generation is much cheaper than training.

    References
    ----------
    Guo, Xu, Liu, Ye & Qiu, "Segment Policy Optimization: Effective Segment-Level Credit Assignment
    in RL for Large Language Models", NeurIPS 2025, arXiv 2505.23564.

    Examples
    --------
    Ones are rewarded, in a model that is a table:

    >>> from dfl.rl.segment import SegmentPolicyOptimizer, TabularLanguageModel
    >>> model = TabularLanguageModel(n_tokens=2, length=3, random_state=0)
    >>> def reward(completions):
    ...     return [sum(ids) / 3 for ids in completions]
    >>> optimizer = SegmentPolicyOptimizer(
    ...     model, reward=reward, max_completion_length=3, segment_tokens=1, partition="fixed",
    ...     prob_mask_threshold=None, max_iter=10, learning_rate=0.3, random_state=0,
    ... )
    >>> prompts = [model.prompt.tolist()]
    >>> optimizer.fit(prompts).decide(prompts)
    [[1, 1, 1]]
    >>> optimizer.score(prompts)
    1.0
    """

    model_: nn.Module
    tokenizer_: Any
    history_: list[dict[str, float]]
    budget_: dict[str, float]

    def __init__(
        self,
        model: Any = None,
        tokenizer: Any = None,
        reward: Reward | Sequence[Reward] | None = None,
        partition: Literal["cutpoints", "fixed"] = "cutpoints",
        estimator: Estimator = "chain",
        *,
        reward_weights: Sequence[float] | None = None,
        max_iter: int = 100,
        prompts_per_iteration: int = 8,
        num_generations: int = 8,
        max_completion_length: int = 256,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_rows: int = 512,
        cutpoint_interval: float = 5,
        segment_tokens: int = 30,
        num_mc_rollouts: int = 9,
        tree_structure: Sequence[int] = (6, 6, 6),
        advantage_norm: Norm = "none",
        depth_weighting: DepthWeighting = "count",
        scale_rewards: Literal["group", "none"] = "group",
        prob_mask_threshold: float | None = 0.9,
        whiten: bool = False,
        replay_max_age: int | None = None,
        replay_per_prompt: int = 32,
        learning_rate: float = 1e-6,
        weight_decay: float = 0.0,
        lr_scheduler_type: Literal["constant", "cosine"] = "constant",
        max_grad_norm: float | None = 1.0,
        per_device_train_batch_size: int = 8,
        gradient_accumulation_steps: int = 8,
        num_iterations: int = 1,
        epsilon: float = 0.2,
        beta: float = 0.0,
        loss_type: LossType = "dapo",
        model_init_kwargs: Mapping[str, Any] | None = None,
        accelerator: Any = None,
        peft_config: Any = None,
        bf16: bool = False,
        gradient_checkpointing: bool = False,
        disable_dropout: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        rollout_log: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.reward = reward
        self.partition = partition
        self.estimator = estimator
        self.reward_weights = reward_weights
        self.max_iter = max_iter
        self.prompts_per_iteration = prompts_per_iteration
        self.num_generations = num_generations
        self.max_completion_length = max_completion_length
        self.temperature = temperature
        self.top_p = top_p
        self.max_rows = max_rows
        self.cutpoint_interval = cutpoint_interval
        self.segment_tokens = segment_tokens
        self.num_mc_rollouts = num_mc_rollouts
        self.tree_structure = tree_structure
        self.advantage_norm = advantage_norm
        self.depth_weighting = depth_weighting
        self.scale_rewards = scale_rewards
        self.prob_mask_threshold = prob_mask_threshold
        self.whiten = whiten
        self.replay_max_age = replay_max_age
        self.replay_per_prompt = replay_per_prompt
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.lr_scheduler_type = lr_scheduler_type
        self.max_grad_norm = max_grad_norm
        self.per_device_train_batch_size = per_device_train_batch_size
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.num_iterations = num_iterations
        self.epsilon = epsilon
        self.beta = beta
        self.loss_type = loss_type
        self.model_init_kwargs = model_init_kwargs
        self.accelerator = accelerator
        self.peft_config = peft_config
        self.bf16 = bf16
        self.gradient_checkpointing = gradient_checkpointing
        self.disable_dropout = disable_dropout
        self.checkpoint = checkpoint
        self.rollout_log = rollout_log
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        prompts: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Train the model.

        Parameters
        ----------
        prompts : sequence of str, of lists of messages, or of lists of int
            What to complete and learn from.
        columns : mapping of str to sequence, optional
            What the reward needs to know of each prompt, such as its answer.
        callbacks : sequence of callables, default=()
            Each is called after each iteration with its entry of ``history_``, to which it may add
            numbers; training stops if one returns True.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        InvalidInputError
            If a parameter is out of its range, a prompt does not leave room for a completion, or
            the reward returns what is no number.
        TrainingError
            If training diverges, or ``checkpoint`` belongs to another fit.
        """
        check_settings(self)
        seed = drawn_seed(self.random_state)
        model, tokenizer = open_model(self.model, self.tokenizer, self.model_init_kwargs)
        processes = Processes(self.accelerator)
        if self.accelerator is not None:
            model = model.to(self.accelerator.device)
        device = next(model.parameters()).device
        with private_randomness(seed, device):
            model = adapt(model, self.peft_config)
            prepare(
                model,
                disable_dropout=self.disable_dropout,
                gradient_checkpointing=self.gradient_checkpointing,
            )
            ids, texts, listed, known = read_prompts(prompts, columns, tokenizer)
            check_context(model, ids, self.max_completion_length)
            policy = policy_of(self, model, tokenizer, self.bf16 or processes.bf16)
            log = None
            if self.rollout_log is not None:
                log = RolloutLog(self.rollout_log, texts.decode, listed)
            judge = judge_of(self, texts, listed, known)
            source = source_of(self, ids, judge, policy, processes, log)
            checkpoint = checkpoint_at(
                self.checkpoint, lambda: fingerprint(self, model, listed, known, seed)
            )
            result = train(
                policy,
                policy_loss(self.epsilon, self.beta),
                source,
                max_iter=self.max_iter,
                optimizer=torch.optim.AdamW(
                    [p for p in model.parameters() if p.requires_grad],
                    lr=self.learning_rate,
                    weight_decay=self.weight_decay,
                ),
                schedule=self.lr_scheduler_type,
                micro_batch_size=self.per_device_train_batch_size,
                max_grad_norm=self.max_grad_norm,
                before_step=processes.average,
                checkpoint=checkpoint,
                callbacks=(lambda entry: entry.update(source.summary), *callbacks),
                progress=self.verbose > 0,
                seed=seed,
            )
        if not any(entry["mask_fraction"] for entry in result.history):
            warnings.warn(
                f"SegmentPolicyOptimizer: there was nothing to learn from in any of "
                f"{len(result.history)} iterations: all rewards of a prompt were equal "
                "(frac_reward_zero_std in history_), or no token was unsure",
                stacklevel=2,
            )
        self.model_ = model
        self.tokenizer_ = tokenizer
        self.description_ = description(model)
        self.history_ = result.history
        self.budget_ = {**spent(source.budget, source.kinds), "seconds": result.seconds}
        self._tokenizer_files = tokenizer_files(tokenizer)
        self._seed = seed
        return self

    def decide(
        self,
        prompts: Sequence[Any],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        random_state: Any = None,
    ) -> list[Any]:
        """Complete prompts.

        Parameters
        ----------
        prompts : sequence of str, of lists of messages, or of lists of int
            What to complete.
        temperature : float, default=0.0
            0 takes the likeliest tokens.
        top_p : float, default=1.0
            Draw from the likeliest tokens that have this probability together.
        random_state : int, Generator, RandomState or None
            Seeds what is drawn. Default: one that follows from that of ``fit``.

        Returns
        -------
        list
            A completion for each prompt: a text; for messages, a list with one; without a
            tokenizer, a list of token ids.
        """
        check_is_fitted(self)
        ids, texts, _, _ = read_prompts(prompts, None, self.tokenizer_)
        drawn = self._complete(ids, 1, temperature, top_p, random_state)
        return [texts.decode(each.tolist()) for each in drawn]

    def score(
        self,
        prompts: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        n_samples: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        random_state: Any = None,
    ) -> float:
        """Return the mean reward of completions: pass@1, for rewards of 0 and 1.

        Parameters
        ----------
        prompts, columns
            As in ``fit``.
        n_samples : int, default=1
            Completions of each prompt.
        temperature, top_p, random_state
            As in ``decide``.

        Returns
        -------
        float
            The mean reward, the larger the better.
        """
        return float(
            self.evaluate(
                prompts,
                columns,
                n_samples=n_samples,
                temperature=temperature,
                top_p=top_p,
                random_state=random_state,
            ).mean()
        )

    def evaluate(
        self,
        prompts: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        n_samples: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        random_state: Any = None,
    ) -> Tensor:
        """Return the rewards of completions, prompt by prompt, for intervals and comparisons.

        Parameters
        ----------
        prompts, columns, n_samples, temperature, top_p, random_state
            As in ``score``.

        Returns
        -------
        Tensor of shape (n, n_samples)
            A reward for each completion.
        """
        check_is_fitted(self)
        ids, texts, listed, known = read_prompts(prompts, columns, self.tokenizer_)
        judge = judge_of(self, texts, listed, known)
        check_at_least(1, self, n_samples=n_samples)
        drawn = self._complete(ids, n_samples, temperature, top_p, random_state)
        return judge([i for i in range(len(ids)) for _ in range(n_samples)], drawn).reshape(
            len(ids), n_samples
        )

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Save the model, or its adapters, and the tokenizer as transformers does, for elsewhere.

        Parameters
        ----------
        path : path
            A folder.
        """
        check_is_fitted(self)
        model: Any = self.model_
        if not hasattr(model, "save_pretrained"):
            raise InvalidInputError(
                f"save_pretrained needs a model of transformers, got {type(model).__name__}; "
                "use save(path)"
            )
        model.save_pretrained(path)
        if self.tokenizer_ is not None:
            self.tokenizer_.save_pretrained(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        predictor: nn.Module | None = None,
        *,
        reward: Reward | Sequence[Reward] | None = None,
    ) -> Self:
        """Load what ``save`` saved.

        Parameters
        ----------
        path : path
            The folder.
        predictor : nn.Module, optional
            Where the model is not one of transformers: one of the same architecture.
        reward : callable or list of callables, optional
            For ``score``; its code is not stored.

        Returns
        -------
        SegmentPolicyOptimizer

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        InvalidInputError
            If the folder is of another kind or was changed, or the model is missing or has another
            architecture.
        """
        estimator = load_of(cls, path, predictor)
        estimator.tokenizer_ = tokenizer_from(estimator._tokenizer_files)
        if estimator.tokenizer is not None:
            estimator.tokenizer = estimator.tokenizer_
        estimator.reward = reward
        return estimator

    def _module(self, weights: dict[str, Tensor]) -> nn.Module | None:
        if self.description_ is None:
            return None
        adapted = any(name.startswith("base_model.") for name in weights)
        return from_description(self.description_, adapted)

    def _complete(
        self, ids: Sequence[Tensor], n: int, temperature: float, top_p: float, random_state: Any
    ) -> list[Tensor]:
        if not temperature >= 0 or not 0 < top_p <= 1:
            raise InvalidInputError(
                f"SegmentPolicyOptimizer: got temperature={temperature} and top_p={top_p}, "
                "expected at least 0, and a probability above 0"
            )
        room = self.max_completion_length
        check_context(self.model_, ids, room)
        self.model_.eval()
        policy = policy_of(self, self.model_, self.tokenizer_, self.bf16)
        drawn = policy.generate(
            ids,
            [room] * len(ids),
            n,
            generator=seeded(later_seed(self._seed, random_state)),
            temperature=temperature,
            top_p=top_p,
        )
        return drawn.rows()
