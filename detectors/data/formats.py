"""Formats: what a path that should be COCO JSON is instead, said before anything slow begins."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors.data.description import Coco
from primitives.errors import InputError
from primitives.text.printable import printable

_YAML = {".yaml", ".yml"}


def look(data: Mapping[str, Any]) -> None:
    """Refuses data whose files cannot be what its description says, by their first bytes.

    Args:
        data: a description as of `detectors.data.splits.sources`.

    Raises:
        InputError: no description, no such file or folder, or another format than COCO's.
    """
    if data.get("type") != "coco":  # the scenes of digits have no files yet, and other types are other evaluators'
        return
    for part in Coco.read(data, "data of type 'coco'", "data.").parts.values():
        look_at(part.annotations, part.images)


def look_at(annotations: object, images: object = None) -> None:
    """Refuses annotations that are no JSON, and images that are no folder.

    Args:
        annotations: path of the file.
        images: folder, None for none to look at.

    Raises:
        InputError: no path, no such file or folder, or another format than COCO's.
    """
    file, folder = _path(annotations, "annotations"), None if images is None else _path(images, "images")
    try:
        found = kind(file)
        there, listed = file.is_file(), folder is None or folder.is_dir()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {printable(file)!r}: {why}") from None
    if found:
        raise InputError(f"{printable(file)} is {found}")
    if not there:
        raise InputError(f"no annotation file at {printable(file)!r}")
    if not listed:
        raise InputError(f"no image folder at {printable(images)!r}, which {printable(file)} needs")


def _path(value: object, what: str) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise InputError(f"{what} must be a path, got {printable(repr(value))}")
    return Path(value)


def kind(path: Path) -> str:
    """What annotations are that are no JSON, with what makes COCO JSON of them; empty where they may be JSON."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        return ""
    if path.suffix.lower() in _YAML:
        return f"the description of a YOLO data set, no COCO JSON; {_command('yolo', path)} makes one of it"
    with path.open("rb") as stream:
        first = stream.read(200).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if first in (b"{", b"["):
        return ""
    if first == b"<":
        return f"XML, no COCO JSON; if it is of VOC or LabelImg, {_command('voc', path.parent)} makes one of its folder"
    if path.suffix.lower() == ".txt":
        return f"text, no COCO JSON; if it is of YOLO, {_command('yolo', _yolo_root(path))} makes one of its folder"
    return ""


def _of_folder(path: Path) -> str:
    if is_yolo(path):
        return f"a YOLO folder, no COCO JSON; {_command('yolo', path)} makes one of it"
    if next(path.rglob("*.xml"), None) is not None:
        return f"a folder of XML files, no COCO JSON; if they are of VOC or LabelImg, {_command('voc', path)} makes one"
    return "a folder, no COCO JSON; name the file of the annotations in it"


def is_yolo(path: Path) -> bool:
    """Whether a folder is laid out as YOLO's data sets are."""
    if any(entry.suffix.lower() in _YAML for entry in path.iterdir() if entry.is_file()):
        return True
    return (path / "classes.txt").is_file() or next((path / "labels").rglob("*.txt"), None) is not None


def _yolo_root(file: Path) -> Path:
    """The folder that holds labels/ above a file of labels."""
    for folder in file.absolute().parents:
        if folder.name == "labels":
            return folder.parent
    return file.parent


def _command(kind: str, path: Path) -> str:
    return f"`autoloss data convert {kind} {shlex.quote(printable(path))} --out FILE.json`"
