"""Hypothesis strategies for formulas."""

from __future__ import annotations

from hypothesis import strategies as st

from primitives.expression import Expression
from primitives.grammar import Grammar, in_range
from primitives.operators import OPERATORS


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
