"""Convert: labels of Pascal VOC and BDD100K become COCO JSON.

VOC's XML is read by the standard library's expat, which fetches nothing from outside; a file that declares entities,
the one way to make it use memory without end, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from primitives.errors import InputError

_VOC = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
_BDD = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign")
_BDD_OTHER_NAMES = {"person": "pedestrian", "motor": "motorcycle", "bike": "bicycle", "van": "car", "caravan": "car"}
_BDD_IGNORED = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
_BDD_SIZE = {"width": 1280, "height": 720}


def voc(folder: str | Path, split: str | None = None) -> dict[str, Any]:
    """Annotations of Pascal VOC as COCO content.

    Boxes are those of mmdetection: 1 is taken from every corner. Difficult objects become crowd regions, which are
    neither trained on nor asked for. The classes are VOC's 20, or, where there are others, all that are found.

    Args:
        folder: of a year (VOCdevkit/VOC2007), or of several (VOCdevkit); file names are relative to it.
        split: list in ImageSets/Main; years without it are left out. None for every annotation.

    Raises:
        InputError: no such folder or list, or a file that is no annotation of VOC.

    Source: Everingham et al. 2010, The Pascal Visual Object Classes Challenge.
    """
    folder = Path(folder)
    years = [folder] if (folder / "Annotations").is_dir() else sorted(folder.glob("VOC*/"))
    listed = [(year, name) for year in years for name in _voc_names(year, split)]
    if not listed:
        raise InputError(
            f"{folder}: nothing to convert; needs Annotations/NAME.xml, in it or in VOC* folders below"
            + (f", and the list ImageSets/Main/{split}.txt" if split else "")
        )
    images: list[dict[str, Any]] = []
    found: list[tuple[int, str, list[float], int]] = []
    for number, (year, name) in enumerate(listed, start=1):
        root = _xml(year / "Annotations" / f"{name}.xml")
        inner = (year / "JPEGImages").relative_to(folder)
        image = {"file_name": str(inner / _text(root, "filename", f"{name}.jpg"))}
        sides = {side: int(_number(root, f"size/{side}", name)) for side in ("width", "height")}
        images.append({"id": number, **image, **sides})
        for item in root.findall("object"):
            left, top, right, bottom = (_number(item, f"bndbox/{c}", name) for c in ("xmin", "ymin", "xmax", "ymax"))
            box = [left - 1, top - 1, right - left, bottom - top]
            found.append((number, _text(item, "name", ""), box, int(_text(item, "difficult", "0") == "1")))
    names = {name for _, name, _, _ in found}
    classes = _VOC if names <= set(_VOC) else sorted(names)
    return _content(images, classes, found)


def _voc_names(year: Path, split: str | None) -> list[str]:
    """Names of the annotations of a year, without ending."""
    if split is None:
        return sorted(path.stem for path in (year / "Annotations").glob("*.xml"))
    file = year / "ImageSets" / "Main" / f"{split}.txt"
    return [line.split()[0] for line in file.read_text().splitlines() if line.split()] if file.is_file() else []


def _xml(file: Path) -> ElementTree.Element:
    try:
        content = file.read_bytes()
        if b"<!ENTITY" in content:
            raise InputError(f"{file}: declares entities, which no annotation of VOC does")
        root = ElementTree.fromstring(content)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise InputError(f"{file}: not XML: {error}") from None
    if root.tag != "annotation":
        raise InputError(f"{file}: not an annotation of VOC: the first element is {root.tag!r}")
    return root


def _text(element: ElementTree.Element, path: str, default: str) -> str:
    return (element.findtext(path) or default).strip()


def _number(element: ElementTree.Element, path: str, name: str) -> float:
    text = _text(element, path, "")
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"annotation {name}: {path} must be a number, got {text!r}") from None
    return int(value) if value.is_integer() else value


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
    found: list[tuple[int, str, list[float], int]] = []
    for number, frame in enumerate(_frames(file), start=1):
        images.append({"id": number, "file_name": frame["name"], **_BDD_SIZE})
        for label in frame.get("labels") or ():
            box = label.get("box2d") if isinstance(label, dict) else None
            if box is None:
                continue
            name = str(label.get("category"))
            name = _BDD_OTHER_NAMES.get(name, name)
            crowd = name in _BDD_IGNORED or (label.get("attributes") or {}).get("crowd") is True
            name = _BDD_IGNORED.get(name, name)
            if name not in _BDD:
                raise InputError(f"{file}: {frame['name']} has unknown category {name!r}; known: {', '.join(_BDD)}")
            try:
                left, top, right, bottom = (float(box[corner]) for corner in ("x1", "y1", "x2", "y2"))
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{file}: {frame['name']} has a box2d {box!r}; needs x1, y1, x2, y2") from None
            found.append((number, name, [left, top, right - left + 1, bottom - top + 1], int(crowd)))
    return _content(images, _BDD, found)


def _frames(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{file}: not labels of BDD100K: needs a list of frames, each with name and labels")
    for frame in frames:
        if not (isinstance(frame, dict) and isinstance(frame.get("name"), str)):
            raise InputError(f"{file}: a frame must be an object with a name, got {str(frame)[:80]}")
        yield frame


def _content(
    images: list[dict[str, Any]], classes: Sequence[str], found: Sequence[tuple[int, str, list[float], int]]
) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(classes, start=1)}
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
    return {"images": images, "annotations": annotations, "categories": categories}
