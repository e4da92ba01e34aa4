"""How good the credit is that a method gives, at the warm start: gradients and correlations."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import Field, NonNegativeInt, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.segment.warm import LEARNED, Warm
from dfl_experiments.policies.study import AbstractPolicyStudy, PolicyOutcome, Score

if TYPE_CHECKING:
    from torch import Tensor

    from dfl.rl.segment import AdvantageEstimator, Drawing, Example


@final
class Credit(AbstractPolicyMethod):
    """Advantages of completions, or of their segments."""

    algorithm: Literal["credit"]
    estimator: Literal["chain", "grpo", "rloo"] = "chain"
    mask: float = Field(default=0.9, gt=0, le=1)
    """Learn from tokens of lower probability only; 1 for all."""
    interval: NonNegativeInt = 1
    """Cutpoints in a segment of a chain; 0 for one segment."""
    generations: PositiveInt = 8
    rollouts: PositiveInt = 9

    def check(self, study: Any) -> None:
        """Refuse to begin without transformers."""
        from dfl_solvers.exceptions import import_optional

        del study
        import_optional("transformers", "llm")

    def advantages(self, rollouts: int) -> AdvantageEstimator:
        """Return the estimator, with values that are means of so many completions."""
        from dfl.rl.segment import ChainAdvantages, GroupAdvantages

        if self.estimator == "chain":
            return ChainAdvantages(
                self.generations,
                cutpoint_interval=self.interval or math.inf,
                cutpoint_threshold=self.mask if self.mask < 1 else 0.9,
                num_mc_rollouts=rollouts,
            )
        return GroupAdvantages(self.generations, "loo" if self.estimator == "rloo" else "group")

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Compare with a gradient from many completions, and with values from many."""
        import torch

        started = time.perf_counter()
        drawing = study.drawing(seed)
        rows = list(range(study.prompts))
        exact = study.reference(drawing, rows)
        cosines, errors = [], []
        for _ in range(study.repeats):
            found = self.advantages(self.rollouts).collect(drawing, rows)
            own = study.gradient(drawing, found.examples, self.mask if self.mask < 1 else None)
            cosines.append(float(torch.cosine_similarity(own, exact, 0)))
            # of the best multiple, since rules differ in scale
            errors.append(1 - cosines[-1] ** 2)
        scores = {"cosine": sum(cosines) / len(cosines), "error": sum(errors) / len(errors)}
        if self.estimator == "chain":
            scores |= study.agreement(drawing, rows, self)
        spent = {"generated_tokens": float(drawing.budget.spent("generated_tokens"))}
        return PolicyOutcome(scores, spent, time.perf_counter() - started)


@final
class SegmentCreditStudy(AbstractPolicyStudy):
    """Judge advantages at the warm start, where nothing has been learned from them yet."""

    scores: ClassVar[Mapping[str, Score]] = {
        "cosine": Score("cosine with the gradient of many completions"),
        "error": Score("part of the gradient in other directions, squared", "lower"),
        "correlation": Score("correlation of advantages of segments with those of many rollouts"),
        "ceiling": Score("largest correlation to be expected with so few", None),
        "whole": Score("correlation of advantages of completions with those", None),
    }
    chosen_by: ClassVar[str] = "cosine"
    accepts = (Credit,)

    kind: Literal["segment-credit"]
    prompts: PositiveInt = 16
    repeats: PositiveInt = 20
    """Gradients that are compared with the one of many completions."""
    completions: PositiveInt = 1000
    """Of each prompt, for that one."""
    rollouts: PositiveInt = 200
    """Of each place, for the values that others are compared with."""
    warm: Warm = Warm()

    def drawing(self, seed: int) -> Drawing:
        """Return the warm start of a seed, with problems to answer."""
        import torch

        from dfl.montecarlo import Budget
        from dfl.rl.segment import Drawing, TokenPolicy

        model, tokenizer = self.warm.model(seed)
        problems = self.warm.problems(self.prompts, LEARNED, seed)
        policy = TokenPolicy(model.eval(), (tokenizer.eos_token_id,), max_rows=4096)

        def judge(rows: Sequence[int], completions: Sequence[Tensor]) -> Tensor:
            texts = tokenizer.batch_decode(
                [ids.tolist() for ids in completions], skip_special_tokens=True
            )
            told = {k: [v[row] for row in rows] for k, v in problems.columns.items()}
            return torch.tensor(self.warm.task.reward(texts, texts, **told))

        return Drawing(
            policy,
            [torch.tensor(ids) for ids in tokenizer(problems.prompts)["input_ids"]],
            judge,
            self.warm.longest,
            torch.Generator().manual_seed(seed),
            Budget(),
        )

    def gradient(self, drawing: Drawing, examples: Sequence[Example], mask: float | None) -> Tensor:
        """Return the gradient of the loss of examples, as one vector."""
        import torch

        from dfl.rl.segment import pack, policy_loss

        policy = drawing.policy
        policy.zero_grad()
        # a sum over tokens, so that parts add up
        for start in range(0, len(examples), 1024):
            part = examples[start : start + 1024]
            batch, samples = pack(
                part,
                threshold=mask,
                loss_type="dr_grpo",
                max_completion_length=drawing.max_completion_length,
                device=policy.device,
            )
            policy_loss(None)(policy(batch), samples, "sum").backward()
        return torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])

    def reference(self, drawing: Drawing, rows: Sequence[int]) -> Tensor:
        """Return the gradient from many completions, without bias."""
        from dfl.rl.segment import GroupAdvantages

        found = GroupAdvantages(self.completions, "loo").collect(drawing, rows)
        return self.gradient(drawing, found.examples, None)

    def agreement(self, drawing: Drawing, rows: Sequence[int], method: Credit) -> dict[str, float]:
        """Correlate advantages of segments with those from many rollouts of the same segments."""
        import torch

        from dfl.rl.segment import mc_values

        chain: Any = method.advantages(method.rollouts)
        found = chain.collect(drawing, rows)
        few, many, whole, noise = [], [], [], []
        mean = torch.stack(found.rewards).mean(1)
        places = [torch.tensor(record["boundaries"]) for record in found.records]
        owners = [e.row for e, own in zip(found.examples, places, strict=True) for _ in own]
        begun = [
            e.response[: int(place) + 1]
            for e, own in zip(found.examples, places, strict=True)
            for place in own
        ]
        values = mc_values(
            drawing.policy,
            drawing.prompts,
            owners,
            begun,
            self.rollouts,
            drawing.judge,
            max_completion_length=drawing.max_completion_length,
            generator=drawing.generator,
            budget=drawing.budget,
        )
        parts = torch.split(values, [len(own) for own in places])
        for record, exact in zip(found.records, parts, strict=True):
            if not len(exact):
                continue
            reward = torch.tensor([record["reward"]])
            few.append(torch.cat([torch.tensor(record["values"]), reward]).diff())
            many.append(torch.cat([exact, reward]).diff())
            # variances of the estimates at the two ends; the end of the completion is exact
            spread = exact * (1 - exact) / method.rollouts
            noise.append(spread + torch.cat([spread[1:], torch.zeros(1)]))
        for example, record, exact in zip(found.examples, found.records, parts, strict=True):
            own = record["reward"] - mean[rows.index(example.row)]
            whole.append(own.repeat(len(exact)))
        signal = torch.cat(many)
        ceiling = (signal.var() / (signal.var() + torch.cat(noise).mean())).sqrt()
        return {
            "correlation": _correlation(torch.cat(few), signal),
            "ceiling": float(ceiling),
            "whole": _correlation(torch.cat(whole), signal),
        }


def _correlation(one: Tensor, other: Tensor) -> float:
    import torch

    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])
