"""Operator: one primitive operation, one table row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from string import Formatter
from typing import TYPE_CHECKING

import sympy

if TYPE_CHECKING:
    from torch import Tensor

Interval = tuple[float, float]
Column = tuple[sympy.Expr, ...]
BACKENDS = ("torch", "numpy", "jax")
"""What formulas are written out for."""


class Binding(IntEnum):
    """How tightly the outermost operation of a text binds."""

    SUM = 0
    PRODUCT = 1
    SIGN = 2
    ATOM = 3


def same(first: float, last: float) -> float | None:
    """The degree of a sum: that of its parts, which must agree."""
    return first if first == last else None


def code_of(torch: str, numpy: str, jax: str = "") -> Mapping[str, str]:
    """Text by backend; JAX names most functions as NumPy and SciPy do."""
    return {
        "torch": torch,
        "numpy": numpy,
        "jax": jax or numpy.replace("np.", "jnp.").replace("special.", "jax.scipy.special."),
    }


@dataclass(frozen=True)
class Operator:
    """One primitive operation; the row is executed when it is declared (the process of SymPy has no torch for that).

    Args:
        name: canonical lower-case name, as it prints.
        arity: number of arguments, 1 or 2.
        tensor: element-wise tensor function, shape (...) -> (...); along the last axis if `class_axis`.
        algebra: the same in SymPy; arguments are expressions, or columns (one expression per class) if
            `class_axis`.
        domain: interval of every argument on which the value is finite.
        text: one line for people.
        code: the same as text by backend, `{a}` and `{b}` being the arguments.
        notation: the same as MathML, `{bracketed}` being `{a}` in parentheses; empty for a function that its name
            calls, or a sign.
        aliases: other names that published text uses.
        binding: how tightly the text binds.
        argument_binding: how tightly each argument must bind; 0 where it stands alone between commas.
        guarded: EPS is added to the last argument, in text only where that may be 0.
        bare: names of arguments for which code takes a number as well as a tensor, where the text is a function.
        degree: power of a unit in the value, given those in the first and the last argument; None for none.
        quick: SymPy is quick with it.
        class_axis: acts along the class axis, so it exists in the class grammars only.
        one_column: leaves one column of all classes.
        extended: not in the paper's set; text may use it, a search draws it only when asked to.

    Raises:
        ValueError: the row contradicts itself (arity, shape, a value that is not finite in the domain, or code that
            leaves out a backend or an argument).
    """

    name: str
    arity: int
    tensor: Callable[..., Tensor]
    algebra: Callable[..., object]
    domain: Interval
    text: str
    code: Mapping[str, str] = field(repr=False, hash=False)
    notation: str = ""
    aliases: tuple[str, ...] = ()
    binding: Binding = Binding.ATOM
    argument_binding: tuple[Binding, ...] = (Binding.SUM, Binding.SUM)
    guarded: bool = False
    bare: str = ""
    degree: Callable[[float, float], float | None] = lambda first, last: 0 if first == last == 0 else None
    quick: bool = False
    class_axis: bool = False
    one_column: bool = False
    extended: bool = False

    def __post_init__(self) -> None:
        if "torch" in sys.modules:
            self._execute()
        for backend in BACKENDS:
            read = {name for _, name, _, _ in Formatter().parse(self.code.get(backend, "")) if name}
            if read != set("ab"[: self.arity]):
                raise ValueError(
                    f"operator {self.name}: code for {backend} reads {sorted(read)}, not {self.arity} arguments"
                )

    def _execute(self) -> None:
        import torch

        low, high = max(self.domain[0], -30.0), min(self.domain[1], 30.0)
        # The open end of a domain (log at 0) is not part of it.
        sample = torch.linspace(low, high, 8, dtype=torch.float64)[1:-1].reshape(2, 3)
        try:
            value = self.tensor(*[sample] * self.arity)
        except TypeError as error:
            raise ValueError(f"operator {self.name}: does not take {self.arity} arguments: {error}") from None
        shape = (2, 1) if self.one_column else (2, 3)
        if tuple(value.shape) != shape:
            raise ValueError(f"operator {self.name}: shape {tuple(value.shape)} from (2, 3), expected {shape}")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"operator {self.name}: not finite inside its domain {self.domain}")

    def __repr__(self) -> str:
        return f"Operator({self.name})"
