"""Reference: inputs of exported losses with the values and gradients that they must give."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.candidate import Loss
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds import draws
from primitives.kinds.sample import Sample

RELATIVE = {torch.float32: 1e-6, torch.float64: 1e-12}
"""What may differ, relative to the value of a loss, or to the longest component of its gradient."""
_ROUNDING = {torch.float32: 2**-24, torch.float64: 2**-53}
_VANISHING = {dtype: max(1e-3 * RELATIVE[dtype], 4 * _ROUNDING[dtype]) for dtype in RELATIVE}
"""What may differ besides, relative to their mean: where they vanish beside it, nothing but rounding is left."""
_TRIES = 4
_SLACK = 16.0


def inputs_of(expression: Expression, grammar: Grammar, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random arguments of an exported function by name: prediction, target, and what the formula wants of the head."""
    sample = grammar.kind.given(grammar.kind.reference_sample(), grammar.terminals)
    wanted = {one.given: sample.given[one.given] for one in grammar.formula(expression).reads if one.given}
    named = {**dict(zip(grammar.kind.arguments, (sample.pred, sample.target), strict=True)), **wanted}
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in named.items()}


def wanted(loss: Loss, backend: str = "torch") -> list[dict[str, Any]]:
    """What an exported loss must give, for float32 and float64 inputs (float32 alone for JAX).

    The values are the formula's in float64. What may differ: RELATIVE and _VANISHING, and what rounding costs the
    formula itself at that place: how far its own value in that precision is off, and how far it moves when inputs are
    rounded.
    """
    rules = loss.grammar
    found = []
    for dtype in (torch.float32,) if backend == "jax" else (torch.float32, torch.float64):
        inputs = inputs_of(loss.expression, rules, dtype)
        values, gradient = _both(loss, rules, _wide(inputs))
        slack = [torch.zeros_like(values), torch.zeros_like(gradient)]
        others = [_both(loss, rules, inputs)] if dtype is torch.float32 else []
        generator = draws.generator(8)
        for _ in range(_TRIES):
            moved = {
                name: value * (1 + _ROUNDING[dtype] * draws.uniform(tuple(value.shape), -1, 1, generator))
                if value.is_floating_point()
                else value
                for name, value in _wide(inputs).items()
            }
            others.append(_both(loss, rules, moved))
        for other in others:
            for k, (mine, theirs) in enumerate(zip((values, gradient), other, strict=True)):
                slack[k] = torch.maximum(slack[k], (mine - theirs.double()).abs().nan_to_num(posinf=0))
        size = gradient.abs().amax(-1, keepdim=True)
        found.append(
            {
                "dtype": str(dtype).removeprefix("torch."),
                "inputs": inputs,
                "values": values,
                "values_allowed": _allowed(values.abs(), dtype) + _SLACK * slack[0],
                "gradient": gradient,
                "gradient_allowed": _allowed(size, dtype) + _SLACK * slack[1].amax(-1, keepdim=True),
            }
        )
    return found


def _allowed(sizes: Tensor, dtype: torch.dtype) -> Tensor:
    return RELATIVE[dtype] * sizes + _VANISHING[dtype] * sizes.nan_to_num(posinf=0).mean()


def _wide(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}


def _both(loss: Loss, rules: Grammar, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    first, second = rules.kind.arguments
    leaf = inputs[first].clone().requires_grad_()
    values = rules.losses(loss.expression, Sample(leaf, inputs[second], inputs), loss.alpha)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient
