"""Postprocess: outputs of K heads over many images as COCO mAP, with one suppression for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.frozen.assigned import patches
from detectors.frozen.extraction import Scenes
from detectors.frozen.small_heads import Boxes, SmallHeads
from detectors.training.coco_metric import Truth

MOST = 1000
"""Most boxes of an image that take part in the suppression, best score first."""
_AT_ONCE = 2**24  # elements of the largest tensor


@torch.no_grad()
def scored(
    heads: SmallHeads, scenes: Sequence[Scenes], test: Mapping[str, Any], truth: Truth
) -> list[dict[str, float] | None]:
    """COCO metrics of every head.

    Args:
        heads: K of them.
        scenes: images that are evaluated.
        test: `score_thr`, `nms`, `max_per_img`, and for one-stage heads `nms_pre` and `min_bbox_size`, as mmdetection's
            test_cfg has them.
        truth: of these images.

    Returns:
        The metrics of `Truth.score` for every head; None where an output is not finite.
    """
    rows: list[list[np.ndarray[Any, Any]]] = [[] for _ in range(heads.count)]
    images: list[int] = []
    finite = torch.ones(heads.count, dtype=torch.bool)
    for group in scenes:
        images += group.image.tolist()
        places = max(level.shape[1] if level.dim() == 3 else level[0, 0].numel() for level in group.maps)
        width = places * max(heads.count * heads.boxes.anchors * (heads.boxes.columns + 5), len(heads.first))
        size = max(1, _AT_ONCE // max(1, width))
        for begin in range(0, len(group.image), size):
            part = slice(begin, begin + size)
            outputs = [outputs_of(heads, level[part], number) for number, level in enumerate(group.maps)]
            for values in (values for level in outputs for values in level):
                finite &= torch.isfinite(values).flatten(1).all(1).cpu()
            cut = Scenes(
                group.maps,
                [prior[part] if prior.dim() == 3 else prior for prior in group.priors],
                group.image[part],
                group.shape[part],
                group.scale[part],
                group.there[part],
            )
            for head, found in enumerate(detected(outputs, cut, heads.boxes, test)):
                rows[head].append(found)
    return [
        truth.score(np.concatenate(found) if found else np.empty((0, 7)), images) if good else None
        for found, good in zip(rows, finite.tolist(), strict=True)
    ]


def outputs_of(heads: SmallHeads, maps: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of one level for B images: logits (K, B, n, C'), raw boxes (K, B, n, 4), centerness logits (K, B, n or 0)."""
    x = patches(maps)
    level = torch.full((len(x),), number, dtype=torch.long, device=x.device)
    logits, raw, centerness = heads(x, level)
    shape = (heads.count, len(maps))
    return (
        logits.reshape(*shape, -1, logits.shape[-1]),
        raw.reshape(*shape, -1, 4),
        centerness.reshape(*shape, -1),
    )


def detected(
    outputs: Sequence[tuple[Tensor, Tensor, Tensor]], scenes: Scenes, boxes: Boxes, test: Mapping[str, Any]
) -> list[np.ndarray[Any, Any]]:
    """Rows (D, 7) of every head: image, x, y, width, height, score, class index.

    The rules are those of mmdetection's `BaseDenseHead.predict_by_feat` and `BBoxHead.predict_by_feat`.

    Args:
        outputs: per level, as of `outputs_of`.
        scenes: the images; their maps are not read.
        boxes: of the stock head.
        test: see `scored`.
    """
    levels = [
        _best(part, prior, number, boxes, test, scenes.there)
        for number, (part, prior) in enumerate(zip(outputs, scenes.priors, strict=True))
    ]
    found, scores, labels, factors = (torch.cat(parts, dim=2) for parts in zip(*levels, strict=True))
    height, width = scenes.shape.to(found).T
    most = torch.stack((width, height, width, height), dim=-1)[None, :, None]
    if getattr(boxes.head.bbox_coder, "clip_border", True):
        found = torch.minimum(found.clamp(min=0), most)
    found = found / scenes.scale.to(found).repeat(1, 2)[None, :, None]
    sides = found[..., 2:] - found[..., :2]
    least = test.get("min_bbox_size", -1)
    there = scores > test.get("score_thr", 0.0)
    if boxes.strides and least >= 0:
        there &= (sides > least).all(-1)
    scores = torch.where(there, scores * factors, -torch.ones_like(scores))
    count, per_image = scores.shape[0], int(test.get("max_per_img", -1))
    flat = [part.flatten(0, 1) for part in (found, scores, labels)]
    kept = suppressed(flat[0], flat[1], flat[2], float(test["nms"]["iou_threshold"]), per_image)
    return _rows(*kept, scenes.image.repeat(count), count)


def _best(
    part: tuple[Tensor, Tensor, Tensor],
    priors: Tensor,
    number: int,
    boxes: Boxes,
    test: Mapping[str, Any],
    there: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best pairs of place and class of a level: boxes, scores, labels and score factors, (K, B, n, ...)."""
    logits, raw, centerness = part
    scores = logits.sigmoid() if boxes.sigmoid else logits.softmax(-1)[..., :-1]
    if there.numel():
        scores = torch.where(there.to(scores.device)[None, :, :, None], scores, 0.0)
    pairs = scores.flatten(2)
    before = int(test.get("nms_pre", -1))
    count = min(pairs.shape[-1], before if before > 0 else MOST)
    best, index = pairs.topk(count, dim=-1)
    place, label = index // scores.shape[-1], index % scores.shape[-1]
    level = torch.full((raw.shape[2],), number, dtype=torch.long, device=raw.device)
    predicted = boxes.predicted(raw, level, testing=True)
    found = boxes.decoded(priors, predicted)
    found = found.gather(2, place[..., None].expand(-1, -1, -1, 4))
    factor = centerness.sigmoid().gather(2, place) if centerness.shape[-1] else torch.ones_like(best)
    return found, best, label, factor


def suppressed(
    boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Greedy non-maximum suppression within the classes of every group, for all groups at once.

    A box falls when a box of its class that stands overlaps it more; asked again of all boxes until nothing changes,
    which gives what the greedy loop gives (Cluster-NMS).

    torchvision's `batched_nms`, called per group, keeps the same boxes where no two scores are equal, in 0.21 s where
    this takes 0.04 s (16 heads of the tiny Faster R-CNN on 200 images, one thread) and in 0.33 s where it takes 0.28 s
    (FCOS); for 1,000 boxes of a single class it is the faster one. See tests/benchmarks/bench_suppression.py.

    Args:
        boxes: (G, n, 4) xyxy.
        scores: (G, n); below 0 for no box.
        labels: (G, n).
        threshold: IoU above which the box of the lower score falls.
        most: boxes of a group that are kept; all where it is not above 0.

    Returns:
        Boxes (G, m, 4), scores (G, m) and labels (G, m), best first; scores below 0 for no box.

    Source: Zheng et al. 2021, arXiv 2005.03572, section 3.3.
    """
    limit = max(1, min(int((scores >= 0).sum(-1).max()) if len(scores) else 1, MOST))
    scores, order = scores.topk(min(limit, scores.shape[-1]), dim=-1)
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    labels = labels.gather(1, order)
    # Boxes of one class in one group are rivals: they come to stand in a row of their own, best first.
    where = (scores.flatten() >= 0).nonzero()[:, 0]
    classes = int(labels.max()) + 1 if labels.numel() else 1
    family = (where // max(1, scores.shape[-1])) * classes + labels.flatten()[where]
    where = where[family.argsort(stable=True)]
    counts = family.bincount()
    counts = counts[counts > 0]
    kept = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    first = counts.cumsum(0) - counts
    by_count = counts.argsort()  # families of a like number of boxes together, so that little is computed of nothing
    widths, begin = counts[by_count].tolist(), 0
    while begin < len(widths):
        size = max(1, _AT_ONCE // (8 * widths[begin] ** 2))
        size = next(
            (n for n in range(size) if begin + n >= len(widths) or widths[begin + n] > 1.5 * widths[begin]), size
        )
        rows = by_count[begin : begin + max(1, size)]
        width = widths[begin + len(rows) - 1]
        column = torch.arange(width, device=scores.device)
        there = column < counts[rows][:, None]
        place = where[(first[rows][:, None] + column).clamp(max=len(where) - 1)]
        standing = _standing(boxes.flatten(0, 1)[place], there, threshold)
        kept[place[there]] = standing[there]
        begin += len(rows)
    scores = torch.where(kept.view_as(scores), scores, -torch.ones_like(scores))
    scores, order = scores.topk(min(most, scores.shape[-1]) if most > 0 else scores.shape[-1], dim=-1)
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), scores, labels.gather(1, order)


def _standing(boxes: Tensor, there: Tensor, threshold: float) -> Tensor:
    """Which boxes (G, n) stand, of boxes (G, n, 4) that are all rivals, best first; `there` (G, n): which there are."""
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    union = area[:, :, None] + area[:, None] - inner
    rival = (inner > threshold * union).triu(1).float()  # [earlier, later]
    standing = there
    for _ in range(boxes.shape[1]):
        now = there & (torch.bmm(standing.float()[:, None], rival)[:, 0] == 0)
        if torch.equal(now, standing):
            break
        standing = now
    return standing


def _rows(boxes: Tensor, scores: Tensor, labels: Tensor, images: Tensor, count: int) -> list[np.ndarray[Any, Any]]:
    """Rows of every head."""
    there = (scores >= 0).cpu()
    sides = boxes[..., 2:] - boxes[..., :2]
    image = images[:, None].expand_as(there).double()
    parts = (image, *boxes[..., :2].unbind(-1), *sides.unbind(-1), scores, labels)
    table = torch.stack([part.cpu().double() for part in parts], dim=-1)
    table, there = table.view(count, -1, 7), there.reshape(count, -1)
    return [rows[mask].numpy() for rows, mask in zip(table, there, strict=True)]
