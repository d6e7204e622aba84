"""Simplify: the same loss in fewer parts: the same value and gradient on the kind's samples, protections too.

Rules propose, behaviour decides: `e/e` is 1, for an enclosing area is never 0; `i/i` stays, for boxes that do not touch
make it 0. Nothing here asks SymPy, so a search may rely on it: its time decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from primitives.expression import Expression
from primitives.forms.behaviour import Behaviour, behaviour
from primitives.forms.collect import CollectError, collected
from primitives.forms.infix import infix
from primitives.grammar import Grammar
from primitives.operators import Operator

_ZERO, _ONE = Expression(0.0), Expression(1.0)


@lru_cache(maxsize=4096)
def pruned(expression: Expression, grammar: Grammar) -> Expression:
    """The formula without dead parts: what is always 0, always 1, or changes nothing.

    Only operators and inputs that stand in the formula stand in the result, and it has no more nodes.
    """
    found = _pruned(expression, behaviour(grammar))
    return found if found.names and behaviour(grammar).same(expression, found) else expression


def _pruned(expression: Expression, does: Behaviour) -> Expression:
    if not expression.arguments:
        return expression
    whole = Expression(expression.head, tuple(_pruned(part, does) for part in expression.arguments))
    for part in (_ZERO, _ONE, *_parts(whole)):
        if part.size < whole.size and does.same(whole, part):
            return part
    return whole


def _parts(expression: Expression) -> Iterator[Expression]:
    """The arguments of a formula, and theirs: of `a + b - b` the a, of `log(exp(a))` the a.

    None of a number that the count of classes makes: softmax(0.25) is 0.25 of four classes only.
    """
    if not expression.names and isinstance(expression.head, Operator) and expression.head.class_axis:
        return
    for part in expression.arguments:
        yield from part.arguments
    yield from expression.arguments


@lru_cache(maxsize=4096)
def simplified(expression: Expression, grammar: Grammar) -> Expression:
    """The formula as people want to see it: pruned, like terms together, in the shortest of its forms.

    Its value is that of the formula, constants and all. It may hold squares, which a search draws only when asked to.
    """
    does = behaviour(grammar)
    found = _simplified(pruned(expression, grammar), does)
    return found if found.names and does.same(expression, found) else expression


def _simplified(expression: Expression, does: Behaviour) -> Expression:
    inner = expression
    if expression.arguments:
        inner = Expression(expression.head, tuple(_simplified(part, does) for part in expression.arguments))
    forms = sorted(dict.fromkeys((inner, *_forms(inner))), key=_length)
    return next((form for form in forms if form == inner or does.same(expression, form)), inner)


def _forms(expression: Expression) -> Iterator[Expression]:
    for expand in (False, True):
        try:
            yield collected(expression, expand=expand)
        except CollectError:
            continue


def _length(expression: Expression) -> tuple[int, int, int]:
    """Of forms that are equally long the first is kept, unless a whole term is negated in it."""
    text = infix(expression)
    return expression.size, len(re.sub(r"[ ()]", "", text)), text.count("-(")
