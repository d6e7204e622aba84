"""Images: whether the files of a data set are there, and what mmdetection reads of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors.data.findings import Findings
from primitives.errors import InputError
from primitives.text.printable import printable

SAMPLE = 32  # images opened where not all are asked for


def missing(names: Sequence[str], folder: Path) -> list[str]:
    """The names that are no files in a folder, in their order.

    Every folder is listed once; on a local disk that takes as long as a question per file, 0.3 s for 118,000.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[os.path.dirname(name)].append(name)
    absent: set[str] = set()
    for inner, inside in by_folder.items():
        there = _files(folder / inner)
        absent.update(name for name in inside if os.path.basename(name) not in there)
    return [name for name in names if name in absent]


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # ValueError where a name cannot be one of a file
        return set()


def sample(images: Sequence[Any], count: int = SAMPLE) -> list[Any]:
    """So many, spread evenly."""
    return [images[place] for place in spaced(len(images), count)]


def spaced(total: int, count: int) -> list[int]:
    """Places of so many of all images, evenly spaced; all where there are no more."""
    step = max(1.0, total / count)
    return [int(index * step) for index in range(min(count, total))]


def look(images: Sequence[Mapping[str, Any]], folder: Path, findings: Findings) -> None:
    """Opens images as mmdetection's LoadImageFromFile does and notes what disagrees with the annotations.

    That is in colour with 8 bits, whatever the file has, and turned as its EXIF tag says.

    Args:
        images: entries of the annotations; their files are there.
        folder: that the names are relative to.
        findings: where problems are noted.
    """
    import mmcv

    for image in images:
        name, said = image["file_name"], (image["width"], image["height"])
        content = _bytes(folder / name)
        pixels = _decoded(mmcv, content)
        if pixels is None:
            findings.stop(
                "image that cannot be read", "{!r} is no image that mmdetection can read, or is cut off", name
            )
            continue
        size = (pixels.shape[1], pixels.shape[0])
        turn = _orientation(content)
        if size != said:
            why = f", turned as its EXIF tag {turn} says" if turn > 1 and size == said[::-1] else ""
            template = "{!r} has {} x {} in the annotations, mmdetection reads {} x {}{}: its boxes would lie elsewhere"
            findings.stop("image of another size", template, name, *said, *size, why)
        elif turn > 1:
            template = "{!r} has EXIF tag {}: mmdetection turns it, so its boxes must be those of the turned image"
            findings.tell("image that EXIF turns", template, name, turn)


def pixels(file: Path) -> Any:
    """An image (H, W, 3), uint8, BGR, as mmdetection reads it; its name may be of bytes that are no text.

    Raises:
        InputError: it cannot be read.
    """
    import mmcv

    found = _decoded(mmcv, _bytes(file))
    if found is None:
        raise InputError(f"{printable(file)}: not an image that can be read")
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError):
        return b""


def _decoded(mmcv: Any, content: bytes) -> Any:
    import cv2

    try:
        return mmcv.imfrombytes(content) if content else None
    except cv2.error:
        return None


def _orientation(content: bytes) -> int:
    """The EXIF tag 'Orientation', 1 where there is none."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return int(picture.getexif().get(0x0112, 1))
    except Exception:  # Pillow raises many kinds on what OpenCV can read; then nothing is known of a tag
        return 1
