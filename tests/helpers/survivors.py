"""Random formulas that pass the gates, for tests."""

from __future__ import annotations

from functools import cache

from autoloss.candidate import Loss
from autoloss.gates import pipeline
from autoloss.search.strategies.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN

COUNT = 40
"""Of every grammar: 200 in all."""
FEW = 4
"""Of every grammar, where the others are for `make test-slow`."""


@cache
def survivors(grammar: str, count: int = COUNT) -> tuple[Loss, ...]:
    """The first random formulas of a grammar that pass every gate, all different."""
    rules = GRAMMARS[grammar]
    found: dict[str, Loss] = {}
    with seeded("survivors", grammar):
        while len(found) < count:
            judgement = pipeline.sifted(random_formula(rules), rules)
            if judgement.passed and pipeline.judge(judgement.expression, rules).passed:
                found.setdefault(judgement.expression.text, Loss(judgement.expression, rules))
    return tuple(found.values())


def known(name: str) -> Loss:
    """A known loss as it is exported."""
    one = KNOWN[name]
    return Loss(one.expression, GRAMMARS[one.grammar], alpha=one.alpha)
