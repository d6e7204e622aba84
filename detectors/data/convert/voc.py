"""VOC: labels of Pascal VOC and LabelImg become COCO content.

Their XML is read by the standard library's expat, which fetches nothing from outside; a file that declares entities,
the one way to make it use memory without end, is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from detectors.data.annotations import is_pixels
from detectors.data.convert import find
from detectors.data.convert.content import Found, content, lines_of, shown, turned
from detectors.data.convert.find import Finder, last_part, split_folders
from detectors.data.findings import Findings
from primitives.errors import InputError
from primitives.text.printable import printable

_log = logging.getLogger(__name__)

VOC = (
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


def voc(folder: str | Path, split: str | None = None, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """Annotations of Pascal VOC, also as LabelImg writes them, as COCO content.

    Boxes are those of mmdetection: 1 is taken from every corner. Difficult objects become crowd regions, which are
    neither trained on nor asked for. An image is looked for by the name of its XML file, then by what that says; its
    size is that of the file where the XML has none.

    Args:
        folder: of a year (VOCdevkit/VOC2007), of several (VOCdevkit), or any with XML files in it or below; file names
            are relative to it.
        split: list in ImageSets/Main; years without it are left out. Or, where there are no such lists, a folder in
            this one with XML files. None for every annotation.
        classes: in this order; `VOC` for VOC's. None for those that all annotations of the folder have, sorted, which
            are VOC's 20 for VOC.

    Raises:
        InputError: no such folder or list, or a file that is no annotation of VOC.

    Source: Everingham et al. 2010, The Pascal Visual Object Classes Challenge.
    """
    folder = Path(folder)
    years = _years(folder)
    every = [file for year in years for file in _xml_files(year)]
    listed = every if split is None else _listed(folder, years, split)
    if not listed:
        raise InputError(
            f"{folder}: nothing to convert; needs Annotations/NAME.xml, in it or in VOC* folders below, or XML files"
            + (f", and the list ImageSets/Main/{split}.txt or a folder {split}" if split else "")
        )
    finder, notes = Finder(folder), Findings()
    images: list[dict[str, Any]] = []
    found: list[Found] = []
    for number, file in enumerate(listed, start=1):
        root = _xml(file)
        images.append({"id": number, **_voc_image(root, file, finder, notes)})
        found += [(number, *one) for one in _voc_objects(root, file, notes)]
    if classes is None:
        names = {name for _, name, _, _ in found}
        classes = sorted(names.union(*(_voc_names(file) for file in set(every) - set(listed))))
        if names and set(classes) < set(VOC):
            notes.tell(
                "class of VOC's without an object",
                "classes are the {} found; --classes voc gives VOC's",
                len(classes),
                count=20 - len(classes),
            )
    return content(images, classes, found, notes)


def _years(folder: Path) -> list[Path]:
    """The folders that hold Annotations, or else the folder itself."""
    if (folder / "Annotations").is_dir():
        return [folder]
    return [year for year in sorted(folder.glob("VOC*/")) if (year / "Annotations").is_dir()] or [folder]


def _xml_files(year: Path) -> list[Path]:
    inner = year / "Annotations"
    return sorted(path for path in (inner if inner.is_dir() else year).rglob("*") if path.suffix.lower() == ".xml")


def splits(folder: Path) -> dict[str, str]:
    """Train, val and test of a folder as `voc` takes them; those of lists whose annotations are there, else folders."""
    years = _years(folder)
    found: dict[str, str] = {}
    for split, names in (("train", ("train", "trainval")), ("val", ("val",)), ("test", ("test",))):
        for name in names:
            files = [file for year in years for file in _of_split(year, name)]
            absent = sum(not file.is_file() for file in files)
            if files and not absent:
                found.setdefault(split, name)
            elif files:
                template = "%s: %d of the %d annotations of the list %s are not there; it is left out"
                _log.warning(template, printable(folder), absent, len(files), name)
    if found:
        return found
    return {split: place.name for split, place in split_folders(folder).items() if _xml_files(place)}


def _listed(folder: Path, years: Sequence[Path], split: str) -> list[Path]:
    """The annotations of a split."""
    found = [file for year in years for file in _of_split(year, split)]
    inner = next((place for place in split_folders(folder).values() if place.name == split), None)
    return found or ([] if inner is None else _xml_files(inner))


def _of_split(year: Path, split: str) -> list[Path]:
    """The annotations that a list of a year names."""
    file = year / "ImageSets" / "Main" / f"{split}.txt"
    if not file.is_file():
        return []
    lines = [line.strip() for line in lines_of(file) if line.strip()]
    wholes = [(year / "Annotations" / f"{line}.xml", line) for line in lines]
    # Lists of one class have a number behind the name.
    return [whole if whole.is_file() else year / "Annotations" / f"{line.split()[0]}.xml" for whole, line in wholes]


def _xml(file: Path) -> ElementTree.Element:
    try:
        text = file.read_bytes()
        if b"<!ENTITY" in text:
            raise InputError(f"{file}: declares entities, which no annotation of VOC does")
        root = ElementTree.fromstring(text)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: not XML: {error}") from None
    if root.tag != "annotation":
        raise InputError(f"{file}: not an annotation of VOC: the first element is {shown(root.tag)}")
    return root


def _voc_image(root: ElementTree.Element, file: Path, finder: Finder, notes: Findings) -> dict[str, Any]:
    """Name and size of the image of an annotation."""
    said = _text(root, "filename", f"{file.stem}.jpg")
    place = finder.of(file, said)
    if place is None:
        inner = file.parents[1] / "JPEGImages" if file.parent.name == "Annotations" else file.parent
        place = inner / (last_part(said) or f"{file.stem}.jpg")
        notes.tell("image that is not there", "{} is about {!r}", file, said)
    elif place.name != last_part(said):
        notes.tell("image of another name than its annotation says", "{} says {!r}; it is {!r}", file, said, place.name)
    sides = [_side(root, side, file) for side in ("width", "height")]
    if not all(sides):
        size = find.size(place)
        if size is None:
            raise InputError(f"{file}: has no size of its image, and the image {shown(said)} cannot be read to take it")
        notes.tell("annotation without the size of its image", "{}: taken from the image, {} x {}", file, *size)
        sides = list(size)
    return {"file_name": place.relative_to(finder.root).as_posix(), "width": sides[0], "height": sides[1]}


def _side(root: ElementTree.Element, side: str, file: Path) -> int:
    """In pixels; 0 for one that is not said."""
    value = _number(root, f"size/{side}", file) if _text(root, f"size/{side}", "") else 0
    if value < 0 or value != int(value):
        raise InputError(f"{file}: size/{side} must be a whole number of pixels, got {value:g}")
    return int(value)


def _voc_objects(root: ElementTree.Element, file: Path, notes: Findings) -> Iterator[tuple[str, list[float], int]]:
    """Class, box and crowd flag of every object."""
    for number, item in enumerate(root.findall("object"), start=1):
        name = _text(item, "name", "")
        if not name:
            raise InputError(f"{file}: object {number} has no name, so no class; give it one or take it out")
        left, top, right, bottom = (_number(item, f"bndbox/{c}", file) for c in ("xmin", "ymin", "xmax", "ymax"))
        left, top, right, bottom = turned([left, top, right, bottom], file, notes)
        crowd = int(_text(item, "difficult", "0").lower() in ("1", "true"))
        yield name, [left - 1, top - 1, right - left, bottom - top], crowd


def _voc_names(file: Path) -> set[str]:
    return {name for item in _xml(file).findall("object") if (name := _text(item, "name", ""))}


def _text(element: ElementTree.Element, path: str, default: str) -> str:
    return (element.findtext(path) or "").strip() or default


def _number(element: ElementTree.Element, path: str, file: Path) -> float:
    text = _text(element, path, "")
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{file}: {path} must be a number, got {shown(text)}") from None
    if not is_pixels(value):
        raise InputError(f"{file}: {path} must be a number of pixels, got {shown(text)}")
    return int(value) if value.is_integer() else value
