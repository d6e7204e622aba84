"""Formula: an expression with its inputs and what weights it outside."""

from __future__ import annotations

from dataclasses import dataclass

from primitives.expression import Expression
from primitives.kinds.terminal import Terminal
from primitives.operators import Operator


@dataclass(frozen=True)
class Formula:
    """What a kind is asked about.

    Args:
        expression: the formula.
        terminals: inputs that its grammar has.
        alpha: weight of the target outside the formula; None weights nothing.
        edition: of the rules that it is judged by; see `Grammar`.
    """

    expression: Expression
    terminals: tuple[Terminal, ...]
    alpha: float | None = None
    edition: int = 1

    @property
    def reads(self) -> tuple[Terminal, ...]:
        """The inputs that it reads."""
        return tuple(terminal for terminal in self.terminals if terminal.name in self.expression.names)

    @property
    def positive(self) -> frozenset[str]:
        """Names of the inputs that are above 0."""
        return frozenset(terminal.name for terminal in self.terminals if terminal.positive)

    @property
    def fixed(self) -> frozenset[str]:
        """Names of the inputs that no prediction changes."""
        return frozenset(terminal.name for terminal in self.terminals if not terminal.predicted)

    @property
    def held(self) -> bool:
        """Whether a part changes with the prediction that no derivative is taken of: values do not tell its way."""
        names = self.expression.names
        return "stop(" in self.expression.text or any(one.moves and one.name in names for one in self.terminals)

    @property
    def quick(self) -> bool:
        """Whether what depends on the prediction is made of operators with which algebra is quick."""
        predicted = {terminal.name for terminal in self.terminals if terminal.predicted}
        heads = (node.head for node in self.expression.walk() if node.names & predicted)
        return all(head.quick for head in heads if isinstance(head, Operator))

    @property
    def by_column(self) -> bool:
        """Whether a class's column does not depend on the others."""
        return not any(isinstance(node.head, Operator) and node.head.class_axis for node in self.expression.walk())
