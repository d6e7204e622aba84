import math

import pytest
import sympy
import torch
from hypothesis import given

from primitives import symbolic
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from tests.helpers.strategies import expressions

AREAS = frozenset("iue")
INPUTS = {"i": 0.4, "u": 1.3, "e": 1.7}


@given(expressions(GRAMMARS["box"]))
def test_tensor_and_algebra_agree_where_both_are_ordinary_numbers(expression: Expression) -> None:
    tensors = {name: torch.tensor([value], dtype=torch.float64) for name, value in INPUTS.items()}
    value = expression(tensors).item() if expression.names else math.nan
    intermediate = [abs(node(tensors).item()) for node in expression.walk()]
    if not all(1e-6 < size < 20 for size in intermediate):
        return  # the protections (1e-20, clamp at 88) are not part of the algebra
    exact = symbolic.columns(expression.tree, AREAS)[0].subs(
        {symbolic.symbol(name, AREAS): v for name, v in INPUTS.items()}
    )
    assert complex(exact) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_softmax_and_dot_work_on_columns() -> None:
    known = KNOWN["cross_entropy"].expression
    (column,) = symbolic.columns(known.tree, frozenset(), classes=3)
    logits, target = [0.3, -1.0, 2.0], [0.0, 1.0, 0.0]
    point = {sympy.Symbol(f"x_{k}", real=True): v for k, v in enumerate(logits)}
    point |= {sympy.Symbol(f"y_{k}", real=True): v for k, v in enumerate(target)}
    expected = torch.nn.functional.cross_entropy(torch.tensor([logits], dtype=torch.float64), torch.tensor([1]))
    assert float(column.subs(point)) == pytest.approx(expected.item())


def test_the_sign_of_a_formula_is_proved_where_its_terms_have_one() -> None:
    p, q = sympy.symbols("p q", positive=True)
    assert symbolic.sign((p + q) / (p * q)) == 1
    assert symbolic.sign(-p / (1 + q)) == -1
    assert symbolic.sign(p - p) == 0
    assert symbolic.sign(p - q) is None


def test_latex_is_the_formula_as_it_was_written() -> None:
    assert symbolic.latex(KNOWN["iou"].expression.tree, frozenset()) == r"- \frac{i}{u} + 1"
    assert "softmax" in symbolic.latex(KNOWN["cross_entropy"].expression.tree, frozenset())
