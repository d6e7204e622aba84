"""What algebra says of a class loss, as plain values; only the process of SymPy calls these, so they need no torch."""

from __future__ import annotations

import sympy

from primitives import symbolic
from primitives.symbolic import Case, Names, Tree

_ALIKE = 1e-6
_CLASSES = 3


def limits(tree: Tree, positive: Names) -> list[float]:
    """Limits of a sigmoid loss at w = 1: of the target column as its logit grows, of another as its logit falls."""
    ends = zip(_logit_formulas(tree, positive, False), ((sympy.oo, "-"), (sympy.Integer(0), "+")), strict=True)
    found = [sympy.limit(formula, t, place, side) for (formula, t), (place, side) in ends]
    return [float(limit) for limit in found if limit.is_number and limit.is_real]


def logit_signs(tree: Tree, positive: Names, background: bool, order: int) -> list[int | None]:
    """Signs of a derivative in the logit x = log t at w = 1: along the target, then along another."""
    signs = []
    for formula, t in _logit_formulas(tree, positive, background):
        slope = formula
        for _ in range(order):
            slope = t * sympy.diff(slope, t)
        signs.append(symbolic.sign(slope))
    return signs


def _logit_formulas(tree: Tree, positive: Names, background: bool) -> list[tuple[sympy.Expr, sympy.Symbol]]:
    """The loss at w = 1 over t = e^x > 0: along the target logit, then along another."""
    if not background:
        t = sympy.Symbol("t", positive=True)
        column = symbolic.columns(tree, positive)[0]
        names = [symbolic.symbol(name, positive) for name in ("y", "w", "x")]
        return [(column.subs(dict(zip(names, (hit, hit, sympy.log(t)), strict=True))), t) for hit in (1, 0)]
    ts = sympy.symbols(f"t:{_CLASSES}", positive=True)
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for k in range(_CLASSES):
        at = {"x": sympy.log(ts[k]), "y": sympy.Integer(k == 0), "w": sympy.Integer(1)}
        values.update({symbolic.symbol(name, positive, k): value for name, value in at.items()})
    total = sympy.Add(*symbolic.columns(tree, positive, _CLASSES)).subs(values)
    return [(total, ts[0]), (total, ts[1])]


def along(tree: Tree, positive: Names, fixed: Names, background: bool, hit: bool) -> sympy.Expr:  # noqa: ARG001
    """A formula by one logit x, that of the target or of another class; logits beside are 0, the box is right."""
    x = sympy.Symbol("x", real=True)
    if not background:
        here = sympy.Integer(hit)
        at = {"y": here, "w": here}
        return symbolic.columns(tree, positive)[0].subs({symbolic.symbol(name, positive): at[name] for name in at})
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for k in range(_CLASSES):
        logit = x if k == (0 if hit else 1) else sympy.Integer(0)
        one = {"x": logit, "y": sympy.Integer(k == 0), "w": sympy.Integer(1)}
        values.update({symbolic.symbol(name, positive, k): value for name, value in one.items()})
    return sympy.Add(*symbolic.columns(tree, positive, _CLASSES)).subs(values)


def of_sigmoid(tree: Tree, positive: Names, fixed: Names) -> sympy.Expr:  # noqa: ARG001  see Case
    """A formula for a positive: its column at the target."""
    return symbolic.columns(tree, positive)[0].subs(symbolic.symbol("y", positive), 1)


def of_softmax(tree: Tree, positive: Names, fixed: Names) -> sympy.Expr:
    """A formula for a positive of the first of two classes; what is given is the same in both columns."""
    classes = range(2)
    values = {symbolic.symbol("y", positive, k): sympy.Integer(k == 0) for k in classes}
    given = ((name, k) for name in fixed - {"y"} for k in classes)
    values |= {symbolic.symbol(name, positive, k): symbolic.symbol(name, positive) for name, k in given}
    return sympy.Add(*symbolic.columns(tree, positive, len(classes))).subs(values)


def weight(
    case: Case, tree: Tree, known: Tree, positive: Names, fixed: Names, background: bool, rest: float
) -> tuple[str, bool] | None:
    """The function of w by which a class loss is a known one weighted, and whether it holds beside positives, too.

    Args:
        case: what stands for a formula.
        tree: of the loss.
        known: of the known loss.
        positive: names of the inputs that are above 0.
        fixed: names of the inputs that are not predicted.
        background: whether there is a column for it.
        rest: the weight beside positives.
    """
    found, w = symbolic.ratio(case, tree, known, positive, fixed), symbolic.symbol("w", positive)
    if found is None or not found.free_symbols <= {w}:
        return None
    everywhere = background and abs(float(found.subs(w, 1)) - rest) < _ALIKE * rest
    scale = 1.0 if everywhere else rest
    return str(symbolic.tidy(found / sympy.nsimplify(round(scale, 9), rational=True))), everywhere
