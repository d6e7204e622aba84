"""Proofs: what algebra says of a loss, as plain values; `algebra.ask` calls these in the process of SymPy, no torch."""

from __future__ import annotations

import sympy

from primitives import symbolic
from primitives.symbolic import Tree

_ALIKE = 1e-6


def perfect(tree: Tree, names: list[str]) -> str | None:
    """Value of a formula in pixels where the boxes are equal, as text in their area A; None where it is a number."""
    area = sympy.Symbol("A", positive=True)
    value = symbolic.columns(tree)[0].subs({symbolic.symbol(name): area for name in names})
    short = sympy.simplify(value)
    return str(short) if short.free_symbols else None


def box_slopes(tree: Tree) -> dict[str, int | None]:
    """Signs of the derivatives in i, u and e where i < u < e."""
    i, p, q = sympy.symbols("i p q", positive=True)
    domain = {symbolic.symbol("u"): i + p, symbolic.symbol("e"): i + p + q, symbolic.symbol("i"): i}
    formula = symbolic.columns(tree)[0]
    return {name: symbolic.sign(sympy.diff(formula, symbolic.symbol(name)).subs(domain)) for name in ("i", "u", "e")}


def limits(tree: Tree) -> list[float]:
    """Limits of a sigmoid loss at w = 1: of the target column as its logit grows, of another as its logit falls."""
    ends = zip(_logit_formulas(tree, "sigmoid"), ((sympy.oo, "-"), (sympy.Integer(0), "+")), strict=True)
    found = [sympy.limit(formula, t, place, side) for (formula, t), (place, side) in ends]
    return [float(limit) for limit in found if limit.is_number and limit.is_real]


def logit_signs(tree: Tree, grammar: str, order: int) -> list[int | None]:
    """Signs of a derivative in the logit x = log t at w = 1: along the target, then along another."""
    signs = []
    for formula, t in _logit_formulas(tree, grammar):
        slope = formula
        for _ in range(order):
            slope = t * sympy.diff(slope, t)
        signs.append(symbolic.sign(slope))
    return signs


def _logit_formulas(tree: Tree, grammar: str) -> list[tuple[sympy.Expr, sympy.Symbol]]:
    """The loss at w = 1 over t = e^x > 0: along the target logit, then along another."""
    if grammar == "sigmoid":
        t = sympy.Symbol("t", positive=True)
        column = symbolic.columns(tree)[0]
        names = [symbolic.symbol(name) for name in ("y", "w", "x")]
        return [(column.subs(dict(zip(names, (hit, hit, sympy.log(t)), strict=True))), t) for hit in (1, 0)]
    classes, ts = 3, sympy.symbols("t:3", positive=True)
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for k in range(classes):
        at = {"x": sympy.log(ts[k]), "y": sympy.Integer(k == 0), "w": sympy.Integer(1)}
        values.update({sympy.Symbol(f"{name}_{k}", real=True): value for name, value in at.items()})
    total = sympy.Add(*symbolic.columns(tree, classes)).subs(values)
    return [(total, ts[0]), (total, ts[1])]


def affine(tree: Tree, known: Tree, grammar: str) -> bool:
    """Whether a loss is a known one up to an affine map."""
    ratio = _ratio(tree, known, grammar)
    return ratio is not None and bool(ratio.is_number)


def weight(tree: Tree, known: Tree, grammar: str, rest: float) -> tuple[str, bool] | None:
    """The function of w by which a class loss is a known one weighted, and whether it holds beside positives, too.

    Args:
        tree: of the loss.
        known: of the known loss.
        grammar: of the known loss.
        rest: the weight beside positives.
    """
    ratio, w = _ratio(tree, known, grammar), symbolic.symbol("w")
    if ratio is None or not ratio.free_symbols <= {w}:
        return None
    everywhere = grammar == "softmax" and abs(float(ratio.subs(w, 1)) - rest) < _ALIKE * rest
    scale = 1.0 if everywhere else rest
    return str(symbolic.tidy(ratio / sympy.nsimplify(round(scale, 9), rational=True))), everywhere


def _ratio(tree: Tree, known: Tree, grammar: str) -> sympy.Expr | None:
    """Derivative of the formula over that of the known loss, where algebra finds it to be one for every input."""
    first, second = (_positive(formula, grammar) for formula in (tree, known))
    ratio: sympy.Expr | None = None
    for name in sorted(first.free_symbols | second.free_symbols, key=str):
        if str(name) == "w":
            continue
        below = sympy.diff(second, name)
        if below == 0:
            if sympy.simplify(sympy.diff(first, name)) != 0:
                return None
            continue
        here = symbolic.tidy(sympy.diff(first, name) / below)
        if ratio is not None and sympy.simplify(here - ratio) != 0:
            return None
        ratio = here
    return ratio


def _positive(tree: Tree, grammar: str) -> sympy.Expr:
    """A box formula as it is; a class formula for a positive of the first of its classes."""
    if grammar not in ("softmax", "sigmoid"):
        return symbolic.columns(tree)[0]
    if grammar == "sigmoid":
        return symbolic.columns(tree)[0].subs(symbolic.symbol("y"), 1)
    w = symbolic.symbol("w")
    values = {f"y_{k}": sympy.Integer(k == 0) for k in range(2)} | {f"w_{k}": w for k in range(2)}
    total = sympy.Add(*symbolic.columns(tree, 2))
    return total.subs({sympy.Symbol(name, real=True): value for name, value in values.items()})
