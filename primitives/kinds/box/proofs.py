"""What algebra says of a box loss, as plain values; only the process of SymPy calls these, so they need no torch."""

from __future__ import annotations

from typing import Any

import sympy

from primitives import symbolic
from primitives.operators import OPERATORS
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


def moved(tree: Tree, positive: Names, fixed: Names, pixels: bool) -> sympy.Expr:  # noqa: ARG001  see Case
    """A formula by the IoU q of a square box of the target's size that moves onto it along one side.

    Moved by s = (1 - q) / (1 + q) sides it has the intersection 1 - s; union and enclosing area are 1 + s.
    """
    q = sympy.Symbol("q", positive=True)
    shift = (1 - q) / (1 + q)
    nothing = sympy.Integer(0)
    at = {"i": 2 * q / (1 + q), "u": 2 / (1 + q), "e": 2 / (1 + q), "v": nothing, "dw": nothing, "dh": nothing}
    at |= {"g": (1 + shift) ** 2 + 1, "k": shift**2, "w": OPERATORS["stop"].algebra(q)}
    return _at(tree, positive, pixels, at, shift**2 / ((1 + shift) ** 2 + 1))


def grown(tree: Tree, positive: Names, fixed: Names, pixels: bool) -> sympy.Expr:  # noqa: ARG001  see Case
    """A formula by the IoU q of a concentric box of the target's shape and q of its area."""
    q = sympy.Symbol("q", positive=True)
    one, nothing, lacks = sympy.Integer(1), sympy.Integer(0), 1 - sympy.sqrt(q)
    at = {"i": q, "u": one, "e": one, "v": nothing, "dw": lacks, "dh": lacks}
    at |= {"g": 2 * one, "k": lacks**2 / 2, "w": OPERATORS["stop"].algebra(q)}
    return _at(tree, positive, pixels, at, nothing)


def _at(tree: Tree, positive: Names, pixels: bool, at: dict[str, Any], distance: sympy.Expr) -> sympy.Expr:
    unit = sympy.Symbol("A", positive=True) if pixels else sympy.Integer(1)
    values = {name: value * unit if name in positive else value for name, value in {**at, "d": distance}.items()}
    formula = symbolic.columns(tree, positive)[0]
    return formula.subs({symbolic.symbol(name, positive): value for name, value in values.items()})
