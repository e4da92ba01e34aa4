"""Small tasks with exact verifiers, and what a first model for them is made of."""

from dfl.rl.segment.tasks.arithmetic import ModularArithmetic as ModularArithmetic
from dfl.rl.segment.tasks.base import AbstractTask as AbstractTask
from dfl.rl.segment.tasks.base import Problems as Problems
from dfl.rl.segment.tasks.countdown import Countdown as Countdown
from dfl.rl.segment.tasks.imitation import imitate as imitate
from dfl.rl.segment.tasks.questions import MathVerifier as MathVerifier
from dfl.rl.segment.tasks.questions import read_questions as read_questions
from dfl.rl.segment.tasks.sorting import Sorting as Sorting
from dfl.rl.segment.tasks.tokenizer import character_tokenizer as character_tokenizer
from dfl.rl.segment.tasks.transformer import tiny_transformer as tiny_transformer

__all__ = [
    "AbstractTask",
    "Countdown",
    "MathVerifier",
    "ModularArithmetic",
    "Problems",
    "Sorting",
    "character_tokenizer",
    "imitate",
    "read_questions",
    "tiny_transformer",
]
