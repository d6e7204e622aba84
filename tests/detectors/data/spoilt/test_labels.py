import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detectors.data.coco import CocoSource, coco_source
from detectors.data.splits import say, sources
from detectors.data.spoilt.labels import Harm, spoilt
from primitives.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))


def written(folder: Path, classes: int = 4, count: int = 60) -> dict[str, str]:
    """A data set of 10 images, with an outline for each box and a crowd region in each image."""
    (folder / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    images = [{"id": k, "file_name": f"{k}.png", "width": 64, "height": 48} for k in range(10)]
    for image in images:
        Image.new("RGB", (64, 48)).save(folder / "images" / str(image["file_name"]))
    entries: list[dict[str, Any]] = []
    for number in range(count + 10):
        x, y, w, h = (float(value) for value in rng.uniform((0, 0, 5, 5), (40, 30, 20, 15)))
        crowd = int(number >= count)
        entry = {"id": number + 1, "image_id": number % 10, "category_id": 2 * (number % classes) + 1, "iscrowd": crowd}
        outline = {"segmentation": [[x, y, x + w, y, x, y + h]]} if not crowd else {}
        entries.append({**entry, "bbox": [x, y, w, h], "area": w * h, **outline})
    content = {
        "images": images,
        "annotations": entries,
        "categories": [{"id": 2 * k + 1, "name": f"class {k}"} for k in range(classes)],
    }
    (folder / "all.json").write_text(json.dumps(content))
    return {"annotations": str(folder / "all.json"), "images": str(folder / "images")}


def source(folder: Path, **changes: int) -> CocoSource:
    return coco_source(**written(folder, **changes))


def entries(found: CocoSource) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in json.loads(found.annotations.read_text())["annotations"]}


def test_nothing_to_spoil_gives_the_source_itself(tmp_path: Path) -> None:
    found = source(tmp_path)
    assert spoilt(found, Harm(seed=3), "train") is found


def test_what_is_told_is_what_was_done(tmp_path: Path) -> None:
    clean = source(tmp_path)
    found = spoilt(clean, Harm(label_noise=0.3, box_noise=0.1, missing=0.2, seed=0), "train")
    before, after = entries(clean), entries(found)
    boxes = {key for key, entry in before.items() if not entry["iscrowd"]}
    lost = boxes - after.keys()
    wrong = {key for key in boxes & after.keys() if after[key]["category_id"] != before[key]["category_id"]}
    assert found.spoilt == (
        f"{len(lost)} of 60 boxes are missing",
        f"{len(wrong)} of {60 - len(lost)} have a wrong class",
        f"{60 - len(lost)} are off, by 0.1 of their sides (s.d.)",
    )
    assert 5 < len(lost) < 20
    assert 5 < len(wrong) < 30
    assert found.images == clean.images
    assert found.classes == clean.classes


def test_edges_are_off_by_their_share_and_stay_inside_the_image(tmp_path: Path) -> None:
    clean = source(tmp_path)
    found = spoilt(clean, Harm(box_noise=0.1), "train")
    off = []
    for key, entry in entries(found).items():
        x, y, w, h = entry["bbox"]
        a, b, c, d = entries(clean)[key]["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + w <= 64.01
        assert y + h <= 48.01
        assert entry["iscrowd"] or entry["area"] == pytest.approx(w * h)
        if not entry["iscrowd"]:
            off += [(x - a) / c, (y - b) / d, (x + w - a - c) / c, (y + h - b - d) / d]
    assert abs(np.mean(off)) < 0.03
    assert 0.08 < np.std(off) < 0.12


def test_with_larger_shares_the_same_boxes_and_more_are_spoilt(tmp_path: Path) -> None:
    clean = source(tmp_path)
    kept = [entries(spoilt(clean, Harm(missing=share, seed=2), "train")).keys() for share in (0.1, 0.4, 0.8)]
    assert kept[0] > kept[1] > kept[2]
    labels = [entries(spoilt(clean, Harm(label_noise=share, seed=2), "train")) for share in (0.2, 0.5)]
    first = {key for key, entry in labels[0].items() if entry["category_id"] != entries(clean)[key]["category_id"]}
    assert all(labels[1][key]["category_id"] == labels[0][key]["category_id"] for key in first)


def test_every_other_class_is_mistaken_for_alike_and_crowds_stay(tmp_path: Path) -> None:
    clean = source(tmp_path, count=900)
    before, after = entries(clean), entries(spoilt(clean, Harm(label_noise=0.9), "train"))
    steps = [(after[key]["category_id"] - before[key]["category_id"]) // 2 % 4 for key in after]
    counts = np.bincount(steps, minlength=4)
    assert counts[1:].min() > 0.8 * counts[1:].max()
    assert all(after[key] == entry for key, entry in before.items() if entry["iscrowd"])


def test_splits_and_seeds_have_luck_of_their_own_and_the_same_asked_for_twice_is_the_same(tmp_path: Path) -> None:
    clean = source(tmp_path)
    found = {
        (split, seed): entries(spoilt(clean, Harm(missing=0.5, seed=seed), split)).keys()
        for split in ("train", "val")
        for seed in (0, 1)
    }
    assert len({frozenset(kept) for kept in found.values()}) == 4
    assert entries(spoilt(clean, Harm(missing=0.5), "train")).keys() == found["train", 0]


def test_harm_that_leaves_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing=0.99 leaves no box of data.train"):
        spoilt(source(tmp_path, count=1), Harm(missing=0.99), "train")
    with pytest.raises(InputError, match=r"label_noise needs two classes, data.train has 1"):
        spoilt(source(tmp_path, classes=1), Harm(label_noise=0.1), "train")


def test_the_training_split_of_any_data_is_spoilt_by_its_description_and_val_by_a_switch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"type": "coco", "train": written(tmp_path), "longest": 32}
    plain = sources(given)
    for val in (False, True):
        found = sources({**given, "spoil": {"label_noise": 0.3, "seed": 4, "val": val}})
        assert bool(found["val"].spoilt) == val
        assert found["train"].spoilt
        assert not found["test"].spoilt
        assert found["test"] == plain["test"]
        assert found["val"].held_out_of == 10
    with caplog.at_level(logging.WARNING):
        say(found)
    assert f"data.train: spoilt on purpose: {found['train'].spoilt[0]}" in caplog.text


@pytest.mark.parametrize("spoil", [{"label_noise": 1.0}, {"missing": -0.1}, {"box_noise": 0.6}, {"labels": 0.1}, 0.3])
def test_a_share_that_is_none_is_one_line_with_what_it_must_be(tmp_path: Path, spoil: object) -> None:
    with pytest.raises(InputError, match=r"data.spoil must be a dict of label_noise and missing \(shares below 1\)"):
        sources({"type": "coco", "train": written(tmp_path), "spoil": spoil})
