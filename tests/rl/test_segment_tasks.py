"""Tasks with exact verifiers, held against brute force, and what a first model is made of."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.tasks import (
    AbstractTask,
    Countdown,
    MathVerifier,
    ModularArithmetic,
    Sorting,
    character_tokenizer,
    imitate,
    read_questions,
    tiny_transformer,
)
from dfl.rl.segment.tasks.countdown import value_of

TASKS: list[AbstractTask] = [
    ModularArithmetic(1),
    ModularArithmetic(5, modulus=7, operations="+*"),
    Sorting(1),
    Sorting(6),
    Countdown(),
    Countdown(4, largest=20),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_every_task_keeps_its_word(task: AbstractTask) -> None:
    """A teacher without mistakes solves all, one with mistakes not, and the alphabet is told."""
    right = task.draw(100, random_state=0)
    assert task.reward(right.prompts, right.traces, **right.columns) == [1.0] * 100
    assert set("".join(right.prompts + right.traces)) <= set(task.alphabet)
    assert list(right.columns) == list(task.columns)
    assert right == task.draw(100, random_state=0)
    assert right.prompts != task.draw(100, random_state=1).prompts
    if task is not TASKS[2]:  # one digit is in order
        wrong = task.draw(400, noise=0.9, random_state=0)
        scores = task.reward(wrong.prompts, wrong.traces, **wrong.columns)
        assert np.mean(np.array(scores, float)) < 0.7


def test_arithmetic_against_a_second_calculation() -> None:
    """Exactly one of ten digits is the answer, whatever was written before it."""
    task = ModularArithmetic(4)
    problems = task.draw(200, random_state=0)
    for prompt, answer in zip(problems.prompts, problems.columns["answer"], strict=True):
        value = int(prompt[0])
        for i in range(1, len(prompt) - 1, 2):
            value = {
                "+": value + int(prompt[i + 1]),
                "-": value - int(prompt[i + 1]),
                "*": value * int(prompt[i + 1]),
            }[prompt[i]]
        row = {"answer": answer}
        solved = [digit for digit in "0123456789" if task.solves(f"1;2#{digit}", row)]
        assert solved == [str(value % 10)]
        for text in (answer, f"#{answer}{answer}", f"#{answer}#{answer}", f"#{answer};", "#", ""):
            assert not task.solves(text, row)


def test_arithmetic_mistakes_are_single_steps_from_which_it_goes_on_correctly() -> None:
    task = ModularArithmetic(5)
    problems = task.draw(2000, noise=0.2, random_state=0)
    wrong = []
    for prompt, trace in zip(problems.prompts, problems.traces, strict=True):
        written = trace.partition("#")[0].split(";")
        values = [int(prompt[0]), *map(int, written)]
        assert trace.endswith(f"#{written[-1]}")
        for i, after in enumerate(values[1:]):
            digit = int(prompt[2 * i + 2])
            step = {"+": values[i] + digit, "-": values[i] - digit, "*": values[i] * digit}
            wrong.append(step[prompt[2 * i + 1]] % 10 != after)
    # four standard deviations of 10 000 draws
    assert np.mean(wrong) == pytest.approx(0.2, abs=0.016)


def _expressions(numbers: tuple[int, ...]) -> list[tuple[str, Fraction | None]]:
    """All ways to combine numbers in order, by brute force, with their values."""
    if len(numbers) == 1:
        return [(str(numbers[0]), Fraction(numbers[0]))]
    found = []
    for cut in range(1, len(numbers)):
        for (left, a), (right, b) in itertools.product(
            _expressions(numbers[:cut]), _expressions(numbers[cut:])
        ):
            for sign in "+-*/":
                value = None
                if a is not None and b is not None and not (sign == "/" and b == 0):
                    value = {"+": a + b, "-": a - b, "*": a * b}.get(sign)
                    value = a / b if value is None else value
                found.append((f"({left}){sign}({right})", value))
    return found


@pytest.mark.parametrize("numbers", [(1, 1, 8), (2, 3, 7), (1, 3, 4, 6)])
def test_countdown_against_brute_force(numbers: tuple[int, ...]) -> None:
    """The verifier takes all expressions with the target's value and no others."""
    task = Countdown(len(numbers))
    every = [one for order in set(itertools.permutations(numbers)) for one in _expressions(order)]
    targets = {int(value) for _, value in every if value is not None and value.denominator == 1}
    assert 24 in targets or numbers != (1, 3, 4, 6)  # 6 / (1 - 3 / 4)
    for target in [24, *sorted(targets)[:: len(targets) // 3]]:
        row = {"numbers": list(numbers), "target": target}
        assert all(task.solves(text, row) == (value == target) for text, value in every)
        other = {"numbers": [*numbers[1:], 9], "target": target}
        assert not any(task.solves(text, other) for text, _ in every)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2+3*4", 14),
        ("8-3-2", 3),
        ("8/4/2", 1),
        ("1/3*3", 1),
        ("(2+3)*4", 20),
        ("12", 12),
        ("2**3", None),
        ("-3", None),
        ("3 + 4", None),
        ("(3", None),
        ("3)", None),
        ("1/0", None),
        ("", None),
        ("(" * 5000, None),
        ("__import__('os')", None),
    ],
)
def test_value_of_text(text: str, value: int | None) -> None:
    found = value_of(text)
    assert (None if found is None else found[0]) == value


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789+-*/()x ", max_size=14))
def test_value_of_any_text_is_that_of_the_language_or_none(text: str) -> None:
    """No text raises; where there is a value, Python agrees with it."""
    found = value_of(text)
    if found is not None:
        assert set(text) <= set("0123456789+-*/()")
        # zeros in front are fine here and not in Python
        plain = "".join(
            f"Fraction({int(''.join(run))})" if digits else "".join(run)
            for digits, run in itertools.groupby(text, str.isdigit)
        )
        assert found[0] == eval(plain, {"Fraction": Fraction})  # noqa: S307


def test_rewards_take_what_trainers_pass_and_miss_what_is_missing() -> None:
    task = Sorting(3)
    assert task.reward(
        ["321="] * 2,
        ["123", "132"],
        [[1], [2]],
        answer=["123"] * 2,
        trainer_state=None,
        log_extra=print,
    ) == [1.0, 0.0]
    with pytest.raises(InvalidInputError, match="no column 'answer'"):
        task.reward(["1="], ["1"])
    with pytest.raises(InvalidInputError, match="got 1 entries of column 'answer' for 2"):
        task.reward(["1="] * 2, ["1"] * 2, answer=["1"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModularArithmetic(0),
        lambda: ModularArithmetic(modulus=11),
        lambda: ModularArithmetic(operations="/"),
        lambda: Sorting(0),
        lambda: Countdown(1),
        lambda: Sorting().draw(0),
        lambda: Sorting().draw(1, noise=1.5),
        lambda: character_tokenizer("aa"),
        lambda: character_tokenizer(""),
    ],
)
def test_wrong_numbers_are_refused(make: Any) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        make()


def test_tokenizer_is_loaded_as_any_other(tmp_path: Path) -> None:
    """Saved, and read by the loader of transformers; every character is a token."""
    from transformers import AutoTokenizer

    made = character_tokenizer(Countdown.alphabet)
    made.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for tokenizer in (made, loaded):
        ids = tokenizer(Countdown.alphabet)["input_ids"]
        assert len(set(ids)) == len(Countdown.alphabet) == len(tokenizer) - 3
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode([*ids, tokenizer.eos_token_id], skip_special_tokens=True) == (
            Countdown.alphabet
        )
        assert tokenizer("x")["input_ids"] == [tokenizer.unk_token_id]
        padded = tokenizer(["1", "123"], padding=True)
        assert padded["attention_mask"] == [[0, 0, 1], [1, 1, 1]]
        assert padded["input_ids"][0][:2] == [tokenizer.pad_token_id] * 2


def test_transformer_is_the_same_for_a_seed_and_leaves_other_randomness_alone() -> None:
    tokenizer = character_tokenizer(Sorting.alphabet)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, second = (tiny_transformer(tokenizer, random_state=3) for _ in range(2))
    assert torch.rand(1) == expected
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert 1e5 < sum(p.numel() for p in first.parameters()) < 5e5


def test_imitation_teaches_a_task_and_repeats() -> None:
    """Two digits are put in order after some seconds, though traces have unequal lengths."""
    from dfl.rl.segment.policy import TokenPolicy

    task, tokenizer = Sorting(2), character_tokenizer(Sorting.alphabet)
    lesson = task.draw(900, random_state=0)
    longer = Sorting(3).draw(100, random_state=0)
    prompts, traces = lesson.prompts + longer.prompts, lesson.traces + longer.traces
    found = []
    for _ in range(2):
        model = tiny_transformer(tokenizer, hidden_size=32, n_layers=1, random_state=0)
        history = imitate(
            model, tokenizer, prompts, traces, max_iter=6, learning_rate=1e-2, random_state=0
        ).history
        found.append((model, [entry["loss"] for entry in history]))
    assert found[0][1] == found[1][1]
    # before it learns, a text of three tokens of fourteen costs 7.9 nats
    assert found[0][1][-1] < 1.5
    judged = task.draw(200, random_state=1)
    policy = TokenPolicy(found[0][0].eval(), (tokenizer.eos_token_id,))
    drawn = policy.generate(
        [torch.tensor(tokenizer(prompt)["input_ids"]) for prompt in judged.prompts],
        [4] * 200,
        temperature=0.0,
    )
    texts = tokenizer.batch_decode([row.tolist() for row in drawn.rows()], skip_special_tokens=True)
    scores = task.reward(judged.prompts, texts, **judged.columns)
    assert np.mean(np.array(scores, float)) > 0.8


def test_imitation_refuses_what_does_not_fit() -> None:
    tokenizer = character_tokenizer(Sorting.alphabet)
    with pytest.raises(InvalidInputError, match="got 2 prompts and 1 completions"):
        imitate(None, tokenizer, ["1="] * 2, ["1"])


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_questions_are_read(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        json.dumps({"question": "A {} B?", "answer": "1 + 1 = 2\n#### 1,200"}),
        "",
        json.dumps({"question": "½?", "answer": " 0.5 "}),
    )
    problems = read_questions(path, template="Q: {}\nA:")
    assert problems.prompts == ["Q: A {} B?\nA:", "Q: ½?\nA:"]
    assert problems.columns == {"answer": ["1,200", "0.5"]}
    assert problems.traces[0] == "1 + 1 = 2\n#### 1,200"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1: got no JSON"),
        (['{"question": "a", "answer": "b"}', "[]"], "line 2: got no text 'question'"),
        (['{"question": "a", "answer": 3}'], "line 1: got no text 'answer'"),
        (["", " "], "got no line"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_questions(_file(tmp_path, *lines))
    with pytest.raises(InvalidInputError, match="template"):
        read_questions(_file(tmp_path, *lines), template="no place")


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        ("so the total is 1200.", "1,200", 1.0),
        (r"\boxed{\frac{1}{2}}", "0.5", 1.0),
        ("12 apples and 60 more make 72", "72", 1.0),
        ("it is 73", "72", 0.0),
        ("no idea", "72", 0.0),
        ("x = 2", "no number", None),
    ],
)
def test_answers_are_compared_as_mathematics(text: str, answer: str, reward: float | None) -> None:
    assert MathVerifier().reward(["?"], [text], answer=[answer]) == [reward]
