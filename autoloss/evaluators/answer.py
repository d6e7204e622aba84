"""Answer: where a command leaves its score: the last line of its output, or a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from primitives.errors import InputError
from primitives.text.printable import printable

PLACE = "search.evaluator.score"
LAST_LINE = "last line"
_MOST = 10_000_000
"""Bytes of a JSON file."""


class NoScoreError(RuntimeError):
    """There is no score where it should be; the text is the cause."""


@dataclass(frozen=True)
class Answer:
    """A place for the score.

    Args:
        file: JSON in the folder of the evaluation; empty for the last line of the output.
        key: of the score in it, from the outside in.
    """

    file: str = ""
    key: tuple[str, ...] = ()

    @classmethod
    def of(cls, score: object) -> Answer:
        """The place that a config names.

        Args:
            score: 'last line', or `json`, a file, and `key`, a name or a list of names.

        Raises:
            InputError: it names none.
        """
        if score == LAST_LINE:
            return cls()
        shape = f"{LAST_LINE!r} or dict(json='score.json', key='mAP')"
        if not isinstance(score, Mapping) or set(score) != {"json", "key"}:
            raise InputError(f"{PLACE} is {shape}, got {printable(repr(score))}")
        file, key = score["json"], score["key"]
        keys = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, (list, tuple)) else ()
        if not keys or not all(isinstance(one, str) for one in keys):
            raise InputError(f"{PLACE}.key is a name or a list of names, got {printable(repr(key))}")
        place = PurePath(file.removeprefix("{folder}/")) if isinstance(file, str) else PurePath()
        if not place.name or place.is_absolute() or ".." in place.parts:
            raise InputError(
                f"{PLACE}.json is a file in {{folder}}, that of an evaluation, got {printable(repr(file))}"
            )
        return cls(str(place), keys)

    @property
    def metric(self) -> str:
        """Name of the score."""
        return self.key[-1] if self.key else "score"

    def metrics(self, output: str, folder: Path) -> dict[str, float]:
        """The score, and the other numbers beside it in a JSON file.

        Args:
            output: what the command printed.
            folder: of the evaluation.

        Raises:
            NoScoreError: there is none, or it is no finite number.
        """
        return self._of_file(folder / self.file) if self.file else self._of_line(output)

    def _of_line(self, output: str) -> dict[str, float]:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        if not lines:
            raise NoScoreError("it printed no score")
        try:
            return {"score": _finite(float(lines[-1]))}
        except ValueError:
            raise NoScoreError(f"its last line is no score: {printable(repr(lines[-1]))}") from None

    def _of_file(self, place: Path) -> dict[str, float]:
        try:
            if place.stat().st_size > _MOST:
                raise NoScoreError(f"{self.file} has more than {_MOST:,} bytes")
            found: Any = json.loads(place.read_text(encoding="utf-8"))
        except OSError as error:
            raise NoScoreError(f"it left no {self.file}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise NoScoreError(f"{self.file} is no JSON: {printable(error)}") from None
        beside: Mapping[str, Any] = {}
        for key in self.key:
            if not isinstance(found, dict) or key not in found:
                has = ", ".join(found) if isinstance(found, dict) else type(found).__name__
                raise NoScoreError(f"{self.file} has no {printable('.'.join(self.key))!r}; it has {printable(has)}")
            beside, found = found, found[key]
        score = _number(found)
        if score is None:
            raise NoScoreError(f"{printable('.'.join(self.key))} in {self.file} is no number: {printable(repr(found))}")
        numbers = {name: value for name in beside if (value := _number(beside[name])) is not None}
        return {**{name: value for name, value in numbers.items() if math.isfinite(value)}, "score": _finite(score)}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number that is longer
        return None


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise NoScoreError(f"the score is {score}")
    return score
