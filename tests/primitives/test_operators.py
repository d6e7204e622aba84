import math

import pytest
import sympy
import torch

from primitives.operators import BACKENDS, OPERATORS, Operator

PAPER = "add sub mul div dot neg exp log abs sqrt softmax softplus sigmoid gd alf erf erfc tanh relu sin cos".split()
ELEMENTWISE = [row for row in OPERATORS.values() if not row.class_axis]


def test_the_table_holds_the_21_operators_of_the_paper_and_five_more() -> None:
    assert [row.name for row in OPERATORS.values() if not row.extended] == PAPER
    assert [row.name for row in OPERATORS.values() if row.extended] == ["square", "min", "max", "pow", "stop"]


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_tensor_function_equals_its_algebraic_twin(row: Operator) -> None:
    low, high = max(row.domain[0], -4.0) + 0.1, 4.0
    points = torch.linspace(low, high, 9, dtype=torch.float64)
    arguments = [points, points.flip(0)][: row.arity]
    symbols = sympy.symbols("a b", real=True)[: row.arity]
    formula = row.algebra(*symbols)
    expected = [
        float(formula.subs(dict(zip(symbols, point, strict=True))))
        for point in zip(*[argument.tolist() for argument in arguments], strict=True)
    ]
    torch.testing.assert_close(row.tensor(*arguments), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ["gd", "alf", "erf", "sigmoid"])
def test_s_curves_run_from_0_to_1_with_slope_a_quarter_at_0(name: str) -> None:
    x = torch.tensor([-80.0, 0.0, 80.0], dtype=torch.float64, requires_grad=True)
    y = OPERATORS[name].tensor(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(y, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), atol=1e-3, rtol=0)
    assert slope[1].item() == pytest.approx(0.25)


def test_published_protections_hold() -> None:
    zero, big = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1000.0, dtype=torch.float64)
    assert OPERATORS["log"].tensor(zero).item() == pytest.approx(math.log(1e-20))
    assert OPERATORS["div"].tensor(torch.tensor(1.0, dtype=torch.float64), zero).item() == pytest.approx(1e20)
    assert OPERATORS["exp"].tensor(big).item() == pytest.approx(math.exp(88))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arity": 2, "tensor": torch.neg}, "does not take 2 arguments"),
        ({"arity": 1, "tensor": torch.sum}, "shape"),
        ({"arity": 1, "tensor": torch.log}, "not finite"),
        ({"arity": 1, "tensor": torch.neg, "code": {"torch": "-{a}", "numpy": "-{a}"}}, "code for jax reads"),
        (
            {"arity": 2, "tensor": torch.add, "code": dict.fromkeys(BACKENDS, "-{a}")},
            "code for torch reads .'a'., not 2",
        ),
    ],
)
def test_a_row_that_contradicts_itself_cannot_be_declared(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("bad", algebra=lambda a: a, domain=(-math.inf, math.inf), text="", **{"code": {}, **arguments})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [0.0, 0.01, 0.5, 2.0, -3.0, 40.0, -40.0])
def test_a_power_and_its_gradients_are_finite_for_every_base_from_0_on(dtype: torch.dtype, exponent: float) -> None:
    base = torch.tensor([0.0, 1e-30, 1e-6, 0.3, 1.0, 50.0, 1e6], dtype=dtype, requires_grad=True)
    power = torch.full_like(base, exponent).requires_grad_()
    value = OPERATORS["pow"].tensor(base, power)
    gradients = torch.autograd.grad(value.sum(), (base, power))
    assert all(bool(torch.isfinite(one).all()) for one in (value, *gradients))
    if abs(exponent) <= 3:
        torch.testing.assert_close(value[2:6], base[2:6] ** exponent, rtol=1e-4, atol=0)


def test_what_is_stopped_has_its_value_and_no_derivative() -> None:
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    (slope,) = torch.autograd.grad((OPERATORS["stop"].tensor(x) * x).sum(), x)
    assert slope.tolist() == x.tolist()
    a = sympy.Symbol("a", real=True)
    held = OPERATORS["stop"].algebra(a)
    assert sympy.diff(held * a, a) == held
    assert held.subs(a, 2) == 2
    assert str(held) == "stop(a)"
