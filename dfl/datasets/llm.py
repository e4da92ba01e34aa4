"""Real outcomes of language models on prompts: who answers well, and how long the answer is."""

from __future__ import annotations

import csv
import io
import os

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._joined import locate_table
from dfl.datasets._llm_sources import (
    PREFERENCE_SOURCES,
    ROUTING_SOURCES,
    join_preferences,
    join_routing,
)

_PREFERENCES = (
    "llm_preferences.csv.gz",
    "3de5cad068a9b4269935951762c719084014db4a84b94f4cc57d40eb839103a5",
)
_ROUTING = (
    "llm_routing.csv.gz",
    "da0fc11a10552a2a8b27c446291c8e72a9e1e6c7c4a006fac98af4a936185e26",
)
_ROUTED = ("mixtral_8x7b", "gpt4_1106")
# dollars per million tokens of the prompt and of the answer, at the time of the answers
_ROUTING_PRICES = ((0.6, 0.6), (10.0, 30.0))
_FLAWED = "mmlu/high_school_mathematics"


def fetch_llm_preferences(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch preferences and lengths of the answers of 17 language models to 805 instructions.

    Which model should get which kind of job: the instructions are of five kinds, and each model has
    answered all of them. The data are under CC BY-NC 4.0, so use them for evaluation only; they are
    not part of this package.

    Parameters
    ----------
    data_home : path, optional
        Cache folder. Default: the user's cache folder. If the environment variable ``DFL_DATA``
        names a folder, ``llm_preferences.csv.gz`` is read there and nothing is downloaded.
    download_if_missing : bool, default=True
        Some 70 MB are read once from the repository of AlpacaEval, and a table of 0.1 MB is kept.

    Returns
    -------
    Bunch
        ``instructions`` (805,) as texts; ``kinds`` (805,) = the kind of job of each: helpful_base,
        koala, oasst, selfinstruct or vicuna; ``models`` (17 names); ``preferences`` (805, 17) in
        [0, 1] = probability with which the judge, GPT-4 Turbo, prefers the model's answer to that
        of ``gpt4_1106_preview``, which is 0.5 for the latter; ``lengths`` (805, 17) of the answers
        in characters, which drive their costs.

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, tampered with or cannot be downloaded.

    Notes
    -----
    The judge is itself a language model, known to favor long answers. No human judged here.

    References
    ----------
    Li et al., "AlpacaEval: An Automatic Evaluator of Instruction-following Models", 2023,
    github.com/tatsu-lab/alpaca_eval; Dubois et al., "Length-Controlled AlpacaEval", 2024,
    arXiv 2404.04475.
    """
    text = locate_table(
        *_PREFERENCES, PREFERENCE_SOURCES, join_preferences, data_home, download_if_missing
    )
    rows = list(csv.reader(io.StringIO(text, newline="")))
    header, body = rows[0], rows[1:]
    k = (len(header) - 2) // 2
    numbers = np.array([row[1:-1] for row in body], dtype=float)
    return Bunch(
        instructions=np.array([row[-1] for row in body], dtype=object),
        kinds=np.array([row[0] for row in body]),
        models=[name.removeprefix("preference:") for name in header[1 : 1 + k]],
        preferences=numbers[:, :k],
        lengths=numbers[:, k:],
    )


def fetch_llm_routing(
    *,
    include_flawed: bool = False,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch which of two language models answers each of 15 thousand questions rightly.

    Mixtral 8x7B is cheap, GPT-4 (November 2023) is right more often: which questions deserve it?
    Questions are those of MMLU's 57 subjects and of GSM8K.

    Parameters
    ----------
    include_flawed : bool, default=False
        Include ``mmlu/high_school_mathematics``. It records an accuracy of 0.03 for GPT-4, far
        below chance, and 0.32 for Mixtral: almost certainly the answers were not extracted from the
        text as they should.
    data_home : path, optional
        Cache folder. Default: the user's cache folder. If the environment variable ``DFL_DATA``
        names a folder, ``llm_routing.csv.gz`` is read there and nothing is downloaded.
    download_if_missing : bool, default=True
        Download the file if it is not in the folder; else it is an error.

    Returns
    -------
    Bunch
        ``prompts`` (15091,) as texts, ``tasks`` (15091,) = the subject of each, such as
        ``mmlu/anatomy`` or ``gsm8k``; ``models`` (two names); ``correct`` (15091, 2) = 0 or 1;
        ``prices`` (2, 2) = dollars per million tokens of prompt and of answer for each model. With
        the flawed subject there are 15361.

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, tampered with or cannot be downloaded.

    References
    ----------
    Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", 2024, arXiv 2406.18665,
    github.com/lm-sys/RouteLLM (Apache-2.0); Hendrycks et al., "Measuring Massive Multitask Language
    Understanding", 2021, arXiv 2009.03300; Cobbe et al., "Training Verifiers to Solve Math Word
    Problems", 2021, arXiv 2110.14168.
    """
    text = locate_table(*_ROUTING, ROUTING_SOURCES, join_routing, data_home, download_if_missing)
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    kept = [row for row in rows if include_flawed or row[0] != _FLAWED]
    return Bunch(
        prompts=np.array([row[3] for row in kept], dtype=object),
        tasks=np.array([row[0] for row in kept]),
        models=list(_ROUTED),
        correct=np.array([row[1:3] for row in kept], dtype=float),
        prices=np.array(_ROUTING_PRICES),
    )
