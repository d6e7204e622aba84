"""Inspection: a formula seen from all sides, as plain values: algebra, ways to the optimum, and its nearest kin."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.candidate import Loss
from autoloss.gates.analysis import examined
from autoloss.gates.equivalence import recognised
from primitives import algebra, symbolic
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.forms.simplify import simplified
from primitives.grammar import Grammar
from primitives.kinds.course import Way
from primitives.kinds.formula import Formula
from primitives.symbolic import Case

SECONDS = 5.0
"""Of SymPy for one question."""
_PLACES = 401
_EDGE = 1e-6
"""From an end of a way, as a share of it, where its slope is taken: at the ends themselves inputs have kinks."""
_TINY = 1e-60
"""Length of a gradient in float64 that has a direction still."""
_FLAT, _STRAIGHT = 1e-12, 1e-9


def inspected(expression: Expression, grammar: Grammar, alpha: float | None = None) -> dict[str, Any]:
    """What is known of a formula: gates and certificates, and beside them what algebra and its curves say.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula; curves and gates heed it, algebra is about the formula alone.

    Returns:
        Plain values. Where SymPy does not come to an end, `cause` says so, and what it was asked for is None.
    """
    found = examined(expression, grammar, alpha)
    short = grammar.formula(simplified(expression, grammar), alpha)
    return {
        **found,
        **algebra_of(grammar.formula(expression, alpha), short, grammar),
        "ways": [_along(one, short, grammar) for one in grammar.kind.ways(grammar.terminals)],
        "nearest": nearest(expression, grammar, alpha),
    }


def algebra_of(formula: Formula, short: Formula, grammar: Grammar) -> dict[str, Any]:
    """The formula as SymPy shows it, and its derivatives by every input that a prediction changes."""
    pretty = algebra.ask(symbolic.pretty, formula.expression.tree, formula.positive, seconds=SECONDS)
    case = case_of(short, grammar)
    names = [one.name for one in short.terminals if one.predicted]
    by = [(name, symbol_of(name, short, grammar)) for name in names if name in formula.expression.names]
    return {
        "pretty": {"value": pretty.value, "cause": pretty.cause},
        "latex": algebra.latex(formula.expression, formula.terminals),
        "simplified latex": algebra.latex(short.expression, formula.terminals),
        "derivatives": [{"by": name, **_derivative(case, short, symbol)} for name, symbol in by],
    }


def case_of(formula: Formula, grammar: Grammar) -> Case:
    """The formula itself where every class stands alone, else what its kind compares by: a positive of two classes."""
    return symbolic.whole if formula.by_column else grammar.kind.case


def symbol_of(name: str, formula: Formula, grammar: Grammar) -> str:
    """What SymPy calls an input; of classes that hang together the first is the target."""
    return name if formula.by_column else name + grammar.kind.of_target


def _derivative(case: Case, formula: Formula, symbol: str) -> dict[str, Any]:
    """A derivative, simplified where SymPy comes to an end with it."""
    arguments = (case, formula.expression.tree, formula.positive, formula.fixed, symbol)
    found = algebra.ask(symbolic.derivative_texts, *arguments, True, seconds=SECONDS)
    cause = found.cause and f"not simplified: {found.cause}"
    if found.value is None:
        found = algebra.ask(symbolic.derivative_texts, *arguments, False, seconds=SECONDS)
    if found.value is None:
        return {"text": None, "latex": None, "cause": found.cause or "SymPy finds none"}
    return {"text": found.value[0], "latex": found.value[1], "cause": cause}


def _along(way: Way, formula: Formula, grammar: Grammar) -> dict[str, Any]:
    """The loss as a function of one number: value and slope at both ends, where it falls, where it is convex."""
    span = way.optimum - way.far
    share = torch.linspace(_EDGE, 1 - _EDGE, _PLACES, dtype=torch.float64)
    place = way.far + span * share
    _, slope = _curve(way, formula, grammar, place)
    values, _ = _curve(way, formula, grammar, place.new_tensor([way.far, way.optimum]))
    ends = {
        name: {"at": at, **_finite(value=values[index], slope=slope[index])}
        for name, at, index in (("far end", way.far, 0), ("optimum", way.optimum, -1))
    }
    order = place.argsort()
    scale = float(slope.abs().max()) if bool(torch.isfinite(slope).all()) else 0.0
    steps = slope[order].diff()
    rounding = _STRAIGHT * (slope[order][1:].abs() + slope[order][:-1].abs())
    return {
        "text": way.text,
        "by": way.name,
        "derivative": {"by": way.symbol, **_derivative(way.case, formula, way.symbol)},
        **ends,
        "falls": _where(place[order], (slope < -_FLAT * scale)[order]),
        "rises": _where(place[order], (slope > _FLAT * scale)[order]),
        "convex": _where(place[order], steps >= -rounding),
        "how": f"sampled at {_PLACES} places",
    }


def _curve(way: Way, formula: Formula, grammar: Grammar, place: Tensor) -> tuple[Tensor, Tensor]:
    """Losses at places of a way, and their derivatives."""
    place = place.clone().requires_grad_()
    inputs = way.inputs(place)
    loss = grammar.kind.losses(formula.expression(inputs), inputs, formula.alpha).expand(place.shape)
    (slope,) = torch.autograd.grad(loss.sum(), place, allow_unused=True) if loss.requires_grad else (None,)
    return loss.detach(), torch.zeros_like(place) if slope is None else slope.detach()


def _finite(**numbers: Tensor) -> dict[str, float | None]:
    """Plain numbers, None where they are not finite."""
    return {name: float(one) + 0.0 if bool(torch.isfinite(one)) else None for name, one in numbers.items()}


def _where(place: Tensor, true: Tensor) -> list[list[float]]:
    """Intervals in which something is true: at both ends of every step between two places, or of every step itself."""
    whole = true if len(true) < len(place) else true[1:] & true[:-1]
    places, last = [round(at, 4) + 0.0 for at in place.tolist()], False
    found: list[list[float]] = []
    for start, end, here in zip(places, places[1:], whole.tolist(), strict=False):
        if here and last:
            found[-1][1] = end
        elif here:
            found.append([start, end])
        last = here
    return found


def nearest(expression: Expression, grammar: Grammar, alpha: float | None = None) -> dict[str, Any] | None:
    """The known loss whose gradients point the most alike, and how it differs; None of a formula without a gradient."""
    _, mine = grammar.kind.typical(grammar.terminals).gradient(expression, alpha)
    if not bool(torch.isfinite(mine).all()) or not bool(mine.any()):
        return None
    same = recognised(Loss(expression, grammar, alpha=alpha))
    kin = [one for one in KNOWN.values() if GRAMMARS[one.grammar].kind is grammar.kind]
    like, known = max(((_alike(mine, _slopes(one)[1]), one) for one in kin), key=lambda pair: pair[0])
    known = same or known
    loss, other = _slopes(known)
    strength = mine.norm(dim=-1) / mine.norm(dim=-1).mean(), other.norm(dim=-1) / other.norm(dim=-1).mean()
    bad = loss > loss.median()
    worse, better = (float(strength[0][part].mean() / strength[1][part].mean()) for part in (bad, ~bad))
    differs = (
        f"its gradients lie at a mean cosine of {like:.3f} to those of {known.title}; on the worse half of the "
        f"predictions they are {worse:.2f} times as strong, on the better half {better:.2f} times, each beside its mean"
    )
    return {
        "name": known.name,
        "title": known.title,
        "source": known.source,
        "equal": same is not None,
        "cosine": _alike(mine, other),
        "worse half": worse,
        "better half": better,
        "differs": "by an affine map at most" if same else differs,
    }


def _slopes(known: KnownLoss) -> tuple[Tensor, Tensor]:
    rules = GRAMMARS[known.grammar]
    return rules.kind.typical(rules.terminals).gradient(known.expression, known.alpha)


def _alike(first: Tensor, second: Tensor) -> float:
    """Mean cosine between gradients, sample by sample; 1 where both are 0."""
    still = ~(first.any(-1) | second.any(-1))
    return float(torch.cosine_similarity(first, second, dim=-1, eps=_TINY).where(~still, 1.0).mean())
