"""Collect: sums of products with like terms put together, what cancels cancelled; the protections are not heeded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from primitives.expression import Expression
from primitives.operators import OPERATORS, Operator
from primitives.parser import MAX_POWER, in_range

_MOST_TERMS = 24
_LARGEST = 10**200  # of a coefficient, and of its denominator
Product = tuple[tuple[str, int], ...]
"""Whole exponents by the text of what is raised to them."""
Sum = dict[Product, Fraction]
"""Coefficients of products."""
_NOTHING: Product = ()


class CollectError(ValueError):
    """The formula has no such form within the limits."""


def collected(expression: Expression, *, expand: bool) -> Expression:
    """The formula as a sum of products.

    Args:
        expression: the formula.
        expand: whether products of sums are multiplied out.

    Raises:
        CollectError: too many terms, too high a power, or a number out of range.
    """
    form = _Form(expand)
    return form.written(form.sum_of(expression))


class _Form:
    def __init__(self, expand: bool) -> None:
        self._expand = expand
        self._parts: dict[str, Expression] = {}
        """What products are made of, by text, in the order in which it came."""

    # From a tree to sums

    def sum_of(self, expression: Expression) -> Sum:
        head, parts = expression.head, expression.arguments
        if isinstance(head, float | int):
            return _without_zeros({_NOTHING: Fraction(head)})
        name = head.name if isinstance(head, Operator) else ""
        if name in ("add", "sub"):
            return _added(self.sum_of(parts[0]), self.sum_of(parts[1]), -1 if name == "sub" else 1)
        if name == "neg":
            return _times(self.sum_of(parts[0]), {_NOTHING: Fraction(-1)})
        if name == "mul":
            return self._product(self.sum_of(parts[0]), self.sum_of(parts[1]))
        if name == "square":
            return self._product(*[self.sum_of(parts[0])] * 2)
        if name == "div":
            return self._product(self.sum_of(parts[0]), self._inverse(self.sum_of(parts[1])))
        return self._atom(self._inside(expression))

    def _inside(self, expression: Expression) -> Expression:
        if not isinstance(expression.head, Operator):
            return expression
        return Expression(expression.head, tuple(self.written(self.sum_of(part)) for part in expression.arguments))

    def _atom(self, expression: Expression) -> Sum:
        self._parts.setdefault(expression.text, expression)
        return {((expression.text, 1),): Fraction(1)}

    def _product(self, first: Sum, second: Sum) -> Sum:
        if not self._expand:
            first, second = (self._as_one(part) if len(part) > 1 else part for part in (first, second))
        return _times(first, second)

    def _as_one(self, total: Sum) -> Sum:
        """A sum as one factor; minus one where that came before, or where nothing in it is added."""
        turned = self.written({product: -number for product, number in total.items()})
        if turned.text in self._parts or all(number < 0 for number in total.values()):
            return {product: -number for product, number in self._atom(turned).items()}
        return self._atom(self.written(total))

    def _inverse(self, total: Sum) -> Sum:
        if not total:
            raise CollectError("a division by zero")
        ((product, number),) = (total if len(total) == 1 else self._as_one(total)).items()
        return {tuple((text, -power) for text, power in product): 1 / number}

    # From sums to a tree

    def written(self, total: Sum) -> Expression:
        """The tree of a sum: what is added first, then what is subtracted."""
        terms = sorted(total.items(), key=lambda term: (term[1] < 0, self._places(term[0])))
        if not terms:
            return Expression(0.0)
        (product, number), *rest = terms
        found = self._term(product, number)
        for product, number in rest:
            name = "sub" if number < 0 else "add"
            found = _made(name, found, self._term(product, abs(number)))
        return found

    def _term(self, product: Product, number: Fraction) -> Expression:
        powers = sorted(product, key=lambda factor: self._places((factor,)))
        common = math.gcd(*(power for _, power in product))
        if common > 1 and len(product) > 1 and number == 1:
            return _power(self._term(tuple((text, power // common) for text, power in product), number), common)
        above = [_power(self._parts[text], power) for text, power in powers if power > 0]
        below = [_power(self._parts[text], -power) for text, power in powers if power < 0]
        if number < 0 and above:
            above[0], number = self._negative(above[0]), -number
        up, down = _written_number(abs(number))
        if up != 1 or not above:
            first = Expression(up)
            above.insert(0, Expression(OPERATORS["neg"], (first,)) if number < 0 else first)
        if down != 1:
            below.append(Expression(down))
        found = _chain(above)
        return _made("div", found, _chain(below)) if below else found

    def _places(self, product: Product) -> list[int]:
        """When its factors came first: equal sums are written alike."""
        order = list(self._parts)
        return sorted(order.index(text) for text, _ in product)

    def _negative(self, factor: Expression) -> Expression:
        """Minus a factor; a difference is turned round."""
        head = factor.head
        if isinstance(head, Operator) and head.name == "sub":
            return Expression(head, factor.arguments[::-1])
        return Expression(OPERATORS["neg"], (factor,))


def _added(first: Sum, second: Sum, sign: int) -> Sum:
    total = dict(first)
    for product, number in second.items():
        total[product] = total.get(product, Fraction(0)) + sign * number
    return _bounded(total)


def _times(first: Sum, second: Sum) -> Sum:
    total: Sum = {}
    for one, number in first.items():
        for other, factor in second.items():
            powers = dict(one)
            for text, power in other:
                powers[text] = powers.get(text, 0) + power
            product = tuple(sorted((text, power) for text, power in powers.items() if power))
            total[product] = total.get(product, Fraction(0)) + number * factor
    return _bounded(total)


def _bounded(total: Mapping[Product, Fraction]) -> Sum:
    found = _without_zeros(total)
    if len(found) > _MOST_TERMS:
        raise CollectError("too many terms")
    if any(max(abs(number.numerator), number.denominator) > _LARGEST for number in found.values()):
        raise CollectError("a number out of range")
    return found


def _without_zeros(total: Mapping[Product, Fraction]) -> Sum:
    return {product: number for product, number in total.items() if number}


def _made(name: str, *arguments: Expression) -> Expression:
    return Expression(OPERATORS[name], arguments)


def _chain(factors: list[Expression]) -> Expression:
    found = factors[0]
    for factor in factors[1:]:
        found = _made("mul", found, factor)
    return found


def _power(base: Expression, power: int) -> Expression:
    """A power as the parser makes it of text."""
    if power > MAX_POWER:
        raise CollectError("too high a power")
    if power == 1:
        return base
    if power % 2:
        return _made("mul", _power(base, power - 1), base)
    return _made("square", _power(base, power // 2))


def _written_number(number: Fraction) -> tuple[float, float]:
    """A coefficient as one short number, or as a quotient."""
    if number.denominator == 1 or len(repr(float(number))) <= 5:
        up, down = float(number), 1.0
    elif max(number.numerator, number.denominator) < 1_000:
        up, down = float(number.numerator), float(number.denominator)
    else:
        up, down = float(number), 1.0
    if not (in_range(up) and in_range(down)):
        raise CollectError("a number out of range")
    return up, down
