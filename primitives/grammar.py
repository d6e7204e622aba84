"""Grammar: which inputs, operators and constants a formula of one kind may use, and the strict parser."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from torch import Tensor

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.operators import OPERATORS, Operator

MAX_NESTING = 64
MAX_TEXT = 20_000
SMALLEST, LARGEST = 1e-12, 1e12
RANGE = f"0, or from {SMALLEST:g} to {LARGEST:g}"
"""What a constant may be: three of them, multiplied or divided, stay within float32 (1e-38 to 3e38)."""
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)|(?P<mark>[(),]))"
)
_ZERO = re.compile(r"[0.]+(?:[eE].*)?")


def in_range(constant: float) -> bool:
    """Whether a number may stand in a formula; -0.0 may not, for a formula has no signs: neg is an operator."""
    return SMALLEST <= constant <= LARGEST or (constant == 0 and math.copysign(1, constant) > 0)


class GrammarError(InputError):
    """Text that is not a formula of the grammar."""


@dataclass(frozen=True)
class Grammar:
    """Operators, terminals, constants and size limits for one kind of loss.

    Args:
        name: as `--grammar` and configs name it.
        kind: what its losses are about.
        terminals: the inputs, of those of the kind.
        operators: names of the operators that text may use.
        constants: what a search draws; text may hold any number that is in RANGE.
        max_depth: deepest tree that a search keeps, the root being at depth 0.
        max_size: most nodes that a search keeps.
    """

    name: str
    kind: Kind
    terminals: tuple[Terminal, ...]
    operators: tuple[str, ...]
    constants: tuple[float, ...] = (1.0, 2.0, 3.0)
    max_depth: int = 10
    max_size: int = 50

    def __hash__(self) -> int:
        return hash((self.name, self.constants))

    @property
    def slot(self) -> str:
        """Where its losses sit in a detector."""
        return self.kind.slot

    def formula(self, expression: Expression, alpha: float | None = None) -> Formula:
        """An expression as a kind is asked about it, `alpha` weighting the target outside."""
        return Formula(expression, self.terminals, alpha)

    def inputs(self, sample: Sample) -> dict[str, Tensor]:
        """Its inputs by name; those are left out for which the sample lacks what a head must give.

        Raises:
            ValueError: shapes that do not belong together.
        """
        return self.kind.inputs(sample, self.terminals)

    def given(self, expression: Expression) -> tuple[str, ...]:
        """What the head must hand over for a formula beside prediction and target, as its keywords."""
        found = (one.given for one in self.terminals if one.given and one.name in expression.names)
        return tuple(dict.fromkeys(found))

    def losses(self, expression: Expression, sample: Sample, alpha: float | None = None) -> Tensor:
        """Losses (N,) of a formula on a raw input; see `inputs` and `Kind.losses`."""
        inputs = self.inputs(sample)
        return self.kind.losses(expression(inputs), inputs, alpha)

    @property
    def predicted(self) -> frozenset[str]:
        """Names of the inputs through which the gradient reaches the prediction."""
        return frozenset(terminal.name for terminal in self.terminals if terminal.predicted)

    def _vocabulary(self) -> dict[str, Operator | str]:
        words: dict[str, Operator | str] = {}
        for name in self.operators:
            operator = OPERATORS[name]
            words.update(dict.fromkeys((operator.name, *operator.aliases), operator))
        for terminal in self.terminals:
            words.update(dict.fromkeys((terminal.name, *terminal.aliases), terminal.name))
        return words

    def parse(self, text: str) -> Expression:
        """Reads a formula as people and papers write it; text never reaches an interpreter.

        Args:
            text: calls of operators on inputs and numbers, such as `neg(log(div(i, u)))`; case is free.

        Returns:
            The expression in canonical form.

        Raises:
            GrammarError: unknown name, wrong number of arguments, unbalanced or too deeply nested text, or a
                formula that reads no input.
        """
        expression = _Parser(self, text).parse()
        if not expression.names:
            names = ", ".join(sorted(terminal.name for terminal in self.terminals))
            raise GrammarError(f"a formula must read an input, {_short(text)} reads none; inputs: {names}")
        return expression


class _Parser:
    """One pass over the tokens; recursion is bounded by MAX_NESTING."""

    def __init__(self, grammar: Grammar, text: str) -> None:
        self.grammar = grammar
        self.text = text
        self.words = grammar._vocabulary()
        self.shorthands = dict(grammar.kind.shorthands)
        if len(text) > MAX_TEXT:
            raise GrammarError(f"a formula has at most {MAX_TEXT} characters, this text has {len(text)}")
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self) -> list[tuple[str, str, int]]:
        tokens, at = [], 0
        end = len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                raise self._error(f"unexpected character {self.text[at]!r}", at, "names, numbers, '(' ',' ')'")
            kind = str(match.lastgroup)
            tokens.append((kind, match.group(kind), match.start(kind)))
            at = match.end()
        return tokens

    def _error(self, what: str, at: int, choices: str) -> GrammarError:
        return GrammarError(f"{what} at column {at + 1} of {_short(self.text)}; expected: {choices}")

    def _next(self, expected: str) -> tuple[str, str, int]:
        if self.position == len(self.tokens):
            raise self._error("the formula ends early", len(self.text.rstrip()), expected)
        self.position += 1
        return self.tokens[self.position - 1]

    def parse(self) -> Expression:
        expression = self._expression(0)
        if self.position < len(self.tokens):
            _, value, at = self.tokens[self.position]
            raise self._error(f"unexpected {_short(value)} after the formula", at, "the end")
        return expression

    def _expression(self, nesting: int) -> Expression:
        kind, value, at = self._next("an operator, an input or a number")
        if nesting > MAX_NESTING:
            raise self._error(f"nested deeper than {MAX_NESTING}", at, "a shallower formula")
        if kind == "number":
            return Expression(self._number(value, at))
        if kind == "mark":
            raise self._error(f"unexpected {_short(value)}", at, "an operator, an input or a number")
        name = value.lower()
        if name in self.shorthands:
            return self.grammar.parse(self.shorthands[name])
        head = self.words.get(name)
        if head is None:
            raise self._unknown(value, at)
        return Expression(head) if isinstance(head, str) else self._call(head, at, nesting)

    def _number(self, value: str, at: int) -> float:
        number = float(value)
        if not in_range(number) or (number == 0 and not _ZERO.fullmatch(value)):
            raise self._error(f"the constant {_short(value)} is out of range", at, RANGE)
        return number

    def _unknown(self, value: str, at: int) -> GrammarError:
        known = sorted({w if isinstance(w, str) else w.name for w in self.words.values()})
        close = difflib.get_close_matches(value.lower()[:80], [*self.words, *self.shorthands], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return GrammarError(
            f"unknown name {_short(value)} at column {at + 1} of {_short(self.text)} in grammar {self.grammar.name}"
            f"{hint}; known: {', '.join(known)}"
        )

    def _call(self, operator: Operator, at: int, nesting: int) -> Expression:
        _, mark, place = self._next("'('")
        if mark != "(":
            raise self._error(f"{operator.name} is an operator, got {_short(mark)}", place, "'('")
        arguments = [self._expression(nesting + 1)]
        while True:
            _, mark, place = self._next("',' or ')'")
            if mark == ")":
                break
            if mark != ",":
                raise self._error(f"unexpected {_short(mark)}", place, "',' or ')'")
            arguments.append(self._expression(nesting + 1))
        if len(arguments) != operator.arity:
            takes = f"{operator.arity} argument{'s' if operator.arity > 1 else ''}"
            raise self._error(
                f"{operator.name} takes {takes}, got {len(arguments)},", at, f"{operator.name} with {takes}"
            )
        return Expression(operator, tuple(arguments))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 80 else f"{flat[:60]}...{flat[-15:]}")
