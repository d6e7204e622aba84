"""Images beside each other: what is drawn over them, and what is said to those who do not see it."""

from __future__ import annotations

from typing import Any

import pytest

from autoloss.report.detections.document import Detections, checked
from autoloss.report.detections.seen import beside
from primitives.errors import InputError
from tests.helpers.fast_evaluator import DOT


def detections(number: int, **changes: Any) -> Detections:
    image = {
        "name": "a.png",
        "picture": DOT,
        "width": 800,
        "height": 400,
        "objects": [
            {"box": [80, 80, 40, 40], "class": "cat", "found": True},
            {"box": [0, 0, 20, 20], "class": "dog", "found": False},
        ],
        "found": [
            {"box": [82, 80, 40, 40], "class": "cat", "score": 0.8, "right": True},
            {"box": [200, 100, 40, 40], "class": "x" * 10_000, "score": 0.3, "right": False},
        ],
        **changes,
    }
    return checked(number, "full", 1, [{"score": 0.5, "says": "from score 0.25 up", "images": [image]}])


def test_every_object_and_every_detection_has_a_mark_that_says_what_it_is() -> None:
    (one,) = beside([detections(7), detections(0)], "mAP")
    (image,) = one.images
    assert (image.width, image.height) == ("400", "200")
    marks = image.panes[0].marks
    assert [mark.kind for mark in marks] == ["object", "missed", "wrong", "right"]
    assert marks[3].box == ("41.0", "40.0", "20.0", "20.0")
    assert [mark.text for mark in marks] == ["", "missed dog", f"✗ {'x' * 19}… 0.30", "cat 0.80"]
    assert image.panes[0].caption == "1 of 2 found, 1 wrong"
    assert image.panes[0].says.startswith("#7, a.png: 1 of 2 found, 1 wrong. found: cat 0.80. missed: dog. wrong: x")
    assert len(image.panes[0].says) < 300
    assert one.says == ["#7: mAP 0.500; shown from score 0.25 up", "own loss: mAP 0.500; shown from score 0.25 up"]


def test_different_images_are_not_set_beside_each_other() -> None:
    with pytest.raises(InputError, match="different images"):
        beside([detections(7), detections(0, name="b.png")], "mAP")
