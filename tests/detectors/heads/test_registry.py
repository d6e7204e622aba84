from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from detectors import mmcv_ops

mmcv_ops.install()

from mmdet.models.dense_heads import FCOSHead  # noqa: E402
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402

from detectors.heads.registry import head_type  # noqa: E402
from detectors.losses.expression import ExpressionClassLoss  # noqa: E402
from primitives.catalog import KNOWN  # noqa: E402
from primitives.errors import InputError  # noqa: E402
from primitives.kinds.box.pair import aligned_iou  # noqa: E402

GIOU = {"type": "ExpressionBoxLoss", "expression": str(KNOWN["giou"].expression)}
QUALITY = {
    "type": "ExpressionClassLoss",
    "expression": str(KNOWN["quality_focal"].expression),
    "grammar": "sigmoid",
    "use_sigmoid": True,
}
PUBLISHED = {"type": "ExpressionClassLoss", "expression": str(KNOWN["cse_a_cls"].expression), "grammar": "softmax"}
FCOS = {
    "num_classes": 3,
    "in_channels": 4,
    "feat_channels": 4,
    "stacked_convs": 1,
    "strides": [8, 16],
    "regress_ranges": ((-1, 32), (32, 1e8)),
    "norm_on_bbox": True,
    "norm_cfg": None,
    "loss_bbox": GIOU,
}
ATSS = {
    "num_classes": 3,
    "in_channels": 4,
    "feat_channels": 4,
    "stacked_convs": 1,
    "norm_cfg": None,
    "anchor_generator": {
        "type": "AnchorGenerator",
        "ratios": [1.0],
        "octave_base_scale": 4,
        "scales_per_octave": 1,
        "strides": [8, 16],
    },
    "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]},
    "reg_decoded_bbox": True,
    "loss_bbox": GIOU,
    "train_cfg": {
        "assigner": {"type": "ATSSAssigner", "topk": 9},
        "allowed_border": -1,
        "pos_weight": -1,
    },
}
ROI = {
    "num_classes": 3,
    "in_channels": 4,
    "fc_out_channels": 8,
    "roi_feat_size": 2,
    "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
    "loss_bbox": {"type": "L1Loss"},
}


@pytest.fixture(autouse=True)
def registered() -> None:
    register_all_modules()


def build(kind: str, **arguments: Any) -> Any:
    torch.manual_seed(0)
    head = MODELS.build({"type": kind, **arguments})
    head.init_weights()
    return head


def fcos_inputs(head: Any, with_boxes: bool = True) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    features = [torch.randn(2, 4, size, size, generator=generator) for size in (8, 4)]
    truth = [
        InstanceData(
            bboxes=torch.tensor([[4.0, 4, 30, 40], [30.0, 20, 60, 60]])[: 2 if with_boxes else 0],
            labels=torch.tensor([0, 2])[: 2 if with_boxes else 0],
        )
    ] * 2
    return (*head(features), truth, [{"img_shape": (64, 64), "pad_shape": (64, 64)}] * 2)


class Recorder:
    """Keeps what a loss was called with."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        module.register_forward_pre_hook(lambda _, a, k: self.calls.append((a, k)), with_kwargs=True)


def fcos_loss(head: Any, with_boxes: bool = True) -> dict[str, Any]:
    """What FCOSHead.loss does, from given features."""
    inputs = fcos_inputs(head, with_boxes)
    head.forward = lambda _: inputs[:3]
    samples = []
    for truth, meta in zip(*inputs[3:], strict=True):
        samples.append(DetDataSample(metainfo=meta))
        samples[-1].gt_instances = truth
    return head.loss((torch.zeros(1),), samples)


def test_class_loss_of_fcos_gets_the_iou_of_its_boxes() -> None:
    head = build("IoUAwareFCOSHead", **FCOS, loss_cls=QUALITY)
    cls, box = Recorder(head.loss_cls.loss), Recorder(head.loss_bbox.loss)
    losses = fcos_loss(head)
    (_, labels), kwargs = cls.calls[0]
    pred, target = box.calls[0][0]
    positive = labels < 3
    assert positive.sum() == len(pred) > 0
    torch.testing.assert_close(kwargs["iou"][positive], aligned_iou(pred, target).detach())
    assert not kwargs["iou"].requires_grad
    by_hand = ExpressionClassLoss(QUALITY["expression"], "sigmoid")(*cls.calls[0][0], **kwargs)
    torch.testing.assert_close(losses["loss_cls"], by_hand)


def test_losses_that_read_no_iou_are_those_of_the_stock_head() -> None:
    focal = {"type": "FocalLoss", "use_sigmoid": True}
    stock = fcos_loss(build("FCOSHead", **FCOS, loss_cls=focal))
    aware = fcos_loss(build("IoUAwareFCOSHead", **FCOS, loss_cls=focal))
    assert stock.keys() == aware.keys()
    for name, value in stock.items():
        torch.testing.assert_close(aware[name], value, rtol=0, atol=0)


def test_weights_are_those_of_the_stock_head() -> None:
    stock = build("FCOSHead", **FCOS, loss_cls={"type": "FocalLoss", "use_sigmoid": True}).state_dict()
    aware = build("IoUAwareFCOSHead", **FCOS, loss_cls=QUALITY).state_dict()
    assert stock.keys() == aware.keys()
    for name, value in stock.items():
        torch.testing.assert_close(aware[name], value, rtol=0, atol=0)


def test_images_without_boxes_give_a_finite_loss_with_a_gradient() -> None:
    head = build("IoUAwareFCOSHead", **FCOS, loss_cls=QUALITY, centerness_target="iou")
    losses = fcos_loss(head, with_boxes=False)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())


def test_centerness_target_can_be_the_iou() -> None:
    head = build("IoUAwareFCOSHead", **FCOS, loss_cls=QUALITY, centerness_target="iou")
    box, centerness = Recorder(head.loss_bbox.loss), Recorder(head.loss_centerness)
    fcos_loss(head)
    (pred, target), kwargs = box.calls[0]
    iou = aligned_iou(pred, target).detach()
    torch.testing.assert_close(centerness.calls[0][0][1], iou, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(kwargs["weight"], iou, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(kwargs["avg_factor"], iou.sum(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")  # mmdetection of itself
def test_centerness_target_of_atss_can_be_the_iou() -> None:
    head = build("IoUAwareATSSHead", **ATSS, loss_cls=QUALITY, centerness_target="iou")
    cls, box, centerness = (
        Recorder(module) for module in (head.loss_cls.loss, head.loss_bbox.loss, head.loss_centerness)
    )
    losses = fcos_loss(head)
    total = 0.0
    by_hand = []
    for number, ((pred, target), kwargs) in enumerate(box.calls):
        iou = aligned_iou(pred, target).detach()
        total += float(iou.sum())
        torch.testing.assert_close(kwargs["weight"], iou, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(centerness.calls[number][0][1], iou, rtol=1e-5, atol=1e-6)
        assert not kwargs["weight"].requires_grad
        u, e = areas(pred, target)
        by_hand.append((iou * (1 - iou + (e - u) / e)).sum())  # GIoU by its definition
    positives = sum(int((call[0][1] < 3).sum()) for call in cls.calls)
    assert len(by_hand) >= 1
    assert 0 < total < positives
    for call, value in zip(by_hand, [loss for loss in losses["loss_bbox"] if loss != 0], strict=True):
        torch.testing.assert_close(value, call / max(total, 1), rtol=1e-4, atol=1e-6)


def areas(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Union and enclosing area of aligned boxes, in pixels."""
    sides = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    union = sum((boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (pred, target)) - sides.prod(-1)
    return union, (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).prod(-1)


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")
def test_atss_without_centerness_target_has_the_losses_of_the_stock_head() -> None:
    focal = {"type": "FocalLoss", "use_sigmoid": True}
    stock, aware = (fcos_loss(build(kind, **ATSS, loss_cls=focal)) for kind in ("ATSSHead", "IoUAwareATSSHead"))
    for name, values in stock.items():
        for ours, theirs in zip(aware[name], values, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def roi_inputs(decoded: bool) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    corner = torch.rand(6, 2, generator=generator) * 20
    rois = torch.cat((torch.zeros(6, 1), corner, corner + 20), dim=1)
    labels = torch.tensor([1, 3, 0, 3, 2, 3])
    targets = rois[:, 1:] + 3 if decoded else torch.full((6, 4), 0.1)
    weights = (labels < 3).float()[:, None].expand(6, 4)
    cls_score, deltas = torch.randn(6, 4, generator=generator), torch.randn(6, 12, generator=generator) * 0.1
    return cls_score.requires_grad_(), deltas.requires_grad_(), rois, labels, torch.ones(6), targets, weights


@pytest.mark.parametrize("decoded", [True, False], ids=["decoded boxes", "deltas"])
def test_class_loss_of_the_two_stage_head_gets_the_iou_of_its_boxes(decoded: bool) -> None:
    loss_bbox = GIOU if decoded else ROI["loss_bbox"]
    head = build(
        "IoUAwareShared2FCBBoxHead", **{**ROI, "loss_bbox": loss_bbox}, loss_cls=PUBLISHED, reg_decoded_bbox=decoded
    )
    cls = Recorder(head.loss_cls.loss)
    inputs = roi_inputs(decoded)
    losses = head.loss(*inputs)
    _, deltas, rois, labels, _, targets, _ = inputs
    mine = labels < 3
    own = deltas.view(6, 3, 4)[mine, labels[mine]]
    target = targets[mine] if decoded else head.bbox_coder.decode(rois[mine, 1:], targets[mine])
    expected = aligned_iou(head.bbox_coder.decode(rois[mine, 1:], own), target)
    torch.testing.assert_close(cls.calls[0][1]["iou"][mine], expected.detach())
    assert torch.isfinite(losses["loss_cls"])
    assert {"loss_cls", "loss_bbox", "acc"} <= losses.keys()


def test_two_stage_head_without_positives_has_finite_losses() -> None:
    head = build("IoUAwareShared2FCBBoxHead", **{**ROI, "loss_bbox": GIOU}, loss_cls=PUBLISHED, reg_decoded_bbox=True)
    cls_score, deltas, rois, labels, *rest = roi_inputs(True)
    losses = head.loss(cls_score, deltas, rois, torch.full_like(labels, 3), *rest)
    assert torch.isfinite(losses["loss_cls"] + losses["loss_bbox"])


def test_a_head_without_a_twin_is_named_with_the_choices() -> None:
    assert head_type("FCOSHead", ["iou"]) == head_type("IoUAwareFCOSHead", ["iou"]) == "IoUAwareFCOSHead"
    assert head_type("FCOSHead", []) == "FCOSHead"
    assert head_type("GFLHead", ["iou"]) == "GFLHead"
    assert issubclass(MODELS.get("IoUAwareFCOSHead"), FCOSHead)
    assert issubclass(MODELS.get("IoUAwareShared2FCBBoxHead"), Shared2FCBBoxHead)
    with pytest.raises(InputError, match="'SSDHead'; known: FCOSHead, ATSSHead, RetinaHead, Shared2FC"):
        head_type("SSDHead", ["iou"])
    with pytest.raises(InputError, match="no head that hands over area, iou stands in for 'FCOSHead'; known: none"):
        head_type("FCOSHead", ["iou", "area"])
    with pytest.raises(ValueError, match="unknown centerness_target 'middle'"):
        build("IoUAwareFCOSHead", **FCOS, loss_cls=QUALITY, centerness_target="middle")
    with pytest.raises(TypeError, match="unexpected keyword argument 'centerness_target'"):
        build("IoUAwareShared2FCBBoxHead", **ROI, loss_cls=PUBLISHED, centerness_target="iou")
