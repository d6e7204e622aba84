"""Converters, on small trees laid out as VOC's and BDD100K's are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.data.annotations import inspect
from detectors.data.convert import bdd100k, voc
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
    made = voc(year(tmp_path / "VOC2007", {"000002": [("dog", 0), ("person", 1)], "000001": []}))
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
        ("<annotation/>", "annotation 1: size/width must be a number, got ''"),
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
        ([{"name": "a.jpg", "labels": [label("tree")]}], "a.jpg has unknown category 'tree'; known: pedestrian"),
        ([{"name": "a.jpg", "labels": [label("car", box2d={"x1": 1})]}], "needs x1, y1, x2, y2"),
    ],
)
def test_files_that_are_no_labels_of_bdd100k_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bdd100k(labels(tmp_path, content))
