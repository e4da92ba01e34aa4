"""The model that all methods start from: taught by a teacher who makes mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl_experiments.base import AbstractModel

if TYPE_CHECKING:
    from dfl.rl.segment.tasks import ModularArithmetic

# lessons, problems to learn from, and three kinds of problems to be judged by, are drawn apart
LESSONS, LEARNED, JUDGED, TRIED, HELD = range(5)


@final
class Warm(AbstractModel):
    """A task of arithmetic, and a small transformer that was taught to solve some of it."""

    steps: PositiveInt = 4
    """Operations of a problem."""
    modulus: int = Field(default=7, ge=2, le=10)
    hidden_size: PositiveInt = 72
    layers: PositiveInt = 2
    lessons: PositiveInt = 4096
    """Texts that it is taught by imitation."""
    epochs: PositiveInt = 20
    """Most passes over them."""
    until: float = Field(default=0.5, ge=0, le=1)
    """Accuracy of sampled answers at which teaching ends."""
    noise: float = Field(default=0.12, ge=0, le=1)
    """Rate at which a step of the teacher is wrong."""
    learning_rate: PositiveFloat = 3e-3

    @property
    def task(self) -> ModularArithmetic:
        """The task."""
        from dfl.rl.segment.tasks import ModularArithmetic

        return ModularArithmetic(self.steps, self.modulus)

    @property
    def longest(self) -> int:
        """Tokens of a completion in the form that it was taught, and two more."""
        return 2 * self.steps + 4

    def problems(self, n: int, part: int, seed: int) -> Any:
        """Draw problems of one of five kinds."""
        return self.task.draw(n, noise=self.noise, random_state=self._numbers(seed, part))

    def model(self, seed: int) -> tuple[Any, Any]:
        """Make the model of a seed and teach it; return it and its tokenizer."""
        from dfl.rl.segment.tasks import character_tokenizer, imitate, tiny_transformer

        tokenizer = character_tokenizer(self.task.alphabet)
        model = tiny_transformer(
            tokenizer,
            hidden_size=self.hidden_size,
            n_layers=self.layers,
            random_state=self._numbers(seed, LESSONS),
        )
        lesson = self.problems(self.lessons, LESSONS, seed)
        held = self.problems(128, HELD, seed)

        def good_enough(entry: dict[str, float]) -> bool:
            del entry
            return self.accuracy(model, tokenizer, held, seed) >= self.until

        imitate(
            model,
            tokenizer,
            lesson.prompts,
            lesson.traces,
            max_iter=self.epochs,
            batch_size=32,
            learning_rate=self.learning_rate,
            callbacks=[good_enough],
            random_state=self._numbers(seed, LESSONS),
        )
        return model, tokenizer

    def accuracy(
        self, model: Any, tokenizer: Any, problems: Any, seed: int, temperature: float = 1.0
    ) -> float:
        """Return the share of right answers: 4 drawn for each problem, or the likeliest one."""
        import torch

        from dfl.rl.segment import TokenPolicy

        n = 4 if temperature else 1
        policy = TokenPolicy(model.eval(), (tokenizer.eos_token_id,), max_rows=4096)
        drawn = policy.generate(
            [torch.tensor(ids) for ids in tokenizer(problems.prompts)["input_ids"]],
            [self.longest] * len(problems),
            n,
            generator=torch.Generator().manual_seed(seed),
            temperature=temperature,
        )
        texts = tokenizer.batch_decode(
            [ids.tolist() for ids in drawn.rows()], skip_special_tokens=True
        )
        told = {
            name: [value for value in values for _ in range(n)]
            for name, values in problems.columns.items()
        }
        rewards = self.task.reward(texts, texts, **told)
        return sum(reward or 0.0 for reward in rewards) / len(rewards)

    def _numbers(self, seed: int, part: int) -> Any:
        import numpy as np

        return np.random.default_rng([seed, part])
