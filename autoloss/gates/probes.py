"""Probes: the fixed boxes and logits on which gates look at a formula and at its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from autoloss.gates import sampling
from primitives.expression import Expression
from primitives.features import per_sample
from primitives.grammar import Grammar

BESIDE = 48


@dataclass(frozen=True)
class Probe:
    """Inputs with what is needed to carry a gradient from them to the prediction.

    Args:
        inputs: a tensor per input name, (N,) for boxes, (N, C) for classes.
        leaves: names of the inputs that depend on the prediction.
        jacobian: (N, len(leaves), 4) d input / d (cx / w, cy / h, log w, log h) of the predicted box; None for
            classes, where the prediction is the input x itself.
    """

    inputs: Mapping[str, Tensor]
    leaves: tuple[str, ...]
    jacobian: Tensor | None

    def gradient(self, expression: Expression, alpha: float | None = None) -> tuple[Tensor, Tensor]:
        """Losses (N,) and their gradients with respect to the prediction, (N, 4) or (N, C)."""
        inputs = dict(self.inputs)
        for name in self.leaves:
            inputs[name] = inputs[name].detach().requires_grad_()
        value = expression(inputs)
        loss = per_sample(value, inputs, alpha)
        leaves = [inputs[name] for name in self.leaves]
        if not loss.requires_grad:
            zero = torch.zeros(len(loss), 4) if self.jacobian is not None else torch.zeros_like(leaves[0])
            return loss, zero.to(loss.dtype)
        parts = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
        if self.jacobian is None:
            return loss.detach(), parts[0] if parts[0] is not None else torch.zeros_like(leaves[0])
        gradient = torch.zeros(len(loss), 4, dtype=loss.dtype)
        for k, part in enumerate(parts):
            if part is not None:
                gradient = gradient + part[:, None] * self.jacobian[:, k]
        return loss.detach(), gradient


def whole_boxes() -> tuple[Tensor, Tensor]:
    """Pairs of every kind, then BESIDE that are on or next to their targets, (N, 4) xyxy in pixels each."""
    pred, target = (torch.cat(parts) for parts in zip(_any_boxes(), _boxes_beside(), strict=True))
    return pred, target


def _any_boxes() -> tuple[Tensor, Tensor]:
    """Shifted, inside, around, touching, disjoint and equal pairs; targets of 1 px to 1,000 px."""
    count, generator = 48, sampling.generator(0)
    pred, target = [], []
    for kind in ("shifted", "inside", "around", "touching", "disjoint", "equal"):
        centre, log_wh = sampling.targets(count, 1, 1000, generator)
        wh = log_wh.exp()
        shift, stretch = torch.zeros(count, 2).double(), torch.zeros(count, 2).double()
        if kind == "shifted":
            shift, stretch = (
                sampling.uniform((count, 2), -0.5, 0.5, generator),
                sampling.uniform((count, 2), -0.7, 0.7, generator),
            )
        elif kind in ("inside", "around"):
            stretch = sampling.uniform((count, 2), 0.1, 1.5, generator) * (-1 if kind == "inside" else 1)
            shift = sampling.uniform((count, 2), -0.4, 0.4, generator) * (stretch.exp() - 1).abs()
        elif kind in ("touching", "disjoint"):
            shift = sampling.uniform((count, 2), -0.3, 0.3, generator)
            gap = 0.0 if kind == "touching" else sampling.uniform((count,), 0.05, 3, generator)
            shift[:, 0] = sampling.signs((count,), generator) * (1 + gap)
        pred.append(sampling.boxes(centre + shift * wh, log_wh + stretch))
        target.append(sampling.boxes(centre, log_wh))
    return torch.cat(pred), torch.cat(target)


def shifted_boxes(count: int, low: float, high: float, offset: int) -> tuple[Tensor, Tensor]:
    """Overlapping pairs as a detector in training meets them."""
    generator = sampling.generator(offset)
    centre, log_wh = sampling.targets(count, low, high, generator)
    shift = sampling.uniform((count, 2), -0.35, 0.35, generator)
    stretch = sampling.uniform((count, 2), -0.6, 0.6, generator)
    return sampling.boxes(centre + shift * log_wh.exp(), log_wh + stretch), sampling.boxes(centre, log_wh)


def _box_probe(grammar: Grammar, pred: Tensor, target: Tensor, dtype: torch.dtype) -> Probe:
    centre, wh = (pred[:, :2] + pred[:, 2:]) / 2, pred[:, 2:] - pred[:, :2]
    normal = torch.cat((centre / wh, wh.log()), dim=-1).requires_grad_()
    moved = sampling.boxes(normal[:, :2] * wh, normal[:, 2:])
    inputs = sampling.box_inputs(grammar, moved, target)
    jacobian = torch.stack(
        [torch.autograd.grad(value.sum(), normal, retain_graph=True)[0] for value in inputs.values()], dim=1
    )
    values = {name: value.detach().to(dtype) for name, value in inputs.items()}
    return Probe(values, tuple(values), jacobian.to(dtype))


def pairs(grammar: Grammar, pred: Tensor, target: Tensor) -> Probe:
    """A probe of given pairs of boxes, (N, 4) xyxy in pixels, in their dtype."""
    return _box_probe(grammar, pred, target, pred.dtype)


@cache
def whole(grammar: Grammar) -> Probe:
    """The whole probe in float32: every kind of box pair, or logits up to +-50; the last BESIDE rows are right.

    These are on their targets or next to them: boxes off by up to 1e-4 sizes, logits of 10 to 50 where they belong.
    """
    if grammar.slot == "loss_bbox":
        return _box_probe(grammar, *whole_boxes(), torch.float32)
    generator, width = sampling.generator(1), sampling.width(grammar)
    x = (
        torch.randn(96, width, generator=generator, dtype=torch.float64)
        * torch.tensor([1.0, 4.0, 15.0]).repeat(32)[:, None]
    )
    x = torch.cat(
        (x, torch.full((4, width), 50.0), torch.full((4, width), -50.0), 50 * sampling.signs((16, width), generator))
    )
    labels = torch.arange(len(x) + BESIDE) % (sampling.CLASSES + 1)
    iou = sampling.uniform((len(x),), 0, 1, generator)
    iou[::7], iou[3::7] = 0.0, 1.0
    right = functional.one_hot(labels[len(x) :], sampling.CLASSES + 1)[:, :width].double()
    sure = (2 * right - 1) * torch.tensor([10.0, 20.0, 50.0]).repeat_interleave(BESIDE // 3)[:, None]
    x, iou = torch.cat((x.clamp(-50, 50), sure)), torch.cat((iou, torch.ones(BESIDE)))
    return Probe(sampling.class_rows(grammar, x, labels, iou, torch.float32), ("x",), None)


def _boxes_beside() -> tuple[Tensor, Tensor]:
    generator = sampling.generator(9)
    off = torch.tensor([0.0, 1e-6, 1e-4], dtype=torch.float64).repeat_interleave(BESIDE // 3)[:, None]
    centre, log_wh = sampling.targets(BESIDE, 8, 512, generator)
    shift, stretch = (off * sampling.uniform((BESIDE, 2), -1, 1, generator) for _ in range(2))
    return sampling.boxes(centre + shift * log_wh.exp(), log_wh + stretch), sampling.boxes(centre, log_wh)


@cache
def typical(grammar: Grammar) -> Probe:
    """What a detector in training meets, in float64: identity and scale of a candidate are measured here."""
    if grammar.slot == "loss_bbox":
        return _box_probe(grammar, *shifted_boxes(256, 8, 512, 2), torch.float64)
    generator, width = sampling.generator(3), sampling.width(grammar)
    x = torch.randn(256, width, generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.where(torch.arange(256) % 2 == 0, sampling.CLASSES, torch.arange(256) // 2 % sampling.CLASSES)
    inputs = sampling.class_rows(grammar, x, labels, sampling.uniform((256,), 0.2, 1, generator), torch.float64)
    return Probe(inputs, ("x",), None)


@cache
def scaled(grammar: Grammar, factor: float) -> Probe:
    """Targets of 32 px to 128 px at another image resolution, in float64."""
    pred, target = shifted_boxes(64, 32, 128, 6)
    return _box_probe(grammar, pred * factor, target * factor, torch.float64)


@cache
def disjoint(grammar: Grammar) -> Probe:
    """Pairs that do not touch, at distances up to ten sizes, in float64."""
    generator, count = sampling.generator(7), 128
    centre, log_wh = sampling.targets(count, 8, 512, generator)
    shift = sampling.uniform((count, 2), -1, 1, generator)
    shift[:, 0] = sampling.signs((count,), generator) * sampling.uniform((count,), 1.6, 10, generator)
    stretch = sampling.uniform((count, 2), -0.6, 0.6, generator).clamp(max=0.1)
    return _box_probe(
        grammar,
        sampling.boxes(centre + shift * log_wh.exp(), log_wh + stretch),
        sampling.boxes(centre, log_wh),
        torch.float64,
    )


@cache
def neighbours(grammar: Grammar) -> tuple[Probe, Probe]:
    """The typical probe, and every prediction of it moved by a thousandth of its size or of a logit."""
    if grammar.slot == "loss_bbox":
        pred, target = shifted_boxes(256, 8, 512, 2)
        wh = pred[:, 2:] - pred[:, :2]
        moved = pred + 1e-3 * torch.cat((wh, wh), dim=-1)
        return typical(grammar), _box_probe(grammar, moved, target, torch.float64)
    here = typical(grammar)
    return here, Probe({**here.inputs, "x": here.inputs["x"] + 1e-3}, here.leaves, None)


@cache
def levels(grammar: Grammar) -> Probe:
    """Positives at every level of w below 1, then background, at the same logits, in float64."""
    generator, each = sampling.generator(8), 16
    x = torch.randn(each, sampling.width(grammar), generator=generator, dtype=torch.float64) * 1.5
    count = len(sampling.W_LEVELS)
    labels = torch.arange(each) % sampling.CLASSES
    iou = torch.tensor(sampling.W_LEVELS, dtype=torch.float64).repeat_interleave(each)
    labels = torch.cat((labels.repeat(count - 1), torch.full((each,), sampling.CLASSES)))
    return Probe(sampling.class_rows(grammar, x.repeat(count, 1), labels, iou, torch.float64), ("x",), None)
