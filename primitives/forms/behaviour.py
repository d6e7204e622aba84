"""Behaviour: whether two formulas do the same on what a kind may meet: the same values, and the same gradients."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds import draws

_ROUNDING = 1e-9
"""Relative difference that float64 makes of the order of operations."""
_LARGE = 1e9
_MOST = 2_000


class Behaviour:
    """Formulas of a grammar on the kind's samples, in float64: everything that may come, and what usually does.

    The protections of the tensor functions take part, so a formula that differs by them alone is another.

    Args:
        grammar: of the formulas.
    """

    def __init__(self, grammar: Grammar) -> None:
        kind, terminals = grammar.kind, grammar.terminals
        reference = grammar.inputs(kind.given(kind.reference_sample(), terminals))
        parts = (kind.whole(terminals).inputs, kind.typical(terminals).inputs, reference)
        inputs = {name: _rows([part[name].double() for part in parts]) for name in parts[0]}
        self._inputs = {
            name: value.requires_grad_() if name in grammar.predicted else value for name, value in inputs.items()
        }
        self._leaves = [value for value in self._inputs.values() if value.requires_grad]
        like = next(iter(inputs.values()))
        # Other weights on every row and class, so that gradients of different places do not cancel each other.
        self._weights = draws.uniform(tuple(like.shape), 0.5, 1.5, draws.generator(17))
        self._memo: dict[str, Tensor] = {}

    def same(self, first: Expression, second: Expression) -> bool:
        """Whether values and gradients are equal up to rounding, and finite at the same places."""
        one, other = self._value(first), self._value(second)
        if one.shape != other.shape:
            return False
        usual = _usual(one)
        if not _close(one.detach(), other.detach(), usual):
            return False
        pairs = zip(self._gradients(one), self._gradients(other), self._leaves, strict=True)
        # Times the input, a gradient is in the unit of the value.
        return all(_close(a * (1 + x.detach().abs()), b * (1 + x.detach().abs()), usual) for a, b, x in pairs)

    def _value(self, expression: Expression) -> Tensor:
        if len(self._memo) > _MOST:
            self._memo.clear()
        return expression(self._inputs, self._memo)

    def _gradients(self, value: Tensor) -> list[Tensor]:
        still = [torch.zeros_like(leaf) for leaf in self._leaves]
        if not value.requires_grad:
            return still
        weights = self._weights if value.shape == self._weights.shape else self._weights[:, : value.shape[-1]]
        found = torch.autograd.grad(value, self._leaves, weights, retain_graph=True, allow_unused=True)
        return [zero if one is None else one for zero, one in zip(still, found, strict=True)]


@lru_cache(maxsize=16)
def behaviour(grammar: Grammar) -> Behaviour:
    """That of a grammar, made once."""
    return Behaviour(grammar)


def _rows(parts: list[Tensor]) -> Tensor:
    """One after the other; of classes as many as all have."""
    return torch.cat([part if part.dim() == 1 else part[:, : min(one.shape[1] for one in parts)] for part in parts])


def _usual(value: Tensor) -> float:
    """How large values are; 0 where they come of a protection, for then they say nothing of rounding."""
    finite = value.detach()[torch.isfinite(value)]
    usual = float(finite.abs().median()) if len(finite) else 0.0
    return usual if usual < _LARGE else 0.0


def _close(first: Tensor, second: Tensor, usual: float) -> bool:
    """Equal up to rounding where values are usually that large; what is not finite is so in both."""
    return torch.allclose(first, second, rtol=100 * _ROUNDING, atol=_ROUNDING * usual, equal_nan=True)
