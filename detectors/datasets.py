"""Data sets in COCO format: checked and cleaned before they are used, and the verification set."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from primitives.errors import InputError

_ENTRIES = {"images": ("id", "file_name", "width", "height"), "annotations": (), "categories": ("id", "name")}


@dataclass(frozen=True)
class CocoSource:
    """A data set in COCO format.

    Args:
        annotations: path of the JSON file.
        images: folder that the file names are relative to.
        classes: names in the order of the category ids.
        count: number of images.
        left_out: number of boxes of the file that have no width or height inside their image.
        held_out_of: number of images of the training set that these were held out of, 0 where they were not.
    """

    annotations: Path
    images: Path
    classes: tuple[str, ...]
    count: int
    left_out: int = 0
    held_out_of: int = 0


def cache_folder() -> Path:
    """Where prepared data lies: $AUTOLOSS_CACHE, or ~/.cache/autoloss."""
    return Path(os.environ.get("AUTOLOSS_CACHE") or Path.home() / ".cache" / "autoloss")


def once(folder: Path, write: Callable[[Path], None]) -> Path:
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
    place = once(cache_folder() / f"coco-{key}", lambda fresh: _write(fresh / "annotations.json", clean))
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


def hold_out(source: CocoSource, names: Sequence[str]) -> dict[str, CocoSource]:
    """Holds out a fifth of the images for each name; the rest is `train`.

    The choice is by a hash of the file names, so it stays the same when a file is sorted anew.

    Args:
        source: what is split.
        names: of the splits that are held out, two at most.

    Raises:
        InputError: too few images, or a split without boxes.
    """
    content = json.loads(source.annotations.read_text())
    order = sorted(content["images"], key=lambda image: hashlib.sha256(image["file_name"].encode()).digest())
    fifth = len(order) // 5
    if not fifth:
        raise InputError(
            f"{source.annotations}: {len(order)} images are too few to hold out a fifth for {names[0]}; give data.val"
        )
    parts = {name: order[k * fifth : (k + 1) * fifth] for k, name in enumerate(names)}
    parts = {"train": order[len(names) * fifth :], **parts}
    found = {}
    for name, images in parts.items():
        part = _some_images(source, content, {image["id"] for image in images}, name)
        of = 0 if name == "train" else len(order)
        found[name] = replace(part, left_out=0 if of else source.left_out, held_out_of=of)
    return found


def _some_images(source: CocoSource, content: Mapping[str, Any], chosen: Container[Any], name: str) -> CocoSource:
    """The part of a data set that some images make up."""
    boxes = [entry for entry in content["annotations"] if entry["image_id"] in chosen]
    if all(entry["iscrowd"] for entry in boxes):
        raise InputError(f"{source.annotations}: the images chosen for {name} have no boxes; give splits of your own")
    images = [image for image in content["images"] if image["id"] in chosen]
    clean = {**content, "images": images, "annotations": boxes}
    key = hashlib.sha256(json.dumps(clean, sort_keys=True).encode()).hexdigest()[:12]
    place = once(cache_folder() / f"{name}-{key}", lambda fresh: _write(fresh / "annotations.json", clean))
    return CocoSource(place / "annotations.json", source.images, source.classes, len(images))


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
    return _some_images(source, content, set(chosen), "verify")
