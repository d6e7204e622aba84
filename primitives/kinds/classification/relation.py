"""Relation of a class loss to a known one: that loss times a function of w at positives, and a constant elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import sympy
import torch
from torch import Tensor

from primitives import algebra
from primitives.kinds.classification import samples
from primitives.kinds.classification.samples import W_LEVELS
from primitives.kinds.classification.scores import W, Y
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.probe import Probe
from primitives.kinds.terminal import Terminal

_ALIKE = 1e-6  # relative difference of gradients that counts as none


@cache
def _levels(kind: Kind, terminals: tuple[Terminal, ...], background: bool) -> Probe:
    return kind.probe(kind.given(samples.levels(background), terminals), terminals, torch.float64)


def weighted(
    kind: Kind, formula: Formula, known: Formula, title: str, background: bool, ratio: Callable[[], sympy.Expr | None]
) -> tuple[str, str] | None:
    """See Kind.related."""
    rows = _levels(kind, formula.terminals, background)
    (_, mine), (_, other) = (
        rows.gradient(formula.expression, formula.alpha),
        rows.gradient(known.expression, known.alpha),
    )
    w, y = rows.inputs[W.name], rows.inputs[Y.name]
    positive = w[:, 0] < 1 if background else y.amax(-1) > 0
    factor = mine / other.where(other != 0, torch.nan)
    columns = positive[:, None].expand_as(factor) if background else y > 0
    rest = _constant(factor[~columns])
    if rest is None or rest <= 0:
        return None
    weights = {}
    for level in W_LEVELS[:-1]:
        weight = _constant(factor[columns & (w - level).abs().lt(1e-9)])
        if weight is None:
            return None
        weights[level] = weight / rest
    found = ratio()
    if found is not None and found.free_symbols <= {W.symbol()}:
        everywhere = background and abs(float(found.subs(W.symbol(), 1)) - rest) < _ALIKE * rest
        shown = _tidy(found, 1.0 if everywhere else rest)
        if shown is not None:
            where = "" if everywhere else " at positives"
            return f"{title} weighted by {shown}{where}", algebra.PROVED
    text = ", ".join(f"{weight:.3g} at w = {level:g}" for level, weight in weights.items())
    return f"{title} weighted by {text} at positives", f"sampled on {len(factor)}"


@algebra.unless_stuck
def _tidy(formula: sympy.Expr, scale: float) -> sympy.Expr | None:
    return algebra.tidy(formula / sympy.nsimplify(round(scale, 9), rational=True))


def _constant(values: Tensor) -> float | None:
    """The one value that all have, or None."""
    mean = float(values.mean())
    return mean if bool(((values - mean).abs() <= _ALIKE * abs(mean)).all()) else None


def one_positive(formula: Formula, background: bool) -> sympy.Expr:
    """A formula for a positive of the first of its classes."""
    if not background:
        return algebra.columns(formula.expression, formula.terminals)[0].subs(Y.symbol(), 1)
    classes = range(2)
    values = {Y.symbol(k): sympy.Integer(k == 0) for k in classes}
    values |= {one.symbol(k): one.symbol() for one in formula.terminals if one.given for k in classes}
    return sympy.Add(*algebra.columns(formula.expression, formula.terminals, len(classes))).subs(values)
