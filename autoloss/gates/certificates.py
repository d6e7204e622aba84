"""Certificates: what is known of a loss beside that it passed: reported and kept, never a reason to refuse it.

Each says how it is known: proved by algebra on the whole domain, computed at a point, or sampled on so many cases.
"""

from __future__ import annotations

import math
from functools import partial

from autoloss.gates import equivalence
from autoloss.gates.simulation import descend
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.kind import TYPICAL
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
    return (*known, *own, _smooth(expression, grammar, alpha))


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
