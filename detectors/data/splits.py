"""Sources: a description of data becomes checked data, a source per split."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors.data.coco import CocoSource, coco_source, hold_out, one_image_per_class
from detectors.data.digits import SPLITS, digit_scenes
from detectors.data.names import alike
from detectors.data.resize import resized
from primitives.errors import InputError, reading
from primitives.text.printable import printable

_log = logging.getLogger(__name__)


def described(data: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """The description of data as plain values.

    Args:
        data: the description, or the path of a dataset config: an mmengine config with the one section `data`.

    Raises:
        InputError: no such file, not a config, or one with other sections.
    """
    if isinstance(data, Mapping):
        return dict(data)
    from mmengine.config import Config

    if not Path(data).is_file():
        raise InputError(f"no dataset config at {str(data)!r}; the ones that come with the toolkit: configs/datasets/")
    with reading(f"{printable(data)}: not a config that mmengine can read"):
        sections = Config.fromfile(str(data)).to_dict()
    if set(sections) != {"data"} or not isinstance(sections["data"], Mapping):
        found = printable(", ".join(map(str, sections)) or "nothing")
        raise InputError(f"{data}: a dataset config has one section, data = dict(type=...); found: {found}")
    return dict(sections["data"])


def sources(data: Mapping[str, Any] | str | Path) -> dict[str, CocoSource]:
    """The data by split: train, val, verify (one image per class of train), and test where there is one.

    Args:
        data: `type` 'digits' with optional counts `train`, `val`, `test` and `seed`; or 'coco' with `train` and
            optionally `val` and `test`, each with `annotations` and `images`, and `longest`: most pixels of an image,
            which is then made smaller once; or the path of a dataset config with these. Without `val`, a fixed fifth
            of the images of `train` (or so many: `hold_out`) is held out for it, and without `test` another fifth; with
            `val` and without `test` there is no test split. `verify` is the number of images for each class of the
            verification set, 1 by default.

    Raises:
        InputError: the data cannot be used.
    """
    data = described(data)
    found = splits(data)
    return {**found, "verify": one_image_per_class(found["train"], count=data.get("verify", 1))}


def splits(data: Mapping[str, Any] | str | Path) -> dict[str, CocoSource]:
    """The same without the verification set; arguments and errors as of `sources`."""
    data = described(data)
    kind, rest = data.get("type"), {key: value for key, value in data.items() if key not in ("type", "verify")}
    if not isinstance(kind, str) or kind not in ("digits", "coco"):
        raise InputError(f"unknown data type {printable(repr(kind), 80)}; choices: digits, coco")
    return _digits(rest) if kind == "digits" else _coco(rest)


def say(found: Mapping[str, CocoSource]) -> None:
    """Logs what a person should know of the data before it is used: what is left out and what is held out."""
    for split, source in found.items():
        if source.left_out:
            _log.warning("data.%s: left out %d boxes without width or height", split, source.left_out)
        if source.held_out_of:
            _log.warning(
                "data.%s: not given; %d of the %d images of data.train are held out for it",
                split,
                source.count,
                source.held_out_of,
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


def _digits(rest: Mapping[str, Any]) -> dict[str, CocoSource]:
    unknown = sorted(map(str, set(rest) - {*SPLITS, "seed"}))
    if unknown:
        raise InputError(
            f"unknown key {printable(repr(unknown[0]), 80)} in data of type 'digits'; choices: "
            f"{', '.join(SPLITS)}, seed, verify"
        )
    return digit_scenes({**SPLITS, **{key: rest[key] for key in SPLITS if key in rest}}, rest.get("seed", 0))


def _coco(rest: Mapping[str, Any]) -> dict[str, CocoSource]:
    unknown = set(rest) - {*SPLITS, "longest", "hold_out"}
    if unknown or "train" not in rest:
        got = printable(", ".join(map(str, rest)) or "none")
        raise InputError(
            f"data of type 'coco' needs train, and may have val, test, hold_out, longest and verify; got {got}"
        )
    given = {split: part for split in SPLITS if (part := rest.get(split)) is not None}
    found = {split: _part(split, part) for split, part in given.items()}
    for split, source in found.items():
        _same_classes(split, source.classes, found["train"].classes)
    if "val" not in found:
        missing = [split for split in SPLITS if split not in found]
        found = {**hold_out(found["train"], missing, rest.get("hold_out")), **_but_train(found)}
    elif "hold_out" in rest:
        raise InputError("data.hold_out holds images out for val, and data.val is given; leave one of them out")
    if rest.get("longest") is not None:
        found = {split: resized(source, rest["longest"]) for split, source in found.items()}
    return {split: found[split] for split in SPLITS if split in found}


def _same_classes(split: str, here: Sequence[str], there: Sequence[str]) -> None:
    for one, other in itertools.zip_longest(here, there, fillvalue="none"):
        if one != other:
            raise InputError(
                f"data.{split} declares {len(here)} classes and data.train {len(there)}; the first that differ are "
                f"'{printable(one, 60)}' and '{printable(other, 60)}'; both files must have the same categories, by "
                "their ids"
            )


def _but_train(found: Mapping[str, CocoSource]) -> dict[str, CocoSource]:
    return {split: source for split, source in found.items() if split != "train"}


def _part(split: str, part: object) -> CocoSource:
    if not isinstance(part, Mapping) or set(part) != {"annotations", "images"} or None in part.values():
        raise InputError(f"data.{split} needs annotations and images, got {printable(repr(part))}")
    return coco_source(part["annotations"], part["images"])
