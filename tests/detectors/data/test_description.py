from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from detectors.data.description import Coco, Digits, Part, description_of
from primitives.errors import InputError

PART = {"annotations": "a.json", "images": "i"}


def test_digits_are_described_by_their_counts_and_a_seed() -> None:
    assert description_of({"type": "digits"}) == Digits(train=1000, val=200, test=300, seed=0, verify=1)
    assert description_of({"type": "digits", "val": 7}).counts == {"train": 1000, "val": 7, "test": 300}  # type: ignore[union-attr]


def test_files_are_described_by_a_part_a_split() -> None:
    found = description_of({"type": "coco", "test": OrderedDict(PART), "train": PART, "val": None})
    part = Part(annotations="a.json", images="i")
    assert found == Coco(train=part, test=part)
    assert isinstance(found, Coco)
    assert list(found.parts) == ["train", "test"]


def test_paths_may_be_of_bytes_that_are_no_text() -> None:
    found = description_of({"type": "coco", "train": {"annotations": "\udcff.json", "images": Path("i")}})
    assert isinstance(found, Coco)
    assert (found.train.annotations, found.train.images) == ("\udcff.json", Path("i"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"verify": 0}, "data.verify must be a whole number of images per class from 1, got 0; at most 2,147,483,647"),
        ({"verify": None}, "data.verify must be a whole number of images per class from 1, got None"),
        ({"hold_out": True}, "data.hold_out must be a whole number of images from 1, got True"),
        ({"hold_out": 2**31}, "data.hold_out must be .*, got 2147483648; at most 2,147,483,647"),
        ({"longest": 15}, "data.longest must be a whole number of pixels from 16, got 15"),
        ({"longest": 10**5000}, "data.longest must be .*, got a int too long to write"),
        ({"val": PART, "hold_out": 3}, "data.hold_out holds images out for val, and data.val is given"),
        ({"test": {**PART, "more": 1}}, "data.test must be a dict of annotations and images, two paths, got .*more"),
        ({"train": {**PART, "images": None}}, "data.train must be a dict of annotations and images, two paths, got"),
        (
            {"valid": PART},
            "unknown key 'valid' .*; it needs train, and may have val, test, hold_out, longest, verify, group_by,",
        ),
    ],
)
def test_what_a_description_must_be_is_said_before_a_file_is_read(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        description_of({"type": "coco", "train": PART, **more})
