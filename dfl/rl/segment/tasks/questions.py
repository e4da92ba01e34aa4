"""Questions of mathematics from a file, in the form of GSM8K."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.tasks.base import Problems
from dfl_solvers.exceptions import import_optional


def read_questions(
    path: str | os.PathLike[str],
    *,
    question: str = "question",
    answer: str = "answer",
    template: str = "{}",
) -> Problems:
    r"""Read problems from a file with a JSON object a line.

    Parameters
    ----------
    path : path
        For example GSM8K's ``train.jsonl``.
    question, answer : str, default="question", "answer"
        Names of the two texts of an object. The final answer is what follows the last ``####``, or
        all of the text if there is none.
    template : str, default="{}"
        The prompt, with the question in the place of ``{}``.

    Returns
    -------
    Problems
        With the final answers as column ``"answer"``, for ``MathVerifier``, and the whole answers
        as traces.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidInputError
        If a line is no such object, which is named, there is none at all, or the template has no
        place for the question.

    References
    ----------
    Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021, arXiv 2110.14168.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from dfl.rl.segment.tasks import read_questions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "questions.jsonl")
    ...     text = {"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"}
    ...     _ = file.write_text(json.dumps(text))
    ...     problems = read_questions(file, template="Q: {} A:")
    >>> problems.prompts, problems.columns
    (['Q: Two and two? A:'], {'answer': ['4']})
    """
    if template.count("{}") != 1:
        raise InvalidInputError(
            f"read_questions: got template={template!r}, expected one with one place {{}}"
        )
    before, _, after = template.partition("{}")
    prompts, answers, traces = [], [], []
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            asked, answered = _texts(line, (question, answer), f"{os.fspath(path)}, line {number}")
            prompts.append(before + asked + after)
            answers.append(answered.rpartition("####")[2].strip())
            traces.append(answered)
    if not prompts:
        raise InvalidInputError(f"{os.fspath(path)}: got no line, expected a JSON object a line")
    return Problems(prompts, {"answer": answers}, traces)


@final
class MathVerifier:
    r"""Judge final answers as mathematics: whether they equal the given ones.

    Raises
    ------
    MissingDependencyError
        By ``reward``, if math-verify is not installed.

    Notes
    -----
    The package math-verify finds the last answer of a text and compares by computer algebra. It
    gives up after some seconds by an alarm, which works in the main thread of a process only.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import MathVerifier
    >>> texts = ["Half of 7 is 3.5.", r"It is $\frac{7}{2}$", "It is 4."]
    >>> MathVerifier().reward([""] * 3, texts, answer=["7/2"] * 3)
    [1.0, 1.0, 0.0]
    """

    def reward(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        completion_ids: Sequence[Any] | None = None,
        *,
        answer: Sequence[str],
        **columns: Any,
    ) -> list[float | None]:
        """Return 1 for each completion whose final answer is right and 0 for each other.

        Parameters
        ----------
        prompts, completions : sequence of str
            Questions, and what was written for them.
        completion_ids : sequence, optional
            Not looked at.
        answer : sequence of str
            The right answers, one a completion: numbers, or LaTeX between dollars.
        **columns : sequence
            Not looked at; the signature is that of the reward functions of TRL.

        Returns
        -------
        list of float or None
            None where the right answer cannot be read: another function has to judge then.

        Raises
        ------
        InvalidInputError
            If there is not an answer for each completion.
        """
        del prompts, completion_ids, columns
        if len(answer) != len(completions):
            raise InvalidInputError(
                f"MathVerifier.reward: got {len(answer)} answers for {len(completions)} "
                "completions, expected one each"
            )
        package = import_optional("math_verify", "llm")
        rewards: list[float | None] = []
        for text, right in zip(completions, answer, strict=True):
            gold = package.parse(right)
            rewards.append(float(package.verify(gold, package.parse(text))) if gold else None)
        return rewards


def _texts(line: str, names: tuple[str, str], where: str) -> list[str]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{where}: got no JSON, {error}") from error
    texts = []
    for name in names:
        text = found.get(name) if isinstance(found, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError(
                f"{where}: got no text {name!r}, expected a JSON object with it"
            )
        texts.append(text)
    return texts
