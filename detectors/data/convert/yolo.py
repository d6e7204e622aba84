"""YOLO: labels in text files beside images become COCO JSON."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from detectors.data.convert import find
from detectors.data.convert.content import content, lines_of
from detectors.data.convert.find import split_folders
from detectors.data.findings import Findings
from primitives.errors import InputError
from primitives.text.printable import printable

_SPLITS = ("train", "val", "test")
_DIGITS = 6  # after the point, of a pixel: what dividing by the size and multiplying again gets wrong lies below
_YAML = {".yaml", ".yml"}
_log = logging.getLogger(__name__)
_OVER = 1e-3  # rounding may carry a box so far out of its image, as a share of it


def yolo(source: str | Path, split: str | None = None, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """A data set as YOLO's tools keep it, as COCO content.

    A label file has a line for each object: number of the class, then centre, width and height as shares of the image,
    or the corners of an outline, whose box is taken. It lies beside its image, or in `labels` where that is in
    `images`. File names are relative to the folder. An image without a label file has no objects.

    Args:
        source: the folder, or its description (data.yaml).
        split: train, val or test, as the description or the folders below `images` have them. None for every image.
        classes: names in the order of their numbers. None for those of the description or of classes.txt.

    Raises:
        InputError: no such folder or split, no names, an image that cannot be read, or a label that is none.
    """
    root, described = _opened(Path(source))
    names = list(classes) if classes is not None else _names(root, described)
    pictures = _images(root, described, split)
    images: list[dict[str, Any]] = []
    found: list[tuple[int, str, list[float], int]] = []
    notes = Findings()
    for number, picture in enumerate(pictures, start=1):
        size = find.size(picture)
        if size is None:
            raise InputError(f"{printable(picture)}: no image that can be read, or cut off")
        name = picture.relative_to(root).as_posix()
        images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        labels = _labels(picture, root)
        if labels is None:
            notes.tell("image without a label file, taken to show no object", "{!r}", name)
            continue
        found += [(number, names[kind], box, 0) for kind, box in _boxes(labels, len(names), size)]
    if not found:
        raise InputError(f"{printable(root)}: {len(images)} images and no label of an object in .txt files beside them")
    return content(images, names, found, notes)


def is_yolo(path: Path) -> bool:
    """Whether a folder is laid out as YOLO's data sets are."""
    if any(_describes(entry) for entry in path.iterdir() if entry.suffix.lower() in _YAML and entry.is_file()):
        return True
    if (path / "classes.txt").is_file() and next(path.rglob("*.xml"), None) is None:
        return True
    return next((path / "labels").rglob("*.txt"), None) is not None


def _describes(file: Path) -> bool:
    """Whether a file names classes, as YOLO's descriptions do; one that cannot be read is left to who reads it."""
    try:
        read = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return True
    return isinstance(read, dict) and bool({"names", "train", "nc"} & read.keys())


def splits(source: Path) -> dict[str, str]:
    """Train, val and test of a data set as `yolo` takes them; those of a description whose folders are there."""
    root, described = _opened(source)
    said = {name: described[name] for name in _SPLITS if described.get(name)}
    if said:
        there = {name: name for name in said if name == "train" or _is_there(root, described, said[name])}
        for name in sorted(said.keys() - there.keys()):
            _log.warning("%s: its description names a split %s that is not there", printable(root), name)
        return there
    found = split_folders(root / "images") or split_folders(root)
    return {name: place.name for name, place in found.items() if find.images(place)}


def _is_there(root: Path, described: Mapping[str, Any], said: object) -> bool:
    try:
        return any(True for place in _places(root, described, said) for _ in _in(root, place))
    except InputError:
        return False


def _opened(source: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder that names are relative to, and what its description says."""
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in _YAML)
        file = next((path for path in files if path.stem == "data"), files[0] if len(files) == 1 else None)
    elif source.is_file():
        file = source
    else:
        raise InputError(f"no folder or description of a YOLO data set at {printable(source)!r}")
    if file is None:
        return source, {}
    try:
        read = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {printable(file)}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{printable(file)}: not YAML: {printable(' '.join(str(error).split()))}") from None
    if not isinstance(read, dict):
        raise InputError(f"{printable(file)}: not the description of a YOLO data set: needs names, train and val")
    return file.parent, read


def _names(root: Path, described: Mapping[str, Any]) -> list[str]:
    given = described.get("names")
    if isinstance(given, dict) and sorted(map(str, given)) == sorted(map(str, range(len(given)))):
        given = [{str(key): name for key, name in given.items()}[str(number)] for number in range(len(given))]
    if given is None:
        file = next((path for path in (root / "classes.txt", root / "labels" / "classes.txt") if path.is_file()), None)
        if file is None:
            raise InputError(
                f"{printable(root)}: no names of classes; needs data.yaml with names, classes.txt, or --classes A,B,C"
            )
        given = [line.strip() for line in lines_of(file) if line.strip()]
    if isinstance(given, list) and any(isinstance(name, bool) for name in given):
        raise InputError(f"{printable(root)}: a name of a class is read as yes or no; put such names in quotes")
    if not isinstance(given, list) or not all(isinstance(name, (str, int)) and str(name).strip() for name in given):
        raise InputError(f"{printable(root)}: names must be a list of texts, got {printable(repr(given))}")
    names = [str(name) for name in given]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{printable(root)}: two classes are called {printable(repr(twice), 80)}")
    return names


def _images(root: Path, described: Mapping[str, Any], split: str | None) -> list[Path]:
    """The images of a split, or of all, as the description names them, else as they lie."""
    said = {name: described[name] for name in _SPLITS if described.get(name)}
    if split is not None and find.split_of(split) is None:
        raise InputError(f"unknown split {printable(repr(split))}; choices: {', '.join(_SPLITS)}")
    if said and split is not None:
        split = find.split_of(split)
    if said and split is not None and split not in said:
        raise InputError(f"{printable(root)}: its description has no {split}; choices: {', '.join(said)}")
    places = [place for name in said if split in (None, name) for place in _places(root, described, said[name])]
    if not said:
        inner = root / "images" if (root / "images").is_dir() else root
        places = [
            inner if split is None else next((p for p in (inner / split, root / split) if p.is_dir()), inner / split)
        ]
    found = dict.fromkeys(image for place in places for image in _in(root, place))
    if not found:
        raise InputError(f"no images in {', '.join(printable(place) for place in places[:3])}")
    return list(found)


def _places(root: Path, described: Mapping[str, Any], said: object) -> Iterator[Path]:
    """The folders that a description names, looked for where tools that write such descriptions mean them."""
    for text in said if isinstance(said, list) else [said]:
        if not isinstance(text, str):
            raise InputError(f"{printable(root)}: a split must be a folder of images, got {printable(repr(text), 80)}")
        base = str(described.get("path") or ".")
        tries = [root / base / text, root / text, root / text.removeprefix("../")]
        place = next((one for one in tries if _holds_images(one)), None)
        if place is None:
            raise InputError(
                f"{printable(root)}: its description names {printable(repr(text), 80)}, which is no folder of images, "
                "nor a list of them in .txt"
            )
        resolved = place.resolve()
        if root.resolve() not in (resolved, *resolved.parents):
            raise InputError(
                f"{printable(root)}: its description names {printable(resolved)}, which lies outside of it"
            )
        yield root / resolved.relative_to(root.resolve())


def _holds_images(place: Path) -> bool:
    try:
        return place.is_dir() or (place.suffix.lower() == ".txt" and place.is_file())
    except (OSError, ValueError):
        return False


def _in(root: Path, place: Path) -> Iterator[Path]:
    """The images in a folder, or those that a file lists, by paths relative to it or to the root."""
    if place.is_dir():
        yield from find.images(place)
        return
    for line in filter(None, map(str.strip, lines_of(place))):
        tries = [place.parent / line, root / line]
        image = next((one for one in tries if one.is_file()), None)
        if image is None:
            raise InputError(f"{printable(place)} lists {printable(repr(line), 120)}, which is no file")
        inner = os.path.relpath(image, root)  # as it is named: what is named may be a link
        if inner.startswith(".."):
            raise InputError(f"{printable(place)} lists {printable(image)}, which lies outside of {printable(root)}")
        yield root / inner


def _labels(picture: Path, root: Path) -> Path | None:
    """The label file of an image; `images` becomes `labels`, the last one in the path, as in Ultralytics' tools."""
    parts = list(picture.relative_to(root).with_suffix(".txt").parts)
    tries = [root.joinpath(*parts)]
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        tries.insert(0, root.joinpath(*parts[:at], "labels", *parts[at + 1 :]))
    return next((file for file in tries if file.is_file()), None)


def _boxes(file: Path, classes: int, size: tuple[int, int]) -> Iterator[tuple[int, list[float]]]:
    """Class and xywh box in px of every line."""
    for number, line in enumerate(lines_of(file), start=1):
        if not line.split():
            continue
        kind, *shares = _numbers(line, f"{printable(file)}, line {number}")
        if not (kind == int(kind) and 0 <= kind < classes):
            raise InputError(f"{printable(file)}, line {number}: class {kind:g}, and there are {classes}, from 0")
        if not all(-_OVER <= share <= 1 + _OVER for share in shares):
            bad = next(share for share in shares if not -_OVER <= share <= 1 + _OVER)
            raise InputError(f"{printable(file)}, line {number}: {bad:g} is no share of the image, from 0 to 1")
        left, top, right, bottom = _corners(shares)
        box = [left * size[0], top * size[1], (right - left) * size[0], (bottom - top) * size[1]]
        yield int(kind), [round(side, _DIGITS) for side in box]


def _numbers(line: str, where: str) -> list[float]:
    try:
        values = [float(part) for part in line.split()]
    except ValueError:
        values = []
    if not (len(values) == 5 or (len(values) >= 7 and len(values) % 2)) or not all(map(math.isfinite, values)):
        raise InputError(
            f"{where}: needs class, x, y, width and height, or class and corners x y of an outline, got "
            f"{printable(line, 60)!r}"
        )
    return values


def _corners(shares: Sequence[float]) -> tuple[float, float, float, float]:
    if len(shares) == 4:
        x, y, width, height = shares
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2])
