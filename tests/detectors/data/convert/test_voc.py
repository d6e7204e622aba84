"""Converters, on small trees laid out as VOC's and BDD100K's are."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detectors.data.annotations import inspect
from detectors.data.convert.bdd100k import bdd100k
from detectors.data.convert.layouts import parts, root_of
from detectors.data.convert.voc import VOC, splits, voc
from primitives.errors import InputError

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{x}</xmin><ymin>11</ymin><xmax>21</xmax><ymax>41.5</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"
)


def year(folder: Path, names: dict[str, list[tuple[str, int]]], **lists: list[str]) -> Path:
    """A year of the devkit: objects (class, difficult) by the name of the image."""
    (folder / "Annotations").mkdir(parents=True)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name, objects in names.items():
        inner = "".join(OBJECT.format(name=kind, difficult=difficult, x=6) for kind, difficult in objects)
        size = "<size><width>50</width><height>60</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{size}{inner}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    for split, listed in lists.items():
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(f"{name}  1" for name in listed) + "\n")
    return folder


def test_a_year_of_voc_becomes_coco_with_the_boxes_of_mmdetection(tmp_path: Path) -> None:
    folder = year(tmp_path / "VOC2007", {"000002": [("dog", 0), ("person", 1)], "000001": []})
    made = voc(folder, classes=VOC)
    assert [image["file_name"] for image in made["images"]] == ["JPEGImages/000001.jpg", "JPEGImages/000002.jpg"]
    assert made["images"][0] | {"file_name": ""} == {"id": 1, "file_name": "", "width": 50, "height": 60}
    dog, person = made["annotations"]
    assert dog["bbox"] == [5, 10, 15, 30.5]
    assert (dog["iscrowd"], person["iscrowd"]) == (0, 1)
    assert len(made["categories"]) == 20
    assert made["categories"][dog["category_id"] - 1]["name"] == "dog"
    assert not any(problem.stops for problem in inspect(made).findings.problems())


def test_a_split_of_several_years_is_joined(tmp_path: Path) -> None:
    year(tmp_path / "VOC2007", {"1": [("dog", 0)], "2": [("dog", 0)]}, trainval=["1"], test=["2"])
    year(tmp_path / "VOC2012", {"1": [("cat", 0)]}, trainval=["1"])
    made = voc(tmp_path, "trainval")
    assert [image["file_name"] for image in made["images"]] == ["VOC2007/JPEGImages/1.jpg", "VOC2012/JPEGImages/1.jpg"]
    assert [image["file_name"] for image in voc(tmp_path, "test")["images"]] == ["VOC2007/JPEGImages/2.jpg"]


def test_other_classes_than_voc_s_are_those_found(tmp_path: Path) -> None:
    made = voc(year(tmp_path / "cells", {"1": [("WBC", 0), ("RBC", 0)]}))
    assert [category["name"] for category in made["categories"]] == ["RBC", "WBC"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "1.xml: not XML"),
        ("<svg/>", "not an annotation of VOC: the first element is 'svg'"),
        ("<annotation/>", "1.xml: has no size of its image, and the image '1.jpg' cannot be read"),
        (
            '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>',
            "1.xml: declares entities",
        ),
    ],
)
def test_files_that_are_no_annotations_of_voc_are_named(tmp_path: Path, text: str, message: str) -> None:
    folder = year(tmp_path / "VOC2007", {"1": []})
    (folder / "Annotations" / "1.xml").write_text(text)
    with pytest.raises(InputError, match=message):
        voc(folder)


def test_folders_that_are_no_devkit_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to convert; needs Annotations/NAME.xml"):
        voc(tmp_path)
    folder = year(tmp_path / "VOC2007", {"1": []}, train=["1", "2"])
    with pytest.raises(InputError, match="the list ImageSets/Main/val.txt"):
        voc(folder, "val")
    with pytest.raises(InputError, match="cannot read .*2.xml: No such file"):
        voc(folder, "train")


def labels(folder: Path, content: Any) -> Path:
    (folder / "det.json").write_text(json.dumps(content))
    return folder / "det.json"


def label(category: str, **more: Any) -> dict[str, Any]:
    return {"category": category, "box2d": {"x1": 10.5, "y1": 20, "x2": 19.5, "y2": 49}, **more}


def test_labels_of_bdd100k_become_coco_with_ten_classes(tmp_path: Path) -> None:
    frames = [
        {"name": "a.jpg", "labels": [label("car"), label("person"), label("trailer"), {"category": "lane"}]},
        {"name": "b.jpg", "labels": None},
        {"name": "c.jpg"},
    ]
    made = bdd100k(labels(tmp_path, frames))
    names = {category["id"]: category["name"] for category in made["categories"]}
    assert len(names) == 10
    assert [(names[entry["category_id"]], entry["iscrowd"]) for entry in made["annotations"]] == [
        ("car", 0),
        ("pedestrian", 0),
        ("truck", 1),
    ]
    assert made["annotations"][0]["bbox"] == [10.5, 20, 10, 30]
    assert [image["file_name"] for image in made["images"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert bdd100k(labels(tmp_path, {"frames": frames})) == made


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "not labels of BDD100K: needs a list of frames"),
        ([{"labels": []}], "a frame must be an object with a name"),
        ([{"name": "a.jpg", "labels": [label("tree")]}], "'a.jpg' has unknown category 'tree'; known: pedestrian"),
        ([{"name": "a.jpg", "labels": [label("car", box2d={"x1": 1})]}], "needs x1, y1, x2, y2"),
    ],
)
def test_files_that_are_no_labels_of_bdd100k_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bdd100k(labels(tmp_path, content))


LABELIMG = (
    "<annotation><folder>x</folder><filename>{filename}</filename><path>C:\\Users\\me\\{filename}</path>{size}"
    "<object><name>{name}</name>{box}</object></annotation>"
)
BOX = "<bndbox><xmin>6</xmin><ymin>11</ymin><xmax>21</xmax><ymax>41.5</ymax></bndbox>"


def labelled(
    xml: Path, image: Path | None, filename: str = "", name: str = "dog", box: str = BOX, size: str = ""
) -> None:
    """An annotation as LabelImg writes it, and its image of 50 x 60."""
    xml.parent.mkdir(parents=True, exist_ok=True)
    xml.write_text(LABELIMG.format(filename=filename, name=name, box=box, size=size))
    if image is not None:
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 60)).save(image)


@pytest.mark.parametrize(
    ("xml", "image", "filename"),
    [
        ("Annotations/a.xml", "images/a.jpg", "a"),
        ("Annotations/a.xml", "images/a.jpg", "renamed.png"),
        ("Annotations/a.xml", "JPEGImages/a.PNG", "a.png"),
        ("a.xml", "a.JPG", "a.jpg"),
        ("a.xml", "a.JPG", ""),
        ("train/a.xml", "train/a.jpg", "C:\\pictures\\a.jpg"),
        ("train/Annotations/a.xml", "train/img/a.jpg", "a.jpg"),
        ("Annotations/one/a.xml", "JPEGImages/one/a.jpg", "a.jpg"),
        ("labels/a.xml", "images/other.jpg", "other.jpg"),
        ("Annotations/a.xml", "a.jpg", "../../../etc/a.jpg"),
    ],
)
def test_the_image_of_an_annotation_is_found_where_people_keep_it_and_gives_its_size(
    tmp_path: Path, xml: str, image: str, filename: str
) -> None:
    labelled(tmp_path / xml, tmp_path / image, filename)
    made = voc(tmp_path)
    assert made["images"] == [{"id": 1, "file_name": image, "width": 50, "height": 60}]
    assert made["annotations"][0]["iscrowd"] == 0
    zero = "<size><width>0</width><height>0</height></size>"
    labelled(tmp_path / xml, None, filename, size=zero)
    assert voc(tmp_path) == made


def test_images_that_are_not_there_or_called_otherwise_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = "<size><width>50</width><height>60</height></size>"
    labelled(tmp_path / "a.xml", tmp_path / "a.png", "b.png", size=size)
    labelled(tmp_path / "c.xml", None, "c.png", size=size)
    with caplog.at_level(logging.WARNING):
        made = voc(tmp_path)
    assert [image["file_name"] for image in made["images"]] == ["a.png", "c.png"]
    assert "image of another name than its annotation says: 1" in caplog.text
    assert "image that is not there: 1, first: " in caplog.text


def test_classes_are_those_of_all_annotations_of_the_folder_unless_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = year(tmp_path / "VOC2007", {"1": [("dog", 0)], "2": [("cat", 0)]}, train=["1"], val=["2"])
    with caplog.at_level(logging.WARNING):
        assert [row["name"] for row in voc(folder, "train")["categories"]] == ["cat", "dog"]
    assert "classes are the 2 found; --classes voc gives VOC's" in caplog.text
    assert [row["name"] for row in voc(folder, "val")["categories"]] == ["cat", "dog"]
    assert len(voc(folder, "val", VOC)["categories"]) == 20
    with pytest.raises(InputError, match="objects of class 'dog', which is none of the classes asked for: 'cat'"):
        voc(folder, classes=["cat"])


def test_names_that_differ_by_case_or_spaces_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, name in enumerate(("Raccoon", "raccoon", "traffic light", "Traffic_Light", "owl")):
        labelled(tmp_path / f"{number}.xml", tmp_path / f"{number}.jpg", name=name)
    with caplog.at_level(logging.WARNING):
        assert len(voc(tmp_path)["categories"]) == 5
    assert "class whose name is nearly another's: 2, first: 'Raccoon' and 'raccoon' are two classes" in caplog.text


def test_corners_in_the_wrong_order_are_swapped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = "<bndbox><xmin>21</xmin><ymin>41.5</ymin><xmax>6</xmax><ymax>11</ymax></bndbox>"
    labelled(tmp_path / "a.xml", tmp_path / "a.jpg", box=box)
    frames = [{"name": "a.jpg", "labels": [label("car", box2d={"x1": 19, "y1": 49, "x2": 10, "y2": 20})]}]
    with caplog.at_level(logging.WARNING):
        assert voc(tmp_path)["annotations"][0]["bbox"] == [5, 10, 15, 30.5]
        assert bdd100k(labels(tmp_path, frames))["annotations"][0]["bbox"] == [10, 20, 10, 30]
    assert caplog.text.count("box whose corners were swapped: 1") == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "a.xml: object 1 has no name"),
        ({"name": " \n "}, "a.xml: object 1 has no name"),
        ({"box": BOX.replace(">6<", ">nan<")}, "a.xml: bndbox/xmin must be a number of pixels, got 'nan'"),
        ({"box": BOX.replace(">6<", ">-inf<")}, "got '-inf'"),
        ({"box": BOX.replace(">6<", ">1e300<")}, "got '1e300'"),
        ({"box": BOX.replace(">6<", ">True<")}, "must be a number, got 'True'"),
        ({"box": ""}, "bndbox/xmin must be a number, got ''"),
        ({"size": "<size><width>-5</width><height>9</height></size>"}, "size/width must be a whole number of pixels"),
        ({"size": "<size><width>5.5</width><height>9</height></size>"}, "size/width must be a whole number of pixels"),
    ],
)
def test_objects_that_are_none_are_one_line_with_the_file(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    labelled(tmp_path / "a.xml", tmp_path / "a.jpg", **changes)
    with pytest.raises(InputError, match=message):
        voc(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300", "true", '"5"', "null", "[1]"])
def test_corners_of_bdd100k_that_are_no_numbers_are_one_line(tmp_path: Path, number: str) -> None:
    text = '[{"name": "a.jpg", "labels": [{"category": "car", "box2d": {"x1": %s, "y1": 1, "x2": 9, "y2": 9}}]}]'
    (tmp_path / "det.json").write_text(text % number)
    with pytest.raises(InputError, match=r"'a.jpg' has a box2d .*; needs x1, y1, x2, y2, numbers of pixels"):
        bdd100k(tmp_path / "det.json")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([{"name": "a.jpg"}, {"name": "a.jpg"}], "two frames are called 'a.jpg'"),
        ([{"name": "a.jpg", "labels": 3}], "'a.jpg' has labels that are no list: 3"),
        ([{"name": "a.jpg", "labels": [3]}], "'a.jpg' has a label that is no object: 3"),
        ([{"name": "\ud800"}], "a frame must be an object with a name"),
        ([{"name": "a.jpg", "labels": [{"category": "x" * 9000, "box2d": {}}]}], r"unknown category 'xx.*9,002 char"),
    ],
)
def test_frames_of_bdd100k_that_are_none_are_one_short_line(tmp_path: Path, frames: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        bdd100k(labels(tmp_path, frames))
    assert len(str(caught.value)) < 600


def test_the_folder_of_annotations_stands_for_that_around_it(tmp_path: Path) -> None:
    folder = year(tmp_path / "VOC2007", {"1": [("dog", 0)]})
    (folder / "JPEGImages").mkdir()
    Image.new("RGB", (50, 60)).save(folder / "JPEGImages" / "1.jpg")
    assert root_of(folder / "Annotations", "voc") == folder
    assert [*parts(folder / "Annotations")] == ["train"]


def test_names_of_a_list_may_hold_spaces(tmp_path: Path) -> None:
    folder = year(tmp_path / "VOC2007", {"my image 01": [("dog", 0)], "2": [("cat", 0)]}, train=["my image 01"])
    (folder / "ImageSets" / "Main" / "train.txt").write_text("my image 01\n2  1\n")
    made = voc(folder, "train")
    assert [image["file_name"] for image in made["images"]] == ["JPEGImages/my image 01.jpg", "JPEGImages/2.jpg"]


def test_splits_are_the_lists_whose_annotations_are_there_or_else_folders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = tmp_path / "VOCdevkit"
    year(kit / "VOC2012", {"1": [("dog", 0)], "2": [("cat", 0)]}, trainval=["1"], val=["2"], test=["3", "4"])
    with caplog.at_level(logging.WARNING):
        assert splits(kit) == splits(kit / "VOC2012") == {"train": "trainval", "val": "val"}
    assert "2 of the 2 annotations of the list test are not there; it is left out" in caplog.text
    plain = tmp_path / "plain"
    for name in ("Train", "valid", "other"):
        (plain / name).mkdir(parents=True)
        size = "<size><width>9</width><height>9</height></size>"
        (plain / name / "a.xml").write_text(f"<annotation>{size}</annotation>")
    assert splits(plain) == {"train": "Train", "val": "valid"}
    assert len(voc(plain, "valid", classes=["dog"])["images"]) == 1
    for split in ("..", ".", "other", "none"):
        with pytest.raises(InputError, match="nothing to convert"):
            voc(plain, split)
