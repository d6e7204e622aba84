"""Variation: random formulas, crossover and mutation by DEAP, and smaller changes: of one node, of one number.

DEAP draws from Python's global random state, so every call happens inside `seeded`, which puts that state back.
Only DEAP's trees and operators are used: nothing is compiled and no text is read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from deap import gp

from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.operators import OPERATORS, Operator

_TRIES = 20
_SMALLEST, _LARGEST = 0.01, 100.0
_TURNED, _FACTOR = 0.25, 0.5
"""Share of mutations that change a number, and the deviation of the logarithm of the factor."""


@contextmanager
def seeded(*key: object) -> Iterator[random.Random]:
    """Everything drawn inside is a function of the key; what was drawn before goes on after."""
    state = random.getstate()
    random.seed(":".join(str(part) for part in key))
    try:
        yield random  # type: ignore[misc]
    finally:
        random.setstate(state)


@cache
def _primitives(grammar: Grammar, extended: bool) -> gp.PrimitiveSet:
    """DEAP's view of a grammar."""
    view = gp.PrimitiveSet(grammar.name, 0)
    for operator in _operators(grammar, extended):
        view.addPrimitive(operator.tensor, operator.arity, name=operator.name)
    for name in _inputs(grammar):
        view.addTerminal(name)
    for constant in grammar.constants:
        view.addTerminal(constant)
    if not grammar.constants:
        view.addEphemeralConstant("number", _number)
    return view


def _operators(grammar: Grammar, extended: bool) -> list[Operator]:
    """Those that are drawn."""
    names = grammar.drawn or [name for name in grammar.operators if extended or not OPERATORS[name].extended]
    return [OPERATORS[name] for name in grammar.operators if name in names]


def _inputs(grammar: Grammar) -> list[str]:
    """Those that are drawn."""
    names = [terminal.name for terminal in grammar.terminals]
    return [name for name in names if grammar.drawn_inputs is None or name in grammar.drawn_inputs]


def _number() -> float:
    """Any number of two significant digits, as many in each tenfold."""
    return _two_digits(10 ** random.uniform(math.log10(_SMALLEST), math.log10(_LARGEST)))


def _two_digits(number: float) -> float:
    return min(max(rounded(number), _SMALLEST), _LARGEST)


def numbers(formula: Expression) -> dict[int, float]:
    """Those of a formula that a factor changes, by their places in `walk()`."""
    heads = {place: node.head for place, node in enumerate(formula.walk())}
    return {place: head for place, head in heads.items() if isinstance(head, float) and head}


def _turned(parent: Expression) -> Expression:
    """One of the numbers of a formula changed by a factor."""
    places = numbers(parent)
    if not places:
        return parent
    index = random.choice(list(places))
    return parent.replace(index, Expression(_two_digits(places[index] * any_factor())))


def any_factor() -> float:
    """By which a number changes."""
    return math.exp(random.gauss(0, _FACTOR))


def rounded(number: float) -> float:
    """To two digits."""
    return float(f"{number:.2g}")


def _from_deap(tree: Sequence[gp.Primitive | gp.Terminal]) -> Expression:
    """DEAP keeps a tree as its nodes in prefix order; read from the right, arguments come first."""
    stack: list[Expression] = []
    for node in reversed(tree):
        if node.arity:
            arguments = tuple(stack.pop() for _ in range(node.arity))
            stack.append(Expression(OPERATORS[node.name], arguments))
        else:
            stack.append(Expression(node.value))
    return stack.pop()


def _to_deap(expression: Expression, view: gp.PrimitiveSet) -> gp.PrimitiveTree:
    nodes: list[gp.Primitive | gp.Terminal] = []
    for node in expression.walk():
        if isinstance(node.head, Operator):
            operator = node.head
            nodes.append(
                view.mapping.get(operator.name) or gp.Primitive(operator.name, [object] * operator.arity, object)
            )
        else:
            nodes.append(gp.Terminal(node.head, False, object))
    return gp.PrimitiveTree(nodes)


def random_formula(grammar: Grammar, *, extended: bool = False) -> Expression:
    """A formula with depth between 2 and 5, half of them full trees."""
    view = _primitives(grammar, extended)
    return _from_deap(gp.genHalfAndHalf(view, min_=2, max_=5))


def crossed(first: Expression, second: Expression, grammar: Grammar, *, extended: bool = False) -> Expression:
    """`first` with one of its parts replaced by a part of `second`, within the grammar's limits.

    Returns:
        The child, or `first` when no child kept the limits.
    """
    view = _primitives(grammar, extended)
    for _ in range(_TRIES):
        child, _other = gp.cxOnePoint(_to_deap(first, view), _to_deap(second, view))
        if _fits(child, grammar):
            return _from_deap(child)
    return first


def mutated(parent: Expression, grammar: Grammar, *, extended: bool = False) -> Expression:
    """`parent` after one of: a new part, another operator or input, an operator taken out, an operator put in.

    Where any number may be drawn, one of the numbers may change by a factor instead.

    Returns:
        The child, or `parent` when no child kept the limits.
    """
    if not grammar.constants and random.random() < _TURNED and (turned := _turned(parent)) != parent:
        return turned
    view = _primitives(grammar, extended)
    for _ in range(_TRIES):
        tree, kind = _to_deap(parent, view), random.random()
        if kind < 0.35:
            child = gp.mutUniform(tree, expr=lambda pset, type_: gp.genGrow(pset, 0, 2, type_), pset=view)[0]
        elif kind < 0.65:
            try:
                child = gp.mutNodeReplacement(tree, pset=view)[0]
            except IndexError:  # an operator of the parent has none like it among those that may be drawn
                continue
        elif kind < 0.85:
            child = gp.mutInsert(tree, pset=view)[0]
        else:
            child = gp.mutShrink(tree)[0]
        if _fits(child, grammar):
            return _from_deap(child)
    return parent


def _fits(tree: gp.PrimitiveTree, grammar: Grammar) -> bool:
    return len(tree) <= grammar.max_size and tree.height <= grammar.max_depth


def neighbour(parent: Expression, grammar: Grammar, *, extended: bool = False) -> tuple[Expression, str]:
    """`parent` after the smallest change of its form, and what that is.

    In one place another operator or input stands, an operator is put in, or one is taken out.

    Returns:
        The child, or `parent` when no child kept the limits.
    """
    nodes = list(parent.walk())
    for _ in range(_TRIES):
        index = random.randrange(len(nodes))
        node, kind = nodes[index], random.random()
        if kind < 1 / 3 and node.arguments:
            part, what = random.choice(node.arguments), f"{_written(node)} taken out"
        elif kind < 2 / 3:
            part, what = _put_in(node, grammar, extended)
        else:
            part, what = _another(node, grammar, extended)
        child = parent.replace(index, part)
        if child != parent and child.size <= grammar.max_size and child.depth <= grammar.max_depth:
            return child, what
    return parent, ""


def _another(node: Expression, grammar: Grammar, extended: bool) -> tuple[Expression, str]:
    """Another operator with the same arguments, or another input or number."""
    if not isinstance(node.head, Operator):
        other = _leaf(grammar)
    else:
        same = [one for one in _operators(grammar, extended) if one.arity == len(node.arguments)]
        other = Expression(random.choice(same) if same else node.head, node.arguments)
    return other, f"{_written(node)} to {_written(other)}"


def _put_in(node: Expression, grammar: Grammar, extended: bool) -> tuple[Expression, str]:
    """An operator around it, whose other arguments are inputs or numbers."""
    operator = random.choice(_operators(grammar, extended))
    arguments = [_leaf(grammar) for _ in range(operator.arity)]
    arguments[random.randrange(operator.arity)] = node
    return Expression(operator, tuple(arguments)), f"{operator.name} put in"


def _leaf(grammar: Grammar) -> Expression:
    """An input, or a number."""
    heads: list[str | float] = [*_inputs(grammar), random.choice(grammar.constants) if grammar.constants else _number()]
    return Expression(random.choice(heads))


def _written(node: Expression) -> str:
    if isinstance(node.head, Operator):
        return node.head.name
    return node.head if isinstance(node.head, str) else f"{node.head:g}"
