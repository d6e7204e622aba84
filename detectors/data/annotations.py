"""Annotations: a file in COCO format is read, and everything that is wrong with it is found."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.data.findings import Findings
from detectors.data.formats import look_at
from detectors.data.names import alike, is_text
from primitives.errors import InputError
from primitives.text.printable import printable

_SECTIONS = {"images": ("id", "file_name", "width", "height"), "annotations": (), "categories": ("id", "name")}
_MOST = 10_000_000  # pixels; what float32 boxes hold to the pixel
SUPER = "super-category, left out"
_EXACT = 2**53  # ids below it survive the tables of numbers that the metric works with


@dataclass(frozen=True)
class Inspected:
    """A file's content, cleaned as far as it can be.

    Args:
        content: images, annotations (only boxes that mmdetection can use, numbered anew) and categories by their id.
        left_out: number of boxes without width or height inside their image.
        findings: what was found.
    """

    content: dict[str, Any]
    left_out: int
    findings: Findings


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Millions of objects are made, and none of them is garbage: looking for it takes longer than making them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def read(file: Path) -> dict[str, Any]:
    """The content of a file in COCO format.

    Raises:
        InputError: no such file, not JSON, or not the three lists of COCO.
    """
    look_at(file)
    try:
        with uncollected():
            content = json.loads(file.read_bytes())
    except RecursionError:
        raise InputError(f"{file}: not COCO JSON: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{file}: not JSON, or cut off: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: not COCO JSON: needs an object with the lists {', '.join(_SECTIONS)}")
    for section in _SECTIONS:
        if not isinstance(content.get(section), list):
            raise InputError(f"{file}: not COCO JSON, a list {section!r} is missing; needed: {', '.join(_SECTIONS)}")
    return content


def inspect(content: dict[str, Any]) -> Inspected:
    """Finds everything that is wrong with a content, and leaves out what mmdetection cannot use.

    Crowd regions stay and count as ignored regions. Images without boxes stay. Ids of images and categories that are
    no whole numbers are numbered anew.

    Args:
        content: of `read`; it is changed in place, for it can be large.
    """
    findings = Findings()
    images = _entries(content, "images", findings)
    categories = _entries(content, "categories", findings)
    images = {key: image for key, image in images.items() if _is_image(image, findings)}
    for key, category in categories.items():
        if not is_text(category["name"]) or not category["name"].strip():
            template = "category {} has the name {!r}, not a text"
            findings.stop("category name is no text", template, key, category["name"])
    total = len(content["annotations"])
    _leave_out_super_categories(content["annotations"], categories, findings)
    kept, left_out = _boxes(content["annotations"], images, categories, findings)
    _tell_of_classes(kept, images, categories, findings)
    if all(is_ignored(entry) for entry in kept):
        findings.stop("no box", "no box among {} annotations to train or evaluate on", total)
    ordered = _numbered(images, categories, kept)
    return Inspected({**content, **ordered, "annotations": kept}, left_out, findings)


def is_ignored(entry: Mapping[str, Any]) -> bool:
    """Whether a box, as `inspect` leaves it, is neither trained on nor asked for: a crowd region, or to be ignored."""
    return bool(entry["iscrowd"])


def _entries(content: Mapping[str, Any], section: str, findings: Findings) -> dict[Any, dict[str, Any]]:
    """The usable entries of a section by their id."""
    found: dict[Any, dict[str, Any]] = {}
    if not content[section]:
        findings.stop(f"{section} is empty", "{!r} is empty", section)
    for entry in content[section]:
        if not isinstance(entry, dict):
            name = f"entry of {section} is no object"
            findings.stop(name, "an entry of {!r} must be an object, got {!r}", section, entry)
            continue
        absent = [key for key in _SECTIONS[section] if key not in entry]
        if absent:
            name = f"entry of {section} has no {absent[0]}"
            findings.stop(name, "an entry of {!r} has no {!r}: {}", section, absent[0], str(entry)[:80])
        elif isinstance(entry["id"], bool) or not isinstance(entry["id"], (int, str)):
            name = f"id in {section} is no whole number"
            findings.stop(name, "an entry of {!r} has id {!r}; needs a whole number or a text", section, entry["id"])
        elif entry["id"] in found:
            findings.stop(f"duplicate id in {section}", "two entries of {!r} have id {}", section, entry["id"])
        else:
            found[entry["id"]] = entry
    return found


def _is_image(image: Mapping[str, Any], findings: Findings) -> bool:
    name, sides = image["file_name"], (image["width"], image["height"])
    if not _is_file_name(name):
        findings.stop("file name is no text", "image {} has the file name {!r}, not a text", image["id"], name)
        return False
    if not all(is_pixels(side) and 1 <= side == int(side) for side in sides):
        template = "image {!r} has width {!r} and height {!r}; both must be whole numbers of pixels, {} at most"
        findings.stop("image size is no number of pixels", template, name, *sides, _MOST)
        return False
    return True


def _is_file_name(name: object) -> bool:
    """Whether a file can be called so; bytes that are no text are surrogates that stand for them."""
    try:
        return isinstance(name, str) and bool(os.fsencode(name)) and "\0" not in name
    except UnicodeEncodeError:
        return False


def _boxes(
    entries: list[Any], images: Mapping[Any, Any], categories: Mapping[Any, Any], findings: Findings
) -> tuple[list[dict[str, Any]], int]:
    """The boxes to keep, changed in place, and how many are left out."""
    kept: list[dict[str, Any]] = []
    ids: set[Any] = set()
    seen: set[int] = set()
    left_out = 0
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            findings.stop("annotation is no object", "an entry of 'annotations' must be an object, got {!r}", entry)
            continue
        label = entry.get("id", number)
        if not _is_sound(entry, label, images, categories, findings):
            continue
        x, y, width, height = entry["bbox"]
        image = images[entry["image_id"]]
        if width < 1 or height < 1:
            findings.tell("empty box, left out", "annotation {} has width {:g} and height {:g}", label, width, height)
        elif not _can_be_seen(entry["bbox"], image):
            template = "annotation {} lies outside of its image {!r}"
            findings.tell("box outside its image, left out", template, label, image["file_name"])
        else:
            if min(x, y) < -1 or x + width > image["width"] + 1 or y + height > image["height"] + 1:
                template = "annotation {} reaches out of its image {!r} by more than a pixel"
                findings.tell("box partly outside its image", template, label, image["file_name"])
            _tell_of_doubles(entry, label, ids, seen, findings)
            kept.append(entry)
            _mend(entry, len(kept))
            continue
        left_out += 1
    return kept, left_out


def _is_sound(
    entry: Mapping[str, Any],
    label: object,
    images: Mapping[Any, Any],
    categories: Mapping[Any, Any],
    findings: Findings,
) -> bool:
    category, image, box = entry.get("category_id"), entry.get("image_id"), entry.get("bbox")
    if isinstance(category, (list, dict, bool)) or category not in categories:
        findings.stop(
            "unknown category", "annotation {} has unknown category {!r}; known: {}", label, category, _Some(categories)
        )
        return False
    if isinstance(image, (list, dict, bool)) or image not in images:
        template = "annotation {} has image id {!r}, which no image has"
        findings.stop("unknown image id", template, label, image)
        return False
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_pixels, box))):
        template = "annotation {} needs a bbox [x, y, width, height] of numbers up to {}, got {}"
        findings.stop("bbox is no box", template, label, _MOST, str(box)[:80])
        return False
    return True


class _Some:
    """The first categories as text; made only when it is printed."""

    def __init__(self, categories: Mapping[Any, Any]) -> None:
        self._categories = categories

    def __format__(self, _: str) -> str:
        return ", ".join(
            f"{key} {printable(self._categories[key]['name'], 40)}" for key in list(_ordered(self._categories))[:20]
        )


def _tell_of_doubles(
    entry: Mapping[str, Any], label: object, ids: set[Any], seen: set[int], findings: Findings
) -> None:
    own = label if isinstance(label, int) else str(label)
    if own in ids:
        findings.tell("duplicate annotation id, numbered anew", "two annotations have id {}", label)
    ids.add(own)
    place = hash((entry["image_id"], entry["category_id"], *entry["bbox"]))  # a tuple each would take 200 MB of COCO
    if place in seen:
        findings.tell("box given twice", "annotation {} repeats a box of its class in its image", label)
    seen.add(place)


def _mend(entry: dict[str, Any], number: int) -> None:
    """What mmdetection and the metric read: an area above 0, a crowd flag, an id of its own.

    A box that says `ignore` becomes a crowd region: mmdetection leaves out both, COCO's evaluation knows that alone.
    """
    if not _is_area(entry.get("area")):
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    ignored = bool(entry.pop("ignore", False))
    entry["iscrowd"] = int(ignored or entry.get("iscrowd") in (1, "1"))
    entry["id"] = number


def is_pixels(side: Any) -> bool:
    """Whether a value is a number of pixels that boxes can hold."""
    # Ints of any length are compared exactly; floats that are not finite fail.
    return isinstance(side, (int, float)) and not isinstance(side, bool) and -_MOST <= side <= _MOST


def _is_area(area: Any) -> bool:
    return isinstance(area, (int, float)) and not isinstance(area, bool) and 0 < area <= _MOST * _MOST


def _can_be_seen(box: list[float], image: Mapping[str, Any]) -> bool:
    """Whether a part of the xywh box, however small, lies in its image."""
    x, y, width, height = box
    return min(x + width, image["width"]) > max(x, 0) and min(y + height, image["height"]) > max(y, 0)


def _leave_out_super_categories(entries: list[Any], categories: dict[Any, dict[str, Any]], findings: Findings) -> None:
    """Categories that others name as theirs, and that no annotation is of, are no classes; Roboflow writes one."""
    pairs = [(one.get("supercategory"), one["name"]) for one in categories.values()]
    above = {group for group, name in pairs if isinstance(group, str) and group != name}
    named = [key for key, one in categories.items() if isinstance(one["name"], str) and one["name"] in above]
    if named:
        shown = {
            entry.get("category_id")
            for entry in entries
            if isinstance(entry, dict) and not isinstance(entry.get("category_id"), (list, dict))
        }
        for key in named:
            if key not in shown:
                template = "no box is of {!r}, which other classes name as what they belong to"
                findings.tell(SUPER, template, categories.pop(key)["name"])


def _tell_of_classes(
    kept: list[dict[str, Any]], images: Mapping[Any, Any], categories: Mapping[Any, Any], findings: Findings
) -> None:
    crowds = sum(entry["iscrowd"] for entry in kept)
    if crowds:
        first = next(entry for entry in kept if entry["iscrowd"])
        template = "image {!r} has one of class {!r}"
        names = images[first["image_id"]]["file_name"], categories[first["category_id"]]["name"]
        findings.tell("crowd region, ignored", template, *names, count=crowds)
    shown = {entry["category_id"] for entry in kept if not is_ignored(entry)}
    for key in _ordered(categories):
        if key not in shown:
            findings.tell("class without boxes", "no box of class {!r}", categories[key]["name"])
    used = {entry["image_id"] for entry in kept}
    for key, image in images.items():
        if key not in used:
            findings.tell("image without boxes", "image {!r} has no box", image["file_name"])
    for name, count in Counter(str(category["name"]) for category in categories.values()).items():
        if count > 1:
            findings.tell("two classes of one name", "{} classes are called {!r}", count, name)
    for one, other in alike(str(category["name"]) for category in categories.values()):
        findings.tell("classes of nearly one name", "{!r} and {!r} are two classes", one, other)
    for name, count in Counter(image["file_name"] for image in images.values()).items():
        if count > 1:
            findings.tell("two images of one file", "{} images have the file name {!r}", count, name)


def _ordered(categories: Mapping[Any, Any]) -> Iterator[Any]:
    """The ids in mmdetection's order of classes; texts stay as they stand in the file."""
    if any(isinstance(key, str) for key in categories):
        return iter(categories)
    return iter(sorted(categories))


def _numbered(
    images: Mapping[Any, Any], categories: Mapping[Any, Any], kept: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Images and categories with ids that the metric can count with; categories in the order of mmdetection."""
    ordered = {"images": images, "categories": {key: categories[key] for key in _ordered(categories)}}
    for section, name in (("images", "image_id"), ("categories", "category_id")):
        entries = ordered[section]
        if all(isinstance(key, int) and 0 <= key < _EXACT for key in entries):
            continue
        numbers = {key: number for number, key in enumerate(entries, start=1)}
        for key, entry in entries.items():
            entry["id"] = numbers[key]
        for entry in kept:
            entry[name] = numbers[entry[name]]
    return {section: list(entries.values()) for section, entries in ordered.items()}
