"""Data: scenes of handwritten digits, and any data set in COCO format, checked and cleaned before it is used."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from primitives.errors import InputError

SCENE = 96
SPLITS = {"train": 1000, "val": 200, "test": 300}
_ENTRIES = {"images": ("id", "file_name", "width", "height"), "annotations": (), "categories": ("id", "name")}
_DIGITS = 1797  # in scikit-learn's set
_VERSION = 2  # of the scenes; part of the name of their folder


@dataclass(frozen=True)
class CocoSource:
    """A data set in COCO format.

    Args:
        annotations: path of the JSON file.
        images: folder that the file names are relative to.
        classes: names in the order of the category ids.
        count: number of images.
        left_out: number of boxes of the file that have no width or height inside their image.
    """

    annotations: Path
    images: Path
    classes: tuple[str, ...]
    count: int
    left_out: int = 0


def cache_folder() -> Path:
    """Where prepared data lies: $AUTOLOSS_CACHE, or ~/.cache/autoloss."""
    return Path(os.environ.get("AUTOLOSS_CACHE") or Path.home() / ".cache" / "autoloss")


def _once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Makes a folder as a whole or not at all, also when two processes try."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            write(fresh)
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # else the other process was first
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def digit_scenes(counts: Mapping[str, int] = SPLITS, seed: int = 0) -> dict[str, CocoSource]:
    """Scenes of 2 to 6 handwritten digits of varied size and aspect on a noisy ground, 96 x 96 px, 10 classes.

    Train, val and test are made from disjoint digits of scikit-learn's 1,797. They are drawn once and kept.

    Args:
        counts: number of scenes of each split.
        seed: of the drawing.

    Returns:
        A source per split.

    Raises:
        InputError: a count or the seed is no whole number, or a split would get no digits.

    Source: Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, through scikit-learn.
    """
    counts = {split: _whole(counts[split], split, 1) for split in SPLITS if split in counts}
    seed = _whole(seed, "seed", 0)
    for split, count in counts.items():
        if not _share(count, counts):
            raise InputError(f"{split}: {count} of {sum(counts.values())} scenes leaves it none of {_DIGITS} digits")
    key = hashlib.sha256(json.dumps([_VERSION, sorted(counts.items()), seed]).encode()).hexdigest()[:12]
    folder = _once(cache_folder() / f"digits-{key}", lambda fresh: _draw_splits(fresh, counts, seed))
    classes = tuple(str(digit) for digit in range(10))
    return {
        split: CocoSource(folder / f"{split}.json", folder / split, classes, count) for split, count in counts.items()
    }


def _whole(value: object, name: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"data.{name} must be a whole number from {least}, got {value!r}")
    return value


def _share(count: int, counts: Mapping[str, int]) -> int:
    """Number of digits that the scenes of a split are made from."""
    return round(_DIGITS * count / sum(counts.values()))


def _draw_splits(folder: Path, counts: Mapping[str, int], seed: int) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.images))
    first = 0
    for number, (split, count) in enumerate(counts.items()):
        last = first + _share(count, counts)
        mine, rng = order[first:last], np.random.default_rng([seed, number])
        first = last
        (folder / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            picks = [int(mine[k]) for k in rng.integers(len(mine), size=rng.integers(2, 7))]
            scene, boxes = _draw_scene([digits.images[k] for k in picks], rng)
            name = f"{index:05d}.png"
            Image.fromarray(scene).save(folder / split / name)
            images.append({"id": index, "file_name": name, "width": SCENE, "height": SCENE})
            for pick, box in zip(picks, boxes, strict=True):
                if box is not None:
                    annotations.append(_annotation(len(annotations) + 1, index, int(digits.target[pick]), box))
        categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))


def _annotation(number: int, image: int, category: int, box: list[int]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def _draw_scene(
    digits: list[np.ndarray[Any, Any]], rng: np.random.Generator
) -> tuple[np.ndarray[Any, Any], list[list[int] | None]]:
    """One scene (96, 96, 3) uint8 and a tight xywh box per digit, None where there was no room."""
    from PIL import Image

    ground = rng.uniform(20, 100) + rng.uniform(-10, 10, (SCENE, SCENE, 3))
    taken: list[tuple[int, int, int, int]] = []
    boxes: list[list[int] | None] = []
    for digit in digits:
        height = int(rng.integers(18, 45))
        width = int(np.clip(height * rng.uniform(0.6, 1.3), 12, 48))
        stroke = np.asarray(Image.fromarray((digit * 15).astype(np.uint8)).resize((width, height)), dtype=float) / 240
        place = _free_place(taken, width, height, rng)
        if place is None:
            boxes.append(None)
            continue
        x, y = place
        taken.append((x, y, width, height))
        colour = rng.uniform(170, 255)
        patch = ground[y : y + height, x : x + width]
        patch += stroke[..., None] * (colour - patch)
        rows, columns = np.nonzero(stroke.max(1) > 0.25)[0], np.nonzero(stroke.max(0) > 0.25)[0]
        left, top = x + int(columns[0]), y + int(rows[0])
        boxes.append([left, top, int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1])
    return np.clip(ground, 0, 255).astype(np.uint8), boxes


def _free_place(
    taken: list[tuple[int, int, int, int]], width: int, height: int, rng: np.random.Generator
) -> tuple[int, int] | None:
    """A corner where the digit covers at most a fifth of any other, or None after 20 tries."""
    for _ in range(20):
        x, y = int(rng.integers(0, SCENE - width + 1)), int(rng.integers(0, SCENE - height + 1))
        covered = (
            max(0, min(x + width, a + w) - max(x, a))
            * max(0, min(y + height, b + h) - max(y, b))
            / min(w * h, width * height)
            for a, b, w, h in taken
        )
        if all(share <= 0.2 for share in covered):
            return x, y
    return None


def coco_source(annotations: str | Path, images: str | Path) -> CocoSource:
    """A data set in COCO format, checked; boxes without width or height are left out of a cleaned copy.

    Crowd regions stay and count as ignored regions. Images without boxes stay.

    Args:
        annotations: path of the JSON file.
        images: folder of the images.

    Raises:
        InputError: not COCO JSON, nothing in it, a missing image, an unknown category or image id, a duplicate id.
    """
    file, folder = Path(annotations), Path(images)
    content = _read(file)
    if not folder.is_dir():
        raise InputError(f"no image folder at {str(folder)!r}, which {file} needs")
    missing = [image["file_name"] for image in content["images"] if not (folder / image["file_name"]).is_file()]
    if missing:
        raise InputError(
            f"{file}: {len(missing)} of {len(content['images'])} images are not in {folder}, first {missing[0]!r}"
        )
    kept = _checked_boxes(content, file)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    clean = {**content, "annotations": kept, "categories": categories}  # mmdetection numbers classes as they stand
    key = hashlib.sha256(json.dumps(clean, sort_keys=True).encode()).hexdigest()[:12]
    place = _once(cache_folder() / f"coco-{key}", lambda fresh: _write(fresh / "annotations.json", clean))
    classes = tuple(category["name"] for category in categories)
    left_out = len(content["annotations"]) - len(kept)
    return CocoSource(place / "annotations.json", folder.absolute(), classes, len(content["images"]), left_out)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InputError(f"no annotation file at {str(file)!r}")
    try:
        content = json.loads(file.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    lacking = [key for key in _ENTRIES if not (isinstance(content, dict) and isinstance(content.get(key), list))]
    if lacking:
        raise InputError(f"{file}: not COCO JSON, a list {lacking[0]!r} is missing; needed: {', '.join(_ENTRIES)}")
    for section, keys in _ENTRIES.items():
        if not content[section]:
            raise InputError(f"{file}: {section!r} is empty")
        for entry in content[section]:
            if not isinstance(entry, dict):
                raise InputError(f"{file}: an entry of {section!r} must be an object, got {entry!r}")
            absent = [key for key in keys if key not in entry]
            if absent:
                raise InputError(f"{file}: an entry of {section!r} has no {absent[0]!r}: {str(entry)[:80]}")
        ids = [entry["id"] for entry in content[section] if keys]
        if len(set(ids)) != len(ids):
            double = next(number for number in ids if ids.count(number) > 1)
            raise InputError(f"{file}: two entries of {section!r} have id {double}")
    return content


def _checked_boxes(content: Mapping[str, Any], file: Path) -> list[dict[str, Any]]:
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    kept: list[dict[str, Any]] = []
    for number, entry in enumerate(content["annotations"]):
        label = f"annotation {entry.get('id', number)}"
        if entry.get("category_id") not in names:
            known = ", ".join(f"{key} {name}" for key, name in sorted(names.items())[:20])
            raise InputError(f"{file}: {label} has unknown category {entry.get('category_id')!r}; known: {known}")
        if entry.get("image_id") not in images:
            raise InputError(f"{file}: {label} has image id {entry.get('image_id')!r}, which no image has")
        box = entry.get("bbox")
        if not (isinstance(box, list) and len(box) == 4 and all(_is_finite(side) for side in box)):
            raise InputError(f"{file}: {label} needs a bbox [x, y, width, height], got {box!r}")
        if _can_be_seen(box, images[entry["image_id"]]):
            area = entry.get("area") or box[2] * box[3]
            kept.append({"iscrowd": 0, **entry, "area": area, "id": len(kept) + 1})
    if all(entry["iscrowd"] for entry in kept):
        raise InputError(f"{file}: no box among {len(content['annotations'])} annotations to train or evaluate on")
    return kept


def _is_finite(side: object) -> bool:
    return isinstance(side, (int, float)) and math.isfinite(side)


def _can_be_seen(box: list[float], image: Mapping[str, Any]) -> bool:
    """Whether mmdetection trains on the xywh box: a pixel or more, and not outside its image."""
    x, y, width, height = box
    inside = min(x + width, image["width"]) > max(x, 0) and min(y + height, image["height"]) > max(y, 0)
    return width >= 1 and height >= 1 and inside


def one_image_per_class(source: CocoSource, seed: int = 0) -> CocoSource:
    """The verification set: for each class that has boxes, one image that shows it, no image twice.

    Args:
        source: the training set.
        seed: of the choice.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.3 (D_verify).
    """
    content = json.loads(source.annotations.read_text())
    rng = random.Random(seed)
    chosen: list[Any] = []
    for category in sorted(content["categories"], key=lambda entry: entry["id"]):
        showing = {
            entry["image_id"]
            for entry in content["annotations"]
            if entry["category_id"] == category["id"] and not entry["iscrowd"]
        }
        free = sorted(showing - set(chosen))
        if free:
            chosen.append(rng.choice(free))
    clean = {
        **content,
        "images": [image for image in content["images"] if image["id"] in set(chosen)],
        "annotations": [entry for entry in content["annotations"] if entry["image_id"] in set(chosen)],
    }
    key = hashlib.sha256(json.dumps(clean, sort_keys=True).encode()).hexdigest()[:12]
    place = _once(cache_folder() / f"verify-{key}", lambda fresh: _write(fresh / "annotations.json", clean))
    return CocoSource(place / "annotations.json", source.images, source.classes, len(chosen))
