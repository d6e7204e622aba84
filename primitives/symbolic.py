"""Symbolic: a formula as SymPy sees it. SymPy has no bound on time: only `algebra`'s process of its own runs this.

Formulas come as trees of plain values (`Expression.tree`), so that the process needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

Tree = str | float | tuple[object, ...]
Column = tuple[sympy.Expr, ...]
_POSITIVE = frozenset("iue")
_HALF = sympy.Rational(1, 2)

TWINS: dict[str, Callable[..., sympy.Expr]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "exp": sympy.exp,
    "log": sympy.log,
    "abs": sympy.Abs,
    "sqrt": sympy.sqrt,
    "softplus": lambda a: sympy.log(1 + sympy.exp(a)),
    "sigmoid": lambda a: 1 / (1 + sympy.exp(-a)),
    "gd": lambda a: _HALF + 2 / sympy.pi * sympy.atan(sympy.tanh(sympy.pi * a / 8)),
    "alf": lambda a: _HALF + a / (2 * sympy.sqrt(4 + a**2)),
    "erf": lambda a: (sympy.erf(sympy.sqrt(sympy.pi) * a / 4) + 1) / 2,
    "erfc": lambda a: sympy.erfc(sympy.sqrt(sympy.pi) * a / 4) / 2,
    "tanh": sympy.tanh,
    "relu": lambda a: sympy.Max(a, 0),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "square": lambda a: a**2,
    "min": sympy.Min,
    "max": sympy.Max,
}
"""What an operator is in SymPy, without the protections of its tensor function (1e-20, the clamp at 88)."""


def _softmax(a: Column) -> Column:
    total = sympy.Add(*[sympy.exp(item) for item in a])
    return tuple(sympy.exp(item) / total for item in a)


def _dot(a: Column, b: Column) -> Column:
    width = max(len(a), len(b))
    return (sympy.Add(*[a[k % len(a)] * b[k % len(b)] for k in range(width)]),)


COLUMN_TWINS: dict[str, Callable[..., Column]] = {"softmax": _softmax, "dot": _dot}
"""The same for operators along the class axis, of columns."""


def symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of an input; areas are positive, the rest real."""
    return sympy.Symbol(name, positive=True) if name in _POSITIVE else sympy.Symbol(name, real=True)


def columns(tree: Tree, classes: int = 1) -> Column:
    """The formula per class: a column of SymPy expressions over inputs x_0, x_1, ... (plain names for one class).

    Args:
        tree: the formula.
        classes: length of the class axis.
    """
    if isinstance(tree, str):
        return (
            (symbol(tree),) if classes == 1 else tuple(sympy.Symbol(f"{tree}_{k}", real=True) for k in range(classes))
        )
    if not isinstance(tree, tuple):
        return (sympy.nsimplify(tree, rational=True),) * classes
    head, *parts = tree
    arguments = [columns(part, classes) for part in parts]  # type: ignore[arg-type]
    if head in COLUMN_TWINS:
        return COLUMN_TWINS[str(head)](*arguments)
    width = max(len(argument) for argument in arguments)
    rows = ([argument[k % len(argument)] for argument in arguments] for k in range(width))
    return tuple(TWINS[str(head)](*row) for row in rows)


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


def latex(tree: Tree) -> str:
    """The formula as LaTeX, as it was written (not simplified); softmax and dot stay named functions."""
    try:
        formula = _display(tree)
    except Exception:  # of any kind, such as for a division by i - i inside a maximum
        with sympy.evaluate(False):
            formula = _display(tree)
    return str(sympy.latex(formula))


def _display(tree: Tree) -> sympy.Expr:
    if isinstance(tree, str):
        return symbol(tree)
    if not isinstance(tree, tuple):
        with sympy.evaluate(True):
            return sympy.nsimplify(tree, rational=True)
    head, *parts = tree
    arguments = [_display(part) for part in parts]  # type: ignore[arg-type]
    return sympy.Function(head)(*arguments) if head in COLUMN_TWINS else TWINS[str(head)](*arguments)
