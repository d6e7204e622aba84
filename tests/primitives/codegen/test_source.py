import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.codegen.function import imports
from primitives.codegen.source import folded, source
from primitives.expression import Expression
from primitives.operators import BACKENDS, OPERATORS, Operator
from tests.helpers.strategies import expressions

FORMULAS = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))
_NUMBERS = itertools.count()


def module(expression: Expression, backend: str, folder: Path) -> ModuleType:
    """The formula's source in a file of its own, imported."""
    found = source(expression, backend)
    body = "\n".join(f"    {line}" for line in (*found.statements, f"return {found.result}"))
    file = folder / f"formula_{next(_NUMBERS)}.py"
    text = f"def value({', '.join(found.inputs)}):\n{body}\n"
    file.write_text(f"{imports(text, backend)}\n\n\n{text}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def inputs_of(expression: Expression, grammar: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (50,) if GRAMMARS[grammar].slot == "loss_bbox" else (50, 4)
    return {name: torch.rand(shape, generator=generator).double() * 2 + 0.1 for name in sorted(expression.names)}


@given(FORMULAS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_the_source_computes_what_the_formula_computes(
    backend: str, tmp_path: Path, case: tuple[str, Expression]
) -> None:
    grammar, expression = case
    inputs = inputs_of(expression, grammar)
    expected = expression(inputs)
    try:
        found = module(expression, backend, tmp_path)
    except ValueError as error:
        assert "a formula with such a constant is not written out" in str(error)
        return
    if backend == "torch":
        value = found.value(**inputs)
    else:
        with np.errstate(all="ignore"):
            value = torch.as_tensor(found.value(**{name: tensor.numpy() for name, tensor in inputs.items()}))
    close = torch.isclose(value.expand(expected.shape), expected, rtol=1e-6, atol=1e-9, equal_nan=True)
    steep = ~torch.isfinite(expected) | (expected.abs() > 1e15)  # where the last bit of a part decides
    assert bool((close | steep).all())


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_gradients_of_known_losses_are_those_of_the_formula(known: KnownLoss, tmp_path: Path) -> None:
    expression, found = known.expression, module(known.expression, "torch", tmp_path)
    mine, theirs = (
        {name: value.requires_grad_() for name, value in inputs_of(expression, known.grammar).items()} for _ in range(2)
    )
    for value, inputs in ((found.value(**mine), mine), (expression(theirs), theirs)):
        value.sum().backward()
        assert any(tensor.grad is not None for tensor in inputs.values())
    for name, tensor in mine.items():
        if theirs[name].grad is None:
            assert tensor.grad is None
        else:
            torch.testing.assert_close(tensor.grad, theirs[name].grad)


@pytest.mark.parametrize(
    ("grammar", "text", "statements", "result"),
    [
        ("box", "sub(1, div(i, u))", [], "1.0 - i / (u + 1e-20)"),
        ("box", "neg(log(div(i, u)))", [], "-torch.log(i / (u + 1e-20) + 1e-20)"),
        ("box", "sub(i, sub(u, e))", [], "i - (u - e)"),
        ("box", "sub(sub(i, u), e)", [], "i - u - e"),
        ("box", "mul(sub(1, i), neg(u))", [], "(1.0 - i) * -u"),
        ("box", "mul(sub(i, u), sub(i, u))", ["t1 = i - u"], "t1 * t1"),
        ("box", "mul(add(1, mul(2, 3)), i)", [], "7.0 * i"),
        ("box", "neg(neg(add(mul(i, 1), sub(0, u))))", [], "i - u"),
        ("box", "div(u, u)", [], "u / (u + 1e-20)"),
        (
            "softmax",
            "neg(dot(y, log(softmax(x))))",
            ["t1 = (y * torch.log(torch.softmax(x, dim=-1) + 1e-20)).sum(-1, keepdim=True)"],
            "-t1",
        ),
        (
            "softmax",
            "dot(softmax(2), x)",
            [],
            "(torch.softmax(torch.full_like(x, 2.0), dim=-1) * x).sum(-1, keepdim=True)",
        ),
    ],
)
def test_statements_read_as_a_person_would_write_them(
    grammar: str, text: str, statements: list[str], result: str
) -> None:
    found = source(GRAMMARS[grammar].parse(text))
    assert (list(found.statements), found.result) == (statements, result)


def test_division_by_an_input_that_is_never_near_zero_needs_no_protection() -> None:
    found = source(GRAMMARS["box"].parse("sub(1, div(i, u))"), above_zero=frozenset("ue"))
    assert found.result == "1.0 - i / u"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("row", OPERATORS.values(), ids=lambda row: row.name)
def test_every_operator_computes_in_every_backend_what_its_tensor_function_computes(
    row: Operator, backend: str, tmp_path: Path
) -> None:
    wrap: Any = {"torch": torch.as_tensor, "numpy": np.asarray, "jax": None}[backend]
    if wrap is None:
        wrap = pytest.importorskip("jax", reason="JAX is an optional extra: pip install 'autoloss[jax]'").numpy.asarray
    names = ("u", "e")[: row.arity]
    values = np.linspace(max(row.domain[0], -4.0) + 0.1, 4.0, 12, dtype=np.float32).reshape(3, 4)
    inputs = dict(zip(names, (values, values[::-1].copy()), strict=False))
    wanted = row.tensor(*(torch.as_tensor(inputs[name]) for name in names))
    found = module(Expression(row, tuple(Expression(name) for name in names)), backend, tmp_path).value(
        **{name: wrap(value) for name, value in inputs.items()}
    )
    np.testing.assert_allclose(np.asarray(found), wanted.numpy(), rtol=2e-6, atol=1e-6)


def test_what_cannot_be_written_is_an_error() -> None:
    rules = GRAMMARS["box"]
    with pytest.raises(ValueError, match="unknown backend 'tensorflow'; known: torch, numpy, jax"):
        source(rules.parse("i"), "tensorflow")
    with pytest.raises(ValueError, match="sqrt.* is nan; a formula with such a constant is not written out"):
        folded(rules.parse("mul(i, sqrt(neg(1)))"))
