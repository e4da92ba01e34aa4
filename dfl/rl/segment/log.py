"""What was drawn, in a file to look into."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.examples import Example


@final
class RolloutLog:
    """Append the examples of each iteration to a file, a line of JSON for each.

    Parameters
    ----------
    path : path
        Made if need be. Lines of an iteration that is run again, and of later ones, are replaced;
        a file of anything else is refused.
    decode : callable
        From token ids to what users see.
    prompts : sequence
        As the user gave them.

    Raises
    ------
    InvalidInputError
        If the file is there and has lines that are not from here.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decode: Callable[[list[int]], Any],
        prompts: Sequence[Any],
    ) -> None:
        self.path = Path(path)
        self.decode = decode
        self.prompts = prompts
        self._last: int | None = None
        self._lines()

    def __call__(
        self, iteration: int, examples: Sequence[Example], records: Sequence[dict[str, Any]]
    ) -> None:
        """Append the examples of an iteration, with what there is to tell of each."""
        if self._last is None:  # a killed run may have been further than its checkpoint
            self._forget(iteration)
        self._last = iteration
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            for example, record in zip(examples, records, strict=True):
                line = {
                    "iteration": iteration,
                    "row": example.row,
                    "prompt": self.prompts[example.row],
                    "completion": self.decode(example.response.tolist()),
                    "completion_ids": example.response.tolist(),
                    "advantages": [round(a, 6) for a in example.advantages.tolist()],
                    **record,
                }
                file.write(json.dumps(line, default=str) + "\n")

    def _forget(self, iteration: int) -> None:
        if self.path.exists():
            kept = [line for at, line in self._lines() if at < iteration]
            self.path.write_text("".join(kept), encoding="utf-8")

    def _lines(self) -> list[tuple[int, str]]:
        """Return the lines that are there already, with their iterations."""
        if not self.path.exists():
            return []
        found = []
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break  # it was cut off when the run was killed
                try:
                    found.append((int(json.loads(line)["iteration"]), line))
                except (ValueError, KeyError, TypeError) as error:
                    raise InvalidInputError(
                        f"{self.path}: line {number} is not from a log of rollouts, which would "
                        "replace it; choose another path"
                    ) from error
        return found
