"""What algebra says of a box loss, as plain values; only the process of SymPy calls these, so they need no torch."""

from __future__ import annotations

import sympy

from primitives import symbolic
from primitives.symbolic import Names, Tree


def perfect(tree: Tree, positive: Names) -> str | None:
    """Value of a formula in pixels where the boxes are equal, as text in their area A; None where it is a number."""
    area = sympy.Symbol("A", positive=True)
    value = symbolic.columns(tree, positive)[0].subs({symbolic.symbol(name, positive): area for name in positive})
    short = sympy.simplify(value)
    return str(short) if short.free_symbols else None


def slopes(tree: Tree, positive: Names, areas: tuple[str, str, str]) -> dict[str, int | None]:
    """Signs of the derivatives in the areas where intersection < union < enclosing area.

    Args:
        tree: the formula.
        positive: names of the inputs that are above 0.
        areas: names of the three, in this order.
    """
    i, p, q = sympy.symbols("i p q", positive=True)
    inner, union, outer = (symbolic.symbol(name, positive) for name in areas)
    domain = {union: i + p, outer: i + p + q, inner: i}
    formula = symbolic.columns(tree, positive)[0]
    return {str(area): symbolic.sign(sympy.diff(formula, area).subs(domain)) for area in (inner, union, outer)}
