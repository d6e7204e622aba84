"""Content: what conversions found, as COCO content, and how they read and say it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detectors.data.findings import Findings
from detectors.data.names import alike
from primitives.errors import InputError
from primitives.text.printable import printable

_log = logging.getLogger(__name__)
Found = tuple[int, str, list[float], int]
"""Number of the image, class, xywh box in px and crowd flag."""


def content(
    images: list[dict[str, Any]], classes: Sequence[str], found: Sequence[Found], notes: Findings
) -> dict[str, Any]:
    """COCO content; what a person should know of the conversion is logged, and kept in its `info`.

    Args:
        images: entries.
        classes: in the order of their ids, from 1.
        found: number of the image, class, xywh box in px and crowd flag of each.
        notes: what was found on the way.

    Raises:
        InputError: an object of another class.
    """
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    others = sorted({name for _, name, _, _ in found} - numbers.keys())
    if others:
        first = ", ".join(map(shown, list(numbers)[:30]))
        raise InputError(f"objects of class {shown(others[0])}, which is none of the classes asked for: {first}")
    for one, other in alike(numbers):
        notes.tell("class whose name is nearly another's", "{!r} and {!r} are two classes", one, other)
    for note in notes.problems():
        _log.warning("%s: %d, first: %s", note.name, note.count, note.first)
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": numbers[name],
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": crowd,
        }
        for number, (image, name, box, crowd) in enumerate(found, start=1)
    ]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    made: dict[str, Any] = {"images": images, "annotations": annotations, "categories": categories}
    if notes.problems():
        made["info"] = {"notes": [asdict(note) for note in notes.problems()]}
    return made


def lines_of(file: Path) -> list[str]:
    """The lines of a file of text.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: no text in UTF-8") from None


def turned(corners: list[float], where: object, notes: Findings) -> list[float]:
    """Corners in order; a box drawn from the right or from below is the same box."""
    left, top, right, bottom = corners
    if left > right or top > bottom:
        notes.tell("box whose corners were swapped", "{}: {:g}, {:g}, {:g}, {:g}", where, *corners)
    return [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]


def shown(value: object) -> str:
    """A value of a file in a message."""
    return printable(repr(value), 80)
