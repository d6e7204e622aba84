"""Cases: inputs of exported losses with the values and gradients that they must give."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.candidate import Loss
from autoloss.gates import sampling
from primitives.features import box_features, class_features, per_sample
from primitives.grammar import Grammar

COUNT = 1000
RELATIVE = {torch.float32: 1e-6, torch.float64: 1e-12}
"""What may differ, relative to the value of a loss, or to the longest component of its gradient; and a thousandth of
it relative to their mean, for where they vanish."""
_ROUNDING = {torch.float32: 2**-24, torch.float64: 2**-53}
_TRIES = 4
_SLACK = 16.0


def inputs_of(grammar: Grammar, dtype: torch.dtype, reads_iou: bool) -> dict[str, Tensor]:
    """COUNT random inputs: boxes near their targets and, one in ten, far from them; or logits, labels and IoU."""
    generator = sampling.generator(7)
    if grammar.slot == "loss_bbox":
        corner = sampling.uniform((COUNT, 2), 0, 100, generator)
        size = sampling.uniform((COUNT, 2), 4, 64, generator)
        target = torch.cat((corner, corner + size), dim=-1)
        pred = target + sampling.uniform((COUNT, 4), -0.4, 0.4, generator) * size.repeat(1, 2)
        pred[::10] += 200
        return {"pred": pred.to(dtype), "target": target.to(dtype)}
    width = 5 if grammar.name == "sigmoid" else 6
    x = sampling.uniform((COUNT, width), -6, 6, generator)
    inputs = {"x": x.to(dtype), "labels": torch.arange(COUNT) % 6}
    if reads_iou:
        inputs["iou"] = sampling.uniform((COUNT,), 0, 1, generator).to(dtype)
    return inputs


def wanted(loss: Loss, backend: str = "torch") -> list[dict[str, Any]]:
    """What an exported loss must give, for float32 and float64 inputs (float32 alone for JAX).

    The values are the formula's in float64. What may differ: RELATIVE, and what rounding costs the formula itself at
    that place: how far its own value in that precision is off, and how far it moves when inputs are rounded.
    """
    rules = loss.grammar
    found = []
    for dtype in (torch.float32,) if backend == "jax" else (torch.float32, torch.float64):
        inputs = inputs_of(rules, dtype, "w" in loss.expression.names)
        values, gradient = _both(loss, rules, _wide(inputs))
        slack = [torch.zeros_like(values), torch.zeros_like(gradient)]
        others = [_both(loss, rules, inputs)] if dtype is torch.float32 else []
        generator = sampling.generator(8)
        for _ in range(_TRIES):
            moved = {
                name: value * (1 + _ROUNDING[dtype] * sampling.uniform(tuple(value.shape), -1, 1, generator))
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
                "values_allowed": RELATIVE[dtype] * _size(values.abs()) + _SLACK * slack[0],
                "gradient": gradient,
                "gradient_allowed": RELATIVE[dtype] * _size(size) + _SLACK * slack[1].amax(-1, keepdim=True),
            }
        )
    return found


def _size(values: Tensor) -> Tensor:
    return values + 1e-3 * values.nan_to_num(posinf=0).mean()


def _wide(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}


def _both(loss: Loss, rules: Grammar, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    leaf = inputs["pred" if rules.slot == "loss_bbox" else "x"].clone().requires_grad_()
    if rules.slot == "loss_bbox":
        pixels, extended = rules.name == "box_pixels", rules.name == "box_extended"
        named = box_features(leaf, inputs["target"], pixels=pixels, extended=extended)
    else:
        named = class_features(leaf, inputs["labels"], inputs.get("iou"), use_sigmoid=rules.name == "sigmoid")
    values = per_sample(loss.expression(named), named, loss.alpha)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient
