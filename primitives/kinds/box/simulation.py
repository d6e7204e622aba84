"""Free boxes: pairs that are simulated, as they stand when a detector begins to train.

Source of the boxes: the simulation experiment of Zheng et al. 2020, arXiv 1911.08287, section 3.2: seven aspect
ratios, seven scales, distances up to ten times the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from primitives.kinds import draws
from primitives.kinds.field import Field, Outcome
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal

ASPECTS = (1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4)
SCALES = (0.5, 0.67, 0.75, 1, 1.33, 1.5, 2)
FARTHEST = 10.0
ARRIVED = 0.9
"""IoU from which a box has arrived."""
OUTCOMES = (
    Outcome("iou", "mean IoU", 0.84),
    Outcome("arrived", "share that arrived", 0.85, grace=0.15),
    Outcome("disjoint", "share of disjoint ones that arrived", None),
)
"""Pairs that overlapped at the start, at the end; the share of these, and of the others, that ever reached ARRIVED."""
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


@cache
def sampled(overlapping: int = 72, disjoint: int = 24) -> Boxes:
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
def every(target_size: float = 64.0) -> Boxes:
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


class BoxField(Field):
    """Boxes on their way: places (M, N, 4) of M formulas; the steps add up to 11 sizes of the target.

    Args:
        kind: of the formulas.
        terminals: their inputs.
        boxes: the pairs.
    """

    chief, first_step = "iou", 1.0

    def __init__(self, kind: Kind, terminals: Sequence[Terminal], boxes: Boxes) -> None:
        self.kind, self.terminals, self.boxes, self.start = kind, terminals, boxes, boxes.place
        self.given = draws.given(terminals, len(boxes.place))
        self.iou = self.best = torch.zeros(1, len(boxes.place))

    def time(self, share: float) -> None:
        """See Field."""
        self.given |= draws.at_time(self.terminals, len(self.boxes.place), share)

    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        """See Field."""
        given = {name: value.repeat(len(place)) for name, value in self.given.items()}
        flat = self.kind.inputs(Sample(*self.boxes.xyxy(place), given), self.terminals)
        return {name: value.reshape(place.shape[:2]) for name, value in flat.items()}

    def losses(self, values: Sequence[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> Sequence[Tensor]:  # noqa: ARG002
        """See Field."""
        return values

    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """IoU of the pairs that overlapped at the start, (M, K)."""
        self.iou = (seen["i"] / seen["u"]).detach()
        self.best = torch.maximum(self.best, self.iou)
        return self.iou[:, self.boxes.overlapping]

    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:  # noqa: ARG002
        """See Field."""
        near, iou, arrived = self.boxes.overlapping, self.iou[which], (self.best[which] >= ARRIVED).float()
        found = torch.stack((iou[:, near].mean(-1), arrived[:, near].mean(-1), arrived[:, ~near].mean(-1)), dim=-1)
        return [dict(zip((one.name for one in OUTCOMES), row, strict=True)) for row in found.tolist()]

    def outcome(self, place: Tensor, index: int) -> Tensor:  # noqa: ARG002
        """IoU of every pair."""
        return self.iou[index]

    def keep(self, kept: list[int]) -> None:
        """See Field."""
        self.best = self.best[kept]
