"""Paths: boxes on their way to their targets and curves along logits, on which gates look at a formula's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from autoloss.gates import sampling
from primitives.expression import Expression
from primitives.features import pairwise_iou, per_sample
from primitives.grammar import Grammar

GRID = 33
CONTEXTS = 6
# Chosen one by one, each the one with which most of 6,000 random formulas of every box grammar fall: others would
# cost time, not change a verdict.
_SCOUTS = (1, 2, 5, 6, 17, 30, 32, 33, 34, 35, 40, 42, 43, 46, 47, 48, 50, 52, 58, 59)


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


def path_boxes() -> tuple[Tensor, Tensor]:
    """Boxes that move, scale, or do both, and their targets, (P, T, 4) xyxy in pixels."""
    each, steps, generator = 32, 17, sampling.generator(4)
    centre, log_wh = sampling.targets(3 * each, 1, 1000, generator)
    shift = sampling.uniform((3 * each, 2), -1.6, 1.6, generator)
    stretch = sampling.uniform((3 * each, 2), -1.2, 1.2, generator)
    stretch[:each], shift[each : 2 * each] = 0, 0
    stretch[each : 2 * each, 1] = stretch[each : 2 * each, 0]  # concentric and similar: the IoU rises all the way
    left = torch.linspace(1, 0, steps, dtype=torch.float64)[None, :, None]
    pred = sampling.boxes(
        centre[:, None] + left * (shift * log_wh.exp())[:, None], log_wh[:, None] + left * stretch[:, None]
    )
    return pred, sampling.boxes(centre, log_wh)[:, None].expand_as(pred)


@cache
def box_paths(grammar: Grammar) -> BoxPaths:
    """Boxes that move, scale, or do both, onto their targets."""
    pred, target = path_boxes()
    flat_pred, flat_target = pred.reshape(-1, 4), target.reshape(-1, 4)
    iou = pairwise_iou(flat_pred, flat_target).reshape(pred.shape[:2])
    inputs = {name: value.float() for name, value in sampling.box_inputs(grammar, flat_pred, flat_target).items()}
    return BoxPaths(inputs, (pred.shape[0], pred.shape[1]), iou[:, 1:] >= iou[:, :-1])


@cache
def class_curves(grammar: Grammar) -> ClassCurves:
    """Losses along the target logit at every w, and along another logit at w = 1 and for background."""
    generator, width = sampling.generator(5), sampling.width(grammar)
    base = torch.randn(CONTEXTS, width, generator=generator, dtype=torch.float64) * 1.5 - 0.5
    grid = torch.linspace(-8, 8, GRID, dtype=torch.float64)
    target = torch.arange(CONTEXTS) % sampling.CLASSES
    rows, labels, ious = [], [], []
    for k in range(CONTEXTS):
        for w in sampling.W_LEVELS:
            x = base[k].repeat(GRID, 1)
            x[:, target[k]] = grid
            rows.append(x)
            labels.append(target[k].repeat(GRID))
            ious.append(torch.full((GRID,), w, dtype=torch.float64))
    for k in range(CONTEXTS):
        for label in (int(target[k]), sampling.CLASSES):
            x = base[k].repeat(GRID, 1)
            x[:, (target[k] + 1) % sampling.CLASSES] = grid
            rows.append(x)
            labels.append(torch.full((GRID,), label))
            ious.append(torch.ones(GRID, dtype=torch.float64))
    inputs = sampling.class_rows(grammar, torch.cat(rows), torch.cat(labels), torch.cat(ious), torch.float32)
    return ClassCurves(inputs, (CONTEXTS, len(sampling.W_LEVELS), GRID), (2 * CONTEXTS, GRID))


@cache
def scouts(grammar: Grammar) -> Mapping[str, Tensor]:
    """Boxes on the few paths on which nearly every random formula falls that falls on all of them, (20 * T,)."""
    paths = box_paths(grammar)
    return {name: value.reshape(paths.shape)[list(_SCOUTS)].flatten() for name, value in paths.inputs.items()}


@cache
def ends(grammar: Grammar) -> Mapping[str, Tensor]:
    """Both ends of some curves, (2 * CONTEXTS * 2, C): along the target at w = 1, then along another of background."""
    levels, targets = len(sampling.W_LEVELS), CONTEXTS * len(sampling.W_LEVELS)
    order = [k * levels + levels - 1 for k in range(CONTEXTS)] + [targets + 2 * k + 1 for k in range(CONTEXTS)]
    rows = torch.tensor([[curve * GRID, curve * GRID + GRID - 1] for curve in order]).flatten()
    return {name: value[rows] for name, value in class_curves(grammar).inputs.items()}


def curve_losses(expression: Expression, grammar: Grammar, alpha: float | None) -> tuple[Tensor, Tensor]:
    """Losses of a class formula along the target logit, (CONTEXTS, W, GRID), and along others, (2 CONTEXTS, GRID)."""
    curves = class_curves(grammar)
    loss = per_sample(expression(curves.inputs), curves.inputs, alpha)
    count = CONTEXTS * len(sampling.W_LEVELS) * GRID
    return loss[:count].reshape(curves.target), loss[count:].reshape(curves.other)
