import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from detectors.data.coco import CocoSource, coco_source, one_image_per_class, resized
from detectors.data.description import Digits
from detectors.data.digits import digit_scenes
from primitives.errors import InputError

SMALL = {"train": 30, "val": 6, "test": 9}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(source: CocoSource) -> dict:
    return json.loads(source.annotations.read_text())


def test_verification_set_shows_every_class_once() -> None:
    train = digit_scenes(Digits(**SMALL))["train"]
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


def test_images_made_smaller_keep_the_classes_that_all_splits_have(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "beast"}, {"id": 7, "name": "cat", "supercategory": "beast"}]
    source = coco_source(*write(tmp_path, categories=categories))
    assert source.classes == ("beast", "cat")
    one = json.loads(source.annotations.read_text())
    cat = next(entry["id"] for entry in one["categories"] if entry["name"] == "cat")
    one["annotations"] = [entry for entry in one["annotations"] if entry["category_id"] == cat]
    assert one["annotations"]  # and none of the category above
    part = tmp_path / "part.json"
    part.write_text(json.dumps(one))
    assert resized(replace(source, annotations=part), 16).classes == ("beast", "cat")


def test_only_images_that_are_longer_are_made_smaller_and_the_others_linked_to(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    Image.new("RGB", (8, 6)).save(images / "a.png")
    data = json.loads(file.read_text())
    data["images"][0] |= {"width": 8, "height": 6}
    data["annotations"][0] |= {"bbox": [1, 1, 5, 4]}
    file.write_text(json.dumps(data))
    small = resized(coco_source(file, images), 16)
    first, second = content(small)["images"]
    assert ((first["width"], first["height"]), (second["width"], second["height"])) == ((8, 6), (16, 8))
    assert (small.images / first["file_name"]).resolve() == (images / "a.png").resolve()
    assert not (small.images / second["file_name"]).is_symlink()


def test_an_image_of_another_size_than_its_file_says_is_not_made_smaller(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    source = coco_source(file, images)
    Image.new("RGB", (10, 20)).save(images / "a.png")  # after it was looked at
    with pytest.raises(InputError, match="says 20 x 10 of a.png, the image is read as 10 x 20"):
        resized(source, 16)


def test_images_whose_names_are_no_text_are_made_smaller(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    (images / "a.png").rename(images / "\udcff.png")
    data = json.loads(file.read_text())
    data["images"][0]["file_name"] = "\udcff.png"
    file.write_text(json.dumps(data))
    assert [image["width"] for image in content(resized(coco_source(file, images), 10))["images"]] == [10, 10]


def test_a_file_is_read_once_and_its_images_are_looked_up_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, images = write(tmp_path)
    first = coco_source(file, images)
    verify = one_image_per_class(first)
    with monkeypatch.context() as patch:
        patch.setattr("detectors.data.coco.read", lambda _: pytest.fail("read again"))
        assert coco_source(file, images) == first
        assert one_image_per_class(first) == verify
        (images / "a.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images are not in .*, first 'a.png'"):
            coco_source(file, images)
    Image.new("L", (20, 10)).save(images / "a.png")
    write(tmp_path, categories=[{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}])
    assert coco_source(file, images).classes == ("three", "seven")


def test_images_of_another_size_than_the_file_says_are_refused_with_the_count_of_problems(tmp_path: Path) -> None:
    file, images = write(tmp_path)
    for name in ("a.png", "ü.png"):
        Image.new("L", (10, 20)).save(images / name)
    with pytest.raises(InputError, match=r"reads 10 x 20: .* \(1 more such problems: autoloss data check .* --images"):
        coco_source(file, images)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InputError, match=r"cannot keep prepared data in .*cache \(\$AUTOLOSS_CACHE\): .*Not a directory"
    ):
        coco_source(*write(tmp_path))


def test_what_is_prepared_keeps_outlines_names_and_other_keys(tmp_path: Path) -> None:
    outline = {"id": 1, "image_id": 9, "category_id": 7, "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 6, 1, 6, 6]]}
    source = coco_source(*write(tmp_path, annotations=[outline]))
    assert content(source)["annotations"] == [{**outline, "area": 25, "iscrowd": 0}]
    assert [image["file_name"] for image in content(source)["images"]] == ["a.png", "ü.png"]
    assert source.bare == ("drei",)
    light = json.loads(source.boxes.read_text())
    assert source.boxes != source.annotations
    assert [entry["bbox"] for entry in light["annotations"]] == [outline["bbox"]]
    assert "segmentation" not in light["annotations"][0]
    assert light["images"] == content(source)["images"]
    bare = coco_source(*write(tmp_path))
    assert bare.boxes == bare.annotations


def test_verification_sets_of_several_images_per_class_hold_those_of_one(tmp_path: Path) -> None:
    train = digit_scenes(Digits(**SMALL))["train"]
    more = one_image_per_class(train, count=2)
    assert 10 < more.count <= 20
    shown = [entry["category_id"] for entry in content(more)["annotations"]]
    assert all(shown.count(digit) >= 2 for digit in range(10))


def test_boxes_that_are_ignored_choose_no_image_for_verification(tmp_path: Path) -> None:
    entries = [
        {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 1, 5, 5]},
        {"id": 2, "image_id": 9, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 1},
        {"id": 3, "image_id": 9, "category_id": 3, "bbox": [2, 1, 5, 5], "ignore": 1},
    ]
    verify = one_image_per_class(coco_source(*write(tmp_path, annotations=entries)))
    assert [image["file_name"] for image in content(verify)["images"]] == ["a.png"]
    assert verify.bare == ("drei",)


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
    verify = one_image_per_class(coco)
    assert len(coco.bare) == 31  # 49 of the 80 classes have boxes
    shown = {entry["category_id"] for entry in content(verify)["annotations"] if not entry["iscrowd"]}
    assert len(shown) == 49
    assert verify.count == len({image["id"] for image in content(verify)["images"]})
