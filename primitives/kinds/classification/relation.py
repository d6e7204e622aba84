"""Relation of a class loss to a known one: that loss times a function of w at positives, and a constant elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from primitives import algebra
from primitives.algebra import Answer
from primitives.kinds.classification import proofs, samples
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
    kind: Kind, formula: Formula, known: Formula, title: str, background: bool, prove: Callable[..., Answer[Any]]
) -> tuple[str, str] | None:
    """See Kind.related."""
    rows = _levels(kind, formula.terminals, background)
    _, mine = rows.gradient(formula.expression, formula.alpha)
    _, other = _levels(kind, known.terminals, background).gradient(known.expression, known.alpha)
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
    proved = prove(proofs.weight, background, rest)
    if proved.value:
        shown, everywhere = proved.value
        where = "" if everywhere else " at positives"
        return f"{title} weighted by {shown}{where}", algebra.PROVED
    text = ", ".join(f"{weight:.3g} at w = {level:g}" for level, weight in weights.items())
    return f"{title} weighted by {text} at positives", proved.otherwise(f"sampled on {len(factor)}")


def _constant(values: Tensor) -> float | None:
    """The one value that all have, or None."""
    mean = float(values.mean())
    return mean if bool(((values - mean).abs() <= _ALIKE * abs(mean)).all()) else None
