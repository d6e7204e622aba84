"""The operator table: every primitive operation with its tensor function; its twin in SymPy is in `symbolic`.

Source: Liu et al. 2021, "Loss Function Discovery for Object Detection via Convergence-Simulation Driven
Search", arXiv 2102.04700, section 3.1; where the published code fixes a constant (1e-20 in log and div, exp
clamped at 88, the scale of the S-curves) the same constant is used here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-20
EXP_MAX = 88.0
# The S-curves are stretched so that each has slope 1/4 at 0, as the logistic curve has.
_ERF_SCALE = math.sqrt(math.pi) / 4
_GD_SCALE = math.pi / 8

Interval = tuple[float, float]

_REAL: Interval = (-math.inf, math.inf)
_POSITIVE: Interval = (0.0, math.inf)


@dataclass(frozen=True)
class Operator:
    """One primitive operation; the row is executed when it is declared.

    Args:
        name: canonical lower-case name, as it prints.
        arity: number of arguments, 1 or 2.
        tensor: element-wise tensor function, shape (...) -> (...); along the last axis if `class_axis`.
        domain: interval of every argument on which the value is finite.
        text: one line for people.
        aliases: other names that published text uses.
        class_axis: acts along the class axis, so it exists in the class grammars only.
        extended: not in the paper's set; text may use it, a search draws it only when asked to.

    Raises:
        ValueError: the row contradicts itself (arity, shape, or a value that is not finite in the domain).
    """

    name: str
    arity: int
    tensor: Callable[..., Tensor]
    domain: Interval
    text: str
    aliases: tuple[str, ...] = ()
    class_axis: bool = False
    extended: bool = False

    def __post_init__(self) -> None:
        low, high = max(self.domain[0], -30.0), min(self.domain[1], 30.0)
        # The open end of a domain (log at 0) is not part of it.
        sample = torch.linspace(low, high, 8, dtype=torch.float64)[1:-1].reshape(2, 3)
        try:
            value = self.tensor(*[sample] * self.arity)
        except TypeError as error:
            raise ValueError(f"operator {self.name}: does not take {self.arity} arguments: {error}") from None
        shape = (2, 1) if self.name == "dot" else (2, 3)
        if tuple(value.shape) != shape:
            raise ValueError(f"operator {self.name}: shape {tuple(value.shape)} from (2, 3), expected {shape}")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"operator {self.name}: not finite inside its domain {self.domain}")

    def __repr__(self) -> str:
        return f"Operator({self.name})"


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / (b + EPS)


def _log(a: Tensor) -> Tensor:
    return torch.log(a + EPS)


def _exp(a: Tensor) -> Tensor:
    return torch.exp(a.clamp(max=EXP_MAX))


def _gd(a: Tensor) -> Tensor:
    # gd(x) = 2 atan(tanh(x / 2)), scaled to (gd(pi x / 4) * 2 / pi + 1) / 2
    return 0.5 + (2.0 / math.pi) * torch.atan(torch.tanh(a * _GD_SCALE))


def _alf(a: Tensor) -> Tensor:
    # h / sqrt(1 + h^2) with h = x / 2, scaled to 0..1
    half = a / 2
    return (half * torch.rsqrt(1 + half * half) + 1) / 2


def _erf(a: Tensor) -> Tensor:
    return (torch.erf(a * _ERF_SCALE) + 1) / 2


def _erfc(a: Tensor) -> Tensor:
    return torch.erfc(a * _ERF_SCALE) / 2


def _softmax(a: Tensor) -> Tensor:
    return torch.softmax(a, dim=-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)


_ROWS = (
    Operator("add", 2, torch.add, _REAL, "a + b"),
    Operator("sub", 2, torch.sub, _REAL, "a - b"),
    Operator("mul", 2, torch.mul, _REAL, "a * b"),
    Operator("div", 2, _div, _POSITIVE, "a / (b + 1e-20)"),
    Operator("dot", 2, _dot, _REAL, "sum of a * b over the classes, one column", class_axis=True),
    Operator("neg", 1, torch.neg, _REAL, "-a"),
    Operator("exp", 1, _exp, _REAL, "e^a, a clamped at 88"),
    Operator("log", 1, _log, _POSITIVE, "natural logarithm of a + 1e-20"),
    Operator("abs", 1, torch.abs, _REAL, "absolute value"),
    Operator("sqrt", 1, torch.sqrt, _POSITIVE, "square root"),
    Operator("softmax", 1, _softmax, _REAL, "softmax over the classes", class_axis=True),
    Operator("softplus", 1, functional.softplus, _REAL, "log(1 + e^a)"),
    Operator("sigmoid", 1, torch.sigmoid, _REAL, "1 / (1 + e^-a)", aliases=("sig",)),
    Operator("gd", 1, _gd, _REAL, "Gudermannian curve scaled into 0..1", aliases=("sgdf",)),
    Operator("alf", 1, _alf, _REAL, "algebraic curve scaled into 0..1", aliases=("salf",)),
    Operator("erf", 1, _erf, _REAL, "error function scaled into 0..1", aliases=("serf",)),
    Operator("erfc", 1, _erfc, _REAL, "complementary error function scaled into 0..1", aliases=("serfc",)),
    Operator("tanh", 1, torch.tanh, _REAL, "hyperbolic tangent"),
    Operator("relu", 1, torch.relu, _REAL, "the positive part"),
    Operator("sin", 1, torch.sin, _REAL, "sine"),
    Operator("cos", 1, torch.cos, _REAL, "cosine"),
    Operator("square", 1, torch.square, _REAL, "a * a", extended=True),
    Operator("min", 2, torch.minimum, _REAL, "the smaller of a and b", extended=True),
    Operator("max", 2, torch.maximum, _REAL, "the larger of a and b", extended=True),
)

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}
"""Every operator by its canonical name: the paper's 21 and the extended three."""
