"""BDD100K: its detection labels become COCO content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detectors.data.annotations import is_pixels
from detectors.data.convert.content import Found, content, shown, turned
from detectors.data.findings import Findings
from detectors.data.names import is_text
from primitives.errors import InputError
from primitives.text.printable import printable

_BDD = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign")
_BDD_OTHER_NAMES = {"person": "pedestrian", "motor": "motorcycle", "bike": "bicycle", "van": "car", "caravan": "car"}
_BDD_IGNORED = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
_BDD_SIZE = {"width": 1280, "height": 720}


def bdd100k(file: str | Path) -> dict[str, Any]:
    """Detection labels of BDD100K as COCO content; 10 classes, images of 1280 x 720.

    Boxes include their last pixel. Persons and vehicles of other kinds and trailers become crowd regions of the
    nearest class, as in the authors' own conversion. Lanes and areas are left out.

    Args:
        file: det_train.json or det_val.json of 2020, or the older labels with the same boxes.

    Raises:
        InputError: no such file, or not a list of frames with labels.

    Source: Yu et al. 2020, arXiv 1805.04687.
    """
    file = Path(file)
    images: list[dict[str, Any]] = []
    found: list[Found] = []
    names: set[str] = set()
    notes = Findings()
    for number, frame in enumerate(_frames(file), start=1):
        if frame["name"] in names:
            raise InputError(f"{file}: two frames are called {shown(frame['name'])}; join their labels in one")
        names.add(frame["name"])
        images.append({"id": number, "file_name": frame["name"], **_BDD_SIZE})
        where = f"{printable(file)}: {shown(frame['name'])}"
        found += [(number, *one) for label in frame.get("labels") or () for one in _bdd_box(label, where, notes)]
    return content(images, _BDD, found, notes)


def _bdd_box(label: object, where: str, notes: Findings) -> Iterator[tuple[str, list[float], int]]:
    """Class, box and crowd flag of a label, where it has a box."""
    if not isinstance(label, dict):
        raise InputError(f"{where} has a label that is no object: {shown(label)}")
    box = label.get("box2d")
    if box is None:
        return
    name, attributes = str(label.get("category")), label.get("attributes") or {}
    name = _BDD_OTHER_NAMES.get(name, name)
    crowd = name in _BDD_IGNORED or (isinstance(attributes, dict) and attributes.get("crowd") is True)
    name = _BDD_IGNORED.get(name, name)
    if name not in _BDD:
        raise InputError(f"{where} has unknown category {shown(name)}; known: {', '.join(_BDD)}")
    corners: list[Any] = [box.get(corner) for corner in ("x1", "y1", "x2", "y2")] if isinstance(box, dict) else [None]
    if not all(map(is_pixels, corners)):
        raise InputError(f"{where} has a box2d {shown(box)}; needs x1, y1, x2, y2, numbers of pixels")
    left, top, right, bottom = turned(corners, where, notes)
    yield name, [left, top, right - left + 1, bottom - top + 1], int(crowd)


def _frames(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        read = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    frames = read.get("frames") if isinstance(read, dict) else read
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{file}: not labels of BDD100K: needs a list of frames, each with name and labels")
    for frame in frames:
        if not (isinstance(frame, dict) and is_text(frame.get("name"))):
            raise InputError(f"{file}: a frame must be an object with a name, got {shown(frame)}")
        if not isinstance(frame.get("labels"), (list, type(None))):
            raise InputError(f"{file}: {shown(frame['name'])} has labels that are no list: {shown(frame['labels'])}")
        yield frame
