import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detectors.data.splits import described, located, say, sources
from primitives.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))


def part(folder: Path, count: int = 10, boxes: int = 10, reverse: bool = False) -> dict[str, str]:
    """A data set of `count` images, the first `boxes` of them with a box."""
    folder.mkdir()
    names = [f"{k}.png" for k in range(count)]
    for name in names:
        Image.new("RGB", (20, 10)).save(folder / name)
    content = {
        "images": [
            {"id": k, "file_name": name, "width": 20, "height": 10}
            for k, name in (list(enumerate(names))[::-1] if reverse else enumerate(names))
        ],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [{"id": k, "image_id": k, "category_id": 7, "bbox": [1, 1, 9, 5]} for k in range(boxes)],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return {"annotations": str(folder / "a.json"), "images": str(folder)}


def files(found: dict[str, Any], split: str) -> set[str]:
    return {image["file_name"] for image in json.loads(found[split].annotations.read_text())["images"]}


def test_a_dataset_config_is_read_as_its_mapping(tmp_path: Path) -> None:
    data = {"type": "coco", "train": part(tmp_path / "one"), "val": part(tmp_path / "two", 2, 2)}
    config = tmp_path / "mine.py"
    config.write_text(f"data = {data!r}")
    assert described(config) == data
    assert sources(str(config)) == sources(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict()", "one section, data = dict.*; found: model"),
        ("data = 3", "a dataset config has one section"),
        ("data = (", "not a config that mmengine can read"),
    ],
)
def test_a_dataset_config_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=message):
        sources(tmp_path / "mine.py")
    with pytest.raises(InputError, match=r"no dataset config at .*; the ones that come with the toolkit"):
        sources("none.py")


def test_without_val_and_test_a_fifth_each_is_held_out_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = sources({"type": "coco", "train": part(tmp_path / "one")})
    assert {split: found[split].count for split in ("train", "val", "test")} == {"train": 6, "val": 2, "test": 2}
    assert files(found, "train") | files(found, "val") | files(found, "test") == {f"{k}.png" for k in range(10)}
    with caplog.at_level(logging.WARNING):
        say(found)
    assert "data.val: not given; 2 of the 10 images of data.train are held out for it" in caplog.text
    assert "data.test: not given" in caplog.text


def test_what_is_held_out_does_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    one = sources({"type": "coco", "train": part(tmp_path / "one")})
    other = sources({"type": "coco", "train": part(tmp_path / "two", reverse=True)})
    assert all(files(one, split) == files(other, split) for split in ("train", "val", "test"))


def test_a_test_split_that_is_given_is_kept_and_one_beside_val_is_not_made_up(tmp_path: Path) -> None:
    train, other = part(tmp_path / "one"), part(tmp_path / "two", 3, 3)
    held = sources({"type": "coco", "train": train, "test": other})
    assert (held["train"].count, held["val"].count, held["test"].count) == (8, 2, 3)
    assert sources({"type": "coco", "train": train, "val": other}).keys() == {"train", "val", "verify"}


def test_a_number_of_images_can_be_held_out(tmp_path: Path) -> None:
    train, other = part(tmp_path / "one"), part(tmp_path / "two", 3, 3)
    held = sources({"type": "coco", "train": train, "test": other, "hold_out": 3})
    assert (held["train"].count, held["val"].count, held["val"].held_out_of, held["test"].count) == (7, 3, 10, 3)
    assert not files(held, "train") & files(held, "val")
    both = sources({"type": "coco", "train": train, "hold_out": 3})
    assert (both["train"].count, both["val"].count, both["test"].count) == (4, 3, 3)
    assert files(both, "val") == files(held, "val")
    for count, message in ((0, "whole number of images from 1, got 0"), (5, "too few to hold out 5 for val and test")):
        with pytest.raises(InputError, match=message):
            sources({"type": "coco", "train": train, "hold_out": count})
    with pytest.raises(InputError, match="data.hold_out holds images out for val, and data.val is given"):
        sources({"type": "coco", "train": train, "val": other, "hold_out": 3})


def test_too_few_images_or_boxes_to_hold_out_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 images are too few to hold out a fifth for val and test; give data.val"):
        sources({"type": "coco", "train": part(tmp_path / "few", 4, 4)})
    with pytest.raises(InputError, match="no boxes among the images for .*; give data.val"):
        sources({"type": "coco", "train": part(tmp_path / "bare", 10, 1)})


@pytest.mark.parametrize("config", sorted(Path("configs/datasets").glob("*.py")), ids=lambda path: path.stem)
def test_the_dataset_configs_name_a_train_and_a_val_split_and_say_what_is_missing(config: Path) -> None:
    data = described(config)
    assert data["type"] == "coco"
    assert {"train", "val"} <= data.keys()
    text = config.read_text()
    assert all(Path(data[split]["images"]).parts[1] in text.split('"""')[1] for split in ("train", "val"))
    if not Path(data["train"]["annotations"]).is_file():
        with pytest.raises(InputError, match=f"no annotation file at '{data['train']['annotations']}'"):
            sources(config)


def test_classes_without_boxes_are_said_with_the_images_of_the_verification_set(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = str(data / "tiny_coco/annotations/instances_train2017.json")
    found = sources(
        {
            "type": "coco",
            "verify": 2,
            "train": {"annotations": annotations, "images": str(data / "tiny_coco/train2017")},
        }
    )
    with caplog.at_level(logging.WARNING):
        say(found)
    bare = len(found["train"].bare)
    assert bare > 31  # without the fifths that are held out
    assert f"data.train: {bare} of 80 classes have no boxes" in caplog.text
    assert f"by {found['verify'].count} images" in caplog.text


def test_messages_about_what_is_held_out_name_the_file_that_was_given(tmp_path: Path) -> None:
    for count, boxes, more in ((4, 4, {}), (10, 1, {}), (10, 10, {"hold_out": 9})):
        folder = tmp_path / f"{count} {boxes} {more}"
        train = part(folder, count, boxes)
        with pytest.raises(InputError, match=r"give data\.val") as caught:
            sources({"type": "coco", "train": train, **more})
        assert str(caught.value).startswith(train["annotations"])
        assert "cache" not in str(caught.value)


def test_every_split_knows_the_file_it_comes_from_and_the_same_bytes_elsewhere_know_theirs(tmp_path: Path) -> None:
    train = part(tmp_path / "one")
    other = tmp_path / "other.json"
    other.write_text(Path(train["annotations"]).read_text())
    for file in (train["annotations"], str(other)):
        for longest in ({}, {"longest": 16}):
            found = sources({"type": "coco", "train": {**train, "annotations": file}, **longest})
            assert {source.name for source in found.values()} == {file}


@pytest.mark.parametrize("value", [None, 3, True, float("nan"), [], {}, "", "a\0b", "x" * 5000, "\ud800.json"], ids=str)
@pytest.mark.parametrize("key", ["annotations", "images"])
def test_paths_that_are_none_are_one_line(tmp_path: Path, key: str, value: Any) -> None:
    train = {**part(tmp_path / "one"), key: value}
    with pytest.raises(InputError) as caught:
        sources({"type": "coco", "train": train})
    assert len(str(caught.value)) < 1000
    str(caught.value).encode()


def test_file_names_whose_bytes_are_no_text_are_split_like_others(tmp_path: Path) -> None:
    train = part(tmp_path / "one")
    file = Path(train["annotations"])
    content = json.loads(file.read_text())
    strange = "\udcff\u202e.png"
    (tmp_path / "one" / "3.png").rename(tmp_path / "one" / strange)
    content["images"][3]["file_name"] = strange
    file.write_text(json.dumps(content))
    found = sources({"type": "coco", "train": train})
    assert strange in set.union(*(files(found, split) for split in ("train", "val", "test")))


def test_names_that_differ_by_case_are_said_before_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = part(tmp_path / "one")
    file = Path(train["annotations"])
    content = json.loads(file.read_text())
    content["categories"].append({"id": 8, "name": "Cat"})
    file.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        say(sources({"type": "coco", "train": train}))
    assert "data.train: 'cat' and 'Cat' are two classes" in caplog.text


@pytest.mark.parametrize("key", [3, None, "", "a\nb", "\x1b[31m", "\ud800", "x" * 9000], ids=str)
def test_keys_of_a_description_that_are_unknown_are_one_short_line(tmp_path: Path, key: Any) -> None:
    for data in ({"type": "coco", "train": part(tmp_path / "one"), key: 1}, {"type": "digits", key: 1}, {"type": key}):
        with pytest.raises(InputError) as caught:
            sources(data)
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()


def test_paths_of_data_are_looked_for_beside_the_config_then_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside / "images", here / "images", here / "others"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / "train.json").touch()
    data = {"type": "coco", "train": {"annotations": "train.json", "images": "images"}, "hold_out": 1}
    found = located(data, [beside])
    assert found == {**data, "train": {"annotations": "train.json", "images": str(beside / "images")}}
    lacks = {"type": "coco", "train": data["train"], "val": {"annotations": "val.json", "images": "others"}}
    with pytest.raises(InputError, match=f"no annotations of data.val at 'val.json', neither beside .*{beside} nor in"):
        located(lacks, [beside])
    config = beside / "data.py"
    config.write_text(f"data = {data!r}")
    assert located("data.py", [beside]) == found
    assert described(config) == found
