"""Hypothesis strategies for formulas."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.operators import OPERATORS
from primitives.parser import in_range


def expressions(grammar: Grammar) -> st.SearchStrategy[Expression]:
    """Formulas of a grammar that read at least one input."""
    leaves = st.one_of(
        st.sampled_from([terminal.name for terminal in grammar.terminals]),
        st.sampled_from(grammar.constants),
        st.floats(0, 1e6).filter(in_range),
    ).map(Expression)
    operators = [OPERATORS[name] for name in grammar.operators]

    def calls(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.one_of(
            [
                st.tuples(*[parts] * operator.arity).map(lambda arguments, head=operator: Expression(head, arguments))
                for operator in operators
            ]
        )

    return st.recursive(leaves, calls, max_leaves=12).filter(lambda expression: bool(expression.names))


def random_expression(rng: random.Random, grammar: Grammar, depth: int = 4) -> Expression:
    """A formula of a grammar that reads an input: a hundred times as quick to draw as Hypothesis draws one."""
    while True:
        found = _grown(rng, grammar, depth)
        if found.names:
            return found


def _grown(rng: random.Random, grammar: Grammar, depth: int) -> Expression:
    if depth == 0 or rng.random() < 0.15:
        if rng.random() < 0.7:
            return Expression(rng.choice(grammar.terminals).name)
        return Expression(rng.choice((*grammar.constants, 0.0, 0.25, round(10 ** rng.uniform(-6, 6), 9))))
    operator = OPERATORS[rng.choice(grammar.operators)]
    return Expression(operator, tuple(_grown(rng, grammar, depth - 1) for _ in range(operator.arity)))
