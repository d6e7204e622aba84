"""The operator table: every primitive operation with its tensor function and its algebraic twin.

Source: Liu et al. 2021, "Loss Function Discovery for Object Detection via Convergence-Simulation Driven
Search", arXiv 2102.04700, section 3.1; where the published code fixes a constant (1e-20 in log and div, exp
clamped at 88, the scale of the S-curves) the same constant is used here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy

from primitives.operators.later import LATER
from primitives.operators.operator import BACKENDS, Binding, Column, Interval, Operator, code_of, same

if TYPE_CHECKING:  # at run time tensors bring their functions, so that the process of SymPy needs no torch
    from torch import Tensor

EPS = 1e-20
EXP_MAX = 88.0
# The S-curves are stretched so that each has slope 1/4 at 0, as the logistic curve has.
_ERF_SCALE = math.sqrt(math.pi) / 4
_GD_SCALE = math.pi / 8

_REAL: Interval = (-math.inf, math.inf)
_POSITIVE: Interval = (0.0, math.inf)


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / (b + EPS)


def _log(a: Tensor) -> Tensor:
    return (a + EPS).log()


def _exp(a: Tensor) -> Tensor:
    return a.clamp(max=EXP_MAX).exp()


def _gd(a: Tensor) -> Tensor:
    # gd(x) = 2 atan(tanh(x / 2)), scaled to (gd(pi x / 4) * 2 / pi + 1) / 2
    return 0.5 + (2.0 / math.pi) * (a * _GD_SCALE).tanh().atan()


def _alf(a: Tensor) -> Tensor:
    # h / sqrt(1 + h^2) with h = x / 2, scaled to 0..1
    half = a / 2
    return (half * (1 + half * half).rsqrt() + 1) / 2


def _erf(a: Tensor) -> Tensor:
    return ((a * _ERF_SCALE).erf() + 1) / 2


def _erfc(a: Tensor) -> Tensor:
    return (a * _ERF_SCALE).erfc() / 2


def _softmax(a: Tensor) -> Tensor:
    return a.softmax(dim=-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)


def _softplus(a: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.softplus(a)


def _sym_softmax(a: Column) -> Column:
    total = sympy.Add(*[sympy.exp(item) for item in a])
    return tuple(sympy.exp(item) / total for item in a)


def _sym_dot(a: Column, b: Column) -> Column:
    width = max(len(a), len(b))
    return (sympy.Add(*[a[k % len(a)] * b[k % len(b)] for k in range(width)]),)


def _sym_sigmoid(a: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + sympy.exp(-a))


_HALF = sympy.Rational(1, 2)


def _calls(name: str) -> Mapping[str, str]:
    """A function that all three name alike."""
    return code_of(f"torch.{name}({{a}})", f"np.{name}({{a}})")


def _infix(sign: str) -> Mapping[str, str]:
    return dict.fromkeys(BACKENDS, f"{{a}} {sign} {{b}}")


_SUM, _PRODUCT, _SIGN, _ATOM = Binding
# Floating point does not associate: a right-hand side of the same kind keeps its parentheses.
_SUMS: Any = {"binding": _SUM, "argument_binding": (_SUM, _PRODUCT), "quick": True}
_PRODUCTS: Any = {"binding": _PRODUCT, "quick": True}
_MULTIPLIED = (_PRODUCT,)  # an argument that the text multiplies
_GD_TEXT = f"(0.5 + {2 / math.pi!r} * {{atan}}({{tanh}}({{a}} * {_GD_SCALE!r})))"
_ERF_TEXT = f"{{a}} * {_ERF_SCALE!r}"

_ROWS = (
    Operator("add", 2, lambda a, b: a + b, lambda a, b: a + b, _REAL, "a + b", _infix("+"), degree=same, **_SUMS),
    Operator("sub", 2, lambda a, b: a - b, lambda a, b: a - b, _REAL, "a - b", _infix("-"), degree=same, **_SUMS),
    Operator(
        "mul",
        2,
        lambda a, b: a * b,
        lambda a, b: a * b,
        _REAL,
        "a * b",
        _infix("*"),
        argument_binding=(_PRODUCT, _SIGN),
        degree=lambda first, last: first + last,
        **_PRODUCTS,
    ),
    Operator(
        "div",
        2,
        _div,
        lambda a, b: a / b,
        _POSITIVE,
        "a / (b + 1e-20)",
        _infix("/"),
        argument_binding=(_PRODUCT, _ATOM),
        guarded=True,
        degree=lambda first, last: first - last,
        **_PRODUCTS,
    ),
    Operator(
        "dot",
        2,
        _dot,
        _sym_dot,
        _REAL,
        "sum of a * b over the classes, one column",
        code_of("({a} * {b}).sum(-1, keepdim=True)", "({a} * {b}).sum(-1, keepdims=True)"),
        notation="<mrow><mo>&#10216;</mo>{a}<mo>,</mo>{b}<mo>&#10217;</mo></mrow>",
        argument_binding=(_SIGN, _SIGN),
        quick=True,
        class_axis=True,
        one_column=True,
    ),
    Operator(
        "neg",
        1,
        lambda a: -a,
        lambda a: -a,
        _REAL,
        "-a",
        dict.fromkeys(BACKENDS, "-{a}"),
        binding=_SIGN,
        argument_binding=(_SIGN,),
        degree=same,
        quick=True,
    ),
    Operator(
        "exp",
        1,
        _exp,
        sympy.exp,
        _REAL,
        "e^a, a clamped at 88",
        code_of("torch.exp(torch.clamp({a}, max=88.0))", "np.exp(np.minimum({a}, 88.0))"),
        quick=True,
    ),
    Operator(
        "log",
        1,
        _log,
        sympy.log,
        _POSITIVE,
        "natural logarithm of a + 1e-20",
        code_of("torch.log({a} + 1e-20)", "np.log({a} + 1e-20)"),
        quick=True,
    ),
    Operator(
        "abs",
        1,
        lambda a: a.abs(),
        sympy.Abs,
        _REAL,
        "absolute value",
        _calls("abs"),
        notation='<mrow><mo stretchy="false">|</mo>{a}<mo stretchy="false">|</mo></mrow>',
        degree=same,
    ),
    Operator(
        "sqrt",
        1,
        lambda a: a.sqrt(),
        sympy.sqrt,
        _POSITIVE,
        "square root",
        _calls("sqrt"),
        notation="<msqrt>{a}</msqrt>",
    ),
    Operator(
        "softmax",
        1,
        _softmax,
        _sym_softmax,
        _REAL,
        "softmax over the classes",
        code_of("torch.softmax({a}, dim=-1)", "special.softmax({a}, axis=-1)", "jax.nn.softmax({a}, axis=-1)"),
        quick=True,
        class_axis=True,
    ),
    Operator(
        "softplus",
        1,
        _softplus,
        lambda a: sympy.log(1 + sympy.exp(a)),
        _REAL,
        "log(1 + e^a)",
        code_of("functional.softplus({a})", "np.logaddexp({a}, 0.0)", "jax.nn.softplus({a})"),
        quick=True,
    ),
    Operator(
        "sigmoid",
        1,
        lambda a: a.sigmoid(),
        _sym_sigmoid,
        _REAL,
        "1 / (1 + e^-a)",
        code_of("torch.sigmoid({a})", "special.expit({a})", "jax.nn.sigmoid({a})"),
        notation="<mrow><mi>&#963;</mi><mo>&#8289;</mo>{bracketed}</mrow>",
        aliases=("sig",),
        quick=True,
    ),
    Operator(
        "gd",
        1,
        _gd,
        lambda a: _HALF + 2 / sympy.pi * sympy.atan(sympy.tanh(sympy.pi * a / 8)),
        _REAL,
        "Gudermannian curve scaled into 0..1",
        code_of(
            _GD_TEXT.format(atan="torch.atan", tanh="torch.tanh", a="{a}"),
            _GD_TEXT.format(atan="np.arctan", tanh="np.tanh", a="{a}"),
        ),
        aliases=("sgdf",),
        argument_binding=_MULTIPLIED,
    ),
    Operator(
        "alf",
        1,
        _alf,
        lambda a: _HALF + a / (2 * sympy.sqrt(4 + a**2)),
        _REAL,
        "algebraic curve scaled into 0..1",
        code_of(
            "(({a} / 2 * torch.rsqrt(1 + ({a} / 2) ** 2) + 1) / 2)", "(({a} / 2 / np.sqrt(1 + ({a} / 2) ** 2) + 1) / 2)"
        ),
        aliases=("salf",),
    ),
    Operator(
        "erf",
        1,
        _erf,
        lambda a: (sympy.erf(sympy.sqrt(sympy.pi) * a / 4) + 1) / 2,
        _REAL,
        "error function scaled into 0..1",
        code_of(f"((torch.erf({_ERF_TEXT}) + 1) / 2)", f"((special.erf({_ERF_TEXT}) + 1) / 2)"),
        aliases=("serf",),
        argument_binding=_MULTIPLIED,
    ),
    Operator(
        "erfc",
        1,
        _erfc,
        lambda a: sympy.erfc(sympy.sqrt(sympy.pi) * a / 4) / 2,
        _REAL,
        "complementary error function scaled into 0..1",
        code_of(f"(torch.erfc({_ERF_TEXT}) / 2)", f"(special.erfc({_ERF_TEXT}) / 2)"),
        aliases=("serfc",),
        argument_binding=_MULTIPLIED,
    ),
    Operator("tanh", 1, lambda a: a.tanh(), sympy.tanh, _REAL, "hyperbolic tangent", _calls("tanh")),
    Operator(
        "relu",
        1,
        lambda a: a.relu(),
        lambda a: sympy.Max(a, 0),
        _REAL,
        "the positive part",
        code_of("torch.relu({a})", "np.maximum({a}, 0.0)", "jax.nn.relu({a})"),
        degree=same,
    ),
    Operator("sin", 1, lambda a: a.sin(), sympy.sin, _REAL, "sine", _calls("sin")),
    Operator("cos", 1, lambda a: a.cos(), sympy.cos, _REAL, "cosine", _calls("cos")),
    Operator(
        "square",
        1,
        lambda a: a.square(),
        lambda a: a**2,
        _REAL,
        "a * a",
        _calls("square"),
        degree=lambda first, last: first + last,
        extended=True,
    ),
    Operator(
        "min",
        2,
        lambda a, b: a.minimum(b),
        sympy.Min,
        _REAL,
        "the smaller of a and b",
        code_of("torch.minimum({a}, {b})", "np.minimum({a}, {b})"),
        degree=same,
        extended=True,
    ),
    Operator(
        "max",
        2,
        lambda a, b: a.maximum(b),
        sympy.Max,
        _REAL,
        "the larger of a and b",
        code_of("torch.maximum({a}, {b})", "np.maximum({a}, {b})"),
        degree=same,
        extended=True,
    ),
    *LATER,
)

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}
"""Every operator by its canonical name: the paper's 21 and the extended five."""
