"""What is known of a whole training before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from detectors import foreseen
from detectors.evaluator import DetectorEvaluator
from detectors.training.config import load
from primitives.errors import InputError

DATA = {"type": "digits", "train": 40, "val": 8, "test": 8}


def test_an_iteration_is_a_batch_of_the_images_of_an_epoch(scenes: dict[str, Any]) -> None:
    options = {"train_cfg.max_epochs": 3, "train_dataloader.batch_size": 16}
    assert scenes["train"].count == 40
    assert foreseen.length("tiny_fcos", DATA, options) == (9, 16)


def test_data_that_an_epoch_goes_through_several_times_count_as_often(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [{}, {}, {}]}')
    config = load("tiny_fcos", {"train_dataloader.batch_size": 1})
    config.train_cfg = {"max_epochs": 5}
    for file, iterations in ((str(tmp_path / "a.json"), 45), ("VOC2007/train.txt", None)):
        inner = {"type": "CocoDataset", "ann_file": file}
        twice = {"type": "RepeatDataset", "times": 2, "dataset": inner}
        config.train_dataloader.dataset = {"type": "ConcatDataset", "datasets": [twice, inner]}
        assert foreseen._length(config) == (iterations, 1)


@pytest.mark.parametrize(
    ("detector", "box"), [("tiny_fcos", 1), ("tiny_atss", 2), ("tiny_retinanet", 2), ("tiny_faster_rcnn", 10)]
)
def test_the_scale_of_a_detector_is_that_of_its_own_loss_or_of_an_iou_loss_in_its_place(
    detector: str, box: float
) -> None:
    assert foreseen.scales(detector) == {"loss_cls": 1, "loss_bbox": box}
    changed = foreseen.scales(detector, {"model.bbox_head.loss_cls.loss_weight": 3})
    assert changed["loss_cls"] == (3 if "faster" not in detector else 1)


def test_a_config_with_exported_losses_has_no_scale_for_others() -> None:
    with pytest.raises(InputError, match="an exported loss, whose weight says nothing of other losses"):
        foreseen.scales("results/flagship/export/mmdet/config.py")


@pytest.mark.usefixtures("scenes")
@pytest.mark.parametrize(
    ("slots", "given", "message"),
    [
        ({"loss_cls": "softmax"}, {}, "FCOSHead classifies by sigmoid, so loss_cls needs grammar 'sigmoid'"),
        ({}, {"backbone": "none.pth"}, "no checkpoint at 'none.pth'"),
        ({}, {"backbone": "other.pth"}, "--backbone other.pth lacks"),
        ({}, {"cfg_options": {"load_from": "none.pth"}}, "no checkpoint at 'none.pth'"),
        ({}, {"cfg_options": {"train_cfg": {"_delete_": True, "type": "Mine"}}}, "a training of it has no length"),
        ({}, {"cfg_options": {"model.neck.type": "NoNeck"}}, "mmengine cannot build it"),
    ],
)
def test_what_could_not_begin_is_refused(
    slots: dict[str, str], given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = str(Path("configs/detectors/tiny_fcos.py").resolve())
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, "other.pth")
    foreseen.check(detector, {"loss_cls": "sigmoid", "loss_bbox": "box"}, centerness_target="iou", data=DATA)
    with pytest.raises(InputError) as caught:
        foreseen.check(detector, slots, data=DATA, **given)
    assert message in str(caught.value)


@pytest.mark.usefixtures("scenes")
def test_a_searchs_own_detector_is_asked_as_it_was_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = DetectorEvaluator("tiny_fcos", DATA, size="small")
    before = evaluator.config.to_dict()
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, "other.pth")
    foreseen.check_own(evaluator, "scratch", {"train_dataloader.num_workers": 0})
    with pytest.raises(InputError, match=r"--backbone other\.pth lacks"):
        foreseen.check_own(evaluator, "other.pth", {})
    assert evaluator.config.to_dict() == before
