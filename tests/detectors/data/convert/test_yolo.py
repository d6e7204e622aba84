"""YOLO's data sets, in the layouts that its tools write."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detectors.data.annotations import inspect
from detectors.data.convert.layouts import parts
from detectors.data.convert.yolo import splits, yolo
from detectors.data.splits import sources
from primitives.errors import InputError


def layout(folder: Path, labels: dict[str, str], description: str = "", split: str = "train") -> Path:
    """images/SPLIT and labels/SPLIT: images of 200 x 100."""
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for name, text in labels.items():
        Image.new("RGB", (200, 100)).save(folder / "images" / split / f"{name}.JPG")
        (folder / "labels" / split / f"{name}.txt").write_text(text)
    if description:
        (folder / "data.yaml").write_text(description)
    return folder


def test_boxes_and_outlines_become_boxes_in_pixels(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.2 0.4\n\n1 0.1 0.1 0.3 0.1 0.3 0.5\n"
    folder = layout(tmp_path, {"a": text}, "path: /far/away\ntrain: images/train\nnames: {0: cat, 1: dog}\n")
    made = yolo(folder)
    assert made["images"] == [{"id": 1, "file_name": "images/train/a.JPG", "width": 200, "height": 100}]
    assert [entry["bbox"] for entry in made["annotations"]] == [
        pytest.approx([80, 30, 40, 40]),
        pytest.approx([20, 10, 40, 40]),
    ]
    assert [category["name"] for category in made["categories"]] == ["cat", "dog"]
    assert not any(problem.stops for problem in inspect(made).findings.problems())
    assert yolo(folder / "data.yaml") == yolo(folder, "train")


def test_splits_are_those_of_the_description_or_of_the_folders(tmp_path: Path) -> None:
    layout(tmp_path, {"a": "0 0.5 0.5 0.2 0.4"})
    layout(tmp_path, {"b": "0 0.5 0.5 0.2 0.4"}, split="val")
    (tmp_path / "classes.txt").write_text("cat\n")
    for description in ("", "train: ../images/train\nval: images/val\nnames: [cat]\n"):
        if description:
            (tmp_path / "data.yaml").write_text(description)
        assert [image["file_name"] for image in yolo(tmp_path, "val")["images"]] == ["images/val/b.JPG"]
        assert len(yolo(tmp_path)["images"]) == 2
    with pytest.raises(InputError, match="its description has no test; choices: train, val"):
        yolo(tmp_path, "test")


def test_a_flat_folder_as_labelimg_writes_it_is_read_and_images_are_turned_as_their_exif_tag_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (200, 100)).save(tmp_path / "b.jpg")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "classes.txt").write_text("Cat\ncat\n")
    with caplog.at_level(logging.WARNING):
        made = yolo(tmp_path)
    assert made["annotations"][0]["bbox"] == [0, 0, 100, 200]
    assert "image without a label file, taken to show no object: 1, first: 'b.jpg'" in caplog.text
    assert "'Cat' and 'cat' are two classes" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "a.txt, line 1: class 2, and there are 1, from 0"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0 0.5 0.5 0.1", "needs class, x, y, width and height"),
        ("0 0.5 0.5 0.1 0.1 0.9", "needs class, x, y, width and height"),
        ("0 0.5 nan 0.1 0.1", "needs class, x, y, width and height"),
        ("inf 0.5 0.5 0.1 0.1", "needs class, x, y, width and height"),
        ("0 120 80 30 40", "120 is no share of the image, from 0 to 1"),
        ("0 0.5 0.5 -0.1 0.1", "-0.1 is no share of the image"),
        ("cat 0.5 \x1b[31m", r"got 'cat 0.5 \\+x1b\[31m'"),
        ("", "1 images and no label of an object"),
    ],
)
def test_labels_that_are_none_are_one_line_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        yolo(layout(tmp_path, {"a": text}, "names: [cat]\n"))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("names: [cat, cat]", "two classes are called 'cat'"),
        ("names: 3", "names must be a list of texts, got 3"),
        ("names: {0: cat, 2: dog}", "names must be a list of texts"),
        ("names: ['']", "names must be a list of texts"),
        ("names: [helmet, no]", "read as yes or no; put such names in quotes"),
        ("nc: 1", r"no names of classes; needs data.yaml with names, classes.txt, or --classes"),
        ("- 3", "not the description of a YOLO data set"),
        ("a: [", "not YAML"),
        ("names: !!python/object/apply:os.system ['true']", "not YAML"),
        ("names: [cat]\ntrain: images/none", "names 'images/none', which is no folder"),
        ("names: [cat]\ntrain: 3", "a split must be a folder of images, got 3"),
        ("names: [cat]\ntrain: ..", "which lies outside of it"),
    ],
)
def test_descriptions_that_are_none_are_one_line(tmp_path: Path, description: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        yolo(layout(tmp_path / "set", {"a": "0 0.5 0.5 0.1 0.1"}, description))
    assert len(str(caught.value).splitlines()) == 1


def test_a_split_can_be_a_list_of_images(tmp_path: Path) -> None:
    folder = layout(tmp_path / "set", {"a": "0 0.5 0.5 0.2 0.4", "b": "0 0.5 0.5 0.2 0.4"})
    (folder / "data.yaml").write_text("names: [cat]\ntrain: train.txt\nval: val.txt\n")
    (folder / "train.txt").write_text("./images/train/a.JPG\n\n")
    assert splits(folder) == {"train": "train"}
    (folder / "val.txt").write_text("images/train/b.JPG\n")
    assert splits(folder) == {"train": "train", "val": "val"}
    for split, name in (("train", "a"), ("val", "b")):
        assert [image["file_name"] for image in yolo(folder, split)["images"]] == [f"images/train/{name}.JPG"]
    Image.new("RGB", (9, 9)).save(tmp_path / "c.png")
    for line, message in (
        ("none.png", "train.txt lists 'none.png', which is no file"),
        ("../c.png", "lies outside of"),
    ):
        (folder / "train.txt").write_text(line)
        with pytest.raises(InputError, match=message):
            yolo(folder, "train")


@settings(max_examples=60)
@given(
    st.binary(max_size=60)
    | st.sampled_from([b"names: [a]", b"names: [a]\ntrain: .", b"names: {0: a}\nval: 3", b"[", b"&a [*a]"]),
    st.binary(max_size=40) | st.just(b"0 0.5 0.5 0.2 0.2"),
)
def test_folders_of_any_bytes_are_data_or_one_line(description: bytes, label: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, {"AUTOLOSS_CACHE": f"{name}/cache"}):
        folder = layout(Path(name) / "set", {"a": ""})
        (folder / "data.yaml").write_bytes(description)
        (folder / "labels" / "train" / "a.txt").write_bytes(label)
        try:
            sources({"type": "coco", **parts(folder)})
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            str(error).encode()
