"""Labels: wrong classes, boxes that are off and boxes that are missing, put into a data set on purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detectors.data.annotations import is_ignored
from detectors.data.cache import cache_folder, once
from detectors.data.coco import CocoSource, digest, prepared, store
from detectors.data.description import SPLITS
from primitives.errors import InputError

_OUTLINE = "segmentation"


@dataclass(frozen=True)
class Harm:
    """What is done to the annotations of a data set.

    Args:
        label_noise: share of the boxes that get another class, any of the others alike.
        box_noise: every edge of a box moves by this share of the box's width or height, the standard deviation of a
            normal distribution: most are off by little, some by much.
        missing: share of the boxes that are left out.
        seed: of what falls on which box.
    """

    label_noise: float = 0.0
    box_noise: float = 0.0
    missing: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return max(self.label_noise, self.box_noise, self.missing) > 0


def spoilt(source: CocoSource, harm: Harm, split: str) -> CocoSource:
    """The same images with spoilt annotations, kept in the cache; outlines of objects are dropped.

    What falls on a box depends on the seed, the split and its place in the file alone: with a larger share the same
    boxes and more are spoilt. Ignored regions stay.

    Args:
        source: checked.
        harm: what is done; `source` itself is given back where that is nothing.
        split: name of it; every split has its own luck.

    Raises:
        InputError: there is no other class to mistake one for, or no box is left.

    Source: label noise is the symmetric one of Li et al. 2020, arXiv 2003.01285, section 4.1; its boxes move evenly.
    """
    if not harm:
        return source
    if harm.label_noise and len(source.classes) < 2:
        raise InputError(f"{source.name}: label_noise needs two classes, data.{split} has {len(source.classes)}")

    def write(fresh: Any) -> None:
        content = json.loads(source.annotations.read_text())
        entries, told = _spoilt(content, harm, SPLITS.index(split))
        if all(is_ignored(entry) for entry in entries):
            raise InputError(f"{source.name}: missing={harm.missing:g} leaves no box of data.{split}")
        kept = {"left_out": source.left_out, "held_out_of": source.held_out_of, "spoilt": told}
        store(fresh, {**content, "annotations": entries}, **kept)

    key = digest(source.annotations, split, "normal", *harm.__dict__.values())
    place = once(cache_folder() / f"spoilt-{key}", write)
    return replace(prepared(place, source.images), given=source.given)


def _spoilt(content: Mapping[str, Any], harm: Harm, stream: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The annotations that are left, and what was done to them, for people."""
    entries = content["annotations"]
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    ids = [category["id"] for category in content["categories"]]
    rng = np.random.default_rng([harm.seed, stream])
    wrong, lost = rng.random(len(entries)) < harm.label_noise, rng.random(len(entries)) < harm.missing
    steps, shifts = rng.random(len(entries)), rng.standard_normal((len(entries), 4))
    left, counts = [], {"lost": 0, "wrong": 0, "moved": 0, "boxes": 0}
    for number, entry in enumerate(entries):
        if is_ignored(entry):
            left.append(entry)
            continue
        counts["boxes"] += 1
        if lost[number]:
            counts["lost"] += 1
            continue
        changed = {name: value for name, value in entry.items() if name != _OUTLINE}
        if wrong[number]:
            counts["wrong"] += 1
            # One of the others: so many places on from its own.
            on = 1 + int(steps[number] * (len(ids) - 1))
            changed["category_id"] = ids[(ids.index(entry["category_id"]) + on) % len(ids)]
        if harm.box_noise:
            changed |= _moved(entry["bbox"], harm.box_noise * shifts[number], sizes[entry["image_id"]])
            counts["moved"] += changed["bbox"] != entry["bbox"]
        left.append(changed)
    return left, _told(harm, counts)


def _moved(box: list[float], shifts: np.ndarray[Any, Any], size: tuple[int, int]) -> dict[str, Any]:
    """A box whose edges are moved by shares of its sides and kept inside the image, at least a pixel apart."""
    x, y, w, h = box
    left, top = max(x + shifts[0] * w, 0.0), max(y + shifts[1] * h, 0.0)
    right, bottom = min(x + w + shifts[2] * w, size[0]), min(y + h + shifts[3] * h, size[1])
    if right - left < 1 or bottom - top < 1:
        return {}
    found = [round(float(value), 2) for value in (left, top, right - left, bottom - top)]
    return {"bbox": found, "area": found[2] * found[3]}


def _told(harm: Harm, counts: Mapping[str, int]) -> list[str]:
    shown = counts["boxes"] - counts["lost"]
    says = []
    if harm.missing:
        says.append(f"{counts['lost']:,} of {counts['boxes']:,} boxes are missing")
    if harm.label_noise:
        says.append(f"{counts['wrong']:,} of {shown:,} have a wrong class")
    if harm.box_noise:
        says.append(f"{counts['moved']:,} are off, by {harm.box_noise:.3g} of their sides (s.d.)")
    return says
