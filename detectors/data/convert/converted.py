"""Converted: annotations of other formats as COCO JSON in the cache, made once for the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from detectors.data.annotations import read
from detectors.data.cache import cache_folder, once
from detectors.data.convert.find import KINDS
from detectors.data.convert.layouts import format_of, part, parts, root_of
from detectors.data.convert.voc import voc
from detectors.data.convert.yolo import yolo
from primitives.errors import InputError
from primitives.text.printable import printable

_VERSION = 2  # of what converters make; part of the names of the folders
_FILE = "annotations.json"
_LABELS = {".xml", ".txt", ".yaml", ".yml"}
_CONVERTERS = {"voc": voc, "yolo": yolo}


def as_coco(path: str | Path, images: str | Path | None = None, split: str | None = None) -> tuple[Path, Path]:
    """A file in COCO format and the folder of its images.

    Args:
        path: of data in any format, as a part of a description names it.
        images: folder, for COCO JSON; None for where they are found.
        split: of a folder, as its format calls it.

    Raises:
        InputError: no data in a known format, or what cannot be converted.
    """
    path = Path(path)
    kind = format_of(path)
    if kind == "coco":
        found = part(split or "train", path, images) if images is None or path.is_dir() else {}
        return Path(found.get("annotations", path)), Path(found.get("images") or str(images))
    if images is not None:
        raise InputError(f"images of {printable(path)} are found by its labels; leave `images` out")
    source = root_of(path, kind)
    root = source if source.is_dir() else source.parent
    folder = cache_folder() / f"converted-{_digest(root, kind, str(source.absolute()), split)}"
    once(folder, lambda fresh: _write(fresh / _FILE, _CONVERTERS[kind](source, split)))
    return folder / _FILE, root


def any_format(source: str | Path, split: str | None = None, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """Data of any known format as COCO content; file names are relative to its folder.

    Args:
        source: as of `layouts.parts`.
        split: train, val or test; None for every image, or the one file of COCO JSON.
        classes: names in this order, for YOLO and VOC.

    Raises:
        InputError: no data in a known format, or a split that it does not have.
    """
    source = Path(source)
    kind = format_of(source)
    if kind != "coco":
        inner = None if split is None else part(split, source).get("split", split)
        return _CONVERTERS[kind](root_of(source, kind), inner, classes)
    if classes is not None:
        raise InputError("--classes is for YOLO and VOC; a file in COCO format names its classes")
    found = parts(source)
    if split is None and len(found) > 1:
        raise InputError(f"{printable(source)} has a file for each split; choose one by --split {'|'.join(found)}")
    one = part(split, source) if split else next(iter(found.values()))
    content = read(Path(one["annotations"]))
    base = os.path.relpath(one["images"], source if source.is_dir() else source.parent)
    for image in content["images"] if base != "." else ():
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            image["file_name"] = f"{Path(base).as_posix()}/{image['file_name']}"
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))


def _digest(root: Path, *more: object) -> str:
    """Of the bytes of all labels below a folder, and of the names, sizes and times of all images."""
    found = hashlib.sha256(json.dumps([_VERSION, *more]).encode())
    for file in _files(root):
        found.update(os.fsencode(file) + b"\0")
        try:
            if file.suffix.lower() in _LABELS:
                found.update(file.read_bytes())
            else:
                state = file.stat()
                found.update(f"{state.st_size} {state.st_mtime_ns}".encode())
        except OSError as error:
            raise InputError(f"cannot read {printable(file)}: {error.strerror}") from None
    return found.hexdigest()[:12]


def _files(root: Path) -> Iterator[Path]:
    """Labels and images below a folder, also behind links, in order; no folder twice."""
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if _first(seen, Path(folder) / name))
        yield from (Path(folder) / name for name in sorted(names) if Path(name).suffix.lower() in _LABELS | KINDS)


def _first(seen: set[str], folder: Path) -> bool:
    """Whether a folder has not been seen by its real place."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new
