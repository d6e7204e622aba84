"""Assigned: what a stock head assigns to every prior of an image, and the inputs its last layers see there.

One-stage heads: the 3 x 3 patch of the FPN map at every place, with the targets that the stock head assigns. They are
read off its own `loss_by_feat`, whose calls of `loss_cls`, `loss_bbox` and `loss_centerness` are recorded, so the
head's rules are not written again here. Two-stage heads: the RoI features of the proposals that the stock sampler
chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors import mmcv_ops

mmcv_ops.install()

from mmdet.models.dense_heads import RetinaHead  # noqa: E402
from mmdet.models.utils import unpack_gt_instances  # noqa: E402
from mmdet.structures.bbox import get_box_tensor  # noqa: E402


class _RecordedLoss(nn.Module):
    """Stands where a loss stood and keeps what it is called with."""

    def __init__(self, slot: str, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
        super().__init__()
        self.slot, self.calls = slot, calls

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        self.calls.append((self.slot, args, kwargs))
        return args[0].sum() * 0


def two_stage(model: Any) -> bool:
    """Whether the detector has a head on regions."""
    return hasattr(model, "roi_head")


def samples(model: Any, inputs: Tensor, sample: Any) -> dict[str, Any]:
    """Every prior of an image with what the stock head assigns to it.

    Args:
        model: the detector.
        inputs: the image as the network takes it.
        sample: its boxes.

    Returns:
        By name, a row per prior: as of `extraction.Training`, and `counted`, above 0 where the head's loss sees it; `x`
        is a function of row numbers.
    """
    return (_roi_samples if two_stage(model) else _dense_samples)(model, inputs, sample)


def patches(maps: Tensor) -> Tensor:
    """3 x 3 patches (B * H * W, 9 C) of padded maps (B, C, H + 2, W + 2); RoI features (B, R, F) as (B * R, F)."""
    return maps.flatten(0, 1) if maps.dim() == 3 else functional.unfold(maps, 3).transpose(1, 2).flatten(0, 1)


def padded(maps: Tensor) -> Tensor:
    """With a border of zeros, as convolutions see it."""
    return functional.pad(maps, (1, 1, 1, 1))


def channels(model: Any) -> int:
    """Of what the last layers see."""
    return int(model.roi_head.bbox_roi_extractor.out_channels if two_stage(model) else model.bbox_head.in_channels)


def head_of(model: Any) -> Any:
    """The head whose losses are replaced."""
    return model.roi_head.bbox_head if two_stage(model) else model.bbox_head


def pooled(model: Any, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """RoI features (R, C, cells) of boxes (R, 4) xyxy."""
    roi_head = model.roi_head
    rois = torch.cat((boxes.new_zeros(len(boxes), 1), boxes), dim=1)
    found: Tensor = roi_head.bbox_roi_extractor(features[: roi_head.bbox_roi_extractor.num_inputs], rois)
    return found.flatten(2)


def _roi_samples(model: Any, inputs: Tensor, sample: Any) -> dict[str, Any]:
    """The proposals of an image that the stock sampler chose."""
    features = model.extract_feat(inputs)
    roi_head, head = model.roi_head, model.roi_head.bbox_head
    (truth,), (ignored,), _ = unpack_gt_instances([sample])
    rules = model.train_cfg.get("rpn_proposal", model.test_cfg.rpn)
    outputs = model.rpn_head(features)
    (proposals,) = model.rpn_head.predict_by_feat(*outputs, batch_img_metas=[sample.metainfo], cfg=rules)
    proposals.priors = get_box_tensor(proposals.pop("bboxes"))
    assigned = roi_head.bbox_assigner.assign(proposals, truth, ignored)
    chosen = roi_head.bbox_sampler.sample(assigned, proposals, truth)
    boxes = get_box_tensor(chosen.priors)
    labels = boxes.new_full((len(boxes),), head.num_classes, dtype=torch.long)
    target = boxes.new_zeros(len(boxes), 4)
    count = len(chosen.pos_priors)
    labels[:count], target[:count] = chosen.pos_gt_labels, get_box_tensor(chosen.pos_gt_bboxes)
    deltas = boxes.new_zeros(len(boxes), 4)
    if count:
        deltas[:count] = head.bbox_coder.encode(boxes[:count], target[:count])
    nothing = torch.zeros_like(labels)
    return {
        "x": lambda which: pooled(model, features, boxes[which]).flatten(1),
        "labels": labels,
        "counted": torch.ones_like(labels),
        "priors": boxes,
        "level": nothing,
        "anchor": nothing,
        "boxes": target,
        "deltas": deltas,
        "size": _size(target, sample),
        "box_weight": boxes.new_ones(len(boxes)),
        "centerness": boxes.new_full((len(boxes),), torch.nan),
    }


def _dense_samples(model: Any, inputs: Tensor, sample: Any) -> dict[str, Any]:
    """Every prior of an image with what the stock head assigns to it."""
    features = model.extract_feat(inputs)
    head = model.bbox_head
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    slots = [slot for slot in ("loss_cls", "loss_bbox", "loss_centerness") if hasattr(head, slot)]
    own = {slot: getattr(head, slot) for slot in slots}
    truth, ignored, metas = unpack_gt_instances([sample])
    try:
        for slot in slots:
            setattr(head, slot, _RecordedLoss(slot, calls))
        head.train()
        outs = head(features)
        head.loss_by_feat(*outs, truth, metas, ignored)
    finally:
        head.train(False)
        for slot, loss in own.items():
            setattr(head, slot, loss)
    sizes = [score.shape[2:] for score in outs[0]]
    priors = head.prior_generator.grid_priors(sizes, device=inputs.device)
    anchors = head.num_base_priors
    places = [len(level) // anchors for level in priors]
    level = torch.cat([torch.full((len(prior),), number) for number, prior in enumerate(priors)]).to(inputs.device)
    offsets = torch.tensor([0, *places]).cumsum(0)[:-1].to(inputs.device)
    within = torch.cat([torch.arange(len(prior)) for prior in priors]).to(inputs.device)
    rows = torch.cat([patches(padded(one)) for one in features])
    place = offsets[level] + within // anchors
    found = _recorded(calls, head.num_classes)
    flat = torch.cat(list(priors))
    if isinstance(head, RetinaHead) and not head.reg_decoded_bbox:
        found["deltas"] = found["boxes"]
        found["boxes"] = get_box_tensor(head.bbox_coder.decode(flat, found["deltas"]))
    elif isinstance(head, RetinaHead):
        found["deltas"] = torch.zeros_like(found["boxes"])
    found["size"] = _size(found["boxes"], sample)
    if getattr(head, "norm_on_bbox", False):  # a pixel is a stride
        found["size"] = found["size"] * found["size"].new_tensor(head.strides)[level]
    return {
        "x": lambda which: rows[place[which]],
        "priors": flat,
        "level": level,
        "anchor": within % anchors,
        **found,
    }


def _size(boxes: Tensor, sample: Any) -> Tensor:
    """Square root of the share (N,) of the image that boxes (N, 4) xyxy take."""
    height, width = sample.metainfo["img_shape"][:2]
    return ((boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) / (height * width)).sqrt()


def _recorded(calls: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]], background: int) -> dict[str, Tensor]:
    """Labels, weights and targets of all priors, from what a head called its losses with."""
    parts: list[dict[str, Tensor]] = []
    for slot, args, kwargs in calls:
        weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
        if slot == "loss_cls":
            labels = args[1]
            parts.append(
                {
                    "labels": labels,
                    "counted": torch.ones_like(labels) if weight is None else weight,
                    "boxes": torch.zeros(len(labels), 4, device=labels.device),
                    "box_weight": torch.zeros(len(labels), device=labels.device),
                    "centerness": torch.full((len(labels),), torch.nan, device=labels.device),
                }
            )
            continue
        now = parts[-1]
        positive = (now["labels"] >= 0) & (now["labels"] < background)
        where = positive if len(args[1]) != len(positive) else torch.ones_like(positive)
        if slot == "loss_centerness":
            now["centerness"][where] = args[1].float()
        else:
            now["boxes"][where] = args[1].float()
            weight = torch.ones(len(args[1]), device=args[1].device) if weight is None else weight
            now["box_weight"][where] = (weight.mean(-1) if weight.dim() == 2 else weight).float()
    merged = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {**merged, "deltas": torch.zeros_like(merged["boxes"])}
