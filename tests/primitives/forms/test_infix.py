import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.forms.infix import infix
from tests.helpers.strategies import expressions, random_expression

ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))


def inverse(case: tuple[str, Expression]) -> None:
    name, expression = case
    text = infix(expression)
    assert GRAMMARS[name].parse(text) == expression, text


@given(ANY)
def test_the_parser_reads_back_the_tree_that_was_printed(case: tuple[str, Expression]) -> None:
    inverse(case)


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_parser_reads_back_two_thousand_trees_of_every_grammar(name: str) -> None:
    rng = random.Random(name)
    for _ in range(2_000):
        inverse((name, random_expression(rng, GRAMMARS[name])))


@pytest.mark.slow
@settings(max_examples=10_000)
@given(ANY)
def test_the_parser_reads_back_ten_thousand_trees_that_hypothesis_draws(case: tuple[str, Expression]) -> None:
    inverse(case)


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_known_losses_are_read_back(known) -> None:
    assert GRAMMARS[known.grammar].parse(infix(known.expression)) == known.expression


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        ("sub(1, div(i, u))", "1 - i/u"),
        ("sub(3, sub(div(i, u), div(sub(e, e), e)))", "3 - (i/u - (e - e)/e)"),
        ("sub(sub(i, u), e)", "i - u - e"),
        ("sub(i, sub(u, e))", "i - (u - e)"),
        ("div(i, div(u, e))", "i/(u/e)"),
        ("mul(i, mul(u, e))", "i*(u*e)"),
        ("mul(div(i, u), e)", "i/u*e"),
        ("neg(mul(i, u))", "-(i*u)"),
        ("mul(neg(i), u)", "-i*u"),
        ("mul(i, neg(u))", "i*-u"),
        ("neg(neg(i))", "--i"),
        ("square(neg(i))", "(-i)**2"),
        ("neg(square(i))", "-i**2"),
        ("square(square(i))", "i**4"),
        ("mul(square(i), i)", "i**3"),
        ("mul(i, square(i))", "i*i**2"),
        ("mul(i, i)", "i*i"),
        ("square(square(square(square(i))))", "(i**8)**2"),
        ("square(mul(i, i))", "(i*i)**2"),
        ("sqrt(add(i, 0.1))", "sqrt(i + 0.1)"),
        ("log(max(i, 1e-05))", "log(max(i, 1e-05))"),
        ("add(i, 1e12)", "i + 1000000000000"),
    ],
)
def test_a_formula_is_printed_as_people_write_it(calls: str, text: str) -> None:
    box = GRAMMARS["box"]
    assert infix(box.parse(calls)) == text
    assert box.parse(text) == box.parse(calls)
