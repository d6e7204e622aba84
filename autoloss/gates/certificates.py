"""Certificates: what is known of a loss beside that it passed: reported and kept, never a reason to refuse it.

Each says how it is known: proved by algebra on the whole domain, computed at a point, or sampled on so many cases.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch

from autoloss.gates import equivalence
from autoloss.gates.simulation import descend
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.kind import TYPICAL
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate


def certify(
    expression: Expression, grammar: Grammar, alpha: float | None = None, identity: str = ""
) -> tuple[Certificate, ...]:
    """All certificates of a formula that passed the gates.

    Args:
        expression: the formula, as the gates left it.
        grammar: of it.
        alpha: weight of the target outside the formula.
        identity: what `equivalence.identity` gave, where it is known already.
    """
    kinships = equivalence.kin(expression, grammar, alpha, identity)
    known = (Certificate("known", f"{one.relation} ({one.known.source})", one.how) for one in kinships)
    simulated = partial(descend, expression, grammar, alpha)
    own = grammar.kind.certificates(grammar.formula(expression, alpha), lambda field: simulated(field=field))
    read = [one for one in grammar.formula(expression).reads if one.levels]
    levels = (_asks(expression, grammar, alpha, one) for one in read)
    return (*known, *own, *levels, _smooth(expression, grammar, alpha))


def _asks(expression: Expression, grammar: Grammar, alpha: float | None, one: Terminal) -> Certificate:
    """How strongly a formula pulls at either end of what it reads, beside how it does on average."""
    kind, terminals = grammar.kind, grammar.terminals
    _, usual = kind.typical(terminals).gradient(expression, alpha)
    mean = float(usual.norm(dim=-1).mean()) or math.nan
    weights = {}
    for level in (one.levels[0], one.levels[-1]):
        sample = kind.given(kind.typical_sample(), terminals)
        told = {**sample.given, one.given: torch.full_like(sample.given[one.given], level)}
        _, gradient = kind.probe(replace(sample, given=told), terminals, torch.float64).gradient(expression, alpha)
        weights[level] = float(gradient.norm(dim=-1).mean()) / mean
    (low, first), (high, last) = weights.items()
    ratio = first / last if last else math.inf
    more = "the same at both ends" if 0.95 < ratio < 1.05 else f"more where it is {'low' if ratio > 1 else 'high'}"
    statement = f"asks for {more}: weight {first:.2g} at {one.name} = {low:g}, {last:.2g} at {one.name} = {high:g}"
    numbers = {f"{low:g}": first, f"{high:g}": last}
    return Certificate(f"reads {one.name}", statement, f"sampled on {len(usual)}", numbers)


def _smooth(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    kind, terminals = grammar.kind, grammar.terminals
    _, first = kind.typical(terminals).gradient(expression, alpha)
    _, second = kind.neighbours(terminals).gradient(expression, alpha)
    scale = float(first.norm(dim=-1).mean())
    if not 0 < scale < math.inf:  # of a formula that was given, for the gates let none pass
        return Certificate("smoothness", f"its gradient is {scale:g} where a detector trains", f"sampled on {TYPICAL}")
    largest = float(kind.whole(terminals).gradient(expression, alpha)[1].norm(dim=-1).max()) / scale
    change = (first - second).norm(dim=-1)
    jumps = float((change > 0.25 * scale).float().mean())
    statement = f"largest gradient {largest:.3g} times the mean; it jumps between {jumps:.1%} of close neighbours"
    numbers = {"largest": largest, "jumps": jumps}
    return Certificate("smoothness", statement, f"sampled on {len(change)}", numbers)
