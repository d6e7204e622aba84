import math

import pytest
import sympy
import torch
from hypothesis import given
from strategies import expressions

from primitives import algebra
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.kinds.box.pair import AREAS
from primitives.kinds.classification.kind import SOFTMAX

INPUTS = {"i": 0.4, "u": 1.3, "e": 1.7}


@given(expressions(GRAMMARS["box"]))
def test_tensor_and_algebra_agree_where_both_are_ordinary_numbers(expression: Expression) -> None:
    tensors = {name: torch.tensor([value], dtype=torch.float64) for name, value in INPUTS.items()}
    value = expression(tensors).item() if expression.names else math.nan
    intermediate = [abs(node(tensors).item()) for node in expression.walk()]
    if not all(1e-6 < size < 20 for size in intermediate):
        return  # the protections (1e-20, clamp at 88) are not part of the algebra
    exact = algebra.columns(expression, AREAS)[0].subs({one.symbol(): INPUTS[one.name] for one in AREAS})
    assert complex(exact) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_softmax_and_dot_work_on_columns() -> None:
    known = KNOWN["cross_entropy"].expression
    (column,) = algebra.columns(known, SOFTMAX.terminals, classes=3)
    logits, target = [0.3, -1.0, 2.0], [0.0, 1.0, 0.0]
    point = {sympy.Symbol(f"x_{k}", real=True): v for k, v in enumerate(logits)}
    point |= {sympy.Symbol(f"y_{k}", real=True): v for k, v in enumerate(target)}
    expected = torch.nn.functional.cross_entropy(torch.tensor([logits], dtype=torch.float64), torch.tensor([1]))
    assert float(column.subs(point)) == pytest.approx(expected.item())


def test_derivative_of_log_iou() -> None:
    i = AREAS[0].symbol()
    assert sympy.simplify(algebra.derivative(KNOWN["log_iou"].expression, AREAS, "i") + 1 / i) == 0
    with pytest.raises(ValueError, match="class axis"):
        algebra.derivative(KNOWN["cross_entropy"].expression, SOFTMAX.terminals, "x")


def test_simplification_is_equal_to_the_formula() -> None:
    formula = GRAMMARS["box"].parse("neg(neg(add(div(i, u), sub(e, e))))")
    i, u = AREAS[0].symbol(), AREAS[1].symbol()
    assert algebra.simplified(formula, AREAS) == i / u


def test_latex_of_giou() -> None:
    assert algebra.latex(KNOWN["iou"].expression, AREAS) == r"- \frac{i}{u} + 1"
    assert "softmax" in algebra.latex(KNOWN["cross_entropy"].expression, SOFTMAX.terminals)
