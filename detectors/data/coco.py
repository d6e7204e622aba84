"""Data sets in COCO format: checked and cleaned before they are used, and what is made of them: smaller ones, parts."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detectors.data import images as pictures
from detectors.data.annotations import SUPER, inspect, is_ignored, read
from detectors.data.between import groups
from detectors.data.cache import cache_folder, once
from detectors.data.findings import Findings
from detectors.data.formats import look_at
from primitives.errors import InputError
from primitives.text.printable import printable

_log = logging.getLogger(__name__)
_VERSION = 6  # of what is prepared; part of the names of the folders
_FILE, _BOXES, _FACTS, _NAMES = "annotations.json", "boxes.json", "facts.json", "names.json"
_OF_IMAGE = ("id", "file_name", "width", "height")
_CAME_AS = "came_as"  # the file name of an image before it was made smaller


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
        spoilt: what was made wrong in it on purpose, for people.
        given: the file that a person named and these come from, for messages; empty where that is `annotations`.
    """

    annotations: Path
    images: Path
    classes: tuple[str, ...]
    count: int
    left_out: int = 0
    held_out_of: int = 0
    bare: tuple[str, ...] = ()
    spoilt: tuple[str, ...] = ()
    given: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return printable(self.given or self.annotations)

    @property
    def boxes(self) -> Path:
        """The annotations without outlines, a third of COCO's file, for detectors that do not learn them."""
        light = self.annotations.with_name(_BOXES)
        return light if light.is_file() else self.annotations


def coco_source(annotations: str | Path, images: str | Path, given: str = "") -> CocoSource:
    """A data set in COCO format, checked; what mmdetection cannot use is left out of a cleaned copy.

    A file is read and cleaned once: later, as long as its bytes are the same, only that every image is there is
    looked up. A sample of the images is opened the first time.

    Args:
        annotations: path of the JSON file.
        images: folder of the images.
        given: what messages call the file, empty for its path.

    Raises:
        InputError: the first problem that stops a training, such as no COCO JSON, an image that is missing or has
            another size than the file says, an unknown category or image id, or a duplicate id.
    """
    look_at(annotations, images)
    file, folder, given = Path(annotations), Path(images).absolute(), given or str(annotations)
    key = digest(file, str(folder))
    place = once(cache_folder() / f"coco-{key}", lambda fresh: _prepare(file, given, folder, fresh))
    _all_there(json.loads((place / _NAMES).read_text()), given, folder)
    return replace(prepared(place, folder), given=given)


def digest(file: Path, *more: object) -> str:
    """Of the bytes of a file and of other values; part of the names of folders in the cache."""
    found = hashlib.sha256(json.dumps([_VERSION, *more]).encode())
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    return found.hexdigest()[:12]


def _prepare(file: Path, given: str, folder: Path, fresh: Path) -> None:
    found = inspect(read(file))
    for problem in found.findings.problems():
        if problem.name == SUPER:
            _log.warning("%s: %s: %s", printable(given), SUPER, problem.first)
    _refuse(found.findings, given, folder)
    names = [image["file_name"] for image in found.content["images"]]
    _all_there(names, given, folder)
    looks = Findings()
    pictures.look(pictures.sample(found.content["images"]), folder, looks)
    _refuse(looks, given, folder)
    (fresh / _NAMES).write_text(json.dumps(names))
    store(fresh, found.content, left_out=found.left_out)


def _refuse(findings: Findings, file: str, folder: Path) -> None:
    stopping = [problem for problem in findings.problems() if problem.stops]
    if stopping:
        first, *others = stopping
        count = first.count - 1 + sum(problem.count for problem in others)
        where = f" --images {shlex.quote(str(folder))}" if Path(file).suffix.lower() == ".json" else ""
        command = f"autoloss data check {shlex.quote(str(file))}{where}"
        more = f" ({count} more such problems: {command})" if count else ""
        raise InputError(f"{file}: {first.first}{more}")


def _all_there(names: Sequence[str], file: str, folder: Path) -> None:
    absent = pictures.missing(names, folder)
    if absent:
        raise InputError(
            f"{printable(file)}: {len(absent)} of {len(names)} images are not in {printable(folder)}, "
            f"first {printable(repr(absent[0]), 120)}"
        )


def store(folder: Path, content: Mapping[str, Any], **facts: Any) -> None:
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


def prepared(folder: Path, images: Path) -> CocoSource:
    """What `store` wrote."""
    facts = json.loads((folder / _FACTS).read_text())
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    return CocoSource(folder / _FILE, images, **facts)


def hold_out(
    source: CocoSource, names: Sequence[str], count: int | None = None, group_by: str | None = None
) -> dict[str, CocoSource]:
    """Holds out images for each name; the rest is `train`.

    The choice is by a hash of the file names, or of the names of groups, so it stays the same when a file is sorted
    anew.

    Args:
        source: what is split.
        names: of the splits that are held out, two at most.
        count: images for each of them, None for a fifth.
        group_by: regular expression on file names; images of one group stay together. None for every image by itself.

    Raises:
        InputError: too few images or groups, or a split without boxes.
    """

    def write(fresh: Path) -> None:
        content = json.loads(source.annotations.read_text())
        order = sorted(content["images"], key=lambda image: hashlib.sha256(_name_bytes(image)).digest())
        each = len(order) // 5 if count is None else count
        if not each or each * len(names) >= len(order):
            raise InputError(
                f"{source.name}: {len(order)} images are too few to hold out "
                f"{'a fifth' if count is None else count} for {' and '.join(names)}; give data.val"
            )
        if group_by is not None:
            order, ends = _by_groups(source, order, names, each, group_by)
        else:
            ends = [number * each for number in range(len(names) + 1)]
        for number, name in enumerate((*names, "train")):
            last = ends[number + 1] if name != "train" else len(order)
            facts = {"left_out": source.left_out} if name == "train" else {"held_out_of": len(order)}
            (fresh / name).mkdir()
            part = _some_images(content, order[ends[number] : last])
            if all(is_ignored(entry) for entry in part["annotations"]):
                raise InputError(f"{source.name}: no boxes among the images for {name}; give data.val")
            store(fresh / name, part, **facts)

    key = digest(source.annotations, *names, *([] if count is None else [count]), *([group_by] if group_by else []))
    place = once(cache_folder() / f"held-out-{key}", write)
    return {name: replace(prepared(place / name, source.images), given=source.given) for name in ("train", *names)}


def _by_groups(
    source: CocoSource, images: list[Any], names: Sequence[str], each: int, group_by: str
) -> tuple[list[Any], list[int]]:
    """The images, those of every part together and the rest last, and where the parts begin."""
    found = groups.parted([str(image["file_name"]) for image in images], group_by, each, len(names))
    if found is None:
        count = len({groups.group(str(image["file_name"]), group_by) for image in images})
        raise InputError(
            f"{source.name}: group_by gives {count} groups of {len(images)} images, too few to hold some out for "
            f"{' and '.join(names)}; give data.val, or another expression"
        )
    held = {place for part in found for place in part}
    order = [*(place for part in found for place in part), *(k for k in range(len(images)) if k not in held)]
    return [images[place] for place in order], [sum(map(len, found[:number])) for number in range(len(found) + 1)]


def _name_bytes(image: Mapping[str, Any]) -> bytes:
    """Of an image's file name, also one whose bytes are no text."""
    return str(image["file_name"]).encode("utf-8", "surrogatepass")


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

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.3 (D_verify).
    """

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
        store(fresh, _some_images(content, [image for image in content["images"] if image["id"] in chosen]))

    place = once(cache_folder() / f"verify-{digest(source.annotations, seed, count)}", write)
    return replace(prepared(place, source.images), given=source.given)


def resized(source: CocoSource, longest: int) -> CocoSource:
    """The same images, none of them longer than `longest` px, kept in the cache; outlines of objects are dropped.

    Those that are no longer are linked to, and neither read nor copied.

    Args:
        source: checked.
        longest: most pixels of the longer side, from 16.

    Raises:
        InputError: an image cannot be read, or has another size than the file says.
    """
    key = hashlib.sha256(f"{_VERSION} {source.annotations} {source.images} {longest}".encode()).hexdigest()[:12]
    place = once(cache_folder() / f"resized-{key}", lambda fresh: _write_resized(source, longest, fresh))
    found = coco_source(place / "annotations.json", place / "images", source.name)
    left_out = source.left_out + found.left_out
    return replace(found, left_out=left_out, held_out_of=source.held_out_of, spoilt=source.spoilt)


def came_as(image: Mapping[str, Any]) -> str:
    """The file name that an image of a data set had when a person handed it over."""
    return str(image.get(_CAME_AS, image["file_name"]))


def _write_resized(source: CocoSource, longest: int, folder: Path) -> None:
    import cv2

    content = json.loads(source.annotations.read_text())
    (folder / "images").mkdir()
    factors: dict[Any, tuple[float, float]] = {}
    images = []
    for number, image in enumerate(content["images"]):
        file, (width, height) = source.images / image["file_name"], (int(image["width"]), int(image["height"]))
        share = longest / max(width, height)
        if share >= 1:
            name, size = f"{number:06d}{file.suffix}", (width, height)
            (folder / "images" / name).symlink_to(file.absolute())
        else:
            found = pictures.pixels(file)
            if found.shape[:2] != (height, width):
                raise InputError(
                    f"{source.name} says {width} x {height} of {printable(image['file_name'])}, the image is read as "
                    f"{found.shape[1]} x {found.shape[0]}: its boxes may be of the unturned picture"
                )
            name, size = f"{number:06d}.png", (max(1, round(width * share)), max(1, round(height * share)))
            cv2.imwrite(str(folder / "images" / name), cv2.resize(found, size, interpolation=cv2.INTER_AREA))
        factors[image["id"]] = (size[0] / width, size[1] / height)
        facts = {"file_name": name, "width": size[0], "height": size[1], _CAME_AS: came_as(image)}
        images.append({"id": image["id"], **facts})
    boxes = []
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        across, down = factors[entry["image_id"]]
        scaled = {"bbox": [x * across, y * down, w * across, h * down], "area": entry["area"] * across * down}
        boxes.append({name: value for name, value in entry.items() if name != "segmentation"} | scaled)
    # Without what stands beside the names: which categories are classes was decided for all splits together.
    categories = [{"id": one["id"], "name": one["name"]} for one in content["categories"]]
    clean = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(clean))
