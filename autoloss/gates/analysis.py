"""Analysis: everything that is known of one formula, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autoloss.candidate import Loss
from autoloss.gates import certificates, pipeline, simulation
from autoloss.gates.equivalence import recognised
from primitives import algebra
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.forms.simplify import simplified
from primitives.grammar import Grammar


def examined(expression: Expression, grammar: Grammar, alpha: float | None = None) -> dict[str, Any]:
    """Verdicts of all gates up to the first refusal, and the certificates of a formula that passed.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.

    Returns:
        Plain values; `formula` is canonical text, `simplified` the short form in infix, and `judged` is the formula
        as the gates left it: negated where it ran the wrong way round.
    """
    algebra.start()  # it comes up while the gates judge
    judgement = pipeline.judge(expression, grammar, alpha)
    known = recognised(Loss(judgement.expression, grammar, alpha=alpha)) if judgement.identity else None
    found = certificates.certify(judgement.expression, grammar, alpha, judgement.identity) if judgement.passed else ()
    return {
        "formula": str(expression),
        "infix": infix(expression),
        "simplified": infix(simplified(expression, grammar)),
        "grammar": grammar.name,
        "slot": grammar.slot,
        "size": expression.size,
        "depth": expression.depth,
        "passed": judgement.passed,
        "negated": judgement.negated,
        "judged": str(judgement.expression),
        "known": known and {"name": known.name, "title": known.title, "source": known.source},
        "verdicts": [asdict(verdict) for verdict in judgement.verdicts],
        "certificates": [asdict(certificate) for certificate in found],
    }


def descended() -> list[dict[str, Any]]:
    """How predictions fare under known losses: what the thresholds of the gate `converges` are derived from.

    Those of the first edition of the rules, so that searches of then find what they found.
    """
    rows = []
    for known in (one for one in KNOWN.values() if GRAMMARS[one.grammar].edition == 1):
        outcome = simulation.descend(known.expression, GRAMMARS[known.grammar], known.alpha)
        rows.append({"name": known.name, "title": known.title, "grammar": known.grammar, **outcome.numbers})
    return rows
