import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detectors.data.check import checked
from primitives.errors import InputError


def write(folder: Path, boxes: list[list[float]]) -> tuple[Path, Path]:
    Image.new("RGB", (300, 200)).save(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 300, "height": 200}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": k, "image_id": 1, "category_id": 1, "bbox": box} for k, box in enumerate(boxes)],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json", folder


def test_sizes_are_those_of_coco_and_every_box_is_in_the_picture(tmp_path: Path) -> None:
    boxes: list[list[float]] = [[0, 0, 31, 33], [0, 0, 32, 32], [0, 0, 96, 96], [0, 0, 200, 50], [0, 0, 300, 200]]
    found: dict[str, Any] = checked(*write(tmp_path, boxes))
    assert found["sizes"] == {"small": 1, "medium": 1, "large": 3}
    assert found["quantiles"]["width"]["0.5"] == 96
    assert sum(found["histogram"]["side"]) == sum(map(sum, found["histogram"]["width by height"])) == 5
    assert found["classes"] == [{"name": "cat", "boxes": 5, "images": 1}, {"name": "dog", "boxes": 0, "images": 0}]
    assert [problem["name"] for problem in found["problems"]] == ["class without boxes"]
    assert found["usable"]
    json.dumps(found)


def test_data_without_a_box_is_described_and_cannot_be_used(tmp_path: Path) -> None:
    found = checked(*write(tmp_path, []))
    assert not found["usable"]
    assert found["sizes"] == {"small": 0, "medium": 0, "large": 0}
    assert {problem["name"] for problem in found["problems"] if problem["stops"]} == {"no box"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    file, _ = write(tmp_path, [[0, 0, 5, 5]])
    with pytest.raises(InputError, match="no image folder at"):
        checked(file, tmp_path / "none")


def test_real_data_can_be_used(data: Path) -> None:
    found = checked(
        data / "tiny_coco/annotations/instances_train2017.json", data / "tiny_coco/train2017", read_all=True
    )
    assert found["usable"]
    assert (found["images"], found["opened"], found["crowd"]) == (50, 50, 5)
    assert {row["name"]: row["count"] for row in found["problems"]}["class without boxes"] == 31
