"""Symbolic: a formula as SymPy sees it. SymPy has no bound on time: only `algebra`'s process of its own runs this.

Formulas come as trees of plain values (`Expression.tree`), so that the process needs no torch. The protections of the
tensor functions (1e-20 in log and div, exp clamped at 88) have no place here.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

from primitives.operators import OPERATORS, Column

Tree = str | float | tuple[object, ...]
Names = frozenset[str]
Case = Callable[[Tree, Names, Names], sympy.Expr]
"""From a formula, the names of its positive inputs and of those that are not predicted, to one SymPy expression."""


def symbol(name: str, positive: Names, column: int | None = None) -> sympy.Symbol:
    """The SymPy symbol of an input, or of one class's column of it; real where it is not positive."""
    called = name if column is None else f"{name}_{column}"
    return sympy.Symbol(called, positive=True) if name in positive else sympy.Symbol(called, real=True)


def columns(tree: Tree, positive: Names, classes: int = 1) -> Column:
    """The formula per class: a column of SymPy expressions over inputs x_0, x_1, ... (plain names for one class).

    Args:
        tree: the formula.
        positive: names of the inputs that are above 0.
        classes: length of the class axis.
    """
    if isinstance(tree, str):
        return (symbol(tree, positive),) if classes == 1 else tuple(symbol(tree, positive, k) for k in range(classes))
    if not isinstance(tree, tuple):
        return (sympy.nsimplify(tree, rational=True),) * classes
    head, *parts = tree
    operator = OPERATORS[str(head)]
    arguments = [columns(part, positive, classes) for part in parts]  # type: ignore[arg-type]
    if operator.class_axis:
        return tuple(operator.algebra(*arguments))  # type: ignore[arg-type]
    width = max(len(argument) for argument in arguments)
    rows = ([argument[k % len(argument)] for argument in arguments] for k in range(width))
    return tuple(operator.algebra(*row) for row in rows)


def whole(tree: Tree, positive: Names, fixed: Names) -> sympy.Expr:  # noqa: ARG001  see Case
    """The formula as it is, where it has no class axis."""
    return columns(tree, positive)[0]


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


def tidy(formula: sympy.Expr) -> sympy.Expr:
    """A formula of exponentials and fractions in its shortest form: over one fraction, what cancels cancelled."""
    return sympy.simplify(sympy.cancel(sympy.together(formula.rewrite([sympy.tanh], sympy.exp))))


def affine(case: Case, tree: Tree, known: Tree, positive: Names, fixed: Names) -> bool:
    """Whether a loss is another up to an affine map."""
    found = ratio(case, tree, known, positive, fixed)
    return found is not None and bool(found.is_number)


def ratio(case: Case, tree: Tree, known: Tree, positive: Names, fixed: Names) -> sympy.Expr | None:
    """Derivative of a formula over that of another, where algebra finds it to be one for every predicted input."""
    first, second = (case(formula, positive, fixed) for formula in (tree, known))
    found: sympy.Expr | None = None
    for name in sorted(first.free_symbols | second.free_symbols, key=str):
        if str(name) in fixed:
            continue
        below = sympy.diff(second, name)
        if below == 0:
            if sympy.simplify(sympy.diff(first, name)) != 0:
                return None
            continue
        here = tidy(sympy.diff(first, name) / below)
        if found is not None and sympy.simplify(here - found) != 0:
            return None
        found = here
    return found


def latex(tree: Tree, positive: Names) -> str:
    """The formula as LaTeX, as it was written (not simplified); softmax and dot stay named functions."""
    return str(sympy.latex(display(tree, positive)))


def pretty(tree: Tree, positive: Names) -> str:
    """The same in lines of Unicode."""
    return str(sympy.pretty(display(tree, positive), use_unicode=True, wrap_line=False))


def display(tree: Tree, positive: Names) -> sympy.Expr:
    """The formula as SymPy shows it."""
    try:
        return _display(tree, positive)
    except Exception:  # of any kind, such as for a division by i - i inside a maximum
        with sympy.evaluate(False):
            return _display(tree, positive)


def derivative(case: Case, tree: Tree, positive: Names, fixed: Names, name: str, short: bool) -> sympy.Expr:
    """The derivative of a formula by one symbol.

    Args:
        case: what stands for the formula.
        tree: the formula.
        positive: names of the inputs that are above 0.
        fixed: names of the inputs that are not predicted.
        name: of the symbol.
        short: whether it is simplified, which may take long.
    """
    formula = case(tree, positive, fixed)
    by = next((one for one in formula.free_symbols if str(one) == name), None)
    found = sympy.Integer(0) if by is None else sympy.diff(formula, by)
    return min((found, sympy.simplify(found)), key=sympy.count_ops) if short else found


def derivative_texts(case: Case, tree: Tree, positive: Names, fixed: Names, name: str, short: bool) -> tuple[str, str]:
    """The same as text and as LaTeX."""
    found = derivative(case, tree, positive, fixed, name, short)
    return str(found), str(sympy.latex(found))


def _display(tree: Tree, positive: Names) -> sympy.Expr:
    if isinstance(tree, str):
        return symbol(tree, positive)
    if not isinstance(tree, tuple):
        with sympy.evaluate(True):
            return sympy.nsimplify(tree, rational=True)
    head, *parts = tree
    operator = OPERATORS[str(head)]
    arguments = [_display(part, positive) for part in parts]  # type: ignore[arg-type]
    return sympy.Function(head)(*arguments) if operator.class_axis else operator.algebra(*arguments)
