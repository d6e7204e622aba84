"""Pair: what the inputs of aligned box pairs have in common, and the inputs, a row each."""

from __future__ import annotations

import math
from functools import cached_property
from operator import attrgetter

import torch
from torch import Tensor

from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal

AREA_EPS = 1e-7
_INF = math.inf


class Pair:
    """Aligned boxes, (N, 4) xyxy in pixels twice: areas in square pixels, and in units of the target's area.

    Formula:
        i = |P n T|, u = |P| + |T| - i + 1e-7, e = |smallest box around P and T| + 1e-7;
        d = squared distance of the centres / squared diagonal of the enclosing box (range 0..1);
        v = 4 / pi^2 (atan(w_t / h_t) - atan(w_p / h_p))^2 (range 0..1).

    Gradients are added in the order in which values came to be, so the areas are computed at once, in this order.

    Raises:
        ValueError: the shapes are not (N, 4) twice.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.1; Zheng et al. 2020, arXiv 1911.08287, eq. 6, 7 and 9.
    """

    def __init__(self, sample: Sample) -> None:
        pred, target = sample.pred, sample.target
        if pred.shape != target.shape or pred.dim() != 2 or pred.shape[-1] != 4:
            raise ValueError(f"boxes must be two (N, 4) xyxy tensors, got {tuple(pred.shape)} {tuple(target.shape)}")
        self.pred, self.target = pred, target
        wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
        self.wh_e = (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)
        self.wh_p, self.wh_t = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
        self.area_t = self.wh_t[:, 0] * self.wh_t[:, 1]
        self.intersection = wh_i[:, 0] * wh_i[:, 1]
        self.union = self.wh_p[:, 0] * self.wh_p[:, 1] + self.area_t - self.intersection + AREA_EPS
        self.enclosing = self.wh_e[:, 0] * self.wh_e[:, 1] + AREA_EPS

    @cached_property
    def unit(self) -> Tensor:
        """The target's area."""
        return self.area_t.clamp(min=AREA_EPS)

    @property
    def i(self) -> Tensor:
        """Intersection in units of the target's area."""
        return self.intersection / self.unit

    @property
    def u(self) -> Tensor:
        """Union in units of the target's area."""
        return self.union / self.unit

    @property
    def e(self) -> Tensor:
        """Enclosing area in units of the target's area."""
        return self.enclosing / self.unit

    @property
    def d(self) -> Tensor:
        """Squared distance of the centres in units of the enclosing box's squared diagonal."""
        pred, target = self.pred, self.target
        offset = (pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2
        return offset.square().sum(-1) / (self.wh_e.square().sum(-1) + AREA_EPS)

    @property
    def v(self) -> Tensor:
        """Squared difference of the aspect angles."""
        aspect_t = torch.atan(self.wh_t[:, 0] / (self.wh_t[:, 1] + AREA_EPS))
        aspect_p = torch.atan(self.wh_p[:, 0] / (self.wh_p[:, 1] + AREA_EPS))
        return (4 / math.pi**2) * (aspect_t - aspect_p).square()


_INTERSECTION = "intersection of the predicted box and its target"
_UNION = "union of the predicted box and its target"
_ENCLOSING = "smallest box around both"
_TARGET, _PIXEL = "target area", "square pixel"

AREAS = (
    Terminal("i", (0, _INF), _TARGET, _INTERSECTION, attrgetter("i"), positive=True),
    Terminal("u", (0, _INF), _TARGET, _UNION, attrgetter("u"), positive=True),
    Terminal("e", (0, _INF), _TARGET, _ENCLOSING, attrgetter("e"), positive=True),
)
"""Areas in units of the target's: a formula cannot depend on image resolution."""
PIXELS = (
    Terminal("i", (0, _INF), _PIXEL, _INTERSECTION, attrgetter("intersection"), positive=True),
    Terminal("u", (0, _INF), _PIXEL, _UNION, attrgetter("union"), positive=True),
    Terminal("e", (0, _INF), _PIXEL, _ENCLOSING, attrgetter("enclosing"), positive=True),
)
"""Areas in square pixels, as the published formulas count them."""
SHAPES = (
    Terminal("d", (0, 1), "squared diagonal", "squared distance of the centres", attrgetter("d")),
    Terminal("v", (0, 1), "1", "squared difference of the aspect angles", attrgetter("v")),
)
"""What DIoU and CIoU add."""


def aligned_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU of aligned boxes, (N, 4) xyxy twice -> (N,) in 0..1."""
    pair = Pair(Sample(pred, target))
    return (pair.intersection / pair.union.clamp(min=AREA_EPS)).clamp(0, 1)
