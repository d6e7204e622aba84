"""Data sets in COCO format: checked and cleaned before they are used, and the verification set."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from detectors.data import images as pictures
from detectors.data.annotations import Findings, inspect, is_ignored, read, uncollected
from primitives.errors import InputError

_VERSION = 3  # of what is prepared; part of the names of the folders
_FILE, _BOXES, _FACTS, _NAMES = "annotations.json", "boxes.json", "facts.json", "names.json"
_OF_IMAGE = ("id", "file_name", "width", "height")


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
        bare: classes that no box shows.
    """

    annotations: Path
    images: Path
    classes: tuple[str, ...]
    count: int
    left_out: int = 0
    held_out_of: int = 0
    bare: tuple[str, ...] = ()

    @property
    def boxes(self) -> Path:
        """The annotations without outlines, a third of COCO's file, for detectors that do not learn them."""
        light = self.annotations.with_name(_BOXES)
        return light if light.is_file() else self.annotations


def cache_folder() -> Path:
    """Where prepared data lies: $AUTOLOSS_CACHE, or ~/.cache/autoloss."""
    return Path(os.environ.get("AUTOLOSS_CACHE") or platformdirs.user_cache_dir("autoloss"))


def once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Makes a folder as a whole or not at all, also when two processes try.

    Raises:
        InputError: there is no place for it.
    """
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        except OSError as error:
            raise _no_place(folder, error) from None
        try:
            with uncollected():
                write(fresh)
            fresh.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # else the other process was first
                raise _no_place(folder, error) from None
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _no_place(folder: Path, error: OSError) -> InputError:
    return InputError(f"cannot keep prepared data in {folder.parent} ($AUTOLOSS_CACHE): {error}")


def coco_source(annotations: str | Path, images: str | Path) -> CocoSource:
    """A data set in COCO format, checked; what mmdetection cannot use is left out of a cleaned copy.

    A file is read and cleaned once: later, as long as its bytes are the same, only that every image is there is
    looked up. A sample of the images is opened the first time.

    Args:
        annotations: path of the JSON file.
        images: folder of the images.

    Raises:
        InputError: the first problem that stops a training, such as no COCO JSON, an image that is missing or has
            another size than the file says, an unknown category or image id, or a duplicate id.
    """
    file, folder = Path(annotations), Path(images).absolute()
    if not file.is_file():
        raise InputError(f"no annotation file at {str(file)!r}")
    if not folder.is_dir():
        raise InputError(f"no image folder at {str(images)!r}, which {file} needs")
    key = _digest(file, str(folder))
    place = once(cache_folder() / f"coco-{key}", lambda fresh: _prepare(file, folder, fresh))
    _all_there(json.loads((place / _NAMES).read_text()), file, folder)
    return _prepared(place, folder)


def _digest(file: Path, *more: object) -> str:
    """Of the bytes of a file and of other values."""
    found = hashlib.sha256(json.dumps([_VERSION, *more]).encode())
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    return found.hexdigest()[:12]


def _prepare(file: Path, folder: Path, fresh: Path) -> None:
    found = inspect(read(file))
    _refuse(found.findings, file, folder)
    names = [image["file_name"] for image in found.content["images"]]
    _all_there(names, file, folder)
    looks = Findings()
    pictures.look(pictures.sample(found.content["images"]), folder, looks)
    _refuse(looks, file, folder)
    (fresh / _NAMES).write_text(json.dumps(names))
    _store(fresh, found.content, left_out=found.left_out)


def _refuse(findings: Findings, file: Path, folder: Path) -> None:
    stopping = [problem for problem in findings.problems() if problem.stops]
    if stopping:
        first, *others = stopping
        count = first.count - 1 + sum(problem.count for problem in others)
        more = f" ({count} more such problems: autoloss data check {file} --images {folder})" if count else ""
        raise InputError(f"{file}: {first.first}{more}")


def _all_there(names: Sequence[str], file: Path, folder: Path) -> None:
    absent = pictures.missing(names, folder)
    if absent:
        raise InputError(f"{file}: {len(absent)} of {len(names)} images are not in {folder}, first {absent[0]!r}")


def _store(folder: Path, content: Mapping[str, Any], **facts: Any) -> None:
    """Writes a data set, once more without outlines where it has them, and what is known of it."""
    shown = {entry["category_id"] for entry in content["annotations"] if not is_ignored(entry)}
    known = {
        "classes": [category["name"] for category in content["categories"]],
        "count": len(content["images"]),
        "bare": [category["name"] for category in content["categories"] if category["id"] not in shown],
        **facts,
    }
    _write(folder / _FILE, content)
    if any("segmentation" in entry for entry in content["annotations"]):
        _write(folder / _BOXES, _light(content))
    (folder / _FACTS).write_text(json.dumps(known))


def _light(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "images": ({key: image[key] for key in _OF_IMAGE} for image in content["images"]),
        "annotations": (
            {key: value for key, value in entry.items() if key != "segmentation"} for entry in content["annotations"]
        ),
        "categories": content["categories"],
    }


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Entry by entry: the text of all at once can be half a gigabyte."""
    with file.open("w") as stream:
        for mark, section in (("{", "images"), (",", "annotations"), (",", "categories")):
            stream.write(f'{mark}"{section}": [')
            for number, entry in enumerate(content[section]):
                stream.write(",\n" if number else "\n")
                stream.write(json.dumps(entry))
            stream.write("]")
        stream.write("}")


def _prepared(folder: Path, images: Path) -> CocoSource:
    """What `_store` wrote."""
    facts = json.loads((folder / _FACTS).read_text())
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    return CocoSource(folder / _FILE, images, **facts)


def hold_out(source: CocoSource, names: Sequence[str], count: int | None = None) -> dict[str, CocoSource]:
    """Holds out images for each name; the rest is `train`.

    The choice is by a hash of the file names, so it stays the same when a file is sorted anew.

    Args:
        source: what is split.
        names: of the splits that are held out, two at most.
        count: images for each of them, None for a fifth.

    Raises:
        InputError: too few images, a split without boxes, or `count` is no whole number from 1.
    """
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise InputError(f"data.hold_out must be a whole number of images from 1, got {count!r}")

    def write(fresh: Path) -> None:
        content = json.loads(source.annotations.read_text())
        order = sorted(content["images"], key=lambda image: hashlib.sha256(image["file_name"].encode()).digest())
        each = len(order) // 5 if count is None else count
        if not each or each * len(names) >= len(order):
            raise InputError(
                f"{source.annotations}: {len(order)} images are too few to hold out "
                f"{'a fifth' if count is None else count} for {' and '.join(names)}; give data.val"
            )
        for number, name in enumerate((*names, "train")):
            last = (number + 1) * each if name != "train" else len(order)
            facts = {"left_out": source.left_out} if name == "train" else {"held_out_of": len(order)}
            (fresh / name).mkdir()
            part = _some_images(content, order[number * each : last])
            if all(is_ignored(entry) for entry in part["annotations"]):
                raise InputError(f"{source.annotations}: no boxes among the images for {name}; give data.val")
            _store(fresh / name, part, **facts)

    key = _digest(source.annotations, *names, *([] if count is None else [count]))
    place = once(cache_folder() / f"held-out-{key}", write)
    return {name: _prepared(place / name, source.images) for name in ("train", *names)}


def _some_images(content: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The part of a data set that some images make up, in the order of the whole."""
    chosen = {image["id"] for image in images}
    return {
        "images": [image for image in content["images"] if image["id"] in chosen],
        "annotations": [entry for entry in content["annotations"] if entry["image_id"] in chosen],
        "categories": content["categories"],
    }


def one_image_per_class(source: CocoSource, seed: int = 0, count: int = 1) -> CocoSource:
    """The verification set: for each class that has boxes, an image that shows it, no image twice.

    A class without boxes gets no image, nor does one that only images chosen for other classes show.

    Args:
        source: the training set.
        seed: of the choice.
        count: images for each class, where there are so many.

    Raises:
        InputError: `count` is no whole number from 1.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.3 (D_verify).
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError(f"data.verify must be a whole number of images per class from 1, got {count!r}")

    def write(fresh: Path) -> None:
        content = json.loads(source.annotations.read_text())
        showing: dict[Any, set[Any]] = defaultdict(set)
        for entry in content["annotations"]:
            if not is_ignored(entry):
                showing[entry["category_id"]].add(entry["image_id"])
        rng = random.Random(seed)
        chosen: set[Any] = set()
        for category in sorted(content["categories"], key=lambda entry: entry["id"]):
            for _ in range(count):
                free = sorted(showing[category["id"]] - chosen)
                if free:
                    chosen.add(rng.choice(free))
        _store(fresh, _some_images(content, [image for image in content["images"] if image["id"] in chosen]))

    place = once(cache_folder() / f"verify-{_digest(source.annotations, seed, count)}", write)
    return _prepared(place, source.images)
