"""Detections of many heads at once are those of mmdetection, one image and one head at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from detectors import mmcv_ops
from tests.helpers.tiny import DETECTORS, DIGITS

mmcv_ops.install()

from mmdet.registry import DATASETS  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from detectors.data.coco import CocoSource  # noqa: E402
from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.frozen import assigned, extraction  # noqa: E402
from detectors.frozen.postprocess import detected, suppressed  # noqa: E402
from detectors.frozen.small_heads import Boxes  # noqa: E402
from detectors.training.coco_metric import Truth  # noqa: E402
from detectors.training.short import trained  # noqa: E402

TASK = {"iterations": 150, "train_on": "train", "evaluate_on": "val"}


def outputs(model: Any, dataset: Any) -> tuple[list[Any], extraction.Scenes]:
    """What the stock head puts out for every image, as `detected` takes it, and the images."""
    parts, images = [], []
    for inputs, sample in extraction._batches(model, dataset, range(len(dataset)), train=False):
        features = model.extract_feat(inputs)
        if assigned.two_stage(model):
            (proposals,) = model.rpn_head.predict(features, [sample], rescale=False)
            rois = torch.cat((torch.zeros(len(proposals), 1), proposals.bboxes), 1)
            found = model.roi_head._bbox_forward(features, rois)
            parts.append([(found["cls_score"], found["bbox_pred"], torch.zeros(0))])
            priors = [proposals.bboxes[None]]
        else:
            head = model.bbox_head
            head.train()  # boxes in the units of the loss; `detected` multiplies by the stride
            outs = head(features)
            head.train(False)
            logits = [score.permute(0, 2, 3, 1).reshape(-1, head.cls_out_channels) for score in outs[0]]
            raw = [box.permute(0, 2, 3, 1).reshape(-1, 4) for box in outs[1]]
            if Boxes(head).distances and not head.norm_on_bbox:
                raw = [box.log() for box in raw]
            centerness = (
                [one.permute(0, 2, 3, 1).reshape(-1) for one in outs[2]] if len(outs) > 2 else [torch.zeros(0)] * 2
            )
            parts.append(list(zip(logits, raw, centerness, strict=True)))
            priors = head.prior_generator.grid_priors([score.shape[2:] for score in outs[0]], device="cpu")
        meta = sample.metainfo
        images.append((meta["img_id"], meta["img_shape"][:2], meta["scale_factor"], priors))
    return parts, images


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_predictions_score_within_0_002_of_mmdetections_own_evaluation(
    name: str, scenes: dict[str, CocoSource]
) -> None:
    path, options = DETECTORS[name]
    evaluator = DetectorEvaluator(
        path,
        DIGITS,
        cfg_options={**options, "model.roi_head.bbox_head.reg_class_agnostic": True} if "R-CNN" in name else options,
    )
    config = evaluator.configured({}, TASK, 0)
    model: Any = trained(config)
    model.train(False)
    init_default_scope("mmdet")
    dataset = DATASETS.build(config.val_dataloader.dataset)
    truth = Truth(config.val_evaluator.ann_file)
    expected, ids = [], []
    with torch.no_grad():
        for index in range(len(dataset)):
            item = dataset[index]
            batch = {key: [item[key]] for key in ("inputs", "data_samples")}
            (sample,) = model.test_step(batch)
            found = sample.pred_instances
            rows = np.empty((len(found), 7))
            rows[:, 0], rows[:, 1:3] = sample.img_id, found.bboxes[:, :2].numpy()
            rows[:, 3:5] = (found.bboxes[:, 2:] - found.bboxes[:, :2]).numpy()
            rows[:, 5], rows[:, 6] = found.scores.numpy(), found.labels.numpy()
            expected.append(rows)
            ids.append(sample.img_id)
        parts, images = outputs(model, dataset)
        head = model.roi_head.bbox_head if assigned.two_stage(model) else model.bbox_head
        test = model.test_cfg.rcnn if assigned.two_stage(model) else model.test_cfg
        mine = []
        for levels, (image, shape, scale, priors) in zip(parts, images, strict=True):
            group = extraction.Scenes(
                [], priors, torch.tensor([image]), torch.tensor([shape]), torch.tensor([scale]), torch.ones(1, 0).bool()
            )
            many = [tuple(one.expand(3, 1, *one.shape) for one in level) for level in levels]
            each = detected(many, group, Boxes(head), test)
            assert np.array_equal(each[0], each[2])  # three equal heads
            mine.append(each[1])
    scores = [truth.score(np.concatenate(rows), ids) for rows in (mine, expected)]
    assert scores[1]["mAP"] > 0.02
    assert scores[0]["mAP"] == pytest.approx(scores[1]["mAP"], abs=0.002)
    assert sum(map(len, mine)) == pytest.approx(sum(map(len, expected)), rel=0.02)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 60))
def test_suppression_of_all_groups_at_once_equals_torchvisions_of_each(seed: int, groups: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = 40 * torch.rand(groups, count, 2, generator=generator)
    boxes = torch.cat((corner, corner + 5 + 30 * torch.rand(groups, count, 2, generator=generator)), dim=-1)
    scores = torch.rand(groups, count, generator=generator)
    scores[torch.rand(groups, count, generator=generator) < 0.2] = -1.0
    labels = torch.randint(0, 3, (groups, count), generator=generator)
    found, best, classes = suppressed(boxes, scores, labels, 0.5, 20)
    for group in range(groups):
        there = scores[group] >= 0
        keep = torchvision.ops.batched_nms(boxes[group, there], scores[group, there], labels[group, there], 0.5)[:20]
        mine = best[group] >= 0
        torch.testing.assert_close(found[group, mine], boxes[group, there][keep])
        torch.testing.assert_close(best[group, mine], scores[group, there][keep])
        assert torch.equal(classes[group, mine], labels[group, there][keep])
