"""Findings: what is wrong with a data set, told apart by kind and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from primitives.text.printable import printable


@dataclass(frozen=True)
class Problem:
    """Something found in a data set.

    Args:
        name: what is wrong.
        count: how often.
        first: the first example, a sentence.
        stops: whether the data cannot be used before it is mended.
    """

    name: str
    count: int
    first: str
    stops: bool


class Findings:
    """Collects problems: the count of every kind, and its first example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, bool]] = {}

    def stop(self, name: str, template: str, *values: object, count: int = 1) -> None:
        """Notes a problem that stops a training; the sentence is made for the first example only."""
        self._note(name, template, values, count, True)

    def tell(self, name: str, template: str, *values: object, count: int = 1) -> None:
        """Notes something that a person should know of and that is dealt with."""
        self._note(name, template, values, count, False)

    def _note(self, name: str, template: str, values: tuple[object, ...], count: int, stops: bool) -> None:
        self._counts[name] += count
        if name not in self._first:
            # A name may hold anything; how it is written here, it also reaches a terminal.
            short = [printable(value, 120) if isinstance(value, (str, Path)) else value for value in values]
            self._first[name] = (printable(template.format(*short), 600), stops)

    def problems(self) -> list[Problem]:
        """All that was found, what stops a training first."""
        found = [Problem(name, self._counts[name], first, stops) for name, (first, stops) in self._first.items()]
        return sorted(found, key=lambda problem: not problem.stops)
