"""Formula: an expression with its inputs and what weights it outside."""

from __future__ import annotations

from dataclasses import dataclass

from primitives.expression import Expression
from primitives.kinds.terminal import Terminal


@dataclass(frozen=True)
class Formula:
    """What a kind is asked about.

    Args:
        expression: the formula.
        terminals: inputs that its grammar has.
        alpha: weight of the target outside the formula; None weights nothing.
    """

    expression: Expression
    terminals: tuple[Terminal, ...]
    alpha: float | None = None

    @property
    def reads(self) -> tuple[Terminal, ...]:
        """The inputs that it reads."""
        return tuple(terminal for terminal in self.terminals if terminal.name in self.expression.names)
