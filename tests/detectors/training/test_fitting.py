from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detectors.evaluator import DetectorEvaluator
from primitives.errors import InputError
from tests.helpers.tiny import DIGITS

FCOS, RCNN = "configs/detectors/tiny_fcos.py", "configs/detectors/tiny_faster_rcnn.py"
TASK = {"kind": "train", "iterations": 2, "train_on": "train", "evaluate_on": "val"}
FROZEN = {"kind": "frozen", "pretrain": 2, "iterations": 2, "images": 8, "evaluate_on": "val"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))


def boxes_of(folder: Path, sides: list[int], image: tuple[int, int] = (1000, 500)) -> dict[str, Any]:
    """Images with boxes of some sides."""
    folder.mkdir()
    entries = []
    for k in range(8):
        Image.new("RGB", image).save(folder / f"{k}.png")
        entries += [{"image_id": k, "category_id": 1, "bbox": [20 * place, 9, s, s]} for place, s in enumerate(sides)]
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": image[0], "height": image[1]} for k in range(8)],
        "categories": [{"id": 1, "name": "piece"}],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(entries)],
    }
    (folder / "a.json").write_text(json.dumps(content))
    part = {"annotations": str(folder / "a.json"), "images": str(folder)}
    return {"type": "coco", "train": part, "val": part}


@pytest.mark.parametrize(
    ("side", "size", "pixels", "strides"),
    [
        (300, "small", 96, [8, 16]),  # large boxes: as small as the tiny detectors
        (80, "small", 224, [8, 16]),  # a chess piece on a large photo
        (30, "small", 320, [4, 8, 16]),  # at the limit, so a finer stride
        (30, "medium", 544, [8, 16]),
        (10, "medium", 800, [4, 8, 16]),
    ],
)
def test_image_size_and_strides_follow_from_the_boxes(
    side: int, size: str, pixels: int, strides: list[int], tmp_path: Path
) -> None:
    found = DetectorEvaluator(FCOS, boxes_of(tmp_path / "set", [side]), size=size)
    (scale,) = {step["scale"] for step in found.config.train_dataloader.dataset.pipeline if step["type"] == "Resize"}
    assert scale == (pixels, pixels)
    assert found.config.model.bbox_head.strides == strides
    assert found.describe()["size"].startswith(f"{size}: images at {pixels} px, strides {', '.join(map(str, strides))}")
    images = json.loads(found.sources["val"].annotations.read_text())["images"]
    assert max(image["width"] for image in images) == pixels


def test_what_is_chosen_is_said_and_what_a_person_sets_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = boxes_of(tmp_path / "set", [40, 80, 200])
    found = DetectorEvaluator(RCNN, data, size="small", cfg_options={"model.rpn_head.anchor_generator.scales": [7]})
    with caplog.at_level(logging.WARNING):
        found.prepare({}, [TASK])
    assert "size small: images at 320 px, strides 4, 8, 16" in caplog.text
    assert "for boxes of 13, 26 and 64 px at 10, 50 and 90 %" in caplog.text
    assert found.config.model.rpn_head.anchor_generator.scales == [7]


@pytest.mark.parametrize(("size", "sides"), [("small", [10, 24, 120]), ("small", [6, 7]), ("medium", [10, 24, 120])])
@pytest.mark.parametrize("detector", [FCOS, RCNN])
def test_fitted_detectors_train_and_give_frozen_features(
    detector: str, size: str, sides: list[int], tmp_path: Path
) -> None:
    data = boxes_of(tmp_path / "set", sides, image=(160, 128))
    found = DetectorEvaluator(detector, data, batch_size=2, size=size)
    found.prepare({"loss_bbox": "box"}, [TASK, FROZEN])
    assert 0 <= found.evaluate({}, TASK, 0)["score"] <= 1
    (heads,) = found.evaluate_many([{}], FROZEN | {"positives": 16, "negatives": 16}, 0)
    assert isinstance(heads, dict), heads


def test_full_is_the_detector_of_mmdetection(tmp_path: Path) -> None:
    for detector, head, rate in ((FCOS, "FCOSHead", 0.005), (RCNN, "Shared2FCBBoxHead", 0.01)):
        found = DetectorEvaluator(detector, DIGITS, size="full").config
        heads = found.model.get("roi_head", found.model)["bbox_head"]
        assert (found.model.backbone.depth, heads["type"]) == (50, head)
        assert found.optim_wrapper.optimizer.lr == pytest.approx(rate)
        scales = [step["scale"] for step in found.train_dataloader.dataset.pipeline if step["type"] == "Resize"]
        assert scales == [(1333, 800)]


@pytest.mark.parametrize("size", ["big", "", 3, True, [], "x" * 9000], ids=str)
def test_what_is_no_size_is_one_line(size: Any) -> None:
    with pytest.raises(InputError, match="unknown size .*; choices: small, medium, full") as caught:
        DetectorEvaluator(FCOS, DIGITS, size=size)
    assert len(str(caught.value)) < 300


def test_a_search_for_data_of_ones_own_says_what_to_give() -> None:
    with pytest.raises(InputError, match="this search is for your data: give --data PATH"):
        DetectorEvaluator(FCOS, None, size="small")


def test_a_detector_that_is_not_tiny_has_no_other_size() -> None:
    with pytest.raises(InputError, match="size is for the tiny detectors that come with the toolkit"):
        DetectorEvaluator("fcos_r50", DIGITS, size="small").sources  # noqa: B018


def test_a_detector_that_no_size_is_known_for_is_named() -> None:
    with pytest.raises(InputError, match="size is for detectors of type FCOS or FasterRCNN, this one is RetinaNet"):
        DetectorEvaluator("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", DIGITS, size="small").sources  # noqa: B018
