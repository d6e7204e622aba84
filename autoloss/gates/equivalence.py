"""Equivalence: whether two losses are the same, by gradient and by algebra, and which known loss a formula is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from autoloss.candidate import Loss
from primitives import algebra, symbolic
from primitives.algebra import Answer
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.formula import Formula
from primitives.kinds.kind import TYPICAL, Kind

_SOME = 1e-3  # of the mean gradient
_ALGEBRA_SIZE = 40  # nodes; algebra on larger formulas takes seconds


def identity(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[str, float]:
    """Direction of the gradient on the typical probe, as text, and the mean gradient norm where all is as usual.

    Losses that differ by a constant and a positive factor have one identity.
    """
    kind, terminals = grammar.kind, grammar.terminals
    _, gradient = kind.typical(terminals).gradient(expression, alpha)
    usual = gradient
    if any(one.usual and one.name in expression.names for one in terminals):
        _, usual = kind.usual(terminals).gradient(expression, alpha)
    norm = float(usual.norm(dim=-1).mean())
    flat = gradient.flatten()
    length = float(flat.norm())
    if not (length > 0 and norm > 0 and torch.isfinite(flat).all() and torch.isfinite(usual).all()):
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
        how: `proved`, or `sampled on N`, which says so where SymPy took too long for a proof.
    """

    known: KnownLoss
    relation: str
    how: str


def kin(expression: Expression, grammar: Grammar, alpha: float | None = None, name: str = "") -> tuple[Kinship, ...]:
    """The known losses that a formula is, up to an affine map, or up to a weight; at most one of each.

    Gradients on a probe find them, algebra proves it where it can; `name` is the identity where it is known already.
    """
    found, mine = [], grammar.formula(expression, alpha)
    same = recognise(name or identity(expression, grammar, alpha)[0], grammar)
    affine = _affine(mine, grammar, same) if same else Answer[bool](None)
    if same and not (affine.value or _agrees(expression, grammar, alpha, same)):
        same = None
    if same:
        how = algebra.PROVED if affine.value else affine.otherwise(f"sampled on {TYPICAL}")
        found.append(Kinship(same, f"equal to {same.title} up to an affine map", how))
    for known in KNOWN.values():
        rules = GRAMMARS[known.grammar]
        if known == same or rules.kind is not grammar.kind:
            continue
        other = rules.formula(known.expression, known.alpha)
        related = grammar.kind.related(mine, other, known.title, partial(_prove, mine, other, grammar.kind))
        if related:
            return (*found, Kinship(known, *related))
    return tuple(found)


def _affine(mine: Formula, grammar: Grammar, known: KnownLoss) -> Answer[bool]:
    """Whether a formula is a known loss up to an affine map, by algebra."""
    rules = GRAMMARS[known.grammar]
    if not grammar.holds(rules):
        return Answer(None)
    return _prove(mine, rules.formula(known.expression), grammar.kind, symbolic.affine)


def _prove(mine: Formula, other: Formula, kind: Kind, question: Callable[..., Any], *more: object) -> Answer[Any]:
    """What algebra says of a formula beside a known loss."""
    if max(mine.expression.size, other.expression.size) > _ALGEBRA_SIZE:
        return Answer(None)
    trees = (mine.expression.tree, other.expression.tree)
    return algebra.ask(question, kind.case, *trees, mine.positive | other.positive, mine.fixed | other.fixed, *more)


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


@lru_cache(maxsize=1024)
def recognised(loss: Loss) -> KnownLoss | None:
    """The known loss that a loss is, up to an affine map."""
    known = recognise(identity(loss.expression, loss.grammar, loss.alpha)[0], loss.grammar)
    if known is None or _agrees(loss.expression, loss.grammar, loss.alpha, known):
        return known
    mine = loss.grammar.formula(loss.expression, loss.alpha)
    return known if _affine(mine, loss.grammar, known).value else None


def _agrees(expression: Expression, grammar: Grammar, alpha: float | None, known: KnownLoss) -> bool:
    """Whether a formula with the identity of a known loss has no gradient where that has none, on the whole probe.

    Boxes that do not overlap are on that alone: a term that is flat everywhere else may pull there.
    """
    rules = GRAMMARS[known.grammar]
    mine, other = (
        one.kind.whole(one.terminals).gradient(formula, weight)[1].double() / identity(formula, one, weight)[1]
        for formula, one, weight in ((expression, grammar, alpha), (known.expression, rules, known.alpha))
    )
    return not bool(((mine.norm(dim=-1) > _SOME) & (other.norm(dim=-1) == 0)).any())
