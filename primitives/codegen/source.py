"""Source: a formula as straight-line statements in PyTorch, NumPy or JAX, without an interpreter."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import torch

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.operators import BACKENDS, EPS, OPERATORS, Binding, Operator

_NEGATE = OPERATORS["neg"]
_LONGEST = 60  # characters of an operation that stays inside another; a longer one becomes a statement
# A constant of an input's shape, and a column that is repeated for every class.
_SHAPED = {
    "torch": {"full": "torch.full_like({like}, {a})", "expand": "({a}).expand_as({like})"},
    "numpy": {"full": "np.full_like({like}, {a})", "expand": "np.broadcast_to({a}, {like}.shape)"},
    "jax": {"full": "jnp.full_like({like}, {a})", "expand": "jnp.broadcast_to({a}, {like}.shape)"},
}


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
    expression: Expression,
    backend: str = "torch",
    above_zero: frozenset[str] = frozenset(),
    prefix: str = "t",
    like: str = "",
) -> Source:
    """The formula as statements: shared parts computed once, constants folded, identities removed.

    Args:
        expression: the formula.
        backend: `torch`, `numpy` or `jax`.
        above_zero: inputs that are never below 1e-3, by which division needs no protection: 1e-20 is lost beside them.
        prefix: of the names of statements.
        like: a tensor of the inputs' full shape, for a formula whose inputs are columns alone.

    Raises:
        ValueError: no such backend.
        InputError: a constant part of the formula is not finite.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    formula = folded(expression)
    uses = Counter(_operators(formula))
    shared = {text for text, count in uses.items() if count > 1}
    wide_names = (name for name in formula.names if wide(Expression(name)))
    writer = _Writer(backend, shared, above_zero, min(wide_names, default=like), prefix)
    result, _ = writer.write(formula, inside=False)
    return Source(tuple(writer.statements), _bare(result), tuple(sorted(formula.names)))


def wide(formula: Expression, constants: bool = True) -> bool:
    """Whether the value of a class formula has a column per class; `dot` leaves one, and so has what stands at labels.

    Args:
        formula: of class inputs, and of those that stand at labels.
        constants: whether a constant counts as one value per class, as it does when a formula is evaluated.
    """
    if isinstance(formula.head, Operator):
        constants = constants or formula.head.class_axis  # whose arguments get their columns
        return not formula.head.one_column and any(wide(part, constants) for part in formula.arguments)
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
        backend: str,
        shared: set[str],
        above_zero: frozenset[str],
        like: str,
        prefix: str,
    ) -> None:
        self.statements: list[str] = []
        self._backend, self._shared, self._above_zero = backend, shared, above_zero
        self._like = like  # what has the shape of all inputs
        self._names: dict[str, str] = {}
        self._prefix = prefix

    def write(self, formula: Expression, inside: bool = True) -> tuple[str, Binding]:
        """The text of a part, and how tightly it binds; `inside` another one it may become a statement."""
        if isinstance(formula.head, str):
            return formula.head, Binding.ATOM
        if not isinstance(formula.head, Operator):
            return repr(formula.head), Binding.ATOM if formula.head >= 0 else Binding.SIGN
        if formula.text in self._names:
            return self._names[formula.text], Binding.ATOM
        text, binding = self._operation(formula.head, formula.arguments)
        if formula.text in self._shared or (inside and len(text) > _LONGEST):
            return self._statement(formula, text), Binding.ATOM
        return text, binding

    def _operation(self, head: Operator, parts: tuple[Expression, ...]) -> tuple[str, Binding]:
        text = head.code[self._backend]
        # A function of two arguments, or one along the class axis, takes no bare numbers.
        tensors = head.class_axis or (head.arity == 2 and head.binding is Binding.ATOM)
        written = {}
        for index, (name, part, least) in enumerate(zip("ab", parts, head.argument_binding, strict=False)):
            if head.guarded and index == head.arity - 1:
                written[name] = self._guarded(part)
            elif text.count(f"{{{name}}}") > 1 and not isinstance(part.head, float):
                written[name] = self._named(part)
            else:
                bare = not tensors or name in head.bare
                written[name] = self._bound(part, least) if bare else self._tensor(part, least, head.class_axis)
        return text.format(**written), head.binding

    def _bound(self, part: Expression, least: Binding) -> str:
        text, binding = self.write(part)
        return text if binding >= least else f"({text})"

    def _guarded(self, part: Expression) -> str:
        """An argument that must not be 0."""
        if part.head in self._above_zero:
            return str(part.head)
        if isinstance(part.head, float):
            value = part.head + EPS
            return repr(value) if value >= 0 else f"({value!r})"
        return f"({self._bound(part, Binding.SUM)} + {EPS!r})"

    def _named(self, part: Expression) -> str:
        """A name for a part that a template reads twice."""
        text, binding = self.write(part)
        if binding is Binding.ATOM and text.isidentifier():
            return text
        return self._statement(part, text)

    def _statement(self, part: Expression, text: str) -> str:
        name = self._names[part.text] = f"{self._prefix}{len(self._names) + 1}"
        self.statements.append(f"{name} = {_bare(text)}")
        return name

    def _tensor(self, part: Expression, least: Binding, columns: bool) -> str:
        """An argument that must be a tensor, or one with a column per class."""
        if isinstance(part.head, float):
            return _SHAPED[self._backend]["full"].format(like=self._like, a=repr(part.head))
        if columns and wide(part) and not wide(part, constants=False):
            return _SHAPED[self._backend]["expand"].format(like=self._like, a=self._bound(part, Binding.SUM))
        return self._bound(part, least)
