import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.search.strategies import variation
from autoloss.search.strategies.variation import crossed, mutated, neighbour, numbers, random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN, known_loss
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


@given(st.sampled_from([name for name in NAMES if GRAMMARS[name].edition == 1]), st.integers())
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


def test_a_wide_grammar_draws_all_that_it_has_and_no_more_than_it_is_told_to() -> None:
    wide = GRAMMARS["box_wide"]
    with seeded(0):
        drawn = [random_formula(wide) for _ in range(400)]
    heads = {node.head for formula in drawn for node in formula.walk()}
    assert {OPERATORS[name] for name in wide.operators} <= heads
    assert {one.name for one in wide.terminals} <= heads
    told = wide.drawing(["i", "u", "t"], ["sub", "div", "pow"])
    with seeded(0):
        drawn = [mutated(random_formula(told), told) for _ in range(100)]
    heads = {node.head for formula in drawn for node in formula.walk()}
    assert heads <= {"i", "u", "t", 1.0, 2.0, 3.0, *(OPERATORS[name] for name in ("sub", "div", "pow"))}


def test_an_operator_that_has_none_like_it_among_those_to_draw_from_stays() -> None:
    told = GRAMMARS["box"].drawing(["i", "u", "e"], ["neg", "log"])
    parent = known_loss("giou").expression
    with seeded(0):
        children = [mutated(parent, told) for _ in range(200)]
    assert len(set(children)) > 20
    heads = {str(node.head) for child in children for node in child.walk() if isinstance(node.head, Operator)}
    assert heads == {str(OPERATORS[name]) for name in ("neg", "log", "sub", "div")}


@given(st.integers())
def test_any_number_has_two_digits_and_mutations_turn_it(seed: int) -> None:
    rules = replace(GRAMMARS["sigmoid"], constants=())
    with seeded(seed):
        formulas = [random_formula(rules) for _ in range(5)]
        formulas += [mutated(formula, rules) for formula in formulas]
    numbers = [node.head for formula in formulas for node in formula.walk() if isinstance(node.head, float)]
    assert all(0.01 <= number <= 100 and float(f"{number:.2g}") == number for number in numbers)
    assert all(rules.parse(str(formula)) == formula for formula in formulas if formula.names)


def test_numbers_are_drawn_alike_in_each_tenfold_and_turned_by_factors() -> None:
    rules = replace(GRAMMARS["sigmoid"], constants=())
    with seeded(1):
        drawn = [node.head for _ in range(1_500) for node in random_formula(rules).walk()]
        parent = rules.parse("mul(0.5, sub(softplus(x), mul(x, y)))")
        children = [mutated(parent, rules) for _ in range(300)]
    numbers = [number for number in drawn if isinstance(number, float)]
    shares = [sum(low <= number < 10 * low for number in numbers) / len(numbers) for low in (0.01, 0.1, 1.0, 10.0)]
    assert all(0.2 < share < 0.3 for share in shares)
    turned = [child for child in children if child.names == parent.names and str(child).startswith("mul(0.")]
    assert len({str(child)[:8] for child in turned}) > 10


def test_only_variation_and_the_sorting_of_nsga2_import_deap() -> None:
    files = list(Path(variation.__file__).parent.glob("*.py"))
    assert {file.name for file in files if "from deap" in file.read_text()} == {"variation.py", "nsga2.py"}


@given(st.sampled_from(NAMES), st.integers())
def test_a_neighbour_is_another_formula_of_the_grammar_and_says_what_changed(name: str, seed: int) -> None:
    rules = GRAMMARS[name]
    with seeded(seed):
        parent = random_formula(rules)
        child, what = neighbour(parent, rules)
    assert inside(child, rules)
    assert child != parent
    assert re.fullmatch(r"[\w.]+ (to [\w.]+|put in|taken out)", what)


def test_the_changes_of_a_neighbour_are_of_every_kind_and_small() -> None:
    rules = GRAMMARS["box"]
    parent = rules.parse("sub(1, div(i, u))")
    with seeded(0):
        found = {neighbour(parent, rules) for _ in range(500)}
    texts = {(str(child), what) for child, what in found}
    assert {
        ("sub(1, div(i, e))", "u to e"),
        ("add(1, div(i, u))", "sub to add"),
        ("div(i, u)", "sub taken out"),
    } <= texts
    assert ("sub(1, exp(div(i, u)))", "exp put in") in texts
    assert all(abs(child.size - parent.size) <= 2 for child, what in found if not what.endswith("taken out"))


def test_the_numbers_of_a_formula_are_those_that_a_factor_changes() -> None:
    assert numbers(GRAMMARS["box"].parse("add(mul(2, i), sub(0, div(u, 0.5)))")) == {2: 2.0, 8: 0.5}
