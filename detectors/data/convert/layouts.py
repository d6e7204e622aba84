"""Layouts: what a path that a person names as data is, and which splits it has."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from detectors.data.convert import voc, yolo
from detectors.data.convert.find import split_folders, split_of
from primitives.errors import InputError
from primitives.text.printable import printable

_log = logging.getLogger(__name__)
_YAML = {".yaml", ".yml"}
_ROBOFLOW = "_annotations.coco.json"
_NAMES = {"coco": "COCO JSON", "yolo": "YOLO", "voc": "Pascal VOC"}
_KNOWN = (
    "known: COCO JSON (a file, or a folder with one for each split), YOLO (data.yaml or classes.txt, and labels in "
    "txt), Pascal VOC or LabelImg (XML), and what Roboflow exports of these"
)
_CHUNK = 1 << 20
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.){0,4096}")')


def format_of(path: Path) -> str:
    """How the annotations at a path are written: coco, yolo or voc.

    Raises:
        InputError: no such file or folder, or none of these.
    """
    try:
        found = _of_folder(path) if path.is_dir() else _of_file(path) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {printable(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    if found is None:
        raise InputError(f"no annotation file at {printable(path)!r}")
    if not found:
        what = "a folder without annotations" if path.is_dir() else "no annotations"
        raise InputError(f"{printable(path)} is {what} of a known format; {_KNOWN}")
    return found


def _of_file(path: Path) -> str:
    ending = path.suffix.lower()
    if ending in _YAML:
        return "yolo"
    with path.open("rb") as stream:
        first = stream.read(200).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if first == b"<":
        return "voc"
    return "yolo" if ending == ".txt" else "coco"  # who reads JSON says what is wrong with it


def _of_folder(path: Path) -> str:
    if any(_roboflow(path)):
        return "coco"
    if yolo.is_yolo(path):
        return "yolo"
    if next((file for file in path.rglob("*") if file.suffix.lower() == ".xml"), None) is not None:
        return "voc"
    return "coco" if any(_jsons(path)) else ""


def root_of(path: Path, kind: str) -> Path:
    """What a converter of a format takes of a path: for labels alone the folder of the data set."""
    if kind == "voc" and path.is_dir() and path.name == "Annotations":
        return path.parent
    if kind == "voc" and path.is_file():
        return path.parent.parent if path.parent.name == "Annotations" else path.parent
    if kind == "yolo" and path.is_file() and path.suffix.lower() not in _YAML:
        above = (folder for folder in path.absolute().parents if folder.name == "labels")
        return next(above, path.parent / "labels").parent
    return path


def parts(path: str | Path, images: str | Path | None = None) -> dict[str, dict[str, str]]:
    """The splits of the data at a path, as plain values of a description.

    Args:
        path: COCO JSON, the folder of a data set, YOLO's data.yaml, or a file of labels.
        images: folder of the images, for COCO JSON; None for where they are found.

    Returns:
        By train, val and test; where the data has no splits it is all `train`.

    Raises:
        InputError: no data in a known format, or images that are not found.
    """
    path = Path(path)
    kind = format_of(path)
    folder = path.is_dir() or kind != "coco"
    if folder and images is not None:
        raise InputError(
            f"--images is for annotations in a file of COCO JSON; {printable(path)} is {_NAMES[kind]} in a folder, "
            "which says where its images are"
        )
    if not folder:
        return {"train": _coco(path, images)}
    found = _coco_splits(path) if kind == "coco" else _converted_splits(path, root_of(path, kind), kind)
    _log.warning("%s: %s, with %s", printable(path), _NAMES[kind], " and ".join(found) if len(found) > 1 else "1 split")
    return found


def part(name: str, path: str | Path, images: str | Path | None = None) -> dict[str, str]:
    """One split of the data at a path: that of its name, or all where it has none; arguments and errors as of `parts`.

    Args:
        name: train, val or test.
        path: of the data.
        images: folder.
    """
    found = parts(path, images)
    if name not in found and list(found) != ["train"]:
        raise InputError(f"{printable(path)} has no split for {name}; it has {', '.join(found)}")
    return found.get(name) or found["train"]


def _converted_splits(path: Path, root: Path, kind: str) -> dict[str, dict[str, str]]:
    splits = (yolo if kind == "yolo" else voc).splits(root)
    if not splits:
        return {"train": {"annotations": str(path)}}
    return {name: {"annotations": str(path), "split": inner} for name, inner in splits.items()}


def _coco_splits(root: Path) -> dict[str, dict[str, str]]:
    roboflow = dict(_roboflow(root))
    if roboflow:
        return {name: {"annotations": str(file), "images": str(file.parent)} for name, file in roboflow.items()}
    by_split: dict[str, list[Path]] = {}
    for file in _jsons(root):
        by_split.setdefault(split_of(file.stem) or "", []).append(file)
    named = {name: files for name, files in by_split.items() if name}
    chosen = {name: _one(root, files) for name, files in (named or {"train": by_split.get("", [])}).items()}
    order = [name for name in ("train", "val", "test") if name in chosen]
    return {name: _coco(chosen[name], None) for name in order}


def _one(root: Path, files: list[Path]) -> Path:
    """COCO has captions and keypoints beside the instances of a split."""
    found = [file for file in files if "instances" in file.stem] or files
    if len(found) > 1:
        names = ", ".join(printable(file.name) for file in found[:5])
        raise InputError(f"{printable(root)}: {len(found)} files may be meant: {names}; name one of them by --data")
    return found[0]


def _jsons(root: Path) -> Iterator[Path]:
    for folder in (root, root / "annotations"):
        if folder.is_dir():
            yield from (file for file in sorted(folder.glob("*.json")) if _first_name(file) is not None)


def _roboflow(root: Path) -> Iterator[tuple[str, Path]]:
    """Roboflow's annotations by split; of a folder of one split they are all there is."""
    found = {name: folder / _ROBOFLOW for name, folder in split_folders(root).items()}
    there = {name: file for name, file in found.items() if file.is_file()}
    if not there and (root / _ROBOFLOW).is_file():
        there = {"train": root / _ROBOFLOW}
    yield from there.items()


def _coco(file: Path, images: str | Path | None) -> dict[str, str]:
    if images is None:
        images = _images_of(file)
    return {"annotations": str(file), "images": str(images)}


def _images_of(file: Path) -> Path:
    """The folder that holds the first image of a file in COCO format, where people keep images."""
    first = _first_name(file)
    split, words = split_of(file.stem), re.split(r"[^a-z0-9]+", file.stem.lower())
    names = ["", "images", file.stem, *words[::-1], *([split, "valid"] if split == "val" else [split] if split else [])]
    for above in (file.parent, file.parent.parent):
        for folder in (place for name in dict.fromkeys(names) for place in (above / name, above / "images" / name)):
            if first and (folder / first).is_file():
                return folder
    raise InputError(
        f"--data {printable(file)} needs --images, the folder of its images; the first of them"
        + (f", {printable(repr(first), 120)}, is not beside it" if first else " is not named")
    )


def _first_name(file: Path) -> str | None:
    """The first file name in a file of COCO JSON, read no further than to it; None for none."""
    rest = b""
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found = _FILE_NAME.search(rest + chunk)
                if found:
                    return str(json.loads(found[1]))
                rest = chunk[-8192:]
    except (OSError, ValueError):
        return None
    return None
