import json
from pathlib import Path

import pytest
from PIL import Image

from detectors.datasets import CocoSource, coco_source, one_image_per_class
from detectors.digits import digit_scenes
from primitives.errors import InputError

SMALL = {"train": 30, "val": 6, "test": 9}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(source: CocoSource) -> dict:
    return json.loads(source.annotations.read_text())


def test_verification_set_shows_every_class_once() -> None:
    train = digit_scenes(SMALL)["train"]
    verify = one_image_per_class(train)
    assert verify.count == 10
    assert {entry["category_id"] for entry in content(verify)["annotations"]} == set(range(10))
    assert one_image_per_class(train) == verify


def write(folder: Path, **changes: object) -> tuple[Path, Path]:
    """A COCO data set of two images, categories 3 and 7."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for name in ("a.png", "ü.png"):
        Image.new("L", (20, 10)).save(images / name)
    data = {
        "images": [{"id": k, "file_name": name, "width": 20, "height": 10} for k, name in ((5, "a.png"), (9, "ü.png"))],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 3, "bbox": [2, 2, 6, 4], "area": 24, "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 3, "bbox": [4, 4, 0, 4]},
        ],
        "categories": [{"id": 7, "name": "sieben"}, {"id": 3, "name": "drei"}],
        **changes,
    }
    file = folder / "annotations.json"
    file.write_text(json.dumps(data))
    return file, images


def test_classes_come_from_the_file_and_ids_may_have_gaps(tmp_path: Path) -> None:
    source = coco_source(*write(tmp_path))
    assert source.classes == ("drei", "sieben")
    assert source.count == 2


def test_empty_boxes_are_left_out_with_a_count(tmp_path: Path) -> None:
    source = coco_source(*write(tmp_path))
    assert source.left_out == 1
    assert len(content(source)["annotations"]) == 2


def test_boxes_outside_their_image_are_left_out_and_an_area_of_0_is_mended(tmp_path: Path) -> None:
    entries = [
        {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 1, 5, 5], "area": 0},
        {"id": 2, "image_id": 5, "category_id": 7, "bbox": [20, 1, 5, 5]},
    ]
    source = coco_source(*write(tmp_path, annotations=entries))
    assert source.left_out == 1
    assert [entry["area"] for entry in content(source)["annotations"]] == [25]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"annotations": [{"id": 4, "image_id": 5, "category_id": 8, "bbox": [0, 0, 2, 2]}]},
            "annotation 4 has unknown category 8; known: 3 drei, 7 sieben",
        ),
        (
            {"annotations": [{"id": 4, "image_id": 1, "category_id": 7, "bbox": [0, 0, 2, 2]}]},
            "annotation 4 has image id 1",
        ),
        ({"annotations": [{"id": 4, "image_id": 5, "category_id": 7, "bbox": [0, 0]}]}, r"annotation 4 needs a bbox"),
        (
            {"images": [{"id": k, "file_name": n, "width": 20, "height": 10} for k, n in ((5, "a.png"), (9, "b.png"))]},
            "1 of 2 images are not in .*first 'b.png'",
        ),
        ({"images": [{"id": 1, "file_name": "a.png"}]}, "an entry of 'images' has no 'width'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two entries of 'categories' have id 1"),
        ({"categories": None}, "not COCO JSON, a list 'categories' is missing"),
        ({"images": []}, "'images' is empty"),
        ({"images": [3]}, "an entry of 'images' must be an object, got 3"),
        (
            {"annotations": [{"id": 4, "image_id": 5, "category_id": 7, "bbox": [0, 0, float("nan"), 2]}]},
            "annotation 4 needs a bbox",
        ),
        (
            {"annotations": [{"id": 4, "image_id": 5, "category_id": 7, "bbox": [0, 0, 0, 2]}]},
            "no box among 1 annotations",
        ),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        coco_source(*write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    with pytest.raises(InputError, match="no annotation file at"):
        coco_source(tmp_path / "none.json", images)
    with pytest.raises(InputError, match="no image folder at"):
        coco_source(file, tmp_path / "none")
    file.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        coco_source(file, images)


def test_real_data_with_empty_and_crowd_boxes_loads(data: Path) -> None:
    cells = coco_source(data / "bccd/train.json", data / "bccd/images")
    assert (cells.count, cells.classes) == (205, ("RBC", "WBC", "Platelets"))
    assert len(content(cells)["annotations"]) == 2804
    coco = coco_source(data / "tiny_coco/annotations/instances_train2017.json", data / "tiny_coco/train2017")
    assert len(coco.classes) == 80
    assert any(entry["iscrowd"] for entry in content(coco)["annotations"])
    assert one_image_per_class(cells).count == 3
