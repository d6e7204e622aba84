"""Recognition: whether two losses are the same, by gradient and by algebra, and which known loss a formula is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import sympy
import torch
from torch import Tensor

from autoloss.gates import probes, sampling
from primitives import algebra
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.grammar import Grammar

_ALIKE = 1e-6  # relative difference of gradients that counts as none
_ALGEBRA_SIZE = 40  # nodes; algebra on larger formulas takes seconds


def identity(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[str, float]:
    """Direction of the gradient on the typical probe, as text, and the mean gradient norm.

    Losses that differ by a constant and a positive factor have one identity.
    """
    _, gradient = probes.typical(grammar).gradient(expression, alpha)
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
        ratio = _ratio(expression, same) if same.grammar == grammar.name else None
        how = algebra.PROVED if ratio is not None and ratio.is_number else "sampled on 256"
        found.append(Kinship(same, f"equal to {same.title} up to an affine map", how))
    relate = _same_direction if grammar.slot == "loss_bbox" else _weighted
    for known in KNOWN.values():
        if known != same and _family(known.grammar) == _family(grammar.name):
            kinship = relate(expression, grammar, alpha, known)
            if kinship:
                return (*found, kinship)
    return tuple(found)


def _same_direction(expression: Expression, grammar: Grammar, alpha: float | None, known: KnownLoss) -> Kinship | None:
    """Boxes go the same way under both losses, faster or slower: one is a function of the other."""
    _, mine = probes.typical(grammar).gradient(expression, alpha)
    _, other = probes.typical(GRAMMARS[known.grammar]).gradient(known.expression)
    ratio = mine.norm(dim=-1) / other.norm(dim=-1)
    if not bool((torch.cosine_similarity(mine, other) > 1 - _ALIKE).all()):
        return None
    ratio = ratio / ratio.mean()
    reach = f"weighted {float(ratio.min()):.2g} to {float(ratio.max()):.2g} times the mean"
    return Kinship(known, f"a function of {known.title} alone, {reach}", f"sampled on {len(ratio)}")


def _weighted(expression: Expression, grammar: Grammar, alpha: float | None, known: KnownLoss) -> Kinship | None:
    """A class loss times a function of w at positives, and times a constant elsewhere."""
    rows = probes.levels(grammar)
    (_, mine), (_, other) = rows.gradient(expression, alpha), rows.gradient(known.expression, known.alpha)
    positive = rows.inputs["y"].amax(-1) > 0 if grammar.name == "sigmoid" else rows.inputs["w"][:, 0] < 1
    ratio = mine / other.where(other != 0, torch.nan)
    columns = rows.inputs["y"] > 0 if grammar.name == "sigmoid" else positive[:, None].expand_as(ratio)
    rest = _constant(ratio[~columns])
    if rest is None or rest <= 0:
        return None
    weights = {}
    for w in sampling.W_LEVELS[:-1]:
        here = columns & (rows.inputs["w"] - w).abs().lt(1e-9)
        weight = _constant(ratio[here])
        if weight is None:
            return None
        weights[w] = weight / rest
    formula = _ratio(expression, known)
    if formula is not None and formula.free_symbols <= {_symbol("w")}:
        everywhere = grammar.name == "softmax"
        everywhere = everywhere and abs(float(formula.subs(_symbol("w"), 1)) - rest) < _ALIKE * rest
        shown = _tidy(formula, 1.0 if everywhere else rest)
        if shown is not None:
            where = "" if everywhere else " at positives"
            return Kinship(known, f"{known.title} weighted by {shown}{where}", algebra.PROVED)
    found = ", ".join(f"{weight:.3g} at w = {w:g}" for w, weight in weights.items())
    return Kinship(known, f"{known.title} weighted by {found} at positives", f"sampled on {len(ratio)}")


@algebra.unless_stuck
def _tidy(formula: sympy.Expr, scale: float) -> sympy.Expr | None:
    return algebra.tidy(formula / sympy.nsimplify(round(scale, 9), rational=True))


def _constant(values: Tensor) -> float | None:
    """The one value that all have, or None."""
    mean = float(values.mean())
    return mean if bool(((values - mean).abs() <= _ALIKE * abs(mean)).all()) else None


@algebra.unless_stuck
def _ratio(expression: Expression, known: KnownLoss) -> sympy.Expr | None:
    """Derivative of the formula over that of the known loss, where algebra finds it to be one for every input."""
    if max(expression.size, known.expression.size) > _ALGEBRA_SIZE:
        return None
    first, second = (_positive(formula, known.grammar) for formula in (expression, known.expression))
    ratio: sympy.Expr | None = None
    for name in sorted(first.free_symbols | second.free_symbols, key=str):
        if str(name) == "w":
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


def _positive(expression: Expression, grammar: str) -> sympy.Expr:
    """A box formula as it is; a class formula for a positive of the first of its classes."""
    if GRAMMARS[grammar].slot == "loss_bbox":
        return algebra.columns(expression, GRAMMARS[grammar].terminals)[0]
    w = _symbol("w")
    if grammar == "sigmoid":
        return algebra.columns(expression, GRAMMARS[grammar].terminals)[0].subs(_symbol("y"), 1)
    values = {f"y_{k}": sympy.Integer(k == 0) for k in range(2)} | {f"w_{k}": w for k in range(2)}
    total = sympy.Add(*algebra.columns(expression, GRAMMARS[grammar].terminals, 2))
    return total.subs({sympy.Symbol(name, real=True): value for name, value in values.items()})


@cache
def _known_identities() -> dict[tuple[str, str], KnownLoss]:
    """Known losses by slot family and identity; box grammars share one, for boxes are boxes."""
    found: dict[tuple[str, str], KnownLoss] = {}
    for known in KNOWN.values():
        name, _ = identity(known.expression, GRAMMARS[known.grammar], known.alpha)
        found.setdefault((_family(known.grammar), name), known)
    return found


def _family(grammar: str) -> str:
    return "box" if GRAMMARS[grammar].slot == "loss_bbox" else grammar


def recognise(name: str, grammar: Grammar) -> KnownLoss | None:
    """The known loss with this identity, or None."""
    return _known_identities().get((_family(grammar.name), name))


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
