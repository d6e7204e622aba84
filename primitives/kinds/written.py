"""Written: what a kind says of its losses as functions of generated code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from primitives.codegen.lines import needed
from primitives.codegen.source import source
from primitives.expression import Expression
from primitives.kinds.terminal import Terminal


class Written:
    """A kind's part of generated code; what stands here serves inputs with one value per sample.

    Args:
        arguments: names of prediction and target in generated functions.
        floating: those of them that are computed in float32 at least.
        says: first line of a function's docstring.
    """

    arguments: tuple[str, str]
    floating: tuple[str, ...] = ("pred", "target")
    says: str = "Losses (N,) of predictions (N,) and targets (N,)."

    def body(
        self,
        expression: Expression,
        terminals: Sequence[Terminal],
        alpha: float | None,  # noqa: ARG002  for kinds that have it
        backend: str,
    ) -> list[str]:
        """Statements of a function, from its arguments to `return`.

        Args:
            expression: the formula.
            terminals: of its grammar.
            alpha: weight of the target; None weights nothing.
            backend: `torch`, `numpy` or `jax`.

        Raises:
            ValueError: no such backend, no code for an input, or a constant of the formula is not finite.
        """
        found = source(expression, backend)
        lines = "\n".join(self.written(terminals, backend).values()).split("\n")
        return [*needed(lines, found.inputs), *found.statements, f"return {found.result}"]

    def written(self, terminals: Sequence[Terminal], backend: str) -> Mapping[str, str]:
        """Lines by input that end with its assignment; none where it is an argument.

        Raises:
            ValueError: a row has no code for the backend.
        """
        return {one.name: self._written(one, backend) for one in terminals}

    def _written(self, one: Terminal, backend: str) -> str:
        if one.compute is None:
            return f"{one.name} = {self.spread_code(one.given, backend)}"
        if backend not in one.code and one.name not in self.arguments:
            raise ValueError(f"input {one.name} has no code for {backend}; known: {', '.join(one.code) or 'none'}")
        return one.code.get(backend, "")

    def spread_code(self, given: str, backend: str) -> str:
        """What a head gave, detached, in the shape and dtype of the inputs; `Kind.spread` in generated code."""
        texts = {"torch": f"{given}.detach().to({self.arguments[0]}.dtype)", "jax": f"jax.lax.stop_gradient({given})"}
        return texts.get(backend, given)
