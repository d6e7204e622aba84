import random

import pytest
import torch

from autoloss.gates import inspection
from primitives import algebra, symbolic
from primitives.catalog import GRAMMARS, KNOWN, named
from primitives.expression import Expression
from primitives.grammar import Grammar
from tests.primitives.forms.test_simplify import drawn


def numbers(text: str, values: dict[str, torch.Tensor]) -> torch.Tensor:
    """A derivative that SymPy gave as text, on tensors: its names are those of inputs, its functions those of torch."""
    import sympy

    symbols = {name: sympy.Symbol(name) for name in values}
    expression = sympy.sympify(text, locals={**symbols, "stop": sympy.Function("stop")})
    function = sympy.lambdify(list(values), expression, modules=[{"stop": lambda value: value}, "scipy", "numpy"])
    return torch.as_tensor(function(*(value.numpy() for value in values.values()))).double()


@pytest.mark.parametrize("name", [one.name for one in KNOWN.values() if not one.grammar.startswith("softmax")])
def test_derivatives_are_the_gradients_of_autograd_on_real_boxes_and_logits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "SECONDS", 1.0)
    expression, grammar, _ = named(name)
    sample = grammar.kind.given(drawn(grammar), grammar.terminals)
    inputs = {key: value.clone() for key, value in grammar.inputs(sample).items()}
    # Where boxes do not touch, and where logits are far out, protections and rounding take part.
    if grammar.slot == "loss_bbox":
        inputs = {key: value[inputs["i"] > 0] for key, value in inputs.items()}
    for key in grammar.predicted:
        inputs[key] = inputs[key].detach().requires_grad_()
    value = expression(inputs)
    short = grammar.formula(expression)
    hit = torch.ones(()) if short.by_column else inputs["y"]  # of classes that hang together it is of the target
    for one in inspection.algebra_of(short, short, grammar)["derivatives"]:
        (gradient,) = torch.autograd.grad((hit * value).sum(), inputs[one["by"]], retain_graph=True)
        found = numbers(one["text"], {key: value.detach() for key, value in inputs.items()})
        torch.testing.assert_close(hit * found.expand_as(gradient), gradient, rtol=1e-6, atol=1e-9)


def test_the_derivative_of_a_softmax_is_that_of_a_positive_of_two_classes() -> None:
    expression, grammar, _ = named("cross_entropy")
    formula = grammar.formula(expression)
    (one,) = inspection.algebra_of(formula, formula, grammar)["derivatives"]
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    target = torch.tensor([1.0, 0.0]).double().expand(20, 2)
    (gradient,) = torch.autograd.grad(expression({"x": x, "y": target}).sum(), x)
    found = numbers(one["text"], {"x_0": x.detach()[:, 0], "x_1": x.detach()[:, 1]})
    torch.testing.assert_close(found, gradient[:, 0])


@pytest.mark.parametrize(
    ("name", "slopes"), [("iou", (-1.0, -1.0)), ("log_iou", (-1.0, -1e6)), ("squared_iou", (-2.0, 0.0))]
)
def test_by_iou_the_slope_at_both_ends_is_that_of_the_formula(name: str, slopes: tuple[float, float]) -> None:
    expression, grammar, alpha = named(name)
    for way in inspection.inspected(expression, grammar, alpha)["ways"]:
        assert way["by"] == "IoU"
        assert way["optimum"]["slope"] == pytest.approx(slopes[0], rel=1e-3)
        assert way["far end"]["slope"] == pytest.approx(slopes[1], rel=1e-3, abs=1e-4)
        assert way["falls"] == [[0.0, 1.0]]
        assert way["rises"] == []
        assert (way["convex"] == [[0.0, 1.0]]) is (name != "squared_iou")


def test_along_a_way_the_areas_of_algebra_are_those_of_boxes() -> None:
    rng = random.Random(3)
    for grammar in (GRAMMARS["box"], GRAMMARS["box_pixels"], GRAMMARS["box_extended"], GRAMMARS["box_wide"]):
        names = [one.name for one in grammar.terminals]
        expression = grammar.parse(" + ".join(f"{rng.randrange(1, 9)}*{name}" for name in names))
        formula = grammar.formula(expression)
        for way in grammar.kind.ways(grammar.terminals):
            place = torch.linspace(0.1, 0.9, 9).double().requires_grad_()
            (slope,) = torch.autograd.grad(expression(way.inputs(place)).sum(), place)
            arguments = (way.case, expression.tree, formula.positive, formula.fixed, way.symbol, True)
            text, _ = algebra.ask(symbolic.derivative_texts, *arguments).value or ("", "")
            found = numbers(text, {"q": place.detach(), "A": torch.full((9,), 64.0**2).double()})
            torch.testing.assert_close(found.expand(9), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_known_loss_is_its_own_nearest(name: str) -> None:
    for known in KNOWN.values():
        if known.grammar == name:
            found = inspection.nearest(known.expression, GRAMMARS[name], known.alpha)
            assert found is not None
            assert (found["name"], found["equal"]) == (known.name, True)
            assert found["cosine"] == pytest.approx(1)


def test_another_loss_says_how_it_differs_from_its_nearest() -> None:
    box = GRAMMARS["box"]
    found = inspection.nearest(box.parse("(1 - i/u)**2"), box)
    assert found is not None
    assert not found["equal"]
    assert found["worse half"] > 1 > found["better half"]
    assert "times as strong" in found["differs"]


def test_a_formula_without_a_gradient_has_no_nearest() -> None:
    box = GRAMMARS["box"]
    assert inspection.nearest(box.parse("i - i"), box) is None


def long_formula(grammar: Grammar) -> Expression:
    """What SymPy simplifies for hours."""
    text = "x*y"
    for name in ("gd", "erf", "sin", "alf", "tanh"):
        text = f"{name}({text} + sqrt(x*{name}(y)))"
    return grammar.parse(text)


def test_what_sympy_cannot_do_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "SECONDS", 0.3)
    sigmoid = GRAMMARS["sigmoid"]
    formula = sigmoid.formula(long_formula(sigmoid))
    (found,) = inspection.algebra_of(formula, formula, sigmoid)["derivatives"]
    assert "SymPy took longer than 0.3 s" in found["cause"]
