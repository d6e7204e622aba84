"""Expression: a frozen tree over a grammar that prints as text and runs on tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from primitives.operators import Operator


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula: an operator with its arguments, the name of an input, or a constant.

    Two expressions are equal when their texts are, and `grammar.parse(str(e)) == e`.

    Args:
        head: operator, input name or constant.
        arguments: one expression per argument of the operator; empty for an input or a constant.
    """

    head: Operator | str | float
    arguments: tuple[Expression, ...] = ()
    text: str = field(init=False)
    size: int = field(init=False)
    depth: int = field(init=False)
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = self.arguments
        if isinstance(self.head, Operator):
            if len(parts) != self.head.arity:
                raise ValueError(f"{self.head.name} takes {self.head.arity} arguments, got {len(parts)}")
            text = f"{self.head.name}({', '.join(part.text for part in parts)})"
        elif parts:
            raise ValueError(f"{self.head!r} takes no arguments, got {len(parts)}")
        else:
            text = self.head if isinstance(self.head, str) else format(self.head, ".17g")
        own = frozenset([self.head]) if isinstance(self.head, str) else frozenset()
        for name, value in (
            ("text", text),
            ("size", 1 + sum(part.size for part in parts)),
            ("depth", max((1 + part.depth for part in parts), default=0)),
            ("names", own.union(*(part.names for part in parts))),
        ):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __call__(self, inputs: Mapping[str, Tensor], memo: dict[str, Tensor] | None = None) -> Tensor:
        """Value of the formula; shared sub-expressions are computed once.

        Args:
            inputs: a tensor per input name; box inputs (N,), class inputs (N, C). Device and dtype follow them.
            memo: values of formulas on these very inputs by their text, read and added to; a caller who keeps it
                shares sub-expressions among formulas.

        Returns:
            Tensor that broadcasts to the inputs' shape; (N, 1) where the formula ends in `dot`.

        Raises:
            KeyError: an input that the formula reads is not given.
        """
        like = next(iter(inputs.values()))
        return self._value(inputs, like, {} if memo is None else memo)

    def _value(self, inputs: Mapping[str, Tensor], like: Tensor, memo: dict[str, Tensor]) -> Tensor:
        known = memo.get(self.text)
        if known is not None:
            return known
        if isinstance(self.head, Operator):
            value = self.head.tensor(*[part._value(inputs, like, memo) for part in self.arguments])
        elif isinstance(self.head, str):
            value = inputs[self.head]
        else:
            # Of the inputs' shape, so that softmax and dot see a constant as one value per class.
            value = like.new_full((), self.head).expand(like.shape)
        memo[self.text] = value
        return value

    @property
    def tree(self) -> str | float | tuple[object, ...]:
        """The formula in plain values: a name, a number, or the operator's name followed by the arguments' trees."""
        if isinstance(self.head, Operator):
            return (self.head.name, *(part.tree for part in self.arguments))
        return self.head

    def walk(self) -> Iterator[Expression]:
        """Every node, root first, arguments from left to right."""
        yield self
        for part in self.arguments:
            yield from part.walk()

    def replace(self, index: int, part: Expression) -> Expression:
        """The same formula with the node at `index` of `walk()` replaced by `part`.

        Raises:
            IndexError: there is no such node.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"node {index} of a formula with {self.size} nodes")
        if index == 0:
            return part
        index -= 1
        arguments = list(self.arguments)
        for k, argument in enumerate(arguments):
            if index < argument.size:
                arguments[k] = argument.replace(index, part)
                break
            index -= argument.size
        return Expression(self.head, tuple(arguments))
