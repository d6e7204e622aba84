import json
import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS, KNOWN, find_grammar
from primitives.expression import Expression
from primitives.parser import GrammarError
from tests.helpers.strategies import expressions

OUT = ["1e300", "1e999", "1e-400", "1e-13", "1.0000000001e12", "0.0000000000001", "1e99999999999", "5e-324"]
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
        ("i ? u", r"unexpected character '\?' at column 3"),
        ("i ^ 2", r"unexpected character '\^' \(a power is written \*\*\) at column 3"),
        ("i +", r"the formula ends early at column 4"),
        ("i u", r"unexpected 'u' after the formula at column 3 .*expected: \+ - \* / \*\* or the end"),
        ("2i", r"unexpected 'i' after the formula at column 2"),
        ("(i - u", r"the formula ends early at column 7 .*expected: .* or '\)'"),
        ("i * / u", r"unexpected '/' at column 5 .*expected: an operator, an input or a number"),
        ("i**u", r"a power that is not in the language at column 2 .*expected: a whole number up to 8, or 0.5"),
        ("i**0", r"a power that is not in the language at column 2"),
        ("i**9", r"a power that is not in the language at column 2"),
        ("i**1.5", r"a power that is not in the language at column 2"),
        ("i" + "+i" * 70, r"nested deeper than 64 at column 130"),
        ("-" * 100 + "i", r"nested deeper than 64"),
        ("i" + "**2" * 100, r"nested deeper than 64|a power"),
        ("(" * 20 + "i" + "**7)" * 20 + "**7", r"nested deeper than 64|longer than 20000"),
        ("add(1, 2)", r"a formula must read an input.*inputs: e, i, u"),
        ("2", r"a formula must read an input"),
        ("softmax(i)", r"unknown name 'softmax'"),
        ("x", r"unknown name 'x'"),
        *(
            (f"add(i, {number})", r"out of range at column 8 of .*expected: 0, or from 1e-12 to 1e\+12$")
            for number in OUT
        ),
        ("add(i, " + "9" * 19_000 + ")", r"the constant '9{60}\.\.\.9{15}' is out of range at column 8"),
        ("add(i, " + "a" * 19_000 + ")", r"unknown name 'a{60}\.\.\.a{15}' at column 8"),
        ("add(i, nan)", r"unknown name 'nan'"),
        ("add(i, inf)", r"unknown name 'inf'"),
        ("add(i, True)", r"unknown name 'True'"),
        ("add(i, 0x10)", r"unexpected 'x10' at column 9"),
        ("add(i, 1_000)", r"unexpected '_000' at column 9"),
        ("add(i, .)", r"unexpected character '\.' at column 8"),
        ("add(i, '1')", r"unexpected character"),
        ("add(i, \u0661\u0662)", r"unexpected character '\u0661' at column 8"),
        ("add(i, 1\u0662)", r"unexpected character '\u0662' at column 9"),
        ("add(i, \ud800)", r"unexpected character '.ud800' at column 8"),
        ("i" * 100_000, r"at most 20000 characters"),
        ("neg(" * 10_000 + "i" + ")" * 10_000, r"at most 20000 characters"),
        ("(" * 10_000, r"nested deeper than 64"),
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


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("1 - i/u", "sub(1, div(i, u))"),
        ("1 - IoU", "sub(1, div(i, u))"),
        ("1 - giou", "sub(1, sub(div(i, u), div(sub(e, u), e)))"),
        ("i - u - e", "sub(sub(i, u), e)"),
        ("i/u/e", "div(div(i, u), e)"),
        ("i + u*e", "add(i, mul(u, e))"),
        ("(i + u)*e", "mul(add(i, u), e)"),
        ("-i*u", "mul(neg(i), u)"),
        ("-i**2", "neg(square(i))"),
        ("2**2*i", "mul(square(2), i)"),
        ("i*-u", "mul(i, neg(u))"),
        ("--i", "neg(neg(i))"),
        ("+i", "i"),
        ("i - +u", "sub(i, u)"),
        ("i**1", "i"),
        ("i**3", "mul(square(i), i)"),
        ("i**4", "square(square(i))"),
        ("i**0.5", "sqrt(i)"),
        ("i**(1/2)", "sqrt(i)"),
        ("i**-1", "div(1, i)"),
        ("i**-2", "div(1, square(i))"),
        ("add(i, -0.0)", "add(i, neg(0))"),
        (".5*i + 1.", "add(mul(0.5, i), 1)"),
        ("-log(i / u) + max(e - u, 0)", "add(neg(log(div(i, u))), max(sub(e, u), 0))"),
        ("((i))", "i"),
    ],
)
def test_infix_text_is_the_tree_that_python_would_make_of_it(text: str, calls: str) -> None:
    assert str(GRAMMARS["box"].parse(text)) == str(GRAMMARS["box"].parse(calls))
    assert GRAMMARS["box"].parse(calls).text == GRAMMARS["box"].parse(text).text


def test_p_is_the_probability_that_a_kind_of_classifiers_has() -> None:
    assert str(GRAMMARS["sigmoid"].parse("-log(p)")) == "neg(log(sigmoid(x)))"
    assert str(GRAMMARS["softmax"].parse("-dot(y, log(p))")) == "neg(dot(y, log(softmax(x))))"


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_published_text_parses_into_canonical_lower_case(known) -> None:
    canonical = str(known.expression)
    assert canonical == canonical.lower()
    assert GRAMMARS[known.grammar].parse(known.text.upper()) == known.expression


@given(st.from_regex(r"[0-9]{1,25}(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,4})?", fullmatch=True))
def test_a_constant_keeps_its_value_or_is_refused(text: str) -> None:
    exact = Fraction(text) if len(text.lower().partition("e")[2]) < 5 else None
    try:
        constant = GRAMMARS["box"].parse(f"add(i, {text})").arguments[1]
    except GrammarError as error:
        assert "out of range" in str(error)
        assert exact is None or not (exact == 0 or Fraction("1.1e-12") < exact < Fraction("9e11"))
    else:
        assert constant.head == float(text)
        assert exact is None or exact == 0 or Fraction("9e-13") < exact < Fraction("1.1e12")
        assert GRAMMARS["box"].parse(f"add(i, {constant})").arguments[1] == constant


def test_every_formula_that_was_ever_written_down_here_is_read() -> None:
    texts = set()
    for file in (*Path("results").rglob("*.sqlite"), *Path("tests/golden").rglob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as run:
            for (losses,) in run.execute("SELECT losses FROM candidate"):
                texts |= {(loss["grammar"], loss["expression"]) for loss in json.loads(losses).values()}
    assert len(texts) > 100
    for name, text in texts:
        assert str(GRAMMARS[name].parse(text)) == text


def test_published_input_names_have_their_meaning() -> None:
    sigmoid = GRAMMARS["sigmoid"]
    assert str(sigmoid.parse("Mul(Q,PY)")) == "mul(w, y)"
    assert str(sigmoid.parse("Serf(Sig(NY))")) == "erf(sigmoid(sub(1, y)))"
    assert str(GRAMMARS["softmax"].parse("Add(Z,Salf(X))")) == "add(w, alf(x))"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("div(i, u)", "box"),
        ("1 - i/u", "box"),
        ("1 - iou", "box"),
        ("1e-5 + 2*i", "box"),
        ("1 - iou + d", "box_extended"),
        ("-log(softmax(x))", "softmax"),
        ("-Q*log(p)", "sigmoid"),
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


def test_a_threshold_that_a_person_sets_is_asked_as_it_is_and_the_usual_ones_with_the_grace_of_wide_grammars() -> None:
    wide = GRAMMARS["box_wide"]
    usual = wide.kind.thresholds
    assert any(wide.asked(usual)[name] < least for name, least in usual.items())
    higher = {name: least + 0.01 for name, least in usual.items()}
    assert wide.asked(higher) == higher
    assert GRAMMARS["box"].asked(usual) == usual
