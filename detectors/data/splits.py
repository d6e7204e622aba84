"""Splits: a description of data becomes checked data, a source per split."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors.data.between.classes import like
from detectors.data.between.groups import straddling
from detectors.data.coco import CocoSource, came_as, coco_source, hold_out, one_image_per_class, resized
from detectors.data.convert.converted import as_coco
from detectors.data.convert.layouts import format_of
from detectors.data.description import SPLITS, Coco, Description, Digits, Part, description_of
from detectors.data.digits import digit_scenes
from detectors.data.formats import as_path, look_at
from detectors.data.names import alike
from detectors.data.spoilt.labels import Harm, spoilt
from primitives.errors import InputError, reading
from primitives.system import places
from primitives.text.printable import printable

_log = logging.getLogger(__name__)


def described(data: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """The description of data as plain values, as a run keeps it.

    Args:
        data: the description, or the path of a dataset config: an mmengine config with the one section `data`.

    Raises:
        InputError: no such file, not a config, or one with other sections.
    """
    if isinstance(data, Mapping):
        return dict(data)
    from mmengine.config import Config

    data = places.find(data, "dataset config", folder="datasets")
    with reading(f"{printable(data)}: not a config that mmengine can read"):
        sections = Config.fromfile(str(data)).to_dict()
    if set(sections) != {"data"} or not isinstance(sections["data"], Mapping):
        found = printable(", ".join(map(str, sections)) or "nothing")
        raise InputError(f"{data}: a dataset config has one section, data = dict(type=...); found: {found}")
    return _beside(sections["data"], places.around(data), needed=False)


def located(data: Mapping[str, Any] | str | Path, beside: Sequence[str | Path]) -> dict[str, Any]:
    """A description with the paths as they are found; arguments and errors as of `described`.

    Args:
        data: as `described` takes it.
        beside: folders that are looked in before the working directory.
    """
    if isinstance(data, Mapping):
        description_of(data)  # what is wrong with it comes before what is missing on the disk
        return _beside(data, beside)
    return described(places.find(data, "dataset config", beside, "datasets"))


def _beside(data: Mapping[str, Any], folders: Sequence[str | Path], needed: bool = True) -> dict[str, Any]:
    """A description whose relative paths that stand in one of the folders are whole ones."""
    found = dict(data)
    for split, part in data.items():
        if split in SPLITS and isinstance(part, Mapping):
            paths = {key: part[key] for key in ("annotations", "images") if key in part}
            where = {key: _path(value, f"{key} of data.{split}", folders, needed) for key, value in paths.items()}
            found[split] = {**part, **where}
    return found


def _path(value: object, what: str, folders: Sequence[str | Path], needed: bool) -> object:
    """A path as it is found; what is no path is left to who reads it, and so is what is nowhere unless it is needed."""
    if not isinstance(value, (str, Path)) or not str(value) or not folders:
        return value
    try:
        return str(places.find(value, what, folders))
    except InputError:
        if needed:
            raise
        return value


def sources(data: Mapping[str, Any] | str | Path) -> dict[str, CocoSource]:
    """The data by split: train, val, verify (one image per class of train), and test where there is one.

    Args:
        data: the plain values of a description (`type` 'digits' or 'coco'), or the path of a dataset config with
            them. Without `val`, a fixed fifth of the images of `train` (or so many: `hold_out`) is held out for it, and
            without `test` another fifth; with `val` and without `test` there is no test split.

    Raises:
        InputError: the data cannot be used.
    """
    description = description_of(described(data))
    found = _splits(description)
    return {**found, "verify": one_image_per_class(found["train"], count=description.verify)}


def splits(data: Mapping[str, Any] | str | Path) -> dict[str, CocoSource]:
    """The same without the verification set; arguments and errors as of `sources`."""
    return _splits(description_of(described(data)))


def look(data: Mapping[str, Any]) -> None:
    """Refuses data whose files cannot be what its description says, by their first bytes.

    Args:
        data: a description as of `sources`.

    Raises:
        InputError: no description, no such file or folder, or no known format.
    """
    if data.get("type") != "coco":  # the scenes of digits have no files yet, and other types are other evaluators'
        return
    for part in Coco.read(data, "data of type 'coco'", "data.").parts.values():
        file = as_path(part.annotations, "annotations")
        if format_of(file) == "coco" and part.images is not None:
            look_at(file, part.images)


def say(found: Mapping[str, CocoSource], data: Mapping[str, Any] | str | Path | None = None) -> None:
    """Logs what a person should know of the data before it is used: what is left out and what is held out.

    Args:
        found: by split.
        data: the description that they are of, to say which groups of its `group_by` stand on both sides.
    """
    group_by = None if data is None else described(data).get("group_by")
    if group_by is not None:
        _say_what_stands_on_both_sides(found, group_by)
    for split, source in found.items():
        if source.spoilt:
            _log.warning("data.%s: spoilt on purpose: %s", split, "; ".join(source.spoilt))
        if source.left_out:
            _log.warning("data.%s: left out %d boxes without width or height", split, source.left_out)
        if source.held_out_of:
            _log.warning(
                "data.%s: not given; %d of the %d images of data.train are held out for it",
                split,
                source.count,
                source.held_out_of,
            )

    for split in (split for split in ("val", "test") if split in found and found[split].bare):
        bare = found[split].bare
        _log.warning(
            "data.%s: no box of %d of the %d classes, first '%s': mAP is over the others",
            split,
            len(bare),
            len(found[split].classes),
            printable(bare[0], 60),
        )
    bare, classes = found["train"].bare, found["train"].classes
    if bare:
        _log.warning(
            "data.train: %d of %d classes have no boxes, first '%s'", len(bare), len(classes), printable(bare[0], 60)
        )
        if "verify" in found:
            _log.warning("data.verify shows the other classes by %d images", found["verify"].count)
    for one, other in alike(classes)[:3]:
        _log.warning("data.train: '%s' and '%s' are two classes", printable(one, 60), printable(other, 60))


def _splits(data: Description) -> dict[str, CocoSource]:
    return digit_scenes(data) if isinstance(data, Digits) else _coco(data)


def _coco(data: Coco) -> dict[str, CocoSource]:
    found = {split: _of_part(part) for split, part in data.parts.items()}
    if data.classes is not None:
        found["train"] = like(found["train"], data.classes, "data.train", "data.classes")
    found = {split: like(source, found["train"].classes, f"data.{split}") for split, source in found.items()}
    if "val" not in found:
        missing = [split for split in SPLITS if split not in found]
        found = {**hold_out(found["train"], missing, data.hold_out, data.group_by), **_but_train(found)}
    if data.longest is not None:
        found = {split: resized(source, data.longest) for split, source in found.items()}
    if data.spoil is not None:
        harm = Harm(data.spoil.label_noise, data.spoil.box_noise, data.spoil.missing, data.spoil.seed)
        harmed = [split for split in (("train", "val") if data.spoil.val else ("train",)) if split in found]
        found |= {split: spoilt(found[split], harm, split) for split in harmed}
    return {split: found[split] for split in SPLITS if split in found}


def _of_part(part: Part) -> CocoSource:
    file, images = as_coco(as_path(part.annotations, "annotations"), part.images, part.split or None)
    return coco_source(file, images, str(part.annotations))


def _say_what_stands_on_both_sides(found: Mapping[str, CocoSource], group_by: str) -> None:
    names = {
        split: [came_as(image) for image in json.loads(source.annotations.read_text())["images"]]
        for split, source in found.items()
    }
    for split, (images, count, first) in straddling(names, group_by).items():
        template = "data.%s: %d images are of %d groups that are trained on too, first '%s'; its scores flatter"
        _log.warning(template, split, images, count, printable(first, 60))


def _but_train(found: Mapping[str, CocoSource]) -> dict[str, CocoSource]:
    return {split: source for split, source in found.items() if split != "train"}
