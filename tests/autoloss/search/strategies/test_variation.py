import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.search.strategies import variation
from autoloss.search.strategies.variation import crossed, mutated, random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.operators import OPERATORS, Operator

NAMES = sorted(GRAMMARS)


def inside(expression: Expression, rules: Grammar) -> bool:
    """Whether the formula is one of the grammar, within its limits."""
    inputs = {terminal.name for terminal in rules.terminals}
    heads = [node.head for node in expression.walk()]
    return (
        expression.size <= rules.max_size
        and expression.depth <= rules.max_depth
        and all(head.name in rules.operators for head in heads if isinstance(head, Operator))
        and all(head in inputs for head in heads if isinstance(head, str))
    )


@given(st.sampled_from(NAMES), st.integers())
def test_random_formulas_are_of_the_grammar_and_of_the_paper(name: str, seed: int) -> None:
    with seeded(seed):
        formula = random_formula(GRAMMARS[name])
    assert inside(formula, GRAMMARS[name])
    drawn = {node.head for node in formula.walk() if isinstance(node.head, Operator)}
    assert not any(operator.extended for operator in drawn)
    assert 2 <= formula.depth <= 5


@given(st.sampled_from(NAMES), st.integers())
def test_variation_stays_inside_the_grammar(name: str, seed: int) -> None:
    rules = GRAMMARS[name]
    with seeded(seed):
        first, second = random_formula(rules), random_formula(rules)
        assert inside(mutated(first, rules), rules)
        assert inside(crossed(first, second, rules), rules)


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_known_losses_can_be_varied(known) -> None:
    rules = GRAMMARS[known.grammar]
    with seeded(0):
        children = {mutated(known.expression, rules) for _ in range(20)}
        children |= {crossed(known.expression, random_formula(rules), rules) for _ in range(20)}
    assert len(children - {known.expression}) >= 20
    assert all(inside(child, rules) for child in children)


def test_the_same_key_draws_the_same_and_leaves_the_global_state_alone() -> None:
    rules = GRAMMARS["box"]
    random.seed(5)
    expected = random.random()
    random.seed(5)
    with seeded(1, 2):
        first = [random_formula(rules) for _ in range(5)]
    assert random.random() == expected
    with seeded(1, 2):
        assert [random_formula(rules) for _ in range(5)] == first
    with seeded(1, 3):
        assert [random_formula(rules) for _ in range(5)] != first


def test_extended_operators_are_drawn_only_when_asked_for() -> None:
    with seeded(0):
        drawn = [random_formula(GRAMMARS["box"], extended=True) for _ in range(200)]
    heads = {node.head for formula in drawn for node in formula.walk()}
    assert {OPERATORS[name] for name in ("square", "min", "max")} <= heads


def test_only_variation_imports_deap() -> None:
    files = list(Path(variation.__file__).parent.glob("*.py"))
    assert [file.name for file in files if "from deap" in file.read_text()] == ["variation.py"]
