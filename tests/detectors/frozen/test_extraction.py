"""What a frozen detector hands to its last layers is what its own head computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from detectors import mmcv_ops
from tests.helpers.tiny import DETECTORS, DIGITS

mmcv_ops.install()

from mmdet.models.utils import unpack_gt_instances  # noqa: E402
from mmdet.registry import DATASETS, MODELS  # noqa: E402
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from detectors.data.coco import CocoSource  # noqa: E402
from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.frozen import assigned, extraction  # noqa: E402
from primitives.errors import InputError  # noqa: E402

# What mmdetection says of its own ATSS head.
pytestmark = pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")
TASK = {"iterations": 3, "train_on": "train", "evaluate_on": "val"}


def made(name: str) -> tuple[Any, Any]:
    """A detector that was not trained, and its training images."""
    path, options = DETECTORS[name]
    config: Config = DetectorEvaluator(path, DIGITS, cfg_options=options).configured({}, TASK, 0)
    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.train(False)
    return model, DATASETS.build(config.train_dataloader.dataset)


@pytest.mark.parametrize("name", ["FCOS", "ATSS", "RetinaNet"])
def test_labels_and_targets_are_those_that_the_head_assigns(name: str, scenes: dict[str, CocoSource]) -> None:
    model, dataset = made(name)
    head = model.bbox_head
    ((inputs, sample),) = extraction._batches(model, dataset, [0], train=True)
    found = assigned._dense_samples(model, inputs, sample)
    truth, ignored, metas = unpack_gt_instances([sample])
    sizes = [one.shape[2:] for one in model.extract_feat(inputs)]
    if name == "FCOS":
        points = head.prior_generator.grid_priors(sizes, device="cpu")
        labels, targets = head.get_targets(points, truth)
        flat, boxes = torch.cat(labels), head.bbox_coder.decode(torch.cat(points), torch.cat(targets))
    else:
        anchors, valid = head.get_anchors(sizes, metas, device="cpu")
        parts = head.get_targets(anchors, valid, truth, metas, batch_gt_instances_ignore=ignored)
        labels, targets = (parts[1], parts[3]) if name == "ATSS" else (parts[0], parts[2])
        flat, boxes = (torch.cat([one[0] for one in many]) for many in (labels, targets))
        if name == "RetinaNet":
            boxes = get_box_tensor(head.bbox_coder.decode(torch.cat(anchors[0]), boxes))
    positive = flat < head.num_classes
    assert positive.any()
    assert torch.equal(found["labels"], flat)
    torch.testing.assert_close(found["boxes"][positive], boxes[positive])
    assert len(found["priors"]) == len(flat) == len(found["level"])
    if name == "RetinaNet":
        assert found["anchor"][:4].tolist() == [0, 1, 2, 3]
        torch.testing.assert_close(
            head.bbox_coder.encode(found["priors"][positive], boxes[positive]),
            found["deltas"][positive],
            atol=1e-4,
            rtol=1e-4,
        )
    assert hasattr(head.loss_cls, "loss_weight")  # the losses are back in their places


@pytest.mark.parametrize("name", DETECTORS)
def test_samples_are_positives_then_negatives_with_standardised_inputs(
    name: str, scenes: dict[str, CocoSource]
) -> None:
    model, dataset = made(name)
    data, mean, deviation = extraction.training(model, dataset, 10, seed=0)
    positives = len(data.boxes)
    head = model.roi_head.bbox_head if assigned.two_stage(model) else model.bbox_head
    assert (data.labels[:positives] < head.num_classes).all()
    assert (data.labels[positives:] == head.num_classes).all()
    assert len(data.labels) - positives <= 10 * extraction.NEGATIVES
    channels = data.x.reshape(len(data.x), len(mean), -1)
    torch.testing.assert_close(channels.mean((0, 2)), torch.zeros(len(mean)), atol=1e-4, rtol=0)
    torch.testing.assert_close(channels.std((0, 2)), torch.ones(len(mean)), atol=1e-2, rtol=0)
    assert (deviation > 0).all()
    assert (data.box_weight > 0).all()
    assert len(data.centerness) == (positives if name in ("FCOS", "FCOS in pixels", "ATSS") else 0)
    if not name.startswith("FCOS"):
        overlap = bbox_overlaps(data.priors[:positives], data.boxes, is_aligned=True)
        assert float(overlap.min()) > 0.05


@pytest.mark.parametrize("name", ["FCOS", "Faster R-CNN"])
def test_patches_of_training_and_of_scenes_are_the_same_numbers(name: str, scenes: dict[str, CocoSource]) -> None:
    """Samples of an image found among the inputs of the same image as a scene."""
    model, dataset = made(name)
    data, mean, deviation = extraction.training(model, dataset, 1, seed=0)
    (group,) = extraction.scenes(model, torch.utils.data.Subset(dataset, [0]), 1, mean, deviation)
    rows = torch.cat([assigned.patches(level) for level in group.maps])
    nearest = torch.cdist(data.x.double(), rows.double()).amin(1)
    share = float((nearest < 1e-3).double().mean())
    assert share == 1 if name == "FCOS" else share > 0.3  # the sampler adds the objects' own boxes to the proposals


def test_an_unknown_head_and_images_without_samples_are_named(scenes: dict[str, CocoSource]) -> None:
    model, dataset = made("FCOS")
    empty = [{**item, "data_samples": item["data_samples"].clone()} for item in (dataset[0],)]
    empty[0]["data_samples"].gt_instances = empty[0]["data_samples"].gt_instances[:0]
    with pytest.raises(InputError, match="found no positive sample in 1 training images; give it more images"):
        extraction.training(model, empty, 1, seed=0)
    model.bbox_head = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match="does not know the head Linear; known: FCOSHead, ATSSHead, RetinaHead"):
        extraction.check(model)


def test_evenly_spaced_images_are_evaluated_where_there_are_more_than_asked_for(scenes: dict[str, CocoSource]) -> None:
    model, dataset = made("FCOS")
    mean, deviation = torch.zeros(32), torch.ones(32)
    (some,) = extraction.scenes(model, dataset, 4, mean, deviation)
    (every,) = extraction.scenes(model, dataset, 1000, mean, deviation)
    assert some.image.tolist() == every.image[[0, 10, 20, 30]].tolist()


def test_features_that_this_machine_cannot_hold_are_refused_in_one_line(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, dataset = made("FCOS")
    monkeypatch.setattr(extraction, "machine_memory", lambda: 1024)
    with pytest.raises(InputError, match="samples of 40 training images need .* lower images in the rung's task"):
        extraction.training(model, dataset, 40, seed=0)
    with pytest.raises(InputError, match="features of 40 images to evaluate on need .* lower evaluate_images"):
        extraction.scenes(model, dataset, 500, torch.zeros(32), torch.ones(32))


def test_a_two_stage_head_that_classifies_by_sigmoid_is_refused(scenes: dict[str, CocoSource]) -> None:
    model, _ = made("Faster R-CNN")
    model.roi_head.bbox_head.loss_cls.use_sigmoid = True
    with pytest.raises(InputError, match="takes two-stage heads that classify by softmax"):
        extraction.check(model)
