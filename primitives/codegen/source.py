"""Source: a formula as straight-line statements in PyTorch, NumPy or JAX, without an interpreter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import torch

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.operators import OPERATORS, Operator

EPS = "1e-20"
_NEGATE = OPERATORS["neg"]
_LONGEST = 60  # characters of an operation that stays inside another; a longer one becomes a statement


class _Binding(IntEnum):
    """How tightly the outermost operation of a text binds."""

    SUM = 0
    PRODUCT = 1
    SIGN = 2
    ATOM = 3


_INFIX = {"add": (" + ", _Binding.SUM), "sub": (" - ", _Binding.SUM), "mul": (" * ", _Binding.PRODUCT)}
_GD = f"0.5 + {2 / math.pi!r} * {{atan}}({{tanh}}({{a}} * {math.pi / 8!r}))"
_ERF = f"{{a}} * {math.sqrt(math.pi) / 4!r}"

# What an argument must bind like where a template multiplies it; elsewhere it stands alone between commas.
_WITHIN = {"dot": _Binding.SIGN, "gd": _Binding.PRODUCT, "erf": _Binding.PRODUCT, "erfc": _Binding.PRODUCT}
# Calls by backend; {a} and {b} are the arguments. A sum or product is put into parentheses by the template itself.
_TORCH = {
    "dot": "({a} * {b}).sum(-1, keepdim=True)",
    "exp": "torch.exp(torch.clamp({a}, max=88.0))",
    "log": f"torch.log({{a}} + {EPS})",
    "abs": "torch.abs({a})",
    "sqrt": "torch.sqrt({a})",
    "softmax": "torch.softmax({a}, dim=-1)",
    "softplus": "functional.softplus({a})",
    "sigmoid": "torch.sigmoid({a})",
    "gd": "(" + _GD.format(atan="torch.atan", tanh="torch.tanh", a="{a}") + ")",
    "alf": "(({a} / 2 * torch.rsqrt(1 + ({a} / 2) ** 2) + 1) / 2)",
    "erf": "((torch.erf(" + _ERF.format(a="{a}") + ") + 1) / 2)",
    "erfc": "(torch.erfc(" + _ERF.format(a="{a}") + ") / 2)",
    "tanh": "torch.tanh({a})",
    "relu": "torch.relu({a})",
    "sin": "torch.sin({a})",
    "cos": "torch.cos({a})",
    "square": "torch.square({a})",
    "min": "torch.minimum({a}, {b})",
    "max": "torch.maximum({a}, {b})",
    "full": "torch.full_like({like}, {a})",
    "expand": "({a}).expand_as({like})",
}
_NUMPY = {
    "dot": "({a} * {b}).sum(-1, keepdims=True)",
    "exp": "np.exp(np.minimum({a}, 88.0))",
    "log": f"np.log({{a}} + {EPS})",
    "abs": "np.abs({a})",
    "sqrt": "np.sqrt({a})",
    "softmax": "special.softmax({a}, axis=-1)",
    "softplus": "np.logaddexp({a}, 0.0)",
    "sigmoid": "special.expit({a})",
    "gd": "(" + _GD.format(atan="np.arctan", tanh="np.tanh", a="{a}") + ")",
    "alf": "(({a} / 2 / np.sqrt(1 + ({a} / 2) ** 2) + 1) / 2)",
    "erf": "((special.erf(" + _ERF.format(a="{a}") + ") + 1) / 2)",
    "erfc": "(special.erfc(" + _ERF.format(a="{a}") + ") / 2)",
    "tanh": "np.tanh({a})",
    "relu": "np.maximum({a}, 0.0)",
    "sin": "np.sin({a})",
    "cos": "np.cos({a})",
    "square": "np.square({a})",
    "min": "np.minimum({a}, {b})",
    "max": "np.maximum({a}, {b})",
    "full": "np.full_like({like}, {a})",
    "expand": "np.broadcast_to({a}, {like}.shape)",
}
_JAX = {
    **{name: call.replace("np.", "jnp.").replace("special.", "jax.scipy.special.") for name, call in _NUMPY.items()},
    "softmax": "jax.nn.softmax({a}, axis=-1)",
    "softplus": "jax.nn.softplus({a})",
    "sigmoid": "jax.nn.sigmoid({a})",
    "relu": "jax.nn.relu({a})",
}
BACKENDS: Mapping[str, Mapping[str, str]] = {"torch": _TORCH, "numpy": _NUMPY, "jax": _JAX}
"""Templates of operators by backend."""
IMPORTS: Mapping[str, str] = {
    "torch": "import torch\nfrom torch.nn import functional",
    "numpy": "import numpy as np\nfrom scipy import special",
    "jax": "import jax\nimport jax.numpy as jnp",
}
"""What the statements of a backend need."""


@dataclass(frozen=True)
class Source:
    """Statements that compute a formula.

    Args:
        statements: one assignment each, in order; empty where one expression says it all.
        result: the expression of the value.
        inputs: names that are read, sorted.
    """

    statements: tuple[str, ...]
    result: str
    inputs: tuple[str, ...]


def source(
    expression: Expression, backend: str = "torch", above_zero: frozenset[str] = frozenset(), prefix: str = "t"
) -> Source:
    """The formula as statements: shared parts computed once, constants folded, identities removed.

    Args:
        expression: the formula.
        backend: `torch`, `numpy` or `jax`.
        above_zero: inputs that are never below 1e-3, by which division needs no protection: 1e-20 is lost beside them.
        prefix: of the names of statements.

    Raises:
        ValueError: no such backend.
        InputError: a constant part of the formula is not finite.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    formula = folded(expression)
    uses = Counter(_operators(formula))
    writer = _Writer(
        BACKENDS[backend], {text for text, count in uses.items() if count > 1}, above_zero, formula.names, prefix
    )
    result, _ = writer.write(formula, inside=False)
    return Source(tuple(writer.statements), _bare(result), tuple(sorted(formula.names)))


def wide(formula: Expression, constants: bool = True) -> bool:
    """Whether the value of a class formula has a column per class; `dot` leaves one, and so has what stands at labels.

    Args:
        formula: of inputs x, y, w, and of those that `picked` puts in.
        constants: whether a constant counts as one value per class, as it does when a formula is evaluated.
    """
    if isinstance(formula.head, Operator):
        constants = constants or formula.head.name == "softmax"  # whose argument gets its columns
        return formula.head.name != "dot" and any(wide(part, constants) for part in formula.arguments)
    if isinstance(formula.head, str):
        return formula.head != "hit" and not formula.head.endswith("_at")
    return constants


def folded(expression: Expression, constants: bool = True) -> Expression:
    """The formula with constant parts computed and what is exactly an identity removed.

    The quotient of a part by itself stays: division is protected, so it is not one everywhere. So does a constant
    that gives a single column its width.

    Args:
        expression: the formula.
        constants: whether a constant counts as one value per class.
    """
    if not isinstance(expression.head, Operator):
        return expression
    head, parts = expression.head, tuple(folded(part, constants) for part in expression.arguments)
    known = [part.head if isinstance(part.head, float) else None for part in parts]
    if not head.class_axis and None not in known:
        value = float(head.tensor(*(torch.tensor(part, dtype=torch.float64) for part in known)))
        if not math.isfinite(value):
            raise InputError(f"{expression.text[:200]} is {value}; a formula with such a constant is not written out")
        return Expression(value)
    first, last = known[0], known[-1]
    if constants and len(parts) == 2 and wide(expression) != wide(parts[0 if first is None else 1]):
        return Expression(head, parts)
    if (head.name in ("add", "sub") and last == 0 and len(parts) == 2) or (head.name in ("mul", "div") and last == 1):
        return parts[0]
    if (head.name == "add" and first == 0) or (head.name == "mul" and first == 1):
        return parts[1]
    if head.name == "sub" and first == 0:
        return _negated(parts[1])
    if head.name == "neg":
        return _negated(parts[0])
    if head.name in ("add", "sub") and parts[1].head == _NEGATE:
        other = OPERATORS["sub" if head.name == "add" else "add"]
        return Expression(other, (parts[0], parts[1].arguments[0]))
    if head.name == "add" and parts[0].head == _NEGATE:
        return Expression(OPERATORS["sub"], (parts[1], parts[0].arguments[0]))
    return Expression(head, parts)


def _negated(part: Expression) -> Expression:
    return part.arguments[0] if part.head == _NEGATE else Expression(_NEGATE, (part,))


def _operators(formula: Expression, met: set[str] | None = None) -> list[str]:
    """Texts of the operators' nodes; the parts of one that came before are not gone through again."""
    met = set() if met is None else met
    if not isinstance(formula.head, Operator):
        return []
    if formula.text in met:
        return [formula.text]
    met.add(formula.text)
    return [formula.text, *(text for part in formula.arguments for text in _operators(part, met))]


def _bare(text: str) -> str:
    """Without parentheses around the whole."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


class _Writer:
    """Writes parts depth first; a part that is used more than once, or is long, becomes a statement."""

    def __init__(
        self,
        calls: Mapping[str, str],
        shared: set[str],
        above_zero: frozenset[str],
        names: frozenset[str],
        prefix: str,
    ) -> None:
        self.statements: list[str] = []
        self._calls, self._shared, self._above_zero = calls, shared, above_zero
        # What has the shape of all inputs; beside what stands at labels that is x.
        self._like = min((name for name in names if wide(Expression(name))), default="x")
        self._names: dict[str, str] = {}
        self._prefix = prefix

    def write(self, formula: Expression, inside: bool = True) -> tuple[str, _Binding]:
        """The text of a part, and how tightly it binds; `inside` another one it may become a statement."""
        if isinstance(formula.head, str):
            return formula.head, _Binding.ATOM
        if not isinstance(formula.head, Operator):
            return repr(formula.head), _Binding.ATOM if formula.head >= 0 else _Binding.SIGN
        if formula.text in self._names:
            return self._names[formula.text], _Binding.ATOM
        text, binding = self._operation(formula.head, formula.arguments)
        if formula.text in self._shared or (inside and len(text) > _LONGEST):
            return self._statement(formula, text), _Binding.ATOM
        return text, binding

    def _operation(self, head: Operator, parts: tuple[Expression, ...]) -> tuple[str, _Binding]:
        if head.name == "neg":
            return f"-{self._bound(parts[0], _Binding.SIGN)}", _Binding.SIGN
        if head.name in _INFIX:
            sign, binding = _INFIX[head.name]
            # Floating point does not associate: a right-hand side of the same kind keeps its parentheses.
            return f"{self._bound(parts[0], binding)}{sign}{self._bound(parts[1], _Binding(binding + 1))}", binding
        if head.name == "div":
            return f"{self._bound(parts[0], _Binding.PRODUCT)} / {self._divisor(parts[1])}", _Binding.PRODUCT
        if head.name == "alf":  # reads its argument twice
            return self._calls[head.name].format(a=self._named(parts[0])), _Binding.ATOM
        least = _WITHIN.get(head.name, _Binding.SUM)
        if head.class_axis or head.name in ("min", "max"):
            texts = [self._tensor(part, least, head.class_axis) for part in parts]
        else:
            texts = [self._bound(part, least) for part in parts]
        return self._calls[head.name].format(**dict(zip("ab", texts, strict=False))), _Binding.ATOM

    def _bound(self, part: Expression, least: _Binding) -> str:
        text, binding = self.write(part)
        return text if binding >= least else f"({text})"

    def _divisor(self, part: Expression) -> str:
        if part.head in self._above_zero:
            return str(part.head)
        if isinstance(part.head, float):
            value = part.head + float(EPS)
            return repr(value) if value >= 0 else f"({value!r})"
        return f"({self._bound(part, _Binding.SUM)} + {EPS})"

    def _named(self, part: Expression) -> str:
        """A name for a part that a template reads twice."""
        text, binding = self.write(part)
        if binding is _Binding.ATOM and text.isidentifier():
            return text
        return self._statement(part, text)

    def _statement(self, part: Expression, text: str) -> str:
        name = self._names[part.text] = f"{self._prefix}{len(self._names) + 1}"
        self.statements.append(f"{name} = {_bare(text)}")
        return name

    def _tensor(self, part: Expression, least: _Binding, columns: bool) -> str:
        """An argument that must be a tensor, or one with a column per class."""
        if isinstance(part.head, float):
            return self._calls["full"].format(like=self._like, a=repr(part.head))
        if columns and wide(part) and not wide(part, constants=False):
            return self._calls["expand"].format(like=self._like, a=self._bound(part, _Binding.SUM))
        return self._bound(part, least)
