import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS, KNOWN, find_grammar
from primitives.expression import Expression
from primitives.grammar import GrammarError
from tests.helpers.strategies import expressions

ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))


@given(ANY)
def test_text_of_an_expression_parses_back_to_it(case: tuple[str, Expression]) -> None:
    name, expression = case
    assert GRAMMARS[name].parse(str(expression)) == expression


@given(st.text(alphabet="iuexyw()., 12naddlog_+-*%\n\"'", max_size=40))
def test_any_other_text_is_an_error_of_one_line(text: str) -> None:
    try:
        GRAMMARS["box"].parse(text)
    except GrammarError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add(i, foo)", r"unknown name 'foo' at column 8 of 'add\(i, foo\)'.*known: abs, add"),
        ("ad(i, u)", r"did you mean 'add'"),
        ("add(i)", r"add takes 2 arguments, got 1"),
        ("neg(i, u)", r"neg takes 1 argument, got 2"),
        ("div(i, u", r"the formula ends early at column 9"),
        ("div(i, u))", r"unexpected '\)' after the formula at column 10"),
        ("div i", r"div is an operator, got an input|div is an operator"),
        ("", r"the formula ends early"),
        ("i + u", r"unexpected character '\+' at column 3"),
        ("add(1, 2)", r"a formula must read an input.*inputs: e, i, u"),
        ("2", r"a formula must read an input"),
        ("softmax(i)", r"unknown name 'softmax'"),
        ("x", r"unknown name 'x'"),
        ("1e999", r"not a finite number"),
        ("neg(" * 10_000 + "i" + ")" * 10_000, r"at most 20000 characters"),
        ("(" * 10_000, r"unexpected '\('"),
        ("neg(" * 3_000 + "i" + ")" * 3_000, r"nested deeper than 64"),
        ("__import__('os')", r"unexpected character"),
        ("i.real", r"unexpected character '\.'"),
    ],
)
def test_wrong_text_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message) as caught:
        GRAMMARS["box"].parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_published_text_parses_into_canonical_lower_case(known) -> None:
    canonical = str(known.expression)
    assert canonical == canonical.lower()
    assert GRAMMARS[known.grammar].parse(known.text.upper()) == known.expression


def test_published_input_names_have_their_meaning() -> None:
    sigmoid = GRAMMARS["sigmoid"]
    assert str(sigmoid.parse("Mul(Q,PY)")) == "mul(w, y)"
    assert str(sigmoid.parse("Serf(Sig(NY))")) == "erf(sigmoid(sub(1, y)))"
    assert str(GRAMMARS["softmax"].parse("Add(Z,Salf(X))")) == "add(w, alf(x))"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("div(i, u)", "box"),
        ("add(d, div(i, u))", "box_extended"),
        ("dot(y, softmax(x))", "softmax"),
        ("Mul(Z,X)", "softmax"),
        ("Mul(Q,X)", "sigmoid"),
        *((known.text, known.grammar) for known in KNOWN.values()),
    ],
)
def test_the_grammar_is_found_where_the_inputs_leave_no_doubt(text: str, name: str) -> None:
    assert find_grammar(text).name == name


def test_a_text_that_fits_two_grammars_asks_for_one() -> None:
    with pytest.raises(GrammarError, match="--grammar: softmax, sigmoid"):
        find_grammar("mul(x, y)")
    with pytest.raises(GrammarError, match="unknown name 'i'"):
        find_grammar("mul(x, i)")
