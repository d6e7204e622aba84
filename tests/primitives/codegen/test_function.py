import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from primitives.catalog import GRAMMARS, KNOWN
from primitives.codegen.function import function, function_name, imports
from primitives.expression import Expression
from primitives.kinds.sample import Sample
from tests.helpers.loss_contract import EVERYTHING
from tests.helpers.strategies import expressions

FORMULAS = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))
_NUMBERS = itertools.count()


def module(text: str, backend: str, folder: Path) -> ModuleType:
    """A text of functions as an imported file."""
    file = folder / f"functions_{next(_NUMBERS)}.py"
    file.write_text(f"{imports(text, backend)}\n\n\n{text}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def inputs_of(grammar: str, expression: Expression | None = None) -> dict[str, Tensor]:
    """60 box pairs near and far, or 60 logits with labels of every class and background; and what a formula reads."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    if GRAMMARS[grammar].slot == "loss_bbox":
        target = torch.cat((corner := 100 * draw(60, 2), corner + 4 + 60 * draw(60, 2)), dim=-1)
        pred = target + 20 * (draw(60, 4) - 0.5)
        pred[::6] += 300
        inputs = {"pred": pred, "target": target}
    else:
        inputs = {"x": 12 * draw(60, 5 + GRAMMARS[grammar].kind.background) - 6, "labels": torch.arange(60) % 6}
    given = {} if expression is None else dict.fromkeys(GRAMMARS[grammar].given(expression), 60)
    classes = {"frequency": (60, inputs["x"].shape[1])} if "x" in inputs else {}
    return inputs | {name: draw(*classes.get(name, (count,))) for name, count in given.items()}


def expected(expression: Expression, grammar: str, inputs: dict[str, Tensor], alpha: float | None) -> Tensor:
    pred, target = (inputs[name] for name in GRAMMARS[grammar].kind.arguments)
    return GRAMMARS[grammar].losses(expression, Sample(pred, target, inputs), alpha)


def close(found: Tensor, wanted: Tensor, slack: Tensor | float = 0.0) -> bool:
    near = (found - wanted).abs() <= 1e-9 + 1e-6 * wanted.abs() + slack
    return bool((near | (found == wanted) | (found.isnan() & wanted.isnan())).all())


def nudged(formula: Expression) -> Expression:
    head = formula.head * (1 + 4e-16) if isinstance(formula.head, float) else formula.head
    return Expression(head, tuple(map(nudged, formula.arguments)))


def of_rounding(expression: Expression, grammar: str, inputs: dict[str, Tensor], alpha: float | None) -> Tensor:
    """What rounding of inputs and constants costs a formula such as sin(480647 / x)."""
    moved = {name: value * (1 + 4e-16) if value.is_floating_point() else value for name, value in inputs.items()}
    off = expected(nudged(expression), grammar, moved, alpha) - expected(expression, grammar, inputs, alpha)
    return 64 * off.abs().nan_to_num(posinf=0)


@given(FORMULAS, st.booleans())
@example(("softmax", GRAMMARS["softmax"].parse("gd(dot(y, y))")), False)
@example(("softmax", GRAMMARS["softmax"].parse("dot(dot(mul(y, w), 0.3), dot(y, 2))")), False)
@example(("sigmoid", GRAMMARS["sigmoid"].parse("dot(dot(mul(y, w), 0.3), dot(y, 2))")), False)
@example(("sigmoid", GRAMMARS["sigmoid"].parse("add(w, dot(mul(y, w), 0.3))")), False)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_the_function_computes_what_the_formula_computes(
    backend: str, tmp_path: Path, case: tuple[str, Expression], weighted: bool
) -> None:
    grammar, expression = case
    alpha = 0.25 if weighted and GRAMMARS[grammar].kind.weighs_target else None
    inputs = inputs_of(grammar, expression)
    wanted = expected(expression, grammar, inputs, alpha)
    try:
        text = function(expression, GRAMMARS[grammar], "loss", alpha, backend)
    except ValueError as error:
        assert "a formula with such a constant is not written out" in str(error)
        return
    call: Any = module(text, backend, tmp_path).loss
    if backend == "torch":
        found = call(**inputs)
    else:
        with np.errstate(all="ignore"):
            found = torch.as_tensor(np.array(call(**{name: value.numpy() for name, value in inputs.items()})))
    assert found.shape == (60,)
    finite = torch.isfinite(wanted) & (wanted.abs() < 1e12)
    slack = of_rounding(expression, grammar, inputs, alpha)[finite]
    assert close(found[finite], wanted[finite], slack), (text, found[finite] - wanted[finite])


def test_a_sum_over_the_target_within_another_is_at_the_label_once(tmp_path: Path) -> None:
    rules = GRAMMARS["sigmoid"]
    formula = rules.parse("min(alf(max(y, 0.5)), dot(dot(y, x), y))")
    inputs = inputs_of("sigmoid")
    for alpha in (None, 0.25):
        call = module(function(formula, rules, "loss", alpha), "torch", tmp_path).loss
        assert close(call(**inputs), expected(formula, "sigmoid", inputs, alpha))


@pytest.mark.parametrize("formula", ["focal", "squared_error", "varifocal", "binary_cross_entropy"])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_an_alpha_that_float32_rounds_is_not_rounded_in_double_precision(
    backend: str, formula: str, tmp_path: Path
) -> None:
    known = KNOWN[formula]
    inputs = inputs_of(known.grammar, known.expression)
    call: Any = module(
        function(known.expression, GRAMMARS[known.grammar], "loss", 0.14, backend), backend, tmp_path
    ).loss
    found = call(**(inputs if backend == "torch" else {name: value.numpy() for name, value in inputs.items()}))
    wanted = expected(known.expression, known.grammar, inputs, 0.14)
    assert float(((torch.as_tensor(found) - wanted) / wanted).abs().max()) < 1e-12


@pytest.mark.parametrize("name", KNOWN)
def test_gradients_of_known_losses_are_those_of_the_formula(name: str, tmp_path: Path) -> None:
    known = KNOWN[name]
    inputs = inputs_of(known.grammar, known.expression)
    call = module(function(known.expression, GRAMMARS[known.grammar], "loss", known.alpha), "torch", tmp_path).loss
    leaf = inputs["pred" if "pred" in inputs else "x"].requires_grad_()
    mine = torch.autograd.grad(call(**inputs).sum(), leaf)[0]
    theirs = torch.autograd.grad(expected(known.expression, known.grammar, inputs, known.alpha).sum(), leaf)[0]
    assert close(mine, theirs)


@pytest.mark.parametrize("grammar", EVERYTHING)
def test_gradients_of_what_reads_everything_are_those_of_the_formula(grammar: str, tmp_path: Path) -> None:
    rules = GRAMMARS[grammar]
    formula = rules.parse(EVERYTHING[grammar])
    inputs = inputs_of(grammar, formula)
    call = module(function(formula, rules, "loss"), "torch", tmp_path).loss
    leaf = inputs["pred" if "pred" in inputs else "x"].requires_grad_()
    mine = torch.autograd.grad(call(**inputs).sum(), leaf)[0]
    theirs = torch.autograd.grad(expected(formula, grammar, inputs, None).sum(), leaf)[0]
    assert close(mine, theirs)


AT_LABEL = {name: one for name, one in KNOWN.items() if "log(softmax(x))" in one.expression.text}


@pytest.mark.parametrize("name", AT_LABEL)
def test_at_extreme_logits_too_what_stands_at_the_label_is_that_of_the_formula(name: str, tmp_path: Path) -> None:
    known, rules = AT_LABEL[name], GRAMMARS[AT_LABEL[name].grammar]
    call = module(function(known.expression, rules, "loss"), "torch", tmp_path).loss

    @given(st.floats(0, 400), st.integers(0, 2**16))
    @settings(max_examples=60)
    def holds(reach: float, seed: int) -> None:
        inputs = inputs_of(known.grammar, known.expression)
        inputs["x"] = reach * torch.randn(60, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        leaf = inputs["x"].requires_grad_()
        found, wanted = call(**inputs), expected(known.expression, known.grammar, inputs, known.alpha)
        assert close(found, wanted)
        assert close(*(torch.autograd.grad(value.sum(), leaf)[0] for value in (found, wanted)))

    holds()


@pytest.mark.parametrize("name", KNOWN)
def test_jax_gives_the_same_values_and_a_gradient(name: str, tmp_path: Path) -> None:
    jax = pytest.importorskip("jax", reason="JAX is an optional extra: pip install 'autoloss[jax]'")
    known = KNOWN[name]
    inputs = inputs_of(known.grammar, known.expression)
    wanted = expected(known.expression, known.grammar, inputs, known.alpha)
    call = module(function(known.expression, GRAMMARS[known.grammar], "loss", known.alpha, "jax"), "jax", tmp_path).loss
    given = {name: jax.numpy.asarray(value.numpy(), dtype=None) for name, value in inputs.items()}
    found = torch.tensor(np.array(jax.jit(call)(**given)), dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    leaf = "pred" if "pred" in given else "x"
    slope = jax.grad(lambda value: call(**{**given, leaf: value}).sum())(given[leaf])
    assert slope.shape == tuple(inputs[leaf].shape)
    assert bool(jax.numpy.isfinite(slope).all())


def test_one_column_is_computed_where_the_target_blanks_out_the_others() -> None:
    text = function(KNOWN["cross_entropy"].expression, GRAMMARS["softmax"], "loss")
    assert 'p_at = torch.exp(-functional.cross_entropy(x, labels, reduction="none"))' in text
    assert "torch.arange" not in text
    text = function(KNOWN["binary_cross_entropy"].expression, GRAMMARS["sigmoid"], "loss")
    assert "loss = functional.softplus(x)\n" in text
    assert "at_label = -(hit * x_at)\n" in text


def test_areas_are_not_scaled_where_the_unit_cancels() -> None:
    assert "unit" not in function(KNOWN["giou"].expression, GRAMMARS["box"], "loss")
    for text in ("sub(e, i)", "div(u, i)", "exp(neg(i))", "add(1, u)"):
        assert (
            "i / unit" in (found := function(GRAMMARS["box"].parse(text), GRAMMARS["box"], "loss")) or "unit" in found
        )
    assert "unit" not in function(GRAMMARS["box_pixels"].parse("sub(e, i)"), GRAMMARS["box_pixels"], "loss")


def test_the_function_says_what_it_is() -> None:
    text = function(KNOWN["iou"].expression, GRAMMARS["box"], "linear_iou_loss")
    assert text.startswith("def linear_iou_loss(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:\n")
    for part in ("Formula: sub(1, div(i, u))", "LaTeX: - \\\\frac{i}{u} + 1", "return 1.0 - i / u\n"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "grammar", "called"),
    [
        ("Candidate36", "box", "candidate36_box_loss"),
        ("CseA", "softmax", "cse_a_class_loss"),
        ("GIoU", "box_pixels", "g_io_u_box_loss"),
    ],
)
def test_functions_are_named_as_the_export_is(name: str, grammar: str, called: str) -> None:
    assert function_name(name, GRAMMARS[grammar].kind) == called
