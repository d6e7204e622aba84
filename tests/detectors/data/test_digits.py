import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detectors.data.coco import CocoSource
from detectors.data.description import Digits
from detectors.data.digits import digit_scenes
from primitives.errors import InputError
from tests.helpers.command import autoloss

SMALL = {"train": 30, "val": 6, "test": 9}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(source: CocoSource) -> dict:
    return json.loads(source.annotations.read_text())


def test_splits_are_made_from_disjoint_digits() -> None:
    used = [
        {entry["digit"] for entry in content(source)["annotations"]}
        for source in digit_scenes(Digits(**SMALL)).values()
    ]
    assert all(used)
    assert sum(map(len, used)) == len(set.union(*used))


def test_digit_scenes_are_what_they_say() -> None:
    sources = digit_scenes(Digits(**SMALL))
    assert {split: source.count for split, source in sources.items()} == SMALL
    for source in sources.values():
        scenes = content(source)
        assert source.classes == tuple("0123456789")
        for image in scenes["images"]:
            boxes = [entry["bbox"] for entry in scenes["annotations"] if entry["image_id"] == image["id"]]
            assert 1 <= len(boxes) <= 6
            assert all(x >= 0 and y >= 0 and x + w <= 96 and y + h <= 96 and w > 0 and h > 0 for x, y, w, h in boxes)
            with Image.open(source.images / image["file_name"]) as picture:
                assert (picture.size, picture.mode) == ((96, 96), "RGB")


def test_boxes_are_tight_around_bright_digits() -> None:
    source = digit_scenes(Digits(**SMALL))["train"]
    scenes = content(source)
    inside, outside = [], []
    for image in scenes["images"][:10]:
        picture = np.asarray(Image.open(source.images / image["file_name"]), dtype=float).mean(-1)
        mask = np.zeros_like(picture, dtype=bool)
        for x, y, w, h in (e["bbox"] for e in scenes["annotations"] if e["image_id"] == image["id"]):
            mask[y : y + h, x : x + w] = True
        outside.append(picture[~mask].max() - np.median(picture[~mask]))
        inside.append(picture[mask].max() - np.median(picture[~mask]))
    assert np.mean(inside) > 2 * np.mean(outside)


def test_digit_scenes_are_the_same_again_and_differ_by_seed(cache: Path) -> None:
    first = digit_scenes(Digits(**SMALL))["val"]
    text, picture = first.annotations.read_bytes(), (first.images / "00000.png").read_bytes()
    written = first.annotations.stat().st_mtime_ns
    assert digit_scenes(Digits(**SMALL))["val"].annotations.stat().st_mtime_ns == written
    assert digit_scenes(Digits(**SMALL, seed=1))["val"].annotations.read_bytes() != text
    for path in sorted(cache.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    again = digit_scenes(Digits(**SMALL))["val"]
    assert again.annotations.read_bytes() == text
    assert (again.images / "00000.png").read_bytes() == picture


def test_a_write_that_breaks_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("detectors.data.digits._draw_splits", full)
    with pytest.raises(InputError, match="cannot keep prepared data in .*No space"):
        digit_scenes(Digits(**SMALL))
    assert not list(cache.iterdir())


def test_scenes_do_not_depend_on_the_order_of_their_counts() -> None:
    sources = digit_scenes(Digits(**dict(reversed(SMALL.items()))))
    mixed = [content(sources[split]) for split in SMALL]
    for path in sorted(sources["train"].annotations.parent.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    sources["train"].annotations.parent.rmdir()
    assert [content(source) for source in digit_scenes(Digits(**SMALL)).values()] == mixed


SPOILT: dict[str, Any] = {"long_tail": 40, "label_noise": 0.3, "box_noise": 0.1, "missing": 0.15}


def test_test_scenes_of_spoilt_digits_are_those_of_clean_ones_and_training_and_validation_are_not() -> None:
    clean, harmed = digit_scenes(Digits(**SMALL)), digit_scenes(Digits(**SMALL, **SPOILT))
    assert content(clean["test"]) == content(harmed["test"])
    for split in ("train", "val"):
        assert len(harmed[split].spoilt) == 4
        assert content(clean[split]) != content(harmed[split])
    switched = digit_scenes(Digits(**SMALL, **SPOILT, spoil_val=False))
    assert content(switched["val"]) == content(clean["val"])
    assert content(switched["train"]) == content(harmed["train"])
    assert not switched["val"].spoilt


def test_noisy_labels_stand_on_the_scenes_of_clean_digits() -> None:
    clean, harmed = digit_scenes(Digits(**SMALL)), digit_scenes(Digits(**SMALL, label_noise=0.3))
    assert harmed["train"].images == clean["train"].images
    pairs = zip(content(clean["train"])["annotations"], content(harmed["train"])["annotations"], strict=True)
    assert all(one["bbox"] == other["bbox"] for one, other in pairs)


def test_a_long_tail_falls_from_class_to_class_and_says_how_far() -> None:
    found = digit_scenes(Digits(train=300, val=30, test=30, long_tail=40))["train"]
    counts = np.bincount([entry["category_id"] for entry in content(found)["annotations"]], minlength=10)
    assert found.spoilt == (f"a long tail of {counts[0]} boxes of '0' to {counts[9]} of '9'",)
    assert 20 < counts[0] / counts[9] < 80
    assert counts[0] > counts[3] > counts[6] > counts[9] > 0


def test_the_command_writes_spoilt_scenes_and_refuses_a_share_that_is_none(tmp_path: Path) -> None:
    counts = [text for split, count in SMALL.items() for text in (f"--{split}", count)]
    assert autoloss("data", "digits", "--out", tmp_path / "noisy", *counts, "--missing", 0.5).returncode == 0
    kept = json.loads((tmp_path / "noisy" / "train.json").read_text())["annotations"]
    whole = content(digit_scenes(Digits(**SMALL))["train"])["annotations"]
    assert kept == content(digit_scenes(Digits(**SMALL, missing=0.5))["train"])["annotations"]
    assert 0.3 * len(whole) < len(kept) < 0.7 * len(whole)
    done = autoloss("data", "digits", "--out", tmp_path / "none", *counts, "--missing", 1)
    assert (done.returncode, "data.missing must be a share from 0 to below 1" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("long_tail", 0.5, "must be a number from 1, how many times as frequent digit 0 is as digit 9, got 0.5"),
        ("label_noise", 1, "must be a share from 0 to below 1, got 1"),
        ("box_noise", 0.7, "must be a share of a box's sides from 0 to 0.5, got 0.7"),
        ("missing", "0.1", "must be a share from 0 to below 1, got '0.1'"),
        ("spoil_val", 1, "must be True or False, got 1"),
    ],
)
def test_a_share_that_is_none_is_told_with_its_rule(key: str, value: object, rule: str) -> None:
    with pytest.raises(InputError, match=f"data.{key} {rule}"):
        Digits.read({key: value}, "data of type 'digits'", "data.")
