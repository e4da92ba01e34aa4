"""Which language model gets which job: real answers to real prompts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl_experiments.design.study import AbstractDesignStudy
from dfl_experiments.design.worlds.base import Features

if TYPE_CHECKING:
    from dfl_experiments.design.worlds.answers import Answers
    from dfl_experiments.design.worlds.base import World

# dollars per million tokens of the answer: round numbers near the prices of the time; of models
# that anyone may host, what hosting about costs
_PRICES = {
    "gpt4_1106_preview": 30.0,
    "gpt4_0613_concise": 60.0,
    "claude-2.1": 24.0,
    "claude-2": 24.0,
    "claude-instant-1.2": 2.4,
    "gpt-3.5-turbo-1106": 2.0,
    "gpt-3.5-turbo-0301": 2.0,
    "Mixtral-8x7B-Instruct-v0.1_concise": 0.6,
    "FuseChat-Gemma-2-9B-Instruct": 0.3,
    "FuseChat-Llama-3.2-3B-Instruct": 0.1,
    "OpenHermes-2.5-Mistral-7B": 0.2,
    "gemma-7b-it": 0.2,
    "vicuna-13b-v1.5": 0.3,
    "Qwen-14B-Chat": 0.3,
    "falcon-40b-instruct": 0.8,
    "alpaca-7b": 0.2,
    "text_davinci_003": 20.0,
}
# one of each family, as a team might have under contract
_FOUR = (
    "gpt4_1106_preview",
    "FuseChat-Gemma-2-9B-Instruct",
    "Qwen-14B-Chat",
    "Mixtral-8x7B-Instruct-v0.1_concise",
)
_LETTERS_A_TOKEN = 4.0
# an answer to a choice of four is a letter; a solution in words is assumed to be this long
_LETTER_TOKENS, _SOLUTION_TOKENS = 1.0, 120.0
_CENTS = 100.0
_HUMANITIES = (
    "formal_logic",
    "high_school_european_history",
    "high_school_us_history",
    "high_school_world_history",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "moral_disputes",
    "moral_scenarios",
    "philosophy",
    "prehistory",
    "professional_law",
    "world_religions",
)
_SOCIAL = (
    "econometrics",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_microeconomics",
    "high_school_psychology",
    "human_sexuality",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
)
_OTHER = (
    "anatomy",
    "business_ethics",
    "clinical_knowledge",
    "college_medicine",
    "global_facts",
    "human_aging",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "nutrition",
    "professional_accounting",
    "professional_medicine",
    "virology",
)


class AbstractAnswersStudy(AbstractDesignStudy):
    """Bundles of prompts, one of each of five kinds of job, given to models with capacities."""

    n_pool: PositiveInt = 250
    """Bundles that may be labeled."""
    n_test: PositiveInt = 500
    """Bundles that decisions are judged on."""
    n_hypotheses: PositiveInt = 120
    features: Features = "words"
    """Of the prompts: ``embedding`` needs a model on this machine."""
    n_components: PositiveInt = 6
    embedding_model: str | None = None


@final
class LLMAllocation(AbstractAnswersStudy):
    """Five instructions, one of each kind, to four models or to seventeen.

    Costs are in cents: what the answer costs by its length, less ``value`` times the preference for
    it. Not a replication of the allocation experiment of Wan et al., whose labels by people are not
    public: here a language model judged, the kinds of job are others, and so are the models.
    """

    kind: Literal["llm-allocation"]
    sizes: Annotated[tuple[Literal[4, 17], ...], Field(min_length=1)] = (4, 17)
    """Numbers of models to choose from, a problem each."""
    value: PositiveFloat = 5.0
    """Cents that an answer is worth which the judge prefers to GPT-4's for certain."""
    capacities: ClassVar[Mapping[int, int]] = {4: 2, 17: 1}

    def parts(self) -> Mapping[str, Self]:
        """Return one problem for each number of models."""
        return {
            f"llm-allocation-{size}": self.model_copy(update={"sizes": (size,)})
            for size in dict.fromkeys(self.sizes)
        }

    def world(self, seed: int) -> World:
        """Split and bundle the prompts by the seed."""
        from dfl_experiments.design.worlds.answers import bundles

        (size,) = self.sizes
        answers = _preferences(
            size, self.value, self.features, self.n_components, self.embedding_model
        )
        capacities = [self.capacities[size]] * size
        return bundles(answers, capacities, self.n_pool, self.n_test, self.n_hypotheses, seed)


@final
class LLMRouting(AbstractAnswersStudy):
    """Five questions, one of each field, to Mixtral 8x7B or to GPT-4, which takes two at most.

    Costs are in cents: the prices of prompt and answer, less ``value`` for a right answer.
    """

    kind: Literal["llm-routing"]
    value: PositiveFloat = 1.0
    """Cents that a right answer is worth."""
    capacity: Annotated[int, Field(ge=1, le=5)] = 2
    """Questions of a bundle that GPT-4 takes at most."""

    def world(self, seed: int) -> World:
        """Split and bundle the prompts by the seed."""
        from dfl_experiments.design.worlds.answers import bundles

        answers = _routing(self.value, self.features, self.n_components, self.embedding_model)
        return bundles(
            answers, (5, self.capacity), self.n_pool, self.n_test, self.n_hypotheses, seed
        )


@lru_cache(maxsize=2)
def _preferences(
    size: int, value: float, features: Features, n_components: int, model: str | None
) -> Answers:
    import numpy as np

    from dfl.datasets import fetch_llm_preferences
    from dfl_experiments.design.worlds.answers import Answers
    from dfl_experiments.design.worlds.text import text_features

    data = fetch_llm_preferences()
    names = data.models if size == len(data.models) else list(_FOUR)
    columns = [data.models.index(name) for name in names]
    prices = np.array([_PRICES[name] for name in names]) * _CENTS / 1e6 / _LETTERS_A_TOKEN
    costs = data.lengths[:, columns] * prices - value * data.preferences[:, columns]
    kinds = np.unique(data.kinds, return_inverse=True)[1]
    return Answers(text_features(data.instructions, features, n_components, model), kinds, costs)


@lru_cache(maxsize=1)
def _routing(value: float, features: Features, n_components: int, model: str | None) -> Answers:
    import numpy as np

    from dfl.datasets import fetch_llm_routing
    from dfl_experiments.design.worlds.answers import Answers
    from dfl_experiments.design.worlds.text import text_features

    data = fetch_llm_routing()
    fields = {f"mmlu/{name}": 1 for name in _HUMANITIES}
    fields |= {f"mmlu/{name}": 2 for name in _SOCIAL}
    fields |= {f"mmlu/{name}": 3 for name in _OTHER}
    fields["gsm8k"] = 4
    kinds = np.array([fields.get(task, 0) for task in data.tasks])  # 0: science and engineering
    asked = np.array([len(prompt) for prompt in data.prompts]) / _LETTERS_A_TOKEN
    answered = np.where(kinds == fields["gsm8k"], _SOLUTION_TOKENS, _LETTER_TOKENS)
    tokens = np.column_stack([asked, answered])
    costs = tokens @ data.prices.T * _CENTS / 1e6 - value * data.correct
    return Answers(text_features(data.prompts, features, n_components, model), kinds, costs)
