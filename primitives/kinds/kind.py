"""Kind: all that is peculiar to what a loss is about; gates, calibration, export and pictures ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from primitives.codegen.lines import needed
from primitives.codegen.source import source
from primitives.expression import Expression
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal


class Kind(ABC):
    """What a loss is about: its inputs, and what must hold of a formula over them.

    Args:
        name: unique; losses of one kind can be compared with each other.
        word: for people and generated names, such as `box`; kinds of one slot share it.
        slot: where such a loss sits in a detector, by mmdetection's name; a name of its own where there is none.
        terminals: every input a grammar of this kind may choose.
        shorthands: published names that stand for a formula, such as NY for 1 - y.
        weighs_target: whether `alpha` may weight the target outside the formula.
        arguments: of a generated function, the prediction first.
        floating: those of them that half precision is widened in.
        says: first line of a generated function's docstring.
    """

    name: str
    word: str
    slot: str
    terminals: tuple[Terminal, ...]
    shorthands: tuple[tuple[str, str], ...] = ()
    weighs_target: bool = False
    arguments: tuple[str, ...] = ("pred", "target")
    floating: tuple[str, ...] = ("pred", "target")
    says: str = "Losses (N,) of predictions (N,) and targets (N,)."

    def __repr__(self) -> str:
        return f"Kind({self.name})"

    @abstractmethod
    def derived(self, sample: Sample) -> Any:
        """What the inputs of a sample have in common, computed once; `Terminal.compute` gets it.

        Raises:
            ValueError: shapes that do not belong together.
        """

    @abstractmethod
    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
        """Losses (N,) from what a formula gave, once, outside every formula.

        Args:
            value: what the formula gave; broadcasts to the inputs' shape.
            inputs: what the formula was given.
            alpha: weight of the target; None weights nothing.
        """

    def inputs(self, sample: Sample, terminals: Sequence[Terminal]) -> dict[str, Tensor]:
        """The inputs of a formula by name; those are left out for which the sample lacks what a head must give.

        Args:
            sample: the raw input.
            terminals: the inputs.

        Raises:
            ValueError: shapes that do not belong together.
        """
        derived = self.derived(sample)
        return {
            one.name: one.compute(derived) if one.compute is not None else self.spread(sample, one.given)
            for one in terminals
            if not one.given or one.given in sample.given
        }

    def spread(self, sample: Sample, given: str) -> Tensor:
        """What a head gave, detached, in the shape and dtype of the inputs."""
        value = sample.given[given]
        if value.shape != sample.target.shape[:1]:
            raise ValueError(f"expected {given} per sample, {tuple(sample.target.shape[:1])}, got {tuple(value.shape)}")
        return value.detach().to(sample.pred.dtype)

    def written(self, terminal: Terminal, backend: str) -> str:
        """Lines of generated code that end with the assignment of an input; empty where it is an argument.

        Raises:
            ValueError: its row has no code for the backend.
        """
        if terminal.compute is None:
            return f"{terminal.name} = {self.spread_code(terminal.given, backend)}"
        if backend not in terminal.code and terminal.name not in self.arguments:
            raise ValueError(
                f"input {terminal.name}: no code for {backend}; known: {', '.join(terminal.code) or 'none'}"
            )
        return terminal.code.get(backend, "")

    def spread_code(self, given: str, backend: str) -> str:
        """`spread` in generated code."""
        texts = {"torch": f"{given}.detach().to({self.arguments[0]}.dtype)", "jax": f"jax.lax.stop_gradient({given})"}
        return texts.get(backend, given)

    def body(
        self,
        expression: Expression,
        terminals: Sequence[Terminal],
        alpha: float | None,  # noqa: ARG002
        backend: str,
    ) -> list[str]:
        """Statements of a generated function, from its arguments to `return`.

        Args:
            expression: the formula.
            terminals: of its grammar.
            alpha: weight of the target; None weights nothing.
            backend: `torch`, `numpy` or `jax`.

        Raises:
            ValueError: no such backend, or a constant of the formula is not finite.
        """
        found = source(expression, backend)
        lines = [line for one in terminals for line in self.written(one, backend).split("\n")]
        return [*needed(lines, found.inputs), *found.statements, f"return {found.result}"]
