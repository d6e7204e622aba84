"""Whatever the formula: one line that says what is wrong, or an answer, and never a warning (here they are errors)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoloss.gates import certificates, equivalence
from autoloss.gates.analysis import examined
from autoloss.report.plots import loss_plot
from primitives import algebra, symbolic
from primitives.catalog import GRAMMARS, KNOWN, find_grammar, known_loss
from primitives.codegen.function import function
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.operators import OPERATORS, Operator
from primitives.parser import LARGEST, SMALLEST, GrammarError, constant
from tests.helpers.strategies import expressions

ODD = (0.0, SMALLEST, LARGEST, 1e-7, 88.5, 1e6, 2.0**-30)
NUMBERS = (
    *("nan", "inf", "-inf", "1e300", "-1e300", "1e-400", "-0.0", "True", "None", "'1'", '"1e300"', "0x10", "1_000"),
    *(
        "\u0661",
        "\u00b2",
        "1e",
        "1.",
        ".5",
        "9" * 400,
        "0." + "0" * 400 + "1",
        "00",
        "0e9999",
        "1e12",
        "1e-12",
        "3",
        "",
    ),
)
FORMULAS = ("sub({}, div(i, u))", "mul({}, neg(log(div(i, u))))", "add({}, neg(dot(y, log(softmax(x)))))")


def with_odd(expression: Expression, odd: list[float]) -> Expression:
    """The formula with numbers in turn in place of its constants."""
    if isinstance(expression.head, Operator):
        return Expression(expression.head, tuple(with_odd(part, odd) for part in expression.arguments))
    if isinstance(expression.head, float):
        odd.append(odd.pop(0))
        return Expression(odd[-1])
    return expression


ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.builds(
            lambda formula, how, known, odd: with_odd(
                Expression(OPERATORS[how], (known, formula)) if how else formula, list(odd)
            ),
            expressions(GRAMMARS[name]),
            st.sampled_from(["", "add", "sub", "mul", "div"]),
            st.just(known_loss(GRAMMARS[name].kind.beside(GRAMMARS[name].terminals)).expression),
            st.permutations(ODD),
        ),
    )
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algebra, "SECONDS", 0.2)


@settings(max_examples=40)
@given(ANY)
def test_every_formula_is_judged_certified_and_written_or_refused_in_one_line(case: tuple[str, Expression]) -> None:
    rules, expression = GRAMMARS[case[0]], case[1]
    assume(expression.names)
    assert rules.parse(expression.text) == expression
    found = examined(expression, rules)
    assert found["certificates"] or not found["passed"]
    assert {one.name for one in certificates.certify(expression, rules)} >= {"optimum", "smoothness"}
    assert algebra.latex(expression, rules.terminals)
    for backend in ("torch", "numpy", "jax"):
        try:
            assert function(expression, rules, "loss", None, backend).startswith("def loss(")
        except InputError as error:
            assert re.fullmatch(r".* is (nan|-?inf); a formula with such a constant is not written out", str(error))


@settings(max_examples=6)
@given(ANY)
def test_every_formula_can_be_drawn(tmp_path_factory: pytest.TempPathFactory, case: tuple[str, Expression]) -> None:
    rules, expression = GRAMMARS[case[0]], case[1]
    assume(expression.names)
    known = known_loss(rules.kind.beside(rules.terminals))
    file: Path = tmp_path_factory.mktemp("drawn") / "loss.png"
    beside = loss_plot.Drawn(known.title, known.expression, GRAMMARS[known.grammar], known.alpha)
    loss_plot.draw(loss_plot.Drawn("this", expression, rules), beside, file)
    assert file.stat().st_size > 10_000


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_is_read_as_it_stands_or_refused_in_one_line(formula: str, number: str) -> None:
    text = formula.format(number)
    try:
        expression = find_grammar(text).parse(text)
    except GrammarError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 400
    else:
        assert number in ("00", "0e9999", "1e12", "1e-12", "3", "-0.0", "1.", ".5")
        assert constant(expression.arguments[0]) == float(number)


def test_a_loss_without_a_gradient_that_was_given_as_text_has_certificates_too() -> None:
    rules = GRAMMARS["sigmoid"]
    (smooth,) = (one for one in certificates.certify(rules.parse("add(w, relu(2))"), rules) if one.name == "smoothness")
    assert smooth.statement == "its gradient is 0 where a detector trains"


HANGING = {
    "as a summand": ("add", ("sub", 1.0, ("div", "i", "u")), ("mul", 0.1, ("cos", ("erfc", ("mul", "u", 1e-45))))),
    "as a factor of IoU": (
        "mul",
        ("relu", ("alf", ("add", ("gd", 1.0), ("sigmoid", 3e38)))),
        ("sub", 1.0, ("div", "i", "u")),
    ),
    "as a factor of BCE": (
        "mul",
        ("erf", ("dot", ("div", 1e-45, "x"), ("cos", "x"))),
        ("sub", ("softplus", "x"), ("mul", "x", "y")),
    ),
}


def expression_of(tree: object) -> Expression:
    """A formula whose constants no text may hold."""
    if isinstance(tree, tuple):
        return Expression(OPERATORS[tree[0]], tuple(expression_of(part) for part in tree[1:]))
    return Expression(tree)  # type: ignore[arg-type]


@pytest.mark.parametrize("tree", HANGING.values(), ids=HANGING)
def test_certificates_of_a_formula_over_which_sympy_takes_for_ever_come_and_say_so(tree: tuple[object, ...]) -> None:
    expression = expression_of(tree)
    rules = GRAMMARS["sigmoid" if "x" in expression.names else "box"]
    known = KNOWN["binary_cross_entropy" if rules.name == "sigmoid" else "iou"]
    mine, other = rules.formula(expression), rules.formula(known.expression)
    answer = equivalence._prove(mine, other, rules.kind, symbolic.affine)
    assert (answer.value, answer.cause) == (None, "SymPy took longer than 0.2 s")
    found = certificates.certify(expression, rules)
    if rules.name == "box":
        assert found[0].statement.startswith("equal to IoU (linear) up to an affine map")
        assert found[0].how == "sampled on 256; not proved: SymPy took longer than 0.2 s"
