"""Picked: class formulas rewritten so that what the one-hot target blanks out is not computed.

A sum over the classes with y as a factor is what stands at the label, so one column does instead of all.
"""

from __future__ import annotations

from primitives.codegen.source import folded, wide
from primitives.expression import Expression
from primitives.operators import OPERATORS, Operator

_NEGATE = OPERATORS["neg"]


def picked(formula: Expression, hit: bool) -> Expression:
    """The formula with each `dot` over the one-hot y as what stands at the label: one column is computed, not all.

    A `dot` that does not allow it stays, with all that is inside.

    Args:
        formula: folded, of a class grammar.
        hit: whether there are labels without a column, as in sigmoid heads; see `code` for the new inputs.
    """
    if not isinstance(formula.head, Operator):
        return formula
    if formula.head.name == "dot":
        at = at_label(Expression(OPERATORS["mul"], formula.arguments), frozenset("y"), hit)
        if at is not None:
            return folded(at, constants=False)
    if formula.head.class_axis:  # what counts as a column and what as one value per class is to stay inside
        return formula
    return Expression(formula.head, tuple(picked(part, hit) for part in formula.arguments))


def split(
    formula: Expression, zero_off_label: frozenset[str], hit: bool
) -> tuple[Expression | None, Expression | None]:
    """A formula whose value is summed over the classes, as a part for all classes and a part at the label.

    Args:
        formula: folded.
        zero_off_label: inputs that are 0 in every column but the label's.
        hit: see `picked`.

    Returns:
        The terms that are needed in every column, and the column (N, 1) of those that are zero off the label; None
        for one without terms.
    """
    everywhere: Expression | None = None
    column: Expression | None = None
    for sign, term in _terms(formula):
        at = at_label(term, zero_off_label, hit)
        if at is None:
            everywhere = _sum(everywhere, sign, term)
        else:
            column = _sum(column, sign, at)
    return everywhere and folded(everywhere), column and folded(column, constants=False)


def apart(formula: Expression) -> tuple[Expression, Expression] | None:
    """An element-wise sigmoid formula as two without y and w: what it is off the label, and what it is at the label.

    Off the label y and w are 0, at the label y is 1. None where the formula works along the class axis.
    """
    if any(isinstance(node.head, Operator) and node.head.class_axis for node in formula.walk()):
        return None
    at = _at(formula, hit=True)
    assert at is not None
    return _without_zeros(formula, frozenset("yw")), _without_zeros(at, frozenset())


def _without_zeros(part: Expression, zero: frozenset[str]) -> Expression:
    """The formula where some inputs are 0: products with 0 are 0."""
    if part.head in zero:
        return Expression(0.0)
    if not isinstance(part.head, Operator):
        return part
    parts = tuple(_without_zeros(argument, zero) for argument in part.arguments)
    if (part.head.name == "mul" and 0.0 in (one.head for one in parts)) or (
        part.head.name == "div" and parts[0].head == 0.0
    ):
        return Expression(0.0)
    return folded(Expression(part.head, parts), constants=False)


def at_label(term: Expression, zero_off_label: frozenset[str], hit: bool) -> Expression | None:
    """A product with a factor that is zero off the label as what it is at the label; None where there is none."""
    if not _has_factor(term, zero_off_label):
        return None
    at = _at(term, hit)
    return Expression(OPERATORS["mul"], (Expression("hit"), at)) if at and hit else at


def _has_factor(term: Expression, names: frozenset[str]) -> bool:
    if term.head in names:
        return True
    if not isinstance(term.head, Operator) or term.head.name not in ("mul", "div", "neg"):
        return False
    return any(_has_factor(part, names) for part in (term.arguments[:1] if term.head.name == "div" else term.arguments))


def _at(part: Expression, hit: bool) -> Expression | None:
    if part.head == "y":
        return Expression(1.0)
    if isinstance(part.head, str):
        return Expression(f"{part.head}_at") if wide(part) else part  # a `dot` within may have been rewritten before
    if not isinstance(part.head, Operator) or part.head.name == "dot":
        return picked(part, hit)
    if part.head.name == "softmax":
        return Expression("p_at") if part.arguments[0].head == "x" else None
    arguments = [_at(argument, hit) for argument in part.arguments]
    known = tuple(argument for argument in arguments if argument is not None)
    return Expression(part.head, known) if len(known) == len(arguments) else None


def _terms(formula: Expression, sign: int = 1) -> list[tuple[int, Expression]]:
    if isinstance(formula.head, Operator) and formula.head.name in ("add", "sub"):
        second = -sign if formula.head.name == "sub" else sign
        return _terms(formula.arguments[0], sign) + _terms(formula.arguments[1], second)
    if formula.head == _NEGATE:
        return _terms(formula.arguments[0], -sign)
    return [(sign, formula)]


def _sum(before: Expression | None, sign: int, term: Expression) -> Expression:
    if before is None:
        return term if sign == 1 else Expression(_NEGATE, (term,))
    return Expression(OPERATORS["add" if sign == 1 else "sub"], (before, term))
