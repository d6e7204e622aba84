"""Recognition: whether two losses are the same, by gradient and by algebra, and which known loss a formula is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, partial

import sympy
import torch
from torch import Tensor

from primitives import algebra
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.kind import TYPICAL, Kind

_ALGEBRA_SIZE = 40  # nodes; algebra on larger formulas takes seconds


def identity(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[str, float]:
    """Direction of the gradient on the typical probe, as text, and the mean gradient norm.

    Losses that differ by a constant and a positive factor have one identity.
    """
    _, gradient = grammar.kind.typical(grammar.terminals).gradient(expression, alpha)
    norm = float(gradient.norm(dim=-1).mean())
    flat = gradient.flatten()
    length = float(flat.norm())
    if not (length > 0 and torch.isfinite(flat).all()):
        return "", 0.0
    shadow = (_directions(len(flat)) @ (flat / length)).mul(1e4).round().to(torch.int64)
    return hashlib.sha256(shadow.numpy().tobytes()).hexdigest()[:16], norm


@cache
def _directions(length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randn(8, length, generator=generator, dtype=torch.float64)


@dataclass(frozen=True)
class Kinship:
    """What a formula has to do with a known loss.

    Args:
        known: the loss.
        relation: in words.
        how: `proved`, or `sampled on N`.
    """

    known: KnownLoss
    relation: str
    how: str


def kin(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[Kinship, ...]:
    """The known losses that a formula is, up to an affine map, or up to a weight; at most one of each.

    Gradients on a probe find them, algebra proves it where it can.
    """
    found = []
    name, _ = identity(expression, grammar, alpha)
    same = recognise(name, grammar)
    if same:
        factor = _ratio(expression, grammar, same) if same.grammar == grammar.name else None
        how = algebra.PROVED if factor is not None and factor.is_number else f"sampled on {TYPICAL}"
        found.append(Kinship(same, f"equal to {same.title} up to an affine map", how))
    mine = grammar.formula(expression, alpha)
    for known in KNOWN.values():
        rules = GRAMMARS[known.grammar]
        if known == same or rules.kind is not grammar.kind:
            continue
        other, ratio = rules.formula(known.expression, known.alpha), partial(_ratio, expression, grammar, known)
        related = grammar.kind.related(mine, other, known.title, ratio)
        if related:
            return (*found, Kinship(known, *related))
    return tuple(found)


@algebra.unless_stuck
def _ratio(expression: Expression, grammar: Grammar, known: KnownLoss) -> sympy.Expr | None:
    """Derivative of the formula over that of the known loss, where algebra finds it to be one for every input."""
    if max(expression.size, known.expression.size) > _ALGEBRA_SIZE:
        return None
    kind, rules = grammar.kind, GRAMMARS[known.grammar]
    first, second = kind.algebra(grammar.formula(expression)), kind.algebra(rules.formula(known.expression))
    fixed = {terminal.name for terminal in grammar.terminals if not terminal.predicted}
    ratio: sympy.Expr | None = None
    for name in sorted(first.free_symbols | second.free_symbols, key=str):
        if str(name) in fixed:
            continue
        below = sympy.diff(second, name)
        if below == 0:
            if sympy.simplify(sympy.diff(first, name)) != 0:
                return None
            continue
        here = algebra.tidy(sympy.diff(first, name) / below)
        if ratio is not None and sympy.simplify(here - ratio) != 0:
            return None
        ratio = here
    return ratio


@cache
def _known_identities(kind: Kind) -> dict[str, KnownLoss]:
    """Known losses of a kind by identity, whatever their grammar: boxes are boxes."""
    found: dict[str, KnownLoss] = {}
    for known in KNOWN.values():
        rules = GRAMMARS[known.grammar]
        if rules.kind is kind:
            found.setdefault(identity(known.expression, rules, known.alpha)[0], known)
    return found


def recognise(name: str, grammar: Grammar) -> KnownLoss | None:
    """The known loss with this identity, or None."""
    return _known_identities(grammar.kind).get(name)
