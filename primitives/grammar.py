"""Grammar: which inputs, operators and constants a formula of one kind may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal, Terminals
from primitives.operators import OPERATORS, Operator
from primitives.parser import GrammarError, Words, read, short


@dataclass(frozen=True)
class Grammar:
    """Operators, terminals, constants and size limits for one kind of loss.

    Args:
        name: as `--grammar` and configs name it.
        kind: what its losses are about.
        terminals: the inputs, of those of the kind.
        operators: names of the operators that text may use.
        constants: what a search draws, none for any of two digits; text may hold any number that is in RANGE.
        drawn: names of the operators that a search draws; None for those that are not extended, or all when asked to.
        drawn_inputs: names of the inputs that a search draws; None for all.
        edition: of the rules of the gates: 2 mends refusals of good losses; what was searched by 1 stays as it is.
        max_depth: deepest tree that a search keeps, the root being at depth 0.
        max_size: most nodes that a search keeps.
    """

    name: str
    kind: Kind
    terminals: tuple[Terminal, ...]
    operators: tuple[str, ...]
    constants: tuple[float, ...] = (1.0, 2.0, 3.0)
    max_depth: int = 10
    max_size: int = 50
    drawn: tuple[str, ...] | None = None
    drawn_inputs: tuple[str, ...] | None = None
    edition: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "terminals", Terminals(self.terminals))

    def __hash__(self) -> int:
        return hash((self.name, self.constants))

    @property
    def slot(self) -> str:
        """Where its losses sit in a detector."""
        return self.kind.slot

    def formula(self, expression: Expression, alpha: float | None = None) -> Formula:
        """An expression as a kind is asked about it, `alpha` weighting the target outside."""
        return Formula(expression, self.terminals, alpha, self.edition)

    def inputs(self, sample: Sample) -> dict[str, Tensor]:
        """Its inputs by name; those are left out for which the sample lacks what a head must give.

        Raises:
            ValueError: shapes that do not belong together.
        """
        return self.kind.inputs(sample, self.terminals)

    def given(self, expression: Expression) -> tuple[str, ...]:
        """What the head must hand over for a formula beside prediction and target, as its keywords."""
        found = (one.given for one in self.terminals if one.given and one.name in expression.names)
        return tuple(dict.fromkeys(found))

    def losses(self, expression: Expression, sample: Sample, alpha: float | None = None) -> Tensor:
        """Losses (N,) of a formula on a raw input; see `inputs` and `Kind.losses`."""
        inputs = self.inputs(sample)
        return self.kind.losses(expression(inputs), inputs, alpha)

    def drawing(self, inputs: Sequence[str] | None, operators: Sequence[str] | None) -> Grammar:
        """The same where a search draws these inputs and operators; None for what it draws anyhow.

        Raises:
            InputError: one that it does not have, one twice, or none of the inputs that a prediction changes.
        """
        has = {"inputs": [one.name for one in self.terminals], "operators": self.operators}
        for (what, known), asked in zip(has.items(), (inputs, operators), strict=True):
            for name in asked or ():
                if name not in known:
                    raise InputError(
                        f"grammar {self.name!r} has none of the {what} {name!r}; choices: {', '.join(known)}"
                    )
            if len(set(asked or ())) < len(asked or ()):
                raise InputError(f"{what} names one twice: {', '.join(asked or ())}")
        if inputs and not self.predicted & set(inputs):
            raise InputError(f"inputs needs one that predictions change: {', '.join(sorted(self.predicted))}")
        return replace(
            self,
            drawn=tuple(operators) if operators else self.drawn,
            drawn_inputs=tuple(inputs) if inputs else self.drawn_inputs,
        )

    def asked(self, thresholds: Mapping[str, float]) -> dict[str, float]:
        """What its edition of the rules asks of a simulation: less than usual, and what a person set as it was set."""
        grace = {one.name: one.grace for one in self.kind.outcomes} if self.edition > 1 else {}
        usual = self.kind.thresholds
        return {
            name: least - grace.get(name, 0.0) if least == usual.get(name) else least
            for name, least in thresholds.items()
        }

    def holds(self, other: Grammar) -> bool:
        """Whether every formula of another grammar is one of this, and means the same."""
        inside = set(other.terminals) <= set(self.terminals) and set(other.operators) <= set(self.operators)
        return self.kind is other.kind and inside

    @cached_property
    def predicted(self) -> frozenset[str]:
        """Names of the inputs through which the gradient reaches the prediction."""
        return frozenset(terminal.name for terminal in self.terminals if terminal.predicted)

    @cached_property
    def words(self) -> Words:
        """The names that text may use."""
        meanings: dict[str, Operator | str] = {}
        for name in self.operators:
            operator = OPERATORS[name]
            meanings.update(dict.fromkeys((operator.name, *operator.aliases), operator))
        for terminal in self.terminals:
            meanings.update(dict.fromkeys((terminal.name, *terminal.aliases), terminal.name))
        return Words(self.name, meanings, dict(self.kind.shorthands))

    def parse(self, text: str) -> Expression:
        """Reads a formula as people and papers write it; text never reaches an interpreter.

        Args:
            text: infix such as `-log(i/u)`, calls of operators such as `neg(log(div(i, u)))`, or both mixed; case is
                free.

        Returns:
            The expression in canonical form.

        Raises:
            GrammarError: unknown name, wrong number of arguments, unbalanced or too deeply nested text, a power that
                the language lacks, or a formula that reads no input.
        """
        expression = read(text, self.words)
        if not expression.names:
            names = ", ".join(sorted(terminal.name for terminal in self.terminals))
            raise GrammarError(f"a formula must read an input, {short(text)} reads none; inputs: {names}")
        return expression
