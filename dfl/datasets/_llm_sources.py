"""Where the tables of language models come from, and how they are joined."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from dfl.exceptions import InvalidInputError

_ROUTE_LLM = "https://raw.githubusercontent.com/lm-sys/RouteLLM/main/routellm/evals"
_ALPACA_EVAL = "https://raw.githubusercontent.com/tatsu-lab/alpaca_eval/main/results"
_SUBJECTS = (
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
)
_MODELS = (
    "gpt4_1106_preview",
    "gpt4_0613_concise",
    "claude-2.1",
    "claude-2",
    "claude-instant-1.2",
    "gpt-3.5-turbo-1106",
    "gpt-3.5-turbo-0301",
    "Mixtral-8x7B-Instruct-v0.1_concise",
    "FuseChat-Gemma-2-9B-Instruct",
    "FuseChat-Llama-3.2-3B-Instruct",
    "OpenHermes-2.5-Mistral-7B",
    "gemma-7b-it",
    "vicuna-13b-v1.5",
    "Qwen-14B-Chat",
    "falcon-40b-instruct",
    "alpaca-7b",
    "text_davinci_003",
)

ROUTING_SOURCES = (
    *(f"{_ROUTE_LLM}/mmlu/responses/mmlu_{subject}.csv" for subject in _SUBJECTS),
    f"{_ROUTE_LLM}/gsm8k/gsm8k_responses.csv",
)
PREFERENCE_SOURCES = tuple(
    f"{_ALPACA_EVAL}/{model}/weighted_alpaca_eval_gpt4_turbo/annotations.json" for model in _MODELS
)


def join_routing(texts: Sequence[str]) -> str:
    """Put the tables of all subjects below each other."""
    rows = []
    names = [*(f"mmlu/{subject}" for subject in _SUBJECTS), "gsm8k"]
    for name, text in zip(names, texts, strict=True):
        for row in csv.DictReader(io.StringIO(text, newline="")):
            try:
                correct = [
                    int(row[model] == "True")
                    for model in ("mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview")
                ]
                rows.append([name, *correct, row["prompt"]])
            except KeyError as error:
                raise InvalidInputError(f"{name}: the table has no column {error}") from error
    return _csv(["task", "mixtral_8x7b_correct", "gpt4_1106_correct", "prompt"], rows)


def join_preferences(texts: Sequence[str]) -> str:
    """Put the judgements of all models beside each other, a row an instruction."""
    found: dict[str, dict[str, Any]] = {}
    for model, text in zip(_MODELS, texts, strict=True):
        try:
            for entry in json.loads(text):
                row = found.setdefault(entry["instruction"], {"subset": entry["dataset"]})
                row[f"preference:{model}"] = round(entry["preference"] - 1, 6)
                row[f"chars:{model}"] = len(entry["output_2"])
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInputError(
                f"the judgements of {model} are not in the expected form: {error!r}"
            ) from error
    columns = [f"{what}:{model}" for what in ("preference", "chars") for model in _MODELS]
    header = ["subset", *columns, "instruction"]
    rows = (
        [row.get(name, "") for name in header[:-1]] + [instruction]
        for instruction, row in sorted(found.items())
    )
    return _csv(header, rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
