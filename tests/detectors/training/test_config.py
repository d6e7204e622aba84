from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from detectors import mmcv_ops
from detectors.data.coco import CocoSource
from primitives.errors import InputError

mmcv_ops.install()


from detectors.training.config import box_heads, configure, load, put_losses, slots  # noqa: E402

FCOS = "configs/detectors/tiny_fcos.py"
FASTER = "configs/detectors/tiny_faster_rcnn.py"
CASCADE = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
BOX = {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 2.0}


def class_loss(grammar: str, expression: str = "neg(mul(y, x))", **rest: object) -> dict[str, Any]:
    return {"expression": expression, "grammar": grammar, "loss_weight": 1.0, **rest}


def configured(scenes: dict[str, CocoSource], detector: str, losses: dict[str, Any], **rest: Any) -> Config:
    arguments = {"iterations": 100, "seed": 3, **rest}
    return configure(load(detector), train=scenes["train"], evaluate=scenes["val"], losses=losses, **arguments)


def test_a_detector_without_losses_given_keeps_its_own(scenes: dict[str, CocoSource]) -> None:
    head = configured(scenes, FCOS, {}).model.bbox_head
    assert (head.type, head.loss_cls.type, head.loss_bbox.type) == ("FCOSHead", "FocalLoss", "GIoULoss")
    assert slots(load(FCOS))["loss_bbox"] == "type=GIoULoss, loss_weight=1.0"


def test_losses_are_put_into_their_slots(scenes: dict[str, CocoSource]) -> None:
    head = configured(scenes, FCOS, {"loss_cls": class_loss("sigmoid", alpha=0.25), "loss_bbox": BOX}).model.bbox_head
    assert head.loss_bbox == {"type": "ExpressionBoxLoss", "reduction": "mean", **BOX}
    assert (head.loss_cls.type, head.loss_cls.alpha, head.loss_cls.use_sigmoid) == ("ExpressionClassLoss", 0.25, True)
    assert head.type == "FCOSHead"


def test_every_stage_of_a_cascade_gets_losses_and_classes_and_the_rpn_gets_none(scenes: dict[str, CocoSource]) -> None:
    config = configured(scenes, CASCADE, {"loss_cls": class_loss("softmax"), "loss_bbox": BOX})
    assert [head.num_classes for head in box_heads(config)] == [10, 10, 10]
    assert all(head.loss_bbox.type == "ExpressionBoxLoss" and head.reg_decoded_bbox for head in box_heads(config))
    assert all(head.loss_cls.type == "ExpressionClassLoss" for head in box_heads(config))
    assert config.model.rpn_head.loss_bbox.type == "SmoothL1Loss"
    assert "num_classes" not in config.model.rpn_head


@pytest.mark.parametrize(
    ("detector", "kind"),
    [
        ("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", "RetinaHead"),
        ("mmdet::atss/atss_r50_fpn_1x_coco.py", "ATSSHead"),
        (FASTER, "Shared2FCBBoxHead"),
    ],
)
def test_heads_with_anchors_are_asked_for_decoded_boxes(
    scenes: dict[str, CocoSource], detector: str, kind: str
) -> None:
    (head,) = box_heads(configured(scenes, detector, {"loss_bbox": BOX}))
    assert (head.type, head.reg_decoded_bbox) == (kind, True)


def test_a_head_that_hands_over_shares_of_the_image_is_refused(scenes: dict[str, CocoSource]) -> None:
    with pytest.raises(InputError, match="DIIHead hands loss_bbox shares of the image's sides"):
        configured(scenes, "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py", {"loss_bbox": BOX})


@pytest.mark.parametrize(
    "name",
    [
        "yolox/yolox_tiny_8xb8-300e_coco.py",
        "yolo/yolov3_d53_8xb8-320-273e_coco.py",
        "vfnet/vfnet_r50_fpn_1x_coco.py",
        "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py",
    ],
)
def test_a_head_that_hands_over_no_labels_is_refused(name: str) -> None:
    loss = {"expression": "sub(softplus(x), mul(x, y))", "grammar": "sigmoid", "loss_weight": 1.0}
    with pytest.raises(InputError, match="Head hands scores to loss_cls and no labels; a class formula needs a head"):
        put_losses(load(f"mmdet::{name}"), {"loss_cls": loss})


def test_a_head_that_hands_over_no_boxes_is_refused(scenes: dict[str, CocoSource]) -> None:
    with pytest.raises(InputError, match="DETRHead hands no boxes to loss_bbox"):
        configured(scenes, "mmdet::detr/detr_r50_8xb2-150e_coco.py", {"loss_bbox": BOX})


@pytest.mark.parametrize(
    ("detector", "grammar", "kind"),
    [(FCOS, "sigmoid", "IoUAwareFCOSHead"), (FASTER, "softmax", "IoUAwareShared2FCBBoxHead")],
)
def test_a_formula_that_reads_w_gets_a_head_that_hands_it_over(
    scenes: dict[str, CocoSource], detector: str, grammar: str, kind: str
) -> None:
    losses = {"loss_cls": class_loss(grammar, "neg(mul(w, mul(y, x)))")}
    assert next(box_heads(configured(scenes, detector, losses))).type == kind


def test_centerness_target_takes_the_head_that_knows_the_iou(scenes: dict[str, CocoSource]) -> None:
    head = configured(scenes, FCOS, {}, centerness_target="iou").model.bbox_head
    assert (head.type, head.centerness_target) == ("IoUAwareFCOSHead", "iou")
    head = configured(scenes, "configs/detectors/atss_r50.py", {}, centerness_target="iou").model.bbox_head
    assert (head.type, head.centerness_target) == ("IoUAwareATSSHead", "iou")
    with pytest.raises(InputError, match="is for FCOSHead and ATSSHead, this head is IoUAwareRetinaHead"):
        configured(scenes, "configs/detectors/retinanet_r50.py", {}, centerness_target="iou")


def test_the_detectors_config_is_not_changed(scenes: dict[str, CocoSource]) -> None:
    config = load(FCOS)
    before = config.pretty_text
    configure(config, train=scenes["train"], evaluate=scenes["val"], losses={"loss_bbox": BOX}, iterations=9, seed=0)
    assert config.pretty_text == before


@pytest.mark.parametrize("iterations", [1, 2, 15, 400])
def test_the_schedule_covers_the_training(scenes: dict[str, CocoSource], iterations: int) -> None:
    config = configured(scenes, FCOS, {}, iterations=iterations)
    warm, decay = config.param_scheduler
    assert config.train_cfg.max_iters == iterations
    assert warm.begin == 0 < warm.end == decay.begin < decay.end
    assert decay.T_max == decay.end - decay.begin
    assert decay.end == max(iterations, 2)


def test_data_and_seed_are_set(scenes: dict[str, CocoSource]) -> None:
    config = configured(scenes, FCOS, {}, batch_size=4)
    assert config.train_dataloader.batch_size == 4
    assert config.train_dataloader.sampler == {"type": "InfiniteSampler", "shuffle": True, "seed": 3}
    assert config.train_dataloader.dataset.ann_file == str(scenes["train"].annotations)
    assert config.val_evaluator.ann_file == str(scenes["val"].annotations)
    assert config.randomness.seed == 3


@pytest.mark.parametrize(
    ("detector", "losses", "message"),
    [
        (FCOS, {"loss_mask": BOX}, "FCOSHead has no slot 'loss_mask'; choices: loss_cls, loss_bbox"),
        (FCOS, {"loss_cls": class_loss("softmax")}, "FCOSHead classifies by sigmoid, .* got 'softmax'"),
        (FASTER, {"loss_cls": class_loss("sigmoid")}, "classifies by softmax, .* got 'sigmoid'"),
        (
            "mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py",
            {"loss_cls": class_loss("sigmoid", "neg(mul(w, mul(y, x)))")},
            "stands in for 'YOLOFHead'; known: FCOSHead, ATSSHead",
        ),
    ],
)
def test_losses_that_do_not_fit_are_named(
    scenes: dict[str, CocoSource], detector: str, losses: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        configured(scenes, detector, losses)


def test_sigmoid_is_read_from_the_class_of_the_loss_where_the_config_is_silent(scenes: dict[str, CocoSource]) -> None:
    config = load(FCOS, {"model.bbox_head.loss_cls": {"_delete_": True, "type": "FocalLoss"}})
    arguments = {"train": scenes["train"], "evaluate": scenes["val"], "iterations": 9, "seed": 0}
    put = configure(config, losses={"loss_cls": class_loss("sigmoid")}, **arguments)
    assert put.model.bbox_head.loss_cls.use_sigmoid is True


def test_configs_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no detector config at 'none\.py'"):
        load("none.py")
    with pytest.raises(InputError, match="not a config that mmengine can read"):
        load("mmdet::none/none.py")
    file = tmp_path / "config.py"
    file.write_text("model = dict(type='FCOS')")
    with pytest.raises(InputError, match="no detector: needs"):
        load(str(file))
    file.write_text("model = dict(bbox_head=dict(type='FCOSHead'))")
    with pytest.raises(InputError, match="has no 'train_dataloader'"):
        load(str(file))
    file.write_text("model = dict(")
    with pytest.raises(InputError, match="not a config"):
        load(str(file))
