"""Probes: the fixed boxes, logits and paths on which gates look at a formula.

Inputs are computed from real box pairs and logits, never drawn independently of each other: areas that no pair of
boxes has say nothing about a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from primitives.expression import Expression
from primitives.features import box_features, class_features, pairwise_iou, per_sample
from primitives.grammar import Grammar

_SEED = 2102_04700
CLASSES = 4
W_LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
GRID = 33
CONTEXTS = 6
BESIDE = 48
# Chosen one by one, each the one with which most of 6,000 random formulas of every box grammar fall: others would
# cost time, not change a verdict.
_SCOUTS = (1, 2, 5, 6, 17, 30, 32, 33, 34, 35, 40, 42, 43, 46, 47, 48, 50, 52, 58, 59)


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


@dataclass(frozen=True)
class BoxPaths:
    """Boxes on their way to their targets: inputs (P * T,), and where the IoU does not fall, (P, T - 1)."""

    inputs: Mapping[str, Tensor]
    shape: tuple[int, int]
    rising: Tensor


@dataclass(frozen=True)
class ClassCurves:
    """Curves along one logit; rows of the inputs are curves times grid points.

    Args:
        inputs: x, y and w, (rows, C).
        target: (K, len(W_LEVELS), GRID) shape of the first rows, along the target logit at every w.
        other: (K * 2, GRID) shape of the rest, along another logit, for positives at w = 1 and background.
    """

    inputs: Mapping[str, Tensor]
    target: tuple[int, int, int]
    other: tuple[int, int]


def _generator(offset: int) -> torch.Generator:
    return torch.Generator().manual_seed(_SEED + offset)


def _boxes(centre: Tensor, log_wh: Tensor) -> Tensor:
    half = log_wh.exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def _targets(count: int, low: float, high: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres (N, 2) and log sizes (N, 2) of boxes with sides between low and high pixels."""
    low_high = torch.tensor([low, high], dtype=torch.float64).log()
    scale = torch.rand(count, 1, generator=generator, dtype=torch.float64) * (low_high[1] - low_high[0]) + low_high[0]
    aspect = (torch.rand(count, 1, generator=generator, dtype=torch.float64) - 0.5) * 1.4
    log_wh = torch.cat((scale + aspect / 2, scale - aspect / 2), dim=-1).clamp(low_high[0], low_high[1])
    centre = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 500 + 500
    return centre, log_wh


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0).double()


def whole_boxes() -> tuple[Tensor, Tensor]:
    """Pairs of every kind, then BESIDE that are on or next to their targets, (N, 4) xyxy in pixels each."""
    pred, target = (torch.cat(parts) for parts in zip(_any_boxes(), _boxes_beside(), strict=True))
    return pred, target


def _any_boxes() -> tuple[Tensor, Tensor]:
    """Shifted, inside, around, touching, disjoint and equal pairs; targets of 1 px to 1,000 px."""
    count, generator = 48, _generator(0)
    pred, target = [], []
    for kind in ("shifted", "inside", "around", "touching", "disjoint", "equal"):
        centre, log_wh = _targets(count, 1, 1000, generator)
        wh = log_wh.exp()
        shift, stretch = torch.zeros(count, 2).double(), torch.zeros(count, 2).double()
        if kind == "shifted":
            shift, stretch = _uniform((count, 2), -0.5, 0.5, generator), _uniform((count, 2), -0.7, 0.7, generator)
        elif kind in ("inside", "around"):
            stretch = _uniform((count, 2), 0.1, 1.5, generator) * (-1 if kind == "inside" else 1)
            shift = _uniform((count, 2), -0.4, 0.4, generator) * (stretch.exp() - 1).abs()
        elif kind in ("touching", "disjoint"):
            shift = _uniform((count, 2), -0.3, 0.3, generator)
            gap = 0.0 if kind == "touching" else _uniform((count,), 0.05, 3, generator)
            shift[:, 0] = _signs((count,), generator) * (1 + gap)
        pred.append(_boxes(centre + shift * wh, log_wh + stretch))
        target.append(_boxes(centre, log_wh))
    return torch.cat(pred), torch.cat(target)


def shifted_boxes(count: int, low: float, high: float, offset: int) -> tuple[Tensor, Tensor]:
    """Overlapping pairs as a detector in training meets them."""
    generator = _generator(offset)
    centre, log_wh = _targets(count, low, high, generator)
    shift = _uniform((count, 2), -0.35, 0.35, generator)
    stretch = _uniform((count, 2), -0.6, 0.6, generator)
    return _boxes(centre + shift * log_wh.exp(), log_wh + stretch), _boxes(centre, log_wh)


def _inputs(grammar: Grammar, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
    return box_features(pred, target, pixels=grammar.name == "box_pixels", extended=grammar.name == "box_extended")


def _box_probe(grammar: Grammar, pred: Tensor, target: Tensor, dtype: torch.dtype) -> Probe:
    centre, wh = (pred[:, :2] + pred[:, 2:]) / 2, pred[:, 2:] - pred[:, :2]
    normal = torch.cat((centre / wh, wh.log()), dim=-1).requires_grad_()
    moved = _boxes(normal[:, :2] * wh, normal[:, 2:])
    inputs = _inputs(grammar, moved, target)
    jacobian = torch.stack(
        [torch.autograd.grad(value.sum(), normal, retain_graph=True)[0] for value in inputs.values()], dim=1
    )
    values = {name: value.detach().to(dtype) for name, value in inputs.items()}
    return Probe(values, tuple(values), jacobian.to(dtype))


def _class_rows(grammar: Grammar, x: Tensor, labels: Tensor, iou: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    return dict(class_features(x.to(dtype), labels, iou.to(dtype), use_sigmoid=grammar.name == "sigmoid"))


def _width(grammar: Grammar) -> int:
    return CLASSES if grammar.name == "sigmoid" else CLASSES + 1


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
    generator, width = _generator(1), _width(grammar)
    x = (
        torch.randn(96, width, generator=generator, dtype=torch.float64)
        * torch.tensor([1.0, 4.0, 15.0]).repeat(32)[:, None]
    )
    x = torch.cat((x, torch.full((4, width), 50.0), torch.full((4, width), -50.0), 50 * _signs((16, width), generator)))
    labels = torch.arange(len(x) + BESIDE) % (CLASSES + 1)
    iou = _uniform((len(x),), 0, 1, generator)
    iou[::7], iou[3::7] = 0.0, 1.0
    right = functional.one_hot(labels[len(x) :], CLASSES + 1)[:, :width].double()
    sure = (2 * right - 1) * torch.tensor([10.0, 20.0, 50.0]).repeat_interleave(BESIDE // 3)[:, None]
    x, iou = torch.cat((x.clamp(-50, 50), sure)), torch.cat((iou, torch.ones(BESIDE)))
    return Probe(_class_rows(grammar, x, labels, iou, torch.float32), ("x",), None)


def _boxes_beside() -> tuple[Tensor, Tensor]:
    generator = _generator(9)
    off = torch.tensor([0.0, 1e-6, 1e-4], dtype=torch.float64).repeat_interleave(BESIDE // 3)[:, None]
    centre, log_wh = _targets(BESIDE, 8, 512, generator)
    shift, stretch = (off * _uniform((BESIDE, 2), -1, 1, generator) for _ in range(2))
    return _boxes(centre + shift * log_wh.exp(), log_wh + stretch), _boxes(centre, log_wh)


@cache
def typical(grammar: Grammar) -> Probe:
    """What a detector in training meets, in float64: identity and scale of a candidate are measured here."""
    if grammar.slot == "loss_bbox":
        return _box_probe(grammar, *shifted_boxes(256, 8, 512, 2), torch.float64)
    generator, width = _generator(3), _width(grammar)
    x = torch.randn(256, width, generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.where(torch.arange(256) % 2 == 0, CLASSES, torch.arange(256) // 2 % CLASSES)
    inputs = _class_rows(grammar, x, labels, _uniform((256,), 0.2, 1, generator), torch.float64)
    return Probe(inputs, ("x",), None)


@cache
def scaled(grammar: Grammar, factor: float) -> Probe:
    """Targets of 32 px to 128 px at another image resolution, in float64."""
    pred, target = shifted_boxes(64, 32, 128, 6)
    return _box_probe(grammar, pred * factor, target * factor, torch.float64)


@cache
def disjoint(grammar: Grammar) -> Probe:
    """Pairs that do not touch, at distances up to ten sizes, in float64."""
    generator, count = _generator(7), 128
    centre, log_wh = _targets(count, 8, 512, generator)
    shift = _uniform((count, 2), -1, 1, generator)
    shift[:, 0] = _signs((count,), generator) * _uniform((count,), 1.6, 10, generator)
    stretch = _uniform((count, 2), -0.6, 0.6, generator).clamp(max=0.1)
    return _box_probe(
        grammar, _boxes(centre + shift * log_wh.exp(), log_wh + stretch), _boxes(centre, log_wh), torch.float64
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
    generator, each = _generator(8), 16
    x = torch.randn(each, _width(grammar), generator=generator, dtype=torch.float64) * 1.5
    count = len(W_LEVELS)
    labels = torch.arange(each) % CLASSES
    iou = torch.tensor(W_LEVELS, dtype=torch.float64).repeat_interleave(each)
    labels = torch.cat((labels.repeat(count - 1), torch.full((each,), CLASSES)))
    return Probe(_class_rows(grammar, x.repeat(count, 1), labels, iou, torch.float64), ("x",), None)


def path_boxes() -> tuple[Tensor, Tensor]:
    """Boxes that move, scale, or do both, and their targets, (P, T, 4) xyxy in pixels."""
    each, steps, generator = 32, 17, _generator(4)
    centre, log_wh = _targets(3 * each, 1, 1000, generator)
    shift = _uniform((3 * each, 2), -1.6, 1.6, generator)
    stretch = _uniform((3 * each, 2), -1.2, 1.2, generator)
    stretch[:each], shift[each : 2 * each] = 0, 0
    stretch[each : 2 * each, 1] = stretch[each : 2 * each, 0]  # concentric and similar: the IoU rises all the way
    left = torch.linspace(1, 0, steps, dtype=torch.float64)[None, :, None]
    pred = _boxes(centre[:, None] + left * (shift * log_wh.exp())[:, None], log_wh[:, None] + left * stretch[:, None])
    return pred, _boxes(centre, log_wh)[:, None].expand_as(pred)


@cache
def box_paths(grammar: Grammar) -> BoxPaths:
    """Boxes that move, scale, or do both, onto their targets."""
    pred, target = path_boxes()
    flat_pred, flat_target = pred.reshape(-1, 4), target.reshape(-1, 4)
    iou = pairwise_iou(flat_pred, flat_target).reshape(pred.shape[:2])
    inputs = {name: value.float() for name, value in _inputs(grammar, flat_pred, flat_target).items()}
    return BoxPaths(inputs, (pred.shape[0], pred.shape[1]), iou[:, 1:] >= iou[:, :-1])


@cache
def class_curves(grammar: Grammar) -> ClassCurves:
    """Losses along the target logit at every w, and along another logit at w = 1 and for background."""
    generator, width = _generator(5), _width(grammar)
    base = torch.randn(CONTEXTS, width, generator=generator, dtype=torch.float64) * 1.5 - 0.5
    grid = torch.linspace(-8, 8, GRID, dtype=torch.float64)
    target = torch.arange(CONTEXTS) % CLASSES
    rows, labels, ious = [], [], []
    for k in range(CONTEXTS):
        for w in W_LEVELS:
            x = base[k].repeat(GRID, 1)
            x[:, target[k]] = grid
            rows.append(x)
            labels.append(target[k].repeat(GRID))
            ious.append(torch.full((GRID,), w, dtype=torch.float64))
    for k in range(CONTEXTS):
        for label in (int(target[k]), CLASSES):
            x = base[k].repeat(GRID, 1)
            x[:, (target[k] + 1) % CLASSES] = grid
            rows.append(x)
            labels.append(torch.full((GRID,), label))
            ious.append(torch.ones(GRID, dtype=torch.float64))
    inputs = _class_rows(grammar, torch.cat(rows), torch.cat(labels), torch.cat(ious), torch.float32)
    return ClassCurves(inputs, (CONTEXTS, len(W_LEVELS), GRID), (2 * CONTEXTS, GRID))


@cache
def scouts(grammar: Grammar) -> Mapping[str, Tensor]:
    """Boxes on the few paths on which nearly every random formula falls that falls on all of them, (20 * T,)."""
    paths = box_paths(grammar)
    return {name: value.reshape(paths.shape)[list(_SCOUTS)].flatten() for name, value in paths.inputs.items()}


@cache
def ends(grammar: Grammar) -> Mapping[str, Tensor]:
    """Both ends of some curves, (2 * CONTEXTS * 2, C): along the target at w = 1, then along another of background."""
    levels, targets = len(W_LEVELS), CONTEXTS * len(W_LEVELS)
    order = [k * levels + levels - 1 for k in range(CONTEXTS)] + [targets + 2 * k + 1 for k in range(CONTEXTS)]
    rows = torch.tensor([[curve * GRID, curve * GRID + GRID - 1] for curve in order]).flatten()
    return {name: value[rows] for name, value in class_curves(grammar).inputs.items()}


def curve_losses(expression: Expression, grammar: Grammar, alpha: float | None) -> tuple[Tensor, Tensor]:
    """Losses of a class formula along the target logit, (CONTEXTS, W, GRID), and along others, (2 CONTEXTS, GRID)."""
    curves = class_curves(grammar)
    loss = per_sample(expression(curves.inputs), curves.inputs, alpha)
    count = CONTEXTS * len(W_LEVELS) * GRID
    return loss[:count].reshape(curves.target), loss[count:].reshape(curves.other)
