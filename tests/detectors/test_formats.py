"""Blood cells as people may have them: the same boxes, classes and score in every format."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoloss.commands.data import described
from detectors.data.convert.layouts import format_of, parts
from detectors.data.splits import say, sources
from detectors.evaluator import DetectorEvaluator
from primitives.errors import InputError
from tests.helpers.formats import part_of, permuted, write_coco, write_voc, write_yolo

ORDER = ["RBC", "WBC", "Platelets"]
COUNTS = {"train": 10, "val": 5, "test": 4}
Writer = Callable[[Path, dict[str, Any], Path], Path]
FORMATS: dict[str, tuple[str, Writer]] = {
    "COCO": ("coco", write_coco),
    "COCO of Roboflow": ("coco", lambda root, splits, images: write_coco(root, splits, images, roboflow=True)),
    "COCO, other ids": (
        "coco",
        lambda root, splits, images: write_coco(
            root, {split: permuted(one, ["Platelets", "RBC", "WBC"]) for split, one in splits.items()}, images
        ),
    ),
    "COCO, other ids in val": (
        "coco",
        lambda root, splits, images: write_coco(
            root, {**splits, "val": permuted(splits["val"], ["WBC", "Platelets", "RBC"])}, images
        ),
    ),
    "YOLO": ("yolo", write_yolo),
    "YOLO of Roboflow": ("yolo", lambda root, splits, images: write_yolo(root, splits, images, roboflow=True)),
    "VOC beside the images": ("voc", write_voc),
    "VOC of a devkit": ("voc", lambda root, splits, images: write_voc(root, splits, images, devkit=True)),
}


@pytest.fixture
def cells(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return {split: part_of(data / "bccd" / f"{split}.json", count) for split, count in COUNTS.items()}


def boxes(source: Any) -> list[tuple[str, str, tuple[float, ...]]]:
    """File, class and box of every object, in order."""
    content = json.loads(source.annotations.read_text())
    files = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    return [(files[e["image_id"]], names[e["category_id"]], tuple(e["bbox"])) for e in content["annotations"]]


@pytest.mark.parametrize("name", FORMATS)
def test_blood_cells_are_recognised_with_their_splits_boxes_and_classes(
    name: str, cells: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    kind, write = FORMATS[name]
    root = write(tmp_path / "cells", cells, data / "bccd/images")
    assert format_of(root) == kind
    found = sources({**(described(root, None, None, None, None, None) or {}), "classes": ORDER})
    for split, content in cells.items():
        assert found[split].classes == tuple(ORDER)
        files = {image["id"]: image["file_name"] for image in content["images"]}
        names = {category["id"]: category["name"] for category in content["categories"]}
        wanted = [(files[e["image_id"]], names[e["category_id"]], tuple(e["bbox"])) for e in content["annotations"]]
        assert sorted(boxes(found[split])) == sorted(wanted)


def test_blood_cells_have_the_same_score_to_the_last_bit_in_every_format(
    cells: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    ordered = {split: {**content, "annotations": _by_image(content)} for split, content in cells.items()}
    task = {"kind": "train", "iterations": 12, "train_on": "train", "evaluate_on": "val"}
    scores = {}
    for name, (_, write) in FORMATS.items():
        root = write(tmp_path / name, ordered, data / "bccd/images")
        described_ = {**(described(root, None, None, None, None, None) or {}), "classes": ORDER, "longest": 96}
        found = DetectorEvaluator("configs/detectors/tiny_fcos.py", described_, batch_size=2).evaluate({}, task, 3)
        scores[name] = (found["loss"], found["score"], found["AP of RBC"])
    assert len(set(scores.values())) == 1, scores


def _by_image(content: Any) -> list[Any]:
    place = {image["id"]: number for number, image in enumerate(content["images"])}
    return sorted(content["annotations"], key=lambda entry: place[entry["image_id"]])


def test_a_class_that_training_lacks_is_refused_and_one_that_val_lacks_is_said(
    cells: dict[str, Any], data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = data / "bccd/images"
    val = cells["val"]
    (platelets,) = (category["id"] for category in val["categories"] if category["name"] == "Platelets")
    fewer = {
        **val,
        "categories": [category for category in val["categories"] if category["id"] != platelets],
        "annotations": [entry for entry in val["annotations"] if entry["category_id"] != platelets],
    }
    found = sources(_of(write_coco(tmp_path / "fewer", {**cells, "val": fewer}, images)))
    assert found["val"].classes == found["train"].classes == tuple(ORDER)
    with caplog.at_level(logging.WARNING):
        say(found)
    assert "data.val: no box of 1 of the 3 classes, first 'Platelets': mAP is over the others" in caplog.text
    with pytest.raises(InputError, match=r"data\.val has boxes of class 'Platelets', which data\.train lacks"):
        sources(_of(write_coco(tmp_path / "more", {**cells, "train": _without(cells["train"])}, images)))


def _without(content: Any) -> Any:
    (platelets,) = (category["id"] for category in content["categories"] if category["name"] == "Platelets")
    return {
        **content,
        "categories": [category for category in content["categories"] if category["id"] != platelets],
        "annotations": [entry for entry in content["annotations"] if entry["category_id"] != platelets],
    }


def _of(root: Path) -> dict[str, Any]:
    return {"type": "coco", **parts(root)}


def test_a_name_of_another_spelling_is_refused_with_the_one_that_was_meant(
    cells: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    val = {**cells["val"], "categories": [{**one, "name": one["name"].lower()} for one in cells["val"]["categories"]]}
    root = write_coco(tmp_path / "cells", {**cells, "val": val}, data / "bccd/images")
    with pytest.raises(InputError, match=r"data\.val has class 'rbc', which data\.train lacks; did you mean 'RBC'\?"):
        sources(_of(root))


def test_a_super_category_without_boxes_is_left_out_with_a_word(
    cells: dict[str, Any], data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As Roboflow writes it: category 0, which the others name as theirs."""
    exported = {
        split: {
            **content,
            "categories": [
                {"id": 0, "name": "cells", "supercategory": "none"},
                *({**category, "supercategory": "cells"} for category in content["categories"]),
            ],
        }
        for split, content in cells.items()
    }
    root = write_coco(tmp_path / "cells", exported, data / "bccd/images", roboflow=True)
    with caplog.at_level(logging.WARNING):
        found = sources(_of(root))
    assert found["train"].classes == found["val"].classes == tuple(ORDER)
    assert "super-category, left out: no box is of 'cells'" in caplog.text
