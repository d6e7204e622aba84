"""Picked: class formulas rewritten so that what the one-hot target blanks out is not computed.

A sum over the classes with y as a factor is what stands at the label, so one column does instead of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from primitives.expression import Expression
from primitives.operators import EPS, OPERATORS, Operator
from primitives.source import folded

STATEMENTS: Mapping[str, str] = {
    "index": "labels.clamp(0, x.shape[1] - 1)[:, None]",
    "hit": "((labels >= 0) & (labels < x.shape[1]))[:, None].to(x.dtype)",
    "x_at": "x.gather(1, index)",
    "w_at": "w.gather(1, index)",
    "p_at": "torch.softmax(x, dim=-1).gather(1, index)",
    "log_p_at": f"torch.log_softmax(x, dim=-1).gather(1, index).logaddexp(x.new_tensor({math.log(EPS)!r}))",
}
"""PyTorch for the inputs (N, 1) that the rewriting puts in."""
_SOFTMAX = {"log(softmax(x))": "log_p_at", "softmax(x)": "p_at"}
_NEGATE = OPERATORS["neg"]


def picked(formula: Expression) -> Expression:
    """The formula with each `dot` over the one-hot y as what stands at the label: one column is computed, not all.

    Inputs that this needs are named in `STATEMENTS`. A `dot` that does not allow it stays.
    """
    if not isinstance(formula.head, Operator):
        return formula
    if formula.head.name == "dot":
        at = at_label(Expression(OPERATORS["mul"], formula.arguments))
        if at is not None:
            return folded(at, constants=False)
    return Expression(formula.head, tuple(picked(part) for part in formula.arguments))


def split(formula: Expression, zero_off_label: frozenset[str]) -> tuple[Expression | None, Expression | None]:
    """A formula whose value is summed over the classes, as a part for all classes and a part at the label.

    Args:
        formula: folded.
        zero_off_label: inputs that are 0 in every column but the label's.

    Returns:
        The terms that are needed in every column, and the column (N, 1) of those that are zero off the label; None
        for one without terms.
    """
    everywhere: Expression | None = None
    column: Expression | None = None
    for sign, term in _terms(formula):
        at = at_label(term, zero_off_label)
        if at is None:
            everywhere = _sum(everywhere, sign, term)
        else:
            column = _sum(column, sign, at)
    return everywhere and folded(everywhere), column and folded(column, constants=False)


def at_label(term: Expression, zero_off_label: frozenset[str] = frozenset("y")) -> Expression | None:
    """A product with a factor that is zero off the label as what it is at the label; None where there is none."""
    if not _has_factor(term, zero_off_label):
        return None
    at = _at(term)
    return at and Expression(OPERATORS["mul"], (Expression("hit"), at))


def _has_factor(term: Expression, names: frozenset[str]) -> bool:
    if term.head in names:
        return True
    if not isinstance(term.head, Operator) or term.head.name not in ("mul", "div", "neg"):
        return False
    return any(_has_factor(part, names) for part in (term.arguments[:1] if term.head.name == "div" else term.arguments))


def _at(part: Expression) -> Expression | None:
    if part.head == "y":
        return Expression(1.0)
    if isinstance(part.head, str):
        return Expression(f"{part.head}_at")
    if not isinstance(part.head, Operator) or part.head.name == "dot":
        return picked(part)
    if part.text in _SOFTMAX:
        return Expression(_SOFTMAX[part.text])
    if part.head.name == "softmax":
        return None
    arguments = [_at(argument) for argument in part.arguments]
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
