"""Parser: formulas as people write them, in infix, in calls or both, read strictly; no text reaches an interpreter."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.operators import OPERATORS, Operator

MAX_NESTING = 64
MAX_TEXT = 20_000
MAX_POWER = 8
SMALLEST, LARGEST = 1e-12, 1e12
RANGE = f"0, or from {SMALLEST:g} to {LARGEST:g}"
"""What a constant may be: three of them, multiplied or divided, stay within float32 (1e-38 to 3e38)."""
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<mark>\*\*|[-+*/(),]))"
)
_ZERO = re.compile(r"[0.]+(?:[eE].*)?")
_SUM, _PRODUCT = 1, 2
BINARY: Mapping[str, tuple[int, str]] = {
    "+": (_SUM, "add"),
    "-": (_SUM, "sub"),
    "*": (_PRODUCT, "mul"),
    "/": (_PRODUCT, "div"),
}
"""How tightly a sign between two formulas binds, and the operator that it is. Tighter: -a, then a**b, as in Python."""
_OPERAND = "an operator, an input or a number"
_POWERS = f"a whole number up to {MAX_POWER}, or 0.5, as in (1 - i/u)**2 and e**-0.5"


class GrammarError(InputError):
    """Text that is not a formula of the grammar."""


class Token(NamedTuple):
    """A name, a number or a mark, and where it begins."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Words:
    """The names that text may use.

    Args:
        grammar: whose they are, for messages.
        meanings: the operator, or the input's canonical name, by every lower-case name of it.
        shorthands: formulas by the names that stand for them.
    """

    grammar: str
    meanings: Mapping[str, Operator | str]
    shorthands: Mapping[str, str]


def in_range(constant: float) -> bool:
    """Whether a number may stand in a formula; -0.0 may not, for a formula has no signs: neg is an operator."""
    return SMALLEST <= constant <= LARGEST or (constant == 0 and math.copysign(1, constant) > 0)


def read(text: str, words: Words) -> Expression:
    """The formula that a text stands for.

    Args:
        text: calls of operators and infix text, mixed at will; precedence is Python's, case is free.
        words: names that it may use.

    Raises:
        GrammarError: what is wrong, where, and what may stand there.
    """
    return _Parser(text, words).parse()


class _Parser:
    """One pass over the tokens, by precedence; recursion is bounded by MAX_NESTING."""

    def __init__(self, text: str, words: Words) -> None:
        self.text, self.words, self.position = text, words, 0
        if len(text) > MAX_TEXT:
            raise GrammarError(f"a formula has at most {MAX_TEXT} characters, this text has {len(text)}")
        self.tokens = self._tokens()

    def _tokens(self) -> list[Token]:
        tokens, at = [], 0
        end = len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                hint = " (a power is written **)" if self.text[at] == "^" else ""
                choices = "names, numbers, + - * / ** '(' ',' ')'"
                raise self._error(f"unexpected character {self.text[at]!r}{hint}", at, choices)
            kind = str(match.lastgroup)
            tokens.append(Token(kind, match.group(kind), match.start(kind)))
            at = match.end()
        return tokens

    def _error(self, what: str, at: int, choices: str) -> GrammarError:
        return GrammarError(f"{what} at column {at + 1} of {short(self.text)}; expected: {choices}")

    def _next(self, expected: str) -> Token:
        if self.position == len(self.tokens):
            raise self._error("the formula ends early", len(self.text.rstrip()), expected)
        self.position += 1
        return self.tokens[self.position - 1]

    def _mark(self) -> str:
        """The mark that comes next, if one does."""
        here = self.tokens[self.position] if self.position < len(self.tokens) else None
        return here.text if here is not None and here.kind == "mark" else ""

    def parse(self) -> Expression:
        expression = self._infix(0, _SUM)
        if self.position < len(self.tokens):
            _, text, at = self.tokens[self.position]
            raise self._error(f"unexpected {short(text)} after the formula", at, "+ - * / ** or the end")
        return expression

    def _infix(self, nesting: int, least: int) -> Expression:
        """Operands with signs between them that bind at least so tightly; equal ones from left to right."""
        found = self._operand(nesting)
        while (row := BINARY.get(self._mark())) and row[0] >= least:
            at = self._next("").at
            found = self._made(row[1], at, found, self._infix(nesting, row[0] + 1))
        return found

    def _operand(self, nesting: int) -> Expression:
        """What may stand beside a sign: a signed operand, or an atom with its power."""
        if nesting > MAX_NESTING:
            raise self._too_deep(self._next(_OPERAND).at)
        if self._mark() in ("+", "-"):
            _, sign, at = self._next("")
            operand = self._operand(nesting + 1)
            return self._made("neg", at, operand) if sign == "-" else operand
        base = self._atom(nesting)
        if self._mark() != "**":
            return base
        at = self._next("").at
        return self._power(base, self._operand(nesting + 1), at)

    def _atom(self, nesting: int) -> Expression:
        kind, text, at = self._next(_OPERAND)
        if kind == "number":
            return Expression(self._number(text, at))
        if text == "(":
            inner = self._infix(nesting + 1, _SUM)
            self._close(self._next("+ - * / ** or ')'"), "+ - * / ** or ')'")
            return inner
        if kind == "mark":
            raise self._error(f"unexpected {short(text)}", at, _OPERAND)
        name = text.lower()
        head = self.words.meanings.get(name)
        if head is None and name in self.words.shorthands:
            return read(self.words.shorthands[name], self.words)
        if head is None:
            raise self._unknown(text, at)
        return Expression(head) if isinstance(head, str) else self._call(head, at, nesting)

    def _close(self, token: Token, choices: str) -> None:
        if token.text != ")":
            raise self._error(f"unexpected {short(token.text)}", token.at, choices)

    def _number(self, text: str, at: int) -> float:
        number = float(text)
        if not in_range(number) or (number == 0 and not _ZERO.fullmatch(text)):
            raise self._error(f"the constant {short(text)} is out of range", at, RANGE)
        return number

    def _unknown(self, name: str, at: int) -> GrammarError:
        meanings, shorthands = self.words.meanings, self.words.shorthands
        known = sorted({word if isinstance(word, str) else word.name for word in meanings.values()})
        close = difflib.get_close_matches(name.lower()[:80], [*meanings, *shorthands], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return GrammarError(
            f"unknown name {short(name)} at column {at + 1} of {short(self.text)} in grammar {self.words.grammar}"
            f"{hint}; known: {', '.join(known)}"
        )

    def _call(self, operator: Operator, at: int, nesting: int) -> Expression:
        _, mark, place = self._next("'('")
        if mark != "(":
            raise self._error(f"{operator.name} is an operator, got {short(mark)}", place, "'('")
        arguments = [self._infix(nesting + 1, _SUM)]
        while (token := self._next("',' or ')'")).text == ",":
            arguments.append(self._infix(nesting + 1, _SUM))
        self._close(token, "+ - * / ** ',' or ')'")
        if len(arguments) != operator.arity:
            takes = f"{operator.arity} argument{'s' if operator.arity > 1 else ''}"
            raise self._error(
                f"{operator.name} takes {takes}, got {len(arguments)},", at, f"{operator.name} with {takes}"
            )
        return self._made(operator.name, at, *arguments)

    def _made(self, name: str, at: int, *arguments: Expression) -> Expression:
        """An operator with its arguments, no larger than what its own text could be read back from."""
        if max(part.depth for part in arguments) >= MAX_NESTING:
            raise self._too_deep(at)
        if len(name) + sum(len(part.text) + 2 for part in arguments) > MAX_TEXT:
            raise self._error(f"the formula is longer than {MAX_TEXT} characters in full", at, "a shorter one")
        return Expression(OPERATORS[name], arguments)

    def _too_deep(self, at: int) -> GrammarError:
        return self._error(f"nested deeper than {MAX_NESTING}", at, "a shallower formula")

    def _power(self, base: Expression, exponent: Expression, at: int) -> Expression:
        """A power by squares, products, the square root, and one divided by these; else by pow."""
        number = constant(exponent)
        size = math.nan if number is None else abs(number)
        if size != 0.5 and size not in range(1, MAX_POWER + 1):
            if "pow" in self.words.meanings:
                return self._made("pow", at, base, exponent)
            raise self._error("a power that is not in the language", at, _POWERS)
        found = self._made("sqrt", at, base) if size == 0.5 else self._product(base, int(size), at)
        return self._made("div", at, Expression(1.0), found) if number is not None and number < 0 else found

    def _product(self, base: Expression, count: int, at: int) -> Expression:
        if count == 1:
            return base
        if count % 2:
            return self._made("mul", at, self._product(base, count - 1, at), base)
        return self._made("square", at, self._product(base, count // 2, at))


_ARITHMETIC: Mapping[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.nan,
    "neg": lambda a: -a,
}


def constant(expression: Expression) -> float | None:
    """The number that a formula of numbers and + - * / stands for; None for any other."""
    if isinstance(expression.head, float):
        return expression.head
    if not isinstance(expression.head, Operator) or expression.head.name not in _ARITHMETIC:
        return None
    parts = [constant(part) for part in expression.arguments]
    return None if None in parts else _ARITHMETIC[expression.head.name](*parts)


def short(text: str) -> str:
    """Text of a person as a message quotes it: on one line, its middle left out where it is long."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 80 else f"{flat[:60]}...{flat[-15:]}")
