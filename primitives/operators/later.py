"""The operators that came after the paper's: a power that has a slope everywhere, and what holds a part still."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import sympy

from primitives.operators.operator import Binding, Operator, code_of, same

if TYPE_CHECKING:
    from torch import Tensor

POW_MIN, POW_MAX = 1e-8, 60.0
"""Least base of a power, and the largest logarithm of its value."""


def _pow(a: Tensor, b: Tensor) -> Tensor:
    # Neither the value nor a gradient is without end: 1e-8 to any power has a slope.
    return (b * a.clamp(min=POW_MIN).log()).clamp(max=POW_MAX).exp()


class stop(sympy.Function):  # type: ignore[misc]  # noqa: N801  named as it prints
    """What stands for a number where derivatives are taken; of a number it is that number."""

    nargs = 1

    @classmethod
    def eval(cls, a: sympy.Expr) -> sympy.Expr | None:
        """See sympy.Function."""
        return a if a.is_number else None

    def _eval_derivative(self, _: sympy.Symbol) -> sympy.Expr:
        return sympy.Integer(0)


LATER = (
    Operator(
        "pow",
        2,
        _pow,
        lambda a, b: a**b,
        (0.0, math.inf),
        "a^b for a of at least 1e-8, the value at most e^60",
        code_of(
            f"torch.exp(torch.clamp({{b}} * torch.log(torch.clamp({{a}}, min={POW_MIN!r})), max={POW_MAX!r}))",
            f"np.exp(np.minimum({{b}} * np.log(np.maximum({{a}}, {POW_MIN!r})), {POW_MAX!r}))",
        ),
        argument_binding=(Binding.SUM, Binding.PRODUCT),
        bare="b",
        extended=True,
    ),
    Operator(
        "stop",
        1,
        lambda a: a.detach(),
        stop,
        (-math.inf, math.inf),
        "a, of which no derivative is taken",
        code_of("{a}.detach()", "{a}", "jax.lax.stop_gradient({a})"),
        argument_binding=(Binding.ATOM,),
        degree=same,
        quick=True,
        extended=True,
    ),
)
