"""Condition: whether a pipeline proceeds, a comparison of figures: 'headroom.spread > 2 * headroom.noise'."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from primitives.errors import InputError
from primitives.text.printable import printable

Figures = Mapping[str, Mapping[str, float | None]]
"""Of steps, by their names; None for one that a step could not tell."""
_WORD = re.compile(r"\s*(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[A-Za-z_]\w*(?:\.\w+)?|<=|>=|==|!=|[<>+\-*/()])")
_LONGEST, _DEEPEST = 500, 30
_NUMBER, _TRUTH = "a number", "a comparison"


@dataclass(frozen=True)
class _Binary:
    """A row of the table of operators: how close it binds, what it takes and gives, and what it does.

    The second part is not looked at where the first is `alone`, which decides.
    """

    power: int
    takes: str
    gives: str
    call: Callable[[Any, Any], Any]
    alone: bool | None = None


def _divided(one: float, other: float) -> float:
    if not other:
        raise InputError(f"a condition divides {one:g} by 0")
    return one / other


_BINARY = {
    "or": _Binary(1, _TRUTH, _TRUTH, lambda one, other: one or other, alone=True),
    "and": _Binary(2, _TRUTH, _TRUTH, lambda one, other: one and other, alone=False),
    "<": _Binary(4, _NUMBER, _TRUTH, operator.lt),
    "<=": _Binary(4, _NUMBER, _TRUTH, operator.le),
    ">": _Binary(4, _NUMBER, _TRUTH, operator.gt),
    ">=": _Binary(4, _NUMBER, _TRUTH, operator.ge),
    "==": _Binary(4, _NUMBER, _TRUTH, operator.eq),
    "!=": _Binary(4, _NUMBER, _TRUTH, operator.ne),
    "+": _Binary(5, _NUMBER, _NUMBER, operator.add),
    "-": _Binary(5, _NUMBER, _NUMBER, operator.sub),
    "*": _Binary(6, _NUMBER, _NUMBER, operator.mul),
    "/": _Binary(6, _NUMBER, _NUMBER, _divided),
}
_UNARY = {"not": (3, _TRUTH, operator.not_), "-": (7, _NUMBER, operator.neg)}


@dataclass(frozen=True)
class Condition:
    """A condition that was read.

    Args:
        text: as it was written.
        names: step and figure of each that it reads, in order.
        holds: whether it does.
    """

    text: str
    names: tuple[tuple[str, str], ...]
    holds: Callable[[Figures], bool]

    def told(self, figures: Figures) -> str:
        """The condition and the figures it read, for people."""
        known = {(step, name): figures[step][name] for step, name in self.names}
        read = ", ".join(
            f"{step}.{name} {'not known' if figure is None else f'{figure:.4g}'}"
            for (step, name), figure in known.items()
        )
        return f"{self.text}{f' ({read})' if read else ''}"


def read(text: str) -> Condition:
    """Reads a condition; nothing is computed.

    Raises:
        InputError: it is none, with the column.
    """
    reader = _Reader(text)
    value, sort = reader.part(0, 0)
    if reader.word:
        reader.refuse(f"did not expect {reader.word!r}")
    reader.want(_TRUTH, sort, 0)
    return Condition(text.strip(), tuple(reader.names), lambda figures: bool(value(figures)))


class _Reader:
    """Precedence climbing over words; every part is a function of figures, and what it gives."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise InputError(f"a condition has {_LONGEST} characters at most, got {len(text):,}")
        self._text, self.place, self.word, self.names = text, 0, "", list[tuple[str, str]]()
        self._advance()

    def _advance(self) -> None:
        """The next word, an empty one at the end; `place` is where it begins."""
        rest = self._text[self.place + len(self.word) :]
        self.place = len(self._text) - len(rest.lstrip())
        found = _WORD.match(rest)
        if found is None and rest.strip():
            self.refuse(f"cannot read {printable(repr(rest.lstrip()[0]))}")
        self.word = found.group(1) if found else ""

    def part(self, power: int, depth: int) -> tuple[Callable[[Figures], Any], str]:
        """All that binds at least as close as `power`."""
        begin = self.place
        value, sort = self._first(depth)
        while (row := _BINARY.get(self.word)) is not None and row.power > power:
            self.want(row.takes, sort, begin)
            self._advance()
            begin_other = self.place
            other, sort = self.part(row.power, depth)
            self.want(row.takes, sort, begin_other)
            value, sort = _joined(row, value, other), row.gives
        return value, sort

    def _first(self, depth: int) -> tuple[Callable[[Figures], Any], str]:
        """A number, a figure, brackets, or what follows a sign."""
        word, place = self.word, self.place
        if depth > _DEEPEST:
            self.refuse(f"more than {_DEEPEST} brackets and signs within each other")
        self._advance()
        if word in _UNARY:
            power, takes, call = _UNARY[word]
            begin = self.place
            value, sort = self.part(power, depth + 1)
            self.want(takes, sort, begin)
            return lambda figures: call(value(figures)), takes
        if word == "(":
            value, sort = self.part(0, depth + 1)
            if self.word != ")":
                self.refuse("a bracket is not closed", place)
            self._advance()
            return value, sort
        if word[:1].isdigit() or word[:1] == ".":
            return lambda _: float(word), _NUMBER
        step, dot, name = word.partition(".")
        if not dot:
            self.refuse(f"expected a number or step.figure, got {repr(word) if word else 'the end'}", place)
        self.names.append((step, name))
        return lambda figures: _figure(figures, step, name), _NUMBER

    def want(self, sort: str, got: str, place: int) -> None:
        if sort != got:
            self.refuse(f"expected {sort}, got {got}", place)

    def refuse(self, what: str, place: int | None = None) -> None:
        column = (self.place if place is None else place) + 1
        raise InputError(f"{what} at column {column} of {printable(repr(self._text))}")


def _joined(row: _Binary, one: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    def value(figures: Figures) -> Any:
        first = one(figures)
        return first if first is row.alone else row.call(first, other(figures))

    return value


def _figure(figures: Figures, step: str, name: str) -> float:
    found = figures[step][name]
    if found is None:
        raise InputError(f"{step}.{name} is not known here, so no condition can read it")
    return found
