"""Infix: a formula as people write it; the parser reads back the very tree."""

from __future__ import annotations

from primitives.expression import Expression
from primitives.operators import Operator
from primitives.parser import BINARY, MAX_POWER, constant

SIGNS = {name: (sign, binding) for sign, (binding, name) in BINARY.items()}
"""The sign of an operator that stands between two formulas, and how tightly it binds."""
_SIGN, _POWER, _ATOM = 3, 4, 5
"""How tightly texts bind that are no sums and products; see `BINARY`."""


def infix(expression: Expression) -> str:
    """Text with `+ - * / **` and as few parentheses as Python's precedence needs; `parse(infix(tree)) == tree`."""
    return _printed(expression)[0]


def _printed(expression: Expression) -> tuple[str, int]:
    """Text, and how tightly it binds."""
    head = expression.head
    if not isinstance(head, Operator):
        return (head if isinstance(head, str) else number(head)), _ATOM
    if head.name in SIGNS:
        sign, binding = SIGNS[head.name]
        if head.name == "mul" and (power := _power(expression)):
            return power, _POWER
        # Equal signs are read from left to right, so what stands on the right must bind more tightly.
        first, second = (_within(part, binding + place) for place, part in enumerate(expression.arguments))
        return (f"{first}{sign}{second}" if sign in "*/" else f"{first} {sign} {second}"), binding
    if head.name == "neg":
        return f"-{_within(expression.arguments[0], _SIGN)}", _SIGN
    if head.name == "square" and (power := _power(expression)):
        return power, _POWER
    if head.name == "pow" and not _plain(expression.arguments[1]):
        base, exponent = (_within(part, _ATOM) for part in expression.arguments)
        return f"{base}**{exponent}", _POWER
    return f"{head.name}({', '.join(infix(part) for part in expression.arguments)})", _ATOM


def _within(expression: Expression, least: int) -> str:
    """Text in parentheses unless it binds that tightly."""
    text, binding = _printed(expression)
    return text if binding >= least else f"({text})"


def _power(expression: Expression) -> str:
    """The text as a power, where the parser makes this very tree of one."""
    base, count = based(expression)
    return f"{_within(base, _ATOM)}**{count}" if 1 < count <= MAX_POWER else ""


def _plain(exponent: Expression) -> bool:
    """Whether the parser makes squares, products or a root of it."""
    number = constant(exponent)
    return number is not None and (abs(number) == 0.5 or abs(number) in range(1, MAX_POWER + 1))


def based(expression: Expression) -> tuple[Expression, int]:
    """The base and the whole exponent that the tree is a power of; exponent 1 where it is none.

    As the parser writes powers: an even one is the square of its half, an odd one the even one below it times the base.
    """
    head = expression.head
    if isinstance(head, Operator) and head.name == "square":
        base, count = based(expression.arguments[0])
        return (base, 2 * count) if 2 * count <= MAX_POWER else (expression.arguments[0], 2)
    if isinstance(head, Operator) and head.name == "mul":
        first, last = expression.arguments
        base, count = based(first)
        if count % 2 == 0 and base == last and count < MAX_POWER:
            return base, count + 1
    return expression, 1


def number(value: float) -> str:
    """The shortest text that reads back as the number."""
    return format(value, ".17g") if value.is_integer() else repr(value)
