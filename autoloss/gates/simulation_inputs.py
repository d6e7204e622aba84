"""Samples: the boxes and logits that are descended, as they stand when a detector begins to train.

Source of the boxes: the simulation experiment of Zheng et al. 2020, arXiv 1911.08287, section 3.2: seven aspect
ratios, seven scales, distances up to ten times the size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

ASPECTS = (1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4)
SCALES = (0.5, 0.67, 0.75, 1, 1.33, 1.5, 2)
FARTHEST = 10.0
_SEED = 1911_08287
_LOG_SIZE = 6.0


@dataclass(frozen=True)
class Boxes:
    """Pairs of boxes: where the predicted ones start, relative to their targets.

    Args:
        place: (N, 4) offsets of the centre in units of the target's width and height, and of log width and height.
        target: (N, 4) centre x, centre y, width, height in pixels.
        overlapping: (N,) whether the pair overlaps at the start.
        distance: (N,) of the centres at the start, in units of the square root of the target's area.
    """

    place: Tensor
    target: Tensor
    overlapping: Tensor
    distance: Tensor

    def xyxy(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and target boxes, (M * N, 4) xyxy in pixels, from places (M, N, 4)."""
        middle, wh = self.target[:, :2], self.target[:, 2:]
        centre = middle + place[..., :2] * wh
        half = wh * place[..., 2:].clamp(-_LOG_SIZE, _LOG_SIZE).exp() / 2
        target = torch.cat((middle - wh / 2, middle + wh / 2), dim=-1).expand(place.shape)
        return torch.cat((centre - half, centre + half), dim=-1).reshape(-1, 4), target.reshape(-1, 4)


@dataclass(frozen=True)
class Logits:
    """Samples of a detector's class branch at its start: few positives with an IoU each, many negatives.

    Args:
        x: (N, C) logits.
        labels: (N,) class index, C or the last for background.
        iou: (N,) IoU of the predicted box, 1 where there is none.
        positives: number of positives; they come first.
        use_sigmoid: no column for the background.
    """

    x: Tensor
    labels: Tensor
    iou: Tensor
    positives: int
    use_sigmoid: bool


@cache
def sampled_boxes(overlapping: int = 72, disjoint: int = 24) -> Boxes:
    """A sample of all aspect ratios, scales and distances, targets of 8 px to 512 px."""
    generator = torch.Generator().manual_seed(_SEED)

    def pick(values: tuple[float, ...], count: int) -> Tensor:
        return torch.tensor(values)[torch.randint(len(values), (count,), generator=generator)]

    parts: list[Boxes] = []
    for count, near, far in ((4 * overlapping, 0.0, 0.7), (4 * disjoint, 2.5, FARTHEST)):
        distance = near + (far - near) * torch.rand(count, generator=generator)
        angle = 2 * math.pi * torch.rand(count, generator=generator)
        area = (8 * 64 ** torch.rand(count, generator=generator)).square()
        pairs = _pairs(area, pick(ASPECTS, count), pick(SCALES, count), pick(ASPECTS, count), distance, angle)
        keep = (pairs.overlapping == (near == 0)).nonzero()[: overlapping if near == 0 else disjoint, 0]
        parts.append(Boxes(*(value[keep] for value in (pairs.place, pairs.target, pairs.overlapping, distance))))
    near_ones, far_ones = parts
    return Boxes(
        torch.cat((near_ones.place, far_ones.place)),
        torch.cat((near_ones.target, far_ones.target)),
        torch.cat((near_ones.overlapping, far_ones.overlapping)),
        torch.cat((near_ones.distance, far_ones.distance)),
    )


@cache
def all_boxes(target_size: float = 64.0) -> Boxes:
    """The whole of it: every aspect ratio of both, every scale, distances 0 to 10 in four directions: 28,812 pairs."""
    turned = torch.pi * torch.tensor([0.15, 0.65, 1.15, 1.65])
    grid = torch.cartesian_prod(
        torch.tensor(ASPECTS), torch.tensor(SCALES), torch.tensor(ASPECTS), torch.linspace(0, FARTHEST, 21), turned
    )
    aspect, scale, pred_aspect, distance, angle = grid.unbind(-1)
    return _pairs(torch.full_like(aspect, target_size**2), aspect, scale, pred_aspect, distance, angle)


def _pairs(area: Tensor, aspect: Tensor, scale: Tensor, pred_aspect: Tensor, distance: Tensor, angle: Tensor) -> Boxes:
    """Pairs from areas (px^2), aspect ratios w / h, scales of the predicted area, distances in sizes and angles."""
    wh = torch.stack(((area * aspect).sqrt(), (area / aspect).sqrt()), dim=-1)
    pred = torch.stack(((area * scale * pred_aspect).sqrt(), (area * scale / pred_aspect).sqrt()), dim=-1)
    offset = (distance * area.sqrt())[:, None] * torch.stack((angle.cos(), angle.sin()), dim=-1)
    overlapping = (offset.abs() < (wh + pred) / 2).all(-1)
    middle = torch.full_like(wh, 1000.0)
    return Boxes(torch.cat((offset / wh, (pred / wh).log()), -1), torch.cat((middle, wh), -1), overlapping, distance)


@cache
def sampled_logits(use_sigmoid: bool, positives: int = 64, negatives: int = 448, classes: int = 4) -> Logits:
    """Positives with IoU 0.05 to 1 among seven times as many negatives, at the logits of an untrained detector."""
    generator = torch.Generator().manual_seed(_SEED)
    count = positives + negatives
    x = torch.randn(count, classes if use_sigmoid else classes + 1, generator=generator)
    labels = torch.where(torch.arange(count) < positives, torch.arange(count) % classes, classes)
    iou = torch.ones(count)
    iou[:positives] = torch.linspace(0.05, 1, positives)[torch.randperm(positives, generator=generator)]
    return Logits(x - 2 if use_sigmoid else x, labels, iou, positives, use_sigmoid)
