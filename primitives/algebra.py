"""Algebra: a formula as SymPy sees it: value, derivative, verified simplification, LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import sympy

from primitives.expression import Expression
from primitives.kinds.terminal import Terminal
from primitives.operators import OPERATORS, Column, Operator

PROVED = "proved"
"""How something is known that holds on the whole domain."""
Given = ParamSpec("Given")
Found = TypeVar("Found")
_PROBE = (0.31, 0.53, 0.76)


def unless_stuck(search: Callable[Given, Found | None]) -> Callable[Given, Found | None]:
    """Makes a search for a proof give None where SymPy gets stuck.

    On formulas with poles SymPy raises errors of many kinds (KeyError, RecursionError, NotImplementedError, ...), and
    none of them says anything about the formula.
    """

    @wraps(search)
    def attempt(*args: Given.args, **kwargs: Given.kwargs) -> Found | None:
        try:
            return search(*args, **kwargs)
        except Exception:
            return None

    return attempt


def columns(expression: Expression, terminals: Sequence[Terminal], classes: int = 1) -> Column:
    """The formula per class: a column of SymPy expressions over inputs x_0, x_1, ... (plain names for one class).

    The protections of the tensor functions (1e-20 in log and div, exp clamped at 88) have no place here.

    Args:
        expression: the formula.
        terminals: its inputs, which say what SymPy may assume of them.
        classes: length of the class axis.
    """
    if isinstance(expression.head, str):
        terminal = _terminal(expression.head, terminals)
        return (terminal.symbol(),) if classes == 1 else tuple(terminal.symbol(k) for k in range(classes))
    if not isinstance(expression.head, Operator):
        return (sympy.nsimplify(expression.head, rational=True),) * classes
    arguments = [columns(part, terminals, classes) for part in expression.arguments]
    if expression.head.class_axis:
        return tuple(expression.head.algebra(*arguments))  # type: ignore[arg-type]
    width = max(len(argument) for argument in arguments)
    rows = ([argument[k % len(argument)] for argument in arguments] for k in range(width))
    return tuple(expression.head.algebra(*row) for row in rows)


def _terminal(name: str, terminals: Sequence[Terminal]) -> Terminal:
    return next(terminal for terminal in terminals if terminal.name == name)


def plain(expression: Expression, terminals: Sequence[Terminal]) -> bool:
    """Whether what depends on the prediction is made of operators with which algebra is quick."""
    predicted = {terminal.name for terminal in terminals if terminal.predicted}
    nodes = (node.head for node in expression.walk() if node.names & predicted)
    return all(head.quick for head in nodes if isinstance(head, Operator))


def sign(formula: sympy.Expr) -> int | None:
    """1 where a formula is proved never to be negative, -1 never positive, 0 always zero; None where it is not known.

    The proof: every factor of numerator and denominator, expanded, has coefficients of one sign over generators that
    SymPy knows to be positive. So symbols must be declared positive, and a domain such as i < u be substituted.
    """
    numerator, denominator = sympy.fraction(sympy.together(formula))
    if numerator == 0:
        return 0
    result = 1
    for part in (numerator, denominator):
        for factor in sympy.Mul.make_args(part):
            one = _one_sign(factor)
            if one is None:
                return None
            result *= one
    return result


def _one_sign(factor: sympy.Expr) -> int | None:
    if factor.is_nonnegative:
        return 1
    if factor.is_nonpositive:
        return -1
    if factor.is_Pow and factor.exp.is_integer and factor.exp.is_even:
        return 1
    terms = sympy.Add.make_args(sympy.expand(factor))
    if all(term.is_nonnegative for term in terms):
        return 1
    return -1 if all(term.is_nonpositive for term in terms) else None


@unless_stuck
def limit(formula: sympy.Expr, name: sympy.Symbol, place: sympy.Expr) -> sympy.Expr | None:
    """Limit of a formula as a positive symbol goes to 0 or to infinity; None where SymPy finds none."""
    return sympy.limit(formula, name, place, "+" if place == 0 else "-")


def tidy(formula: sympy.Expr) -> sympy.Expr:
    """A formula of exponentials and fractions in its shortest form: over one fraction, what cancels cancelled."""
    return sympy.simplify(sympy.cancel(sympy.together(formula.rewrite([sympy.tanh], sympy.exp))))


def derivative(expression: Expression, terminals: Sequence[Terminal], name: str) -> sympy.Expr:
    """d formula / d input for a formula without class-axis operators.

    Raises:
        ValueError: the formula uses softmax or dot, whose derivative is not one expression.
    """
    if any(isinstance(node.head, Operator) and node.head.class_axis for node in expression.walk()):
        raise ValueError(
            f"{expression} works along the class axis; derive columns(expression, terminals, classes) instead"
        )
    return sympy.diff(columns(expression, terminals)[0], _terminal(name, terminals).symbol())


def simplified(expression: Expression, terminals: Sequence[Terminal]) -> sympy.Expr:
    """A shorter form that was checked: numerically equal to the formula on a probe, or the formula itself."""
    original = _display(expression, terminals)
    if any(isinstance(node.head, Operator) and node.head.class_axis for node in expression.walk()):
        return original
    short = sympy.simplify(original)
    names = sorted(expression.names)
    for shift in range(len(_PROBE)):
        point = {_terminal(name, terminals).symbol(): _PROBE[(k + shift) % len(_PROBE)] for k, name in enumerate(names)}
        before, after = sympy.N(original.subs(point)), sympy.N(short.subs(point))
        if not (before.is_number and after.is_number and abs(before - after) <= 1e-9 * (1 + abs(before))):
            return original
    return short


def latex(expression: Expression, terminals: Sequence[Terminal]) -> str:
    """The formula as LaTeX, as it was written (not simplified)."""
    formula = unless_stuck(_display)(expression, terminals)
    if formula is None:  # such as a division by i - i inside a maximum
        with sympy.evaluate(False):
            formula = _display(expression, terminals)
    return str(sympy.latex(formula))


def _display(expression: Expression, terminals: Sequence[Terminal]) -> sympy.Expr:
    """One expression for people: softmax and dot stay named functions."""
    if isinstance(expression.head, str):
        return _terminal(expression.head, terminals).symbol()
    if not isinstance(expression.head, Operator):
        with sympy.evaluate(True):
            return sympy.nsimplify(expression.head, rational=True)
    arguments = [_display(part, terminals) for part in expression.arguments]
    if expression.head.class_axis:
        return sympy.Function(OPERATORS[expression.head.name].name)(*arguments)
    return expression.head.algebra(*arguments)
