"""Data that people have: what is wrong with it is found, and what can be used is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.data.annotations import Inspected, inspect, read
from primitives.errors import InputError


def content(**changes: Any) -> dict[str, Any]:
    """Two images, categories 3 and 7, a sound box."""
    return {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 20, "height": 10} for k in (5, 9)],
        "annotations": [box(1)],
        "categories": [{"id": 7, "name": "sieben"}, {"id": 3, "name": "drei"}],
        **changes,
    }


def box(number: Any, **changes: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 5, "category_id": 7, "bbox": [1, 1, 5, 5], **changes}


def test_a_box_that_says_ignore_becomes_a_crowd_region_which_cocos_evaluation_leaves_out() -> None:
    found = inspect(content(annotations=[box(1), box(2, bbox=[2, 2, 6, 6], ignore=1), box(3, image_id=9, ignore=0)]))
    assert [entry["iscrowd"] for entry in found.content["annotations"]] == [0, 1, 0]
    assert not any("ignore" in entry for entry in found.content["annotations"])


def names(found: Inspected, stops: bool) -> dict[str, int]:
    return {problem.name: problem.count for problem in found.findings.problems() if problem.stops is stops}


def test_every_problem_is_found_with_its_count_and_first_example() -> None:
    entries = [
        box(1),
        box(2, bbox=[0, 0, 0, 5]),
        box(3, bbox=[0, 0, 5, 0.5]),
        box(4, bbox=[20, 0, 5, 5]),
        box(5, bbox=[10, 2, 15, 5]),
        box(1, bbox=[2, 2, 5, 5]),
        box(6),
        box(7, image_id=9, iscrowd=1),
        box(8, category_id=4),
        box(9, image_id=4),
        box(10, bbox=[1, 2, 3]),
        3,
    ]
    found = inspect(content(annotations=entries))
    assert names(found, stops=True) == {
        "unknown category": 1,
        "unknown image id": 1,
        "bbox is no box": 1,
        "annotation is no object": 1,
    }
    assert names(found, stops=False) == {
        "empty box, left out": 2,
        "box outside its image, left out": 1,
        "box partly outside its image": 1,
        "duplicate annotation id, numbered anew": 1,
        "box given twice": 1,
        "crowd region, ignored": 1,
        "class without boxes": 1,
    }
    first = {problem.name: problem.first for problem in found.findings.problems()}
    assert first["empty box, left out"] == "annotation 2 has width 0 and height 5"
    assert first["class without boxes"] == "no box of class 'drei'"
    assert found.left_out == 3
    assert [entry["id"] for entry in found.content["annotations"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "number",
    [1e308, -1e308, 10**400, float("inf"), float("nan"), "5", None, True, [1]],
    ids=lambda number: str(number)[:8],
)
def test_sides_that_are_no_numbers_of_pixels_are_found(number: Any) -> None:
    entries = [box(1), box(2, bbox=[1, 1, number, 5])]
    assert names(inspect(content(annotations=entries)), stops=True) == {"bbox is no box": 1}


@pytest.mark.parametrize("number", [0, -3, 2.5, "20", None, 1e300, 10**400, float("nan")], ids=lambda n: str(n)[:8])
def test_sizes_of_images_that_are_none_are_found(number: Any) -> None:
    image = {"id": 9, "file_name": "9.png", "width": number, "height": 10}
    found = inspect(content(images=[content()["images"][0], image]))
    assert names(found, stops=True) == {"image size is no number of pixels": 1}


def test_ids_that_no_metric_can_count_with_are_numbered_anew() -> None:
    images = [
        {"id": key, "file_name": f"{k}.png", "width": 20, "height": 10} for k, key in enumerate(("a", 2**60, "ü"))
    ]
    entries = [box(1, image_id="ü", category_id="x"), box("z", image_id=2**60, category_id="x")]
    found = inspect(content(images=images, annotations=entries, categories=[{"id": "x", "name": "猫"}])).content
    assert [image["id"] for image in found["images"]] == [1, 2, 3]
    assert [(entry["image_id"], entry["category_id"], entry["id"]) for entry in found["annotations"]] == [
        (3, 1, 1),
        (2, 1, 2),
    ]


def test_whole_ids_with_gaps_stay_and_classes_follow_them() -> None:
    found = inspect(content()).content
    assert [image["id"] for image in found["images"]] == [5, 9]
    assert [category["name"] for category in found["categories"]] == ["drei", "sieben"]


@pytest.mark.parametrize("key", [None, 1.5, True, [1], {}])
def test_ids_of_other_kinds_are_found(key: Any) -> None:
    images = [*content()["images"], {"id": key, "file_name": "a.png", "width": 2, "height": 2}]
    assert names(inspect(content(images=images)), stops=True) == {"id in images is no whole number": 1}
    entries = [box(1), box(2, image_id=[5]), box(3, category_id={})]
    found = inspect(content(annotations=entries))
    assert names(found, stops=True) == {"unknown image id": 1, "unknown category": 1}


@pytest.mark.parametrize("area", [0, -1, None, "9", float("nan"), 1e300])
def test_an_area_that_is_none_becomes_that_of_the_box(area: Any) -> None:
    found = inspect(content(annotations=[box(1, area=area)])).content
    assert found["annotations"][0]["area"] == 25


def test_names_that_are_no_texts_are_found() -> None:
    images = [content()["images"][0], {"id": 9, "file_name": 9, "width": 20, "height": 10}]
    categories = [*content()["categories"], {"id": 8, "name": None}]
    found = inspect(content(images=images, categories=categories))
    assert names(found, stops=True) == {"file name is no text": 1, "category name is no text": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON, or cut off"),
        (json.dumps(content())[:-30], "not JSON, or cut off"),
        (json.dumps({"n": 0}).replace("0", "9" * 5000), "not JSON, or cut off"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "not COCO JSON: needs an object with the lists images, annotations, categories"),
        ('{"images": {}}', "a list 'images' is missing"),
    ],
    ids=range(6),
)
def test_what_is_no_coco_json_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_files_of_other_encodings_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.json").write_text(json.dumps(content(), ensure_ascii=False), encoding=encoding)
        assert read(tmp_path / "a.json") == content()
    (tmp_path / "a.json").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(InputError, match="not JSON"):
        read(tmp_path / "a.json")


NUMBERS = [
    float("nan"),
    float("inf"),
    -float("inf"),
    1e300,
    -1e300,
    1e-400,
    -0.0,
    True,
    False,
    "5",
    "nan",
    None,
    [],
    {},
]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_any_number_at_any_place_is_found_or_works(number: Any, tmp_path: Path) -> None:
    for section, key in (
        *(("images", key) for key in ("id", "file_name", "width", "height")),
        *(("annotations", key) for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore")),
        *(("categories", key) for key in ("id", "name")),
        ("annotations", "bbox 0"),
        ("annotations", "bbox 3"),
    ):
        made = json.loads(json.dumps(content()))
        name, _, inner = key.partition(" ")
        if inner:
            made[section][0][name][int(inner)] = number
        else:
            made[section][0][name] = number
        (tmp_path / "a.json").write_text(json.dumps(made))
        found = inspect(read(tmp_path / "a.json"))
        stops = [problem for problem in found.findings.problems() if problem.stops]
        assert all(len(problem.first) < 700 for problem in stops)
        if not stops:
            kept = json.loads(json.dumps(found.content))
            assert all(isinstance(entry["id"], int) for entry in kept["annotations"])
            assert all(0 < entry["area"] < 1e9 and entry["iscrowd"] in (0, 1) for entry in kept["annotations"])
            assert all(type(entry[name]) is not bool for entry in kept["annotations"] for name in ("image_id", "area"))


@pytest.mark.parametrize("name", ["", "  ", "\ud800", 3, None, True, ["a"]], ids=repr)
def test_names_of_classes_that_are_no_text_stop_a_training(name: Any) -> None:
    found = inspect(content(categories=[{"id": 7, "name": name}, {"id": 3, "name": "drei"}]))
    assert names(found, stops=True) == {"category name is no text": 1}
    found.findings.problems()[0].first.encode()


def test_names_that_only_case_spaces_or_hyphens_tell_apart_are_told() -> None:
    alike = ["Raccoon", "raccoon", "rac coon", "traffic light", "traffic_light", "owl", "\uff11", "1", "-", "_"]
    found = inspect(content(categories=[{"id": k, "name": name} for k, name in enumerate(alike)]))
    assert names(found, stops=False)["classes of nearly one name"] == 4


def test_long_and_hostile_texts_come_out_short_and_escaped() -> None:
    for bad in ("x" * 20_000, "\x1b[31m\n\u202e" * 50):
        entries = [box(bad, category_id=bad), box(2, image_id=bad), box(3, bbox=[bad] * 4)]
        found = inspect(content(annotations=entries, categories=[{"id": 3, "name": bad}, {"id": bad, "nam": bad}]))
        for problem in found.findings.problems():
            assert len(problem.first) < 1500
            assert problem.first.isprintable()
