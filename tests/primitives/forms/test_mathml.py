"""MathML is made of trees: well-formed, complete, and parenthesised where a reader needs it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.search.strategies.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.forms.mathml import mathml
from primitives.operators import OPERATORS


def read(text: str, grammar: str = "box") -> str:
    """The formula as browsers show it, in a line: over is /, up is ^, sigma is s."""
    return " ".join(shown(one) for one in elements(mathml(GRAMMARS[grammar].parse(text))))


def elements(text: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<page>{text}</page>"))


def shown(one: ElementTree.Element) -> str:
    parts = [shown(part) for part in one] or [one.text or ""]
    if one.tag in ("mfrac", "msup"):
        assert len(parts) == 2
        return f"{{{parts[0]}}}{'/' if one.tag == 'mfrac' else '^'}{{{parts[1]}}}"
    text = "".join(parts).translate({0x2061: "", 0x2212: "-", 0x3C3: "s"})
    return f"√{{{text}}}" if one.tag == "msqrt" else text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("1 - i/u", "1 -{i}/{u}"),
        ("1 - (i - u)", "1 -(i-u)"),
        ("1 + (i + u)", "1 +i+u"),
        ("(i + u)*(1 - e)*2", "(i+u) ·(1-e) ·2"),
        ("(i - u)**3", "{(i-u)}^{3}"),
        ("(i/u)**2", "{({i}/{u})}^{2}"),
        ("-(i + u)", "-(i+u)"),
        ("-i*u", "(-i) ·u"),
        ("abs(i)", "|i|"),
        ("sqrt(i + u)", "√{i+u}"),
        ("sigmoid(-log(i))", "s(-log(i))"),
        ("max(i, 0.25)", "max(i,0.25)"),
    ],
)
def test_a_formula_reads_as_in_a_book(text: str, seen: str) -> None:
    assert read(text) == seen


def test_the_sum_over_classes_is_a_product_in_brackets() -> None:
    assert read("-dot(y, log(softmax(x)))", "softmax") == "-⟨y,log(softmax(x))⟩"


@given(st.sampled_from(sorted(GRAMMARS)), st.integers(0, 10_000))
def test_every_formula_is_well_formed_and_holds_every_input_and_number(name: str, seed: int) -> None:
    with seeded("mathml", name, seed):
        formula = random_formula(GRAMMARS[name])
    found = elements(mathml(formula))
    assert {one.tag for one in found} == {"math"}
    leaves = [part.text for one in found for part in one.iter() if part.tag in ("mi", "mn")]
    for node in formula.walk():
        if isinstance(node.head, str):
            assert node.head in leaves


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_known_loss_is_well_formed(name: str) -> None:
    assert elements(mathml(KNOWN[name].expression))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_has_a_notation_with_all_its_arguments(name: str) -> None:
    row = OPERATORS[name]
    text = mathml(Expression(row, tuple(Expression(one) for one in ("p", "q")[: row.arity])))
    assert set(re.findall("<mi>([pq])</mi>", text)) == set("pq"[: row.arity])


def test_a_name_that_is_markup_stays_text() -> None:
    (math,) = elements(mathml(Expression("<script>&")))
    assert [part.text for part in math] == ["<script>&"]
